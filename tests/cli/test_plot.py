"""`bench plot` on a real database: the figures hold the board's numbers, and say what they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from benchbench import plots
from benchbench.errors import InputError, UnknownNameError
from benchbench.records import CurvePoint
from benchbench.stats.intervals import t_quantile

Bench = Callable[..., str]
Land = Callable[..., Path]


def curve(values: list[float], *, pace: float = 10.0, ci95: float | None = 0.05) -> list[CurvePoint]:
    points = []
    for i, value in enumerate(values, start=1):
        points += [
            CurvePoint(i * 100, i * pace, "train_loss", 1.0),
            CurvePoint(i * 100, i * pace, "val_accuracy", value),
        ]
        if ci95 is not None:
            points.append(CurvePoint(i * 100, i * pace, "val_accuracy_ci95", ci95))
    return points


def trained(values: list[float], **more: Any) -> dict[str, Any]:
    pace = more.pop("pace", 10.0)
    ci95 = more.pop("ci95", 0.05)
    fit = pace * len(values) + 1.0
    found = {"curve": curve(values, pace=pace, ci95=ci95), "phases": {"meta_fit": fit}, "seconds": fit + 2.0}
    return {**found, "iterations": 100 * len(values), **more}


def data(bench: Bench, kind: str, suite: Path, db: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bench("plot", kind, "--suite", suite, "--db", db, "--format", "json", *options))
    return found


def by_label(panel: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    return {item["label"]: item for item in panel[key]}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures that are written."""
    found: list[Figure] = []
    write = plots.write_figure
    monkeypatch.setattr(plots, "write_figure", lambda figure, path: (found.append(figure), write(figure, path)))
    return found


def texts(figure: Figure) -> str:
    return " ".join(t.get_text() for part in (figure, *figure.subfigs) for t in part.texts).replace("\n", " ")


def test_a_curve_of_one_seed_is_as_reported(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        trained([0.3, 0.5, 0.6], scores=[0.5, 0.7]),
        trained([0.2, 0.4], method="old", ci95=None),
        # a preset may give iterations to a method that makes nothing of them
        {"method": "pixel_nn", "scores": [0.2, 0.4], "phases": {"meta_fit": 1e-5, "predict": 1.0}, "iterations": 5},
    )
    (panel,) = data(bench, "curves", suite_file, db)["panels"]
    lines = by_label(panel, "lines")
    assert [(p["step"], p["seconds"], p["value"], p["ci95"]) for p in lines["maml"]["points"]] == [
        (100, 10.0, 0.3, 0.05),
        (200, 20.0, 0.5, 0.05),
        (300, 30.0, 0.6, 0.05),
    ]
    assert (lines["maml"]["unit"], lines["maml"]["fit_seconds"], lines["maml"]["score"]) == ("episode", 31.0, 0.6)
    assert lines["maml"]["params"] == {}
    assert lines["maml"]["score_ci95"] == pytest.approx(t_quantile(1) * 0.02**0.5 / 2**0.5)
    assert (lines["old"]["unit"], {p["ci95"] for p in lines["old"]["points"]}) == ("", {None})
    assert (lines["pixel_nn"]["is_trained"], lines["pixel_nn"]["points"]) == (False, [])


def test_a_curve_of_several_seeds_is_their_mean_with_students_band(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        trained([0.3, 0.5, 0.6], pace=10.0),
        trained([0.4, 0.5], pace=20.0, seed=1),
        trained([0.5, 0.5, 0.9], pace=30.0, seed=2, outcome="failed"),
    )
    (panel,) = data(bench, "curves", suite_file, db)["panels"]
    (line,) = panel["lines"]
    # the step that one seed alone reported is left out, and so is the seed that failed
    assert [(p["step"], p["seconds"], p["value"]) for p in line["points"]] == [(100, 15.0, 0.35), (200, 30.0, 0.5)]
    assert line["points"][0]["ci95"] == pytest.approx(t_quantile(1) * 0.05)
    assert line["points"][1]["ci95"] == 0.0
    assert (line["unit"], line["n_seeds"], line["is_imputed"]) == ("seed", 2, True)


def test_curves_hold_the_trials_of_the_board_alone(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        trained([0.1, 0.1], preset="long"),
        trained([0.2, 0.2], adapter_source_hash="older"),
        trained([0.3, 0.3], task_fingerprint="other data"),
        trained([0.4, 0.4]),
        trained([0.5, 0.5], suite="other"),
        {"outcome": "infra"},
    )
    found = data(bench, "curves", suite_file, db)
    (panel,) = found["panels"]
    (line,) = panel["lines"]
    assert {p["value"] for p in line["points"]} == {0.4}
    assert any("preset long" in note for note in found["notes"])
    assert any("other data" in note for note in found["notes"])
    (long,) = data(bench, "curves", suite_file, db, "--preset", "long")["panels"]
    assert {p["value"] for p in long["lines"][0]["points"]} == {0.1}


