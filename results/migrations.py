"""Schema versions of databases, and migrations to newer ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import InputError, StoreError
from benchbench.results.landing import VERSION

if TYPE_CHECKING:
    import duckdb

__all__ = ["MIGRATIONS", "check_version", "migrate", "version_of"]

MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE store.main.attempts ADD COLUMN remarks_json VARCHAR DEFAULT '[]'",
        "CREATE TABLE IF NOT EXISTS store.main.preparations (preparation_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL,"
        " suite VARCHAR NOT NULL, suite_version VARCHAR NOT NULL, preset VARCHAR NOT NULL, task VARCHAR NOT NULL,"
        " outcome VARCHAR NOT NULL, error_type VARCHAR NOT NULL, error_message VARCHAR NOT NULL,"
        " host VARCHAR NOT NULL, recorded_at DOUBLE NOT NULL)",
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
    if row is None or not str(row[0]).isdigit():
        raise InputError(f"{path} is a DuckDB database, but not a benchbench results database; give the path of one")
    return int(row[0])


def check_version(con: duckdb.DuckDBPyConnection, path: Path, want: int = VERSION) -> None:
    """Check that the attached `store` can be read without a migration.

    Raises
    ------
    InputError, StoreError
    """
    have = version_of(con, path)
    if have > want:
        raise _newer(path, have, want)
    if have < want:
        raise StoreError(
            f"{path} has the older schema {have}, this benchbench reads {want};"
            " the next `bench run` or `bench results import` into it will migrate it"
        )


def migrate(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    want: int = VERSION,
    steps: Mapping[int, tuple[str, ...]] = MIGRATIONS,
) -> None:
    """Migrate the attached `store` to version `want` in one transaction.

    Raises
    ------
    InputError, StoreError
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


def _newer(path: Path, have: int, want: int) -> StoreError:
    return StoreError(
        f"{path} was written by a newer benchbench (schema {have}; this one knows {want}); update benchbench to use it"
    )
