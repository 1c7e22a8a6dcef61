"""Measured accuracies beside those of papers: which measurement counts, and the difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.reproduction import Cited, compare_with_papers, largest_budgets
from benchbench.stats.trials import Conditions

SUITE = SuiteFacts(
    name="s", version="1", baseline="base", reference="ref", tasks=(TaskEnds(name="a"), TaskEnds(name="b"))
)
QUICK = Conditions(suite_version="1", protocol_version="p/1", preset="quick", test_units=100, threads=1, device="cpu")


def cell(method: str, task: str, *scores: float | None, **more: Any) -> dict[str, Any]:
    return {"method": method, "task": task, "scores": scores, **more}


def test_a_comparison_has_the_rows_numbers_and_the_boards_conditions(make_board: Any) -> None:
    own = cell("m", "a", 0.5, 0.6, n_failed=1, n_lost=2, n_shared=1, transductive=True, iterations=7)
    board = make_board([own], SUITE, imputation="none")
    (found,) = compare_with_papers([board], {"m": Cited("Paper 2017", {"a": 0.52})})
    row = board.row_of("m", "a")
    assert (found.method, found.task, found.paper, found.published) == ("m", "a", "Paper 2017", 0.52)
    assert (found.score, found.ci95, found.unit, found.n) == (row.score, row.ci95, "seed", 2)
    assert found.difference_points == pytest.approx(3.0)
    assert (found.n_failed, found.is_transductive, found.is_shared) == (3, True, True)
    assert (found.preset, found.iterations, found.test_units) == ("quick", 7, 100)
    assert (found.seconds, found.threads, found.device) == (row.seconds, 1, "cpu")
    assert (found.protocol_version, found.suite_version) == ("p/1", "1")
    assert found.to_dict()["difference_points"] == found.difference_points
    board = make_board([cell("m", "a", 0.5)], SUITE)
    (found,) = compare_with_papers([board], {"m": Cited("Paper 2017", {"a": 0.52})})
    assert (found.is_transductive, found.is_shared, found.n_failed) == (False, False, 0)


def test_what_was_not_measured_has_only_the_papers_number(make_board: Any) -> None:
    board = make_board([cell("m", "a", 0.5), cell("m", "b", None), cell("other", "a", 0.4)], SUITE, imputation="none")
    cited = {"m": Cited("Paper", {"a": 0.4, "b": 0.7, "c": 0.1}), "absent": Cited("Another", {"a": 0.9})}
    measured, missing = compare_with_papers([board], cited)
    assert (measured.task, measured.score) == ("a", 0.5)
    assert (missing.method, missing.task, missing.paper, missing.published) == ("m", "b", "Paper", 0.7)
    assert (missing.score, missing.difference_points, missing.iterations, missing.test_units) == (None,) * 4


def test_variants_and_other_metrics_are_never_compared(make_board: Any) -> None:
    cells = [cell("m", "a", 0.9, params='{"k":1}'), cell("n", "a", 0.5), cell("n", "b", 0.5, metric="auc")]
    board = make_board(cells, SUITE)
    assert set(largest_budgets([board])) == {("n", "a")}
    assert compare_with_papers([board], {"m": Cited("Paper", {"a": 0.4})}) == []


def test_the_most_iterations_count_then_the_most_test_units(make_board: Any) -> None:
    def board(score: float, iterations: int, conditions: Conditions = QUICK) -> Any:
        return make_board([cell("m", "a", score, iterations=iterations, conditions=conditions)], SUITE)

    few, many = board(0.5, 10), board(0.6, 20)
    units = board(0.7, 10, replace(QUICK, preset="standard", test_units=600))
    for boards, score in (((few, many), 0.6), ((many, few), 0.6), ((units, few), 0.7), ((few, units), 0.7)):
        row, conditions = largest_budgets(boards)["m", "a"]
        assert row.score == score
        assert conditions.test_units == (600 if score == 0.7 else 100)
    assert largest_budgets([few, units, many])["m", "a"][0].score == 0.6
    # of equal budgets the first board's
    assert largest_budgets([few, board(0.8, 10)])["m", "a"][0].score == 0.5
