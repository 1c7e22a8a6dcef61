"""The front of score against cost, by hand and by its definition."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.frontier import COMMON_TASKS, CostPanel, cost_panels, front
from benchbench.stats.leaderboard import Leaderboard


def cell(method: str, task: str, score: float | None, seconds: float | None, **more: Any) -> dict[str, Any]:
    return {"method": method, "task": task, "scores": [score], "seconds": seconds, **more}


def facts(*ends: tuple[float | None, float | None]) -> SuiteFacts:
    tasks = tuple(TaskEnds(name=n, baseline_score=a, reference_score=b) for n, (a, b) in zip("abc", ends, strict=False))
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
    # the mean of the tasks that it has, and first of the list
    assert points["half"].score == pytest.approx(1.0)
    assert list(points) == ["half", "m"]
    assert (points["m"].is_comparable, points["m"].is_on_front) == (True, True)
    assert panel(board, "a").points[0].label == "half"


def test_failures_stay_in_the_mean(make_board: Any) -> None:
    """b scores .9 and fails two of three tasks, .5 is the worst there: 0.633, and never on the front."""
    suite = SuiteFacts(name="s", version="1", baseline="x", reference="y", tasks=tuple(TaskEnds(name=n) for n in "abc"))
    cells = [cell("a", n, 0.5, 10.0) for n in "abc"]
    cells += [cell("b", "a", 0.9, 1.0), cell("b", "b", None, None), cell("b", "c", None, None)]
    board = make_board(cells, suite, imputation="worst")
    whole = panel(board, None)
    points = {p.label: p for p in whole.points}
    assert points["b"].score == pytest.approx((0.9 + 0.5 + 0.5) / 3)
    assert (points["b"].n_failed_tasks, points["b"].imputed_share, points["b"].is_imputed) == (2, 2 / 3, True)
    # its seconds are those of one task of three
    assert (points["b"].seconds, points["b"].is_on_front, points["b"].is_comparable) == (1.0, False, True)
    assert points["b"].ci95 is None
    assert (points["a"].is_on_front, points["a"].n_failed_tasks, points["a"].is_imputed) == (True, 0, False)
    assert whole.left_out == ()
    # the same mean as the leaderboard's own values
    means = board.imputed.table.task_means().mean(axis=1)
    assert {p.label: p.score for p in whole.points} == pytest.approx(
        dict(zip(board.imputed.table.methods, means, strict=True))
    )
    # on each task alone a method without seconds has no point, and it is said why
    assert [p.label for p in panel(board, "b").points] == ["a"]
    assert panel(board, "b").left_out == ("b: every trial failed, its cost is unknown",)


def test_failures_stay_in_the_mean_of_normalised_scores(make_board: Any) -> None:
    suite = facts((0.2, 0.7), (0.0, 1.0))
    cells = [cell("m", "a", 0.7, 1.0), cell("m", "b", None, None), cell("n", "a", 0.45, 5.0), cell("n", "b", 0.5, 5.0)]
    board = make_board(cells, suite)
    scores = {p.label: p.score for p in panel(board, None).points}
    assert scores == pytest.approx({"m": (1.0 + 0.0) / 2, "n": (0.5 + 0.5) / 2})
    assert scores == pytest.approx({r.label: r.score for r in board.overall})
    widths = {p.label: p.ci95 for p in panel(board, None).points}
    assert widths["m"] is None, "an interval with imputed scores would pretend to know"
    assert widths["n"] == pytest.approx(next(r.ci95 for r in board.overall if r.label == "n"))


def test_a_method_that_failed_everywhere_has_no_point_and_is_named(make_board: Any) -> None:
    suite = facts((0.2, 0.7), (0.2, 0.7))
    cells = [cell("m", n, 0.5, 3.0) for n in "ab"] + [cell("lost", n, None, None) for n in "ab"]
    for found in cost_panels(make_board(cells, suite)):
        assert [p.label for p in found.points] == ["m"]
        assert found.left_out == ("lost: every trial failed, its cost is unknown",)
    declined = [cell("m", n, 0.5, 3.0) for n in "ab"] + [
        {"method": "none", "task": n, "scores": (), "n_declined": 1} for n in "ab"
    ]
    assert cost_panels(make_board(declined, suite))[0].left_out == ("none: no score, its cost is unknown",)


def test_where_the_best_decline_a_task_the_common_tasks_have_a_front(make_board: Any) -> None:
    """Else the front of the whole suite names whoever declines nothing, however bad."""
    suite = facts((0.2, 0.7), (0.2, 0.7), (0.2, 0.7))
    cells = [cell("scratch", n, 0.3, 9.0) for n in "abc"]
    cells += [cell("good", n, 0.65, 2.0) for n in "ab"]
    cells += [{"method": "good", "task": "c", "scores": (), "n_declined": 1}]
    whole, common, *tasks = cost_panels(make_board(cells, suite))
    assert (whole.name, whole.tasks, whole.is_common) == ("whole suite", ("a", "b", "c"), False)
    assert {p.label: p.is_on_front for p in whole.points} == {"good": False, "scratch": True}
    assert (common.name, common.tasks, common.is_common) == (COMMON_TASKS, ("a", "b"), True)
    points = {p.label: p for p in common.points}
    assert {label: p.is_on_front for label, p in points.items()} == {"good": True, "scratch": False}
    assert points["scratch"].seconds == 18.0
    assert points["good"].score == pytest.approx((0.65 - 0.2) / 0.5)
    assert [p.name for p in tasks] == ["a", "b", "c"]
    # nothing is common: no such panel
    apart = [cell("m", "a", 0.5, 1.0), cell("n", "b", 0.5, 1.0)]
    assert [p.name for p in cost_panels(make_board(apart, facts((0.2, 0.7), (0.2, 0.7))))] == ["whole suite", "a", "b"]
    # nor where everybody has every task
    assert [p.is_common for p in cost_panels(make_board(cells[:3], suite))] == [False] * 4


def test_without_seconds_there_is_no_panel(make_board: Any) -> None:
    board = make_board([cell("m", "a", 0.5, None), cell("n", "a", 0.6, None)], facts((0.2, 0.7)))
    assert cost_panels(board) == []


def test_a_method_of_which_no_seconds_were_recorded_did_not_fail(make_board: Any) -> None:
    """So it is with published results: of some methods there are times, of others none."""
    cells = [cell(m, n, 0.5, seconds) for m, seconds in (("m", 3.0), ("untimed", None)) for n in "ab"]
    for found in cost_panels(make_board(cells, facts((0.2, 0.7), (0.2, 0.7)))):
        assert [p.label for p in found.points] == ["m"]
        assert found.left_out == ("untimed: no seconds were recorded",)


def test_a_task_that_is_dropped_is_in_no_panel(make_board: Any) -> None:
    cells = [cell(m, n, 0.5, 3.0) for m in "mn" for n in "ab"] + [cell("m", "c", None, None), cell("n", "c", 0.5, 1.0)]
    board = make_board(cells, facts((0.2, 0.7), (0.2, 0.7), (0.2, 0.7)), imputation="drop-task")
    assert [(p.name, p.tasks) for p in cost_panels(board)] == [
        ("whole suite", ("a", "b")),
        ("a", ("a",)),
        ("b", ("b",)),
    ]


def test_panels_as_plain_data(make_board: Any) -> None:
    cells = [cell("m", "a", 0.4, 10.0, params='{"k": 1}', transductive=True), cell("m", "a", 0.3, 4.0)]
    found = cost_panels(make_board(cells, facts((0.2, 0.7))))[0].to_dict()
    assert (found["name"], found["task"], found["metric"], found["tasks"]) == ("a", "a", "accuracy", ("a",))
    # by score, best first
    assert [(p["label"], p["params"], p["is_imputed"]) for p in found["points"]] == [
        ("m(k=1)", {"k": 1}, False),
        ("m", {}, False),
    ]
    assert [p["is_transductive"] for p in found["points"]] == [True, False]


def test_the_imputed_share_of_a_suite_is_over_all_its_scores(make_board: Any) -> None:
    cells = [
        {"method": "m", "task": "a", "scores": [0.5, None, 0.6]},
        {"method": "m", "task": "b", "scores": [0.4]},
        {"method": "base", "task": "a", "scores": [0.3]},
        {"method": "base", "task": "b", "scores": [0.3]},
    ]
    points = {p.label: p for p in panel(make_board(cells, facts((0.2, 0.7), (0.1, 0.6))), None).points}
    assert points["m"].imputed_share == pytest.approx(1 / 4)
    assert points["m"].marked_label == "m (i 25%)"
    assert (points["base"].imputed_share, points["base"].marked_label) == (0.0, "base")
