"""What is kept of an AutoML task's table: all features as one Arrow file, the target as an array.

A method in an environment of its own learns only about this file. It is mapped into memory by
every trial, whatever its split, so a host reads it once; nothing of the target is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.frames import write_table
from benchbench.suites._prepared import Prepared

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["kept_table", "kept_target", "table_parts"]

TABLE = "table.arrow"
TARGET = "target"


def table_parts(
    frame: pd.DataFrame, target: pd.Series[Any]
) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Callable[[Path], object]]]:
    """Return the arrays and the files that `Built` takes.

    Parameters
    ----------
    frame : DataFrame
        (n_rows, n_features)
    target : Series
        (n_rows,), without missing values: a category, of which the places of the classes are kept,
        or numbers.
    """
    values = target.cat.codes if target.dtype.name == "category" else target
    return {TARGET: values.to_numpy()}, {TABLE: partial(write_table, frame)}


def kept_table(prepared: Prepared) -> Path:
    """Return the file of the features; raises as `Prepared.file` does."""
    return prepared.file(TABLE)


def kept_target(prepared: Prepared, name: str, classes: Sequence[str]) -> pd.Series[Any]:
    """Return the target, of these classes if there are any; raises as `Prepared.array` does."""
    import pandas as pd

    values = prepared.array(TARGET)
    return pd.Series(pd.Categorical.from_codes(values, list(classes)) if classes else values, name=name)
