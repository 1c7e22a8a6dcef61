"""Significance tests of differences between methods, over tasks.

The tasks are the sample: a test says whether a difference would recur on other tasks of the same
kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchbench.errors import InputError
from benchbench.stats.intervals import estimate, t_quantile
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.table import FloatArray
from benchbench.stats.ties import differences as rounded_differences
from benchbench.stats.ties import rounded

__all__ = [
    "ALPHA",
    "FriedmanResult",
    "PairedT",
    "PosteriorProbabilities",
    "TwoComparison",
    "bayesian_signed_rank",
    "check_level",
    "compare_scores",
    "complete_methods",
    "critical_groups",
    "friedman",
    "friedman_both",
    "friedman_sentence",
    "holm",
    "least_p",
    "nemenyi_cd",
    "p_text",
    "paired_t",
    "rank_biserial",
    "welch",
    "wilcoxon",
]

ALPHA = 0.05
"""Level of tests and of Nemenyi's critical difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FriedmanResult:
    """Friedman's test whether any of k methods differs from the others over n tasks.

    Parameters
    ----------
    chi2, p : float
        Friedman's statistic and its p-value by the chi-squared distribution of k - 1 degrees.
    iman_davenport, iman_davenport_p : float
        Iman and Davenport's F of k - 1 and (k - 1)(n - 1) degrees, less conservative. Infinite if
        all tasks give the same order.
    is_corrected : bool
        Whether both are corrected for ties.
    mean_ranks : tuple of float
        By method, 1 = best.
    """

    chi2: float
    p: float
    iman_davenport: float
    iman_davenport_p: float
    mean_ranks: tuple[float, ...]
    n_tasks: int
    n_methods: int
    is_corrected: bool = True

    @property
    def degrees(self) -> tuple[int, int]:
        """Degrees of freedom k - 1, of chi2 and F, and (k - 1)(n - 1), of F."""
        return self.n_methods - 1, (self.n_methods - 1) * (self.n_tasks - 1)

    def sentence(self) -> str:
        """Return both statistics with their degrees of freedom and p-values."""
        first, second = self.degrees
        f = "inf" if math.isinf(self.iman_davenport) else f"{self.iman_davenport:.2f}"
        return (
            f"chi² = {self.chi2:.2f}, df {first}, p {p_text(self.p)};"
            f" Iman and Davenport's F = {f}, df {first} and {second}, p {p_text(self.iman_davenport_p)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; an infinite F is None."""
        f = None if math.isinf(self.iman_davenport) else self.iman_davenport
        return asdict(self) | {"iman_davenport": f, "degrees": list(self.degrees)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoComparison:
    """Two methods, a minus b, over the tasks that both have.

    Parameters
    ----------
    n_tasks : int
    mean_difference, low, high : float
        `low` and `high` are the ends of Student's 95 % interval over tasks; None for one task.
    p : float or None
        Of Wilcoxon's two-sided signed-rank test; None for fewer than two tasks.
    effect_size : float
        Matched-pairs rank-biserial correlation.
    wins, ties, losses : int
        Tasks on which a is higher, equal, lower.
    """

    n_tasks: int
    mean_difference: float
    low: float | None
    high: float | None
    p: float | None
    effect_size: float
    wins: int
    ties: int
    losses: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PosteriorProbabilities:
    """Posterior probabilities that b is better, that both are equivalent, and that a is better.

    All are meant practically: beyond, or within, the region of practical equivalence.
    """

    p_left: float
    p_rope: float
    p_right: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def friedman(matrix: ArrayLike, *, correct_ties: bool = True) -> FriedmanResult:
    r"""Test whether methods differ.

    Parameters
    ----------
    matrix : (M, T) scores
        Higher is better; complete.
    correct_ties : bool
        Whether to correct for ties, as `scipy.stats.friedmanchisquare` does and Demsar does not.

    Notes
    -----
    .. math:: F_F = \frac{(n - 1) \chi^2_F}{n (k - 1) - \chi^2_F}

    with n tasks and k methods (Friedman 1937; Iman, Davenport 1980; Demsar 2006, section 3.2.2).

    Raises
    ------
    InputError
        If a score is missing, or there are fewer than three methods or two tasks.
    """
    # not scipy.stats, whose import takes longer than a leaderboard
    from scipy.special import chdtrc, fdtrc

    scores = _complete(matrix)
    k, n = scores.shape
    if k < 3 or n < 2:
        raise InputError(f"Friedman's test needs at least 3 methods and 2 tasks, got {k} and {n}")
    means = tied_ranks(scores).mean(axis=1)
    chi2 = 12 * n / (k * (k + 1)) * float(((means - (k + 1) / 2) ** 2).sum())
    # 0 if all are tied: then the ranks say nothing
    share = 1.0 - _tied(scores) / (n * k * (k * k - 1))
    if correct_ties:
        chi2 = chi2 / share if share > 0 else 0.0
    rest = n * (k - 1) - chi2
    iman = math.inf if rest <= 1e-9 else (n - 1) * chi2 / rest
    return FriedmanResult(
        chi2=chi2,
        p=float(chdtrc(k - 1, chi2)),
        iman_davenport=iman,
        iman_davenport_p=0.0 if math.isinf(iman) else float(fdtrc(k - 1, (k - 1) * (n - 1), iman)),
        mean_ranks=tuple(float(m) for m in means),
        n_tasks=n,
        n_methods=k,
        is_corrected=correct_ties,
    )


def _tied(scores: FloatArray) -> int:
    """Return the sum of t³ - t over the groups of t equal scores of each task."""
    counts = (np.unique(column, return_counts=True)[1].astype(np.int64) for column in scores.T)
    return sum(int((t**3 - t).sum()) for t in counts)


def complete_methods(scores: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Return the methods with a score on each task, and the scores on tasks that have any.

    Parameters
    ----------
    scores : (M, T)
        NaN where missing.

    Returns
    -------
    (K,) int
        Rows of the methods.
    (M, T') scores
    """
    scores = scores[:, ~np.isnan(scores).all(axis=0)] if scores.size else scores[:, :0]
    return np.flatnonzero(~np.isnan(scores).any(axis=1)), scores


def friedman_both(scores: FloatArray) -> tuple[FriedmanResult, ...]:
    """Return Friedman's test of the methods with a score on each task.

    Corrected for ties, and not; empty with fewer than three such methods or two tasks.
    """
    rows, known = complete_methods(scores)
    if len(rows) < 3 or known.shape[1] < 2:
        return ()
    return friedman(known[rows]), friedman(known[rows], correct_ties=False)


def friedman_sentence(found: Sequence[FriedmanResult]) -> str:
    """Return the statistics of `friedman_both` in words; uncorrected ones only if they differ."""
    corrected, plain = found
    text = f"Friedman's test of {corrected.n_methods} methods over {corrected.n_tasks} tasks: {corrected.sentence()}"
    return (
        text
        if math.isclose(corrected.chi2, plain.chi2)
        else f"{text} (without correction for ties: {plain.sentence()})"
    )


def check_level(alpha: float) -> float:
    """Return the level of a test.

    Raises
    ------
    InputError
        If it is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise InputError(f"--alpha expects a level of tests between 0 and 1, such as 0.05, got {alpha:g}")
    return alpha


def _complete(matrix: ArrayLike) -> FloatArray:
    scores = rounded(matrix)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise InputError(
            f"expected a complete table of scores (methods, tasks), got shape {scores.shape} with"
            f" {int((~np.isfinite(scores)).sum())} missing; impute, or leave out methods or tasks"
        )
    return scores


@lru_cache(maxsize=256)
def nemenyi_cd(k: int, n: int, alpha: float = ALPHA) -> float:
    r"""Return Nemenyi's critical difference of mean ranks of k methods over n tasks.

    Any two of the k methods differ if their mean ranks differ by at least that much.

    Notes
    -----
    .. math:: CD = q_\alpha \sqrt{\frac{k (k + 1)}{6 n}}

    with :math:`q_\alpha` the quantile of the studentised range of k at infinite degrees, divided by
    :math:`\sqrt 2` (Demsar 2006, section 3.2.2).

    Raises
    ------
    InputError
    """
    from scipy.stats import studentized_range

    if k < 2 or n < 1 or not 0 < alpha < 1:
        raise InputError(f"expected at least 2 methods, 1 task and a level between 0 and 1, got {k}, {n} and {alpha}")
    quantile = float(studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
    if not math.isfinite(quantile):
        raise InputError(f"no critical difference is known at the level {alpha:g}; choose a higher one")
    return quantile * math.sqrt(k * (k + 1) / (6 * n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down procedure, in the given order.

    Holm 1979, Scand. J. Statist. 6:65. scipy lacks it; statsmodels is too heavy for six lines.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, highest = [0.0] * len(p_values), 0.0
    for step, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[i]))
        found[i] = highest
    return found


def wilcoxon(differences: FloatArray) -> list[float]:
    """Return two-sided p-values of Wilcoxon's signed-rank test of each row of (N, T) differences.

    NaN and differences of 0 are left out (Wilcoxon 1945). P-values equal those of
    `scipy.stats.wilcoxon`: exact with up to 50 differences without ties and zeros, or up to 13
    with them, else by the normal approximation. A row with fewer than two differences, or none
    other than 0, has p = 1. scipy's own is not used, since importing `scipy.stats` takes longer
    than a whole leaderboard.
    """
    return [_signed_rank_p(row[~np.isnan(row)]) for row in rounded(differences)]


def _signed_rank_p(differences: FloatArray) -> float:
    values = differences[differences != 0]
    n = len(values)
    if len(differences) < 2 or n == 0:
        return 1.0
    sizes, counts = np.unique(np.abs(values), return_counts=True)
    # ranks from 1 = smallest, ties sharing their mean rank
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[np.searchsorted(sizes, np.abs(values))]
    above = float(ranks[values > 0].sum())
    is_plain = len(sizes) == n == len(differences)
    if len(differences) <= (_MOST_EXACT if is_plain else _MOST_EXACT_TIED):
        # twice the ranks, since tied ones may be halves
        chances = _signed_rank_chances(tuple(sorted(round(2 * rank) for rank in ranks)))
        w = round(2 * above)
        return float(min(1.0, 2 * min(chances[: w + 1].sum(), chances[w:].sum())))
    variance = (n * (n + 1) * (2 * n + 1) - float((counts**3 - counts).sum()) / 2) / 24
    return math.erfc(abs(above - n * (n + 1) / 4) / math.sqrt(2 * variance))


# as the installed scipy's `method="auto"`
_MOST_EXACT, _MOST_EXACT_TIED = 50, 13


@lru_cache(maxsize=64)
def _signed_rank_chances(ranks: tuple[int, ...]) -> FloatArray:
    """Return the probability of each sum of positive ranks, from 0 to that of all, by chance."""
    chances = np.ones(1)
    for rank in ranks:
        more = np.zeros(len(chances) + rank)
        more[: len(chances)] += chances / 2
        more[rank:] += chances / 2
        chances = more
    return chances


def least_p(n_tasks: int) -> float:
    """Return the smallest two-sided p of Wilcoxon's signed-rank test over `n_tasks` tasks."""
    return min(1.0, 2.0 ** (1 - n_tasks))


def p_text(p: float) -> str:
    """Return a p-value as text after "p"."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}" if p < 0.1 else f"= {p:.2f}"


@dataclass(frozen=True, slots=True)
class PairedT:
    """Mean of paired differences, half-width of its 95 % interval, two-sided p.

    A single pair has neither interval nor p.
    """

    mean: float
    ci95: float | None
    p: float | None


def paired_t(differences: Sequence[float]) -> PairedT:
    """Return Student's paired t-test.

    `scipy.stats.ttest_rel` returns NaN if all pairs differ by the same amount, and is slow to
    import.
    """
    found = estimate(differences)
    if found.ci95 is None:
        return PairedT(found.mean, None, None)
    if found.ci95 == 0.0:  # all pairs differ by the same amount
        return PairedT(found.mean, 0.0, 1.0 if found.mean == 0.0 else 0.0)
    from scipy.special import stdtr

    error = found.ci95 / t_quantile(found.n - 1)
    return PairedT(found.mean, found.ci95, float(2 * stdtr(found.n - 1, -abs(found.mean / error))))


def welch(means: Sequence[float], deviations: Sequence[float], sizes: Sequence[int]) -> float | None:
    """Return the two-sided p-value of Welch's t-test of two samples, given by their moments.

    As `scipy.stats.ttest_ind_from_stats` with ``equal_var=False``, whose import takes longer than
    a leaderboard. None where a sample has fewer than two units or no standard deviation.
    """
    from scipy.special import stdtr

    if min(sizes) < 2 or not all(math.isfinite(d) for d in deviations):
        return None
    errors = [d * d / n for d, n in zip(deviations, sizes, strict=True)]
    difference, error = means[0] - means[1], math.fsum(errors)
    if error == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    degrees = error**2 / math.fsum(e * e / (n - 1) for e, n in zip(errors, sizes, strict=True))
    return float(2 * stdtr(degrees, -abs(difference) / math.sqrt(error)))


def rank_biserial(differences: ArrayLike) -> float:
    """Return the matched-pairs rank-biserial correlation (Kerby 2014).

    That is (sum of positive ranks - sum of negative ranks) / sum of all ranks. Differences of 0 are
    left out; 0.0 if there are no others.
    """
    values = rounded(differences)
    values = values[values != 0]
    if not len(values):
        return 0.0
    ranks = len(values) + 1 - tied_ranks(np.abs(values)[:, None])[:, 0]
    return float((ranks * np.sign(values)).sum() / ranks.sum())


def compare_scores(scores_a: ArrayLike, scores_b: ArrayLike) -> TwoComparison:
    """Compare two rows of scores over tasks.

    Parameters
    ----------
    scores_a, scores_b : (T,) scores
        The same tasks in the same order; tasks on which either is NaN are left out.

    Raises
    ------
    InputError
        If the lengths differ or no task is common.
    """
    a, b = np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"expected two rows of scores of the same tasks, got shapes {a.shape} and {b.shape}")
    differences = rounded_differences(a, b)[~np.isnan(a) & ~np.isnan(b)]
    if not len(differences):
        raise InputError("the two methods have no task in common")
    mean = estimate([float(d) for d in differences])
    return TwoComparison(
        n_tasks=len(differences),
        mean_difference=mean.mean,
        low=None if mean.ci95 is None else mean.mean - mean.ci95,
        high=None if mean.ci95 is None else mean.mean + mean.ci95,
        p=wilcoxon(differences[None])[0] if len(differences) >= 2 else None,
        effect_size=rank_biserial(differences),
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
    )


# (samples, tasks) weights at once; bounds memory to some 50 MB
_WEIGHTS_AT_ONCE = 2_000_000


def bayesian_signed_rank(
    differences: ArrayLike,
    rope: float = 0.0,
    n_samples: int = 50_000,
    seed: int = 0,
    *,
    prior_strength: float = 0.5,
) -> PosteriorProbabilities:
    r"""Return the posterior probabilities of the Bayesian signed-rank test.

    Parameters
    ----------
    differences : (T,) a minus b by task
        NaN are left out.
    rope : float
        Half-width of the region of practical equivalence, in the units of the scores.
    n_samples, seed : int
        Draws from the posterior.
    prior_strength : float
        Weight of the prior's one imagined difference of 0, relative to 1 per task.

    Returns
    -------
    PosteriorProbabilities
        Shares of draws in which "left" (below -rope), "rope" or "right" (above rope) is the most
        probable.

    Notes
    -----
    In one draw, weights :math:`w \sim \mathrm{Dir}(s, 1, ..., 1)` belong to :math:`z = (0, d_1,
    ..., d_T)`, and

    .. math:: \theta_\text{right} = \sum_{i, j} w_i w_j [z_i + z_j > 2 r]

    .. math:: \theta_\text{left} = \sum_{i, j} w_i w_j [z_i + z_j < -2 r]

    and the rest is the rope's (Benavoli et al. 2014, ICML; Benavoli et al. 2017, JMLR 18(77),
    section 4.2.1).

    Raises
    ------
    InputError
    """
    values = rounded(differences).ravel()
    values = values[~np.isnan(values)]
    if not len(values) or not math.isfinite(rope) or rope < 0 or n_samples < 1 or prior_strength <= 0:
        raise InputError(
            f"expected some differences, a rope of 0 or more and at least one sample, got {len(values)}, {rope} and {n_samples}"
        )
    z = np.concatenate([[0.0], values])
    order = np.argsort(z, kind="stable")
    ordered = z[order]
    # how many of the ordered z are at most 2 r - z_i, and below -2 r - z_i
    up_to = np.searchsorted(ordered, rounded_differences(2 * rope, ordered), side="right")
    below = np.searchsorted(ordered, rounded_differences(-2 * rope, ordered), side="left")
    concentration = np.where(order == 0, prior_strength, 1.0)
    rng = np.random.default_rng(seed)
    won = np.zeros(3)
    left_over = n_samples
    at_once = max(1, _WEIGHTS_AT_ONCE // len(z))
    while left_over > 0:
        n = min(at_once, left_over)
        left_over -= n
        weights = rng.dirichlet(concentration, size=n)
        sums = np.concatenate([np.zeros((n, 1)), np.cumsum(weights, axis=1)], axis=1)
        left = (weights * sums[:, below]).sum(axis=1)
        right = (weights * (sums[:, -1:] - sums[:, up_to])).sum(axis=1)
        won += np.bincount(np.argmax(np.stack([left, 1.0 - left - right, right]), axis=0), minlength=3)
    return PosteriorProbabilities(*(float(w) for w in won / n_samples))


def critical_groups(mean_ranks: Mapping[str, float], cd: float) -> list[tuple[str, ...]]:
    """Return the groups of indistinguishable methods, the bars of a critical-difference diagram.

    Parameters
    ----------
    mean_ranks : mapping of method to mean rank
        1 = best.
    cd : float
        Nemenyi's critical difference: a group's mean ranks differ by less than that.

    Returns
    -------
    list of tuples of methods
        Each of two or more neighbours by mean rank, best first, none within another.
    """
    order = sorted(mean_ranks, key=lambda m: (mean_ranks[m], m))
    groups: list[tuple[str, ...]] = []
    last_end = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and mean_ranks[order[end]] - mean_ranks[order[start]] < cd:
            end += 1
        if end - start > 1 and end > last_end:
            groups.append(tuple(order[start:end]))
            last_end = end
    return groups
