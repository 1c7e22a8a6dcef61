"""The tables of the database, and the insertion of what is new into them."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from benchbench.results.kinds import ADDED, KINDS, KINDS_BY_KEY, NAMES, TABLES_ADDED, VERSION, Kind, composed

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "BASE_TABLES",
    "connect",
    "create_tables",
    "fold_in",
    "fold_latest",
    "quoted",
    "select_fresh",
    "selected",
    "tables_of",
]

BASE_TABLES = (*KINDS, "unit_scores", "metrics", "curves", "tasks", "methods", "environments")


@lru_cache(maxsize=1)
def schema_sql() -> str:
    """Return the statements that create the tables."""
    return (files("benchbench.results") / "schema.sql").read_text(encoding="utf-8")


def connect() -> duckdb.DuckDBPyConnection:
    """Return an in-memory connection that neither fetches nor loads extensions."""
    import duckdb

    return duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )


def quoted(text: str) -> str:
    """Return `text` as an SQL string literal, for statements without parameters (ATTACH, COPY)."""
    return "'" + text.replace("'", "''") + "'"


def create_tables(con: duckdb.DuckDBPyConnection, where: str) -> None:
    """Create the tables in the empty catalogue or schema `where`."""
    con.execute(f"USE {where}")
    con.execute(schema_sql())
    con.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(VERSION)])
    con.execute("USE memory.main")


def selected(table: str, name: str, version: int) -> str:
    """Return the SQL that selects a column of a table in a schema version, which may lack it.

    Every row from outside comes in through here, and every name of it in composed form (NFC).
    """
    since, value = ADDED.get((table, name), (1, ""))
    if version < since:
        return f"{value} AS {name}"
    return f"{composed(name)} AS {name}" if name in NAMES.get(table, ()) else name


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
    # what lands was recorded here, even if it came by import before
    con.execute(f"DELETE FROM {target}.imported_runs WHERE run_id IN (SELECT run_id FROM staged_runs)")
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
