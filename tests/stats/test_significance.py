"""Tests over tasks: worked examples of the literature, scipy, and definitions spelt out."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchbench.errors import InputError
from benchbench.stats.significance import (
    bayesian_signed_rank,
    compare_scores,
    critical_groups,
    friedman,
    holm,
    least_p,
    nemenyi_cd,
    p_text,
    paired_t,
    rank_biserial,
    wilcoxon,
)

# Demsar 2006, table 6: the ranks of four versions of C4.5 on 14 data sets
DEMSAR = np.array(
    [
        [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1],
        [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3], [3, 1, 4, 2],
    ]
).T  # fmt: skip


def test_demsars_worked_example() -> None:
    found = friedman(-DEMSAR, correct_ties=False)
    assert found.mean_ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert found.chi2 == pytest.approx(9.28, abs=5e-3)
    assert found.iman_davenport == pytest.approx(3.69, abs=5e-3)
    # F(3, 39): 2.85 is the critical value at 0.05
    assert found.iman_davenport_p == pytest.approx(stats.f.sf(found.iman_davenport, 3, 39))
    assert found.iman_davenport_p < 0.05 < stats.f.sf(2.84, 3, 39)
    assert nemenyi_cd(4, 14, 0.05) == pytest.approx(1.25, abs=5e-3)
    assert nemenyi_cd(4, 14, 0.10) == pytest.approx(1.12, abs=5e-3)


# Demsar 2006, table 5(a): critical values of the Nemenyi test, q = CD / sqrt(k (k + 1) / 6 n)
@pytest.mark.parametrize(
    ("k", "q05", "q10"),
    [(2, 1.960, 1.645), (3, 2.343, 2.052), (4, 2.569, 2.291), (5, 2.728, 2.459), (7, 2.949, 2.693), (10, 3.164, 2.920)],
)
def test_nemenyis_critical_values(k: int, q05: float, q10: float) -> None:
    unit = math.sqrt(k * (k + 1) / 60)
    assert nemenyi_cd(k, 10, 0.05) / unit == pytest.approx(q05, abs=1e-3)
    assert nemenyi_cd(k, 10, 0.10) / unit == pytest.approx(q10, abs=1e-3)


@pytest.mark.parametrize("ties", [False, True])
def test_friedman_equals_scipy(ties: bool) -> None:
    scores = np.random.default_rng(3).normal(size=(6, 25)) + np.arange(6)[:, None] * 0.2
    scores = np.round(scores, 0) if ties else scores
    found, theirs = friedman(scores), stats.friedmanchisquare(*scores)
    assert found.chi2 == pytest.approx(theirs.statistic)
    assert found.p == pytest.approx(theirs.pvalue)


def test_friedman_of_equal_and_of_perfectly_ordered_methods() -> None:
    assert friedman(np.ones((4, 6))).p == 1.0
    perfect = friedman(np.arange(4)[:, None] + np.zeros((4, 6)))
    assert math.isinf(perfect.iman_davenport)
    assert perfect.iman_davenport_p == 0.0


def test_friedman_refuses_what_it_cannot_test() -> None:
    with pytest.raises(InputError, match="1 missing"):
        friedman([[1, 2], [3, 4], [5, math.nan]])
    with pytest.raises(InputError, match="at least 3 methods and 2 tasks, got 2 and 3"):
        friedman([[1, 2, 3], [3, 4, 5]])


def test_wilcoxon_equals_scipy_row_by_row() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5, 30)) + np.arange(5)[:, None] * 0.3
    scores[1, :4] = scores[0, :4]  # differences of 0
    scores[3] = np.round(scores[3], 1)
    scores[4, 20:] = math.nan
    rows = np.stack([scores[i] - scores[j] for i, j in combinations(range(5), 2)] + [np.round(scores[0], 0)])
    found = wilcoxon(rows)
    for row, p in zip(rows, found, strict=True):
        d = row[~np.isnan(row)]
        assert p == pytest.approx(stats.wilcoxon(d).pvalue)
        assert rank_biserial(d) == pytest.approx(_rank_biserial_by_definition(d[d != 0]))
    assert min(found) < 0.05 < max(found)


def test_more_than_fifty_tasks_use_the_normal_approximation_as_scipy_does() -> None:
    for n in (50, 51, 80):
        rows = np.random.default_rng(0).normal(size=(2, n))
        assert wilcoxon(rows) == pytest.approx([stats.wilcoxon(row).pvalue for row in rows])


def test_what_cannot_differ_has_p_1() -> None:
    nan = math.nan
    # none but 0; one difference; one difference beside a 0, which scipy can test
    assert wilcoxon(np.array([[0.0] * 8, [1.0] + [nan] * 7])) == [1.0, 1.0]
    assert wilcoxon(np.array([[1.0, 0.0]])) == [1.0]
    assert wilcoxon(np.zeros((0, 3))) == []
    assert compare_scores([1.0] * 8, [1.0] * 8).p == 1.0


def test_no_p_is_below_the_least() -> None:
    for n in range(1, 12):
        smallest = wilcoxon(np.arange(1.0, n + 1)[None])[0]
        assert smallest == pytest.approx(least_p(n)), n
    assert least_p(5) > 0.05 > least_p(6)


def test_the_paired_t_test_equals_scipys() -> None:
    d = np.random.default_rng(2).normal(0.4, 1.0, size=9)
    found, theirs = paired_t([float(x) for x in d]), stats.ttest_1samp(d, 0.0)
    low, high = theirs.confidence_interval(0.95)
    assert (found.mean, found.p) == pytest.approx((d.mean(), theirs.pvalue))
    assert (found.mean - (found.ci95 or 0), found.mean + (found.ci95 or 0)) == pytest.approx((low, high))
    turned = paired_t([-float(x) for x in d])
    assert (turned.mean, turned.p) == pytest.approx((-found.mean, found.p))
    # what scipy gives no number for
    assert [paired_t(own).p for own in ([0.5], [0.5, 0.5], [0.0, 0.0])] == [None, 0.0, 1.0]
    assert [paired_t(own).ci95 for own in ([0.5], [0.5, 0.5])] == [None, 0.0]


def test_p_values_as_text() -> None:
    assert [p_text(p) for p in (0.00009, 0.0001, 0.04321, 0.0999, 0.1, 1.0)] == [
        "< 0.0001", "= 0.0001", "= 0.0432", "= 0.0999", "= 0.10", "= 1.00"
    ]  # fmt: skip


def _rank_biserial_by_definition(d: Any) -> float:
    ranks = stats.rankdata(np.abs(d))
    return float((ranks[d > 0].sum() - ranks[d < 0].sum()) / ranks.sum())


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_its_definition(p_values: list[float]) -> None:
    """The j-th smallest of m, times m - j + 1, never below one before it (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    m, found = len(p_values), holm(p_values)
    for place, i in enumerate(order):
        assert found[i] == min(1.0, max((m - j) * p_values[order[j]] for j in range(place + 1)))


def test_holm_by_hand() -> None:
    # Holm 1979: 0.01 * 4, 0.013 * 3, then never below what came before, and 1 at most
    assert holm([0.04, 0.01, 0.6, 0.013]) == pytest.approx([0.08, 0.04, 0.6, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_rank_biserial_by_hand() -> None:
    # ranks 1, 2, 3 of 0.1, 0.2, 0.3; (1 + 3 - 2) / 6
    assert rank_biserial([0.1, -0.2, 0.3]) == pytest.approx(2 / 6)
    assert rank_biserial([0.1, 0.5]) == 1.0
    assert rank_biserial([0.0, 0.0]) == 0.0


def test_compare_scores() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=12) + 0.5, rng.normal(size=12)
    a[3], b[7] = math.nan, math.nan
    a[5] = b[5]
    found = compare_scores(a, b)
    d = np.delete(a - b, [3, 7])
    low, high = stats.t.interval(0.95, 9, loc=d.mean(), scale=stats.sem(d))
    assert (found.n_tasks, found.wins + found.losses, found.ties) == (10, 9, 1)
    assert (found.mean_difference, found.low, found.high) == pytest.approx((d.mean(), low, high))
    assert found.p == pytest.approx(stats.wilcoxon(d[d != 0]).pvalue)
    one = compare_scores([1.0], [0.5])
    assert (one.low, one.high, one.p, one.mean_difference) == (None, None, None, 0.5)
    with pytest.raises(InputError, match="no task in common"):
        compare_scores([math.nan], [1.0])


def test_bayesian_signed_rank_of_one_difference_by_hand() -> None:
    # z = (0, 1) with weights Dir(1/2, 1): "right" is 1 - w0^2, the rope w0^2; w0 is Beta(1/2, 1), whose distribution is sqrt(w)
    found = bayesian_signed_rank([1.0], n_samples=200_000)
    assert found.p_right == pytest.approx(0.5**0.25, abs=0.004)
    assert found.p_left == 0.0
    assert found.p_left + found.p_rope + found.p_right == pytest.approx(1.0)


@pytest.mark.parametrize("rope", [0.0, 0.3, 2.0])
def test_bayesian_signed_rank_equals_its_definition(rope: float) -> None:
    d = np.random.default_rng(5).normal(0.25, 1.0, size=9)
    found = bayesian_signed_rank(d, rope=rope, n_samples=20_000, seed=1)
    z = np.concatenate([[0.0], d])
    pairs = z[:, None] + z[None, :]
    weights = np.random.default_rng(99).dirichlet([0.5, *np.ones(9)], size=20_000)
    left, right = (np.einsum("si,sj,ij->s", weights, weights, side) for side in (pairs < -2 * rope, pairs > 2 * rope))
    best = np.stack([left, 1 - left - right, right]).argmax(axis=0)
    expected = np.bincount(best, minlength=3) / 20_000
    assert [found.p_left, found.p_rope, found.p_right] == pytest.approx(expected, abs=4 * math.sqrt(0.5 / 20_000))


def test_bayesian_signed_rank_is_symmetric_and_seeded() -> None:
    d = np.random.default_rng(0).normal(0.2, 1.0, size=15)
    one = bayesian_signed_rank(d, 0.1, seed=3)
    assert one == bayesian_signed_rank(d, 0.1, seed=3)
    other = bayesian_signed_rank(-d, 0.1, seed=4)
    assert (other.p_left, other.p_rope) == pytest.approx((one.p_right, one.p_rope), abs=0.015)
    assert bayesian_signed_rank(d, 100.0).p_rope == 1.0
    with pytest.raises(InputError, match="rope"):
        bayesian_signed_rank(d, -1.0)
    with pytest.raises(InputError):
        bayesian_signed_rank([math.nan])


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(8)), st.integers(0, 5))
def test_the_order_of_tasks_does_not_matter(order: list[int], seed: int) -> None:
    # few values, so that there are ties and differences of 0
    scores = np.random.default_rng(seed).integers(0, 5, size=(4, 8)) / 4
    turned = scores[:, order]
    one, other = friedman(scores), friedman(turned)
    assert (one.chi2, *one.mean_ranks) == pytest.approx((other.chi2, *other.mean_ranks))
    differences = [np.stack([s[i] - s[j] for i, j in combinations(range(4), 2)]) for s in (scores, turned)]
    assert wilcoxon(differences[0]) == pytest.approx(wilcoxon(differences[1]))
    assert [rank_biserial(d) for d in differences[0]] == pytest.approx([rank_biserial(d) for d in differences[1]])
    first, second = compare_scores(scores[0], scores[1]), compare_scores(turned[0], turned[1])
    assert list(first.to_dict().values()) == pytest.approx(list(second.to_dict().values()))
    draws = [bayesian_signed_rank(s[0] - s[1], 0.1, n_samples=2000) for s in (scores, turned)]
    assert draws[0] == draws[1]


