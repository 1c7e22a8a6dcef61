"""The real tables that come with scikit-learn, in ten folds: no download.

The folds are made here with seed 0 (stratified for classification), so results are not to be set beside published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.automl import METRICS, TableInfo, TableTask
from benchbench.contracts.loading import GENERATED, Progress, TaskLoader
from benchbench.errors import UnknownNameError
from benchbench.spec import content_hash
from benchbench.suites._options import read_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TABLES", "SklearnLoader", "SklearnOptions"]

VERSION = 1
"""Raised when tables or folds change; a test holds them."""
N_FOLDS = 10
SPLIT_SEED = 0

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
        """See the base class."""
        return self.load(name, options).info

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Check the options: the tables are part of scikit-learn."""
        self.check(options)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class; `VERSION` stands for the data."""
        self.check(options)
        table = read_options(SklearnOptions, options, self.name).table
        return content_hash({"loader": self.name, "version": VERSION, "table": table}) + GENERATED

    def n_splits(self, options: Mapping[str, Any]) -> int:
        """See the base class."""
        return N_FOLDS

    def load(self, name: str, options: Mapping[str, Any]) -> TableTask:
        """See the base class."""
        self.check(options)
        return _load(name, read_options(SklearnOptions, options, self.name).table)


# a trial asks for the description and then for the data
@lru_cache(maxsize=1)
def _load(name: str, table: str) -> TableTask:
    import pandas as pd
    import sklearn.datasets
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = TABLES[table]
    data = getattr(sklearn.datasets, f"load_{table}")(as_frame=True)
    frame, y = data.data, data.target
    classes = () if kind == "regression" else tuple(str(c) for c in data.target_names)
    folds: Any = KFold if kind == "regression" else StratifiedKFold
    splits = list(folds(N_FOLDS, shuffle=True, random_state=SPLIT_SEED).split(frame, y))
    if classes:
        y = pd.Series(pd.Categorical.from_codes(y.to_numpy(), list(classes)), name="target")

    def split(number: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        train, test = splits[number]
        return train.astype("int32"), test.astype("int32")

    return TableTask(
        info=TableInfo(
            name=name,
            kind=kind,
            metric=METRICS[kind],
            target="target",
            classes=classes,
            columns=dict.fromkeys(frame.columns, "numeric"),
            n_rows=len(frame),
        ),
        frame=frame,
        target=y,
        split=split,
    )
