"""`bench plot cd|heatmap|elo|winrate`: figures that say what they show, and hide nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchbench import plots
from benchbench.errors import InputError, UnknownNameError
from benchbench.plots.critical_difference import CriticalDifference, critical_difference_figure
from benchbench.stats.significance import friedman, nemenyi_cd

Bench = Callable[..., str]
Land = Callable[..., Path]

SCORES = {"maml": (0.7, -2.0), "protonet": (0.6, -2.5), "pixel_nn": (0.2, -4.0), "fomaml": (0.65, -1.0)}


def attempts(*more: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for method, (letters, waves) in SCORES.items():
        found.append({"method": method, "scores": [letters, letters]})
        found.append({"method": method, "task": "waves", "scores": [waves, waves]})
    return [*found, *more]


def data(bench: Bench, kind: str, suite: Path, db: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bench("plot", kind, "--suite", suite, "--db", db, "--format", "json", *options))
    return found


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures that are written."""
    found: list[Figure] = []
    write = plots.write_figure
    monkeypatch.setattr(plots, "write_figure", lambda figure, path: (found.append(figure), write(figure, path)))
    return found


def texts(figure: Figure) -> list[Any]:
    parts = [*figure.texts, *(t for sub in figure.subfigs for t in sub.texts)]
    return [t for t in [*parts, *(t for ax in figure.axes for t in ax.texts)] if t.get_text()]


def caption(figure: Figure) -> str:
    return " ".join(t.get_text() for t in texts(figure)).replace("\n", " ")


def test_a_critical_difference_diagram_holds_the_tests_numbers(bench: Bench, suite_file: Path, land: Land) -> None:
    found = data(bench, "cd", suite_file, land(*attempts()))
    tested = friedman([[0.7, -2.0], [0.6, -2.5], [0.2, -4.0], [0.65, -1.0]])
    assert found["mean_ranks"] == pytest.approx({"maml": 1.5, "fomaml": 1.5, "protonet": 3.0, "pixel_nn": 4.0})
    assert (found["friedman_p"], found["cd"]) == pytest.approx((tested.p, nemenyi_cd(4, 2)))
    assert found["groups"] == [["fomaml", "maml", "protonet", "pixel_nn"]]
    assert any("Friedman's test" in line for line in found["caption"])


def test_incomplete_methods_are_left_out_of_it_and_named(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        *attempts({"method": "mann", "scores": [0.9, 0.9]}, {"method": "mann", "task": "waves", "outcome": "declined"})
    )
    found = data(bench, "cd", suite_file, db)
    assert "mann" not in found["mean_ranks"]
    assert found["incomplete"] == {"mann": 1}
    assert any("mann (1/2)" in line and "on the tasks that they share" in line for line in found["caption"])


def test_a_diagram_needs_three_methods_and_two_tasks(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path
) -> None:
    db = land(*attempts())
    target = tmp_path / "cd.png"
    for options in (("--method", "maml,protonet"), ("--task", "letters")):
        bench("plot", "cd", "--suite", suite_file, "--db", db, "-o", target, *options, raises=InputError)
    assert not target.exists()


@pytest.mark.parametrize("n", [3, 8, 21, 60])
def test_labels_of_a_diagram_never_meet(n: int) -> None:
    # all nearly equal, and some with names longer than a line
    ranks = {f"method_{i}{'(with=many, long=parameters)' * (i % 4)}": 2.0 + i * 0.01 for i in range(n)}
    found = CriticalDifference(
        mean_ranks=ranks,
        cd=1.0,
        alpha=0.05,
        groups=[tuple(ranks)],
        friedman_p=0.5,
        iman_davenport_p=0.5,
        n_tasks=30,
        incomplete={},
    )
    figure = critical_difference_figure(found, title="title", caption=found.sentences())
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [t.get_window_extent(renderer) for t in texts(figure)]
    assert len(boxes) > n
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 + 1 and box.y0 >= -1 for box in boxes)


