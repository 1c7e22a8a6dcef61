"""Shared by adapters around scikit-learn's estimators; growing ones keep to their seconds."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl import AutoMLAdapter
from benchbench.methods.automl._encoding import Encoder, Imputed, class_codes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["ModelAdapter", "Stopwatch", "all_classes", "grow"]

# of the budget; the rest is a reserve
USABLE_SHARE = 0.9


class Stopwatch:
    """Seconds left of a budget, of which a tenth is kept in reserve."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + USABLE_SHARE * seconds

    def left(self) -> float:
        """Return the seconds left; negative afterwards."""
        return self.end - time.monotonic()


class ModelAdapter(AutoMLAdapter):
    """Encodes the rows and fits one estimator to them.

    A class that no training row has gets probability 0.
    """

    def encoder(self) -> Encoder:
        """Return what turns rows into numbers, not fitted."""
        return Imputed(self.info.columns)

    @abstractmethod
    def train(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        """Return an estimator fitted to encoded rows and places of classes, or values."""

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        self.watch = Stopwatch(self.budget.seconds)
        self.encoded = self.encoder().fit(rows)
        self.model = self.train(self.encoded.transform(rows), class_codes(target))

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        if self.info.kind == "regression":
            return self.model.predict(self.encoded.transform(rows))
        return self.predict_proba(rows).argmax(axis=1)

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        return all_classes(self.model, self.encoded.transform(rows), len(self.info.classes))

    @property
    def is_regression(self) -> bool:
        """Whether values are predicted."""
        return self.info.kind == "regression"


def all_classes(model: Any, x: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Return (n, n_classes) probabilities.

    The estimator has columns only for the classes that it has seen.
    """
    import numpy as np

    found = np.zeros((len(x), n_classes))
    found[:, model.classes_] = model.predict_proba(x)
    return found


def grow(model: Any, x: NDArray[Any], y: NDArray[Any], size: str, steps: Iterable[int], watch: Stopwatch) -> Any:
    """Fit an estimator with a warm start in steps, as far as the seconds reach.

    A step is not begun if it would take longer than is left, judged by what the last one took for
    its share. What comes out does not depend on the steps in between.

    Parameters
    ----------
    size : str
        Name of the parameter that grows.
    steps : iterable of int
        Its values; the first one is fitted whatever time is left.
    """
    model.set_params(warm_start=True)
    before, rate = 0, 0.0
    for value in steps:
        if before and rate * (value - before) > watch.left():
            break
        started = time.monotonic()
        model.set_params(**{size: value}).fit(x, y)
        rate = (time.monotonic() - started) / (value - before)
        before = value
    return model
