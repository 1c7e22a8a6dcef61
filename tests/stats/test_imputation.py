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


def table() -> ScoreTable:
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
    found = impute(table(), "none")
    assert not found.imputed.any()
    np.testing.assert_array_equal(found.table.scores, table().scores)


def test_worst_is_the_lowest_mean_of_the_task() -> None:
    found = impute(table(), "worst")
    assert found.table.scores[1, 0].tolist() == [0.8, 0.4]  # c's mean
    assert found.table.scores[1, 1].tolist() == [0.5, 0.5]  # a's mean is the only one
    assert found.imputed.sum() == 3
    # declined and absent cells stay as they are
    assert np.isnan(found.table.scores[2, 1]).all()
    assert np.isnan(found.table.scores[2, 2, 1])
    assert found.table.states.tolist() == table().states.tolist()
    assert found.shares() == pytest.approx([0.0, 3 / 6, 0.0])


def test_the_baselines_mean_stands_for_failures() -> None:
    found = impute(table(), "baseline", baselines=["a"])
    assert found.table.scores[1, 0].tolist() == [0.8, 0.8]
    assert found.table.scores[1, 1].tolist() == [0.5, 0.5]
    assert found.fills == pytest.approx({"t1": 0.8, "t2": 0.5, "t3": 0.2})
    assert found.notes == ("no frozen baseline score: the mean of a is imputed for failures on t1, t2",)
    # whoever is named is what was asked for, and takes no frozen score
    named = impute(table(), "baseline=a", baselines=["a"], frozen={"t1": 0.11})
    assert named.fills == pytest.approx({"t1": 0.8, "t2": 0.5, "t3": 0.2})
    assert named.notes == ()


def test_the_baselines_own_score_on_the_same_unit() -> None:
    found = impute(table(), "baseline", baselines=["a"], per_unit=True)
    assert found.table.scores[1, 0].tolist() == [0.8, 0.7]
    assert found.table.scores[1, 1].tolist() == [0.6, 0.4]
    worst = impute(table(), "worst", baselines=["a"], per_unit=True)
    assert worst.table.scores[1, 0].tolist() == [0.8, 0.4]


def test_frozen_scores_come_before_the_baselines_own() -> None:
    found = impute(table(), "baseline", baselines=["a"], frozen={"t1": 0.11})
    assert found.table.scores[1, 0].tolist() == [0.8, 0.11]
    assert found.table.scores[1, 1].tolist() == [0.5, 0.5]
    assert found.notes == ("no frozen baseline score: the mean of a is imputed for failures on t2",)
    by_unit = impute(table(), "baseline", baselines=["a"], frozen={"t1": 0.11}, per_unit=True)
    assert by_unit.table.scores[1, 0].tolist() == [0.8, 0.11]
    assert by_unit.table.scores[1, 1].tolist() == [0.6, 0.4]
    bare = impute(table(), "baseline", frozen={"t1": 0.11})
    assert bare.table.scores[1, 1].tolist() == [0.5, 0.5]
    assert bare.notes == ("no baseline score: the lowest mean is imputed for failures on t2",)


def test_of_several_baselines_the_preferred_one_counts_and_then_the_lowest() -> None:
    """b is preferred and has no score on t2; of the others the lowest stands in."""
    scores = np.concatenate([table().scores, [[[0.1, 0.1], [0.7, 0.7], [0.1, 0.1]], [[np.nan] * 2] * 3]])
    states = np.concatenate([table().states, np.full((1, 3, 2), OK), np.full((1, 3, 2), FAILED)]).astype(np.int8)
    wide = ScoreTable(("a", "b", "c", "d", "e"), ("t1", "t2", "t3"), (0, 1), scores, states)
    found = impute(wide, "baseline", baselines=["b", "a", "d"])
    assert found.fills == pytest.approx({"t1": 0.8, "t2": 0.5, "t3": 0.2})


def test_a_baseline_that_lacks_the_unit_stands_with_its_mean() -> None:
    scores = table().scores.copy()
    scores[0, 1, 0] = NAN
    states = table().states.copy()
    states[0, 1, 0] = ABSENT
    lacking = ScoreTable(("a", "b", "c"), ("t1", "t2", "t3"), (0, 1), scores, states)
    for per_unit in (False, True):
        found = impute(lacking, "baseline", baselines=["a"], per_unit=per_unit)
        assert found.table.scores[1, 1].tolist() == [0.4, 0.4]


def test_what_is_imputed_does_not_depend_on_who_is_shown() -> None:
    shown = table().select(methods=["a", "b"])
    assert impute(shown, "worst").fills["t1"] == pytest.approx(0.8)
    found = impute(shown, "worst", everyone=table())
    assert found.fills == impute(table(), "worst").fills
    assert found.table.scores[1, 0].tolist() == [0.8, 0.4]
    of_baseline = impute(table().select(methods=["b"]), "baseline", everyone=table(), baselines=["a"])
    assert of_baseline.table.scores[0, 1].tolist() == [0.5, 0.5]


