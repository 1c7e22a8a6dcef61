"""The record of one attempt: what the store keeps and everything else reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["OUTCOMES", "Attempt", "CurvePoint", "RunRecord"]

OUTCOMES = ("ok", "failed", "timeout", "memory", "crashed", "declined", "infra")
"""`infra` (worker or host lost) is the only one that is retried by itself."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One value of an any-time curve; `seconds` counts timed seconds since the method began to learn."""

    step: int
    seconds: float
    metric: str
    value: float


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """One call of `bench run`. Times are seconds since the epoch, UTC; `ended_at` is None while it runs or if it was killed."""

    run_id: str
    suite: str
    preset: str
    command: str
    started_at: float
    ended_at: float | None = None
    n_trials: int = 0
    state: str = "running"
    kind: str = "measured"
    user: str = ""
    host: str = ""
    hardware: dict[str, Any] = field(default_factory=dict)
    git_commit: str = ""
    git_dirty: bool | None = None
    benchbench_version: str = ""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One execution of a trial, whatever came of it.

    `score` is higher-is-better; it is None unless `outcome` is "ok". `unit_scores` holds one score an episode (fold, row
    group ...), in the order that the task fixes, so that attempts of the same task can be compared pair by pair.
    """

    attempt_id: str
    run_id: str
    trial_id: str
    try_number: int
    suite: str
    suite_version: str
    track: str
    task: str
    task_fingerprint: str
    protocol_version: str
    method: str
    params: dict[str, Any]
    transductive: bool
    seed: int
    preset: str
    budget: dict[str, Any]
    threads: int
    device: str
    outcome: str
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    log_tail: str = ""
    metric: str = ""
    score: float | None = None
    score_sd: float | None = None
    n_units: int = 0
    unit: str = ""
    unit_scores: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by phase; the timed ones (`meta_fit`, `adapt`, `predict`, `fit`) sum to `seconds`."""
    seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mib: float = 0.0
    curve: list[CurvePoint] = field(default_factory=list)
    started_at: float = 0.0
    host: str = ""
    worker: str = ""
    hardware_class: str = ""
    adapter_source_hash: str = ""
    environment_hash: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    git_commit: str = ""
    git_dirty: bool | None = None
    benchbench_version: str = ""
