"""Random forest with tuned `max_features`: AMLB's strongest baseline.

Gijsbers et al. 2024, "AMLB: an AutoML benchmark".

As there, up to ten values of `max_features` between 1 and the number of columns are tried after the
default, sqrt(p), each by 5-fold cross-validation with the task's own metric, as long as the budget
reaches; then a forest of the best is fitted to all rows. In contrast, forests in
cross-validation have 10 to 50 trees, as many as leave half the budget for the last one, and that
one at most 500 (AMLB: 2000 both). Where there is no time for two values, the default stays.
"""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS
from benchbench.methods.automl._forests import ForestAdapter
from benchbench.methods.automl._models import Stopwatch, all_classes
from benchbench.protocols.automl_scores import auc, log_loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TunedRandomForest", "candidates"]

N_FOLDS = 5
N_BELOW, N_ALL = 5, 10
# with fewer, scores differ by chance more than by `max_features`
LEAST_TUNING_TREES = 10


class TunedRandomForest(ForestAdapter):
    """Chooses the number of features that a split looks at by cross-validation."""

    card: ClassVar[MethodCard] = MethodCard(
        name="tuned_random_forest",
        track="automl",
        title="Tuned random forest",
        summary="Chooses max_features of a random forest by 5-fold cross-validation.",
        paper="Gijsbers et al. 2024, JMLR 25(101)",
        url="https://arxiv.org/abs/2207.12560",
        year=2024,
        differs="Forests of 50 trees in cross-validation and 500 in the end, where AMLB has up to 2000.",
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )
    classifier = "RandomForestClassifier"
    regressor = "RandomForestRegressor"

    def __init__(self, n_trees: int = 500, n_tuning_trees: int = 50) -> None:
        self.n_trees, self.n_tuning_trees = n_trees, n_tuning_trees

    def train(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        values = candidates(x.shape[1])
        self.check_that_a_tree_fits(x, y, max_features=values[0])
        default = self.growing(x, y, max_features=values[0])
        # it shows what a tree takes, and is not lost if the default stays
        default.add(1)
        best = self._tuned(values, default.rate, x, y)
        return self.finished(default if best == values[0] else self.growing(x, y, max_features=best))

    def _tuned(self, values: list[int], tree_seconds: float, x: NDArray[np.float64], y: NDArray[Any]) -> int:
        """Return the best of the values that there is time to try, the first one if for too few.

        Parameters
        ----------
        values : list of int
            Of `max_features`; the first one is the default.
        tree_seconds : float
            What a tree of all rows takes with the default.
        """
        folds = self._folds(x, y)
        tuning = Stopwatch(self.budget.seconds / 2)
        n_trees = self._affordable_trees(values, tree_seconds, len(folds), tuning)
        # seconds of a value that costs as much as the default
        unit = len(folds) * math.ceil(n_trees / self.cores) * tree_seconds
        scores: dict[int, float] = {}
        if not folds or sum(unit * _cost(value, values[0]) for value in values[:2]) > tuning.left():
            return values[0]
        for i, value in enumerate(values):
            started, cost = time.monotonic(), _cost(value, values[0])
            if unit * cost > tuning.left():
                break
            score = self._cross_validated(value, n_trees, x, y, folds, tuning)
            if score is None:
                break
            scores[value] = score
            unit = (time.monotonic() - started) / cost
            self.context.report(i, max_features=value, validation_score=score)
        # of equal ones the largest, as in AMLB
        return max(scores, key=lambda value: (scores[value], value)) if scores else values[0]

    def _folds(self, x: NDArray[np.float64], y: NDArray[Any]) -> list[Any]:
        from sklearn.model_selection import KFold, StratifiedKFold

        n_folds = min(N_FOLDS, len(y))
        if n_folds < 2:
            return []
        with warnings.catch_warnings():
            # classes with fewer rows than folds are not in every fold
            warnings.simplefilter("ignore")
            kind = KFold if self.is_regression or max(_counts(y)) < n_folds else StratifiedKFold
            return list(kind(n_folds).split(x, y))

    def _affordable_trees(self, values: list[int], tree_seconds: float, n_folds: int, tuning: Stopwatch) -> int:
        """Return how many trees allow all values to be tried in the time for tuning.

        It is between `LEAST_TUNING_TREES` and `n_tuning_trees`.
        """
        a_tree = tree_seconds * n_folds * sum(_cost(value, values[0]) for value in values)
        affordable = int(tuning.left() / max(a_tree, 1e-6)) * self.cores
        return min(max(affordable, LEAST_TUNING_TREES), self.n_tuning_trees)

    def _cross_validated(
        self, value: int, n_trees: int, x: NDArray[np.float64], y: NDArray[Any], folds: list[Any], tuning: Stopwatch
    ) -> float | None:
        """Return the mean score over the folds that have one.

        None if the time is over before all are done.
        """
        found = []
        longest = 0.0
        for train, valid in folds:
            if longest > tuning.left():
                return None
            started = time.monotonic()
            forest = self.forest(max_features=value, n_estimators=n_trees).fit(x[train], y[train])
            score = self._score(forest.set_params(n_jobs=1), x[valid], y[valid])
            if score is not None:
                found.append(score)
            longest = max(longest, time.monotonic() - started)
        return math.fsum(found) / len(found) if found else 0.0

    def _score(self, forest: Any, x: NDArray[np.float64], y: NDArray[Any]) -> float | None:
        if self.is_regression:
            return -float(((forest.predict(x) - y) ** 2).mean() ** 0.5)
        probabilities = all_classes(forest, x, len(self.info.classes))
        if self.info.metric == "log_loss":
            return -log_loss(y, probabilities)
        return auc(y, probabilities) if y.min() < y.max() else None


def candidates(n_features: int) -> list[int]:
    """Return the values of `max_features` in AMLB's order: sqrt(p), then below it, then above."""
    default = max(1, int(math.sqrt(n_features)))
    below = _uniform(1, default, N_BELOW + 1)[:-1]
    above = _uniform(default, n_features, N_ALL + 1 - len(below))[1:]
    return [default, *below, *above]


def _uniform(start: int, end: int, n: int) -> list[int]:
    return sorted({int(start + i * (end - start) / (n - 1)) for i in range(n)})


def _cost(value: int, default: int) -> float:
    """Return about how much longer a tree takes than with the default `max_features`."""
    return max(1.0, value / default)


def _counts(y: NDArray[Any]) -> list[int]:
    import numpy as np

    return np.unique(y, return_counts=True)[1].tolist()
