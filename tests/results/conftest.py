"""Records to store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.records import Attempt, CurvePoint, RunRecord
from benchbench.results.store import Store

MakeAttempt = Callable[..., Attempt]


@pytest.fixture
def make_full_attempt(make_attempt: MakeAttempt) -> MakeAttempt:
    """Make an attempt whose every field says something, by number."""

    def make(number: int, **changes: Any) -> Attempt:
        values: dict[str, Any] = {
            "run_id": "run-1",
            "task_fingerprint": "f" * 20,
            "params": {"inner_lr": 0.4, "name": "it's; -- ünï"},
            "transductive": True,
            "threads": 2,
            "log_tail": "line\nother\x00line \ud800",
            "unit_scores": [0.25, 0.5, 0.75 + number / 1e6],
            "metrics": {"accuracy": 0.5, "ece": float("nan")},
            "phases": {"meta_fit": 2.5, "adapt": 0.5},
            "remarks": ["AUC 0.02: the classes may be flipped"],
            "cpu_seconds": 5.0,
            "peak_memory_mib": 300.0,
            "curve": [CurvePoint(2, 1.5, "loss", 0.7), CurvePoint(1, 0.5, "loss", float("inf"))],
            "host": "here",
            "worker": "tcp://1",
            "environment": {"torch": "2.13.0"},
            "git_commit": "abc",
            "git_dirty": None,
            "benchbench_version": "0.1",
        }
        return make_attempt(number, **{**values, **changes})

    return make


@pytest.fixture
def make_run() -> Callable[..., RunRecord]:
    """Make the record of a run."""

    def make(run_id: str = "run-1", **changes: Any) -> RunRecord:
        values: dict[str, Any] = {"suite": "tiny", "preset": "quick", "command": "bench run", "started_at": 1.0}
        return RunRecord(run_id=run_id, **{**values, **changes})

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    made = Store(tmp_path / "deep" / "results.duckdb", wait_seconds=5.0)
    made.open_for_writing()
    return made
