"""Checks of the values of an export, before the first of them is imported.

A manifest only says that the files are those that somebody wrote. What is in them is checked here:
one vectorised pass per table for what SQL can say, and one per distinct text for names and JSON.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError
from benchbench.protocols.base import tracks_where
from benchbench.records import OUTCOMES
from benchbench.results.ingest import quoted
from benchbench.results.kinds import KINDS
from benchbench.text import printable

if TYPE_CHECKING:
    import duckdb

__all__ = ["check_values"]

_A_DAY_SECONDS = 86_400.0
_AT_ONCE = 50_000
_SHOWN = 80

RUN_STATES = ("running", "finished", "failed", "interrupted", "done")
PREPARATION_OUTCOMES = ("ok", "failed")
METRIC_KINDS = ("metric", "phase")

# of (table, column): what the values of a column must be, and the SQL that holds where they are not
_TIMES = ("seconds", "wall_seconds", "cpu_seconds", "peak_memory_mib")
_COUNTS = ("try_number", "n_units", "threads")

_NAMES: dict[str, tuple[str, ...]] = {
    "runs": ("run_id", "suite", "preset", "state", "kind"),
    "attempts": (
        *("attempt_id", "run_id", "trial_id", "suite", "suite_version", "track", "task", "task_fingerprint"),
        *("protocol_version", "method", "preset", "device"),
    ),
    "metrics": ("name",),
    "curves": ("metric",),
    "tasks": ("task_fingerprint", "suite", "suite_version", "track", "task"),
    "methods": ("method", "track"),
    "environments": ("environment_hash",),
    "preparations": ("run_id", "suite", "suite_version", "preset", "task"),
}
"""Columns of texts that are not empty, and without control characters."""

_WORDS: dict[str, tuple[str, ...]] = {
    "runs": ("command", "user_name", "host", "git_commit", "benchbench_version"),
    "attempts": (
        *("metric", "unit", "host", "worker", "hardware_class", "adapter_source_hash", "environment_hash"),
        *("git_commit", "benchbench_version"),
    ),
    "methods": ("adapter_source_hash",),
    "preparations": ("error_type", "host"),
}
"""Columns of texts without control characters, which may be empty."""


def check_values(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Check that the tables of an export hold only what benchbench writes and can use.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        With one view per table, which has the number of each row as the column ``row_number``.
    folder : Path
        The export, for the message.

    Raises
    ------
    InputError
        With the table, row, column and value.
    """
    for table, checks in _sql_checks(time.time()).items():
        _check_table(con, folder, table, checks)
    for table in _NAMES:
        for column in (*_NAMES[table], *_WORDS.get(table, ())):
            may_be_empty = column not in _NAMES[table]
            _check_texts(con, folder, table, column, partial(_wrong_name, may_be_empty=may_be_empty))
    for (table, column), wrong in _JSON.items():
        _check_texts(con, folder, table, column, wrong)
    _check_units(con, folder)


