"""Long tables of results: one row per method, task and unit, as CSV, Parquet or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchbench.cards import TRACKS
from benchbench.errors import InputError, suggest
from benchbench.results.importers.published_rows import (
    PublishedResult,
    PublishedSuite,
    check_columns,
    csv_rows,
    number,
    status_of,
    text_of,
    whole_number,
)

__all__ = ["COLUMNS", "read_long"]

UNITS = ("fold", "seed", "unit")
COLUMNS = ("method", "task", *UNITS, "score", "loss", "metric", "seconds", "status", "message")
_ROWS_AT_ONCE = 10_000


def read_long(path: Path, suite: str, *, track: str, metric: str | None = None) -> list[PublishedSuite]:
    """Read a table with the columns `method`, `task`, and `score` or `loss`.

    A score is higher-is-better, a loss lower-is-better. Optional columns: `fold`, `seed` or `unit`
    (a whole number; 0 by default), `metric`, `seconds`, `status` (ok, failed, timeout, memory,
    crashed, declined; a row without a score needs one), `message`. Unknown columns are an error, so
    that a misspelt one is noticed.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.parquet``, or ``.json`` (a list of objects, or one object per line).
    suite : str
    track : str
    metric : str, optional
        Metric of files without such a column. A loss is stored negated, as ``neg_<metric>``.

    Raises
    ------
    InputError
    """
    if track not in TRACKS:
        raise InputError(f"unknown track {track!r}{suggest(track, TRACKS)}")
    results = [_result(row, where, metric) for where, row in _rows(path)]
    if not results:
        raise InputError(f"{path} has no results")
    return [PublishedSuite(name=suite, track=track, results=results)]


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    kind = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"file {path} does not exist")
    if kind == ".csv":
        rows: Iterator[tuple[str, Mapping[str, Any]]] = csv_rows(path, ("method", "task"))
    elif kind in (".parquet", ".pq"):
        rows = _parquet_rows(path)
    elif kind in (".json", ".jsonl", ".ndjson"):
        rows = _json_rows(path)
    else:
        raise InputError(f"{path}: unknown kind of file {kind!r}, expected .csv, .parquet or .json")
    checked: frozenset[str] = frozenset()
    for where, row in rows:
        if row.keys() != checked:
            _check_names(path, list(row))
            checked = frozenset(row)
        yield where, row


def _check_names(path: Path, names: list[str]) -> None:
    check_columns(path, names, ("method", "task"))
    for name in names:
        if name not in COLUMNS:
            raise InputError(f"{path} has an unknown column {name!r}{suggest(name, COLUMNS)}")
    for what, choices in (("score or loss", ("score", "loss")), ("fold, seed or unit", UNITS)):
        found = [name for name in choices if name in names]
        if len(found) > 1 or (not found and "score" in choices):
            raise InputError(f"{path}: expected one column of {what}, got {', '.join(found) or 'none'}")


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_names(path, list(file.schema_arrow.names))
            i = 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    i += 1
                    yield f"{path}, row {i}", row
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _json_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    try:
        if text.lstrip().startswith("["):
            rows = [(f"{path}, record {i}", row) for i, row in enumerate(json.loads(text), 1)]
        else:
            lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
            rows = [(f"{path}, line {i}", json.loads(line)) for i, line in lines]
    except json.JSONDecodeError as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    for where, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{where}: expected an object with the columns, got {str(row)[:80]}")
        yield where, row


def _result(row: Mapping[str, Any], where: str, metric: str | None) -> PublishedResult:
    is_loss = "loss" in row
    value = number(row["loss" if is_loss else "score"], "loss" if is_loss else "score", where)
    unit = next((name for name in UNITS if name in row), None)
    name = " ".join(str(row.get("metric") or metric or "").split())
    if not name:
        raise InputError(f"{where}: no metric; give it in a column `metric`, or for all rows with --metric")
    return PublishedResult(
        method=text_of(row["method"], "method", where),
        task=text_of(row["task"], "task", where),
        unit=whole_number(row[unit], unit, where) if unit else 0,
        status=status_of(row.get("status"), value, where),
        score=None if value is None else -value if is_loss else value,
        metric=f"neg_{name}" if is_loss else name,
        where=where,
        seconds=number(row.get("seconds"), "seconds", where) or 0.0,
        message=" ".join(str(row.get("message") or "").split()),
        unit_name="seed" if unit == "seed" else "fold",
    )
