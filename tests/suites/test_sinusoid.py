from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchbench.errors import InputError
from benchbench.registry import get_loader


def test_description_and_task_agree() -> None:
    loader = get_loader("sinusoid")
    task = loader.load("waves", {"shot": 5, "query": 7, "seed": 3})
    assert task.info == loader.info("waves", {"shot": 5, "query": 7, "seed": 3})
    assert (task.info.kind, task.info.n_way, task.info.k_shot, task.info.n_query) == ("regression", 1, 5, 7)
    assert (task.info.input_shape, task.info.n_outputs) == ((1,), 1)
    assert (task.metric, task.seed) == ("neg_mse", 3)
    batch = task.test.sample(np.random.default_rng(0), n_way=1, k_shot=5, n_query_per_class=7)
    assert batch.query_x.shape == (1, 7, 1)


def test_defaults_are_ten_shots_and_need_no_preparation() -> None:
    loader = get_loader("sinusoid")
    lines: list[str] = []
    loader.prepare({}, lines.append)
    assert lines == []
    assert loader.info("waves", {}).k_shot == 10


def test_fingerprint_goes_by_meaning() -> None:
    loader = get_loader("sinusoid")
    assert loader.fingerprint({}) == loader.fingerprint({"shot": 10, "query": 100, "seed": 0})
    assert len({loader.fingerprint(o) for o in ({}, {"shot": 5}, {"query": 5}, {"seed": 1})}) == 4


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"shots": 5}, InputError, "did you mean 'shot'"),
        ({"shot": "5"}, InputError, "expected int, got '5'"),
        ({"shot": True}, InputError, "expected int, got True"),
        ({"shot": 0}, InputError, "is 0; expected 1 to"),
        ({"query": -1}, InputError, "is -1; expected 1 to"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[InputError], says: str) -> None:
    with pytest.raises(error, match=says):
        get_loader("sinusoid").check(options)
