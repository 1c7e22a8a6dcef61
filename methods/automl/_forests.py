"""Forests of scikit-learn that grow as far as their seconds reach."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any

from benchbench.contracts.context import fit_limit_seconds
from benchbench.methods.automl._models import Growing, ModelAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ForestAdapter"]

# one row of so many shows what a tree of all rows takes, if there are enough of them
SAMPLE_STEP = 32
LEAST_ROWS_TO_SAMPLE = 20_000


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

    @property
    def cores(self) -> int:
        """Trees that are grown side by side: the budget may name more cores than there are."""
        return min(self.budget.threads, len(os.sched_getaffinity(0)))

    def train(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        self.check_that_a_tree_fits(x, y)
        return self.finished(self.growing(x, y))

    def growing(self, x: NDArray[np.float64], y: NDArray[Any], **params: Any) -> Growing:
        """Return a forest without trees."""
        return Growing(self.forest(**params), x, y, "n_estimators", at_once=self.cores)

    def finished(self, forest: Growing) -> Any:
        """Return a forest with as many trees as there is time for, at most `n_trees`."""
        # threads add the trees' votes in the order in which they end, so that the last bits would
        # differ
        return forest.until(self.n_trees, self.watch).set_params(n_jobs=1)

    def check_that_a_tree_fits(self, x: NDArray[np.float64], y: NDArray[Any], **params: Any) -> None:
        """Raise if a single tree would certainly be stopped at the limit of `fit`.

        Raises
        ------
        RuntimeError
        """
        limit = fit_limit_seconds(self.budget.seconds)
        # the first fit may include what is done once in a process
        for _ in range(2):
            estimated = self._seconds_of_a_tree(x, y, **params)
            if estimated <= limit - self.watch.elapsed():
                break
        else:
            raise RuntimeError(
                f"a single tree of {len(y):,} rows and {x.shape[1]:,} columns takes about {estimated:.0f} s,"
                f" and training is stopped after {limit:g} s: it needs a larger budget than {self.budget.seconds:g} s"
            )

    def _seconds_of_a_tree(self, x: NDArray[np.float64], y: NDArray[Any], **params: Any) -> float:
        """Return an estimate from a tree of some rows; 0 if there are few, so that it is short.

        It is of processor time: waiting for other processes must not count many times over.
        """
        n = len(y)
        if n < LEAST_ROWS_TO_SAMPLE:
            return 0.0
        tree, some = self.forest(**params, n_estimators=1), slice(None, None, SAMPLE_STEP)
        started = time.process_time()
        tree.fit(x[some], y[some])
        return (time.process_time() - started) * n * math.log(n) / (len(y[some]) * math.log(len(y[some])))
