"""The landing folder, where every batch of results first becomes durable.

A batch is one small Parquet file. It is written under a temporary name, synced, renamed, and its
folder synced; only then is the batch acknowledged. Names begin with the time in nanoseconds, a
random number and the first 32 digits of the SHA-256 of the content, and end with the kind of
records and the schema's version::

    01763718000123456789-4f2a91c07d3e-5891b5b522d5df086d0ff0b110fbd9d2.attempts.v2.parquet
    01763718000123456789-9b01c2d4e5f6-e258d248fda94c63753607f7c4494ee0.runs.v2.parquet

Files of schema 1 have no checksum in their names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
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

__all__ = ["Landed", "damage_of", "list_landed", "sync_folder", "write_attempts", "write_records"]


_CHECKSUM_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Landed:
    """A file in the landing folder."""

    path: Path
    kind: str
    version: int
    checksum: str = ""
    """The first digits of the SHA-256 of its content; empty where its name has none."""


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
        if not is_ours:
            found.append(Landed(folder / name, "", 0))
            continue
        checksum = re.fullmatch(rf"\d+-[0-9a-f]+-([0-9a-f]{{{_CHECKSUM_DIGITS}}})", parts[0])
        found.append(Landed(folder / name, parts[1], int(parts[2][1:]), checksum[1] if checksum else ""))
    return found


def damage_of(one: Landed) -> str | None:
    """Return how a landing file differs from what was written; None where it does not.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    # never open a pipe or a device, which may block for ever
    if not stat.S_ISREG(one.path.stat().st_mode):
        return "it is not a regular file"
    with one.path.open("rb") as file:
        if one.checksum and _checksum(hashlib.file_digest(file, "sha256").hexdigest()) != one.checksum:
            return "its content does not match the checksum in its name"
    return None


def _checksum(digest: str) -> str:
    return digest[:_CHECKSUM_DIGITS]


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
    sink = pa.BufferOutputStream()
    # statistics and dictionaries do not pay off for files that exist for seconds
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=False, store_schema=False)
    content = sink.getvalue()
    checksum = _checksum(hashlib.sha256(content).hexdigest())
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}-{checksum}.{kind}.v{VERSION}.parquet"
    final, part = folder / name, folder / f".{name}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
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
