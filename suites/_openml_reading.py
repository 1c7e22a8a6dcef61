"""Turns what openml-python reads of a task into our table, and checks it against OpenML's record.

Nothing here imports openml; its objects are passed in.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError
from benchbench.suites._openml_arff import read_arff
from benchbench.suites._openml_files import TABLE, Damaged, Originals, xml_texts
from benchbench.suites._openml_ignored import ignored_columns
from benchbench.suites._openml_ranges import count_out_of_range, range_warnings
from benchbench.suites._openml_table import Split, TaskFacts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Content", "check_table", "read_content", "read_splits", "read_table", "refuse_unreadable"]

CLASSIFICATION = ("Supervised Classification", "Learning Curve")
REGRESSION = ("Supervised Regression",)
PARTITIONS = ("crossvalidation", "leaveoneout")
"""Procedures whose test rows, over all folds of a repeat, are the rows of the table, each once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All of a task: features, target, splits, facts."""

    facts: TaskFacts
    frame: pd.DataFrame
    target: pd.Series[Any]
    splits: Sequence[Split]


def refuse_unreadable(dataset: Any, task_id: int) -> None:
    """Raise `InputError` if the data set has columns of dates, or of types that are not read."""
    where = f"data set {dataset.dataset_id} ({dataset.name}) of OpenML task {task_id}"
    for feature in dataset.features.values():
        if feature.data_type not in ("numeric", "nominal", "string"):
            raise InputError(
                f"column {feature.name!r} of {where} holds values of type {feature.data_type!r}; expected numeric, nominal"
                " or string: leave the task out"
            )


def read_table(files: Mapping[str, Path]) -> pd.DataFrame:
    """Return all columns of a data set, with the names and types of its ARFF or Parquet file.

    Raises as `benchbench.suites._openml_arff.read_arff` does, or what pandas raises.
    """
    import pandas as pd

    if TABLE in files:
        return read_arff(files[TABLE])
    return pd.read_parquet(next(path for name, path in files.items() if name.endswith(".pq")))


def read_content(task: Any, dataset: Any, table: pd.DataFrame, originals: Originals) -> Content:
    """Return the task in our form.

    Parameters
    ----------
    task, dataset : openml.OpenMLTask, openml.OpenMLDataset
    table : DataFrame
        All columns of the data set, as `read_table` returns them.
    originals : Originals

    Raises
    ------
    Damaged
        If something is missing, or contradicts what OpenML says.
    InputError
        If the task is of a kind that cannot be used.
    """
    import pandas as pd

    where = f"OpenML task {task.task_id}"
    check_table(table, dataset, originals.dataset.files, where)
    headed, table = list(table.columns), _as_named(table, dataset)
    is_regression = task.task_type in REGRESSION
    if not is_regression and task.task_type not in CLASSIFICATION:
        raise InputError(f"{where} is of type {task.task_type!r}; expected classification or regression")
    if task.target_name not in table.columns:
        raise Damaged(f"{where} has the target {task.target_name!r}, which is no column of its data set")
    declared = {f.name: f for f in dataset.features.values()}
    kinds = {name: declared[name].data_type for name in table.columns}
    frame = pd.concat([_typed(table[name], declared[name], where) for name in table.columns], axis=1)
    target = frame.pop(task.target_name)
    of_data = f"data set {dataset.dataset_id} ({dataset.name}) of {where}"
    ignored = ignored_columns(originals.dataset.files, list(table.columns), headed, of_data)
    frame = frame.drop(columns=[name for name in frame.columns if name in ignored])
    _check_target(target, kinds[task.target_name], is_regression, where)
    splits = read_splits(task, len(table))
    classes = () if is_regression else tuple(target.cat.categories)
    out_of_range = count_out_of_range(frame)
    repeats, folds, samples = ({getattr(s, part) for s in splits} for part in ("repeat", "fold", "sample"))
    facts = TaskFacts(
        task_id=originals.task.number,
        dataset_id=originals.dataset.number,
        name=str(dataset.name),
        version=int(dataset.version),
        kind="regression" if is_regression else "binary" if len(classes) == 2 else "multiclass",
        target=task.target_name,
        measure=task.evaluation_measure or None,
        classes=classes,
        columns={name: kinds[name] for name in frame.columns},
        n_rows=len(table),
        n_missing=int(frame.isna().to_numpy().sum()),
        n_repeats=len(repeats),
        n_folds=len(folds),
        n_samples=len(samples),
        procedure=str(task.estimation_procedure["type"]),
        has_official_splits=originals.has_official_splits,
        licence=dataset.licence,
        out_of_range=out_of_range,
        warnings=range_warnings(out_of_range, count_out_of_range(target.to_frame())),
    )
    return Content(facts=facts, frame=frame, target=target, splits=splits)


def check_table(table: pd.DataFrame, dataset: Any, files: Mapping[str, Path], where: str) -> None:
    """Compare the table with what OpenML has on record of it: hash, rows, columns.

    Raises `Damaged`.
    """
    arff = files.get(TABLE)
    if arff is not None and dataset.md5_checksum:
        with arff.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != dataset.md5_checksum:
            raise Damaged(f"{arff} has MD5 {found}, OpenML has {dataset.md5_checksum} on record")
    if "qualities.xml" in files:
        path = files["qualities.xml"]
        qualities = dict(zip(xml_texts(path, "name"), xml_texts(path, "value"), strict=False))
        n_rows = qualities.get("NumberOfInstances")
        if n_rows and int(float(n_rows)) != len(table):
            raise Damaged(
                f"the table of {where} has {len(table)} rows, OpenML says {float(n_rows):.0f}: it was cut off"
            )
    if len(table.columns) != len(dataset.features):
        raise Damaged(
            f"the table of {where} has {len(table.columns)} columns, features.xml names {len(dataset.features)}"
        )


def _as_named(table: pd.DataFrame, dataset: Any) -> pd.DataFrame:
    """Give the columns the names of features.xml, by which task and data set speak of them."""
    names = [feature.name for feature in dataset.features.values()]
    # ARFF has other rules for quotes and spaces; the order is the same
    return table if set(names) == set(table.columns) else table.set_axis(names, axis=1)


def _typed(column: pd.Series[Any], feature: Any, where: str) -> pd.Series[Any]:
    """Return the column in its type, whatever the file makes of it."""
    import numpy as np
    import pandas as pd

    if feature.data_type == "nominal":
        categories = column.astype("category").cat
        spelt, labels = _labels(categories.categories.tolist(), feature, where)
        return categories.rename_categories(spelt).cat.set_categories(labels, ordered=False)
    if feature.data_type == "string":
        return column.astype("string")
    try:
        values = column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise Damaged(f"column {feature.name!r} of {where} should be numeric: {error}") from error
    # beyond that, float64 does not hold every whole number
    is_whole = bool(len(values)) and bool((np.abs(values) < 2**53).all()) and bool((values == np.rint(values)).all())
    return pd.Series(values.astype(np.int64) if is_whole else values, index=column.index, name=column.name)


def _labels(found: list[Any], feature: Any, where: str) -> tuple[list[str], list[str]]:
    """Return the texts of the file's categories, and all declared ones in their order.

    Parquet may hold truth values and numbers: features.xml has the texts.
    """
    declared = list(feature.nominal_values)
    spelt = [_spelling(label, declared) for label in found]
    odd = [label for label, text in zip(found, spelt, strict=True) if text is None]
    if not odd:
        return [text for text in spelt if text is not None], declared
    if all(isinstance(label, str) for label in found):
        # the header of the ARFF file declares them too, and is what the values were read by
        return found, found
    raise Damaged(f"column {feature.name!r} of {where} has categories {odd[:3]}, expected some of {declared[:5]}")


def _spelling(label: Any, declared: list[str]) -> str | None:
    """Return the declared text of a label, None if it has none."""
    if str(label) not in declared and str(label).lower() in ("true", "false"):
        return next((text for text in declared if text.lower() == str(label).lower()), None)
    whole = str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
    return next((text for text in (str(label), whole) if text in declared), None)


def _check_target(target: pd.Series[Any], kind: str, is_regression: bool, where: str) -> None:
    import numpy as np

    expected = "numeric" if is_regression else "nominal"
    if kind != expected:
        raise InputError(f"target {target.name!r} of {where} is {kind}; expected {expected}: leave the task out")
    n_missing = int(target.isna().sum())
    if n_missing:
        raise InputError(
            f"target {target.name!r} of {where} lacks {n_missing} values; expected none: leave the task out"
        )
    if is_regression and (n_infinite := int(np.isinf(target.to_numpy()).sum())):
        raise InputError(
            f"target {target.name!r} of {where} has {n_infinite} infinite values; expected none: leave the task out"
        )
    if not is_regression and len(target.cat.categories) < 2:
        raise InputError(f"target {target.name!r} of {where} declares fewer than two classes: leave the task out")


def read_splits(task: Any, n_rows: int | None) -> list[Split]:
    """Return the splits in order; `n_rows` None if it is not known yet.

    Raises
    ------
    Damaged
        If they are incomplete: repeats or folds are missing, or those of a cross-validation do not
        partition the rows.
    """
    import numpy as np

    where = f"splits of OpenML task {task.task_id}"
    found = (task.split or task.download_split()).split
    splits = [
        Split(repeat, fold, sample, np.asarray(part[0], np.int32), np.asarray(part[1], np.int32))
        for repeat, folds in sorted(found.items())
        for fold, samples in sorted(folds.items())
        for sample, part in sorted(samples.items())
    ]
    parameters = task.estimation_procedure["parameters"] or {}
    is_partition = task.estimation_procedure["type"] in PARTITIONS
    n_folds = str(parameters.get("number_folds") or "")
    n_repeats = str(parameters.get("number_repeats") or "")
    repeats = {s.repeat for s in splits}
    if n_repeats.isdecimal() and len(repeats) != int(n_repeats):
        raise Damaged(f"{where} have {len(repeats)} repeats, expected {n_repeats}")
    for repeat, group in itertools.groupby(splits, lambda s: s.repeat):
        members = list(group)
        tests = {s.fold: s.test for s in members}
        if is_partition and n_folds.isdecimal() and len(tests) != int(n_folds):
            raise Damaged(f"{where} have {len(tests)} folds in repeat {repeat}, expected {n_folds}")
        if is_partition:
            _check_partition(list(tests.values()), n_rows, f"{where}, repeat {repeat},")
        for split in members:
            _check_split(
                split, n_rows, is_partition and len(members) == len(tests), sum(map(len, tests.values())), where
            )
    return splits


def _check_partition(tests: list[NDArray[np.int32]], n_rows: int | None, where: str) -> None:
    import numpy as np

    rows = np.sort(np.concatenate(tests))
    n = len(rows) if n_rows is None else n_rows
    if len(rows) != n or not np.array_equal(rows, np.arange(n)):
        raise Damaged(
            f"{where} test {len(rows)} rows, {len(np.unique(rows))} of them different, expected each of {n} once"
        )


def _check_split(split: Split, n_rows: int | None, is_whole: bool, n_all: int, where: str) -> None:
    import numpy as np

    place = f"{where}, repeat {split.repeat}, fold {split.fold}, sample {split.sample}:"
    train = np.unique(split.train)
    if not len(train) or not len(split.test):
        raise Damaged(f"{place} {len(train)} training and {len(split.test)} test rows, expected some of each")
    last = max(int(train[-1]), int(split.test.max()))
    if min(int(train[0]), int(split.test.min())) < 0 or (n_rows is not None and last >= n_rows):
        raise Damaged(f"{place} row {last} is beyond the table's {n_rows} rows")
    if np.intersect1d(train, split.test).size:
        raise Damaged(f"{place} rows stand in training and in test")
    if is_whole and len(train) + len(split.test) != n_all:
        raise Damaged(f"{place} {len(train)} training and {len(split.test)} test rows, expected {n_all} in all")
