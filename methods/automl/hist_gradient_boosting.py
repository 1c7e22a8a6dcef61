"""Gradient boosting on histograms, scikit-learn's.

After Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree".

Scikit-learn's settings: 100 rounds, fewer if the budget ends first. Categories are split as sets,
missing numbers and categories go to a side of their own; of columns with more than 255 categories
the most frequent ones are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS
from benchbench.methods.automl._encoding import Codes, Encoder
from benchbench.methods.automl._models import Growing, ModelAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["HistGradientBoosting"]

# bins per column in scikit-learn
MAX_CATEGORIES = 255


class HistGradientBoosting(ModelAdapter):
    """Adds up small trees, each fitted to the gradient of the loss."""

    card: ClassVar[MethodCard] = MethodCard(
        name="hist_gradient_boosting",
        track="automl",
        title="Histogram gradient boosting",
        summary="Boosts trees on binned columns, with categories and missing values as they are.",
        paper="Ke et al. 2017, NeurIPS",
        url="https://papers.nips.cc/paper/6907-lightgbm-a-highly-efficient-gradient-boosting-decision-tree",
        year=2017,
        differs="Scikit-learn's implementation and settings: no sampling of rows, no bundling of columns, no early stopping.",
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, n_rounds: int = 100, learning_rate: float = 0.1) -> None:
        self.n_rounds, self.learning_rate = n_rounds, learning_rate

    def encoder(self) -> Encoder:
        return Codes(self.info.columns, max_categories=MAX_CATEGORIES, is_filled=True)

    def train(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        from sklearn.dummy import DummyClassifier
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        if not self.is_regression and y.min() == y.max():
            return DummyClassifier().fit(x, y)
        cls: Any = HistGradientBoostingRegressor if self.is_regression else HistGradientBoostingClassifier
        model = cls(
            learning_rate=self.learning_rate,
            categorical_features=[kind != "numeric" for kind in self.info.columns.values()],
            early_stopping=False,
            random_state=self.context.derive("boosting"),
        )
        return Growing(model, x, y, "max_iter").until(self.n_rounds, self.watch)
