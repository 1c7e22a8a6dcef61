"""Scores of predictions for the rows of a table, with AMLB's names and definitions.

Shapes: n test rows, k classes; classes are given by their indices in the task's order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["auc", "classification_scores", "log_loss", "regression_scores", "undefined_scores"]


def undefined_scores(kind: str, truth: NDArray[Any]) -> dict[str, str]:
    """Return the scores that the test rows leave undefined, each with the reason.

    Parameters
    ----------
    kind : str
        "binary", "multiclass" or "regression".
    truth : (n,)
        Indices of classes, or values.
    """
    if kind == "regression":
        return {"r2": "this split has a single test row"} if len(truth) < 2 else {}
    return {"auc": "all test rows of this split have one class"} if (truth == truth[0]).all() else {}


def classification_scores(
    truth: NDArray[np.int64], labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> dict[str, float]:
    """Return accuracy, balanced_accuracy, log_loss and, where it is defined, auc.

    Parameters
    ----------
    truth, labels : (n,) int64
        True and predicted classes.
    probabilities : (n, k) float64
        Rows sum to 1 up to rounding.
    """
    import numpy as np

    hits = truth == labels
    # recall of the classes that occur in the test rows, as in scikit-learn
    recalls = [hits[truth == c].mean() for c in np.unique(truth)]
    found = {
        "accuracy": float(hits.mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "log_loss": log_loss(truth, probabilities),
    }
    if len(recalls) > 1:
        found["auc"] = auc(truth, probabilities)
    return found


def log_loss(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the mean of -log of the true class's probability.

    Rows are divided by their sums, then probabilities are clipped to [eps, 1 - eps] with the eps of
    float64, 2.2e-16, as in `sklearn.metrics.log_loss`, which AMLB calls.
    """
    import numpy as np

    eps = np.finfo(np.float64).eps
    positive = np.clip(probabilities, 0.0, 1.0)
    share = positive[np.arange(len(truth)), truth] / positive.sum(axis=1)
    return float(-np.log(np.clip(share, eps, 1 - eps)).mean())


def auc(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve; the second class is the positive one.

    For more than two classes: the mean over those that occur in the test rows, each against the
    rest.

    Raises
    ------
    InputError
        If all test rows are of one class.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    present = np.unique(truth)
    if len(present) < 2:
        raise InputError("all test rows of this split have one class: the area under the ROC curve is undefined")
    # not normalised: dividing by the sum of a row would break ties
    classes = [1] if probabilities.shape[1] == 2 else present
    return float(np.mean([roc_auc_score(truth == c, probabilities[:, c]) for c in classes]))


def regression_scores(truth: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, float]:
    """Return rmse and, for two rows or more, r2; both arrays are (n,) float64."""
    import numpy as np

    squared = (truth - values) ** 2
    found = {"rmse": float(np.sqrt(squared.mean()))}
    if len(truth) < 2:
        return found
    total = float(((truth - truth.mean()) ** 2).sum())
    # if all true values are equal: 1 for a perfect prediction, else 0, as in scikit-learn
    r2 = 1.0 - float(squared.sum()) / total if total else float(not squared.any())
    return found | {"r2": r2}
