"""Shared by the wrapped systems: targets, probabilities, string columns, the remaining time.

Shapes: n rows, c classes of the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from benchbench.contracts.automl import AutoMLBudget

__all__ = ["Texts", "library_seconds", "spread"]


class Texts:
    """Gives string columns the type category, with the values of the training rows.

    Others are missing.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.names = [name for name, kind in columns.items() if kind == "string"]

    def fit(self, rows: pd.DataFrame) -> Texts:
        """Learn the values."""
        self.known = {name: sorted(rows[name].dropna().unique()) for name in self.names}
        return self

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with categories in place of strings."""
        import pandas as pd

        return rows.assign(**{name: pd.Categorical(rows[name], categories=self.known[name]) for name in self.names})


def spread(found: Any, present: NDArray[Any], n_classes: int) -> NDArray[np.float64]:
    """Return (n, c) probabilities of all classes from those of the training rows' classes.

    Columns are in the task's order.
    """
    import numpy as np

    found = np.asarray(found, dtype=np.float64)
    probabilities = np.zeros((len(found), n_classes))
    probabilities[:, present] = found
    # some libraries compute in float32
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def library_seconds(budget: AutoMLBudget, share: float, seconds: float = 0.0) -> float:
    """Return what to tell a library that takes `share` of its own limit, and `seconds` after it.

    At least a fifth of the budget.
    """
    return max(budget.seconds * share - seconds, 0.2 * budget.seconds)