def _sql_checks(now: float) -> dict[str, list[tuple[str, str, str]]]:
    """Return per table the column, what is expected of it, and the SQL that finds the others."""
    listed = ", ".join
    newest = now + _A_DAY_SECONDS
    in_past = f"a time in seconds that is not in the future (up to {newest:.0f})"
    checks: dict[str, list[tuple[str, str, str]]] = {
        "attempts": [
            ("attempt_key", "a key", "attempt_key IS NULL"),
            *_not_null("attempts"),
            ("attempt_id", "ids that match their keys", "attempt_key <> md5_number_lower(attempt_id)"),
            ("outcome", f"one of {listed(OUTCOMES)}", f"outcome NOT IN ({listed(map(quoted, OUTCOMES))})"),
            ("score", "a score if, and only if, the outcome is ok", "(outcome = 'ok') <> (score IS NOT NULL)"),
            ("score", "a finite number", "NOT isfinite(score)"),
            ("score_sd", "a finite number of at least 0, or none", "NOT isfinite(score_sd) OR score_sd < 0"),
            *((name, "a whole number of at least 0", f"{name} < 0") for name in _COUNTS),
            *((name, "a finite number of at least 0", f"NOT isfinite({name}) OR {name} < 0") for name in _TIMES),
            ("started_at", in_past, f"NOT (isfinite(started_at) AND started_at BETWEEN 0 AND {newest})"),
            ("metric", "the metric of its score", "outcome = 'ok' AND metric = ''"),
        ],
        "runs": [
            *_not_null("runs"),
            ("updated_at", "the time of the last update", "updated_at IS NULL"),
            (
                "updated_at",
                "nanoseconds that are not in the future",
                f"updated_at NOT BETWEEN 0 AND {int(newest * 1e9)}",
            ),
            ("started_at", in_past, f"NOT (isfinite(started_at) AND started_at BETWEEN 0 AND {newest})"),
            ("ended_at", f"{in_past}, or none", f"NOT (isfinite(ended_at) AND ended_at BETWEEN 0 AND {newest})"),
            ("n_trials", "a whole number of at least 0", "n_trials < 0"),
            ("state", f"one of {listed(RUN_STATES)}", f"state NOT IN ({listed(map(quoted, RUN_STATES))})"),
        ],
        "unit_scores": [
            ("scores", "a list of scores", "scores IS NULL OR len(scores) = 0"),
            # a sum is finite only if each of its terms is, and takes less memory than a filter
            ("scores", "finite numbers", "list_count(scores) < len(scores) OR NOT isfinite(list_sum(scores))"),
        ],
        "metrics": [
            (
                "kind",
                f"one of {listed(METRIC_KINDS)}",
                f"kind IS NULL OR kind NOT IN ({listed(map(quoted, METRIC_KINDS))})",
            ),
            ("name", "a name", "name IS NULL"),
            (
                "value",
                "finite seconds of at least 0",
                "kind = 'phase' AND (value IS NULL OR NOT isfinite(value) OR value < 0)",
            ),
        ],
        "curves": [
            ("position", "a whole number of at least 1", "position IS NULL OR position < 1"),
            ("step", "a whole number of at least 0", "step IS NULL OR step < 0"),
            ("seconds", "a finite number of at least 0", "seconds IS NULL OR NOT isfinite(seconds) OR seconds < 0"),
            ("metric", "a name", "metric IS NULL"),
            ("value", "a number", "value IS NULL"),
        ],
        "tasks": [(name, "a text", f"{name} IS NULL") for name in _NAMES["tasks"]],
        "methods": [
            (name, "a value", f"{name} IS NULL") for name in ("adapter_source_hash", "method", "track", "transductive")
        ],
        "environments": [(name, "a text", f"{name} IS NULL") for name in ("environment_hash", "versions_json")],
        "preparations": [
            *_not_null("preparations"),
            (
                "outcome",
                f"one of {listed(PREPARATION_OUTCOMES)}",
                f"outcome NOT IN ({listed(map(quoted, PREPARATION_OUTCOMES))})",
            ),
            ("recorded_at", in_past, f"NOT (isfinite(recorded_at) AND recorded_at BETWEEN 0 AND {newest})"),
            ("updated_at", "the time of the last update", "updated_at IS NULL"),
        ],
    }
    for child in ("unit_scores", "metrics", "curves"):
        checks[child].append(
            (
                "attempt_key",
                f"keys of its attempts ({child} of no attempt)",
                "attempt_key IS NULL OR attempt_key NOT IN (SELECT attempt_key FROM attempts WHERE attempt_key IS NOT NULL)",
            )
        )
    for table, key in (
        ("attempts", "attempt_id"),
        ("runs", "run_id"),
        ("unit_scores", "attempt_key"),
        ("environments", "environment_hash"),
    ):
        repeated = f"SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1"
        checks[table].append((key, "each value once", f"{key} IN ({repeated})"))
    return checks


def _not_null(table: str) -> Iterator[tuple[str, str, str]]:
    kind = KINDS[table]
    return ((name, "a value", f"{name} IS NULL") for name in kind.columns if name not in kind.nullable)


def _check_table(
    con: duckdb.DuckDBPyConnection, folder: Path, table: str, checks: list[tuple[str, str, str]], source: str = ""
) -> None:
    source = source or table
    counts = ", ".join(f"count(*) FILTER ({condition})" for _, _, condition in checks)
    row = con.execute(f"SELECT {counts} FROM {source}").fetchone() or ()
    for (column, expected, condition), count in zip(checks, row, strict=True):
        if count:
            # not with WHERE, which skips row groups by statistics that know no NaN
            only = f"FILTER ({condition})"
            found = con.execute(
                f"SELECT min(row_number) {only}, arg_min_null({column}, row_number) {only} FROM {source}"
            ).fetchone()
            raise _error(folder, table, column, count, found, expected)


