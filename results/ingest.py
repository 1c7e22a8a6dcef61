"""Ingests Parquet files into tables: stage landed files, check them, insert what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import StoreError
from benchbench.results.landing import ADDED, ATTEMPT_COLUMNS, PREPARATION_COLUMNS, RUN_COLUMNS, VERSION, Landed

if TYPE_CHECKING:
    import duckdb

__all__ = ["ADDED_TABLES", "BASE_TABLES", "Staged", "create_tables", "fold_in", "quoted", "selected", "stage"]

BASE_TABLES = (
    "runs",
    "attempts",
    "unit_scores",
    "metrics",
    "curves",
    "tasks",
    "methods",
    "environments",
    "preparations",
)
ADDED_TABLES = {"preparations": 2}
"""Tables that older exports lack: the schema version that added them."""
NULLABLE = frozenset({"score", "score_sd", "git_dirty", "ended_at"})
_SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}
_NESTED = {
    "unit_scores": "DOUBLE[] NOT NULL",
    "metrics": "STRUCT(kind VARCHAR, name VARCHAR, value DOUBLE)[] NOT NULL",
    "curve": "STRUCT(step BIGINT, seconds DOUBLE, metric VARCHAR, value DOUBLE)[] NOT NULL",
    "environment_json": "VARCHAR NOT NULL",
}


_STAGED = {"runs": RUN_COLUMNS, "attempts": ATTEMPT_COLUMNS, "preparations": PREPARATION_COLUMNS}
_MORE = {"runs": {"updated_at": "BIGINT NOT NULL"}, "attempts": _NESTED}
"""Per kind of landing file: columns of records, and further ones with their SQL types."""


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
    """Read landing files into in-memory tables, `staged_attempts` and so on for every kind.

    A file that has vanished was ingested by another process.

    Raises
    ------
    StoreError
        If a file exists but cannot be opened.
    """
    import duckdb

    for kind in _STAGED:
        con.execute(f"CREATE OR REPLACE TABLE staged_{kind} ({_staging_columns(kind)})")
    found = Staged()
    for one in landed:
        if one.version > VERSION:
            found.newer.append(one.path)
        elif not one.kind:
            found.bad[one.path] = "its name is not a landing file's"
    for kind in _STAGED:
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
    names = ", ".join(selected(name, ours[0].version) for name in _staging_names(kind))
    con.execute(
        f"INSERT INTO staged_{kind} SELECT {names} FROM read_parquet(?, filename = 'file_name', union_by_name = true)",
        [[str(one.path) for one in ours]],
    )


def selected(name: str, version: int) -> str:
    """Return the SQL that selects a column from a file of a schema version, which may lack it."""
    since, value = ADDED.get(name, (1, ""))
    return name if version >= since else f"{value} AS {name}"


def _staging_names(kind: str) -> list[str]:
    return [*_STAGED[kind], *_MORE.get(kind, {}), "file_name"]


def _staging_columns(kind: str) -> str:
    parts = [f"{n} {_SQL_TYPES[t]}" + ("" if n in NULLABLE else " NOT NULL") for n, (t, _) in _STAGED[kind].items()]
    parts += [f"{n} {t}" for n, t in _MORE.get(kind, {}).items()]
    return ", ".join([*parts, "file_name VARCHAR NOT NULL"])


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
    """Insert `fresh` attempts and staged runs into the tables of `target`.

    That is `store`, or a schema in memory for a reader.
    """
    columns = ", ".join(["attempt_key", *ATTEMPT_COLUMNS])
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
    fold_runs(con, target, "staged_runs")
    fold_preparations(con, target, "staged_preparations")


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


def fold_preparations(con: duckdb.DuckDBPyConnection, target: str, source: str) -> None:
    """Insert the preparations of `source` that neither `target` nor the attached `store` has."""
    columns = ", ".join(PREPARATION_COLUMNS)
    con.execute(
        f"INSERT INTO {target}.preparations ({columns}) SELECT {columns} FROM {source}"
        " WHERE preparation_id NOT IN (SELECT preparation_id FROM store.preparations)"
        " QUALIFY row_number() OVER (PARTITION BY preparation_id ORDER BY recorded_at) = 1"
    )


def fold_runs(con: duckdb.DuckDBPyConnection, target: str, source: str) -> None:
    """Insert or update the runs of `source` in `target`; the newer record of a run is kept."""
    names = [*RUN_COLUMNS, "updated_at"]
    columns = ", ".join(names)
    con.execute(
        f"INSERT INTO {target}.runs ({columns}) SELECT {columns} FROM {source}"
        " QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY updated_at DESC) = 1"
        f" ON CONFLICT (run_id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in names[1:])}"
        " WHERE excluded.updated_at > runs.updated_at"
    )
