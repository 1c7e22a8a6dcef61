"""The table of scores: its numbers per task, parts of it, and what cannot be right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.table import ScoreTable, TrialState, mean_over_units
from benchbench.stats.ties import rounded

NAN = np.nan
OK, FAILED, DECLINED, ABSENT = TrialState.OK, TrialState.FAILED, TrialState.DECLINED, TrialState.ABSENT


def table(**changes: Any) -> ScoreTable:
    values: dict[str, Any] = {
        "methods": ("a", "b"),
        "tasks": ("t1", "t2"),
        "units": (0, 1),
        "scores": np.array([[[NAN, 0.75], [NAN, 0.25]], [[0.5, NAN], [NAN, NAN]]]),
        "states": np.array([[[FAILED, OK], [ABSENT, OK]], [[OK, ABSENT], [DECLINED, ABSENT]]], dtype=np.int8),
        "seconds": np.array([[[NAN, 3.0], [NAN, 2.0]], [[1.0, NAN], [NAN, NAN]]]),
        "deviations": np.array([[[NAN, 0.3], [NAN, 0.2]], [[0.1, NAN], [NAN, NAN]]]),
        "n_units": np.array([[[0, 30], [0, 20]], [[10, 0], [0, 0]]], dtype=np.int32),
    }
    return ScoreTable(**{**values, **changes})


def test_means_per_task() -> None:
    found = table()
    np.testing.assert_array_equal(found.task_scores(), [[0.75, 0.25], [0.5, NAN]])
    np.testing.assert_array_equal(found.task_seconds(), [[3.0, 2.0], [1.0, NAN]])  # type: ignore[arg-type]
    assert found.count(FAILED).tolist() == [[1, 0], [0, 0]]
    assert table(seconds=None).task_seconds() is None
    # what is imputed counts, whatever its state
    filled = replace(found, scores=np.where(found.states == FAILED, 0.25, found.scores))
    assert filled.task_means()[0, 0] == 0.5


def test_means_leave_out_what_is_missing() -> None:
    np.testing.assert_array_equal(mean_over_units(np.array([[1.0, 3.0], [1.0, NAN], [NAN, NAN]])), [2.0, 1.0, NAN])
    np.testing.assert_array_equal(mean_over_units(np.zeros((2, 0))), [NAN, NAN])


def test_scores_that_differ_by_rounding_alone_are_equal() -> None:
    one, other = (0.1 + 0.2) + 0.3, 0.1 + (0.2 + 0.3)
    assert one != other
    assert rounded(np.array([one])) == rounded(np.array([other]))
    # twelve digits count, at any size
    for size in (1e-30, 1.0, -7e15):
        values = np.array([size, size * (1 + 4e-14), size * (1 + 4e-11)])
        assert len(np.unique(rounded(values))) == 2, size
    np.testing.assert_array_equal(rounded(np.array([0.0, NAN, 1e-300, 1e300])), [0.0, NAN, 1e-300, 1e300])


def test_select_in_the_order_asked_for() -> None:
    found = table()
    part = found.select(methods=["b", "a"], tasks=["t1"])
    assert (part.methods, part.tasks, part.shape) == (("b", "a"), ("t1",), (2, 1, 2))
    np.testing.assert_array_equal(part.scores[:, 0], [[0.5, NAN], [NAN, 0.75]])
    for name in ("states", "seconds", "deviations", "n_units"):
        np.testing.assert_array_equal(getattr(part, name), getattr(found, name)[[1, 0]][:, [0]])
    assert found.select() is found
    assert found.select(methods=["a"]).tasks == found.tasks
    assert found.select(tasks=["t2", "t1"]).methods == found.methods
    with pytest.raises(UnknownNameError, match="unknown task"):
        found.select(tasks=["t3"])
    with pytest.raises(UnknownNameError, match="unknown method"):
        found.select(methods=["c"])


def test_what_cannot_be_right_is_refused() -> None:
    with pytest.raises(InputError, match="a on t1, unit 0: score nan"):
        table(states=np.zeros((2, 2, 2), np.int8))
    with pytest.raises(InputError, match="b on t2, unit 1: score inf"):
        table(scores=np.where(np.arange(8).reshape(2, 2, 2) == 7, np.inf, table().scores))
    for name in ("scores", "states", "seconds", "deviations", "n_units"):
        with pytest.raises(InputError, match=rf"{name} of a table have shape \(1, 1, 1\), expected \(2, 2, 2\)"):
            table(**{name: np.zeros((1, 1, 1))})
    for name, labels in (("methods", ("a", "a")), ("tasks", ("a", "a")), ("units", (3, 3))):
        with pytest.raises(InputError, match=f"{name} of a table occur more than once: {labels[0]}"):
            table(**{name: labels})


def test_an_empty_table() -> None:
    empty = ScoreTable((), (), (), np.zeros((0, 0, 0)), np.zeros((0, 0, 0), np.int8))
    assert empty.shape == (0, 0, 0)
    assert empty.task_scores().shape == (0, 0)


def test_only_labels_that_occur_twice_are_named() -> None:
    with pytest.raises(InputError, match=r"methods of a table occur more than once: a, c$"):
        ScoreTable(("c", "a", "b", "a", "c"), ("t",), (0,), np.zeros((5, 1, 1)), np.zeros((5, 1, 1), np.int8))
