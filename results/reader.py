"""The interface for reading results, from a database or an export."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError
from benchbench.records import OUTCOMES
from benchbench.stats.intervals import estimate_of_summary
from benchbench.stats.labels import whole_duration

if TYPE_CHECKING:
    import duckdb

__all__ = ["QUIET_SECONDS", "DoneKey", "Readable", "dicts", "failed_preparations", "is_quiet", "state_text"]

DoneKey = tuple[str, str, str, str]
"""(trial id, adapter source hash, task fingerprint, protocol version)"""

_RUNS = """
SELECT runs.*, coalesce(n, 0) AS n_attempts, outcomes, first_trial, last_sign, n_methods
FROM runs LEFT JOIN (
    SELECT run_id, count(*) AS n, histogram(outcome) AS outcomes, min(started_at) AS first_trial,
        max(started_at + wall_seconds) AS last_sign, count(DISTINCT method) AS n_methods
    FROM attempts GROUP BY run_id
) USING (run_id)
ORDER BY started_at DESC, run_id LIMIT $1
"""

_FAILED_PREPARATIONS = """
SELECT suite_version, preset, task, error_type, error_message, run_id, host, recorded_at
FROM preparations AS failed
WHERE suite = $1 AND outcome = 'failed'
    AND NOT EXISTS (
        FROM preparations AS later WHERE later.suite = failed.suite AND later.suite_version = failed.suite_version
            AND later.task = failed.task AND later.recorded_at > failed.recorded_at
    )
    AND NOT EXISTS (
        FROM attempts WHERE attempts.suite = failed.suite AND attempts.suite_version = failed.suite_version
            AND attempts.task = failed.task AND attempts.started_at > failed.recorded_at AND attempts.outcome <> 'infra'
    )
ORDER BY task, recorded_at
"""

QUIET_SECONDS = 600.0
"""A run in state "running" without a sign for this long may have been killed."""


class Readable(ABC):
    """Results that can be read: a store or an export."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Yield a short-lived connection with one view per table."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether there is anything to read.

        Raises
        ------
        InputError
            If there is nothing, and that can only be a mistake.
        """

    def is_recorded(self) -> bool:
        """Return whether anything was recorded here, for callers that may create it."""
        return self.exists()

    def done_keys(self, suite: str, include_failed: bool = True) -> set[DoneKey]:
        """Return the keys of trials that need not run again; empty without results.

        Parameters
        ----------
        suite : str
        include_failed : bool
            Whether a trial counts as done if its newest attempt neither succeeded nor was declined.
        """
        if not self.is_recorded():
            return set()
        done = "" if include_failed else " HAVING arg_max(outcome, started_at) IN ('ok', 'declined')"
        keys = "trial_id, adapter_source_hash, task_fingerprint, protocol_version"
        with self.reading() as con:
            rows = con.execute(
                f"SELECT {keys} FROM attempts WHERE suite = $1 AND outcome <> 'infra' GROUP BY ALL{done}", [suite]
            ).fetchall()
        return set(rows)

    def failed_preparations(self, suite: str) -> list[dict[str, Any]]:
        """Return the tasks of a suite whose data could not be prepared when last tried.

        Not those that a later run has prepared, or has results of.
        """
        if not self.is_recorded():
            return []
        with self.reading() as con:
            return failed_preparations(con, suite)

    def suites(self) -> list[str]:
        """Return the suites that have attempts."""
        with self.reading() as con:
            return [row[0] for row in con.execute("SELECT DISTINCT suite FROM attempts ORDER BY 1").fetchall()]

    def runs(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the runs, newest first, with their numbers of attempts by outcome.

        ``first_trial`` is the start of the first ended attempt (None without any), ``last_sign``
        the time of the last sign of the run, in seconds since the epoch. The state of a killed run
        stays "running" (see `is_quiet`).
        """
        with self.reading() as con:
            rows = dicts(con, _RUNS, [limit])
        for row in rows:
            row["hardware"] = json.loads(row.pop("hardware_json"))
            row["user"] = row.pop("user_name")
            found = row["outcomes"] or {}
            row["outcomes"] = {outcome: found[outcome] for outcome in OUTCOMES if outcome in found}
            updated = row.pop("updated_at") / 1e9
            row["last_sign"] = max(updated, row["last_sign"] or 0.0)
        return rows

    def attempts_of_run(self, run_id: str) -> list[dict[str, Any]]:
        """Return the attempts of one run, by start, without their scores per unit and curves.

        `ci95` is the half-width of the score's 95 % interval over the units of this attempt, None
        if undefined.
        """
        with self.reading() as con:
            rows = dicts(
                con,
                "SELECT attempt_id, suite, suite_version, protocol_version, preset, threads, device, task, method,"
                " params_json AS params, seed, try_number, outcome, metric, score, score_sd, n_units, unit, seconds, error_type,"
                " error_message, remarks_json AS remarks FROM attempts WHERE run_id = $1 ORDER BY started_at, attempt_id",
                [run_id],
            )
        for row in rows:
            row["params"] = json.loads(row["params"])
            row["remarks"] = json.loads(row["remarks"])
            row["ci95"] = _ci95(row)
            del row["score_sd"]
        return rows

    def failed_preparations_of_run(self, run_id: str) -> list[dict[str, Any]]:
        """Return the tasks whose data could not be prepared in one run."""
        with self.reading() as con:
            return dicts(
                con,
                "SELECT suite, task, error_type, error_message, host, recorded_at FROM preparations"
                " WHERE run_id = $1 AND outcome = 'failed' ORDER BY task",
                [run_id],
            )

    def attempt(self, prefix: str) -> dict[str, Any]:
        """Return the full record of the attempt whose id begins with `prefix`.

        Raises
        ------
        InputError
            If no attempt or more than one has such an id.
        """
        if not prefix:
            raise InputError("give the id of an attempt, or the beginning of one; `bench history RUN` lists them")
        with self.reading() as con:
            ids = con.execute(
                "SELECT attempt_id, task, method, outcome FROM attempts WHERE starts_with(attempt_id, $1)"
                " ORDER BY (attempt_id <> $1), started_at LIMIT 9",
                [prefix],
            ).fetchall()
            if not ids:
                raise InputError(f"no attempt has an id that begins with {prefix!r}; `bench history RUN` lists them")
            if len(ids) > 1 and ids[0][0] != prefix:
                raise InputError(_ambiguous(prefix, ids))
            return _whole_attempt(con, ids[0][0])