def test_what_has_nothing_but_imputed_scores_is_not_ranked() -> None:
    scores, states = table().scores.copy(), table().states.copy()
    scores[1], states[1] = NAN, FAILED
    found = impute(ScoreTable(("a", "b", "c"), ("t1", "t2", "t3"), (0, 1), scores, states), "worst")
    assert found.shares().tolist() == [0.0, 1.0, 0.0]
    assert found.ranked().methods == ("a", "c")
    # and part of it stays what it is
    part = found.select(methods=["c", "b"], tasks=["t3", "t1"])
    assert part.imputed.tolist() == found.imputed[[2, 1]][:, [2, 0]].tolist()
    assert part.ranked().methods == ("c",)
    assert found.select() is found
    # one score is enough to be all of them
    single = ScoreTable(("a", "b"), ("t",), (0,), np.array([[[0.5]], [[NAN]]]), np.array([[[0]], [[1]]], np.int8))
    assert impute(single, "worst").shares().tolist() == [0.0, 1.0]
    # without a single score, measured or not, there is nothing that was imputed
    nothing = impute(ScoreTable(("a",), ("t",), (0,), np.full((1, 1, 1), NAN), np.full((1, 1, 1), 2, np.int8)), "worst")
    assert nothing.shares().tolist() == [0.0]
    assert nothing.ranked().methods == ("a",)


def test_drop_task_drops_where_anybody_failed() -> None:
    found = impute(table(), "drop-task")
    assert found.table.tasks == ("t3",)
    assert found.dropped_tasks == ("t1", "t2")
    assert found.imputed.shape == found.table.shape
    assert impute(table(), "drop-task", absent=True).table.tasks == ()


def test_absent_is_filled_only_if_asked_for() -> None:
    found = impute(table(), "baseline", baselines=["a"], absent=True, per_unit=True)
    assert found.table.scores[2, 2].tolist() == [0.6, 0.1]
    assert np.isnan(found.table.scores[2, 1]).all()  # declined: never


def test_a_method_without_any_score_on_a_task_may_be_left_without() -> None:
    found = impute(table(), "baseline", baselines=["a"], whole_tasks=False)
    assert found.imputed.sum() == 1
    assert np.isnan(found.table.scores[1, 1]).all()


def test_units_that_nobody_has_are_not_filled() -> None:
    scores, states = table().scores.copy(), table().states.copy()
    scores[:, 2, 1], states[:, 2, 1] = NAN, ABSENT
    found = impute(ScoreTable(("a", "b", "c"), ("t1", "t2", "t3"), (0, 1), scores, states), "worst", absent=True)
    assert np.isnan(found.table.scores[:, 2, 1]).all()


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"unknown imputation 'wurst'; expected .* did you mean 'worst'"):
        impute(table(), "wurst")
    with pytest.raises(UnknownNameError, match="method to impute with: 'd'"):
        impute(table(), "baseline", baselines=["d"])
    for policy in ("baseline=", "baseline= "):
        with pytest.raises(InputError, match="names no method"):
            impute(table(), policy)


@st.composite
def tables(draw: st.DrawFn) -> ScoreTable:
    m, t, u = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    states = draw(arrays(np.int8, (m, t, u), elements=st.sampled_from([0, 0, 0, 1, 2, 3])))
    scores = draw(arrays(np.float64, (m, t, u), elements=st.floats(-5, 5, allow_subnormal=False)))
    names = tuple("abcd"[:m]), tuple("tuvw"[:t]), tuple(range(u))
    return ScoreTable(*names, np.where(states == OK, scores, NAN), states)


@settings(max_examples=150, deadline=None)
@given(tables(), st.sampled_from(POLICIES), st.booleans(), st.booleans())
def test_only_gaps_are_ever_touched(one: ScoreTable, policy: str, absent: bool, whole_tasks: bool) -> None:
    before = one.scores.copy()
    found = impute(one, policy, baselines=["a"], frozen={"t": 1.0}, absent=absent, whole_tasks=whole_tasks)
    np.testing.assert_array_equal(one.scores, before)
    kept = one.select(tasks=found.table.tasks)
    is_ok = kept.states == OK
    np.testing.assert_array_equal(found.table.scores[is_ok], kept.scores[is_ok])
    np.testing.assert_array_equal(found.table.states, kept.states)
    assert not found.imputed[is_ok].any()
    assert not found.imputed[kept.states == DECLINED].any()
    assert absent or not found.imputed[kept.states == ABSENT].any()
    assert (np.isnan(found.table.scores) == (np.isnan(kept.scores) & ~found.imputed)).all()
    assert set(found.table.tasks) | set(found.dropped_tasks) == set(one.tasks)


@pytest.mark.parametrize("policy", ["none", "drop-task"])
def test_policies_without_a_fill_say_so_for_every_task(policy: str) -> None:
    assert impute(table(), policy).fills == {"t1": None, "t2": None, "t3": None}
