"""What statistics of 1,000,000 attempts take: from the database to every standing. Run by `make bench`; never a gate on time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchbench.results.boards import score_grid
from benchbench.results.store import Store
from benchbench.stats.imputation import impute
from benchbench.stats.leaderboard import Leaderboard
from benchbench.stats.statistics import STATISTICS, Standing, standings
from benchbench.stats.table import ScoreTable, TrialState
from benchbench.stats.trials import Conditions, Row

N_METHODS, N_TASKS, N_SEEDS = 100, 200, 50
N = N_METHODS * N_TASKS * N_SEEDS

# attempts as `bench run` records them, one in a hundred failed
_ATTEMPTS = f"""
INSERT INTO store.attempts
SELECT md5_number_lower(name), name, 'run', name, 1, 'million', '1', 'fewshot', 'task_' || t, 'data of task ' || t, '1',
    'method_' || m, '{{}}', false, s, 'quick', '{{"preset":"quick","test_units":30}}', 1, 'cpu',
    CASE WHEN f < 0.01 THEN 'failed' ELSE 'ok' END, '', '', '', '', 'accuracy',
    CASE WHEN f < 0.01 THEN NULL ELSE 0.5 + 0.001 * m + 0.3 * (u - 0.5) END, 0.1, 30, 'episode', 3.0, 3.0, 3.0, 100.0,
    1e9 + s, 'host', '', 'cpu, 2 cores', 'source', 'environment', '', false, '0.1'
FROM (
    SELECT i // {N_TASKS * N_SEEDS} AS m, (i // {N_SEEDS}) % {N_TASKS} AS t, i % {N_SEEDS} AS s,
        md5(CAST(i AS VARCHAR))[:20] AS name, random() AS u, random() AS f
    FROM range($1, $2) AS r(i)
)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: Any) -> Store:
    made = Store(tmp_path_factory.mktemp("million") / "results.duckdb")
    made.open_for_writing()
    with made.writing() as con:
        con.execute("SELECT setseed(0.5)")
        for start in range(0, N, N // 10):
            con.execute(_ATTEMPTS, [start, start + N // 10])
    return made


def board() -> Leaderboard:
    """Return what `score_grid` needs of the board: its group, methods, tasks and data."""
    group = Conditions(
        suite_version="1", protocol_version="1", preset="quick", test_units=30, threads=1, device="cpu"
    )  # fmt: skip
    tasks = [f"task_{t}" for t in range(N_TASKS)]
    rows = [Row(method=f"method_{m}", params="{}", task=task) for task in tasks for m in range(N_METHODS)]
    prints = {task: f"data of task {task.removeprefix('task_')}" for task in tasks}
    return Leaderboard(group=group, rows=rows, left_out=[], notes=[], imputation="none", fingerprints=prints)


@pytest.fixture(scope="module")
def grid(store: Store) -> ScoreTable:
    return score_grid(store, "million", board())


def everything(store: Store, wanted: Leaderboard) -> dict[str, list[Standing]]:
    """Return every standing, from the database on: 200 resamples for each, Elo fitted again in all of them."""
    filled = impute(score_grid(store, "million", wanted), "worst")
    return {statistic: standings(filled, statistic, n_bootstrap=200) for statistic in STATISTICS}


def filtered(grid: ScoreTable) -> list[list[Standing]]:
    """Return what a reader's filter asks for: some methods and tasks, imputed, by every statistic but Elo."""
    part = impute(grid.select(methods=grid.methods[:60], tasks=grid.tasks[:150]), "worst")
    return [standings(part, statistic) for statistic in STATISTICS if statistic != "elo"]


def test_the_query(benchmark: Any, store: Store) -> None:
    found = benchmark.pedantic(score_grid, args=(store, "million", board()), rounds=5, warmup_rounds=1)
    assert found.shape == (N_METHODS, N_TASKS, N_SEEDS)
    assert found.count(TrialState.OK).sum() + found.count(TrialState.FAILED).sum() == N


def test_the_whole_board(benchmark: Any, store: Store) -> None:
    wanted = board()
    found = benchmark.pedantic(everything, args=(store, wanted), rounds=5, warmup_rounds=1)
    assert [s.method for s in found["rank"]][:1] == ["method_99"]
    assert all(s.low is not None and s.high is not None and s.low <= s.high for own in found.values() for s in own)


def test_elo_with_200_resamples(benchmark: Any, grid: ScoreTable) -> None:
    filled = impute(grid, "worst")
    found = benchmark.pedantic(standings, args=(filled, "elo"), kwargs={"n_bootstrap": 200}, rounds=5, warmup_rounds=1)
    assert len(found) == N_METHODS


def test_a_filter_changes(benchmark: Any, store: Store, grid: ScoreTable) -> None:
    found = benchmark.pedantic(filtered, args=(grid,), rounds=10, warmup_rounds=1)
    assert len(found[0]) == 60
    # the database is not asked again: a small part of what the whole board takes, on any machine
    began = time.process_time()
    filtered(grid)
    warm = time.process_time() - began
    began = time.process_time()
    everything(store, board())
    assert warm < 0.5 * (time.process_time() - began)


_MEMORY = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy, benchbench.stats.statistics
def peak():
    # of this program alone: what getrusage tells is that of the parent before it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
from test_statistics_speed import board, everything
from benchbench.results.store import Store
before = peak()
everything(Store(sys.argv[1]), board())
print(json.dumps({"before_mib": before, "peak_mib": peak()}))
"""


def test_memory(benchmark: Any, store: Store) -> None:
    def run() -> dict[str, float]:
        command = [sys.executable, "-c", _MEMORY, str(store.path), str(Path(__file__).parent)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
        return dict(json.loads(done.stdout))

    found = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    sys.stdout.write(f"\npeak memory of the whole board of {N:,} attempts: {found['peak_mib']:.0f} MiB")
    sys.stdout.write(f" ({found['before_mib']:.0f} MiB before)\n")
    # scores, states and seconds of a million cells are 17 MiB; what is fetched at once is some ten times that
    assert found["peak_mib"] - found["before_mib"] < 100 * N * 17 / 2**20
