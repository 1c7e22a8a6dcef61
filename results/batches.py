"""Adds many rows to a database at once, without making its readers wait.

Little is inserted in one transaction under the lock. More goes into a copy of the database, which
then replaces it: readers meanwhile see the database as it was, and a killed import leaves nothing
but the unfinished copy, which the next one removes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import StoreError
from benchbench.results import ingest, landing
from benchbench.results.ingest import quoted
from benchbench.results.kinds import KINDS_BY_KEY
from benchbench.results.staging import fill

if TYPE_CHECKING:
    import duckdb

    from benchbench.records import Attempt, RunRecord
    from benchbench.results.store import Store

__all__ = ["CHILDREN", "add_attempts", "add_tables", "limit_memory"]

CHILDREN = ("unit_scores", "metrics", "curves")
"""Tables of which each row belongs to an attempt."""

BYTES_AT_ONCE = 4 * 2**20
"""Up to how many bytes of Parquet are inserted under the lock; that takes about half a second."""

_ATTEMPTS_AT_ONCE = 20_000


def add_tables(store: Store, make_views: Callable[[duckdb.DuckDBPyConnection, str], None], n_bytes: int) -> int:
    """Add checked rows that `store` lacks; return the number of new attempts.

    Parameters
    ----------
    store : Store
    make_views : callable
        Creates one view per table in a schema of a connection.
    n_bytes : int
        Size of the Parquet files that the views read.

    Raises
    ------
    StoreError
        If the database cannot be written; nothing is then changed.
    """
    with _adding(store, n_bytes) as con:
        con.execute("CREATE SCHEMA memory.incoming")
        make_views(con, "memory.incoming")
        con.execute("CREATE TABLE memory.main.known AS SELECT attempt_key FROM store.attempts")
        con.execute("BEGIN")
        n_new = _insert(con)
        con.execute("COMMIT")
    return n_new


def add_attempts(store: Store, attempts: Iterable[Attempt], run: RunRecord) -> None:
    """Add a run and its attempts, all at once; known attempts are ignored.

    Raises
    ------
    StoreError
        If the database or a temporary file cannot be written; nothing is then changed.
    """
    attempts = iter(attempts)
    with tempfile.TemporaryDirectory(prefix="benchbench-import-") as name:
        folder = Path(name)
        try:
            while batch := list(islice(attempts, _ATTEMPTS_AT_ONCE)):
                landing.write_attempts(folder, batch)
            landing.write_records(folder, "runs", [run])
        except OSError as error:
            raise StoreError(f"cannot write to {folder}: {error.strerror or error}; free some space") from error
        written = landing.list_landed(folder)
        with _adding(store, sum(one.path.stat().st_size for one in written)) as con:
            for one in written:
                fill(con, [one])
                ingest.select_fresh(con)
                con.execute("BEGIN")
                ingest.fold_in(con, "store")
                con.execute("COMMIT")


@contextmanager
def _adding(store: Store, n_bytes: int) -> Iterator[duckdb.DuckDBPyConnection]:
    adding = store.writing() if n_bytes <= BYTES_AT_ONCE else store.rewriting()
    with tempfile.TemporaryDirectory(prefix="benchbench-import-") as scratch, adding as con:
        limit_memory(con, n_bytes, Path(scratch))
        yield con


def limit_memory(con: duckdb.DuckDBPyConnection, n_bytes: int, scratch: Path) -> None:
    """Limit DuckDB to 500 MB and a quarter of the files in memory; the rest is in `scratch`.

    By default it keeps what it has read as long as there is memory. The quarter is for the index,
    which has to fit.
    """
    con.execute(f"SET memory_limit = '{500 + n_bytes // 4_000_000}MB'")
    con.execute(f"SET temp_directory = {quoted(str(scratch))}")


def _insert(con: duckdb.DuckDBPyConnection) -> int:
    """Insert the views' rows into the attached `store`; return the number of new attempts."""
    row = con.execute(
        "INSERT INTO store.attempts BY NAME SELECT * FROM memory.incoming.attempts"
        " WHERE attempt_key NOT IN (SELECT attempt_key FROM memory.main.known)"
    ).fetchone()
    for child in CHILDREN:
        con.execute(
            f"INSERT INTO store.{child} BY NAME SELECT * FROM memory.incoming.{child}"
            " WHERE attempt_key NOT IN (SELECT attempt_key FROM memory.main.known)"
        )
    for table in ("tasks", "methods"):
        con.execute(
            f"INSERT INTO store.{table} SELECT * FROM memory.incoming.{table} EXCEPT SELECT * FROM store.{table}"
        )
    con.execute(
        "INSERT INTO store.environments SELECT * FROM memory.incoming.environments"
        " WHERE environment_hash NOT IN (SELECT environment_hash FROM store.environments)"
    )
    # a run that was recorded here keeps its record
    con.execute(
        "INSERT INTO store.imported_runs SELECT run_id FROM memory.incoming.runs"
        " WHERE run_id NOT IN (SELECT run_id FROM store.runs) ON CONFLICT DO NOTHING"
    )
    for kind in KINDS_BY_KEY:
        imported = f"SELECT * FROM memory.incoming.{kind.name} WHERE run_id IN (SELECT run_id FROM store.imported_runs)"
        ingest.fold_latest(con, kind, "store", f"({imported})")
    return int(row[0]) if row else 0