def test_a_heatmap_marks_what_is_missing_by_more_than_colour(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    db = land(
        *attempts(
            {"method": "mann", "outcome": "timeout"},
            {"method": "mann", "task": "waves", "outcome": "declined"},
            {"method": "relation", "outcome": "failed"},
        )
    )
    found = data(bench, "heatmap", suite_file, db)
    states = dict(zip(found["methods"], found["states"], strict=True))
    assert (states["maml"], states["mann"], states["relation"]) == (
        ["ok", "ok"],
        ["imputed", "declined"],
        ["imputed", "absent"],
    )
    values = dict(zip(found["methods"], found["values"], strict=True))
    # the ends are 0.2 and 0.7, and -4 and -2
    assert values["fomaml"] == pytest.approx([0.9, 1.5])
    assert (values["mann"][0], values["mann"][1]) == (pytest.approx(0.0), None)
    bare = data(bench, "heatmap", suite_file, db, "--impute", "none", "--stat", "rank")
    states = dict(zip(bare["methods"], bare["states"], strict=True))
    assert states["mann"] == ["failed", "declined"]
    assert dict(zip(bare["methods"], bare["values"], strict=True))["fomaml"] == [2.0, 1.0]
    for options, marks in (((), {"0.00 i", "D", "-"}), (("--impute", "none"), {"F", "D", "-"})):
        bench("plot", "heatmap", "--suite", suite_file, "--db", db, "-o", tmp_path / "h.svg", *options)
        shown = {t.get_text() for t in texts(figures[-1])}
        assert marks <= shown
        assert "1.50" in shown
        hatched = [p for ax in figures[-1].axes for p in ax.patches if p.get_hatch()]
        assert len(hatched) >= 3


def test_win_rates_are_those_of_the_matrix(bench: Bench, suite_file: Path, land: Land) -> None:
    found = data(bench, "winrate", suite_file, land(*attempts()))
    place = {m: i for i, m in enumerate(found["methods"])}
    assert found["wins"][place["maml"]][place["fomaml"]] == 1
    assert found["wins"][place["maml"]][place["pixel_nn"]] == 2
    assert found["losses"][place["pixel_nn"]][place["maml"]] == 2
    best = found["values"][0]
    assert best["value"] == pytest.approx((1 + 1 + 0.5) / 3)


@pytest.mark.parametrize("kind", ["cd", "heatmap", "elo", "winrate"])
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_equal_results_give_equal_files_that_say_what_they_are(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure], kind: str, ending: str
) -> None:
    db = land(*attempts({"preset": "long", "started_at": 1.0}))
    made = []
    for name in ("one", "two"):
        target = tmp_path / f"{name}.{ending}"
        out = bench("plot", kind, "--suite", suite_file, "--db", db, "-o", target)
        assert "left out: 1 trial of suite version 1" in out
        made.append(target.read_bytes())
    assert made[0] == made[1]
    said = caption(figures[0])
    for part in (
        "protocol 3",
        "preset quick",
        "cpu",
        "n = 4 methods, 2 tasks",
        "Imputation baseline: 0 of 8",
        "Left out: 1 trial",
    ):
        assert part in said, part
    assert "All splits were generated by this project" in said


def test_the_figures_elo_is_the_boards(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(*attempts())
    board = json.loads(bench("leaderboard", "--suite", suite_file, "--db", db, "--stat", "elo", "--format", "json"))
    found = data(bench, "elo", suite_file, db)
    assert [(s["method"], s["value"], s["low"]) for s in found["values"]] == [
        (r["label"], r["value"], r["low"]) for r in board
    ]


def test_intervals_of_two_tasks_do_not_shrink_the_ratings_to_a_point(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    # each wins one task and loses the other, so that a resample of one of them twice is far off
    db = land(*attempts())
    found = data(bench, "elo", suite_file, db)
    values = [s["value"] for s in found["values"]]
    widest = max(s["high"] for s in found["values"]) - min(s["low"] for s in found["values"])
    assert widest > 4 * (max(values) - min(values))
    bench("plot", "elo", "--suite", suite_file, "--db", db, "-o", tmp_path / "elo.svg")
    low, high = figures[0].axes[0].get_xlim()
    assert high - low < 3.6 * (max(values) - min(values))
    assert "Arrows: the interval goes on beyond the axis" in caption(figures[0])


def test_wrong_input(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    db = land(*attempts())
    common = ("--suite", suite_file, "--db", db, "-o", tmp_path / "x.png")
    bench("plot", "heatmaps", *common, raises=UnknownNameError)
    bench("plot", "cd", *common, "--stat", "rank", raises=InputError)
    bench("plot", "heatmap", *common, "--stat", "elo", raises=InputError)
