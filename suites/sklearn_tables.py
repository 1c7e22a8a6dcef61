"""The real tables that come with scikit-learn, in ten folds: no download.

The folds are made here with seed 0 (stratified for classification), so results are not to be set
beside published ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.automl import METRICS, TableInfo, TableTask
from benchbench.contracts.loading import GENERATED, Progress, TaskLoader
from benchbench.errors import UnknownNameError
from benchbench.spec import content_hash
from benchbench.suites._options import read_options
from benchbench.suites._prepared import Built, Prepared, find, folder_of, prepare
from benchbench.suites._tables import kept_table, kept_target, table_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TABLES", "SklearnLoader", "SklearnOptions"]

PREPARED = "sklearn"
VERSION = 1
"""Raised when tables or folds change; a test holds them."""
N_FOLDS = 10
SPLIT_SEED = 0
TARGET = "target"

TABLES = {
    "breast_cancer": "binary",
    "diabetes": "regression",
    "digits": "multiclass",
    "iris": "multiclass",
    "wine": "multiclass",
}
"""Tables, and the kind of task each is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SklearnOptions:
    """Options of the loader.

    Parameters
    ----------
    table : str
        One of `TABLES`.
    """

    table: str


class SklearnLoader(TaskLoader):
    """Tables of `sklearn.datasets`."""

    name = "sklearn"
    track: ClassVar[str] = "automl"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        table = read_options(SklearnOptions, options, self.name).table
        if table not in TABLES:
            raise UnknownNameError("table of scikit-learn", table, TABLES)

    def info(self, name: str, options: Mapping[str, Any]) -> TableInfo:
        """See the base class; the table has to be ready."""
        return _info(name, self._table(options), self._found(options))

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """See the base class; the tables come with scikit-learn."""
        table = self._table(options)
        prepare(PREPARED, _identity(table), partial(_build, table), progress)

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """See the base class."""
        return [folder_of(PREPARED, _identity(self._table(options)))]

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class; `VERSION` identifies the data."""
        table = self._table(options)
        self._found(options)
        return content_hash({"loader": self.name, "version": VERSION, "table": table}) + GENERATED

    def n_splits(self, options: Mapping[str, Any]) -> int:
        """See the base class."""
        return N_FOLDS

    def load(self, name: str, options: Mapping[str, Any]) -> TableTask:
        """See the base class."""
        found = self._found(options)
        info = _info(name, self._table(options), found)

        def split(number: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
            import numpy as np

            is_test = found.array("folds") == number
            return np.flatnonzero(~is_test).astype(np.int32), np.flatnonzero(is_test).astype(np.int32)

        return TableTask(
            info=info, table=kept_table(found), target=kept_target(found, TARGET, info.classes), split=split
        )

    def _table(self, options: Mapping[str, Any]) -> str:
        self.check(options)
        return read_options(SklearnOptions, options, self.name).table

    def _found(self, options: Mapping[str, Any]) -> Prepared:
        return find(PREPARED, _identity(self._table(options)))


def _identity(table: str) -> dict[str, Any]:
    return {"table": table, "version": VERSION}


def _info(name: str, table: str, found: Prepared) -> TableInfo:
    kind, notes = TABLES[table], found.notes
    return TableInfo(
        name=name,
        kind=kind,
        metric=METRICS[kind],
        target=TARGET,
        classes=tuple(notes["classes"]),
        columns=dict.fromkeys(notes["columns"], "numeric"),
        n_rows=notes["n_rows"],
    )


def _build(table: str) -> Built:
    import numpy as np
    import pandas as pd
    import sklearn.datasets
    from sklearn.model_selection import KFold, StratifiedKFold

    data = getattr(sklearn.datasets, f"load_{table}")(as_frame=True)
    frame, target = data.data, data.target
    classes: list[str] = [] if TABLES[table] == "regression" else [str(c) for c in data.target_names]
    makers: Any = StratifiedKFold if classes else KFold
    folds = np.empty(len(frame), np.int8)
    for number, (_, test) in enumerate(makers(N_FOLDS, shuffle=True, random_state=SPLIT_SEED).split(frame, target)):
        folds[test] = number
    if classes:
        target = pd.Series(pd.Categorical.from_codes(target.to_numpy(), classes))
    arrays, files = table_parts(frame, target)
    notes = {"source": "scikit-learn", "classes": classes, "columns": list(frame.columns), "n_rows": len(frame)}
    return Built(arrays={**arrays, "folds": folds}, files=files, notes=notes)
