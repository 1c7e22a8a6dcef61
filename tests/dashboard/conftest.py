"""A suite of three tasks and attempts on it, among them failures, in a real database."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.dashboard import data
from benchbench.records import Attempt, CurvePoint, RunRecord
from benchbench.results.store import Store

SUITE = """
name = "trio"
version = "1"
track = "fewshot"
title = "Three tasks"
generated_splits = true
[scores]
baseline = "pixel_nn"
reference = "maml"
[presets.quick]
test_units = 4
[[tasks]]
name = "a"
loader = "glyphs"
options = { way = 5 }
baseline_score = 0.2
reference_score = 0.7
[[tasks]]
name = "b"
loader = "glyphs"
baseline_score = 0.3
reference_score = 0.9
[[tasks]]
name = "c"
loader = "glyphs"
baseline_score = 0.1
reference_score = 0.6
"""
MEANS = {"maml": 0.7, "protonet": 0.62, "pixel_nn": 0.3, "home_made": 0.5}

DEFAULTS: dict[str, Any] = {
    "suite": "trio",
    "seed": 0,
    "phases": {"meta_fit": 2.0, "predict": 0.5},
    "environment": {"torch": "2.13.0"},
    "git_commit": "abcdef0123456789",
    "git_dirty": False,
}

Land = Callable[..., Store]


@pytest.fixture(autouse=True)
def suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trio.toml").write_text(SUITE)
    monkeypatch.setenv("BENCHBENCH_SUITES", str(tmp_path / "trio.toml"))


@pytest.fixture
def land(tmp_path: Path, make_attempt: Callable[..., Attempt]) -> Land:
    """Land attempts in a database, each given by the fields that matter; return the store."""
    numbers = itertools.count()

    def make(*rows: dict[str, Any], name: str = "results") -> Store:
        path = tmp_path / f"{name}.duckdb"
        Store(path).open_for_writing()
        store = data.open_store(path)
        found = []
        for row in rows:
            number = next(numbers)
            found.append(make_attempt(number, **{**DEFAULTS, "task": "a", "seconds": 2.0 + number % 5, **row}))
        store.land_attempts(found)
        return store

    return make


@pytest.fixture
def trio(land: Land) -> Store:
    """Four methods on three tasks with three seeds: one declines a task, one fails there, one is transductive."""
    rng = random.Random(0)
    rows = []
    for (method, mean), task, seed in itertools.product(MEANS.items(), "abc", range(3)):
        row: dict[str, Any] = {"method": method, "task": task, "seed": seed, "transductive": method == "maml"}
        if method == "home_made" and task == "b":
            row |= {
                "outcome": "failed",
                "error_type": "ValueError",
                "error_message": "no <b>good</b>",
                "traceback": "line 1\nValueError",
            }
        elif method == "protonet" and task == "c":
            row |= {"outcome": "declined", "error_message": "no form for c"}
        else:
            row["score"] = mean + 0.05 * rng.random() + {"a": 0.0, "b": 0.1, "c": -0.1}[task]
        if method == "maml":
            row["curve"] = [CurvePoint(i, 1.0 + i, "val_accuracy", 0.4 + 0.05 * i) for i in range(4)]
        if method == "home_made":
            row |= {"git_dirty": True, "hardware_class": "other, 8 cores"}
        rows.append(row)
    store = land(*rows)
    store.land_run(
        RunRecord(
            run_id="run",
            suite="trio",
            preset="quick",
            command="bench run --suite trio",
            started_at=1e9,
            n_trials=40,
            hardware={"cpu": "a processor", "cores": 2, "memory_mib": 4096, "gpus": []},
            host="here",
            state="running",
        )
    )
    return store


@pytest.fixture
def board(trio: Store) -> data.BoardData:
    return data.load_board(trio, data.load_suite(trio, "trio"), data.Choice())
