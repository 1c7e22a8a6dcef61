"""What people who browse results ask beyond leaderboards.

Which suites there are, how a method changed, and where a row comes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from benchbench.errors import BenchbenchError, InputError
from benchbench.results.counted import IN_CONDITIONS, IS_TIMED, select_counted
from benchbench.results.landing import list_landed
from benchbench.results.migrations import NewerSchemaError
from benchbench.results.reader import dicts
from benchbench.results.store import Store, StoreInUse

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.trials import Conditions

__all__ = [
    "Provenance",
    "SuiteOverview",
    "Trouble",
    "attempt_list",
    "method_failures",
    "method_history",
    "method_results",
    "provenance",
    "state_of",
    "suite_overviews",
    "task_data",
    "trouble_with",
]

State = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOverview:
    """What there is of a suite, counted over all attempts."""

    suite: str
    track: str
    n_methods: int
    n_tasks: int
    newest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the counted trials of one row of a leaderboard come from.

    `n_clean` of `n_trials` ran code without uncommitted changes, of a known commit.
    """

    n_trials: int
    n_clean: int
    sources: tuple[str, ...]
    hardware: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why results cannot be read.

    `kind` is "absent", "empty", "in use", "foreign" or "unreadable". Anything else is "failed".
    """

    kind: str
    message: str


def state_of(store: Store) -> State:
    """Return what changes whenever anything is recorded.

    That is the size and time of the file, and what has been written beside it.
    """
    try:
        found = store.path.stat()
        facts: State = (found.st_mtime_ns, found.st_size, found.st_ino)
    except OSError:
        facts = (0, 0, 0)
    try:
        landed = [one.path.name for one in list_landed(store.landing)]
    except OSError:
        # `trouble_with` says so
        landed = []
    return (str(store.path), *facts, *landed)


def trouble_with(store: Store) -> Trouble | None:
    """Return why there is nothing to show, or None."""
    try:
        if not store.is_recorded():
            return Trouble(
                kind="absent",
                message=f"There is no results database at {store.path}; `bench run` makes one on its first use.",
            )
        with store.reading() as con:
            row = con.execute("SELECT EXISTS (FROM attempts), EXISTS (FROM runs)").fetchone()
    except StoreInUse as error:
        return Trouble(kind="in use", message=str(error))
    except NewerSchemaError as error:
        return Trouble(kind="unreadable", message=str(error))
    except InputError as error:
        return Trouble(kind="foreign", message=str(error))
    except BenchbenchError as error:
        return Trouble(kind="unreadable", message=str(error))
    if row is None or not any(row):
        return Trouble(kind="empty", message=f"{store.path} holds no results yet.")
    return None


def suite_overviews(results: Readable) -> list[SuiteOverview]:
    """Return the suites of which there are attempts, those with the newest first."""
    with results.reading() as con:
        rows = con.execute(
            "SELECT suite, any_value(track), count(DISTINCT method), count(DISTINCT task), max(started_at)"
            " FROM attempts GROUP BY suite ORDER BY 5 DESC, 1"
        ).fetchall()
    return [SuiteOverview(suite=r[0], track=r[1], n_methods=r[2], n_tasks=r[3], newest=r[4]) for r in rows]


_PROVENANCE = f"""
SELECT method, params_json, count(*), count(*) FILTER (git_dirty = false AND git_commit <> ''),
    list_sort(map_keys(histogram(adapter_source_hash))), list_sort(map_keys(histogram(hardware_class)))
FROM counted
WHERE outcome <> 'infra' AND {IN_CONDITIONS}
GROUP BY method, params_json
"""


def provenance(results: Readable, suite: str, conditions: Conditions) -> dict[tuple[str, str], Provenance]:
    """Return where the counted trials of a leaderboard come from.

    Keys are the method and its parameters (canonical JSON).
    """
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_PROVENANCE, list(astuple(conditions))).fetchall()
    return {
        (r[0], r[1]): Provenance(
            n_trials=r[2],
            n_clean=r[3],
            sources=tuple(r[4] or ()),
            hardware=tuple(h for h in r[5] or () if h),
        )
        for r in rows
    }


_ATTEMPTS = """
SELECT attempt_id, run_id, suite, task, method, params_json AS params, seed, try_number, outcome, metric, score, seconds,
    wall_seconds, peak_memory_mib, started_at, host, hardware_class, device, threads, preset, adapter_source_hash, git_commit,
    git_dirty, benchbench_version, error_type, error_message, remarks_json
