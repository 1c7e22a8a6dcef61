"""Verdicts on orderings of methods, on scores whose truth is known."""

from __future__ import annotations

import random
from typing import Any

import pytest
from scipy import stats

from benchbench.stats.orderings import VERDICTS, Finding, OrderedTrial, check_orderings, over_tasks, paired
from benchbench.suite_files import OrderingSpec


def episodes(shift: float, n: int = 200, seed: int = 1) -> list[float]:
    shared, own = random.Random(0), random.Random(seed)
    return [shared.gauss(0.7, 0.1) + shift + own.gauss(0, 0.05) for _ in range(n)]


def trial(method: str, scores: list[float] | None = None, **more: Any) -> OrderedTrial:
    values: dict[str, Any] = {"task": "t", "fingerprint": "f", "seed": 0, "outcome": "ok", "error_message": ""}
    values |= {"metric": "accuracy", "unit": "episode", "unit_scores": tuple(scores or ())}
    return OrderedTrial(method=method, **{**values, **more})


def check(*trials: OrderedTrial, at_least: bool = False) -> Finding:
    ordering = OrderingSpec(above=("a",), below=("b",), at_least=at_least)
    (found,) = check_orderings([ordering], trials, ["t"])
    return found


def test_one_seed_gives_the_paired_interval_of_scipy() -> None:
    a, b = episodes(0.02, seed=1), episodes(0.0, seed=2)
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    found = paired([a], [b])
    assert found.units.ci95 is not None
    assert found.units.mean - found.units.ci95 == pytest.approx(low)
    assert found.units.mean + found.units.ci95 == pytest.approx(high)
    assert (found.units.n, found.seeds.n, found.seeds.ci95, found.n_won) == (200, 1, None, 1)


def test_several_seeds_give_two_intervals_of_scipy() -> None:
    above = [episodes(shift, seed=i) for i, shift in enumerate((0.03, -0.01, 0.05))]
    below = [episodes(0.0, seed=10 + i) for i in range(3)]
    found = paired(above, below)
    over_units = [[sum(column) / 3 for column in zip(*side, strict=True)] for side in (above, below)]
    over_seeds = [[sum(row) / len(row) for row in side] for side in (above, below)]
    for own, (first, second), n in ((found.units, over_units, 200), (found.seeds, over_seeds, 3)):
        low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
        assert own.ci95 is not None
        assert (own.mean - own.ci95, own.mean + own.ci95) == pytest.approx((low, high))
        assert own.n == n
    assert found.n_won == 2


def test_seeds_and_units_must_be_the_same() -> None:
    for above, below in (([[1.0]], [[1.0], [1.0]]), ([[1.0, 2.0]], [[1.0]]), ([], [])):
        with pytest.raises(ValueError, match=r"argument|at least one value"):
            paired(above, below)


@pytest.mark.parametrize(
    ("shift", "strict", "at_least"),
    [(0.1, "holds", "holds"), (0.0, "not shown", "holds"), (-0.1, "violated", "violated")],
)
def test_verdicts(shift: float, strict: str, at_least: str) -> None:
    trials = [trial("a", [s + shift for s in (0.4, 0.5, 0.6, 0.7)]), trial("b", [0.41, 0.49, 0.61, 0.69])]
    assert check(*trials).verdict == strict
    assert check(*trials, at_least=True).verdict == at_least


def test_one_unit_shows_nothing() -> None:
    trials = [trial("a", [0.9]), trial("b", [0.1])]
    for at_least in (False, True):
        found = check(*trials, at_least=at_least)
        assert (found.verdict, found.ci95, found.n) == ("not shown", None, 1)


def test_binary_rounding_wins_no_seed() -> None:
    assert 0.1 + 0.2 > 0.3
    assert paired([[0.1 + 0.2], [0.31]], [[0.3], [0.3]]).n_won == 1


def test_only_seeds_that_both_have_are_paired_and_the_others_said() -> None:
    found = check(
        trial("a", [0.8, 0.9]),
        trial("a", [0.0, 0.0], seed=1),
        trial("b", [0.7, 0.8]),
        trial("b", outcome="failed", seed=1),
        trial("b", [1.0, 1.0], seed=2),
    )
    assert (found.verdict, found.n_seeds, found.seeds_won) == ("holds", 1, 1)
    assert found.difference == pytest.approx(0.1)
    assert found.reason == "without seeds 1, 2: not of both"


@pytest.mark.parametrize(
    ("trials", "verdict", "reason"),
    [
        ([], "missing", "no result of a; no result of b"),
        ([trial("a", [0.5, 0.6])], "missing", "no result of b"),
        ([trial("a", outcome="infra"), trial("b", [0.5])], "missing", "a was lost with its workers: run it again"),
        (
            [trial("a", outcome="timeout", error_message="at 3 s"), trial("b", [0.5])],
            "missing",
            "a: timeout: at 3 s",
        ),
        ([trial("a", outcome="declined")], "declined", "a declines the task; no result of b"),
        ([trial("a", [0.5]), trial("b", [0.5], seed=1)], "missing", "no seed on which both succeeded"),
        ([trial("a", [0.5, 0.6]), trial("b", [0.5])], "missing", "cannot be paired: 2 and 1 scores by unit"),
        ([trial("a"), trial("b")], "missing", "cannot be paired: 0 and 0 scores by unit"),
    ],
)
def test_what_is_missing_is_said(trials: list[OrderedTrial], verdict: str, reason: str) -> None:
    found = check(*trials)
    assert (found.verdict, found.reason, found.difference) == (verdict, reason, None)