def test_groups_of_demsars_diagram() -> None:
    # Demsar 2006, section 3.2.4: with CD = 1.12 at 0.10, C4.5 is worse than +m and +m+cf; +cf is not told apart from anybody
    ranks = dict(zip(("C4.5", "m", "cf", "m+cf"), friedman(-DEMSAR).mean_ranks, strict=True))
    assert critical_groups(ranks, cd=1.12) == [("m+cf", "m", "cf"), ("cf", "C4.5")]
    assert critical_groups(ranks, cd=0.01) == []
    assert critical_groups(ranks, cd=9.0) == [("m+cf", "m", "cf", "C4.5")]


@pytest.mark.parametrize(("k", "n", "alpha"), [(1, 5, 0.05), (3, 0, 0.05), (3, 5, 0.0), (3, 5, 1.0)])
def test_nemenyi_refuses_what_has_no_critical_difference(k: int, n: int, alpha: float) -> None:
    with pytest.raises(InputError, match="at least 2 methods, 1 task"):
        nemenyi_cd(k, n, alpha)
    assert nemenyi_cd(2, 1) == pytest.approx(1.960, abs=1e-3)


@pytest.mark.parametrize("n_samples", [1, 2, 5, 6])
def test_every_draw_of_the_posterior_counts_whatever_the_blocks(n_samples: int, monkeypatch: Any) -> None:
    d = np.random.default_rng(0).normal(0.0, 1.0, size=4)
    whole = bayesian_signed_rank(d, n_samples=n_samples)
    assert whole.p_left + whole.p_rope + whole.p_right == pytest.approx(1.0)
    # five weights a draw: two draws at once
    monkeypatch.setattr("benchbench.stats.significance._WEIGHTS_AT_ONCE", 10)
    assert bayesian_signed_rank(d, n_samples=n_samples) == whole


def test_welchs_test_is_scipys() -> None:
    from benchbench.stats.significance import welch

    rng = np.random.default_rng(4)
    for _ in range(50):
        means, deviations = rng.normal(size=2), rng.uniform(0.01, 2, size=2)
        sizes = rng.integers(2, 400, size=2)
        expected = stats.ttest_ind_from_stats(
            means[0], deviations[0], sizes[0], means[1], deviations[1], sizes[1], equal_var=False
        ).pvalue
        assert welch(means.tolist(), deviations.tolist(), sizes.tolist()) == pytest.approx(expected, rel=1e-9)
    assert welch([0.5, 0.4], [0.1, float("nan")], [9, 9]) is None
    assert welch([0.5, 0.4], [0.1, 0.1], [9, 1]) is None
    assert (welch([0.5, 0.4], [0.0, 0.0], [9, 9]), welch([0.5, 0.5], [0.0, 0.0], [9, 9])) == (0.0, 1.0)