FROM attempts
WHERE ($1 IS NULL OR run_id = $1) AND ($2 IS NULL OR method = $2) AND ($3 IS NULL OR list_contains(CAST($3 AS VARCHAR[]), outcome))
ORDER BY started_at DESC, attempt_key LIMIT $4
"""


def attempt_list(
    results: Readable,
    *,
    run_id: str | None = None,
    method: str | None = None,
    outcomes: Iterable[str] | None = None,
    limit: int = 1000,
) -> list[dict[str, Any]]:
    """Return attempts, newest first.

    Scores per unit, curves, output and traceback are left out; `Readable.attempt` has them.
    """
    wanted = None if outcomes is None else list(outcomes)
    with results.reading() as con:
        rows = dicts(con, _ATTEMPTS, [run_id, method, wanted, limit])
    for row in rows:
        row["remarks"] = json.loads(row.pop("remarks_json"))
    return rows


def method_failures(results: Readable, method: str, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest attempts of a method that failed, each with traceback and output."""
    with results.reading() as con:
        return dicts(
            con,
            "SELECT attempt_id, run_id, suite, task, seed, preset, params_json AS params, outcome, error_type, error_message,"
            " traceback, log_tail, started_at, wall_seconds, host FROM attempts"
            " WHERE method = $1 AND outcome NOT IN ('ok', 'declined') ORDER BY started_at DESC, attempt_key LIMIT $2",
            [method, limit],
        )


_RESULTS = f"""
SELECT suite, any_value(track) AS track, task, preset, device, threads, params_json AS params,
    any_value(metric) FILTER (metric <> '') AS metric,
    count(*) FILTER (outcome = 'ok') AS n_ok, count(*) FILTER (outcome NOT IN ('ok', 'declined', 'infra')) AS n_failed,
    count(*) FILTER (outcome = 'declined') AS n_declined, avg(score) FILTER (outcome = 'ok') AS score,
    stddev_samp(score) FILTER (outcome = 'ok') AS seed_sd, avg(seconds) FILTER (outcome = 'ok' AND {IS_TIMED}) AS seconds,
    max(peak_memory_mib) FILTER (outcome = 'ok') AS peak_memory_mib, max(started_at) AS newest
FROM counted
WHERE method = $1
GROUP BY suite, suite_version, task, task_fingerprint, protocol_version, preset, device, threads, params_json, budget_json
ORDER BY suite, preset, params_json, task, newest DESC
"""


def method_results(results: Readable, method: str) -> list[dict[str, Any]]:
    """Return the counted trials of a method, summed up by suite, task, budget and parameters."""
    with results.reading() as con:
        select_counted(con, None)
        return dicts(con, _RESULTS, [method])


def method_history(results: Readable, method: str) -> list[dict[str, Any]]:
    """Return all attempts of a method, history included, in order of time.

    They are summed up by source of the adapter, suite, preset and task.
    """
    with results.reading() as con:
        return dicts(
            con,
            "SELECT adapter_source_hash AS source, suite, suite_version, preset, task, params_json AS params,"
            " any_value(metric) FILTER (metric <> '') AS metric, min(started_at) AS first, max(started_at) AS newest,"
            " list_sort(list_distinct(list(benchbench_version))) AS versions,"
            " arg_max(git_commit, started_at) AS git_commit, bool_or(git_dirty) AS is_dirty, count(*) AS n_attempts,"
            " count(*) FILTER (outcome = 'ok') AS n_ok, avg(score) FILTER (outcome = 'ok') AS score,"
            " stddev_samp(score) FILTER (outcome = 'ok') AS score_sd, avg(seconds) FILTER (outcome = 'ok') AS seconds"
            " FROM attempts WHERE method = $1 AND outcome <> 'infra'"
            " GROUP BY source, suite, suite_version, preset, task, params ORDER BY suite, preset, params, task, first",
            [method],
        )


def task_data(results: Readable, suite: str) -> list[dict[str, Any]]:
    """Return the data that the tasks of a suite were run on, newest first per task.

    Each row has the fingerprint, suite version, attempts, and first and newest time.
    """
    with results.reading() as con:
        return dicts(
            con,
            "SELECT task, task_fingerprint, suite_version, protocol_version, any_value(track) AS track,"
            " any_value(metric) FILTER (metric <> '') AS metric, any_value(unit) FILTER (unit <> '') AS unit,"
            " count(*) AS n_attempts, count(DISTINCT method) AS n_methods,"
            " count(*) FILTER (outcome NOT IN ('ok', 'declined', 'infra')) AS n_failed,"
            " min(started_at) AS first, max(started_at) AS newest"
            " FROM attempts WHERE suite = $1 GROUP BY task, task_fingerprint, suite_version, protocol_version"
            " ORDER BY task, newest DESC",
            [suite],
        )
