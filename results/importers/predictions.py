"""Predictions of test rows: ARFF as OpenML's runs hold them, or CSV with a column per class.

References
----------
https://docs.openml.org/concepts/runs/ (columns repeat, fold, row_id, prediction, correct,
confidence.CLASS)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchbench.arff import arff_rows
from benchbench.errors import InputError
from benchbench.results.importers.published_rows import csv_rows, number, text_of, whole_number

__all__ = ["Predictions", "read_predictions"]

_CONFIDENCE = re.compile(r"confidence[._]|p[._](?=.)")
_KNOWN = frozenset({"repeat", "fold", "sample", "row_id", "prediction", "correct", "truth"})


@dataclass(slots=True)
class Predictions:
    """What a file predicts.

    Parameters
    ----------
    task_id : int or None
        The task of OpenML that the file names.
    splits : mapping
        By (repeat, fold): by row, the predicted class or value, the probabilities by class, and the
        true class or value as the file has it ("" if it does not say).
    """

    task_id: int | None = None
    splits: dict[tuple[int, int], dict[int, tuple[str, dict[str, float], str]]] = field(default_factory=dict)


def read_predictions(path: Path, fold: int = 0) -> Predictions:
    """Return the predictions of a file; rows without a fold are of `fold`.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or predicts a row twice.
    """
    if not path.is_file():
        raise InputError(f"file {path} does not exist; expected predictions as ARFF or CSV")
    is_arff = path.suffix.lower() == ".arff"
    found = Predictions(_task_id(path) if is_arff else None)
    rows: Iterator[tuple[str, dict[str, str | None]]] = (
        arff_rows(path) if is_arff else ((w, dict(r)) for w, r in csv_rows(path, ("row_id", "prediction")))
    )
    for where, row in rows:
        if missing := [name for name in ("row_id", "prediction") if name not in row]:
            raise InputError(f"{path} has no column {missing[0]!r}; its columns are {', '.join(row)}")
        key = (
            whole_number(row.get("repeat") or 0, "repeat", where),
            whole_number(row.get("fold") or fold, "fold", where),
        )
        own = found.splits.setdefault(key, {})
        row_id = whole_number(row["row_id"], "row_id", where)
        if row_id in own:
            raise InputError(f"{where}: row {row_id} of repeat {key[0]}, fold {key[1]} is predicted twice")
        truth = row.get("correct") or row.get("truth") or ""
        own[row_id] = text_of(row["prediction"], "prediction", where), _probabilities(row, where), truth
    if not found.splits:
        raise InputError(f"{path} holds no predictions")
    return found


def _probabilities(row: dict[str, str | None], where: str) -> dict[str, float]:
    marked = {name for name in row if _CONFIDENCE.match(name)}
    # without the prefix of OpenML, every column that is not known is a class
    names = marked or {name for name in row if name not in _KNOWN}
    found = {}
    for name in names:
        value = number(row[name], name, where)
        if value is None:
            raise InputError(f"{where}: {name} is empty, expected a probability")
        found[_CONFIDENCE.sub("", name, count=1) if name in marked else name] = value
    return found


def _task_id(path: Path) -> int | None:
    """Return the task that the relation names, as `openml_task_59_predictions`."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            if line.lower().startswith("@relation"):
                match = re.search(r"openml_task_(\d+)_predictions", line)
                return int(match[1]) if match else None
    return None
