"""Constant predictor: shares of the classes, or the median of the targets.

AMLB's lower end of the scale, Gijsbers et al. 2024.

Nothing of the features is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["ConstantPredictor"]


class ConstantPredictor(AutoMLAdapter):
    """Predicts the same for every row."""

    card: ClassVar[MethodCard] = MethodCard(
        name="constant_predictor",
        track="automl",
        title="Constant predictor",
        summary="Predicts the classes' shares, or the median of the targets.",
        paper="Gijsbers et al. 2024, JMLR 25(101)",
        url="https://arxiv.org/abs/2207.12560",
        year=2024,
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )
    needs_features: ClassVar[bool] = False

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        import numpy as np

        if self.info.kind == "regression":
            self.median = float(np.median(target.to_numpy()))
        else:
            counts = np.bincount(target.cat.codes.to_numpy(), minlength=len(self.info.classes))
            self.shares = counts / counts.sum()

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        import numpy as np

        return np.full(len(rows), self.median if self.info.kind == "regression" else self.shares.argmax())

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        import numpy as np

        return np.tile(self.shares, (len(rows), 1))
