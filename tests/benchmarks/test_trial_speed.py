"""What the harness costs: one trial, four hundred of them, full cores, the command line. Run by `make bench`; never a gate on time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = [sys.executable, "-P", "-m", "benchbench"]

SUITE = """
name = "noop"
version = "1"
track = "fewshot"
title = "Trials that do nothing"
[scores]
baseline = "noop"
reference = "noop"
[presets.quick]
test_units = 1
[[tasks]]
name = "one"
loader = "sinusoid"
options = { shot = 10 }
"""


def bench(folder: Path, *arguments: str) -> None:
    subprocess.run([*BENCH, *arguments], cwd=folder, check=True, capture_output=True, env=dict(os.environ))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "noop.toml").write_text(SUITE)
    return tmp_path


def test_one_trial_in_a_child(benchmark: Any, make_request: Any, zygotes: None) -> None:
    from benchbench.execution import supervisor

    request = make_request("noop", test_units=1)
    outcome = benchmark.pedantic(supervisor.execute, args=(request,), rounds=200, warmup_rounds=5)
    assert outcome.outcome == "ok"


@pytest.mark.parametrize("n_trials", [1, 400])
def test_a_whole_run_of_trials_that_do_nothing(benchmark: Any, folder: Path, n_trials: int) -> None:
    """Wall milliseconds a trial at two workers: (400 trials minus 1 trial) / 399; the whole command is the 400 row."""
    seeds = ",".join(str(i) for i in range(n_trials))
    counter = iter(range(1000))

    def run() -> None:
        database = f"{next(counter)}.duckdb"
        arguments = ["--method", "noop", "--seeds", seeds, "--workers", "2", "--db", database]
        bench(folder, "run", "--suite", "noop.toml", *arguments, "--quiet")

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    benchmark.extra_info["n_trials"] = n_trials


def test_sixty_trials_of_one_busy_second(benchmark: Any, folder: Path) -> None:
    """The share of two cores that two workers keep busy is 30 / (median - the time of a run of one trial)."""
    seeds = ",".join(str(i) for i in range(60))
    method = "sleeper(seconds=1.0, busy=True)"
    arguments = ["--method", method, "--seeds", seeds, "--workers", "2", "--quiet"]
    benchmark.pedantic(bench, args=(folder, "run", "--suite", "noop.toml", *arguments), rounds=1)


@pytest.mark.parametrize("arguments", [("--help",), ("list", "methods"), ("list", "suites")], ids=" ".join)
def test_the_command_line(benchmark: Any, folder: Path, arguments: tuple[str, ...]) -> None:
    benchmark.pedantic(bench, args=(folder, *arguments), rounds=10, warmup_rounds=2)
