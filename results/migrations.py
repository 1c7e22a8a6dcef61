"""Schema versions of databases, and migrations to newer ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import InputError
from benchbench.results.kinds import NAMES, VERSION, composed

if TYPE_CHECKING:
    import duckdb

__all__ = ["MIGRATIONS", "NewerSchemaError", "migrate", "readable_version", "version_of"]

_COMPOSED = tuple(
    f"UPDATE store.main.{table} SET {name} = {composed(name)} WHERE {name} <> {composed(name)}"
    for table, names in NAMES.items()
    for name in sorted(names)
)

MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE store.main.attempts ADD COLUMN IF NOT EXISTS remarks_json VARCHAR DEFAULT '[]'",
        "CREATE TABLE IF NOT EXISTS store.main.imported_runs (run_id VARCHAR PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS store.main.preparations (run_id VARCHAR NOT NULL, suite VARCHAR NOT NULL,"
        " suite_version VARCHAR NOT NULL, preset VARCHAR NOT NULL, task VARCHAR NOT NULL, outcome VARCHAR NOT NULL,"
        " error_type VARCHAR NOT NULL, error_message VARCHAR NOT NULL, host VARCHAR NOT NULL,"
        " recorded_at DOUBLE NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (run_id, task))",
        *_COMPOSED,
    )
}
"""Statements that migrate from a version to the next one, run inside the attached `store`."""


def version_of(con: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Return the schema version of the attached `store`.

    Raises
    ------
    InputError
        If it is a DuckDB database but not a results database.
    """
    import duckdb

    try:
        row = con.execute("SELECT value FROM store.main.meta WHERE key = 'schema_version'").fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None or not str(row[0]).isdecimal() or int(row[0]) < 1:
        raise InputError(f"{path} is a DuckDB database, but not a benchbench results database; give the path of one")
    return int(row[0])


def readable_version(con: duckdb.DuckDBPyConnection, path: Path, want: int = VERSION) -> int:
    """Return the schema version of the attached `store`, which this code can read.

    Raises
    ------
    NewerSchemaError
    """
    have = version_of(con, path)
    if have > want:
        raise _newer(path, have, want)
    return have


def migrate(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    want: int = VERSION,
    steps: Mapping[int, tuple[str, ...]] = MIGRATIONS,
) -> None:
    """Migrate the attached `store` to version `want` in one transaction.

    Raises
    ------
    NewerSchemaError
    """
    have = version_of(con, path)
    if have == want:
        return
    if have > want:
        raise _newer(path, have, want)
    con.execute("BEGIN")
    con.execute("USE store")
    for version in range(have, want):
        for statement in steps[version]:
            con.execute(statement)
    con.execute("UPDATE store.main.meta SET value = ? WHERE key = 'schema_version'", [str(want)])
    con.execute("COMMIT")
    con.execute("USE memory.main")


class NewerSchemaError(InputError):
    """The database was written by a newer benchbench."""


def _newer(path: Path, have: int, want: int) -> NewerSchemaError:
    return NewerSchemaError(
        f"{path} was written by a newer benchbench (schema {have}; this one knows {want}); update benchbench to use it"
    )
