"""Means with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "FEW_TASKS",
    "Estimate",
    "agree",
    "estimate",
    "estimate_of_summary",
    "estimate_of_trials",
    "share",
    "t_quantile",
    "t_quantiles",
]

NORMAL_QUANTILE = 1.959963984540054
"""Standard normal quantile of 0.975."""
FEW_TASKS = 5
"""With fewer tasks, intervals over tasks are shown with a caution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of `n` values and the half-width of its 95 % interval (None if undefined)."""

    mean: float
    ci95: float | None
    n: int


@lru_cache(maxsize=1024)
def t_quantile(degrees: float, level: float = 0.975) -> float:
    """Return the quantile of Student's t distribution."""
    # scipy.special imports much faster than scipy.stats
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))


def t_quantiles(degrees: NDArray[np.integer], level: float = 0.975) -> NDArray[np.float64]:
    """Return the quantiles of Student's t distribution for an array of degrees of freedom."""
    from scipy.special import stdtrit

    found: NDArray[np.float64] = stdtrit(degrees, level)
    return found


def estimate_of_summary(mean: float, deviation: float | None, n: int) -> Estimate:
    """Return the interval of a mean from the sample's size and standard deviation (with n - 1)."""
    if n < 2 or deviation is None or not math.isfinite(deviation):
        return Estimate(mean, None, n)
    return Estimate(mean, t_quantile(n - 1) * deviation / math.sqrt(n), n)


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of the values and its interval by Student's t.

    Raises
    ------
    ValueError
        If there are no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("expected at least one value to average, got none")
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum([(v - mean) ** 2 for v in values]) / (n - 1)) if n > 1 else None
    return estimate_of_summary(mean, deviation, n)


def agree(values: Sequence[float]) -> bool:
    """Return whether there are several values, all equal up to rounding."""
    return len(values) > 1 and max(values) - min(values) <= 1e-12 * max(map(abs, values))


def estimate_of_trials(values: Sequence[float]) -> Estimate:
    """Return `estimate` of the values of seeds or folds, without an interval if all are equal.

    The agreement of a few does not make a value certain.
    """
    found = estimate(values)
    return Estimate(found.mean, None, found.n) if agree(values) else found


def share(values: Sequence[float], n_pairs: int) -> Estimate:
    """Return the mean of shares and its interval by Student's t.

    Where all are 0 or all 1, the interval is Wilson's (1927) over the pairs behind them: thirty
    wins of thirty do not make a win certain.

    Parameters
    ----------
    values : sequence of float
        Shares within [0, 1].
    n_pairs : int
        Total number of comparisons behind them.
    """
    found = estimate(values)
    if found.n < 2 or found.mean not in (0.0, 1.0):
        return found
    z2 = NORMAL_QUANTILE**2
    return Estimate(found.mean, z2 / (n_pairs + z2), found.n)
