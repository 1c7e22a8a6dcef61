"""Shared by adapters around scikit-learn's estimators; growing ones keep to their seconds."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl import AutoMLAdapter
from benchbench.methods.automl._encoding import Encoder, Imputed, class_codes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Growing", "ModelAdapter", "Stopwatch", "all_classes"]

# of the budget; the rest is a reserve
USABLE_SHARE = 0.9
# how much longer than those before the last part may take, on a machine that is not idle
MARGIN = 1.25
# how much longer a part takes when all cores are busy than alone
ALONE = 1.5


class Stopwatch:
    """Seconds left of a budget, of which a tenth is kept in reserve."""

    def __init__(self, seconds: float) -> None:
        self.started = time.monotonic()
        self.end = self.started + USABLE_SHARE * seconds

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

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


@dataclass(slots=True)
class Growing:
    """An estimator with a warm start that grows in steps, as far as the seconds reach.

    What comes out depends on its size alone, not on the steps in between.

    Parameters
    ----------
    model : estimator
        Of scikit-learn, not fitted.
    x, y : (n_rows, n_columns), (n_rows,)
    size : str
        Name of the parameter that grows.
    at_once : int
        Parts of a step that are fitted side by side, each by a core.
    n : int
        Size so far.
    """

    model: Any
    x: NDArray[Any]
    y: NDArray[Any]
    size: str
    at_once: int = 1
    n: int = 0
    # seconds of the first step, and per part (or parts side by side) of the last one
    first: float = 0.0
    rate: float = 0.0

    def add(self, n_more: int) -> None:
        """Grow by so many parts, whatever time is left."""
        started = time.monotonic()
        self.model.set_params(warm_start=True, **{self.size: self.n + n_more}).fit(self.x, self.y)
        seconds = max(time.monotonic() - started, 1e-6)
        self.rate = seconds / math.ceil(n_more / self.at_once)
        if n_more < self.at_once:
            self.rate *= ALONE
        self.first = self.first or seconds
        self.n += n_more

    def until(self, most: int, watch: Stopwatch) -> Any:
        """Return the estimator, grown up to a size; the first part is fitted whatever time is left.

        A step is not begun if it would take longer than is left, judged by the steps before.
        """
        if not self.n:
            self.add(1)
        while self.n < most:
            # half of the time, so that a wrong estimate shows before it is too late
            n_fit = max(self.affordable(watch.left() / 2), min(self.at_once, self.affordable(watch.left() / MARGIN)))
            if not n_fit:
                break
            self.add(min(max(3 * self.n, self.at_once), most - self.n, n_fit))
        return self.model

    def affordable(self, seconds: float) -> int:
        """Return how many parts more can be fitted in these seconds."""
        # what every step takes, however small it is
        fixed = max(0.0, self.first - self.rate)
        return max(0, int((seconds - fixed) / self.rate)) * self.at_once
