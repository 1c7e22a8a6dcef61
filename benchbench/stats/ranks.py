"""Ranks within a task: plain ones, and Meta-Dataset's tie-aware ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["tie_aware_ranks", "tied_ranks"]


def tied_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (M, T) ranks of (M, T) scores within each column.

    1 = highest, ties by `ties.rounded` share their mean rank, NaN stays NaN: as
    `scipy.stats.rankdata` with ``nan_policy="omit"`` of rounded scores. scipy takes longer to
    import than a whole leaderboard to compute.
    """
    import numpy as np

    from benchbench.stats.ties import rounded

    scores = rounded(scores)
    n_methods = len(scores)
    # NaN comes last, and NaN != NaN
    order = np.argsort(-scores, axis=0, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=0)
    is_other = np.ones(scores.shape, dtype=np.bool_)
    is_other[1:] = ordered[1:] != ordered[:-1]
    place = np.arange(1, n_methods + 1)[:, None]
    first = np.maximum.accumulate(np.where(is_other, place, 0), axis=0)
    is_end = np.ones(scores.shape, dtype=np.bool_)
    is_end[:-1] = is_other[1:]
    last = np.minimum.accumulate(np.where(is_end, place, n_methods)[::-1], axis=0)[::-1]
    found = np.empty(scores.shape)
    np.put_along_axis(found, order, (first + last) / 2, axis=0)
    found[np.isnan(scores)] = np.nan
    return found


def tie_aware_ranks(scores: Sequence[float], half_widths: Sequence[float]) -> list[float]:
    r"""Return the ranks of methods on one task by Meta-Dataset's rule, 1 = best.

    Parameters
    ----------
    scores : sequence of float
        Higher is better; NaN where missing.
    half_widths : sequence of float
        Half-widths of the scores' 95 % intervals, 0 or more.

    Notes
    -----
    The best method and all whose scores are lower by at most :math:`\sqrt{h_1^2 + h_2^2}` share
    their mean rank. The same is repeated among the rest. Methods are tied with the best of their
    group, not necessarily with each other.

    References
    ----------
    Triantafillou et al. 2020, arXiv:1903.03096; the notebook Leaderboard.ipynb of
    google-research/meta-dataset.

    Raises
    ------
    ValueError
        If the half-widths do not match the scores, or one is below 0.
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
    # published scores are decimal: a difference equal to the bound must not depend on binary
    # rounding
    return difference <= math.hypot(width, other) * (1 + 1e-12) + 1e-12
