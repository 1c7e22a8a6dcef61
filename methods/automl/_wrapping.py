"""Shared by the wrapped systems: frames, names of columns, probabilities, the remaining time.

Shapes: n rows, c classes of the task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchbench.methods.automl._encoding import known_numbers

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from benchbench.contracts.automl import AutoMLBudget

__all__ = ["PlainFrames", "library_seconds", "plain_names", "real_names", "spread"]

MOST_NAMES = 10


class PlainFrames:
    """Turns rows into frames that no library stumbles over.

    Columns are named f0, f1, ... in their order: libraries refuse characters such as ``"[,:``, or
    misread them. Numbers that are infinite or too large are missing. Texts become categories, with
    the values of the training rows; others are missing.

    Parameters
    ----------
    columns : mapping of str to str
        Features in their order, each with its kind.
    keeps_texts : bool
        Whether texts stay texts, for a library that reads them.
    """

    def __init__(self, columns: Mapping[str, str], *, keeps_texts: bool = False) -> None:
        self.columns = columns
        self.names = plain_names(columns)
        self.texts = [] if keeps_texts else [name for name, kind in columns.items() if kind == "string"]

    def fit(self, rows: pd.DataFrame) -> PlainFrames:
        """Learn the values of texts."""
        self.known = {name: sorted(rows[name].dropna().unique()) for name in self.texts}
        return self

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows under their plain names."""
        import pandas as pd

        return pd.DataFrame(
            {plain: self._plain(rows[name], name) for plain, name in self.names.items()}, index=rows.index
        )

    def _plain(self, column: pd.Series[Any], name: str) -> Any:
        import pandas as pd

        if name in self.known:
            return pd.Categorical(column, categories=self.known[name])
        return known_numbers(column) if column.dtype.kind == "f" else column


def plain_names(columns: Mapping[str, str]) -> dict[str, str]:
    """Return names that every library takes, f0, f1, ..., and the columns that they stand for."""
    return {f"f{i}": name for i, name in enumerate(columns)}


@contextmanager
def real_names(names: Mapping[str, str]) -> Iterator[None]:
    """Add to a library's error which columns the names in its message stand for."""
    try:
        yield
    except Exception as error:
        found = dict.fromkeys(re.findall(r"\bf\d+\b", str(error)))
        known = [f"{plain} is column {names[plain]!r}" for plain in found if plain in names]
        if known:
            error.add_note(", ".join(known[:MOST_NAMES]))
        raise


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
