"""Tables that models are tuned on: those that come with scikit-learn, and tasks of OpenML.

Importing this is light.

A task of OpenML is named "openml/31". Its declared categories become columns of zeros and ones (a
missing one is zeros everywhere); missing numbers are left as NaN, and so are those that are
infinite or too large for float32. Its own splits are not used: tuning problems have splits of their
own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchbench.contracts.loading import Progress
from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BUNDLED", "LiveTable", "check_name", "fingerprint", "is_regression", "prepare", "read"]

BUNDLED: dict[str, str] = {
    "breast_cancer": "classification",
    "digits": "classification",
    "iris": "classification",
    "wine": "classification",
    "diabetes": "regression",
}
"""Tables that come with scikit-learn, and what is predicted."""
OPENML = re.compile(r"openml/([1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class LiveTable:
    """A table in numbers.

    Parameters
    ----------
    x : (n_rows, n_columns) float64 array
        NaN where missing.
    y : (n_rows,) array
        Whole numbers for classes, or values.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]


def check_name(table: str) -> None:
    """Raise `UnknownNameError` if there is no such table."""
    if table not in BUNDLED and OPENML.fullmatch(table) is None:
        raise UnknownNameError("table", table, BUNDLED, 'Tasks of OpenML are named like "openml/31"')


def prepare(table: str, progress: Progress) -> None:
    """Make a table ready; those of scikit-learn always are."""
    number = _task_id(table)
    if number is not None:
        from benchbench.suites._openml_tasks import prepare_task

        prepare_task(number, progress)


def is_regression(table: str) -> bool:
    """Return what is predicted; a task of OpenML has to be ready."""
    number = _task_id(table)
    if number is None:
        return BUNDLED[table] == "regression"
    from benchbench.suites._openml_tasks import task_facts

    return task_facts(number).kind == "regression"


def fingerprint(table: str) -> str:
    """Return a hash of a table's data.

    Empty for those of scikit-learn, whose version identifies them.
    """
    number = _task_id(table)
    if number is None:
        return ""
    from benchbench.suites._openml_tasks import fingerprint_task

    return fingerprint_task(number)


def read(table: str) -> LiveTable:
    """Return a table that is ready.

    Raises
    ------
    InputError
        If it has columns of text, or no columns at all.
    """
    number = _task_id(table)
    if number is not None:
        return _read_openml(number)
    import sklearn.datasets

    return LiveTable(*getattr(sklearn.datasets, f"load_{table}")(return_X_y=True))


def _task_id(table: str) -> int | None:
    found = OPENML.fullmatch(table)
    return int(found[1]) if found else None


def _read_openml(task_id: int) -> LiveTable:
    import numpy as np

    from benchbench.suites._openml_tasks import load_task

    task = load_task(task_id)
    if not task.facts.columns:
        raise InputError(f"OpenML task {task_id} has no features that are not ignored: it cannot be tuned on")
    parts, frame = [], task.frame
    for name, kind in task.facts.columns.items():
        column = frame[name]
        if kind == "string":
            raise InputError(f"OpenML task {task_id} has text in column {name!r}: this table cannot be tuned on")
        if kind == "numeric":
            values = column.to_numpy(np.float64)
            if name in task.facts.out_of_range:
                values = np.where(np.abs(values) > np.finfo(np.float32).max, np.nan, values)
            parts.append(values[:, None])
        else:
            codes = column.cat.codes.to_numpy()
            parts.append((codes[:, None] == np.arange(len(column.cat.categories))).astype(np.float64))
    target = task.target
    y = target.to_numpy(np.float64) if task.facts.kind == "regression" else target.cat.codes.to_numpy(np.int64)
    return LiveTable(np.concatenate(parts, 1), y)
