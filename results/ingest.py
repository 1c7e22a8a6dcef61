"""Ingests Parquet files into tables: stage landed files, check them, insert what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import StoreError
from benchbench.results.kinds import ADDED, KINDS, KINDS_BY_KEY, TABLES_ADDED, VERSION, Kind
from benchbench.results.landing import Landed

if TYPE_CHECKING:
    import duckdb

__all__ = ["BASE_TABLES", "Staged", "create_tables", "fold_in", "quoted", "selected", "stage", "tables_of"]

BASE_TABLES = (*KINDS, "unit_scores", "metrics", "curves", "tasks", "methods", "environments")


@dataclass(slots=True)
class Staged:
    """Landing files that were read, are damaged (with reasons), or need newer code."""

    read: list[Landed] = field(default_factory=list)
    bad: dict[Path, str] = field(default_factory=dict)
    newer: list[Path] = field(default_factory=list)


@lru_cache(maxsize=1)
def schema_sql() -> str:
    """Return the statements that create the tables."""
    return (files("benchbench.results") / "schema.sql").read_text(encoding="utf-8")


def quoted(text: str) -> str:
    """Return `text` as an SQL string literal, for statements without parameters (ATTACH, COPY)."""
    return "'" + text.replace("'", "''") + "'"


def create_tables(con: duckdb.DuckDBPyConnection, where: str) -> None:
    """Create the tables in the empty catalogue or schema `where`."""
    con.execute(f"USE {where}")
    con.execute(schema_sql())
    con.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(VERSION)])
    con.execute("USE memory.main")


def stage(con: duckdb.DuckDBPyConnection, landed: Sequence[Landed]) -> Staged:
    """Read landing files into one in-memory table per kind, `staged_attempts`, `staged_runs` ...

    A file that has vanished was ingested by another process.

    Raises
    ------
    StoreError
        If a file exists but cannot be opened.
    """
    import duckdb

    for one_kind in KINDS.values():
        columns = ", ".join(f"{name} {sql}" for name, sql in one_kind.file_columns.items())
        con.execute(f"CREATE OR REPLACE TABLE staged_{one_kind.name} ({columns}, file_name VARCHAR NOT NULL)")
    found = Staged()
    for one in landed:
        if one.version > VERSION:
            found.newer.append(one.path)
        elif not one.kind:
            found.bad[one.path] = "its name is not a landing file's"
    for kind in KINDS:
        for version in range(1, VERSION + 1):
            ours = [one for one in landed if one.kind == kind and one.version == version]
            if not ours:
                continue
            try:
                _read(con, kind, ours)
                found.read.extend(ours)
            except duckdb.Error:
                # one file is damaged or gone; find out which
                for one in ours:
                    _stage_one(con, one, found)
    return found


def _stage_one(con: duckdb.DuckDBPyConnection, one: Landed, found: Staged) -> None:
    import duckdb

    try:
        _read(con, one.kind, [one])
        found.read.append(one)
    except duckdb.Error as error:
        if not one.path.exists():
            return
        try:
            # a file without read permission is not damaged
            one.path.open("rb").close()
        except FileNotFoundError:
            return
        except OSError as denied:
            raise StoreError(
                f"cannot read the landing file {one.path}: {denied.strerror}; check its owner and mode"
            ) from denied
        found.bad[one.path] = str(error).splitlines()[0]


def _read(con: duckdb.DuckDBPyConnection, kind: str, ours: Sequence[Landed]) -> None:
    """Read files of one kind and version."""
    names = ", ".join(selected(kind, name, ours[0].version) for name in (*KINDS[kind].file_columns, "file_name"))
    con.execute(
        f"INSERT INTO staged_{kind} SELECT {names} FROM read_parquet(?, filename = 'file_name', union_by_name = true)",
        [[str(one.path) for one in ours]],
    )


def selected(table: str, name: str, version: int) -> str:
    """Return the SQL that selects a column of a table in a schema version, which may lack it."""
    since, value = ADDED.get((table, name), (1, ""))
    return name if version >= since else f"{value} AS {name}"


def tables_of(version: int) -> tuple[str, ...]:
    """Return the tables that databases and exports of a schema version have."""
    return tuple(table for table in BASE_TABLES if TABLES_ADDED.get(table, 1) <= version)


def select_fresh(con: duckdb.DuckDBPyConnection) -> int:
    """Create the table `fresh` of staged attempts missing in the attached `store`; count them."""
    con.execute(
        # much faster than a window over whole rows
        "CREATE OR REPLACE TABLE fresh AS"
        " SELECT md5_number_lower(attempt_id) AS attempt_key, * FROM staged_attempts"
        " WHERE rowid IN (SELECT min(rowid) FROM staged_attempts GROUP BY attempt_id)"
        " AND md5_number_lower(attempt_id) NOT IN (SELECT attempt_key FROM store.attempts)"
    )
    row = con.execute("SELECT count(*) FROM fresh").fetchone()
    return int(row[0]) if row else 0


def fold_in(con: duckdb.DuckDBPyConnection, target: str) -> None:
    """Insert `fresh` attempts and the staged records of other kinds into the tables of `target`.

    That is `store`, or a schema in memory for a reader.
    """
    columns = ", ".join(["attempt_key", *KINDS["attempts"].columns])
    con.execute(f"INSERT INTO {target}.attempts ({columns}) SELECT {columns} FROM fresh")
    con.execute(
        f"INSERT INTO {target}.unit_scores SELECT attempt_key, unit_scores FROM fresh WHERE len(unit_scores) > 0"
    )
    con.execute(
        f"INSERT INTO {target}.metrics SELECT attempt_key, m.kind, m.name, m.value"
        " FROM (SELECT attempt_key, unnest(metrics) AS m FROM fresh)"
    )
    con.execute(
        f"INSERT INTO {target}.curves SELECT attempt_key, i, p.step, p.seconds, p.metric, p.value"
        " FROM (SELECT attempt_key, unnest(curve) AS p, generate_subscripts(curve, 1) AS i FROM fresh)"
    )
    fold_facts(con, target, "fresh")
    for kind in KINDS_BY_KEY:
        fold_latest(con, kind, target, f"staged_{kind.name}")


def fold_facts(con: duckdb.DuckDBPyConnection, target: str, source: str) -> None:
    """Add the tasks, methods and environments of attempts in `source` that `target` lacks."""
    for table, columns in (
        ("tasks", "task_fingerprint, suite, suite_version, track, task"),
        ("methods", "adapter_source_hash, method, track, transductive"),
    ):
        con.execute(
            f"INSERT INTO {target}.{table} SELECT DISTINCT {columns} FROM {source} EXCEPT SELECT {columns} FROM {target}.{table}"
        )
    con.execute(
        f"INSERT INTO {target}.environments SELECT environment_hash, any_value(environment_json) FROM {source}"
        f" WHERE environment_hash <> '' AND environment_hash NOT IN (SELECT environment_hash FROM {target}.environments)"
        " GROUP BY environment_hash"
    )


def fold_latest(con: duckdb.DuckDBPyConnection, kind: Kind, target: str, source: str) -> None:
    """Insert or update the records of `source` in `target`; the newest record of a key is kept."""
    columns, key = ", ".join(kind.table_columns), ", ".join(kind.key)
    updates = ", ".join(f"{name} = excluded.{name}" for name in kind.table_columns if name not in kind.key)
    con.execute(
        f"INSERT INTO {target}.{kind.name} ({columns}) SELECT {columns} FROM {source}"
        f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY updated_at DESC) = 1"
        f" ON CONFLICT ({key}) DO UPDATE SET {updates} WHERE excluded.updated_at > {kind.name}.updated_at"
    )
