"""Two methods for tables that fail on some tasks, for `bench sample`.

They show how a leaderboard reports failures. Both are real methods, and their failures are genuine.
The exhaustive search over subsets of columns exceeds its budget on all but small tables. Newton's
method without a penalty has no solution on separable classes and constant columns.
`BENCHBENCH_METHODS` may list this file. Shapes: n rows, p columns, k classes.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import AutoMLAdapter

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["BestSubset", "NewtonLogistic"]


class BestSubset(AutoMLAdapter):
    """Least squares on the subset of columns with the smallest Bayesian information criterion.

    The search tries all subsets and ignores the budget: 30 columns have a billion subsets.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="best_subset",
        track="automl",
        title="Best-subset least squares",
        summary="Tries every subset of the columns and keeps the one with the smallest BIC; pays no heed to its budget.",
        paper="Hocking & Leslie 1967, Technometrics 9(4)",
        url="https://doi.org/10.1080/00401706.1967.10490502",
        year=1967,
        differs="no branch and bound: every subset is fitted",
        family="linear",
        tasks=("binary", "multiclass", "regression"),
        devices=("cpu",),
    )

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        """See the base class."""
        import numpy as np

        y = _indicators(target, len(self.info.classes)) if self.info.classes else target.to_numpy()[:, None]
        x = rows.to_numpy(float)
        best = np.inf
        for size in range(x.shape[1] + 1):
            for subset in combinations(range(x.shape[1]), size):
                design = np.column_stack([np.ones(len(x)), x[:, subset]])
                weights = np.linalg.lstsq(design, y, rcond=None)[0]
                error = float(((y - design @ weights) ** 2).mean())
                criterion = len(x) * np.log(max(error, 1e-12)) + np.log(len(x)) * (size + 1)
                if criterion < best:
                    best, self.subset, self.weights = criterion, subset, weights

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """See the base class."""
        found: NDArray[Any] = self.predict_proba(rows).argmax(axis=1) if self.info.classes else self._values(rows)[:, 0]
        return found

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """See the base class."""
        import numpy as np

        shares = np.clip(self._values(rows), 0.01, 0.99)
        found: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return found

    def _values(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        import numpy as np

        design = np.column_stack([np.ones(len(rows)), rows.to_numpy(float)[:, self.subset]])
        found: NDArray[np.float64] = design @ self.weights
        return found


class NewtonLogistic(AutoMLAdapter):
    """Logistic regression without a penalty, one class against the rest, by Newton's method."""

    card: ClassVar[MethodCard] = MethodCard(
        name="newton_logistic",
        track="automl",
        title="Logistic regression by Newton's method",
        summary="Maximum likelihood without a penalty; has no solution where classes can be separated or columns are constant.",
        paper="Cox 1958, J. R. Stat. Soc. B 20(2)",
        url="https://doi.org/10.1111/j.2517-6161.1958.tb00292.x",
        year=1958,
        family="linear",
        tasks=("binary", "multiclass"),
        devices=("cpu",),
    )

    def __init__(self, steps: int = 25) -> None:
        self.steps = steps

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        """See the base class."""
        import numpy as np

        x = rows.to_numpy(float)
        self.mean, self.scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
        design = self._design(rows)
        labels = _indicators(target, len(self.info.classes))
        self.weights = np.column_stack([self._newton(design, labels[:, k]) for k in range(labels.shape[1])])

    def _newton(self, design: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        weights = np.zeros(design.shape[1])
        for _ in range(self.steps):
            p = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
            curvature = design.T @ (design * (p * (1 - p))[:, None])
            if np.linalg.cond(curvature) > 1 / np.finfo(float).eps:
                raise np.linalg.LinAlgError("Singular matrix: the likelihood has no maximum on these rows")
            weights += np.linalg.solve(curvature, design.T @ (y - p))
        return weights

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """See the base class."""
        found: NDArray[Any] = self.predict_proba(rows).argmax(axis=1)
        return found

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """See the base class."""
        import numpy as np

        shares = 1 / (1 + np.exp(-np.clip(self._design(rows) @ self.weights, -30, 30)))
        found: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return found

    def _design(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        import numpy as np

        return np.column_stack([np.ones(len(rows)), (rows.to_numpy(float) - self.mean) / self.scale])


def _indicators(target: pd.Series[Any], n_classes: int) -> NDArray[np.float64]:
    """Return (n, k) zeros with a one at each row's class."""
    import numpy as np

    found: NDArray[np.float64] = np.eye(n_classes)[target.cat.codes.to_numpy()]
    return found
