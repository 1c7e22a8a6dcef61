"""Ranks over tasks, where not every method has every task."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SIGNIFICANT_DIGITS", "mean_ranks", "ranks", "tie_aware_ranks", "tied_ranks", "to_compare"]

SIGNIFICANT_DIGITS = 12
"""Digits of a mean score that are compared; the digits after them depend on the order in which scores are added up."""

M = TypeVar("M", bound=Hashable)
T = TypeVar("T", bound=Hashable)


def to_compare(mean: float) -> float:
    """Return a mean without the digits that are rounding: two methods with the same scores are tied."""
    return float(f"{mean:.{SIGNIFICANT_DIGITS - 1}e}")


def ranks(scores: Mapping[M, float]) -> dict[M, float]:
    """Return ranks, 1 = highest score; equal scores share their mean rank."""
    ordered = sorted(scores.values())
    return {method: _lost(score, ordered) + 0.5 for method, score in scores.items()}


def _lost(score: float, ordered: Sequence[float]) -> float:
    """Return how many of the ordered scores are above `score`, ties counted by half."""
    return len(ordered) - (bisect_left(ordered, score) + bisect_right(ordered, score)) / 2


def mean_ranks(scores: Mapping[T, Mapping[M, float]]) -> dict[M, float]:
    r"""Return each method's mean rank over tasks, comparing any two methods on the tasks that both have.

    Parameters
    ----------
    scores : mapping of task to mapping of method to score
        Higher is better; a method that declined a task is absent there.

    Notes
    -----
    .. math:: \bar r_a = 1 + \sum_{b \ne a} \frac{1}{|T_{ab}|} \sum_{t \in T_{ab}} [s_{bt} > s_{at}] + \tfrac12 [s_{bt} = s_{at}]

    with :math:`T_{ab}` the tasks of both. If every method has every task this is the usual mean of the tasks' ranks. Two methods
    that share no task count as tied.

    Methods that have the same tasks are counted together, by bisection in their sorted scores: 1,000 methods on 100 tasks take
    a fraction of a second, where a loop over pairs takes a minute.
    """
    tasks_of: dict[M, list[T]] = defaultdict(list)
    for task, row in scores.items():
        for method in row:
            tasks_of[method].append(task)
    alike: dict[tuple[T, ...], list[M]] = defaultdict(list)
    for method, own in tasks_of.items():
        alike[tuple(own)].append(method)
    ordered = {(own, task): sorted(scores[task][m] for m in methods) for own, methods in alike.items() for task in own}
    found = {}
    for method in tasks_of:
        total = 0.5  # 1, less the tie of the method with itself that is counted below
        for others, methods in alike.items():
            shared = [t for t in others if method in scores[t]]
            if shared:
                total += sum(_lost(scores[t][method], ordered[others, t]) for t in shared) / len(shared)
            else:
                total += len(methods) / 2
        found[method] = total
    return found


def tied_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (M, T) ranks of (M, T) scores within each column: 1 = highest, ties share their mean rank, NaN stays NaN."""
    import numpy as np

    found = np.full(scores.shape, np.nan)
    for column in range(scores.shape[1]):
        own = -scores[:, column]
        present = ~np.isnan(own)
        ordered = np.sort(own[present])
        first, last = (np.searchsorted(ordered, own[present], side=side) for side in ("left", "right"))
        found[present, column] = (first + last + 1) / 2
    return found


def tie_aware_ranks(scores: Sequence[float], half_widths: Sequence[float]) -> list[float]:
    r"""Return the ranks of methods on one task by Meta-Dataset's rule, 1 = best; those that intervals cannot tell apart share a rank.

    Parameters
    ----------
    scores : sequence of float
        Higher is better; NaN where there is none.
    half_widths : sequence of float
        Of the scores' 95 % intervals, 0 or more.

    Notes
    -----
    The best method is taken, with every other whose score is lower by no more than :math:`\sqrt{h_1^2 + h_2^2}`; they share the mean
    of their places. Then the same among the rest. Being tied is a relation to the group's best, not between its members.

    References
    ----------
    Triantafillou et al. 2020, arXiv:1903.03096; the notebook Leaderboard.ipynb of google-research/meta-dataset.

    Raises
    ------
    ValueError
        If there is not one half-width of 0 or more for each score.
    """
    if len(scores) != len(half_widths) or any(
        h < 0 or math.isnan(h) for h, s in zip(half_widths, scores, strict=False) if s == s
    ):
        raise ValueError(
            f"expected a half-width of 0 or more for each of {len(scores)} scores, got {list(half_widths)}"
        )
    left = sorted((i for i, s in enumerate(scores) if not math.isnan(s)), key=lambda i: -scores[i])
    found = [math.nan] * len(scores)
    place = 1
    while left:
        best = left[0]
        tied = [i for i in left if _is_tied(scores[best] - scores[i], half_widths[best], half_widths[i])]
        for i in tied:
            found[i] = place + (len(tied) - 1) / 2
        place += len(tied)
        left = [i for i in left if i not in set(tied)]
    return found


def _is_tied(difference: float, width: float, other: float) -> bool:
    # published scores are decimal numbers: a difference equal to the bound must not be lost to the last binary digit
    return difference <= math.hypot(width, other) * (1 + 1e-12) + 1e-12
