"""One rule for ties: binary rounding never makes a difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchbench.stats.anytime import Incumbents, anytime_table
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.significance import bayesian_signed_rank, compare_scores, friedman, wilcoxon
from benchbench.stats.ties import differences, rounded

# differences 3 2 2 -2 -2 2 2 1 2 -1 hundredths
FIRST = [64, 53, 93, 56, 41, 77, 81, 29, 36, 88]
SECOND = [61, 51, 91, 58, 43, 75, 79, 28, 34, 89]


def test_decimals_give_the_same_test_as_whole_numbers() -> None:
    of_whole = compare_scores(FIRST, SECOND)
    of_decimals = compare_scores(np.array(FIRST) / 100, np.array(SECOND) / 100)
    assert of_decimals.p == of_whole.p == pytest.approx(stats.wilcoxon(np.subtract(FIRST, SECOND)).pvalue, abs=1e-12)
    assert of_decimals.effect_size == of_whole.effect_size == pytest.approx(0.509, abs=1e-3)


@pytest.mark.parametrize("scale", [1e-15, 1e-3, 0.01, 1.0, 1e14])
def test_wilcoxon_is_scipys_with_ties_and_zeros_at_any_scale(scale: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        n, size = int(rng.integers(2, 65)), int(rng.integers(2, 100))
        a, b = rng.integers(0, size, (2, n))
        b[0] = a[0] + 1
        expected = stats.wilcoxon((a - b).astype(float)).pvalue
        assert wilcoxon(differences(a * scale, b * scale)[None])[0] == pytest.approx(expected, abs=1e-12)


def test_the_ends_of_the_rope_belong_to_it() -> None:
    for a, b in ((0.81, 0.80), (0.29, 0.28), (0.80, 0.81)):
        assert bayesian_signed_rank(differences([a] * 10, [b] * 10), rope=0.01).p_rope == 1.0
    assert bayesian_signed_rank(differences([0.82] * 10, [0.80] * 10), rope=0.01).p_right > 0.99


def test_sums_in_another_order_are_tied() -> None:
    one, other = 0.1 + 0.2, 0.3
    assert one != other
    assert tied_ranks(np.array([[one], [other]])).tolist() == [[1.5], [1.5]]
    scores = np.array([[one, 0.5], [other, 0.5], [0.1, 0.2]])
    assert friedman(scores).mean_ranks == (1.5, 1.5, 3.0)
    assert differences(one, other) == 0.0
    assert differences(10.01, 10.0) == differences(0.81, 0.8) == 0.01


def test_differences_of_thirds_are_tied() -> None:
    thirds = np.array([2.46, 1.93, 2.51, 2.03]) / 3
    found = differences(thirds, np.array([2.44, 1.91, 2.49, 2.01]) / 3)
    assert found.tolist() == [found[0]] * 4


def test_rounding_keeps_what_has_no_digits() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, 5e-324, -1e300])
    np.testing.assert_array_equal(rounded(odd), odd)


def test_optimisers_with_the_same_loss_share_a_rank_at_every_budget() -> None:
    trials = [
        Incumbents(task="t", label=label, seed=0, budget=4.0, spent=(1.0, 2.0), seconds=(0.0, 0.0), losses=losses)
        for label, losses in {"a": (1 - 0.7, 1 - 0.9), "b": (0.3, 0.1), "c": (0.9, 0.8)}.items()
    ]
    rows = {r.label: r for r in anytime_table(trials, {"t": (0.1, 0.5)}, baseline="a").rows}
    assert [band.rank.mean for band in rows["a"].curve] == [band.rank.mean for band in rows["b"].curve]
    assert {band.rank.mean for band in rows["b"].curve} == {1.5}
