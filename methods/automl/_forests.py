"""Forests of scikit-learn that grow as far as their seconds reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.methods.automl._models import ModelAdapter, Stopwatch, grow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ForestAdapter", "forest_steps"]

FIRST_TREES = 10


def forest_steps(n_trees: int) -> list[int]:
    """Return growing numbers of trees, each about twice the last, up to `n_trees`."""
    steps = [n_trees]
    while steps[0] > 2 * FIRST_TREES:
        steps.insert(0, steps[0] // 2)
    return steps


class ForestAdapter(ModelAdapter):
    """A forest; subclasses name the estimators."""

    classifier: str
    regressor: str

    def __init__(self, n_trees: int = 500) -> None:
        self.n_trees = n_trees

    def forest(self, **params: Any) -> Any:
        """Return an estimator that is not fitted."""
        import sklearn.ensemble

        cls = getattr(sklearn.ensemble, self.regressor if self.is_regression else self.classifier)
        return cls(random_state=self.context.derive("forest"), n_jobs=self.budget.threads, **params)

    def train(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        return self.grown(self.forest(), x, y, self.watch)

    def grown(self, forest: Any, x: NDArray[np.float64], y: NDArray[Any], watch: Stopwatch) -> Any:
        """Return the forest fitted with as many trees as there is time for, at most `n_trees`."""
        found = grow(forest, x, y, "n_estimators", forest_steps(self.n_trees), watch)
        # threads add the trees' votes in the order in which they end, so that the last bits would
        # differ
        return found.set_params(n_jobs=1)
