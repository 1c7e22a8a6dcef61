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
def ended(make_attempt: Callable[..., Attempt]) -> Callable[..., Attempt]:
    """Make attempts on the suite of two tasks, each by the fields that matter."""
    numbers = itertools.count()

    def make(*, scores: list[float] | None = None, iterations: int = 0, **changes: Any) -> Attempt:
        values: dict[str, Any] = {
            "suite": "pair",
            "task_fingerprint": "data-1",
            "seed": 0,
            "metric": "accuracy",
            **changes,
        }
        values["budget"] = {"preset": values.get("preset", "quick"), "test_units": 4, "iterations": iterations}
        if values.get("outcome", "ok") == "ok":
            values["unit_scores"] = scores or [0.4, 0.5, 0.6, 0.7]
        return make_attempt(next(numbers), **values)

    return make


@pytest.fixture
def land(tmp_path: Path, ended: Callable[..., Attempt]) -> Land:
    """Land attempts in a database, each given by the fields that matter; return the database's path."""

    def make(*rows: dict[str, Any], name: str = "results") -> Path:
        path = tmp_path / f"{name}.duckdb"
        store = Store(path)
        store.open_for_writing()
        store.land_attempts([ended(**row) for row in rows])
        return path

    return make


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
