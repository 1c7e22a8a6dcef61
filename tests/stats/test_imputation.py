"""What stands for a failure: each policy by hand, and that nothing but gaps is ever touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.imputation import POLICIES, impute
from benchbench.stats.table import ScoreTable, TrialState

NAN = np.nan
OK, FAILED, DECLINED, ABSENT = TrialState.OK, TrialState.FAILED, TrialState.DECLINED, TrialState.ABSENT


def grid() -> ScoreTable:
    """Three methods, three tasks, two units; b failed once on t1 and wholly on t2, c declined t2 and was not run on t3, unit 1."""
    scores = np.array(
        [
            [[0.9, 0.7], [0.6, 0.4], [0.3, 0.1]],
            [[0.8, NAN], [NAN, NAN], [0.2, 0.2]],
            [[0.5, 0.3], [NAN, NAN], [0.6, NAN]],
        ]
    )
    states = np.where(np.isnan(scores), FAILED, OK).astype(np.int8)
    states[2, 1], states[2, 2, 1] = DECLINED, ABSENT
    return ScoreTable(("a", "b", "c"), ("t1", "t2", "t3"), (0, 1), scores, states)


def test_none() -> None:
    found = impute(grid(), "none")
    assert not found.imputed.any()
    np.testing.assert_array_equal(found.grid.scores, grid().scores)


def test_worst_is_the_lowest_mean_of_the_task() -> None:
    found = impute(grid(), "worst")
    assert found.grid.scores[1, 0].tolist() == [0.8, 0.4]  # c's mean
    assert found.grid.scores[1, 1].tolist() == [0.5, 0.5]  # a's mean is the only one
    assert found.imputed.sum() == 3
    # declined and absent cells stay as they are
    assert np.isnan(found.grid.scores[2, 1]).all()
    assert np.isnan(found.grid.scores[2, 2, 1])
    assert found.grid.states.tolist() == grid().states.tolist()
    assert found.shares() == pytest.approx([0.0, 3 / 6, 0.0])


def test_the_baselines_own_score_on_the_same_unit() -> None:
    found = impute(grid(), "baseline", baseline="a")
    assert found.grid.scores[1, 0].tolist() == [0.8, 0.7]
    assert found.grid.scores[1, 1].tolist() == [0.6, 0.4]
    assert found.notes == ()


def test_frozen_scores_come_before_the_baselines_own() -> None:
    found = impute(grid(), "baseline", baseline="a", fills={"t1": 0.11})
    assert found.grid.scores[1, 0].tolist() == [0.8, 0.11]
    assert found.grid.scores[1, 1].tolist() == [0.6, 0.4]
    assert found.notes == ("no frozen baseline score: a's own stands for failures on t2",)
    bare = impute(grid(), "baseline", fills={"t1": 0.11})
    assert bare.grid.scores[1, 1].tolist() == [0.5, 0.5]
    assert bare.notes == ("no baseline score: the lowest mean stands for failures on t2",)


def test_a_baseline_that_lacks_the_unit_stands_with_its_mean() -> None:
    scores = grid().scores.copy()
    scores[0, 1, 0] = NAN
    states = grid().states.copy()
    states[0, 1, 0] = ABSENT
    found = impute(ScoreTable(("a", "b", "c"), ("t1", "t2", "t3"), (0, 1), scores, states), "baseline", baseline="a")
    assert found.grid.scores[1, 1].tolist() == [0.4, 0.4]


def test_drop_task_drops_where_anybody_failed() -> None:
    found = impute(grid(), "drop-task")
    assert found.grid.tasks == ("t3",)
    assert found.dropped_tasks == ("t1", "t2")
    assert found.imputed.shape == found.grid.shape
    assert impute(grid(), "drop-task", absent=True).grid.tasks == ()


def test_absent_is_filled_only_if_asked_for() -> None:
    found = impute(grid(), "baseline", baseline="a", absent=True)
    assert found.grid.scores[2, 2].tolist() == [0.6, 0.1]
    assert np.isnan(found.grid.scores[2, 1]).all()  # declined: never


def test_a_method_without_any_score_on_a_task_may_be_left_without() -> None:
    found = impute(grid(), "baseline", baseline="a", whole_tasks=False)
    assert found.imputed.sum() == 1
    assert np.isnan(found.grid.scores[1, 1]).all()


def test_units_that_nobody_has_are_not_filled() -> None:
    scores, states = grid().scores.copy(), grid().states.copy()
    scores[:, 2, 1], states[:, 2, 1] = NAN, ABSENT
    found = impute(ScoreTable(("a", "b", "c"), ("t1", "t2", "t3"), (0, 1), scores, states), "worst", absent=True)
    assert np.isnan(found.grid.scores[:, 2, 1]).all()


def test_bad_input() -> None:
    with pytest.raises(InputError, match="unknown imputation 'wurst'; did you mean 'worst'"):
        impute(grid(), "wurst")
    with pytest.raises(UnknownNameError, match="method to impute with: 'd'"):
        impute(grid(), "baseline", baseline="d")
    with pytest.raises(InputError, match="needs one"):
        impute(grid(), "baseline")


@st.composite
def grids(draw: st.DrawFn) -> ScoreTable:
    m, t, u = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    states = draw(arrays(np.int8, (m, t, u), elements=st.sampled_from([0, 0, 0, 1, 2, 3])))
    scores = draw(arrays(np.float64, (m, t, u), elements=st.floats(-5, 5, allow_subnormal=False)))
    names = tuple("abcd"[:m]), tuple("tuvw"[:t]), tuple(range(u))
    return ScoreTable(*names, np.where(states == OK, scores, NAN), states)


@settings(max_examples=150, deadline=None)
@given(grids(), st.sampled_from(POLICIES), st.booleans(), st.booleans())
def test_only_gaps_are_ever_touched(one: ScoreTable, policy: str, absent: bool, whole_tasks: bool) -> None:
    before = one.scores.copy()
    found = impute(one, policy, baseline="a", fills={"t": 1.0}, absent=absent, whole_tasks=whole_tasks)
    np.testing.assert_array_equal(one.scores, before)
    kept = one.select(tasks=found.grid.tasks)
    is_ok = kept.states == OK
    np.testing.assert_array_equal(found.grid.scores[is_ok], kept.scores[is_ok])
    np.testing.assert_array_equal(found.grid.states, kept.states)
    assert not found.imputed[is_ok].any()
    assert not found.imputed[kept.states == DECLINED].any()
    assert absent or not found.imputed[kept.states == ABSENT].any()
    assert (np.isnan(found.grid.scores) == (np.isnan(kept.scores) & ~found.imputed)).all()
    assert set(found.grid.tasks) | set(found.dropped_tasks) == set(one.tasks)