def test_values_that_are_no_numbers_are_not_drawn(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    db = land(trained([0.3, float("nan"), float("inf"), 0.6]))
    (panel,) = data(bench, "curves", suite_file, db, "-o", str(tmp_path / "a.png"))["panels"]
    assert [p["step"] for p in panel["lines"][0]["points"]] == [100, 400]


def test_the_drawn_curves_are_the_numbers(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    db = land(
        trained([0.3, 0.5, 0.6], scores=[0.6, 0.8]),
        {"method": "pixel_nn", "scores": [0.2, 0.4]},
        trained([0.3], task="waves", metric="neg_mse", scores=[-3.0, -2.0]),
    )
    text = bench("plot", "curves", "--suite", suite_file, "--db", db, "-o", tmp_path / "curves.png")
    assert f"wrote {tmp_path / 'curves.png'}: 2 panels" in text
    (figure,) = figures
    letters, waves = figure.axes
    assert (letters.get_title(loc="left"), letters.get_xscale()) == ("letters", "log")
    lines = {str(line.get_label()): line for line in letters.get_lines()}
    assert list(lines["maml"].get_xdata()) == [10.0, 20.0, 30.0]
    assert list(lines["maml"].get_ydata()) == [0.3, 0.5, 0.6]
    assert list(lines["pixel_nn"].get_ydata()) == pytest.approx([0.3, 0.3])
    assert lines["pixel_nn"].get_linestyle() == "--"
    ends = [(line.get_xdata()[0], line.get_ydata()[0]) for line in letters.get_lines() if len(line.get_xdata()) == 1]
    assert (31.0, pytest.approx(0.7)) in ends
    # the band of the curve, and that of the level line
    band = letters.collections[0].get_paths()[0].vertices
    assert (min(band[:, 1]), max(band[:, 1])) == (pytest.approx(0.25), pytest.approx(0.65))
    # the curve of waves has another metric than its task: it is not drawn
    assert {float(x) for line in waves.get_lines() for x in line.get_xdata()} == {11.0}
    (legend,) = [part for sub in figure.subfigs for part in sub.legends]
    assert [t.get_text() for t in legend.get_texts()] == ["maml", "pixel_nn"]
    said = " ".join(texts(figure).split())
    assert "Suite pair 1, protocol 3, preset quick, 4 test units, 1 thread, cpu" in said
    assert "95 % over validation episodes, given this training (one seed)" in said
    assert "interval over 2 episodes" in said
    assert "do not compare with published results" in said


def test_the_drawn_costs_are_the_numbers(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    db = land(
        {"seconds": 40.0, "scores": [0.6, 0.8]},
        {"method": "protonet", "seconds": 50.0, "scores": [0.5, 0.7], "transductive": True},
        {"method": "pixel_nn", "seconds": 0.5, "scores": [0.2, 0.4], "metrics": {"shared_seconds": 0.1}},
        {"task": "waves", "metric": "neg_mse", "scores": [-3.0, -2.0], "seconds": 10.0},
        {"task": "waves", "metric": "neg_mse", "method": "protonet", "outcome": "declined"},
    )
    text = bench("plot", "pareto", "--suite", suite_file, "--db", db, "-o", tmp_path / "costs.svg")
    assert "not drawn: protonet on waves (declined)" in text
    (figure,) = figures
    whole, common, letters, waves = figure.axes
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["whole suite", "common tasks", "letters", "waves"]
    assert "1 common task" in common.get_xlabel()
    drawn = {
        str(line.get_label()): (line.get_xdata()[0], line.get_ydata()[0])
        for line in letters.get_lines()
        if not str(line.get_label()).startswith("_")
    }
    assert drawn == {"maml": (40.0, pytest.approx(0.7)), "protonet": (50.0, 0.6), "pixel_nn": (0.5, pytest.approx(0.3))}
    steps = [line for line in letters.get_lines() if line.get_drawstyle() == "steps-post"]
    assert [list(line.get_xdata()) for line in steps] == [[0.5, 40.0]]
    bars = sorted(float(path.vertices[:, 1].mean()) for c in letters.collections for path in c.get_paths())
    assert bars == pytest.approx([0.3, 0.6, 0.7])
    assert sorted(t.get_text() for t in letters.texts) == ["maml", "pixel_nn (s)", "protonet (t)"]
    # who lacks a task is hollow there, and not on the front
    hollow = {str(line.get_label()) for line in whole.get_lines() if line.get_markerfacecolor() == "white"}
    assert hollow == {"protonet", "pixel_nn"}
    assert [t.get_text() for t in waves.texts] == ["maml"]
    assert "0 = pixel_nn, 1 = maml" in texts(figure)
    assert "(s) seconds hold training that was done once, in another trial" in texts(figure)


def test_high_accuracies_get_an_axis_on_which_they_differ(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    db = land(trained([0.5, 0.98, 1.0], scores=[1.0, 1.0]), {"method": "pixel_nn", "scores": [0.2, 0.4]})
    for kind in ("curves", "pareto"):
        bench("plot", kind, "--suite", suite_file, "--db", db, "-o", tmp_path / f"{kind}.png")
    for figure in figures:
        (ax,) = figure.axes
        assert ax.get_yscale() == "logit"
        assert "logit axis" in ax.get_ylabel()
        # 1 has no place on such an axis, and still is drawn, inside
        assert 0.99 < max(max(line.get_ydata()) for line in ax.get_lines()) < ax.get_ylim()[1] < 1


def test_mixed_hardware_is_said_on_the_axis(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    db = land(trained([0.3, 0.5]), {"method": "pixel_nn", "hardware_class": "cpu, 64 cores"})
    for kind in ("curves", "pareto"):
        text = bench("plot", kind, "--suite", suite_file, "--db", db, "-o", tmp_path / f"{kind}.png")
        assert "seconds come from different hardware and must not be compared" in text
    for figure in figures:
        assert "hardware mixed: do not compare" in figure.axes[0].get_xlabel()
        assert "Seconds come from different hardware" in texts(figure)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_equal_results_give_equal_files(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, ending: str
) -> None:
    db = land(trained([0.3, 0.5]), trained([0.3, 0.4], method="other"), {"method": "pixel_nn", "scores": [0.2, 0.4]})
    kind = "curves" if ending == "pdf" else "pareto"
    images = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.{ending}"
        bench("plot", kind, "--suite", suite_file, "--db", db, "-o", path)
        images.append(path.read_bytes())
    assert images[0] == images[1]
    assert images[0][:5] == {"png": b"\x89PNG\r", "svg": b"<?xml", "pdf": b"%PDF-"}[ending]


def test_labels_of_twenty_methods_do_not_overlap(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = [
        {
            "method": f"method_number_{i}",
            "seconds": 20.0 + 7 * (i * 13 % 20),
            "scores": [0.5 + 0.01 * i, 0.52 + 0.01 * i],
        }
        for i in range(20)
    ]
    bench("plot", "pareto", "--suite", suite_file, "--db", land(*rows), "-o", tmp_path / "many.png")
    (ax,) = figures[0].axes
    extents = [t.get_window_extent() for t in ax.texts]
    assert len(extents) == 20
    overlaps = [(i, j) for i in range(20) for j in range(i) if extents[i].overlaps(extents[j])]
    assert overlaps == []


def test_eighteen_methods_look_different(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = [trained([0.3, 0.5 + i / 100], method=f"m{i}") for i in range(18)]
    bench("plot", "curves", "--suite", suite_file, "--db", land(*rows), "-o", tmp_path / "many.png")
    (legend,) = [part for sub in figures[0].subfigs for part in sub.legends]
    looks = {(h.get_color(), h.get_marker()) for h in legend.get_lines()}
    assert len(looks) == 18


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["curvs", "-o", "x.png"], UnknownNameError, "did you mean 'curves'"),
        (["curves"], InputError, "-o FILE"),
        (["curves", "-o", "x.gif"], InputError, "must end in .png, .svg, .pdf"),
        (["curves", "-o", "pair.toml/new/x.png"], InputError, "pair.toml is not a folder"),
        (["curves", "-o", "x.png", "--preset", "paper"], InputError, "available:\n- 1 trial"),
        (["pareto", "-o", "x.png", "--task", "leters"], UnknownNameError, "did you mean 'letters'"),
        (["pareto", "-o", "x.png", "--method", "mamel"], UnknownNameError, "did you mean 'maml'"),
        (["pareto", "-o", "x.png", "--format", "csv"], InputError, "--format expects table or json, got 'csv'"),
    ],
)
def test_wrong_input(
    bench: Bench,
    suite_file: Path,
    land: Land,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: type[InputError],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    from typer.testing import CliRunner

    from benchbench.cli.main import app

    result = CliRunner().invoke(app, ["plot", *arguments, "--suite", str(suite_file), "--db", str(land({}))])
    assert isinstance(result.exception, error)
    assert result.exception.exit_code == 2
    assert re.search(re.escape(message), str(result.exception))
    assert not list(tmp_path.glob("x.*"))


def test_nothing_to_draw(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    bench("plot", "curves", "--suite", suite_file, "--db", tmp_path / "none.duckdb", "-o", out, raises=InputError)
    failed = land({"outcome": "failed"})
    for kind in ("curves", "pareto"):
        bench("plot", kind, "--suite", suite_file, "--db", failed, "-o", out, raises=InputError)
    assert not out.exists()


def test_a_file_that_cannot_be_written(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    db = land(trained([0.3]))
    bench("plot", "curves", "--suite", suite_file, "--db", db, "-o", tmp_path / "folder.png", raises=InputError)
    bench("plot", "curves", "--suite", suite_file, "--db", db, "-o", Path("/proc/x.png"), raises=InputError)
    bench("plot", "curves", "--suite", suite_file, "--db", db, "-o", Path("/proc/new/x.png"), raises=InputError)


def test_the_folder_of_a_figure_is_made(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    out = tmp_path / "new" / "deep" / "x.svg"
    bench("plot", "curves", "--suite", suite_file, "--db", land(trained([0.3])), "-o", out)
    assert out.read_bytes().startswith(b"<?xml")


def test_what_failed_stays_in_the_mean_and_off_the_front(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, figures: list[Figure]
) -> None:
    """The mean was over the tasks that had seconds: who failed on the hard ones came out first."""
    db = land(
        {"seconds": 40.0, "scores": [0.6, 0.8]},
        {"task": "waves", "metric": "neg_mse", "scores": [-3.0, -2.0], "seconds": 10.0},
        {"method": "half", "seconds": 1.0, "scores": [0.9, 0.9]},
        {"method": "half", "task": "waves", "outcome": "failed"},
        {"method": "broken", "outcome": "failed"},
        {"method": "broken", "task": "waves", "outcome": "failed"},
        {"method": "shy", "seconds": 2.0, "scores": [0.5, 0.6]},
        {"method": "shy", "task": "waves", "outcome": "declined"},
    )
    found = data(bench, "pareto", suite_file, db)
    panels = {panel["name"]: panel for panel in found["panels"]}
    whole = by_label(panels["whole suite"], "points")
    # (0.9 - 0.2) / 0.5 on letters, and the baseline's 0 on waves
    assert whole["half"]["score"] == pytest.approx((1.4 + 0.0) / 2)
    assert (whole["half"]["is_on_front"], whole["half"]["n_failed_tasks"]) == (False, 1)
    assert whole["half"]["imputed_share"] == 0.5
    assert whole["maml"]["is_on_front"]
    board = json.loads(bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "json"))
    assert {r["label"]: r["score"] for r in board if r["task"] is None and r["label"] in whole} == pytest.approx(
        {label: point["score"] for label, point in whole.items()}
    )
    assert "broken" not in whole
    assert panels["whole suite"]["left_out"] == ["broken: every trial failed, its cost is unknown"]
    common = by_label(panels["common tasks"], "points")
    assert panels["common tasks"]["tasks"] == ["letters"]
    # there it succeeded everywhere
    assert (common["half"]["is_on_front"], common["half"]["imputed_share"]) == (True, 0.0)
    bench("plot", "pareto", "--suite", suite_file, "--db", db, "-o", tmp_path / "costs.png")
    (figure,) = figures
    hollow = {str(line.get_label()) for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"}
    assert hollow == {"half", "shy"}
    assert "half (i 50%)" in {t.get_text() for t in figure.axes[0].texts}
    assert "Not drawn: broken: every trial failed, its cost is unknown." in texts(figure)


def test_a_figure_of_many_tasks_draws_some_and_says_which(bench: Bench, tmp_path: Path, figures: list[Figure]) -> None:
    db, table = tmp_path / "many.duckdb", tmp_path / "many.csv"
    rows = [f"m{m},t{t:02},0,0.{5 + m}{t % 10},{m + 1}" for m in range(3) for t in range(16)]
    table.write_text("\n".join(["method,task,seed,score,seconds", *rows]))
    source = ("--from", "long", "--track", "automl", "--suite", "many", "--metric", "accuracy", "--source", "made")
    bench("results", "import", table, *source, "--db", db)
    for kind, n_tasks in (("pareto", 12), ("curves", 13)):
        options = ("plot", kind, "--suite", "many", "--db", db)
        text = bench(*options, "-o", tmp_path / "some.png")
        assert "13 panels" in text
        assert f"Drawn: the first {n_tasks} of 16 tasks; `bench plot {kind} --task`" in text
        assert len(figures[-1].axes) == 13
        named = bench(*options, "-o", tmp_path / "all.png", "--task", ",".join(f"t{t:02}" for t in range(15)))
        assert "Drawn:" not in named
        drawn = {p["task"] for p in json.loads(bench(*options, "--format", "json"))["panels"]}
        assert {f"t{t:02}" for t in range(16)} <= drawn
