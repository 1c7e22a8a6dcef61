"""Long tables of results: one row per method, task and unit, as CSV, Parquet or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchbench.cards import TRACKS
from benchbench.errors import InputError, suggest
from benchbench.records import CurvePoint
from benchbench.results.importers.published_rows import (
    PublishedResult,
    PublishedSuite,
    blanked,
    check_columns,
    csv_rows,
    number,
    status_of,
    text_of,
    whole_number,
    without_repeats,
)
from benchbench.text import clean_name

__all__ = ["COLUMNS", "curves_of", "read_long"]

UNITS = ("fold", "seed", "unit")
COLUMNS = (
    *("method", "task", *UNITS, "score", "loss", "metric", "seconds", "status", "message"),
    *("step", "budget"),
)
_ROWS_AT_ONCE = 10_000


def read_long(
    path: Path,
    suite: str,
    *,
    track: str,
    metric: str | None = None,
    repeated: str | None = None,
    na: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
    lower_is_better: bool = False,
) -> list[PublishedSuite]:
    """Read a table with the columns `method`, `task`, and `score` or `loss`.

    A score is higher-is-better, a loss lower-is-better. Optional columns: `fold`, `seed` or `unit`
    (a whole number; 0 by default), `metric`, `seconds`, `status` (ok, failed, timeout, memory,
    crashed, declined; a row without a score needs one), `message`. With `step` the rows of a
    method, task and unit are a curve: values after so many evaluations, of which the best one so
    far counts; `budget` says how many evaluations were allowed. Unknown columns are an error, so
    that a misspelt one is noticed.

    Parameters
    ----------
    path : Path
        ``.csv`` (also in ``.zip`` or ``.gz``), ``.parquet``, or ``.json`` (a list of objects, or
        one object per line).
    suite : str
    track : str
        Letters, digits, dashes and underscores. Published suites may have a track that no protocol
        here runs.
    metric : str, optional
        Metric of files without such a column. A loss is stored negated, as ``neg_<metric>``.
    repeated : str, optional
        Which of several rows of one method, task and unit counts: "newest" (the last) or "first";
        None: they are refused.
    na : collection of str
        Words for a missing value.
    columns : mapping of str to str, optional
        Columns here to columns of the file. Others of the file are then not read, unless they have
        a name of `COLUMNS`.
    lower_is_better : bool
        Whether `score` is a loss.

    Raises
    ------
    InputError
    """
    if (likely := suggest(track, TRACKS)) and track not in TRACKS:
        raise InputError(f"unknown track {track!r}{likely}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", track):
        raise InputError(
            f"unknown track {track!r}, which is not a name (letters, digits, dash, underscore); give --track, as"
            f" {', '.join(TRACKS)}, or one of your own"
        )
    names = dict(columns or {})
    for ours in names:
        if ours not in COLUMNS:
            raise InputError(
                f"--map {ours}=...: unknown column {ours!r}{suggest(ours, COLUMNS)}; accepted are {', '.join(COLUMNS)}"
            )
    rows = [(where, _named(row, names, lower_is_better)) for where, row in _rows(path, na, names)]
    if not rows:
        raise InputError(f"{path} has no results")
    if "step" in rows[0][1]:
        results: Sequence[PublishedResult] = curves_of(rows, metric)
        notes: tuple[str, ...] = ()
    else:
        results, notes = without_repeats([_result(row, where, metric) for where, row in rows], repeated)
    notes += unlike_tracks(track)
    return [PublishedSuite(name=suite, track=track, results=results, notes=notes)]


def unlike_tracks(track: str) -> tuple[str, ...]:
    """Return a note on a track that this platform does not run."""
    if track in TRACKS:
        return ()
    return (f"track {track!r} is of published suites alone; those run here are {', '.join(TRACKS)}",)


def _named(row: Mapping[str, Any], names: Mapping[str, str], lower_is_better: bool) -> Mapping[str, Any]:
    """Return a row with the column names of this module."""
    if names:
        taken = set(names.values())
        row = {ours: row[theirs] for ours, theirs in names.items()} | {
            name: value for name, value in row.items() if name in COLUMNS and name not in taken and name not in names
        }
    if lower_is_better and "score" in row:
        row = {("loss" if name == "score" else name): value for name, value in row.items()}
    return row


def curves_of(rows: Sequence[tuple[str, Mapping[str, Any]]], metric: str | None) -> list[PublishedResult]:
    """Return one result per method, task and unit, whose rows are steps of one curve."""
    groups: dict[tuple[str, str, int], list[tuple[int, float, float, Mapping[str, Any], PublishedResult]]] = {}
    for where, row in rows:
        value = row.get("loss" if "loss" in row else "score")
        if not row.get("status") and (value is None or value == ""):
            # an evaluation without a value is a failed one, and no new incumbent
            row = {**row, "status": "failed"}
        one = _result(row, where, metric)
        step = whole_number(row["step"], "step", where)
        if step < 0:
            raise InputError(f"{where}: step is {step}, expected 0 or more")
        budget = number(row.get("budget"), "budget", where) or 0.0
        groups.setdefault((one.method, one.task, one.unit), []).append((step, one.seconds, budget, row, one))
    return [_curve(sorted(own, key=lambda p: p[0])) for own in groups.values()]


def _curve(own: list[tuple[int, float, float, Mapping[str, Any], PublishedResult]]) -> PublishedResult:
    points: list[CurvePoint] = []
    best: float | None = None
    for (step, *_), (following, *_, late) in pairwise(own):
        if step == following:
            raise InputError(f"{late.where}: {late.method} on {late.task}, {late.unit}, has step {step} twice")
    for step, seconds, _, _, one in own:
        if one.score is not None and (best is None or one.score > best):
            best = one.score
            points += [
                CurvePoint(step, seconds, "incumbent_loss", -best),
                CurvePoint(step, seconds, "spent_evaluations", float(step)),
            ]
    last = own[-1][4]
    return replace(
        last,
        score=best,
        status="ok" if best is not None else last.status,
        seconds=max(seconds for _, seconds, _, _, _ in own),
        curve=tuple(points),
        budget=max(max(budget for _, _, budget, _, _ in own), float(own[-1][0])),
    )


def _rows(path: Path, na: Collection[str], names: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    kind = path.suffix.lower()
    needed = [names.get(name, name) for name in ("method", "task")]
    if not path.is_file():
        raise InputError(f"file {path} does not exist")
    if kind == ".csv":
        rows: Iterator[tuple[str, Mapping[str, Any]]] = csv_rows(path, needed)
    elif kind in (".parquet", ".pq"):
        rows = _parquet_rows(path)
    elif kind in (".json", ".jsonl", ".ndjson"):
        rows = _json_rows(path)
    else:
        raise InputError(f"{path}: unknown kind of file {kind!r}, expected .csv, .parquet or .json")
    checked: frozenset[str] = frozenset()
    for where, row in rows:
        if row.keys() != checked:
            _check_names(path, list(row), names)
            checked = frozenset(row)
        yield where, blanked(row, na)


def _check_names(path: Path, names: list[str], mapped: Mapping[str, str]) -> None:
    check_columns(path, names, [mapped.get("method", "method"), mapped.get("task", "task"), *mapped.values()])
    if mapped:
        taken = set(mapped.values())
        names = [*mapped, *(name for name in names if name in COLUMNS and name not in taken and name not in mapped)]
    for name in names:
        if name not in COLUMNS:
            raise InputError(
                f"{path} has an unknown column {name!r}{suggest(name, COLUMNS)}; accepted are {', '.join(COLUMNS)}. Others"
                " are not read where --map COLUMN=NAME says which ones are"
            )
    for what, choices in (("score or loss", ("score", "loss")), ("fold, seed or unit", UNITS)):
        found = [name for name in choices if name in names]
        if len(found) > 1 or (not found and "score" in choices):
            raise InputError(f"{path}: expected one column of {what}, got {', '.join(found) or 'none'}")


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
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
    name = clean_name(str(row.get("metric") or metric or ""))
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
