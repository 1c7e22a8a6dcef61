"""Results to read: a suite of two tasks, and attempts on it in a real database."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchbench.records import Attempt
from benchbench.results.store import Store
from benchbench.spec import content_hash

SUITE = """
name = "pair"
version = "1"
track = "fewshot"
title = "A pair of tasks"
generated_splits = true
[scores]
baseline = "pixel_nn"
reference = "maml"
measured = "by hand"
[presets.quick]
test_units = 4
[presets.long]
test_units = 4
[[tasks]]
name = "letters"
loader = "glyphs"
baseline_score = 0.2
reference_score = 0.7
[[tasks]]
name = "waves"
loader = "sinusoid"
baseline_score = -4.0
reference_score = -2.0
"""

Land = Callable[..., Path]


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    path = tmp_path / "pair.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def land(tmp_path: Path) -> Land:
    """Land attempts in a database, each given by the fields that matter; return the database's path."""
    numbers = itertools.count()

    def make(*rows: dict[str, Any], name: str = "results") -> Path:
        path = tmp_path / f"{name}.duckdb"
        store = Store(path)
        store.open_for_writing()
        store.land_attempts([_attempt(next(numbers), **row) for row in rows])
        return path

    return make


@pytest.fixture
def ended() -> Callable[..., Attempt]:
    """Make attempts, each by the fields that matter."""
    numbers = itertools.count()
    return lambda **changes: _attempt(next(numbers), **changes)


def _attempt(number: int, *, scores: list[float] | None = None, iterations: int = 0, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "attempt_id": content_hash(["attempt", number]),
        "run_id": "run",
        "try_number": 1,
        "suite": "pair",
        "suite_version": "1",
        "track": "fewshot",
        "task": "letters",
        "task_fingerprint": "data-1",
        "protocol_version": "3",
        "method": "maml",
        "params": {},
        "transductive": False,
        "seed": 0,
        "preset": "quick",
        "threads": 1,
        "device": "cpu",
        "outcome": "ok",
        "metric": "accuracy",
        "unit": "episode",
        "seconds": 2.0,
        "started_at": 1e9 + number,
        "hardware_class": "cpu, 2 cores",
        "adapter_source_hash": "source-1",
        "environment_hash": "env-1",
        **changes,
    }
    if values["outcome"] == "ok":
        scores = scores or [0.4, 0.5, 0.6, 0.7]
        mean = sum(scores) / len(scores)
        deviation = (sum((s - mean) ** 2 for s in scores) / max(1, len(scores) - 1)) ** 0.5
        values |= {"unit_scores": scores, "score": mean, "score_sd": deviation, "n_units": len(scores)}
    values["budget"] = {"preset": values["preset"], "test_units": 4, "iterations": iterations}
    names = ("suite", "suite_version", "task", "method", "params", "seed", "preset", "threads", "device")
    values.setdefault("trial_id", content_hash([values[n] for n in names]))
    return Attempt(**values)


@pytest.fixture
def bench() -> Callable[..., str]:
    """Run a command in this process; return what it printed."""
    from benchbench.cli.main import app

    def run(*arguments: str | Path, raises: type[BaseException] | None = None) -> str:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if raises is None:
            assert result.exception is None, (result.output, result.exception)
        else:
            assert isinstance(result.exception, raises), (result.output, result.exception)
        return result.stdout

    return run
