"""Attaches a database file to a connection, whatever others do with it, and shows its tables."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import InputError, StoreError
from benchbench.results import ingest
from benchbench.results.kinds import KINDS, VERSION

if TYPE_CHECKING:
    import duckdb

__all__ = ["StoreInUse", "attach", "identity", "make_views"]

# before the first block of a DuckDB file
_HEADER_BYTES = 3 * 4096


class StoreInUse(StoreError):
    """Another process kept the database in use all the time."""

    def __init__(self, path: Path, wait_seconds: float, detail: str = "") -> None:
        who = f" ({detail})" if detail else ""
        super().__init__(
            f"{path} was in use by another process for {wait_seconds:.0f} s{who}; close programs that hold it open"
            " (a DuckDB shell, a notebook) and try again"
        )


def identity(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is changed or replaced."""
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def attach(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool, deadline: float) -> None:
    """Attach the database file as `store`; wait for programs that ignore our locks.

    Raises
    ------
    InputError
        If the file is not a results database.
    StoreInUse
        If it is in use until the deadline.
    duckdb.Error
        If it cannot be opened, or was truncated.
    """
    import duckdb

    began, pause = time.monotonic(), 0.005
    # with the type, or DuckDB looks for an extension that can read the file (SQLite); with an
    # absolute path, or names like `:memory:` and `md:x` have another meaning
    mode = "TYPE duckdb, READ_ONLY" if read_only else "TYPE duckdb"
    while True:
        try:
            con.execute(f"ATTACH {ingest.quoted(str(path.absolute()))} AS store ({mode})")
            break
        except duckdb.Error as error:
            text = str(error).splitlines()[0]
            if "not a valid DuckDB database" in text:
                raise InputError(
                    f"{path} is not a DuckDB database; give the path of a results database, or restore this one if it"
                    " was damaged"
                ) from error
            if not ("set lock" in text or isinstance(error, duckdb.ResourceInUseException)):
                raise
            if time.monotonic() >= deadline:
                holder = text[text.find("(PID") :].split(")")[0].strip("(") if "(PID" in text else ""
                raise StoreInUse(path, time.monotonic() - began, holder) from error
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
    _refuse_truncated(con, path)


def _refuse_truncated(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise `duckdb.IOException` for a file that lost its end; DuckDB would write into it.

    DuckDB cuts free blocks off without noting it in the header, so only used ones are counted.
    """
    import duckdb

    row = con.execute(
        "SELECT used_blocks * block_size FROM pragma_database_size() WHERE database_name = 'store'"
    ).fetchone()
    least = _HEADER_BYTES + int(row[0]) if row else 0
    if (size := path.stat().st_size) < least:
        raise duckdb.IOException(f"the file was truncated: it has {size} bytes, its blocks need {least} or more")


def make_views(con: duckdb.DuckDBPyConnection, version: int, has_landed: bool) -> None:
    """Create one view per table: rows of the file and landed rows that are not ingested yet.

    Of a database of an older schema, missing columns have their default and missing tables no rows.
    """
    if has_landed:
        ingest.select_fresh(con)
    if has_landed or version < VERSION:
        con.execute("CREATE SCHEMA landed")
        ingest.create_tables(con, "memory.landed")
    if has_landed:
        ingest.fold_in(con, "memory.landed")
    for table in ingest.BASE_TABLES:
        query = f"SELECT * FROM store.main.{table}"
        if version < VERSION:
            query = _of_version(con, table, version)
        if has_landed:
            union = "UNION" if table in ("tasks", "methods", "environments") else "UNION ALL"
            query += f" {union} SELECT * FROM memory.landed.{table}"
        if has_landed and table in KINDS and (key := ", ".join(KINDS[table].key)):
            query = (
                f"SELECT * FROM ({query}) QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY updated_at DESC) = 1"
            )
        con.execute(f"CREATE VIEW memory.main.{table} AS {query}")


def _of_version(con: duckdb.DuckDBPyConnection, table: str, version: int) -> str:
    """Return the query for a table of the attached `store` of an older schema."""
    if table not in ingest.tables_of(version):
        return f"SELECT * FROM memory.landed.{table} WHERE false"
    names = [row[0] for row in con.execute(f"DESCRIBE memory.landed.{table}").fetchall()]
    return f"SELECT {', '.join(ingest.selected(table, name, version) for name in names)} FROM store.main.{table}"
