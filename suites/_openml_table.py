"""A stored OpenML task: features as an Arrow file, target and splits as arrays, facts as JSON.

Kinds of columns: "numeric" (int64 if every value is a whole number and none is missing, else
float64), "nominal" (categories as declared, in their order, whether they occur or not) and
"string". Missing values are NaN or null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError
from benchbench.frames import read_table
from benchbench.spec import content_hash
from benchbench.suites._prepared import Built, Prepared, array_hash
from benchbench.suites._tables import kept_table, kept_target, table_parts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["OpenMLTask", "Split", "TaskFacts", "built_of", "data_hash", "facts_of", "task_of"]

PAIRS = ("columns", "out_of_range")
"""Facts that manifests hold as pairs, since the order matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """What is known of a task without its data.

    Parameters
    ----------
    task_id, dataset_id : int
        OpenML's numbers.
    name, version : str, int
        Of the data set.
    kind : str
        "binary", "multiclass" or "regression".
    target : str
        Name of the column to be predicted.
    measure : str or None
        OpenML's evaluation measure for the task, if it names one.
    classes : tuple of str
        Class labels in the declared order, whether they occur or not; () for regression.
    columns : mapping of str to str
        Features in their order, each with its kind: "numeric", "nominal" or "string".
    n_rows, n_missing : int
        Rows; missing values among the features.
    n_repeats, n_folds, n_samples : int
        Of the splits.
    procedure : str
        What the splits are: "crossvalidation", "holdout", ...
    has_official_splits : bool
        Whether they are OpenML's own.
    licence : str or None
        As OpenML states it.
    out_of_range : mapping of str to int
        Numeric features with values that are infinite or too large for float32, each with the
        number of such values.
    warnings : tuple of str
        What is questionable about the data, one sentence each.
    """

    task_id: int
    dataset_id: int
    name: str
    version: int
    kind: str
    target: str
    measure: str | None
    classes: tuple[str, ...]
    columns: Mapping[str, str]
    n_rows: int
    n_missing: int
    n_repeats: int
    n_folds: int
    n_samples: int
    procedure: str
    has_official_splits: bool
    licence: str | None
    out_of_range: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """One of the splits; `train` and `test` are row numbers, (n,) int32, in OpenML's order."""

    repeat: int
    fold: int
    sample: int
    train: NDArray[np.int32]
    test: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenMLTask:
    """A task with its data.

    Parameters
    ----------
    facts : TaskFacts
    table : Path
        The file of the features, (n_rows, n_features); dtypes as the module says.
    target : Series
        (n_rows,), without missing values; for classification a category whose categories are
        `facts.classes`.
    split_index : array
        (n_splits, 6) int64: repeat, fold, sample, and in `split_rows` where the training rows
        begin, where the test rows begin, and where they end; memory-mapped.
    split_rows : array
        int32, memory-mapped.
    """

    facts: TaskFacts
    table: Path
    target: pd.Series[Any]
    split_index: NDArray[np.int64]
    split_rows: NDArray[np.int32]

    @property
    def frame(self) -> pd.DataFrame:
        """The features, read again; rows numbered from 0."""
        return read_table(self.table)

    def fold(self, repeat: int, fold: int, sample: int = 0) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the numbers of the training rows and of the test rows, read-only.

        Raises
        ------
        InputError
            If the task has no such split.
        """
        found = (self.split_index[:, :3] == (repeat, fold, sample)).all(axis=1).nonzero()[0]
        if len(found) != 1:
            facts = self.facts
            raise InputError(
                f"task {facts.task_id} has no repeat {repeat}, fold {fold}, sample {sample}; it has {facts.n_repeats}"
                f" repeats of {facts.n_folds} folds with {facts.n_samples} samples, numbered from 0"
            )
        first, middle, last = self.split_index[found[0], 3:].tolist()
        return self.split_rows[first:middle], self.split_rows[middle:last]


def built_of(
    facts: TaskFacts, frame: pd.DataFrame, target: pd.Series[Any], splits: Sequence[Split], notes: Mapping[str, Any]
) -> Built:
    """Return what is kept of a task; `notes` go into the manifest beside the facts."""
    import numpy as np
    import pandas as pd

    arrays, files = table_parts(frame, target)
    sizes = np.array([(len(s.train), len(s.test)) for s in splits], np.int64)
    ends = sizes.ravel().cumsum().reshape(-1, 2)
    places = np.column_stack([ends[:, 0] - sizes[:, 0], ends])
    numbers = np.array([(s.repeat, s.fold, s.sample) for s in splits], np.int64)
    return Built(
        arrays={
            **arrays,
            "split_index": np.column_stack([numbers, places]),
            "split_rows": np.concatenate([rows for s in splits for rows in (s.train, s.test)]).astype(np.int32),
        },
        files=files,
        # as pairs: the manifest sorts the keys of mappings
        notes={
            "facts": {**asdict(facts), **{name: list(getattr(facts, name).items()) for name in PAIRS}},
            "table": _table_hash(pd.concat([frame, target], axis=1)),
            **notes,
        },
    )


def facts_of(prepared: Prepared) -> TaskFacts:
    """Return the facts from the manifest."""
    found = prepared.notes["facts"]
    lists = {name: tuple(found.get(name, ())) for name in ("classes", "warnings")}
    pairs = {name: dict(found.get(name, ())) for name in PAIRS}
    return TaskFacts(**{**found, **lists, **pairs})


def data_hash(prepared: Prepared) -> str:
    """Hash of the table's values and of the splits.

    Unlike that of the file it is the same for every library version.
    """
    return content_hash({"table": prepared.notes["table"], "splits": prepared.content_of("split_index", "split_rows")})


def task_of(prepared: Prepared) -> OpenMLTask:
    """Load a task; table and splits stay memory-mapped.

    Raises
    ------
    DataMissingError
        If a file is missing or damaged.
    """
    facts = facts_of(prepared)
    return OpenMLTask(
        facts=facts,
        table=kept_table(prepared),
        target=kept_target(prepared, facts.target, facts.classes),
        split_index=prepared.array("split_index"),
        split_rows=prepared.array("split_rows"),
    )


def _table_hash(table: pd.DataFrame) -> str:
    """Hash names, order, types and values of the columns."""
    return content_hash([[name, _column_hash(table[name])] for name in table.columns])


def _column_hash(column: pd.Series[Any]) -> list[Any]:
    import numpy as np

    if column.dtype.name == "category":
        return [column.cat.categories.tolist(), array_hash(column.cat.codes.to_numpy(np.int32))]
    if column.dtype.kind in "if":
        return [array_hash(column.to_numpy())]
    return [content_hash([None if missing else text for text, missing in zip(column, column.isna(), strict=True)])]
