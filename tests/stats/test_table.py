"""The grid of scores: made of rows in any order, selected from, and refused where it cannot be right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.table import ScoreTable, TrialState


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("b", "t1", 0, 0.5, TrialState.OK, 1.0),
            ("a", "t2", 1, 0.25, TrialState.OK, 2.0),
            ("a", "t1", 0, None, TrialState.FAILED, None),
            ("a", "t1", 1, 0.75, TrialState.OK, 3.0),
            ("b", "t2", 0, None, TrialState.DECLINED, None),
        ],
        columns=["method", "task", "unit", "score", "state", "seconds"],
    )


def test_from_rows_to_arrays() -> None:
    grid = ScoreTable.from_frame(frame())
    assert (grid.methods, grid.tasks, grid.units) == (("a", "b"), ("t1", "t2"), (0, 1))
    nan = np.nan
    np.testing.assert_array_equal(grid.scores, [[[nan, 0.75], [nan, 0.25]], [[0.5, nan], [nan, nan]]])
    ok, failed, declined, absent = TrialState.OK, TrialState.FAILED, TrialState.DECLINED, TrialState.ABSENT
    assert grid.states.tolist() == [[[failed, ok], [absent, ok]], [[ok, absent], [declined, absent]]]
    np.testing.assert_array_equal(grid.task_scores(), [[0.75, 0.25], [0.5, nan]])
    seconds = grid.task_seconds()
    assert seconds is not None
    np.testing.assert_array_equal(seconds, [[3.0, 2.0], [1.0, nan]])
    assert grid.count(TrialState.FAILED).tolist() == [[1, 0], [0, 0]]


def test_the_order_of_rows_does_not_matter() -> None:
    one, other = ScoreTable.from_frame(frame()), ScoreTable.from_frame(frame().sample(frac=1, random_state=3))
    assert (one.methods, one.tasks, one.units) == (other.methods, other.tasks, other.units)
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.states, other.states)


def test_select_in_the_order_asked_for() -> None:
    grid = ScoreTable.from_frame(frame())
    part = grid.select(methods=["b", "a"], tasks=["t1"])
    assert (part.methods, part.tasks, part.shape) == (("b", "a"), ("t1",), (2, 1, 2))
    np.testing.assert_array_equal(part.scores[:, 0], [[0.5, np.nan], [np.nan, 0.75]])
    assert part.seconds is not None
    np.testing.assert_array_equal(part.seconds[:, 0], [[1.0, np.nan], [np.nan, 3.0]])
    assert grid.select() is grid
    with pytest.raises(UnknownNameError, match="unknown task"):
        grid.select(tasks=["t3"])
    with pytest.raises(UnknownNameError, match="unknown method"):
        grid.select(methods=["c"])


def test_what_cannot_be_right_is_refused() -> None:
    with pytest.raises(InputError, match="lacks state"):
        ScoreTable.from_frame(frame().drop(columns="state"))
    with pytest.raises(InputError, match=r"2 rows of one \(method, task, unit\): a, t1, 1"):
        ScoreTable.from_frame(pd.concat([frame(), frame().iloc[[3]]]))
    with pytest.raises(InputError, match="row without task"):
        ScoreTable.from_frame(frame().assign(task=[None, "t", "t", "t", "t"]))
    with pytest.raises(InputError, match="a on t1, unit 0: score nan"):
        ScoreTable.from_frame(frame().assign(state=TrialState.OK))
    with pytest.raises(InputError, match="score inf"):
        ScoreTable.from_frame(frame().assign(score=[np.inf, 0.25, None, 0.75, None]))
    with pytest.raises(InputError, match=r"shape \(1, 1, 1\)"):
        ScoreTable(("a",), ("t", "u"), (0,), np.zeros((1, 1, 1)), np.zeros((1, 1, 1), np.int8))
    with pytest.raises(InputError, match="more than once: a"):
        ScoreTable(("a", "a"), ("t",), (0,), np.zeros((2, 1, 1)), np.zeros((2, 1, 1), np.int8))


def test_an_empty_grid() -> None:
    grid = ScoreTable.from_frame(frame().iloc[:0])
    assert grid.shape == (0, 0, 0)
    assert grid.task_scores().shape == (0, 0)