def _check_texts(
    con: duckdb.DuckDBPyConnection, folder: Path, table: str, column: str, wrong: Callable[[str], str | None]
) -> None:
    """Check each distinct text of a column with a function that returns what was expected."""
    cursor = con.cursor()
    try:
        cursor.execute(f"SELECT {column}, min(row_number), count(*) FROM {table} GROUP BY 1")
        while rows := cursor.fetchmany(_AT_ONCE):
            for text, number, count in rows:
                if expected := wrong(text):
                    raise _error(folder, table, column, count, (number, text), expected)
    finally:
        cursor.close()


def _error(
    folder: Path, table: str, column: str, count: int, found: tuple[Any, ...] | None, expected: str
) -> InputError:
    number, value = found or (0, None)
    shown = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " ..."
    others = f" (and {count - 1} more rows)" if count > 1 else ""
    return InputError(
        f"{folder / table}.parquet was not written by benchbench, or was changed: row {number}{others}, column {column}"
        f" has {printable(shown)}, expected {expected}. Nothing was imported"
    )


def _wrong_name(text: str, may_be_empty: bool) -> str | None:
    if not text.strip():
        return None if may_be_empty and not text else "a name that is not empty"
    return None if printable(text) == text else "a text without control characters"


def _wrong_object(text: str) -> str | None:
    return None if isinstance(_parsed(text), dict) else "a JSON object"


def _wrong_budget(text: str) -> str | None:
    """Return what is expected of a budget: an object with numbers where `Budget` has numbers."""
    budget = _parsed(text)
    if not isinstance(budget, dict):
        return "a JSON object"
    if not isinstance(budget.get("preset", ""), str):
        return "a budget whose preset is a text"
    for name, (expected, fits) in _BUDGET.items():
        if name in budget and not fits(budget[name]):
            return f"a budget whose {name} is {expected}"
    return None


def _wrong_versions(text: str) -> str | None:
    versions = _parsed(text)
    fits = isinstance(versions, dict) and all(isinstance(version, str) for version in versions.values())
    return None if fits else "a JSON object of versions, which are texts"


def _wrong_remarks(text: str) -> str | None:
    remarks = _parsed(text)
    fits = isinstance(remarks, list) and all(isinstance(remark, str) for remark in remarks)
    return None if fits else "a JSON list of texts"


def _parsed(text: str) -> Any:
    """Return a JSON value; None for what is not JSON, has NaN, or is nested without end."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


_BUDGET: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("iterations", "threads", "memory_limit_mib", "test_units"), ("a whole number", _is_count)),
    **dict.fromkeys(("time_limit_seconds", "grace_seconds"), ("a finite number of at least 0", _is_amount)),
    "fit_seconds": ("a finite number of at least 0, or null", lambda value: value is None or _is_amount(value)),
}

_JSON: Mapping[tuple[str, str], Callable[[str], str | None]] = {
    ("attempts", "params_json"): _wrong_object,
    ("attempts", "budget_json"): _wrong_budget,
    ("attempts", "remarks_json"): _wrong_remarks,
    ("runs", "hardware_json"): _wrong_object,
    ("environments", "versions_json"): _wrong_versions,
}


def _check_units(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Compare the units of attempts with their scores and their budgets.

    Raises
    ------
    InputError
    """
    scored = "(SELECT attempts.*, len(scores) AS n_scores FROM attempts JOIN unit_scores USING (attempt_key))"
    _check_table(
        con,
        folder,
        "attempts",
        [("n_units", "the number of its unit scores", "n_units <> n_scores")],
        source=scored,
    )
    tracks = tracks_where(lambda protocol: "test_units" not in protocol.UNUSED_BUDGET)
    test_units = "coalesce(CAST(json_extract(budget_json, '$.test_units') AS BIGINT), 0)"
    too_many = f"outcome = 'ok' AND track IN ({', '.join(map(quoted, tracks))}) AND {test_units} > 0 AND n_units > {test_units}"
    _check_table(con, folder, "attempts", [("n_units", "at most the test_units of its budget", too_many)])
