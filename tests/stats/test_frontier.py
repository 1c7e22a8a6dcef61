"""The front of score against cost, by hand and by its definition."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.frontier import CostPanel, cost_panels, front
from benchbench.stats.leaderboard import Leaderboard


def cell(method: str, task: str, score: float | None, seconds: float | None, **more: Any) -> dict[str, Any]:
    return {"method": method, "task": task, "scores": [score], "seconds": seconds, **more}


def facts(*ends: tuple[float | None, float | None]) -> SuiteFacts:
    tasks = tuple(TaskEnds(name=n, baseline_score=a, reference_score=b) for n, (a, b) in zip("ab", ends, strict=False))
    return SuiteFacts(name="s", version="1", baseline="base", reference="ref", tasks=tasks)


def panel(board: Leaderboard, task: str | None) -> CostPanel:
    return next(p for p in cost_panels(board) if p.task == task)


def test_front_by_hand() -> None:
    # cheap and bad, dear and good; the third costs more than the second and is no better, the fourth is worse than the first
    assert front([(1.0, 0.3), (2.0, 0.6), (3.0, 0.6), (1.5, 0.2), (9.0, 0.9)]) == [0, 1, 4]
    assert front([(1.0, 0.5), (1.0, 0.5), (1.0, 0.4)]) == [0, 1]
    assert front([]) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=9))
def test_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return one != other and one[0] <= other[0] and one[1] >= other[1]

    found = front([(float(c), float(s)) for c, s in points])
    assert sorted(found) == [i for i, p in enumerate(points) if not any(beats(q, p) for q in points)]
    assert [points[i] for i in found] == sorted(points[i] for i in found)


def test_a_panel_holds_the_boards_figures(make_board: Any) -> None:
    suite = facts((0.2, 0.7))
    board = make_board(
        [cell("m", "a", 0.6, 30.0, n_shared=1), cell("n", "a", 0.5, 40.0), cell("o", "a", 0.4, 2.0)], suite
    )
    points = {p.label: p for p in panel(board, "a").points}
    row = next(r for r in board.rows if r.task == "a" and r.method == "m")
    assert (points["m"].score, points["m"].ci95, points["m"].seconds) == (row.score, row.ci95, 30.0)
    assert {name: p.is_on_front for name, p in points.items()} == {"m": True, "n": False, "o": True}
    assert (points["m"].is_shared, points["n"].is_shared) == (True, False)
    assert [p.task for p in cost_panels(board)] == ["a"]


def test_the_whole_suite_is_normalised_where_it_can_be(make_board: Any) -> None:
    suite = facts((0.2, 0.7), (-4.0, -2.0))
    cells = [cell("m", "a", 0.45, 10.0), cell("m", "b", -3.5, 5.0, metric="neg_mse")]
    (point,) = panel(make_board(cells, suite), None).points
    assert point.score == pytest.approx((0.5 + 0.25) / 2)
    assert point.seconds == 15.0
    assert panel(make_board(cells, suite), None).metric == "mean normalised score"


def test_the_whole_suite_takes_plain_means_of_one_metric_and_nothing_of_two(make_board: Any) -> None:
    suite = facts((0.2, 0.7), (0.2, None))
    board = make_board([cell("m", "a", 0.4, 10.0), cell("m", "b", 0.8, 5.0)], suite)
    assert panel(board, None).metric == "mean accuracy"
    assert panel(board, None).points[0].score == pytest.approx(0.6)
    mixed = make_board([cell("m", "a", 0.4, 10.0), cell("m", "b", -0.8, 5.0, metric="neg_mse")], suite)
    assert [p.task for p in cost_panels(mixed)] == ["a", "b"]


def test_who_lacks_a_task_is_never_on_the_suites_front(make_board: Any) -> None:
    suite = facts((0.2, 0.7), (0.2, 0.7))
    board = make_board([cell("m", "a", 0.4, 10.0), cell("m", "b", 0.4, 10.0), cell("half", "a", 0.7, 1.0)], suite)
    points = {p.label: p for p in panel(board, None).points}
    assert (points["half"].is_comparable, points["half"].is_on_front) == (False, False)
    assert (points["m"].is_comparable, points["m"].is_on_front) == (True, True)
    assert panel(board, "a").points[0].label == "half"
