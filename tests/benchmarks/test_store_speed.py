"""What the store costs: landing, folding in, and reading among 100,000 attempts. Run by `make bench`; never a gate on time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchbench.records import Attempt
from benchbench.results.store import Store
from benchbench.spec import content_hash

N_METHODS, N_SEEDS, TASKS = 50, 500, ("glyphs-5w1s", "glyphs-5w5s", "glyphs-20w1s", "sinusoid-10s")


def attempt(number: int, n_units: int = 20) -> Attempt:
    chance = random.Random(number)
    task = TASKS[number % len(TASKS)]
    method = number // len(TASKS) % N_METHODS
    scores = [chance.random() for _ in range(n_units)]
    return Attempt(
        attempt_id=content_hash(number),
        run_id=f"run-{number // 5000}",
        trial_id=content_hash(["trial", number]),
        try_number=1,
        suite="fewshot",
        suite_version="1",
        track="fewshot",
        task=task,
        task_fingerprint=f"print-{task}",
        protocol_version="1",
        method=f"method{method}",
        params={},
        transductive=False,
        seed=number // (len(TASKS) * N_METHODS),
        preset="quick",
        budget={"preset": "quick", "test_units": n_units},
        threads=1,
        device="cpu",
        outcome="ok" if number % 100 else "failed",
        metric="accuracy",
        score=sum(scores) / n_units if number % 100 else None,
        score_sd=0.3,
        n_units=n_units,
        unit="episode",
        unit_scores=scores,
        metrics={"accuracy": 0.5},
        phases={"meta_fit": 1.0, "adapt": 1.0, "predict": 1.0},
        seconds=chance.random(),
        started_at=1e9 + number,
        hardware_class="cpu, 2 cores",
        adapter_source_hash=f"source-{method}",
        environment_hash="env",
        environment={"torch": "2.13.0"},
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Store:
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
def test_landing_a_batch(benchmark: Any, store: Store, n_attempts: int) -> None:
    batch = [attempt(i, n_units=600) for i in range(n_attempts)]
    benchmark(store.land_attempts, batch)


def test_landing_a_batch_without_waiting_for_the_disk(
    benchmark: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [attempt(i, n_units=600) for i in range(20)]
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    benchmark(store.land_attempts, batch)


@pytest.mark.parametrize("n_files", [1, 100])
def test_ingest_of_new_files(benchmark: Any, store: Store, n_files: int) -> None:
    number = 0

    def land() -> None:
        nonlocal number
        for _ in range(n_files):
            store.land_attempts([attempt(number + i) for i in range(5)])
            number += 5

    benchmark.pedantic(store.ingest, setup=land, rounds=10)
    assert len(store.done_keys("fewshot")) == number


def test_ingest_into_100_000(benchmark: Any, large: Store) -> None:
    number = 1_000_000

    def land() -> None:
        nonlocal number
        number += 1
        large.land_attempts([attempt(number)])

    benchmark.pedantic(large.ingest, setup=land, rounds=10)


def test_done_keys_of_100_000(benchmark: Any, large: Store) -> None:
    assert len(benchmark(large.done_keys, "fewshot")) >= 100_000


def test_one_attempt_of_100_000(benchmark: Any, large: Store) -> None:
    assert benchmark(large.attempt, content_hash(4242)[:12])["unit_scores"]


def test_board_cells_of_100_000(benchmark: Any, large: Store) -> None:
    from benchbench.results.boards import board_cells

    cells, _ = benchmark(board_cells, large, "fewshot")
    assert len(cells) == N_METHODS * len(TASKS)


def test_bench_leaderboard_on_100_000_the_whole_command(benchmark: Any, large: Store) -> None:
    command = [sys.executable, "-m", "benchbench", "leaderboard", "--suite", "fewshot", "--db", str(large.path)]

    def run() -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "method49" in benchmark.pedantic(run, rounds=5, warmup_rounds=1)
