"""What is questionable about predictions for a table, in sentences for people.

A result with remarks counts like any other: a method may be as bad as it looks. Shapes: n test
rows, k classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.contracts.automl import TableInfo

__all__ = ["remarks_on_classes", "remarks_on_table"]

# a method without any skill gets beyond so many standard errors once in thirty thousand trials
STANDARD_ERRORS = 4.0
# smaller differences may be a threshold that was tuned
LEAST_DIFFERENCE = 0.1
# an area above it may be a lack of skill
FLIPPED_AREA = 0.4
MOST_COLUMNS = 10


def remarks_on_table(info: TableInfo) -> list[str]:
    """Return what is questionable about the features."""
    counts = list(info.out_of_range.items())
    if not counts:
        return []
    shown = [f"column {name!r} has {n:,} infinite or too large values" for name, n in counts[:MOST_COLUMNS]]
    more = f", and {len(counts) - MOST_COLUMNS} more columns" if len(counts) > MOST_COLUMNS else ""
    return [f"{', '.join(shown)}{more}: benchbench's own adapters treat them as missing"]


def remarks_on_classes(
    truth: NDArray[np.int64], labels: NDArray[np.int64], probabilities: NDArray[np.float64], auc: float | None
) -> list[str]:
    """Return signs that classes were mixed up.

    Parameters
    ----------
    truth, labels : (n,) int64
        True and predicted classes.
    probabilities : (n, k) float64
    auc : float or None
        The area under the ROC curve, if it is defined.
    """
    return [*_on_labels(truth, labels, probabilities), *_on_area(truth, probabilities.shape[1], auc)]


def _on_labels(truth: NDArray[np.int64], labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> list[str]:
    """Compare the predicted classes with the most probable ones; ties agree with both."""
    import numpy as np

    n = len(truth)
    largest = probabilities.max(axis=1)
    differs = probabilities[np.arange(n), labels] < largest - 1e-6
    by_labels = (labels == truth) & differs
    by_probabilities = (probabilities.argmax(axis=1) == truth) & differs
    # of the rows where one is right and the other wrong, as in McNemar's test
    gained, lost = int(by_labels.sum()), int(by_probabilities.sum())
    is_beyond_chance = (gained - lost) ** 2 > STANDARD_ERRORS**2 * (gained + lost)
    is_large = abs(gained - lost) > LEAST_DIFFERENCE * n and is_beyond_chance
    if not is_large and differs.mean() <= 0.5:
        return []
    accuracy = float((labels == truth).mean())
    other = accuracy + (lost - gained) / n
    return [
        f"predict and predict_proba disagree on {differs.mean():.0%} of the test rows: accuracy is {accuracy:.3f} by predict,"
        f" {other:.3f} by the most probable class; is one of them in another order of classes?"
    ]


def _on_area(truth: NDArray[np.int64], n_classes: int, auc: float | None) -> list[str]:
    """Compare the area with what a method without skill may get."""
    import numpy as np

    if auc is None or auc >= FLIPPED_AREA:
        return []
    counts = np.bincount(truth, minlength=n_classes)
    counts = counts[counts > 0]
    others = len(truth) - counts
    # of each area under the null hypothesis, as in the Mann-Whitney test
    error = float(np.sqrt((len(truth) + 1) / (12 * counts * others)).mean())
    if (0.5 - auc) / error <= STANDARD_ERRORS:
        return []
    return [f"auc is {auc:.3f}, far below the 0.5 of guessing: are classes in another order than the task's?"]