def _ambiguous(prefix: str, ids: Sequence[tuple[Any, ...]]) -> str:
    listed = "".join(f"\n  {i}  {method} on {task}, {outcome}" for i, task, method, outcome in ids[:8])
    more = "\n  ..." if len(ids) > 8 else ""
    return f"more than one attempt has an id that begins with {prefix!r}; give more of it:{listed}{more}"


def _whole_attempt(con: duckdb.DuckDBPyConnection, attempt_id: str) -> dict[str, Any]:
    row = dicts(con, "SELECT * FROM attempts WHERE attempt_key = md5_number_lower($1)", [attempt_id])[0]
    key = [row.pop("attempt_key")]
    row["ci95"] = _ci95(row)
    row["params"] = json.loads(row.pop("params_json"))
    row["budget"] = json.loads(row.pop("budget_json"))
    row["remarks"] = json.loads(row.pop("remarks_json"))
    named = con.execute("SELECT kind, name, value FROM metrics WHERE attempt_key = $1", key).fetchall()
    row["metrics"] = {name: value for kind, name, value in named if kind == "metric"}
    row["phases"] = {name: value for kind, name, value in named if kind == "phase"}
    row["curve"] = dicts(
        con, "SELECT step, seconds, metric, value FROM curves WHERE attempt_key = $1 ORDER BY position", key
    )
    scores = con.execute("SELECT scores FROM unit_scores WHERE attempt_key = $1", key).fetchone()
    row["unit_scores"] = scores[0] if scores else []
    versions = con.execute(
        "SELECT versions_json FROM environments WHERE environment_hash = $1", [row["environment_hash"]]
    ).fetchone()
    row["environment"] = json.loads(versions[0]) if versions else {}
    return row


def _ci95(attempt: Mapping[str, Any]) -> float | None:
    """Return the half-width of a score's interval over the attempt's units, None if undefined."""
    if attempt["score"] is None:
        return None
    return estimate_of_summary(attempt["score"], attempt["score_sd"], attempt["n_units"]).ci95


def is_quiet(run: Mapping[str, Any], now: float) -> bool:
    """Return whether a run of `Readable.runs` in state "running" may have been killed."""
    return bool(run["state"] == "running" and now - run["last_sign"] > QUIET_SECONDS)


def state_text(run: Mapping[str, Any], now: float) -> str:
    """Return the state of a run of `Readable.runs` for people.

    A killed run never records its end, so its state stays "running".
    """
    if is_quiet(run, now):
        return f"running? nothing heard for {whole_duration(now - run['last_sign'])}"
    return str(run["state"])


def failed_preparations(con: duckdb.DuckDBPyConnection, suite: str) -> list[dict[str, Any]]:
    """See `Readable.failed_preparations`."""
    return dicts(con, _FAILED_PREPARATIONS, [suite])


def dicts(con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rows of a query as mappings of column names to values."""
    result = con.execute(query, list(parameters))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]
