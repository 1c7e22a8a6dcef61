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
from benchbench.records import Attempt
from benchbench.results.kinds import KINDS, VERSION
from benchbench.spec import canonical_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Landed", "list_landed", "sync_folder", "write_attempts", "write_records"]


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
        is_ours = len(parts) == 4 and parts[1] in KINDS and parts[2][:1] == "v" and parts[2][1:].isdigit()
        found.append(Landed(folder / name, parts[1] if is_ours else "", int(parts[2][1:]) if is_ours else 0))
    return found


def write_attempts(folder: Path, attempts: Sequence[Attempt]) -> Path:
    """Write a batch of attempts durably; return its file."""
    import pyarrow as pa

    value = pa.struct([("kind", pa.string()), ("name", pa.string()), ("value", pa.float64())])
    point = pa.struct(
        [("step", pa.int64()), ("seconds", pa.float64()), ("metric", pa.string()), ("value", pa.float64())]
    )
    curves = [[(int(p.step), float(p.seconds), p.metric, float(p.value)) for p in a.curve] for a in attempts]
    nested = {
        "unit_scores": pa.array([[float(v) for v in a.unit_scores] for a in attempts], pa.list_(pa.float64())),
        "metrics": pa.array([_metric_rows(a) for a in attempts], pa.list_(value)),
        "curve": pa.array(curves, pa.list_(point)),
        "environment_json": pa.array([canonical_json(a.environment) for a in attempts], pa.string()),
    }
    return _write(folder, "attempts", _plain_columns("attempts", attempts) | nested)


def write_records(folder: Path, kind: str, records: Sequence[Any]) -> Path:
    """Write the current state of records of a kind that has a key, durably; return their file."""
    import pyarrow as pa

    updated = pa.array([time.time_ns()] * len(records), pa.int64())
    return _write(folder, kind, _plain_columns(kind, records) | {"updated_at": updated})


def _metric_rows(attempt: Attempt) -> list[tuple[str, str, float]]:
    rows = [("metric", name, float(value)) for name, value in attempt.metrics.items()]
    return rows + [("phase", name, float(value)) for name, value in attempt.phases.items()]


def _plain_columns(kind: str, records: Sequence[Any]) -> dict[str, pa.Array]:
    import pyarrow as pa

    columns = {}
    for name, (arrow, attribute) in KINDS[kind].columns.items():
        values = [getattr(record, attribute) for record in records]
        if name.endswith("_json"):
            values = [canonical_json(value) for value in values]
        elif arrow == "string":
            # a worker's log may have lone surrogates, which UTF-8 cannot encode
            values = [value.encode("utf-8", "replace").decode("utf-8") for value in values]
        try:
            columns[name] = pa.array(values, pa.type_for_alias(arrow))
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
