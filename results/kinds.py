"""The kinds of records that land: their columns, and the tables that they are ingested into.

A new kind is an entry of `KINDS`, a table of the same name in ``schema.sql`` and a migration that
creates it. Writing, staging, ingesting and reading follow from the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ADDED", "JSON_LISTS", "KINDS", "KINDS_BY_KEY", "NAMES", "TABLES_ADDED", "VERSION", "Kind", "composed"]

VERSION = 2
"""The schema's version."""

_TEXT, _INT, _REAL, _BOOL = "string", "int64", "double", "bool"
_SQL_TYPES = {_TEXT: "VARCHAR", _INT: "BIGINT", _REAL: "DOUBLE", _BOOL: "BOOLEAN"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of records.

    Parameters
    ----------
    name : str
        Part of the names of its landing files, and the name of its table.
    columns : mapping of str to (str, str)
        Arrow type and attribute of the record per column, in the order of ``schema.sql``. Columns
        that end with ``_json`` hold the attribute as canonical JSON.
    nullable : frozenset of str
        Columns that may be NULL.
    nested : mapping of str to str
        SQL types of further columns of its landing files, which have tables of their own.
    key : tuple of str
        Columns that identify a record whose state changes: of several records of one key, the one
        with the greatest ``updated_at`` (a further column, in nanoseconds) counts. Empty for
        attempts, which never change.
    """

    name: str
    columns: Mapping[str, tuple[str, str]]
    nullable: frozenset[str] = frozenset()
    nested: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()

    @property
    def table_columns(self) -> list[str]:
        """Names of the columns of its table, in their order."""
        return [*self.columns, *(["updated_at"] if self.key else [])]

    @property
    def file_columns(self) -> dict[str, str]:
        """SQL types of the columns of its landing files."""
        plain = {
            name: _SQL_TYPES[arrow] + ("" if name in self.nullable else " NOT NULL")
            for name, (arrow, _) in self.columns.items()
        }
        updated = {"updated_at": "BIGINT NOT NULL"} if self.key else {}
        return plain | updated | {name: f"{sql} NOT NULL" for name, sql in self.nested.items()}


_RUNS = Kind(
    name="runs",
    key=("run_id",),
    nullable=frozenset({"ended_at", "git_dirty"}),
    columns={
        "run_id": (_TEXT, "run_id"),
        "suite": (_TEXT, "suite"),
        "preset": (_TEXT, "preset"),
        "command": (_TEXT, "command"),
        "started_at": (_REAL, "started_at"),
        "ended_at": (_REAL, "ended_at"),
        "n_trials": (_INT, "n_trials"),
        "state": (_TEXT, "state"),
        "kind": (_TEXT, "kind"),
        "user_name": (_TEXT, "user"),
        "host": (_TEXT, "host"),
        "hardware_json": (_TEXT, "hardware"),
        "git_commit": (_TEXT, "git_commit"),
        "git_dirty": (_BOOL, "git_dirty"),
        "benchbench_version": (_TEXT, "benchbench_version"),
    },
)
_ATTEMPTS = Kind(
    name="attempts",
    nullable=frozenset({"score", "score_sd", "git_dirty"}),
    columns={
        "attempt_id": (_TEXT, "attempt_id"),
        "run_id": (_TEXT, "run_id"),
        "trial_id": (_TEXT, "trial_id"),
        "try_number": (_INT, "try_number"),
        "suite": (_TEXT, "suite"),
        "suite_version": (_TEXT, "suite_version"),
        "track": (_TEXT, "track"),
        "task": (_TEXT, "task"),
        "task_fingerprint": (_TEXT, "task_fingerprint"),
        "protocol_version": (_TEXT, "protocol_version"),
        "method": (_TEXT, "method"),
        "params_json": (_TEXT, "params"),
        "transductive": (_BOOL, "transductive"),
        "seed": (_INT, "seed"),
        "preset": (_TEXT, "preset"),
        "budget_json": (_TEXT, "budget"),
        "threads": (_INT, "threads"),
        "device": (_TEXT, "device"),
        "outcome": (_TEXT, "outcome"),
        "error_type": (_TEXT, "error_type"),
        "error_message": (_TEXT, "error_message"),
        "traceback": (_TEXT, "traceback"),
        "log_tail": (_TEXT, "log_tail"),
        "metric": (_TEXT, "metric"),
        "score": (_REAL, "score"),
        "score_sd": (_REAL, "score_sd"),
        "n_units": (_INT, "n_units"),
        "unit": (_TEXT, "unit"),
        "seconds": (_REAL, "seconds"),
        "wall_seconds": (_REAL, "wall_seconds"),
        "cpu_seconds": (_REAL, "cpu_seconds"),
        "peak_memory_mib": (_REAL, "peak_memory_mib"),
        "started_at": (_REAL, "started_at"),
        "host": (_TEXT, "host"),
        "worker": (_TEXT, "worker"),
        "hardware_class": (_TEXT, "hardware_class"),
        "adapter_source_hash": (_TEXT, "adapter_source_hash"),
        "environment_hash": (_TEXT, "environment_hash"),
        "git_commit": (_TEXT, "git_commit"),
        "git_dirty": (_BOOL, "git_dirty"),
        "benchbench_version": (_TEXT, "benchbench_version"),
        "remarks_json": (_TEXT, "remarks"),
    },
    nested={
        "unit_scores": "DOUBLE[]",
        "metrics": "STRUCT(kind VARCHAR, name VARCHAR, value DOUBLE)[]",
        "curve": "STRUCT(step BIGINT, seconds DOUBLE, metric VARCHAR, value DOUBLE)[]",
        "environment_json": "VARCHAR",
    },
)
_PREPARATIONS = Kind(
    name="preparations",
    key=("run_id", "task"),
    columns={
        "run_id": (_TEXT, "run_id"),
        "suite": (_TEXT, "suite"),
        "suite_version": (_TEXT, "suite_version"),
        "preset": (_TEXT, "preset"),
        "task": (_TEXT, "task"),
        "outcome": (_TEXT, "outcome"),
        "error_type": (_TEXT, "error_type"),
        "error_message": (_TEXT, "error_message"),
        "host": (_TEXT, "host"),
        "recorded_at": (_REAL, "recorded_at"),
    },
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in (_RUNS, _ATTEMPTS, _PREPARATIONS)}
"""Every kind by its name, in the order in which landing files are read."""

KINDS_BY_KEY: tuple[Kind, ...] = tuple(kind for kind in KINDS.values() if kind.key)
"""Kinds whose records are updated by newer ones."""

JSON_LISTS = frozenset({"remarks_json"})
"""Columns of JSON text that hold a list; the others hold an object."""

NAMES: dict[str, frozenset[str]] = {
    "runs": frozenset({"suite", "preset"}),
    "attempts": frozenset({"suite", "preset", "task", "method"}),
    "tasks": frozenset({"suite", "task"}),
    "methods": frozenset({"method"}),
    "preparations": frozenset({"suite", "preset", "task"}),
}
"""Columns of names, by table. They are stored in Unicode's composed form (NFC), so that the two
spellings of an accented letter are one name.
"""

ADDED: dict[tuple[str, str], tuple[int, str]] = {("attempts", "remarks_json"): (2, "'[]'")}
"""Columns (table, name) that older databases and files lack: the schema version that added them,
and the SQL of their value.
"""

TABLES_ADDED: dict[str, int] = {"preparations": 2}
"""Tables that older databases and exports lack: the schema version that added them."""


def composed(name: str) -> str:
    """Return the SQL of a column of names in composed form (NFC).

    DuckDB 2.0 cuts a text at its first NUL when it composes it, so such a text stays as it is.
    """
    return f"CASE WHEN contains({name}, chr(0)) THEN {name} ELSE nfc_normalize({name}) END"
