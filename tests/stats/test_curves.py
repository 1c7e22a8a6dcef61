"""Any-time curves of a leaderboard: which trials are in them, and what their intervals are over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchbench.stats.curves import CurveValue, SeedCurve, curve_panels
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.intervals import estimate

SUITE = SuiteFacts(
    name="s",
    version="1",
    baseline="base",
    reference="ref",
    tasks=(TaskEnds(name="a", baseline_score=0.2, reference_score=0.7), TaskEnds(name="b")),
)


def cell(method: str, task: str, *scores: float | None, **more: Any) -> dict[str, Any]:
    return {"method": method, "task": task, "scores": scores, **more}


def curve(method: str, seed: int, *points: CurveValue, task: str = "a", **more: Any) -> SeedCurve:
    values: dict[str, Any] = {"fingerprint": f"data of {task}", "params": "{}", "fit_seconds": 10.0 + seed}
    return SeedCurve(task=task, method=method, seed=seed, points=points, **{**values, **more})


def test_one_seed_shows_its_own_points_and_several_their_mean_at_common_steps(make_board: Any) -> None:
    board = make_board([cell("one", "a", 0.5), cell("two", "a", 0.6, 0.7)], SUITE)
    own = (CurveValue(1, 2.0, 0.3, 0.01), CurveValue(5, 4.0, 0.4, 0.02))
    (panel,) = curve_panels(
        board,
        [
            curve("one", 0, *own),
            curve("two", 0, CurveValue(5, 1.0, 0.2, 0.01), CurveValue(9, 3.0, 0.5, 0.01)),
            curve("two", 1, CurveValue(1, 1.0, 0.1, 0.01), CurveValue(5, 2.0, 0.4, None)),
        ],
    )
    assert (panel.task, panel.metric) == ("a", "accuracy")
    lines = {line.method: line for line in panel.lines}
    assert lines["one"].points == own
    assert (lines["one"].unit, lines["one"].n_seeds, lines["one"].fit_seconds) == ("episode", 1, 10.0)
    expected = estimate([0.2, 0.4])
    assert lines["two"].points == (CurveValue(5, 1.5, expected.mean, expected.ci95),)
    assert (lines["two"].unit, lines["two"].n_seeds, lines["two"].fit_seconds) == ("seed", 2, 10.5)
    row = board.row_of("two", "a")
    found = lines["two"]
    assert (found.score, found.score_ci95, found.score_unit, found.score_n) == (row.score, row.ci95, "seed", 2)


def test_curves_of_other_data_or_parameters_are_left_out(make_board: Any) -> None:
    board = make_board([cell("m", "a", 0.5)], SUITE)
    point = CurveValue(1, 2.0, 0.3, None)
    (panel,) = curve_panels(board, [curve("m", 0, point, fingerprint="other"), curve("m", 1, point, params='{"k":1}')])
    (line,) = panel.lines
    assert (line.points, line.unit, line.n_seeds, line.fit_seconds) == ((), "", 0, None)
    (line,) = curve_panels(board, [curve("m", 0, point)])[0].lines
    assert (line.points, line.unit) == ((point,), ""), "no interval was recorded"


def test_a_method_is_trained_if_it_took_time_iterations_or_reported_points(make_board: Any) -> None:
    board = make_board(
        [
            cell("counted", "a", 0.5, iterations=1),
            cell("timed", "a", 0.5),
            cell("none", "a", 0.5),
            cell("told", "a", 0.5),
        ],
        SUITE,
    )
    (panel,) = curve_panels(
        board,
        [
            curve("timed", 0, fit_seconds=0.01),
            curve("none", 0, fit_seconds=0.009),
            curve("told", 0, CurveValue(1, 0.0, 0.3, None), fit_seconds=0.0),
        ],
    )
    trained = {line.method: line.is_trained for line in panel.lines}
    assert trained == {"counted": True, "timed": True, "none": False, "told": True}
    (panel,) = curve_panels(make_board([cell("m", "a", 0.5)], SUITE), [])
    assert not panel.lines[0].is_trained


def test_methods_without_a_success_have_no_line_and_marks_are_the_rows(make_board: Any) -> None:
    board = make_board(
        [
            cell("base", "a", 0.3),
            cell("base", "b", 0.3),
            cell("failed", "a", None),
            cell("half", "a", 0.5, None, transductive=True),
            cell("half", "b", 0.4, n_shared=1),
        ],
        SUITE,
    )
    first, second = curve_panels(board, [])
    assert {line.method for line in first.lines} == {"base", "half"}
    half = next(line for line in first.lines if line.method == "half")
    other = next(line for line in second.lines if line.method == "half")
    assert (half.is_imputed, half.is_transductive, half.is_shared) == (True, True, False)
    assert (other.is_imputed, other.is_transductive, other.is_shared) == (False, False, True)


def test_panels_are_plain_data_with_parameters_as_a_mapping(make_board: Any) -> None:
    board = make_board([cell("m", "a", 0.5, params='{"k":1}')], SUITE)
    (panel,) = curve_panels(board, [curve("m", 0, CurveValue(1, 2.0, 0.3, 0.1), params='{"k":1}')])
    plain = json.loads(json.dumps(panel.to_dict()))
    assert (plain["task"], plain["metric"]) == ("a", "accuracy")
    assert plain["lines"][0]["params"] == {"k": 1}
    assert plain["lines"][0]["label"] == "m(k=1)"
    assert plain["lines"][0]["points"] == [{"step": 1, "seconds": 2.0, "value": 0.3, "ci95": 0.1}]
    assert plain["lines"][0]["score"] == pytest.approx(0.5)
