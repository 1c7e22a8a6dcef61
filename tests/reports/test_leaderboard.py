"""What a report sets in bold, and what it says where nothing is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchbench.reports.leaderboard import board_report, statistic_report
from benchbench.results.load import counted_trials, suite_facts
from benchbench.results.store import Store
from benchbench.stats.leaderboard import Leaderboard, make_leaderboard
from benchbench.stats.statistics import STATISTICS
from benchbench.suite_files import SuiteSpec, find_suite

N_TASKS = 12
SUITE = """
name = "dozen"
version = "1"
track = "fewshot"
title = "A dozen tasks"
[scores]
baseline = "low"
reference = "high"
[presets.quick]
test_units = 4
"""
NO_BOLD = "No entry is bold: the top two are not distinguishable."

MakeBoard = Callable[[Mapping[str, list[list[float]]]], tuple[SuiteSpec, Leaderboard]]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_attempt: Any) -> MakeBoard:
    """Land scores by method, task and seed in a database; return the suite and its leaderboard."""
    tasks = "".join(
        f'[[tasks]]\nname = "t{t:02d}"\nloader = "glyphs"\nbaseline_score = 0.0\nreference_score = 1.0\n'
        for t in range(N_TASKS)
    )
    (tmp_path / "dozen.toml").write_text(SUITE + tasks)
    monkeypatch.setenv("BENCHBENCH_SUITES", str(tmp_path / "dozen.toml"))

    def make(scores: Mapping[str, list[list[float]]]) -> tuple[SuiteSpec, Leaderboard]:
        store = Store(tmp_path / "results.duckdb")
        store.open_for_writing()
        rows = [
            {"method": m, "task": f"t{t:02d}", "seed": seed, "unit_scores": [s - 0.001, s, s, s + 0.001]}
            for m, by_task in scores.items()
            for t, own in enumerate(by_task)
            for seed, s in enumerate(own)
        ]
        store.land_attempts([make_attempt(i, suite="dozen", **row) for i, row in enumerate(rows)])
        suite = find_suite("dozen")
        return suite, make_leaderboard(counted_trials(store, "dozen"), suite_facts(suite))

    return make


def apart(*shifts: float) -> dict[str, list[list[float]]]:
    """Return scores of methods m0, m1, ... that are lower by so much on every task."""
    return {f"m{i}": [[0.7 - d + 0.01 * t * (1 + d)] for t in range(N_TASKS)] for i, d in enumerate(shifts)}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_leader_told_from_everybody_is_bold_whichever_way_the_statistic_runs(
    recorded: MakeBoard, statistic: str
) -> None:
    suite, board = recorded(apart(0.2, 0.0, 0.1))
    (sheet,) = statistic_report(suite, board, statistic).sheets
    assert (sheet.best, sheet.rows[0]["label"]) == ((0,), "m1")
    assert sheet.best_rule == "In bold: the first, which the test distinguishes from every other method."


@pytest.mark.parametrize("statistic", STATISTICS)
def test_nobody_is_bold_where_the_top_two_cannot_be_told_apart(recorded: MakeBoard, statistic: str) -> None:
    scores = apart(0.0, 0.0, 0.3)
    # m1 wins five tasks of twelve
    scores["m1"] = [[own[0] + (0.02 if t % 2 else -0.021)] for t, own in enumerate(scores["m0"])]
    scores["m1"][1][0] -= 0.05
    suite, board = recorded(scores)
    report = statistic_report(suite, board, statistic)
    (sheet,) = report.sheets
    assert (sheet.best, sheet.best_rule) == ((), NO_BOLD)
    assert report.verdict.startswith("m0 leads by")
    assert "not distinguishable from it: m1 (p = " in report.verdict


def test_the_default_leaderboard_has_the_same_rule(recorded: MakeBoard) -> None:
    suite, board = recorded(apart(0.2, 0.0, 0.1))
    report = board_report(suite, board)
    assert (report.sheets[0].best, report.sheets[0].rows[0]["label"]) == ((0,), "m1")
    assert report.verdict == statistic_report(suite, board, "rank").verdict


def test_two_leaders_are_not_bold(recorded: MakeBoard) -> None:
    suite, board = recorded(apart(0.0, 0.0, 0.3))
    sheet = board_report(suite, board).sheets[0]
    assert [row["rank"] for row in sheet.rows] == [1.5, 1.5, 3.0]
    assert (sheet.best, sheet.best_rule) == ((), NO_BOLD)


def test_a_leader_behind_on_common_seeds_is_not_bold(recorded: MakeBoard) -> None:
    scores = apart(0.0, 0.1)
    # m0 has a bad second seed: m1 leads over all seeds, m0 is ahead on the one that both have
    scores["m0"] = [[*own, 0.0] for own in scores["m0"]]
    suite, board = recorded(scores)
    report = board_report(suite, board)
    assert report.sheets[0].rows[0]["label"] == "m1"
    assert report.sheets[0].best == ()
    assert report.sheets[0].best_rule == (
        "No entry is bold: compared pair by pair, another method scores higher than the first."
    )
    assert report.verdict.endswith("on those that both have, m0 scores higher than m1 on 12 of 12 tasks.")
