"""When two numbers are equal: the one rule for ties.

Scores that differ only after 12 significant digits are tied. A difference is rounded where its
operands are, so that 0.81 - 0.80 equals 0.29 - 0.28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["SIGNIFICANT_DIGITS", "differences", "rounded"]

SIGNIFICANT_DIGITS = 12
"""Significant digits of a number in comparisons; later digits are due to binary rounding."""


def rounded(values: ArrayLike) -> NDArray[np.float64]:
    """Return values rounded to `SIGNIFICANT_DIGITS` digits."""
    import numpy as np

    found = np.asarray(values, dtype=np.float64)
    return _on_grid(found, np.abs(found))


def differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return a - b, rounded to the last of the digits of the larger operand; NaN stays NaN."""
    import numpy as np

    first, second = rounded(a), rounded(b)
    # of the operands as they are: rounded thirds would differ by other numbers than they do
    exact = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    found = np.where(first == second, first - second, exact)
    return _on_grid(found, np.maximum(np.abs(first), np.abs(second)))


def _on_grid(values: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values rounded to `SIGNIFICANT_DIGITS` digits of numbers of these sizes."""
    import numpy as np

    # beyond these the scale would overflow
    is_usual = (sizes > 1e-200) & (sizes < 1e200)
    decimals = SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(np.where(is_usual, sizes, 1.0)))
    usual = np.where(is_usual, values, 0.0)
    # powers of ten are exact only if their exponent is above 0
    up, down = 10.0 ** np.maximum(decimals, 0.0), 10.0 ** np.maximum(-decimals, 0.0)
    return np.where(is_usual, np.rint(usual * up / down) * down / up, values)
