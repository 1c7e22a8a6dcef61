"""Standings by every statistic: by hand, against definitions spelt out, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.imputation import impute
from benchbench.stats.ranks import mean_ranks, tie_aware_ranks, tied_ranks
from benchbench.stats.statistics import (
    STATISTICS,
    Standing,
    improvability,
    normalised_scores,
    standings,
    task_values,
    win_matrix,
)
from benchbench.stats.table import ScoreTable, TrialState

NAN = np.nan


def grid_of(scores: object, state: State = TrialState.ABSENT) -> ScoreTable:
    """Return a grid of one unit of (M, T) scores; what is NaN is in that state."""
    values = np.asarray(scores, dtype=float)[:, :, None]
    names = tuple(f"m{i}" for i in range(len(values))), tuple(f"t{i}" for i in range(values.shape[1]))
    return ScoreTable(*names, (0,), values, np.where(np.isnan(values), state, TrialState.OK).astype(np.int8))


def values(found: list[Standing]) -> dict[str, float | None]:
    return {s.method: s.value for s in found}


# two tasks on which m0 is best, one on which m1 and m2 tie for the best
HAND = [[0.9, 0.8, 0.5], [0.8, 0.4, 0.7], [0.6, 0.6, 0.7]]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("rank", [(1 + 1 + 3) / 3, (2 + 3 + 1.5) / 3, (3 + 2 + 1.5) / 3]),
        ("winrate", [(1 + 1 + 0) / 3, (0.5 + 0 + 0.75) / 3, (0 + 0.5 + 0.75) / 3]),
        ("mrr", [(1 + 1 + 1 / 3) / 3, (1 / 2 + 1 / 3 + 1 / 1.5) / 3, (1 / 3 + 1 / 2 + 1 / 1.5) / 3]),
        # errors are 1 - score: 0.1 0.2 0.4 | 0.2 0.6 0.4 | 0.5 0.3 0.3
        ("improvability", [(0 + 0 + 0.4) / 3, (0.5 + 2 / 3 + 0) / 3, (0.75 + 0.5 + 0) / 3]),
        # median and best: 0.8 0.9 | 0.6 0.8 | the third has no scale, its best is its median
        ("norm", [1.0, 0.0, 0.0]),
    ],
)
def test_by_hand(statistic: str, expected: list[float]) -> None:
    found = values(standings(grid_of(HAND), statistic))
    assert [found["m0"], found["m1"], found["m2"]] == pytest.approx(expected)


def test_places_best_first_and_ties_share_theirs() -> None:
    found = standings(grid_of(HAND), "rank")
    assert [(s.method, s.place, s.n_tasks) for s in found] == [("m0", 1.0, 3), ("m1", 2.5, 3), ("m2", 2.5, 3)]
    for statistic in STATISTICS:
        ordered = standings(grid_of(HAND), statistic)
        assert ordered[0].method == "m0", statistic
        assert [s.place for s in ordered] == sorted(s.place or 9 for s in ordered)


def test_wins_ties_and_losses() -> None:
    found = win_matrix(grid_of([*HAND, [NAN, 0.9, NAN]]))
    assert found.wins.tolist() == [[0, 2, 2, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    assert found.ties.tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert found.losses.tolist() == found.wins.T.tolist()
    assert found.rates()[0].tolist() == pytest.approx([NAN, 2 / 3, 2 / 3, 0.0], nan_ok=True)


def test_frozen_ends_and_ends_of_methods() -> None:
    scores = np.array([[[0.2, 0.4], [0.1, 0.1]], [[0.6, 0.8], [0.3, 0.5]], [[0.8, 0.6], [0.2, 0.2]]])
    grid = ScoreTable(("base", "ref", "x"), ("t0", "t1"), (0, 1), scores, np.zeros(scores.shape, np.int8))
    found, notes = normalised_scores(grid, baseline="base", reference="ref")
    # by unit: 0.6 / 0.4 and 0.2 / 0.4; 0.1 / 0.2 and 0.1 / 0.4
    assert found.tolist() == [pytest.approx([0, 0]), pytest.approx([1, 1]), pytest.approx([1.0, 0.375])]
    assert notes == ()
    found, notes = normalised_scores(grid, baseline="base", reference="ref", ends={"t0": (0.0, 0.5)})
    assert found[2].tolist() == pytest.approx([1.4, 0.375])
    found, notes = normalised_scores(grid, ends={"t0": (0.0, 0.5), "t1": (0.5, 0.5)})
    assert np.isnan(found[:, 1]).all()
    assert notes == ("no normalised score, the reference is not above the baseline: t1",)
    assert values(standings(grid, "norm", ends={"t0": (0.0, 0.5)}))["x"] == pytest.approx(1.4)
    with pytest.raises(UnknownNameError):
        normalised_scores(grid, baseline="base", reference="nobody")
    with pytest.raises(InputError, match="both ends"):
        normalised_scores(grid, baseline="base")


def test_improvability_knows_or_infers_perfection() -> None:
    found, notes = improvability(grid_of([[-2.0, 3.0, 0.5], [-1.0, 5.0, 1.0]]), perfect={"t1": 7.0})
    assert found.tolist() == [pytest.approx([0.5, 0.5, 1.0]), [0.0, 0.0, 0.0]]
    assert notes == ("what a perfect answer scores was inferred from the scores' range",)
    found, notes = improvability(grid_of([[-2.0, 3.0], [1.5, 8.0]]), perfect={"t1": 7.0})
    assert np.isnan(found).all()
    assert notes == ("no improvability, what a perfect answer scores is not known: t0, t1",)


def test_methods_with_fewer_tasks_are_compared_on_what_they_share() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 15))
    scores[1, 3:] = scores[2, :9] = scores[3, ::2] = NAN
    grid = grid_of(scores, TrialState.DECLINED)
    expected = mean_ranks(
        {
            t: {m: scores[i, j] for i, m in enumerate(grid.methods) if scores[i, j] == scores[i, j]}
            for j, t in enumerate(grid.tasks)
        }
    )
    found = standings(grid, "rank")
    assert values(found) == pytest.approx(expected)
    own = {s.method: s for s in found}
    assert own["m1"].n_tasks == 3
    assert own["m1"].notes == ("3/15 tasks, 12 declined",)
    assert own["m0"].notes == ()
    # methods without a common task (m1 and m2 are such) count as tied, as for mean ranks
    rates = win_matrix(grid).rates()
    assert np.isnan(rates[1, 2])
    shares = np.where(np.isnan(rates), 0.5, rates)
    np.fill_diagonal(shares, 0.0)
    assert values(standings(grid, "winrate")) == pytest.approx(
        dict(zip(grid.methods, shares.sum(axis=1) / 5, strict=True))
    )


def test_a_method_without_any_score_has_no_place() -> None:
    grid = grid_of([[0.5, 0.6], [0.4, 0.7], [NAN, NAN]], TrialState.FAILED)
    for statistic in STATISTICS:
        last = standings(grid, statistic)[-1]
        assert (last.method, last.value, last.place, last.low, last.n_tasks) == ("m2", None, None, None, 0), statistic
        assert standings(grid, statistic)[0].value == standings(grid.select(methods=["m0", "m1"]), statistic)[0].value


@pytest.mark.parametrize("statistic", STATISTICS)
def test_small_tables(statistic: str) -> None:
    no_tasks = impute(grid_of([[NAN], [0.5]], TrialState.FAILED), "drop-task").grid
    assert no_tasks.shape == (2, 0, 1)
    assert [(s.value, s.place) for s in standings(no_tasks, statistic)] == [(None, None), (None, None)]
    (alone,) = standings(grid_of([[0.5, 0.6]]), statistic)
    expected = {"rank": 1.0, "mrr": 1.0, "improvability": 0.0}.get(statistic)
    assert alone.value == expected, "of one method alone a win rate, a rating or a scale means nothing"
    empty = ScoreTable((), (), (), np.zeros((0, 0, 0)), np.zeros((0, 0, 0), np.int8))
    assert standings(empty, statistic) == []


def test_imputed_shares_stand_beside_the_numbers() -> None:
    grid = grid_of([[0.5, 0.6, 0.7], [0.4, NAN, 0.3]], TrialState.FAILED)
    found = {s.method: s for s in standings(impute(grid, "worst"), "rank")}
    assert (found["m1"].imputed_share, found["m0"].imputed_share) == (pytest.approx(1 / 3), 0.0)
    assert found["m1"].n_tasks == 3


def test_an_interval_needs_two_tasks_and_a_seed_repeats_it() -> None:
    rng = np.random.default_rng(0)
    assert all(s.low is None and s.high is None for s in standings(grid_of(rng.random((3, 1))), "rank"))
    grid = grid_of(rng.random((4, 12)))
    for statistic in STATISTICS:
        one, other = standings(grid, statistic, seed=1), standings(grid, statistic, seed=1)
        assert one == other
        assert one != standings(grid, statistic, seed=2)
        assert all(s.low is not None and s.low <= (s.value or 0) <= (s.high or 0) for s in one), statistic
        wide = standings(grid, statistic, seed=1, level=0.99, n_bootstrap=1000)
        narrow = standings(grid, statistic, seed=1, level=0.5, n_bootstrap=1000)
        assert sum((s.high or 0) - (s.low or 0) for s in wide) > sum((s.high or 0) - (s.low or 0) for s in narrow)
    assert standings(grid, "rank", n_bootstrap=0)[0].low is None


def test_intervals_stay_where_the_statistic_can_be() -> None:
    grid = grid_of(np.arange(4)[:, None] / 4 + np.random.default_rng(0).normal(size=(4, 5)) / 8)
    assert all((s.low or 1) >= 1 for s in standings(grid, "rank"))
    assert all((s.low or 0) >= 0 and (s.high or 0) <= 1 for s in standings(grid, "winrate"))
    # with two tasks the stretch is large: unclipped, upper ends go far beyond the last place, with and without missing scores
    whole = np.random.default_rng(1).random((6, 2))
    lacking = np.random.default_rng(1).random((6, 3))
    lacking[5, 0] = np.nan
    for scores in (whole, lacking):
        highs = [s.high or 0 for s in standings(grid_of(scores), "rank")]
        assert max(highs) == 6


@pytest.mark.parametrize(("n_tasks", "is_said"), [(1, False), (2, True), (4, True), (5, False)])
def test_intervals_over_few_tasks_come_with_a_caution(n_tasks: int, is_said: bool) -> None:
    grid = grid_of(np.random.default_rng(3).random((3, n_tasks)))
    for statistic in ("rank", "elo"):
        cautions = [[n for n in s.notes if "caution" in n] for s in standings(grid, statistic)]
        assert all(len(own) == is_said for own in cautions)
        assert not is_said or f"over {n_tasks} tasks" in cautions[0][0]
    # nothing to be careful about
    assert not any(s.notes for s in standings(grid, "rank", n_bootstrap=0))


def test_the_interval_of_a_mean_is_nearly_students() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(3, 9))
    ends = {f"t{i}": (0.0, 1.0) for i in range(9)}
    found = {s.method: s for s in standings(grid_of(scores), "norm", ends=ends, n_bootstrap=20_000)}
    for i in range(3):
        low, high = scipy_stats.t.interval(0.95, 8, loc=scores[i].mean(), scale=scipy_stats.sem(scores[i]))
        one = found[f"m{i}"]
        assert (one.high or 0) - (one.low or 0) == pytest.approx(high - low, rel=0.06)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="unknown statistic 'elos'; did you mean 'elo'"):
        standings(grid_of(HAND), "elos")
    with pytest.raises(InputError, match="level"):
        standings(grid_of(HAND), "rank", level=1.0)


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    m, t = draw(st.integers(2, 5)), draw(st.integers(1, 6))
    # few different values, so that ties are common
    found = draw(arrays(np.float64, (m, t), elements=st.integers(0, 6).map(lambda i: i / 8)))
    holes = draw(arrays(np.bool_, (m, t), elements=st.sampled_from([False, False, False, True])))
    return np.where(holes, NAN, found)


@settings(max_examples=80, deadline=None)
@given(tables(), st.sampled_from([np.exp, np.tan, lambda x: x**3 - 5]))
def test_ranks_do_not_change_under_monotone_maps(scores: np.ndarray, stretch: object) -> None:
    mapped = stretch(scores)  # type: ignore[operator]
    np.testing.assert_array_equal(tied_ranks(scores), tied_ranks(mapped))
    for statistic in ("rank", "winrate", "mrr", "elo"):
        assert standings(grid_of(scores), statistic, n_bootstrap=9) == standings(
            grid_of(mapped), statistic, n_bootstrap=9
        )


@settings(max_examples=40, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(scores: np.ndarray, random: object) -> None:
    rows = [
        (f"m{m}", f"t{t}", 0, None if np.isnan(s) else s, TrialState.ABSENT if np.isnan(s) else TrialState.OK)
        for (m, t), s in np.ndenumerate(scores)
    ]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    names = ["method", "task", "unit", "score", "state"]
    one, other = (ScoreTable.from_frame(pd.DataFrame(r, columns=names)) for r in (rows, shuffled))
    for statistic in STATISTICS:
        assert standings(one, statistic, n_bootstrap=9) == standings(other, statistic, n_bootstrap=9)
    # nor does the order of methods and tasks change any value
    turned = one.select(methods=one.methods[::-1], tasks=one.tasks[::-1])
    for statistic in STATISTICS:
        expected = values(standings(one, statistic, n_bootstrap=0))
        for method, value in values(standings(turned, statistic, n_bootstrap=0)).items():
            assert value == (None if expected[method] is None else pytest.approx(expected[method], abs=1e-6))


@settings(max_examples=80, deadline=None)
@given(tables())
def test_the_win_matrix_is_antisymmetric(scores: np.ndarray) -> None:
    found = win_matrix(grid_of(scores))
    np.testing.assert_array_equal(found.wins, found.losses.T)
    np.testing.assert_array_equal(found.ties, found.ties.T)
    present = ~np.isnan(scores)
    common = present.astype(int) @ present.T.astype(int)
    np.fill_diagonal(common, 0)
    np.testing.assert_array_equal(found.wins + found.ties + found.losses, common)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_a_clone_stands_beside_its_original(scores: np.ndarray) -> None:
    cloned = grid_of(np.vstack([scores, scores[:1]]))
    for statistic in STATISTICS:
        found = {s.method: s for s in standings(cloned, statistic, n_bootstrap=0)}
        one, other = found["m0"].value, found[f"m{len(scores)}"].value
        assert (one is None and other is None) or one == pytest.approx(other, abs=1e-6)
        assert found["m0"].place == found[f"m{len(scores)}"].place


@settings(max_examples=60, deadline=None)
@given(tables())
def test_mean_ranks_agree_with_the_boards(scores: np.ndarray) -> None:
    grid = grid_of(scores)
    by_task = {
        t: {m: float(scores[i, j]) for i, m in enumerate(grid.methods) if not np.isnan(scores[i, j])}
        for j, t in enumerate(grid.tasks)
    }
    expected = mean_ranks(by_task)
    found = values(standings(grid, "rank", n_bootstrap=0))
    assert {m: v for m, v in found.items() if v is not None} == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_tied_ranks_equal_scipys(scores: np.ndarray) -> None:
    expected = scipy_stats.rankdata(-scores, axis=0, nan_policy="omit")
    np.testing.assert_array_equal(tied_ranks(scores), np.where(np.isnan(scores), NAN, expected))


def test_values_by_task() -> None:
    grid = grid_of(HAND)
    points, _ = task_values(grid, "elo")
    assert points[:, 2].tolist() == [0.0, 0.75, 0.75]
    for statistic in ("rank", "mrr", "improvability"):
        means = np.nanmean(task_values(grid, statistic)[0], axis=1)
        assert values(standings(grid, statistic)) == pytest.approx(dict(zip(grid.methods, means, strict=True)))


def test_tie_aware_ranks_by_hand() -> None:
    # 0.90 and 0.88 are tied: 0.02 <= hypot(0.015, 0.015); 0.87 is apart from 0.90, though not from 0.88; then 0.87 alone
    assert tie_aware_ranks([0.88, 0.90, 0.87], [0.015, 0.015, 0.015]) == [1.5, 1.5, 3.0]
    assert tie_aware_ranks([0.5, 0.5, NAN, 0.4], [0.0, 0.0, NAN, 0.0]) == pytest.approx([1.5, 1.5, NAN, 3], nan_ok=True)
    # a difference equal to the bound is a tie
    assert tie_aware_ranks([58.0, 53.0], [3.0, 4.0]) == [1.5, 1.5]
    assert tie_aware_ranks([], []) == []
    for widths in ([0.1], [0.1, -0.1], [0.1, math.nan]):
        with pytest.raises(ValueError, match="half-width"):
            tie_aware_ranks([0.5, 0.6], widths)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_tie_aware_ranks_without_intervals_are_plain_ranks(scores: np.ndarray) -> None:
    for column in scores.T:
        found = tie_aware_ranks(list(column), [0.0] * len(column))
        np.testing.assert_array_equal(found, tied_ranks(column[:, None])[:, 0])
