"""What the store costs: landing, folding in, and reading among 100,000 attempts. Run by `make bench`; never a gate on time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.records import Attempt
from benchbench.results.store import Store
from benchbench.spec import content_hash

N_METHODS, N_SEEDS, TASKS = 50, 500, ("glyphs-5w1s", "glyphs-5w5s", "glyphs-20w1s", "sinusoid-10s")


MakeAttempt = Callable[..., Attempt]


@pytest.fixture(scope="session")
def attempt(make_attempt: MakeAttempt) -> MakeAttempt:
    """Make attempts of many methods on four tasks, one in a hundred failed."""

    def make(number: int, n_units: int = 20) -> Attempt:
        chance = random.Random(number)
        method = number // len(TASKS) % N_METHODS
        is_ok = bool(number % 100)
        return make_attempt(
            number,
            run_id=f"run-{number // 5000}",
            suite="fewshot",
            task=TASKS[number % len(TASKS)],
            method=f"method{method}",
            seed=number // (len(TASKS) * N_METHODS),
            budget={"preset": "quick", "test_units": n_units},
            outcome="ok" if is_ok else "failed",
            **({"unit_scores": [chance.random() for _ in range(n_units)]} if is_ok else {}),
            metrics={"accuracy": 0.5},
            phases={"meta_fit": 1.0, "adapt": 1.0, "predict": 1.0},
            seconds=chance.random(),
            adapter_source_hash=f"source-{method}",
            environment={"torch": "2.13.0"},
        )

    return make


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, attempt: MakeAttempt) -> Store:
    """Return a store of 100,000 attempts."""
    store = Store(tmp_path_factory.mktemp("large") / "large.duckdb")
    store.open_for_writing()
    total = N_METHODS * N_SEEDS * len(TASKS)
    for start in range(0, total, 10_000):
        store.land_attempts([attempt(i) for i in range(start, start + 10_000)])
    assert store.ingest().n_attempts == total == 100_000
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "small.duckdb")
    made.open_for_writing()
    return made


@pytest.mark.parametrize("n_attempts", [1, 20])
def test_landing_a_batch(benchmark: Any, store: Store, n_attempts: int, attempt: MakeAttempt) -> None:
    batch = [attempt(i, n_units=600) for i in range(n_attempts)]
    benchmark(store.land_attempts, batch)


def test_landing_a_batch_without_waiting_for_the_disk(
    benchmark: Any, store: Store, attempt: MakeAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [attempt(i, n_units=600) for i in range(20)]
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    benchmark(store.land_attempts, batch)


@pytest.mark.parametrize("n_files", [1, 100])
def test_ingest_of_new_files(benchmark: Any, store: Store, n_files: int, attempt: MakeAttempt) -> None:
    number = 0

    def land() -> None:
        nonlocal number
        for _ in range(n_files):
            store.land_attempts([attempt(number + i) for i in range(5)])
            number += 5

    benchmark.pedantic(store.ingest, setup=land, rounds=10)
    assert len(store.done_keys("fewshot")) == number


def test_ingest_into_100_000(benchmark: Any, large: Store, attempt: MakeAttempt) -> None:
    number = 1_000_000

    def land() -> None:
        nonlocal number
        number += 1
        large.land_attempts([attempt(number)])

    benchmark.pedantic(large.ingest, setup=land, rounds=10)


def test_done_keys_of_100_000(benchmark: Any, large: Store) -> None:
    assert len(benchmark(large.done_keys, "fewshot")) >= 100_000


def test_one_attempt_of_100_000(benchmark: Any, large: Store) -> None:
    assert benchmark(large.attempt, content_hash(["attempt", 4242])[:12])["unit_scores"]


def test_counted_trials_of_100_000(benchmark: Any, large: Store) -> None:
    from benchbench.results.load import counted_trials

    assert len(benchmark(counted_trials, large, "fewshot").cells) == N_METHODS * len(TASKS)


def test_bench_leaderboard_on_100_000_the_whole_command(benchmark: Any, large: Store) -> None:
    command = [sys.executable, "-m", "benchbench", "leaderboard", "--suite", "fewshot", "--db", str(large.path)]

    def run() -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "method49" in benchmark.pedantic(run, rounds=5, warmup_rounds=1)