def test_over_two_tasks_it_is_the_interval_of_welch() -> None:
    """The mean of x and -y is half their difference, so scipy's test of two samples of unequal variance knows its interval."""
    rng = random.Random(1)
    x, y = [rng.gauss(0.05, 0.1) for _ in range(40)], [rng.gauss(-0.02, 0.3) for _ in range(25)]
    trials = [
        trial("a", x),
        trial("b", [0.0] * 40),
        trial("a", [-v for v in y], task="u"),
        trial("b", [0.0] * 25, task="u"),
    ]
    found = check_orderings([OrderingSpec(above=("a",), below=("b",))], trials, ["t", "u"])
    (over,) = over_tasks(found)
    low, high = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert over.difference == pytest.approx((low + high) / 4)
    assert over.ci95 == pytest.approx((high - low) / 4)
    assert (over.task, over.over, over.n, over.n_seeds, over.seed_ci95) == (None, ("t", "u"), 65, 1, None)


def test_over_tasks_a_difference_may_show_that_no_task_shows() -> None:
    rng = random.Random(3)
    trials = []
    for task in ("t", "u", "v"):
        for seed in (0, 1, 2):
            trials += [
                trial("a", [rng.gauss(0.03, 0.1) for _ in range(40)], task=task, seed=seed),
                trial("b", [0.0] * 40, task=task, seed=seed),
            ]
    found = check_orderings([OrderingSpec(above=("a",), below=("b",))], trials, ["t", "u", "v"])
    (over,) = over_tasks(found)
    assert [f.verdict for f in found].count("not shown") >= 1
    assert over.verdict == "holds"
    assert (over.n_seeds, over.seeds_won) == (3, 3)
    by_seed = [sum(f.by_seed[seed] for f in found) / 3 for seed in (0, 1, 2)]
    low, high = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert over.seed_ci95 == pytest.approx((high - low) / 2)


def test_metrics_are_not_mixed_and_one_task_is_no_mean() -> None:
    both = [("a", 0.1), ("b", 0.0)]
    trials = [trial(m, [s, s + 0.1, s + 0.3], task=task) for task in ("t", "u") for m, s in both]
    trials += [trial(m, [s - 5, s - 4], task="w", metric="neg_mse") for m, s in both]
    trials += [trial("a", [0.5], task="one"), trial("b", [0.4], task="one")]
    found = check_orderings([OrderingSpec(above=("a",), below=("b",))], trials, ["t", "u", "w", "one"])
    (over,) = over_tasks(found)
    assert (over.over, over.metric) == (("t", "u"), "accuracy")
    # the same in every episode: nothing is left to doubt
    assert (over.difference, over.ci95, over.verdict) == (pytest.approx(0.1), pytest.approx(0.0), "holds")
    assert over_tasks(found[2:]) == []


def test_seeds_that_not_all_tasks_have_are_said() -> None:
    trials = [trial(m, [s, s + 0.1, s - 0.1], task="t", seed=i) for m, s in (("a", 0.9), ("b", 0.5)) for i in (0, 1)]
    trials += [trial(m, [s, s + 0.1, s - 0.1], task="u", seed=i) for m, s in (("a", 0.9), ("b", 0.5)) for i in (1, 2)]
    (over,) = over_tasks(check_orderings([OrderingSpec(above=("a",), below=("b",))], trials, ["t", "u"]))
    assert (over.n_seeds, over.reason) == (1, "seeds 0, 2 not on all tasks")


def test_every_pair_and_task_is_listed() -> None:
    orderings = [
        OrderingSpec(above=("a", "b"), below=("c", "d")),
        OrderingSpec(above=("c",), below=("d",), tasks=("u",), why="w"),
    ]
    found = check_orderings(orderings, [], ["t", "u"])
    assert len(found) == 9
    assert {f.verdict for f in found} == {"missing"} < set(VERDICTS)
    assert (found[-1].label, found[-1].task, found[-1].why) == ("c > d", "u", "w")


def test_a_finding_has_the_score_of_either_method() -> None:
    found = check(trial("a", [0.5, 0.7]), trial("b", [0.2, 0.3]))
    assert (found.above_score, found.below_score) == pytest.approx((0.6, 0.25))
    assert found.difference == pytest.approx(0.35)
    assert not found.was_not_run
    assert (found.metric, found.unit, found.n_seeds) == ("accuracy", "episode", 1)
    assert check().was_not_run
