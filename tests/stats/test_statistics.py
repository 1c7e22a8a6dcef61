"""Methods by every statistic: by hand, against definitions spelt out, and what must not change them."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.elo import elo
from benchbench.stats.imputation import impute
from benchbench.stats.ranks import tie_aware_ranks, tied_ranks
from benchbench.stats.scales import improvability, normalised_scores
from benchbench.stats.statistics import (
    NOT_RANKED,
    STATISTICS,
    Computed,
    Options,
    StatisticValue,
    _intervals,
    find_statistic,
    rank_values,
    statistic_values,
    task_values,
    task_weights,
)
from benchbench.stats.table import ScoreTable, TrialState
from benchbench.stats.wins import win_matrix

NAN = np.nan


def table_of(scores: object, state: TrialState = TrialState.ABSENT) -> ScoreTable:
    """Return a table of one unit of (M, T) scores; what is NaN is in that state."""
    found = np.asarray(scores, dtype=float)[:, :, None]
    names = tuple(f"m{i}" for i in range(len(found))), tuple(f"t{i}" for i in range(found.shape[1]))
    return ScoreTable(*names, (0,), found, np.where(np.isnan(found), state, TrialState.OK).astype(np.int8))


def values(found: list[StatisticValue]) -> dict[str, float | None]:
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
    found = values(statistic_values(table_of(HAND), statistic))
    assert [found["m0"], found["m1"], found["m2"]] == pytest.approx(expected)


def test_ranks_best_first_and_ties_share_theirs() -> None:
    found = statistic_values(table_of(HAND), "rank")
    assert [(s.method, s.rank, s.n_tasks) for s in found] == [("m0", 1.0, 3), ("m1", 2.5, 3), ("m2", 2.5, 3)]
    for statistic in STATISTICS:
        ordered = statistic_values(table_of(HAND), statistic)
        assert ordered[0].method == "m0", statistic
        assert [s.rank for s in ordered] == sorted(s.rank or 9 for s in ordered)


def mean_ranks_by_definition(scores: np.ndarray) -> dict[str, float | None]:
    """Return 1 + the mean losses against each other method on the tasks that both have, a tie as half of one."""
    found: dict[str, float | None] = {}
    for a, own in enumerate(scores):
        total = 1.0
        for b, other in enumerate(scores):
            both = ~np.isnan(own) & ~np.isnan(other)
            if b != a and not np.isnan(other).all():
                lost = (other > own)[both] + 0.5 * (other == own)[both]
                total += lost.mean() if both.any() else 0.5
        found[f"m{a}"] = None if np.isnan(own).all() else total
    return found


def test_mean_ranks_on_shared_tasks_by_hand() -> None:
    # m0 and m1 share both tasks; m2 has only t0, where it loses to m0 and beats m1
    found = values(statistic_values(table_of([[3, 1], [1, 2], [2, NAN]]), "rank"))
    assert found == {"m0": 1 + 0.5 + 0.0, "m1": 1 + 0.5 + 1.0, "m2": 1 + 1.0 + 0.0}


def test_wins_ties_and_losses() -> None:
    found = win_matrix(table_of([*HAND, [NAN, 0.9, NAN]]))
    assert found.wins.tolist() == [[0, 2, 2, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    assert found.ties.tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert found.losses.tolist() == found.wins.T.tolist()
    assert found.rates()[0].tolist() == pytest.approx([NAN, 2 / 3, 2 / 3, 0.0], nan_ok=True)


def test_frozen_ends_and_ends_of_methods() -> None:
    scores = np.array([[[0.2, 0.4], [0.1, 0.1]], [[0.6, 0.8], [0.3, 0.5]], [[0.8, 0.6], [0.2, 0.2]]])
    table = ScoreTable(("base", "ref", "x"), ("t0", "t1"), (0, 1), scores, np.zeros(scores.shape, np.int8))
    found, notes = normalised_scores(table, baseline="base", reference="ref")
    # by unit: 0.6 / 0.4 and 0.2 / 0.4; 0.1 / 0.2 and 0.1 / 0.4
    assert found.tolist() == [pytest.approx([0, 0]), pytest.approx([1, 1]), pytest.approx([1.0, 0.375])]
    assert notes == ()
    found, notes = normalised_scores(table, baseline="base", reference="ref", ends={"t0": (0.0, 0.5)})
    assert found[2].tolist() == pytest.approx([1.4, 0.375])
    found, notes = normalised_scores(table, ends={"t0": (0.0, 0.5), "t1": (0.5, 0.5)})
    assert np.isnan(found[:, 1]).all()
    assert notes == ("no normalised score, the reference is not above the baseline: t1",)
    assert values(statistic_values(table, "norm", Options(ends={"t0": (0.0, 0.5)})))["x"] == pytest.approx(1.4)
    with pytest.raises(UnknownNameError):
        normalised_scores(table, baseline="base", reference="nobody")
    with pytest.raises(InputError, match="both ends"):
        normalised_scores(table, baseline="base")


def test_improvability_knows_or_infers_perfection() -> None:
    found, notes = improvability(table_of([[-2.0, 3.0, 0.5], [-1.0, 5.0, 1.0]]), perfect={"t1": 7.0})
    assert found.tolist() == [pytest.approx([0.5, 0.5, 1.0]), [0.0, 0.0, 0.0]]
    assert notes == ("the perfect score was inferred from the range of scores",)
    found, notes = improvability(table_of([[-2.0, 3.0], [1.5, 8.0]]), perfect={"t1": 7.0})
    assert np.isnan(found).all()
    assert notes == ("no improvability, the perfect score is unknown: t0, t1",)


def test_methods_with_fewer_tasks_are_compared_on_what_they_share() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 15))
    scores[1, 3:] = scores[2, :9] = scores[3, ::2] = NAN
    table = table_of(scores, TrialState.DECLINED)
    found = statistic_values(table, "rank")
    assert values(found) == pytest.approx(mean_ranks_by_definition(scores))
    own = {s.method: s for s in found}
    assert own["m1"].n_tasks == 3
    assert own["m1"].notes == ("3/15 tasks, 12 declined",)
    assert own["m0"].notes == ()
    # methods without a common task (m1 and m2 are such) count as tied, as for mean ranks
    rates = win_matrix(table).rates()
    assert np.isnan(rates[1, 2])
    shares = np.where(np.isnan(rates), 0.5, rates)
    np.fill_diagonal(shares, 0.0)
    assert values(statistic_values(table, "winrate")) == pytest.approx(
        dict(zip(table.methods, shares.sum(axis=1) / 5, strict=True))
    )


def test_a_method_without_any_score_has_no_rank() -> None:
    table = table_of([[0.5, 0.6], [0.4, 0.7], [NAN, NAN]], TrialState.FAILED)
    for statistic in STATISTICS:
        last = statistic_values(table, statistic)[-1]
        assert (last.method, last.value, last.rank, last.low, last.n_tasks) == ("m2", None, None, None, 0), statistic
        assert (
            statistic_values(table, statistic)[0].value
            == statistic_values(table.select(methods=["m0", "m1"]), statistic)[0].value
        )


@pytest.mark.parametrize("statistic", STATISTICS)
def test_small_tables(statistic: str) -> None:
    no_tasks = impute(table_of([[NAN], [0.5]], TrialState.FAILED), "drop-task").table
    assert no_tasks.shape == (2, 0, 1)
    assert [(s.value, s.rank) for s in statistic_values(no_tasks, statistic)] == [(None, None), (None, None)]
    (alone,) = statistic_values(table_of([[0.5, 0.6]]), statistic)
    expected = {"rank": 1.0, "tierank": 1.0, "mrr": 1.0, "improvability": 0.0}.get(statistic)
    assert alone.value == expected, "of one method alone a win rate, a rating or a scale means nothing"
    empty = ScoreTable((), (), (), np.zeros((0, 0, 0)), np.zeros((0, 0, 0), np.int8))
    assert statistic_values(empty, statistic) == []


def test_imputed_shares_stand_beside_the_numbers() -> None:
    table = table_of([[0.5, 0.6, 0.7], [0.4, NAN, 0.3]], TrialState.FAILED)
    found = {s.method: s for s in statistic_values(impute(table, "worst"), "rank")}
    assert (found["m1"].imputed_share, found["m0"].imputed_share) == (pytest.approx(1 / 3), 0.0)
    assert found["m1"].n_tasks == 3


def test_an_interval_needs_two_tasks_and_a_seed_repeats_it() -> None:
    rng = np.random.default_rng(0)
    assert all(s.low is None and s.high is None for s in statistic_values(table_of(rng.random((3, 1))), "rank"))
    table = table_of(rng.random((4, 12)))
    for statistic in STATISTICS:
        one, other = statistic_values(table, statistic, seed=1), statistic_values(table, statistic, seed=1)
        assert one == other
        assert one != statistic_values(table, statistic, seed=2)
        assert all(s.low is not None and s.low <= (s.value or 0) <= (s.high or 0) for s in one), statistic
        wide = statistic_values(table, statistic, seed=1, level=0.99, n_bootstrap=1000)
        narrow = statistic_values(table, statistic, seed=1, level=0.5, n_bootstrap=1000)
        assert sum((s.high or 0) - (s.low or 0) for s in wide) > sum((s.high or 0) - (s.low or 0) for s in narrow)
    assert statistic_values(table, "rank", n_bootstrap=0)[0].low is None


@pytest.mark.parametrize(
    ("statistic", "better", "bounds", "digits", "is_share", "needs_pairs"),
    [
        ("rank", "lower is better", (1.0, 7.0), 2, False, False),
        ("winrate", "higher is better", (0.0, 1.0), 3, True, True),
        ("norm", "higher is better", (-math.inf, math.inf), 3, False, False),
        ("improvability", "lower is better", (0.0, 1.0), 3, True, False),
        ("elo", "higher is better", (-math.inf, math.inf), 0, False, True),
        ("mrr", "higher is better", (0.0, 1.0), 3, False, False),
        ("tierank", "lower is better", (1.0, 7.0), 2, False, False),
    ],
)
def test_what_is_known_of_each_statistic(
    statistic: str, better: str, bounds: tuple[float, float], digits: int, is_share: bool, needs_pairs: bool
) -> None:
    kind = find_statistic(statistic)
    assert list(STATISTICS) == ["rank", "winrate", "norm", "improvability", "elo", "mrr", "tierank"]
    assert (kind.direction, kind.bounds(7), kind.digits) == (better, bounds, digits)
    assert (kind.is_share, kind.needs_pairs) == (is_share, needs_pairs)
    assert kind.text(0.123456) == f"{0.123456:.{digits}f}"
    assert kind.text(-1e-9) == f"{0:.{digits}f}" and kind.text(None) == ""
    assert kind.heading[0].isupper() and kind.heading[1:] == kind.title[1:]
    assert kind.help and not kind.help.endswith(".")
    # a better score is never worse, whichever way the statistic runs
    found = statistic_values(table_of([[0.2, 0.3], [0.4, 0.5], [0.9, 0.8]]), statistic)
    assert (found[0].method, found[0].rank) == ("m2", 1.0)
    assert (found[0].value > found[-1].value) is (better == "higher is better")  # type: ignore[operator]


@pytest.mark.parametrize("statistic", ["rank", "winrate", "improvability", "mrr"])
@pytest.mark.parametrize("holes", [False, True])
def test_intervals_stay_where_the_statistic_can_be(statistic: str, holes: bool) -> None:
    """Three tasks stretch an interval by more than two: without its bounds it leaves them at either end."""
    scores = np.array([[0.95, 0.9, 0.1], [0.5, 0.94, 0.6], [0.6, 0.2, 0.5], [0.1, 0.6, 1.0], [0.3, 0.1, 0.05]])
    if holes:
        scores[4, 0] = NAN
    kind = find_statistic(statistic)
    lowest, highest = kind.bounds(len(scores))
    found = statistic_values(table_of(scores), statistic)
    lows, highs = [v.low for v in found], [v.high for v in found]
    assert None not in lows and None not in highs
    # both bounds are met by some interval, and none lies beyond
    assert min(lows) == lowest, "cut at the lower bound"  # type: ignore[type-var]
    assert max(highs) == highest, "cut at the upper bound"  # type: ignore[type-var]
    assert all(low <= v.value <= high for low, v, high in zip(lows, found, highs, strict=True))  # type: ignore[operator]


def test_a_mean_rank_lies_within_the_methods_that_have_one() -> None:
    scores = np.vstack([np.random.default_rng(1).random((6, 2)), [NAN, NAN]])
    found = statistic_values(table_of(scores), "rank")
    assert max(v.high for v in found[:-1]) == 6.0  # type: ignore[type-var]
    assert (found[-1].high, found[-1].value) == (None, None)


def test_the_stretch_and_the_percentiles_by_hand() -> None:
    """Of 199 resamples the 5th and the 195th value are the 2.5 % ends; stretched by sqrt(T / (T - 1)) t / z."""
    drawn = np.random.default_rng(0).permutation(np.arange(1.0, 200.0))[:, None] / 100
    # of 40 tasks no two resamples are the same, and each is computed
    computed = Computed(np.array([1.0]), np.array([4.0]), 40, lambda weights: drawn[: len(weights)])
    low, high = _intervals(computed, find_statistic("norm"), 199, 0, 0.95)
    stretch = math.sqrt(4 / 3) * scipy_stats.t.ppf(0.975, 3) / scipy_stats.norm.ppf(0.975)
    assert [low[0], high[0]] == pytest.approx([1 + (0.05 - 1) * stretch, 1 + (1.95 - 1) * stretch])


@pytest.mark.parametrize(("n_tasks", "is_said"), [(1, False), (2, True), (4, True), (5, False)])
def test_intervals_over_few_tasks_come_with_a_caution(n_tasks: int, is_said: bool) -> None:
    table = table_of(np.random.default_rng(3).random((3, n_tasks)))
    caution = (
        f"With only {n_tasks} tasks, bootstrap intervals are unreliable; non-overlap is not evidence of a difference."
    )
    for statistic in ("rank", "elo"):
        assert [v.notes for v in statistic_values(table, statistic)] == [(caution,) if is_said else ()] * 3
    # nothing to be careful about
    assert not any(v.notes for v in statistic_values(table, "rank", n_bootstrap=0))


def test_equal_resamples_are_computed_once() -> None:
    seen: list[np.ndarray] = []

    def resample(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return weights @ np.array([[0.1], [0.2], [0.6]]) / 3

    computed = Computed(np.array([0.3]), np.array([3.0]), 3, resample)
    found = _intervals(computed, find_statistic("mrr"), 500, 0, 0.95)
    assert sum(map(len, seen)) == len(np.unique(np.concatenate(seen), axis=0)) == 10  # of 3 tasks
    # the same ends as of all 500, one by one
    drawn = resample(task_weights(3, 500, 0))
    ends = np.nanquantile(drawn[:, 0], [0.025, 0.975], method="weibull")
    stretch = math.sqrt(3 / 2) * scipy_stats.t.ppf(0.975, 2) / scipy_stats.norm.ppf(0.975)
    expected = np.clip(0.3 + (ends - 0.3) * stretch, 0, 1)
    assert [found[0][0], found[1][0]] == pytest.approx(expected.tolist())


def test_tie_aware_ranks_share_the_places_that_intervals_cannot_tell_apart() -> None:
    """One seed of 100 units a task: half-widths of 0.02 and 0.2."""
    shape = (3, 2, 1)
    scores = np.array([[0.80, 0.70], [0.79, 0.50], [0.60, 0.52]])[:, :, None]
    table = ScoreTable(
        ("a", "b", "c"),
        ("near", "far"),
        (0,),
        scores,
        np.zeros(shape, np.int8),
        deviations=np.full(shape, 0.1),
        n_units=np.full(shape, 100, np.int32),
    )
    found = {v.method: v.value for v in statistic_values(table, "tierank")}
    assert found == {"a": (1.5 + 1) / 2, "b": (1.5 + 2.5) / 2, "c": (3 + 2.5) / 2}


def test_the_interval_of_a_mean_is_nearly_students() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(3, 9))
    ends = {f"t{i}": (0.0, 1.0) for i in range(9)}
    found = {s.method: s for s in statistic_values(table_of(scores), "norm", Options(ends=ends), n_bootstrap=20_000)}
    for i in range(3):
        low, high = scipy_stats.t.interval(0.95, 8, loc=scores[i].mean(), scale=scipy_stats.sem(scores[i]))
        one = found[f"m{i}"]
        assert (one.high or 0) - (one.low or 0) == pytest.approx(high - low, rel=0.06)


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"unknown statistic 'elos'; expected .* did you mean 'elo'"):
        statistic_values(table_of(HAND), "elos")
    with pytest.raises(InputError, match="level"):
        statistic_values(table_of(HAND), "rank", level=1.0)
    with pytest.raises(InputError, match="resamples"):
        statistic_values(table_of(HAND), "rank", n_bootstrap=-1)


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
        assert statistic_values(table_of(scores), statistic, n_bootstrap=9) == statistic_values(
            table_of(mapped), statistic, n_bootstrap=9
        )


@settings(max_examples=40, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_methods_and_tasks_does_not_matter(scores: np.ndarray, random: Random) -> None:
    one = table_of(scores)
    turned = one.select(methods=random.sample(one.methods, len(one.methods)), tasks=one.tasks[::-1])
    for statistic in STATISTICS:
        expected = {v.method: v for v in statistic_values(one, statistic, n_bootstrap=0)}
        for found in statistic_values(turned, statistic, n_bootstrap=0):
            wanted = expected[found.method]
            assert found.value == (None if wanted.value is None else pytest.approx(wanted.value, abs=1e-6))
            assert (found.rank, found.n_tasks) == (wanted.rank, wanted.n_tasks)


@settings(max_examples=80, deadline=None)
@given(tables())
def test_the_win_matrix_is_antisymmetric(scores: np.ndarray) -> None:
    found = win_matrix(table_of(scores))
    np.testing.assert_array_equal(found.wins, found.losses.T)
    np.testing.assert_array_equal(found.ties, found.ties.T)
    present = ~np.isnan(scores)
    common = present.astype(int) @ present.T.astype(int)
    np.fill_diagonal(common, 0)
    np.testing.assert_array_equal(found.wins + found.ties + found.losses, common)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_a_clone_stands_beside_its_original(scores: np.ndarray) -> None:
    cloned = table_of(np.vstack([scores, scores[:1]]))
    for statistic in STATISTICS:
        found = {s.method: s for s in statistic_values(cloned, statistic, n_bootstrap=0)}
        one, other = found["m0"].value, found[f"m{len(scores)}"].value
        assert (one is None and other is None) or one == pytest.approx(other, abs=1e-6)
        assert found["m0"].rank == found[f"m{len(scores)}"].rank


@settings(max_examples=60, deadline=None)
@given(tables())
def test_mean_ranks_are_those_of_the_definition(scores: np.ndarray) -> None:
    found = values(statistic_values(table_of(scores), "rank", n_bootstrap=0))
    expected = mean_ranks_by_definition(scores)
    assert {m: v for m, v in found.items() if v is not None} == pytest.approx(
        {m: v for m, v in expected.items() if v is not None}
    )
    assert {m for m, v in found.items() if v is None} == {m for m, v in expected.items() if v is None}


@settings(max_examples=60, deadline=None)
@given(tables())
def test_ratings_are_elos_of_the_wins(scores: np.ndarray) -> None:
    table = table_of(scores)
    wins = win_matrix(table)
    points = wins.wins + 0.5 * wins.ties
    expected = elo(points) if len(points) > 1 else np.array([1000.0])
    found = values(statistic_values(table, "elo", n_bootstrap=0))
    for i, method in enumerate(table.methods):
        is_met = (points[i] + points[:, i]).sum() > 0
        assert found[method] == (pytest.approx(expected[i], abs=1e-4) if is_met else None)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_what_failed_everywhere_is_not_ranked_and_moves_nobody(statistic: str) -> None:
    scores = np.random.default_rng(4).random((4, 6))
    lost = np.vstack([scores, np.full(6, NAN)])
    imputed = impute(table_of(lost, TrialState.FAILED), "worst")
    assert not np.isnan(imputed.table.scores).any()
    found = statistic_values(imputed, statistic)
    alone = statistic_values(impute(table_of(scores), "worst"), statistic)
    assert found[:-1] == alone
    assert found[-1] == StatisticValue(method="m4", value=None, imputed_share=1.0, notes=(NOT_RANKED,))
    # one trial that succeeded is enough
    lost[4, 0] = 0.001
    partly = {v.method: v for v in statistic_values(impute(table_of(lost, TrialState.FAILED), "worst"), statistic)}
    assert partly["m4"].rank is not None
    assert partly["m4"].imputed_share == pytest.approx(5 / 6)


def test_equal_values_up_to_nine_digits_share_a_rank() -> None:
    near = np.array([0.5, 0.5 + 1e-11, 0.5 - 1e-8, NAN])
    assert rank_values(near, find_statistic("norm"))[:3].tolist() == [1.5, 1.5, 3.0]
    assert rank_values(near, find_statistic("improvability"))[:3].tolist() == [2.5, 2.5, 1.0]
    assert np.isnan(rank_values(near, find_statistic("norm"))[3])


def test_a_resample_that_makes_a_method_win_everything_has_a_rating() -> None:
    """Plain maximum likelihood of the tasks themselves exists; of many resamples it does not."""
    table = table_of([[0.9, 0.8, 0.1], [0.5, 0.9, 0.9]])
    found = statistic_values(table, "elo", Options(prior_draws=0.0))
    assert {v.method: v.value for v in found} == pytest.approx(
        {"m1": 1000 + 200 * math.log10(2), "m0": 1000 - 200 * math.log10(2)}
    )
    assert all(v.low is not None and math.isfinite(v.low) and math.isfinite(v.high or math.inf) for v in found)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_tied_ranks_equal_scipys(scores: np.ndarray) -> None:
    expected = scipy_stats.rankdata(-scores, axis=0, nan_policy="omit")
    np.testing.assert_array_equal(tied_ranks(scores), np.where(np.isnan(scores), NAN, expected))


def test_values_by_task() -> None:
    table = table_of(HAND)
    points, _ = task_values(table, "elo")
    assert points[:, 2].tolist() == [0.0, 0.75, 0.75]
    for statistic in ("rank", "mrr", "improvability"):
        means = np.nanmean(task_values(table, statistic)[0], axis=1)
        assert values(statistic_values(table, statistic)) == pytest.approx(dict(zip(table.methods, means, strict=True)))


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


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_of_a_mean_over_some_tasks_is_of_the_drawn_tasks_with_a_value(level: float) -> None:
    scores = np.array([[0.9, NAN, 0.1, 0.4], [0.2, 0.3, 0.8, NAN]])
    ends = {f"t{i}": (0.0, 1.0) for i in range(4)}
    found = statistic_values(table_of(scores), "norm", Options(ends=ends), n_bootstrap=300, seed=4, level=level)
    by_method = {v.method: v for v in found}
    for row, method in zip(scores, ("m0", "m1"), strict=True):
        drawn = []
        for weights in task_weights(4, 300, 4).astype(int):
            own = np.repeat(row, weights)
            own = own[~np.isnan(own)]
            drawn.append(own.mean() if len(own) else NAN)
        mean = np.nanmean(row)
        tail = (1 - level) / 2
        low, high = np.nanquantile(drawn, [tail, 1 - tail], method="weibull")
        stretch = math.sqrt(3 / 2) * scipy_stats.t.ppf(1 - tail, 2) / scipy_stats.norm.ppf(1 - tail)
        value = by_method[method]
        assert value.value == pytest.approx(mean)
        assert [value.low, value.high] == pytest.approx(
            [mean + (low - mean) * stretch, mean + (high - mean) * stretch], abs=1e-12
        )


def test_improvability_of_losses_infers_that_0_is_perfect() -> None:
    found, notes = improvability(table_of([[-2.0, -1.0, 0.0], [0.0, -4.0, 0.0]]))
    assert found.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.75, 0.0]]
    assert len(notes) == 1
