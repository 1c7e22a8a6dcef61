"""Verdicts on simulated results whose truth is known."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchbench.stats.regression import Side, compare, holm


def side(scores: list[float] | None = None, **more: Any) -> Side:
    scores = scores or []
    values: dict[str, Any] = {
        "suite": "s",
        "suite_version": "1",
        "task": "t",
        "fingerprint": "f",
        "protocol_version": "p/1",
        "method": "m",
        "params": "{}",
        "preset": "quick",
        "threads": 1,
        "device": "cpu",
        "seed": 0,
        "outcome": "ok",
        "metric": "accuracy",
        "score": sum(scores) / len(scores) if scores else None,
        "seconds": 1.0,
        "error_message": "",
        "unit": "episode",
        "unit_scores": tuple(scores),
    }
    return Side(**{**values, **more})


def episodes(shift: float, n: int = 600, noise: float = 0.05, seed: int = 1) -> list[float]:
    base, own = random.Random(0), random.Random(seed)
    return [base.gauss(0.8, 0.1) + shift + own.gauss(0, noise) for _ in range(n)]


def verdict(base: list[Side], head: list[Side], **options: Any) -> Any:
    (found,) = compare(base, head, **options)
    return found


@pytest.mark.parametrize(
    ("shift", "noise", "n", "expected"),
    [
        (-0.03, 0.05, 600, "worse"),
        (0.03, 0.05, 600, "better"),
        (0.0, 0.05, 600, "same"),
        (-0.005, 0.01, 600, "same"),  # significant, but too small to matter
        (-0.03, 0.5, 30, "cannot tell"),  # large, but it may be noise
        (0.0, 0.5, 30, "cannot tell"),
    ],
)
def test_verdicts_over_episodes(shift: float, noise: float, n: int, expected: str) -> None:
    found = verdict([side(episodes(0.0, n, noise, 1))], [side(episodes(shift, n, noise, 2))])
    assert found.verdict == expected
    assert (found.n, found.unit) == (n, "episode")


def test_figures_equal_scipy() -> None:
    base, head = episodes(0.0, 50, seed=1), episodes(0.01, 50, seed=2)
    found = verdict([side(base)], [side(head)])
    expected = stats.ttest_rel(head, base)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    interval = expected.confidence_interval(0.95)
    assert found.difference == pytest.approx((interval.low + interval.high) / 2)
    assert found.ci95 == pytest.approx((interval.high - interval.low) / 2)


def test_several_seeds_are_paired_by_seed() -> None:
    base = [side([0.8, 0.8], seed=s) for s in range(5)]
    head = [side([0.7 + 0.001 * s, 0.7], seed=s) for s in range(5)]
    found = verdict(base, head)
    assert (found.verdict, found.n, found.unit) == ("worse", 5, "seed")


def test_identical_results_are_the_same() -> None:
    rows = [side(episodes(0.0))]
    found = verdict(rows, rows)
    assert (found.verdict, found.difference, found.ci95) == ("same", 0.0, 0.0)


def test_a_new_failure_is_worse() -> None:
    found = verdict([side([0.5, 0.6])], [side(outcome="timeout", error_message="stopped at its limit")])
    assert found.verdict == "worse"
    assert "timeout in HEAD: stopped at its limit" in found.reason


def test_a_mended_failure_is_better() -> None:
    assert verdict([side(outcome="crashed")], [side([0.5, 0.6])]).verdict == "better"
    assert verdict([side(outcome="crashed")], [side(outcome="failed")]).verdict == "failed in both"


def test_declining_is_not_failing() -> None:
    declined = [side(outcome="declined")]
    assert verdict(declined, declined).verdict == "declined in both"
    assert verdict([side([0.5, 0.6])], declined).verdict == "worse"


def test_what_was_lost_with_its_worker_is_missing_and_not_worse() -> None:
    rows, lost = [side([0.5, 0.6])], [side(outcome="infra")]
    assert verdict(rows, lost).verdict == "missing"
    assert verdict(lost, rows).verdict == "new"
    # a lost seed beside one that ended well is left out
    two = [side([0.5, 0.6], seed=0), side([0.5, 0.6], seed=1)]
    found = verdict(two, [two[0], side(outcome="infra", seed=1)])
    assert (found.verdict, found.unit, found.reason) == ("same", "episode", "without seed 1: on one side only")


def test_another_number_of_episodes_is_not_paired() -> None:
    found = verdict([side([0.5, 0.6, 0.7])], [side([0.5, 0.6])])
    assert (found.verdict, found.reason) == ("incomparable", "3 units in BASE, 2 in HEAD")


def test_one_pair_tells_nothing_and_costs_the_others_nothing() -> None:
    pair = [side([0.9])], [side([0.1])]
    found = verdict(*pair)
    assert (found.verdict, found.p, found.p_holm, found.reason) == ("cannot tell", None, None, "one pair only")
    base, head = [side(episodes(0.0), task="u")], [side(episodes(-0.03, seed=2), task="u")]
    alone = verdict(base, head)
    both = compare(base + pair[0], head + pair[1])
    assert next(v for v in both if v.task == "u").p_holm == alone.p_holm == alone.p


@settings(deadline=None)
@given(st.permutations(range(6)), st.permutations(range(6)))
def test_order_of_rows_does_not_matter(base_order: list[int], head_order: list[int]) -> None:
    base = [side([0.5 + 0.01 * i, 0.6], seed=i % 3, task=f"t{i // 3}") for i in range(6)]
    head = [side([0.4 + 0.02 * i, 0.6], seed=i % 3, task=f"t{i // 3}") for i in range(6)]
    assert compare([base[i] for i in base_order], [head[i] for i in head_order]) == compare(base, head)


def test_missing_and_new() -> None:
    rows = [side([0.5, 0.5])]
    assert verdict(rows, []).verdict == "missing"
    assert verdict([], rows).verdict == "new"


@pytest.mark.parametrize("field", ["suite_version", "fingerprint", "protocol_version"])
def test_what_differs_in_kind_is_not_compared(field: str) -> None:
    found = verdict([side([0.9, 0.9])], [side([0.1, 0.1], **{field: "other"})])
    assert found.verdict == "incomparable"
    assert "other" in found.reason


def test_relative_margin_for_other_scores() -> None:
    base, head = [-2.0 + 0.01 * i for i in range(100)], [-2.1 + 0.01 * i for i in range(100)]
    found = verdict([side(base, metric="neg_mse")], [side(head, metric="neg_mse")], relative_margin=0.05)
    assert found.margin == pytest.approx(0.05 * abs(sum(base) / 100))
    assert found.verdict == "worse"


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_false_alarms_are_rare() -> None:
    # 40 comparisons of equal methods, many times: at 5 % family-wise, with a margin on top, hardly any may say "worse"
    alarms = 0
    for run in range(25):
        base = [side(episodes(0.0, 100, 0.1, 2 * run), task=f"t{i}") for i in range(40)]
        head = [side(episodes(0.0, 100, 0.1, 2 * run + 1), task=f"t{i}") for i in range(40)]
        alarms += any(v.verdict in ("worse", "better") for v in compare(base, head, margin=0.0))
    assert alarms <= 5


def test_folds_are_paired_with_folds() -> None:
    base = [side([0.1 * fold], seed=fold, unit="fold", metric="auc") for fold in range(5)]
    head = [side([0.1 * fold + 0.05 + 0.001 * fold], seed=fold, unit="fold", metric="auc") for fold in range(1, 6)]
    (found,) = compare(base, head)
    assert (found.unit, found.n, found.verdict) == ("fold", 4, "better")


def test_a_verdict_is_plain_data_with_parameters_as_a_mapping() -> None:
    found = verdict([side([0.5, 0.6], params='{"k":1}')], [side([0.5, 0.6], params='{"k":1}')])
    assert found.label == "m(k=1)"
    assert found.to_dict()["params"] == {"k": 1}
    assert found.to_dict()["verdict"] == found.verdict


def test_the_margin_of_other_scores_is_a_share_of_the_bases() -> None:
    base, head = [side([-2.0, -4.0], metric="neg_mse")], [side([-2.1, -4.0], metric="neg_mse")]
    assert verdict(base, head).margin == pytest.approx(0.05 * 3)
    assert verdict(base, head, relative_margin=0.2).margin == pytest.approx(0.2 * 3)
    assert verdict([side([0.5, 0.6])], [side([0.5, 0.6])]).margin == 0.01


def test_a_method_that_fails_on_some_seeds_in_base_is_compared_on_the_others() -> None:
    base = [side([0.5, 0.6], seed=0), side(seed=1, outcome="error")]
    head = [side([0.5, 0.6], seed=0), side([0.5, 0.6], seed=1)]
    found = verdict(base, head)
    assert (found.difference, found.n) == (0.0, 2)
    assert "without seed 1: on one side only" in found.reason
