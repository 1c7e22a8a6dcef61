"""Logistic regression, and ridge regression for values.

Cox 1958, "The regression analysis of binary sequences"; Hoerl & Kennard 1970.

Both with scikit-learn's penalty of 1; at most 500 iterations of the logistic one, fewer if the
budget ends first. Numbers are scaled, missing ones are the training rows'
median; each category is a column of 0 and 1 (the 100 most frequent of a column), a missing one 0 in
all of them.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS
from benchbench.methods.automl._encoding import Encoder, OneHot
from benchbench.methods.automl._models import ModelAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LinearModel"]

# so many show what one takes
RATED_ITERATIONS = 10


class LinearModel(ModelAdapter):
    """A linear model with a quadratic penalty."""

    card: ClassVar[MethodCard] = MethodCard(
        name="linear_model",
        track="automl",
        title="Logistic / ridge regression",
        summary="A linear model of scaled numbers and indicators of categories.",
        paper="Cox 1958, J. R. Stat. Soc. B 20(2)",
        url="https://doi.org/10.1111/j.2517-6161.1958.tb00292.x",
        year=1958,
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, penalty: float = 1.0, max_iterations: int = 500) -> None:
        self.penalty, self.max_iterations = penalty, max_iterations

    def encoder(self) -> Encoder:
        return OneHot(self.info.columns)

    def train(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        from sklearn.dummy import DummyClassifier
        from sklearn.linear_model import Ridge

        if self.is_regression:
            return Ridge(alpha=self.penalty).fit(x, y)
        if y.min() == y.max():
            return DummyClassifier().fit(x, y)
        return self._descended(x, y)

    def _descended(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        """Return the model after as many iterations as there is time for."""
        n = 1
        while True:
            started = time.monotonic()
            model = self._after(n, x, y)
            rate = max((time.monotonic() - started) / n, 1e-6)
            affordable = int(self.watch.left() / rate)
            if model.n_iter_.max() < n or n >= self.max_iterations or affordable <= n:
                return model
            # a single iteration says little of what many take
            enough = affordable >= self.max_iterations or n >= RATED_ITERATIONS
            n = min(self.max_iterations, affordable if enough else min(affordable, RATED_ITERATIONS))

    def _after(self, n_iterations: int, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            # a model that has not converged is judged by its score
            warnings.simplefilter("ignore")
            return LogisticRegression(C=1 / self.penalty, max_iter=n_iterations).fit(x, y)
