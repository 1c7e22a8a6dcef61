"""Kernel densities over points of the unit cube, some of whose coordinates are categories.

Importing this is light.

Shapes: n points that the density is of, m points that it is asked for, d parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Density"]

# of BOHB's released code: what keeps equal points from being a density of width zero
MIN_WIDTH = 1e-3


class Density:
    """A mean of products of kernels: Gaussian for numbers, Aitchison & Aitken's for categories.

    Widths go by the normal reference rule, ``1.06 * std * n**(-1 / (4 + d))``; a category is left
    for another one with a probability that shrinks as fast.

    Parameters
    ----------
    points : (n, d) float64 in [0, 1]
        Of a category only equality counts: each has one value, ``(index + 0.5) / n_choices``.
    n_choices : (d,) int
        Of categories; 0 for numbers.
    """

    def __init__(self, points: NDArray[np.float64], n_choices: NDArray[np.int64]) -> None:
        import numpy as np

        n, d = points.shape
        shrink = n ** (-1 / (4 + d))
        self._points, self._n_choices, self._is_category = points, n_choices, n_choices > 0
        numbers = np.maximum(1.06 * points.std(0) * shrink, MIN_WIDTH)
        categories = shrink * (1 - 1 / np.maximum(n_choices, 1))
        self._widths = np.where(self._is_category, categories, numbers)

    def log_density(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logarithms (m,) of the density at points (m, d)."""
        import numpy as np
        from scipy.special import logsumexp

        gaps = x[:, None, :] - self._points
        widths, others = self._widths, np.maximum(self._n_choices - 1, 1)
        gaussian = -0.5 * (gaps / np.maximum(widths, MIN_WIDTH)) ** 2 - np.log(
            np.maximum(widths, MIN_WIDTH) * np.sqrt(2 * np.pi)
        )
        stays = np.log1p(-np.where(self._is_category, widths, 0.0))
        leaves = np.log(np.maximum(widths / others, 1e-300))
        kernels = np.where(self._is_category, np.where(gaps == 0, stays, leaves), gaussian)
        return logsumexp(kernels.sum(-1), axis=1) - np.log(len(self._points))

    def sample(self, rng: np.random.Generator, m: int, widen: float) -> NDArray[np.float64]:
        """Draw points (m, d).

        Gaussian kernels are `widen` times as wide and end where the unit cube does.
        """
        import numpy as np
        from scipy.special import ndtr, ndtri

        centres = self._points[rng.integers(len(self._points), size=m)]
        widths = np.maximum(widen * self._widths, MIN_WIDTH)
        low, high = ndtr(-centres / widths), ndtr((1 - centres) / widths)
        u = rng.random(centres.shape)
        numbers = np.clip(centres + widths * ndtri(low + u * (high - low)), 0.0, 1.0)
        choices = np.maximum(self._n_choices, 1)
        drawn = (rng.integers(choices, size=centres.shape) + 0.5) / choices
        # leaving for any value, the own one among them, is as likely as this
        is_left = rng.random(centres.shape) < self._widths * choices / np.maximum(choices - 1, 1)
        return np.where(self._is_category, np.where(is_left, drawn, centres), numbers)
