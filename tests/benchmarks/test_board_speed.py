"""What a leaderboard of 100,000 attempts takes: the query, the arithmetic, the whole command."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbench.records import Attempt
from benchbench.results.load import counted_trials, suite_facts
from benchbench.results.store import Store
from benchbench.stats.leaderboard import make_leaderboard
from benchbench.suite_files import find_suite

N_METHODS, N_SEEDS = 250, 100

MakeAttempt = Callable[..., Attempt]


def attempts(make_attempt: MakeAttempt, method: int, tasks: list[str], rng: random.Random) -> Iterator[Attempt]:
    for (t, task), seed in itertools.product(enumerate(tasks), range(N_SEEDS)):
        is_ok = rng.random() > 0.02
        yield make_attempt(
            (method * len(tasks) + t) * N_SEEDS + seed,
            suite="fewshot",
            task=task,
            method=f"method_{method}",
            seed=seed,
            budget={"preset": "quick", "test_units": 30},
            outcome="ok" if is_ok else "failed",
            **({"unit_scores": [rng.random() for _ in range(30)]} if is_ok else {}),
            seconds=3.0,
            started_at=1e9 + seed,
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: Any, make_attempt: MakeAttempt) -> Store:
    made = Store(tmp_path_factory.mktemp("board") / "results.duckdb")
    made.open_for_writing()
    tasks = [t.name for t in find_suite("fewshot").tasks]
    rng = random.Random(0)
    for method in range(N_METHODS):
        made.land_attempts(list(attempts(make_attempt, method, tasks, rng)))
    assert made.ingest().n_attempts == N_METHODS * N_SEEDS * len(tasks) == 100_000
    return made


def test_the_query(benchmark: Any, store: Store) -> None:
    found = benchmark.pedantic(counted_trials, args=(store, "fewshot"), rounds=10, warmup_rounds=1)
    assert (len(found.cells), len(found.cell)) == (1_000, 100_000)


def test_the_arithmetic(benchmark: Any, store: Store) -> None:
    trials, facts = counted_trials(store, "fewshot"), suite_facts(find_suite("fewshot"))
    board = benchmark.pedantic(make_leaderboard, args=(trials, facts), rounds=10, warmup_rounds=1)
    assert len(board.rows) == 1_250
    assert sum(r.n_ok + r.n_failed for r in board.overall) == 100_000


def test_the_whole_command(benchmark: Any, store: Store, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "benchbench", "leaderboard", "--suite", "fewshot", "--db", str(store.path)]

    def run() -> str:
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True, env=dict(os.environ)
        ).stdout

    assert "method_0" in benchmark.pedantic(run, rounds=5, warmup_rounds=1)
