"""Reads landing files into tables in memory; whatever cannot be read is left out, with its reason.

The bytes of a file are compared with the checksum in its name before anything parses them, so that
no damaged byte reaches a parser. Files of schema 1 have no checksum, and neither has a file that
somebody renamed: they are first parsed in a connection of their own, which an internal error of
DuckDB may spoil.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import StoreError
from benchbench.records import OUTCOMES
from benchbench.results.ingest import connect, quoted, selected
from benchbench.results.kinds import JSON_LISTS, KINDS, VERSION, Kind
from benchbench.results.landing import Landed, damage_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["Staged", "fill", "is_json", "stage"]


@dataclass(slots=True)
class Staged:
    """Landing files that were read, are damaged or locked (with reasons), or need newer code."""

    read: list[Landed] = field(default_factory=list)
    bad: dict[Path, str] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Files that this user may not open: they are not damaged, and wait."""
    newer: list[Path] = field(default_factory=list)


def stage(landed: Sequence[Landed]) -> tuple[duckdb.DuckDBPyConnection, Staged]:
    """Return a connection with one table per kind, as `staged_attempts`, and what they hold.

    A file that has vanished was ingested by another process.

    Raises
    ------
    StoreError
        If the tables cannot be filled (no memory).
    """
    import duckdb

    found = Staged()
    ours = [one for one in landed if _is_readable(one, found)]
    con = connect()
    try:
        fill(con, ours)
        bad = _files_of_wrong_values(con)
    except duckdb.Error:
        # find out which file it is; the connection may be spoilt
        con.close()
        ours = [one for one in ours if _parses(one, found)]
        con = connect()
        try:
            fill(con, ours)
        except duckdb.Error as error:
            con.close()
            raise StoreError(f"cannot read landed results: {str(error).splitlines()[0]}") from error
        bad = {}
    if bad:
        found.bad.update(bad)
        ours = [one for one in ours if one.path not in bad]
        for kind in KINDS:
            con.execute(f"DELETE FROM staged_{kind} WHERE file_name IN (SELECT unnest($1))", [[str(p) for p in bad]])
    found.read = ours
    return con, found


def _is_readable(one: Landed, found: Staged) -> bool:
    """Return whether to parse a file; otherwise note in `found` why not, unless it has vanished."""
    if one.version > VERSION:
        found.newer.append(one.path)
        return False
    if not one.kind:
        found.bad[one.path] = "its name is not a landing file's"
        return False
    try:
        reason = damage_of(one)
    except FileNotFoundError:
        return False
    except PermissionError as error:
        found.unreadable[one.path] = f"{error.strerror}; check its owner and mode"
        return False
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        found.bad[one.path] = reason
        return False
    return bool(one.checksum) or _parses(one, found)


def _parses(one: Landed, found: Staged) -> bool:
    """Return whether a file can be read alone; note in `found` why not, unless it vanished."""
    import duckdb

    con = connect()
    try:
        fill(con, [one])
        wrong = _files_of_wrong_values(con)
    except duckdb.Error as error:
        wrong = {one.path: str(error).splitlines()[0]} if one.path.exists() else {}
    else:
        if not wrong:
            return True
    finally:
        con.close()
    found.bad.update(wrong)
    return False


def fill(con: duckdb.DuckDBPyConnection, landed: Sequence[Landed]) -> None:
    """Read intact landing files into one table per kind, `staged_attempts`, `staged_runs` ...

    Raises
    ------
    duckdb.Error
    """
    for kind in KINDS.values():
        columns = ", ".join(f"{name} {sql}" for name, sql in kind.file_columns.items())
        con.execute(f"CREATE OR REPLACE TABLE staged_{kind.name} ({columns}, file_name VARCHAR NOT NULL)")
        for version in range(1, VERSION + 1):
            ours = [one for one in landed if one.kind == kind.name and one.version == version]
            if ours:
                _read(con, kind, version, ours)


def _read(con: duckdb.DuckDBPyConnection, kind: Kind, version: int, ours: Sequence[Landed]) -> None:
    names = ", ".join(selected(kind.name, name, version) for name in (*kind.file_columns, "file_name"))
    con.execute(
        f"INSERT INTO staged_{kind.name} SELECT {names}"
        " FROM read_parquet(?, filename = 'file_name', union_by_name = true)",
        [[str(one.path) for one in ours]],
    )


def _files_of_wrong_values(con: duckdb.DuckDBPyConnection) -> dict[Path, str]:
    """Return the staged files with values that no reader of the tables could use."""
    wrong: dict[Path, str] = {}
    for kind in KINDS.values():
        checks = {
            f"a {name} that is not a JSON {shape.lower()}": f"NOT {is_json(name, shape)}"
            for name in kind.file_columns
            if name.endswith("_json")
            for shape in ["ARRAY" if name in JSON_LISTS else "OBJECT"]
        }
        if kind.name == "attempts":
            outcomes = ", ".join(map(quoted, OUTCOMES))
            checks["an unknown outcome"] = f"outcome NOT IN ({outcomes})"
        for what, condition in checks.items():
            rows = con.execute(f"SELECT DISTINCT file_name FROM staged_{kind.name} WHERE {condition}").fetchall()
            wrong.update((Path(row[0]), f"it has {what}") for row in rows)
    return wrong


def is_json(name: str, shape: str) -> str:
    """Return the SQL condition that a text column is a JSON `shape` ("OBJECT", "ARRAY")."""
    return f"CASE WHEN json_valid({name}) THEN json_type({name}) = '{shape}' ELSE false END"
