"""The landing folder, where every batch of results first becomes durable.

A batch is one small Parquet file. It is written under a temporary name, synced, renamed, and its
folder synced; only then is the batch acknowledged. Names begin with the time in nanoseconds and end
with the kind of records and the schema's version::

    01763718000123456789-4f2a91c07d3e.attempts.v2.parquet
    01763718000123456789-9b01c2d4e5f6.runs.v2.parquet
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError
from benchbench.records import Attempt, PreparationRecord, RunRecord
from benchbench.spec import canonical_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ADDED",
    "ATTEMPT_COLUMNS",
    "LANDED",
    "PREPARATION_COLUMNS",
    "RUN_COLUMNS",
    "VERSION",
    "Landed",
    "list_landed",
    "write_attempts",
    "write_preparations",
    "write_run",
]

VERSION = 2
LANDED = ("attempts", "preparations", "runs")

# column: (Arrow type, attribute of the record); the order is that of schema.sql
_TEXT, _INT, _REAL, _BOOL = "string", "int64", "double", "bool"
RUN_COLUMNS: dict[str, tuple[str, str]] = {
    "run_id": (_TEXT, "run_id"),
    "suite": (_TEXT, "suite"),
    "preset": (_TEXT, "preset"),
    "command": (_TEXT, "command"),
    "started_at": (_REAL, "started_at"),
    "ended_at": (_REAL, "ended_at"),
    "n_trials": (_INT, "n_trials"),
    "state": (_TEXT, "state"),
    "kind": (_TEXT, "kind"),
    "user_name": (_TEXT, "user"),
    "host": (_TEXT, "host"),
    "hardware_json": (_TEXT, "hardware"),
    "git_commit": (_TEXT, "git_commit"),
    "git_dirty": (_BOOL, "git_dirty"),
    "benchbench_version": (_TEXT, "benchbench_version"),
}
ATTEMPT_COLUMNS: dict[str, tuple[str, str]] = {
    "attempt_id": (_TEXT, "attempt_id"),
    "run_id": (_TEXT, "run_id"),
    "trial_id": (_TEXT, "trial_id"),
    "try_number": (_INT, "try_number"),
    "suite": (_TEXT, "suite"),
    "suite_version": (_TEXT, "suite_version"),
    "track": (_TEXT, "track"),
    "task": (_TEXT, "task"),
    "task_fingerprint": (_TEXT, "task_fingerprint"),
    "protocol_version": (_TEXT, "protocol_version"),
    "method": (_TEXT, "method"),
    "params_json": (_TEXT, "params"),
    "transductive": (_BOOL, "transductive"),
    "seed": (_INT, "seed"),
    "preset": (_TEXT, "preset"),
    "budget_json": (_TEXT, "budget"),
    "threads": (_INT, "threads"),
    "device": (_TEXT, "device"),
    "outcome": (_TEXT, "outcome"),
    "error_type": (_TEXT, "error_type"),
    "error_message": (_TEXT, "error_message"),
    "traceback": (_TEXT, "traceback"),
    "log_tail": (_TEXT, "log_tail"),
    "metric": (_TEXT, "metric"),
    "score": (_REAL, "score"),
    "score_sd": (_REAL, "score_sd"),
    "n_units": (_INT, "n_units"),
    "unit": (_TEXT, "unit"),
    "seconds": (_REAL, "seconds"),
    "wall_seconds": (_REAL, "wall_seconds"),
    "cpu_seconds": (_REAL, "cpu_seconds"),
    "peak_memory_mib": (_REAL, "peak_memory_mib"),
    "started_at": (_REAL, "started_at"),
    "host": (_TEXT, "host"),
    "worker": (_TEXT, "worker"),
    "hardware_class": (_TEXT, "hardware_class"),
    "adapter_source_hash": (_TEXT, "adapter_source_hash"),
    "environment_hash": (_TEXT, "environment_hash"),
    "git_commit": (_TEXT, "git_commit"),
    "git_dirty": (_BOOL, "git_dirty"),
    "benchbench_version": (_TEXT, "benchbench_version"),
    "remarks_json": (_TEXT, "remarks"),
}
PREPARATION_COLUMNS: dict[str, tuple[str, str]] = {
    "preparation_id": (_TEXT, "preparation_id"),
    "run_id": (_TEXT, "run_id"),
    "suite": (_TEXT, "suite"),
    "suite_version": (_TEXT, "suite_version"),
    "preset": (_TEXT, "preset"),
    "task": (_TEXT, "task"),
    "outcome": (_TEXT, "outcome"),
    "error_type": (_TEXT, "error_type"),
    "error_message": (_TEXT, "error_message"),
    "host": (_TEXT, "host"),
    "recorded_at": (_REAL, "recorded_at"),
}
ADDED: dict[str, tuple[int, str]] = {"remarks_json": (2, "'[]'")}
"""Columns that older files lack: the schema version that added them, and the SQL of their value."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A file in the landing folder."""

    path: Path
    kind: str
    version: int


