"""What statistics of 1,000,000 attempts take: from the database to every statistic. Run by `make bench`; never a gate on time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.results.load import counted_trials
from benchbench.results.store import Store
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.imputation import impute
from benchbench.stats.leaderboard import make_leaderboard
from benchbench.stats.statistics import STATISTICS, StatisticValue, statistic_values
from benchbench.stats.table import ScoreTable, TrialState
from benchbench.stats.trials import CountedTrials
from benchbench.stats.wins import PairCounts

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


FACTS = SuiteFacts(
    name="million", version="1", baseline="", reference="", tasks=tuple(TaskEnds(name=f"task_{t}") for t in range(N_TASKS))
)  # fmt: skip


@pytest.fixture(scope="module")
def trials(store: Store) -> CountedTrials:
    return counted_trials(store, "million")


@pytest.fixture(scope="module")
def table(trials: CountedTrials) -> ScoreTable:
    return make_leaderboard(trials, FACTS).measured


def everything(store: Store) -> dict[str, list[StatisticValue]]:
    """Return every statistic, from the database on: 200 resamples for each, Elo fitted again in all of them."""
    board = make_leaderboard(counted_trials(store, "million"), FACTS, imputation="worst")
    return {statistic: board.values(statistic) for statistic in STATISTICS}


def filtered(table: ScoreTable) -> list[list[StatisticValue]]:
    """Return what a reader's filter asks for: some methods and tasks, imputed, by every statistic but Elo."""
    part = impute(table.select(methods=table.methods[:60], tasks=table.tasks[:150]), "worst", everyone=table)
    return [statistic_values(part, statistic) for statistic in STATISTICS if statistic != "elo"]


def test_the_query(benchmark: Any, store: Store) -> None:
    found = benchmark.pedantic(counted_trials, args=(store, "million"), rounds=5, warmup_rounds=1)
    assert len(found.cells) == N_METHODS * N_TASKS
    assert (found.state == TrialState.OK).sum() + (found.state == TrialState.FAILED).sum() == N


def test_the_leaderboard(benchmark: Any, trials: CountedTrials) -> None:
    found = benchmark.pedantic(make_leaderboard, args=(trials, FACTS), rounds=5, warmup_rounds=1)
    assert found.measured.shape == (N_METHODS, N_TASKS, N_SEEDS)


def test_every_statistic_from_the_database_on(benchmark: Any, store: Store) -> None:
    found = benchmark.pedantic(everything, args=(store,), rounds=5, warmup_rounds=1)
    assert [v.method for v in found["rank"]][:1] == ["method_99"]
    assert all(v.low is not None and v.high is not None and v.low <= v.high for own in found.values() for v in own)


def test_elo_with_200_resamples(benchmark: Any, table: ScoreTable) -> None:
    filled = impute(table, "worst")
    found = benchmark.pedantic(
        statistic_values, args=(filled, "elo"), kwargs={"n_bootstrap": 200}, rounds=5, warmup_rounds=1
    )
    assert len(found) == N_METHODS


def test_a_filter_changes(benchmark: Any, store: Store, table: ScoreTable) -> None:
    found = benchmark.pedantic(filtered, args=(table,), rounds=10, warmup_rounds=1)
    assert len(found[0]) == 60
    # the database is not asked again: a small part of what everything takes, on any machine
    began = time.process_time()
    filtered(table)
    warm = time.process_time() - began
    began = time.process_time()
    everything(store)
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
from test_statistics_speed import everything
from benchbench.results.store import Store
before = peak()
everything(Store(sys.argv[1]))
print(json.dumps({"before_mib": before, "peak_mib": peak()}))
"""


def test_memory(benchmark: Any, store: Store) -> None:
    def run() -> dict[str, float]:
        command = [sys.executable, "-c", _MEMORY, str(store.path), str(Path(__file__).parent)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
        return dict(json.loads(done.stdout))

    found = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    sys.stdout.write(f"\npeak memory of every statistic of {N:,} attempts: {found['peak_mib']:.0f} MiB")
    sys.stdout.write(f" ({found['before_mib']:.0f} MiB before)\n")
    # scores, states and seconds of a million cells are 17 MiB; what is fetched at once is some ten times that
    assert found["peak_mib"] - found["before_mib"] < 100 * N * 17 / 2**20


@pytest.mark.parametrize("statistic", ["rank", "winrate"])
def test_a_sparse_board(benchmark: Any, statistic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare a board of less than mteb's shape with the same board if all its methods met on all tasks."""
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=(300, 1)) + rng.normal(size=(300, 500)), 2)
    scores[rng.random(scores.shape) > 0.1] = np.nan
    states = np.where(np.isnan(scores), TrialState.ABSENT, TrialState.OK).astype(np.int8)
    names = tuple(f"m{i}" for i in range(300)), tuple(f"t{i}" for i in range(500))
    sparse = ScoreTable(*names, (0,), scores[:, :, None], states[:, :, None])
    found = benchmark.pedantic(statistic_values, args=(sparse, statistic), rounds=3, warmup_rounds=1)
    began = time.process_time()
    statistic_values(sparse, statistic)
    own = time.process_time() - began
    monkeypatch.setattr(PairCounts, "_is_sparse", False)
    began = time.process_time()
    assert [v.method for v in statistic_values(sparse, statistic)] == [v.method for v in found]
    all_pairs = time.process_time() - began
    benchmark.extra_info.update(all_pairs_seconds=all_pairs, own_seconds=own)
    assert own < 0.3 * all_pairs
