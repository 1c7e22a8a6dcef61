"""Removes imported results from a database; what was measured here is never removed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.errors import InputError, StoreError, UnknownNameError
from benchbench.stats.labels import PUBLISHED, published_source
from benchbench.text import clean_name

if TYPE_CHECKING:
    import duckdb

    from benchbench.results.reader import Readable
    from benchbench.results.store import Store

__all__ = ["PublishedSource", "remove_published", "sources_of"]

_SOURCES = """
SELECT suite, protocol_version, min(preset), count(*), count(DISTINCT method), count(DISTINCT task), min(started_at)
FROM attempts WHERE starts_with(protocol_version, $1) GROUP BY suite, protocol_version
ORDER BY suite, min(started_at), protocol_version
"""


@dataclass(frozen=True, slots=True)
class PublishedSource:
    """What a suite holds of one source.

    Parameters
    ----------
    suite, source : str
    preset : str
        Chooses this source on a leaderboard.
    n_results, n_methods, n_tasks : int
    imported_at : float
        Seconds since the epoch.
    """

    suite: str
    source: str
    preset: str
    n_results: int
    n_methods: int
    n_tasks: int
    imported_at: float


def sources_of(results: Readable, suite: str | None = None) -> list[PublishedSource]:
    """Return the sources of imported results, by suite and time of import; None: of all suites."""
    if not results.exists():
        return []
    with results.reading() as con:
        rows = con.execute(_SOURCES, [PUBLISHED]).fetchall()
    found = [PublishedSource(row[0], published_source(row[1]) or "", *row[2:]) for row in rows]
    return [one for one in found if suite is None or one.suite == suite]


def remove_published(
    store: Store, suite: str, source: str | None = None, *, keep_runs: Collection[str] = (), dry_run: bool = False
) -> int:
    """Remove the imported results of a suite from one source; return how many.

    Everything is removed in one transaction.

    Parameters
    ----------
    store : Store
    suite : str
    source : str, optional
        May be left out if the suite has only one.
    keep_runs : collection of str
        Runs of the source that stay.
    dry_run : bool
        Only count.

    Raises
    ------
    UnknownNameError
        If nothing was imported into the suite, or not from this source.
    InputError
        If the suite has several sources and none is named.
    StoreError
        If the database is in use.
    """
    known = sources_of(store, suite)
    if not known:
        raise UnknownNameError("suite with imported results:", suite, sorted({one.suite for one in sources_of(store)}))
    names = [one.source for one in known]
    if source is None:
        if len(names) > 1:
            raise InputError(f"suite {suite} has several sources; choose one with --source: {'; '.join(names)}")
        source = names[0]
    # older imports were stored as they were given
    source = source if source in names else clean_name(source)
    if source not in names:
        raise UnknownNameError(f"source of suite {suite}:", source, names)
    if not dry_run and store.ingest(store.wait_seconds).is_deferred:
        raise StoreError(f"{store.path} is in use by another process; nothing was removed")
    keys: list[object] = [suite, PUBLISHED + source, list(keep_runs)]
    if dry_run:
        with store.reading() as con:
            return len(_keys(con, "attempts", keys))
    with store.writing() as con:
        return _remove(con, suite, keys)


def _keys(con: duckdb.DuckDBPyConnection, table: str, keys: list[object]) -> list[tuple[int, str]]:
    return con.execute(
        f"SELECT attempt_key, run_id FROM {table} WHERE suite = $1 AND protocol_version = $2"
        " AND run_id NOT IN (SELECT unnest(CAST($3 AS VARCHAR[])))",
        keys,
    ).fetchall()


def _remove(con: duckdb.DuckDBPyConnection, suite: str, keys: list[object]) -> int:
    rows = _keys(con, "store.main.attempts", keys)
    attempts = [key for key, _ in rows]
    runs = sorted({run for _, run in rows})
    con.execute("BEGIN")
    for table in ("unit_scores", "metrics", "curves", "attempts"):
        con.execute(
            f"DELETE FROM store.main.{table} WHERE attempt_key IN (SELECT unnest(CAST($1 AS UBIGINT[])))", [attempts]
        )
    for table in ("runs", "imported_runs"):
        con.execute(
            f"DELETE FROM store.main.{table} WHERE run_id IN (SELECT unnest(CAST($1 AS VARCHAR[])))"
            " AND run_id NOT IN (SELECT run_id FROM store.main.attempts)",
            [runs],
        )
    con.execute(
        "DELETE FROM store.main.tasks WHERE suite = $1 AND task_fingerprint NOT IN"
        " (SELECT task_fingerprint FROM store.main.attempts)",
        [suite],
    )
    con.execute("COMMIT")
    return len(attempts)
