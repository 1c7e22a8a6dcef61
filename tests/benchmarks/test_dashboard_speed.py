"""How long a reader of a million attempts waits: 100 methods on 200 tasks with 50 seeds, made up."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbench.dashboard import data
from benchbench.dashboard.markup import render
from benchbench.dashboard.views import board as view
from benchbench.results.store import Store

N_METHODS, N_TASKS, N_SEEDS = 100, 200, 50
_MAKE = """
INSERT INTO store.attempts BY NAME
SELECT md5_number_lower(id) AS attempt_key, id AS attempt_id, 'run' AS run_id, id AS trial_id, 1 AS try_number,
    'large' AS suite, '1' AS suite_version, 'fewshot' AS track, task, 'data of ' || task AS task_fingerprint,
    '1' AS protocol_version, method, '{}' AS params_json, false AS transductive, seed, 'quick' AS preset,
    '{"iterations":5,"test_units":30}' AS budget_json, 1 AS threads, 'cpu' AS device,
    CASE WHEN chance < 0.02 THEN 'failed' ELSE 'ok' END AS outcome, '' AS error_type, '' AS error_message, '' AS traceback,
    '' AS log_tail, 'accuracy' AS metric,
    CASE WHEN chance < 0.02 THEN NULL ELSE 0.5 + m * 0.002 + 0.1 * (chance - 0.5) END AS score, 0.1 AS score_sd, 30 AS n_units,
    'episode' AS unit, 1.0 + chance AS seconds, 2.0 AS wall_seconds, 2.0 AS cpu_seconds, 100.0 AS peak_memory_mib,
    1e9 + seed AS started_at, 'here' AS host, 'worker' AS worker, 'cpu, 2 cores' AS hardware_class,
    'source' AS adapter_source_hash, 'environment' AS environment_hash, 'commit' AS git_commit, false AS git_dirty,
    '0.1' AS benchbench_version
FROM (
    SELECT *, printf('%d/%d/%d', m, t, seed) AS id, printf('method_%03d', m) AS method, printf('task_%03d', t) AS task,
        hash(m, t, seed) / 18446744073709551616.0 AS chance
    FROM range(?) AS a(m), range(?) AS b(t), range(?) AS c(seed)
)
"""
SUITE = """
name = "large"
version = "1"
track = "fewshot"
title = "Large"
[scores]
baseline = "method_000"
reference = "method_099"
[presets.quick]
test_units = 30
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: Any) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("large")
    tasks = "".join(
        f'[[tasks]]\nname = "task_{t:03d}"\nloader = "glyphs"\nbaseline_score = 0.5\nreference_score = 0.7\n'
        for t in range(N_TASKS)
    )
    (folder / "large.toml").write_text(SUITE + tasks)
    made = Store(folder / "results.duckdb")
    made.open_for_writing()
    with made.writing() as con:
        con.execute(_MAKE, [N_METHODS, N_TASKS, N_SEEDS])
        (n,) = con.execute("SELECT count(*) FROM store.attempts").fetchone() or (0,)
        assert n == N_METHODS * N_TASKS * N_SEEDS
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHBENCH_SUITES", str(folder / "large.toml"))
        yield made


@pytest.fixture(scope="module")
def board(store: Store) -> data.BoardData:
    return data.load_board(store, data.load_suite(store, "large"), data.Choice())


def first_page(store: Store) -> str:
    suite = data.load_suite(store, "large")
    found = data.load_board(store, suite, data.Choice())
    return shown(found, "rank", data.Filters())


def shown(found: data.BoardData, statistic: str, filters: data.Filters) -> str:
    made = view.make_view(found, statistic, filters, data.cards())
    return render(view.leaderboard_table(made, {}))


def test_the_first_page(benchmark: Any, store: Store) -> None:
    data.cards()
    assert "method_099" in benchmark.pedantic(first_page, args=(store,), rounds=3, warmup_rounds=1)
    benchmark.extra_info["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.parametrize("statistic", ["rank", "winrate", "norm", "improvability", "mrr", "elo"])
def test_a_warm_change_of_filters(benchmark: Any, board: data.BoardData, statistic: str) -> None:
    half = data.Filters(methods=tuple(board.table.methods[::2]), tasks=tuple(board.table.tasks[::2]))
    html = benchmark.pedantic(shown, args=(board, statistic, half), rounds=5, warmup_rounds=1)
    assert html.count("<tr>") == 1 + N_METHODS // 2


@pytest.mark.parametrize("statistic", ["rank", "elo"])
def test_a_warm_change_of_the_statistic(benchmark: Any, board: data.BoardData, statistic: str) -> None:
    html = benchmark.pedantic(shown, args=(board, statistic, data.Filters()), rounds=5, warmup_rounds=1)
    assert html.count("<tr>") == 1 + N_METHODS
