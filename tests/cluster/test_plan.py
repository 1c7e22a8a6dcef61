"""Which methods a run takes."""

from __future__ import annotations

import pytest

from benchbench.cluster.plan import choose_methods
from benchbench.errors import UnknownNameError
from benchbench.registry import methods
from benchbench.suite_files import find_suite


def _names(texts: list[str]) -> list[str]:
    return [request.entry.name for request in choose_methods(find_suite("fewshot"), texts)]


def test_a_suite_may_say_what_runs_by_default() -> None:
    assert _names([]) == list(find_suite("fewshot").methods)


def test_all_is_every_method_of_the_track_and_variants_may_be_added() -> None:
    everything = {name for name, entry in methods().items() if entry.card.track == "fewshot"}
    found = _names(["all", "protonet", "maml(pools=True)"])
    assert set(found) == everything
    assert len(found) == len(everything) + 1
    assert choose_methods(find_suite("fewshot"), ["all", "maml(pools=True)"])[-1].params == {"pools": True}


def test_a_method_that_is_not_there_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="protonet"):
        _names(["protonett"])
