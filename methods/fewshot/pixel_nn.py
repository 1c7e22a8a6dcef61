"""Nearest neighbour in input space: the baseline that learns nothing.

A query takes the label of the support example with the smallest Euclidean distance between raw
inputs; for regression, the value of the support point with the nearest x. Lake, Salakhutdinov &
Tenenbaum 2015 report the same baseline on Omniglot as nearest neighbour in pixel space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import FewShotAdapter, Predictor, Support

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PixelNearestNeighbour"]

# squared distances that differ by less than this share of the largest norm are equal: BLAS may sum
# in another order
TIE_TOLERANCE = 1e-12


class PixelNearestNeighbour(FewShotAdapter):
    """One nearest neighbour on raw inputs.

    Classes (or values) at the same smallest distance share the vote.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="pixel_nn",
        track="fewshot",
        title="Pixel nearest neighbour",
        summary="Label of the support example that is nearest in input space.",
        paper="Lake, Salakhutdinov & Tenenbaum 2015, Science 350",
        url="https://doi.org/10.1126/science.aab3050",
        year=2015,
        differs="equal distances share the vote",
        family="baseline",
        tasks=("classification", "regression"),
        batched=True,
        iterations={"quick": 0, "standard": 0, "paper": 0},
    )

    def adapt(self, support: Support) -> Predictor:
        return _Predictor(support, is_regression=self.task.kind == "regression")

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        return _vote(support_x, _targets(support_y, self.task.n_way, self.task.kind == "regression"), query_x)


@dataclass(frozen=True, slots=True)
class _Predictor(Predictor):
    support: Support
    is_regression: bool

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        targets = _targets(self.support.y, self.support.n_way, self.is_regression)
        return _vote(self.support.x[None], targets[None], query_x[None])[0]


def _targets(support_y: NDArray[Any], n_way: int, is_regression: bool) -> NDArray[np.float64]:
    """Return one-hot rows (..., n_support, n_way), or values (..., n_support, n_outputs)."""
    import numpy as np

    if is_regression:
        return support_y.astype(np.float64)
    return np.eye(n_way, dtype=np.float64)[support_y]


def _vote(
    support_x: NDArray[np.float32], targets: NDArray[np.float64], query_x: NDArray[np.float32]
) -> NDArray[np.floating[Any]]:
    """Return the mean target of the nearest support examples.

    Parameters
    ----------
    support_x : (n_tasks, n_support, *input) float32
    targets : (n_tasks, n_support, n_outputs) float64
    query_x : (n_tasks, n_query, *input) float32

    Returns
    -------
    (n_tasks, n_query, n_outputs) float64
    """
    import numpy as np

    s = support_x.reshape(*support_x.shape[:2], -1).astype(np.float64)
    q = query_x.reshape(*query_x.shape[:2], -1).astype(np.float64)
    s_norm, q_norm = (s**2).sum(-1), (q**2).sum(-1)
    distance = q_norm[:, :, None] + s_norm[:, None, :] - 2 * q @ s.swapaxes(1, 2)
    slack = TIE_TOLERANCE * (q_norm[:, :, None] + s_norm.max(-1)[:, None, None])
    nearest = (distance <= distance.min(-1, keepdims=True) + slack).astype(np.float64)
    # a class with several nearest examples counts once for each, as one vote a support example
    mean: NDArray[np.floating[Any]] = nearest @ targets / nearest.sum(-1, keepdims=True)
    return mean
