"""The front of score against cost, by hand and by its definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.frontier import CostPanel, cost_panels, front
from benchbench.stats.leaderboard import Leaderboard
from benchbench.stats.trials import Cell, Conditions

GROUP = Conditions(suite_version="1", protocol_version="p/1", preset="quick", test_units=100, threads=1, device="cpu")


def cell(method: str, task: str, score: float, seconds: float, **more: object) -> Cell:
    values: dict[str, object] = {
        "group": GROUP, "task": task, "fingerprint": task, "method": method, "params": "{}", "transductive": False,
        "metric": "accuracy", "unit": "episode", "seed_scores": (score,), "seed_deviations": (0.1,), "seed_units": (100,),
        "n_failed": 0, "n_declined": 0, "n_lost": 0, "seconds": seconds, "hardware": ("one",), "n_environments": 1,
        "newest": 1.0,
    }  # fmt: skip
    return Cell(**{**values, **more})  # type: ignore[arg-type]


def facts(*ends: tuple[float | None, float | None]) -> SuiteFacts:
    tasks = tuple(TaskEnds(name=n, baseline_score=a, reference_score=b) for n, (a, b) in zip("ab", ends, strict=False))
    return SuiteFacts(name="s", version="1", baseline="base", reference="ref", tasks=tasks)


def panel(board: Leaderboard, suite: SuiteFacts, task: str | None) -> CostPanel:
    return next(p for p in cost_panels(board, suite) if p.task == task)


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


def test_a_panel_holds_the_boards_figures() -> None:
    suite = facts((0.2, 0.7))
    board = leaderboard(
        [cell("m", "a", 0.6, 30.0, n_shared=1), cell("n", "a", 0.5, 40.0), cell("o", "a", 0.4, 2.0)], suite
    )
    points = {p.label: p for p in panel(board, suite, "a").points}
    row = next(r for r in board.rows if r.task == "a" and r.method == "m")
    assert (points["m"].score, points["m"].ci95, points["m"].seconds) == (row.score, row.ci95, 30.0)
    assert {name: p.is_on_front for name, p in points.items()} == {"m": True, "n": False, "o": True}
    assert (points["m"].is_shared, points["n"].is_shared) == (True, False)
    assert [p.task for p in cost_panels(board, suite)] == ["a"]


def test_the_whole_suite_is_normalised_where_it_can_be() -> None:
    suite = facts((0.2, 0.7), (-4.0, -2.0))
    cells = [cell("m", "a", 0.45, 10.0), cell("m", "b", -3.5, 5.0, metric="neg_mse")]
    (point,) = panel(leaderboard(cells, suite), suite, None).points
    assert point.score == pytest.approx((0.5 + 0.25) / 2)
    assert point.seconds == 15.0
    assert panel(leaderboard(cells, suite), suite, None).metric == "mean normalised score"


def test_the_whole_suite_takes_plain_means_of_one_metric_and_nothing_of_two() -> None:
    suite = facts((0.2, 0.7), (0.2, None))
    board = leaderboard([cell("m", "a", 0.4, 10.0), cell("m", "b", 0.8, 5.0)], suite)
    assert panel(board, suite, None).metric == "mean accuracy"
    assert panel(board, suite, None).points[0].score == pytest.approx(0.6)
    mixed = leaderboard([cell("m", "a", 0.4, 10.0), cell("m", "b", -0.8, 5.0, metric="neg_mse")], suite)
    assert [p.task for p in cost_panels(mixed, suite)] == ["a", "b"]


def test_who_lacks_a_task_is_never_on_the_suites_front() -> None:
    suite = facts((0.2, 0.7), (0.2, 0.7))
    board = leaderboard([cell("m", "a", 0.4, 10.0), cell("m", "b", 0.4, 10.0), cell("half", "a", 0.7, 1.0)], suite)
    points = {p.label: p for p in panel(board, suite, None).points}
    assert (points["half"].is_comparable, points["half"].is_on_front) == (False, False)
    assert (points["m"].is_comparable, points["m"].is_on_front) == (True, True)
    assert panel(board, suite, "a").points[0].label == "half"