def list_landed(folder: Path) -> list[Landed]:
    """Return the landing files, oldest first; none if the folder is missing.

    Files with other names have version 0.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".parquet"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for name in names:
        parts = name.split(".")
        is_ours = len(parts) == 4 and parts[1] in LANDED and parts[2][:1] == "v" and parts[2][1:].isdigit()
        found.append(Landed(folder / name, parts[1] if is_ours else "", int(parts[2][1:]) if is_ours else 0))
    return found


def write_attempts(folder: Path, attempts: Sequence[Attempt]) -> Path:
    """Write a batch of attempts durably; return its file."""
    import pyarrow as pa

    columns = _plain_columns(attempts, ATTEMPT_COLUMNS)
    columns["unit_scores"] = pa.array([[float(v) for v in a.unit_scores] for a in attempts], pa.list_(pa.float64()))
    value = pa.struct([("kind", pa.string()), ("name", pa.string()), ("value", pa.float64())])
    columns["metrics"] = pa.array([_metric_rows(a) for a in attempts], pa.list_(value))
    point = pa.struct(
        [("step", pa.int64()), ("seconds", pa.float64()), ("metric", pa.string()), ("value", pa.float64())]
    )
    curves = [[(int(p.step), float(p.seconds), p.metric, float(p.value)) for p in a.curve] for a in attempts]
    columns["curve"] = pa.array(curves, pa.list_(point))
    columns["environment_json"] = pa.array([canonical_json(a.environment) for a in attempts], pa.string())
    return _write(folder, "attempts", columns)


def write_run(folder: Path, run: RunRecord) -> Path:
    """Write the current state of a run durably; return its file."""
    import pyarrow as pa

    columns = _plain_columns([run], RUN_COLUMNS)
    columns["updated_at"] = pa.array([time.time_ns()], pa.int64())
    return _write(folder, "runs", columns)


def write_preparations(folder: Path, preparations: Sequence[PreparationRecord]) -> Path:
    """Write a batch of preparations durably; return its file."""
    return _write(folder, "preparations", _plain_columns(preparations, PREPARATION_COLUMNS))


def _metric_rows(attempt: Attempt) -> list[tuple[str, str, float]]:
    rows = [("metric", name, float(value)) for name, value in attempt.metrics.items()]
    return rows + [("phase", name, float(value)) for name, value in attempt.phases.items()]


def _plain_columns(records: Sequence[Any], spec: dict[str, tuple[str, str]]) -> dict[str, pa.Array]:
    import pyarrow as pa

    columns = {}
    for name, (kind, attribute) in spec.items():
        values = [getattr(record, attribute) for record in records]
        if name.endswith("_json"):
            values = [canonical_json(value) for value in values]
        elif kind == _TEXT:
            # a worker's log may have lone surrogates, which UTF-8 cannot encode
            values = [value.encode("utf-8", "replace").decode("utf-8") for value in values]
        try:
            columns[name] = pa.array(values, pa.type_for_alias(kind))
        except (pa.ArrowException, TypeError) as error:
            raise InputError(f"{attribute} of a {type(records[0]).__name__} cannot be stored: {error}") from error
    return columns


def _write(folder: Path, kind: str, columns: dict[str, pa.Array]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns).replace_schema_metadata({"benchbench": json.dumps({"kind": kind, "version": VERSION})})
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.{kind}.v{VERSION}.parquet"
    sink = pa.BufferOutputStream()
    # statistics and dictionaries do not pay off for files that exist for seconds
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=False, store_schema=False)
    final, part = folder / name, folder / f".{name}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(sink.getvalue())
            file.flush()
            os.fsync(file.fileno())
        part.rename(final)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return final


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
