"""What it takes to read a board of 100,000 attempts: the query, the arithmetic, the whole command."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbench.records import Attempt
from benchbench.results.boards import board_cells, suite_facts
from benchbench.results.store import Store
from benchbench.spec import content_hash
from benchbench.suite_files import find_suite

N_METHODS, N_SEEDS = 250, 100


def attempts(method: int, tasks: list[str], rng: random.Random) -> Iterator[Attempt]:
    for task in tasks:
        for seed in range(N_SEEDS):
            name = content_hash([method, task, seed])
            scores = [rng.random() for _ in range(30)]
            is_ok = rng.random() > 0.02
            yield Attempt(
                attempt_id=name,
                run_id="run",
                trial_id=name,
                try_number=1,
                suite="fewshot",
                suite_version="1",
                track="fewshot",
                task=task,
                task_fingerprint=f"data of {task}",
                protocol_version="1",
                method=f"method_{method}",
                params={},
                transductive=False,
                seed=seed,
                preset="quick",
                budget={"preset": "quick", "test_units": 30},
                threads=1,
                device="cpu",
                outcome="ok" if is_ok else "failed",
                metric="accuracy",
                score=sum(scores) / 30 if is_ok else None,
                score_sd=0.3 if is_ok else None,
                n_units=30 if is_ok else 0,
                unit="episode",
                unit_scores=scores if is_ok else [],
                seconds=3.0,
                started_at=1e9 + seed,
                hardware_class="cpu, 2 cores",
                adapter_source_hash="source",
                environment_hash="environment",
            )


@pytest.fixture(scope="module")
def store(tmp_path_factory: Any) -> Store:
    made = Store(tmp_path_factory.mktemp("board") / "results.duckdb")
    made.open_for_writing()
    tasks = [t.name for t in find_suite("fewshot").tasks]
    rng = random.Random(0)
    for method in range(N_METHODS):
        made.land_attempts(list(attempts(method, tasks, rng)))
    assert made.ingest().n_attempts == N_METHODS * N_SEEDS * len(tasks) == 100_000
    return made


def test_the_query(benchmark: Any, store: Store) -> None:
    cells, _ = benchmark.pedantic(board_cells, args=(store, "fewshot"), rounds=10, warmup_rounds=1)
    assert len(cells) == 1_000


def test_the_arithmetic(benchmark: Any, store: Store) -> None:
    cells, _ = board_cells(store, "fewshot")
    facts = suite_facts(find_suite("fewshot"))
    board = benchmark.pedantic(leaderboard, args=(cells, facts), rounds=10, warmup_rounds=1)
    assert len(board.rows) == 1_250


def test_the_whole_command(benchmark: Any, store: Store, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "benchbench", "leaderboard", "--suite", "fewshot", "--db", str(store.path)]

    def run() -> str:
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True, env=dict(os.environ)
        ).stdout

    assert "method_0" in benchmark.pedantic(run, rounds=5, warmup_rounds=1)
