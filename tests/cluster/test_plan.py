"""Which methods a run takes."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from benchbench.cluster.plan import Request, all_trials, choose_methods
from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import get_loader, methods
from benchbench.suite_files import find_suite


def _names(texts: list[str]) -> list[str]:
    return [request.entry.name for request in choose_methods(find_suite("fewshot"), texts)]


def test_a_suite_may_say_what_runs_by_default() -> None:
    assert _names([]) == list(find_suite("fewshot").methods)


def test_all_is_every_method_of_the_track_and_variants_may_be_added() -> None:
    everything = {name for name, entry in methods().items() if entry.card.track == "fewshot"}
    found = _names(["all", "protonet", "maml(averages=True)"])
    assert set(found) == everything
    assert len(found) == len(everything) + 1
    assert choose_methods(find_suite("fewshot"), ["all", "maml(averages=True)"])[-1].params == {"averages": True}


def test_a_method_that_is_not_there_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="protonet"):
        _names(["protonett"])


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["pixel_nn", "protonet", "pixel_nn"], "pixel_nn"),
        (["maml(averages=True)", "maml( averages = True )"], "maml( averages = True )"),
        (["all", "maml(averages=True)", "maml(averages=True)"], "maml(averages=True)"),
    ],
)
def test_a_method_that_is_named_twice_is_refused(texts: list[str], named: str) -> None:
    """Each of its trials was run twice."""
    with pytest.raises(InputError, match=rf"^method {re.escape(repr(named))} is named more than once$"):
        _names(texts)
    assert _names(["maml", "maml(averages=True)"]) == ["maml", "maml"]


@pytest.mark.parametrize("override", [{"time_limit_seconds": 900.0}, {"threads": 2}, {"test_units": 50}])
def test_a_preset_with_another_limit_still_trains_as_long(override: dict[str, Any]) -> None:
    """It once trained for no iteration at all: methods know presets by their plain names."""
    suite = find_suite("fewshot")
    name, preset = suite.preset("quick")
    ((key, value),) = override.items()
    tasks = (suite.task("glyphs-20w1s"), suite.task("sinusoid-10s"))
    requests = [
        Request(
            suite=suite,
            preset_name=n,
            preset=p,
            tasks=tasks,
            methods=choose_methods(suite, ["maml"]),
            seeds=(0,),
            device="cpu",
        )
        for n, p in ((name, preset), (f"{name},{key}={value:g}", dataclasses.replace(preset, **override)))
    ]
    for task in tasks:
        get_loader(task.loader).prepare(task.options, lambda line: None)
    plain, overridden = [[t.spec.budget.iterations for t in all_trials(r)] for r in requests]
    assert overridden == plain
    assert all(plain)
