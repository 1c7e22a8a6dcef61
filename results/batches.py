"""Adds many rows to a database in batches, each under a lock that is held for a fraction of a second.

Readers see a part of an import while it goes on. Its runs are in state "importing" until it has
ended, so that an import that was killed shows; repeating it adds what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.results import ingest
from benchbench.results.ingest import connect, quoted
from benchbench.results.kinds import KINDS_BY_KEY

if TYPE_CHECKING:
    import duckdb

    from benchbench.results.store import Store

__all__ = ["CHILDREN", "add_in_batches"]

CHILDREN = ("unit_scores", "metrics", "curves")
"""Tables of which each row belongs to an attempt."""

BYTES_AT_ONCE = 8 * 2**20
"""About how much is added under one lock."""

MakeViews = Callable[["duckdb.DuckDBPyConnection", str], None]
"""Creates one view per table in a schema of a connection."""

# bytes of a row of a table, without its long texts; measured on an export of 450 MB
_WEIGHTS = {"attempts": "600 + strlen(log_tail) + strlen(traceback) + strlen(error_message)"}
_CHILD_WEIGHTS = {"unit_scores": "16 + 8 * len(scores)", "metrics": "48", "curves": "56"}


def add_in_batches(store: Store, make_views: MakeViews, scratch: Path) -> int:
    """Add checked rows that `store` lacks; return the number of new attempts.

    Parameters
    ----------
    store : Store
    make_views : callable
    scratch : Path
        An empty folder, for about as many bytes as the rows have.

    Raises
    ------
    StoreError
        If the database cannot be written; the batches added before remain.
    """
    n_batches = _split(store, make_views, scratch)
    with store.writing() as con, _incoming(con, make_views):
        _announce(con)
    n_new = 0
    for number in range(n_batches):
        con = connect()
        try:
            tables = _load(con, scratch, number)
            with store.writing(con):
                n_new += _insert(con, tables)
        finally:
            con.close()
    with store.writing() as con, _incoming(con, make_views):
        for kind in KINDS_BY_KEY:
            ours = f"SELECT * FROM memory.incoming.{kind.name} WHERE run_id IN (SELECT run_id FROM store.imported_runs)"
            ingest.fold_latest(con, kind, "store", f"({ours})")
    return n_new


@contextmanager
def _incoming(con: duckdb.DuckDBPyConnection, make_views: MakeViews) -> Iterator[None]:
    """Make the views, and one transaction of the block."""
    con.execute("CREATE SCHEMA memory.incoming")
    make_views(con, "memory.incoming")
    con.execute("BEGIN")
    yield
    con.execute("COMMIT")


def _announce(con: duckdb.DuckDBPyConnection) -> None:
    """Add what attempts refer to, and the runs that are unknown here, as being imported."""
    for table in ("tasks", "methods"):
        con.execute(
            f"INSERT INTO store.{table} SELECT * FROM memory.incoming.{table} EXCEPT SELECT * FROM store.{table}"
        )
    con.execute(
        "INSERT INTO store.environments SELECT * FROM memory.incoming.environments"
        " WHERE environment_hash NOT IN (SELECT environment_hash FROM store.environments)"
    )
    unknown = "run_id NOT IN (SELECT run_id FROM store.runs)"
    con.execute(
        f"INSERT INTO store.imported_runs SELECT run_id FROM memory.incoming.runs WHERE {unknown} ON CONFLICT DO NOTHING"
    )
    # any record of the run is newer than this one
    con.execute(
        "INSERT INTO store.runs SELECT * REPLACE ('importing' AS state, 0 AS updated_at)"
        f" FROM memory.incoming.runs WHERE {unknown}"
    )


def _split(store: Store, make_views: MakeViews, scratch: Path) -> int:
    """Write the rows of each batch that `store` lacks to files of their own; return the number of batches."""
    with store.reading() as con:
        known = con.execute("SELECT attempt_key FROM attempts").fetchnumpy()["attempt_key"]
    con = connect()
    try:
        for setting in (
            f"temp_directory = {quoted(str(scratch))}",
            "partitioned_write_flush_threshold = 8192",
            "threads = 2",
        ):
            con.execute(f"SET {setting}")
        con.register("known_keys", {"attempt_key": known})
        con.execute("CREATE TABLE known AS SELECT attempt_key FROM known_keys")
        con.unregister("known_keys")
        con.execute("CREATE SCHEMA incoming")
        make_views(con, "memory.incoming")
        n_batches = _number(con)
        if n_batches:
            for table in ("attempts", *CHILDREN):
                con.execute(
                    f"COPY (SELECT rows.*, batch FROM incoming.{table} AS rows JOIN batch_of USING (attempt_key))"
                    f" TO {quoted(str(scratch / table))} (FORMAT parquet, PARTITION_BY (batch))"
                )
    finally:
        con.close()
    return n_batches


def _number(con: duckdb.DuckDBPyConnection) -> int:
    """Create the table `batch_of` with the number of each new attempt's batch; return how many there are."""
    con.execute(
        "CREATE TABLE weights AS SELECT attempt_key, row_number() OVER () AS place, "
        f"{_WEIGHTS['attempts']} AS weight FROM incoming.attempts"
        " WHERE attempt_key NOT IN (SELECT attempt_key FROM known)"
    )
    parts = ["SELECT attempt_key, weight FROM weights"] + [
        f"SELECT attempt_key, sum({weight}) FROM incoming.{child} GROUP BY attempt_key"
        for child, weight in _CHILD_WEIGHTS.items()
    ]
    con.execute(
        "CREATE TABLE batch_of AS SELECT attempt_key,"
        f" CAST(sum(total) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) // {BYTES_AT_ONCE} AS INTEGER) AS batch"
        " FROM (SELECT weights.attempt_key, any_value(place) AS place, sum(parts.weight) AS total"
        f" FROM weights JOIN ({' UNION ALL '.join(parts)}) AS parts USING (attempt_key) GROUP BY weights.attempt_key)"
    )
    row = con.execute("SELECT max(batch) + 1 FROM batch_of").fetchone()
    return int(row[0] or 0) if row else 0


def _load(con: duckdb.DuckDBPyConnection, scratch: Path, number: int) -> list[str]:
    """Read a batch into memory; return the tables of which it has rows."""
    tables = []
    for table in ("attempts", *CHILDREN):
        names = sorted(str(path) for path in (scratch / table / f"batch={number}").glob("*.parquet"))
        if names:
            con.execute(
                f"CREATE TABLE batch_{table} AS SELECT * FROM read_parquet(?, hive_partitioning = false)", [names]
            )
            tables.append(table)
    return tables


def _insert(con: duckdb.DuckDBPyConnection, tables: list[str]) -> int:
    """Insert a batch into the attached `store`; return the number of new attempts."""
    if "attempts" not in tables:
        return 0
    row = con.execute(
        "CREATE TABLE fresh AS SELECT attempt_key FROM batch_attempts"
        " WHERE attempt_key NOT IN (SELECT attempt_key FROM store.attempts)"
    ).fetchone()
    con.execute("BEGIN")
    for table in tables:
        con.execute(
            f"INSERT INTO store.{table} BY NAME SELECT * FROM batch_{table}"
            " WHERE attempt_key IN (SELECT attempt_key FROM fresh)"
        )
    con.execute("COMMIT")
    return int(row[0]) if row else 0
