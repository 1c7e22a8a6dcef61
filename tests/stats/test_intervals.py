"""Intervals where values agree: no certainty from the agreement of a few."""

from __future__ import annotations

import pytest
from scipy import stats

from benchbench.stats.intervals import agree, estimate, estimate_of_summary, estimate_of_trials, share


@pytest.mark.parametrize(
    ("values", "is_equal"),
    [
        ([0.0, 0.0], True),
        ([0.3, 0.1 + 0.2], True),
        ([-5.0, -5.0, -5.0], True),
        ([0.3, 0.3 + 1e-9], False),
        ([-1.0, 1.0], False),
        ([0.5], False),
    ],
)
def test_values_agree_if_they_are_several_and_differ_by_rounding_at_most(values: list[float], is_equal: bool) -> None:
    assert agree(values) == is_equal
    found = estimate_of_trials(values)
    assert (found.mean, found.n) == (estimate(values).mean, len(values))
    assert found.ci95 == (None if is_equal else estimate(values).ci95)


@pytest.mark.parametrize(("n_seeds", "n_pairs"), [(2, 2), (2, 20), (5, 60)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_won_or_all_lost_has_wilsons_interval(value: float, n_seeds: int, n_pairs: int) -> None:
    found = share([value] * n_seeds, n_pairs)
    wilson = stats.binomtest(int(value) * n_pairs, n_pairs).proportion_ci(method="wilson")
    assert found.mean == value
    assert found.ci95 == pytest.approx(wilson.high - wilson.low)


def test_other_shares_have_students_interval() -> None:
    assert share([0.5, 1.0, 0.75], 12) == estimate([0.5, 1.0, 0.75])
    assert share([1.0], 4) == estimate([1.0])


def test_a_summary_needs_two_values_and_a_finite_deviation() -> None:
    assert estimate_of_summary(0.5, 0.1, 1).ci95 is None
    assert estimate_of_summary(0.5, None, 10).ci95 is None
    assert estimate_of_summary(0.5, float("nan"), 10).ci95 is None
    assert estimate_of_summary(0.5, 0.1, 2).ci95 == pytest.approx(stats.t.ppf(0.975, 1) * 0.1 / 2**0.5)
