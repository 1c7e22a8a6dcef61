"""`bench reproduction`: the board's numbers beside the cards' figures, and nothing where they must not be compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchbench import registry
from benchbench.cards import MethodCard
from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.intervals import t_quantile

Bench = Callable[..., str]
Land = Callable[..., Path]

SUITE = """
name = "omni"
version = "1"
track = "fewshot"
title = "Real letters"
[scores]
baseline = "pixel_nn"
reference = "maml"
[presets.quick]
test_units = 4
[presets.standard]
test_units = 4
[[tasks]]
name = "omni-5w1s"
loader = "glyphs"
[[tasks]]
name = "omni-20w1s"
loader = "glyphs"
"""


@pytest.fixture
def omni(tmp_path: Path) -> Path:
    path = tmp_path / "omni.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture(autouse=True)
def _cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let maml and protonet have papers with figures for the suite."""
    known = dict(registry.methods())
    figures = {"maml": {"omni-5w1s": 0.987, "omni-20w1s": 0.958}, "protonet": {"omni-5w1s": 0.96}, "pixel_nn": {}}
    for name, published in figures.items():
        known[name] = replace(known[name], card=replace(known[name].card, published=published))
    monkeypatch.setattr(registry, "methods", lambda: known)


def row(**more: Any) -> dict[str, Any]:
    return {"suite": "omni", "task": "omni-5w1s", "scores": [0.9, 0.94], "iterations": 900, **more}


def records(bench: Bench, suite: Path, db: Path, *options: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads(bench("reproduction", "--suite", suite, "--db", db, "--format", "json", *options))
    return {(r["method"], r["task"]): r for r in found}


def test_measured_and_published_stand_side_by_side(bench: Bench, omni: Path, land: Land) -> None:
    db = land(row(seconds=70.0, transductive=True), row(method="protonet"), row(method="pixel_nn"))
    found = records(bench, omni, db)
    assert set(found) == {("maml", "omni-5w1s"), ("protonet", "omni-5w1s")}
    maml = found["maml", "omni-5w1s"]
    assert (maml["score"], maml["published"]) == (pytest.approx(0.92), 0.987)
    assert maml["difference_points"] == pytest.approx(-6.7)
    half = t_quantile(1) * 0.02
    assert maml["ci95"] == pytest.approx(half)
    assert (maml["preset"], maml["iterations"], maml["n"], maml["unit"], maml["seconds"]) == (
        "quick",
        900,
        2,
        "episode",
        70.0,
    )
    assert (maml["protocol_version"], maml["test_units"], maml["suite_version"]) == ("3", 4, "1")
    text = bench("reproduction", "--suite", omni, "--db", db)
    assert f"92.00 ± {100 * half:.2f} (98.7)" in text
    assert "(96.0)" in text
    assert "-6.70" in text
    assert "maml (t)" in text
    assert "no published accuracy for this suite on the card of: pixel_nn" in text
    assert "given this training (one seed, or" in text


def test_a_figure_without_a_measurement_is_shown_as_such(bench: Bench, omni: Path, land: Land) -> None:
    db = land(row(), row(task="omni-20w1s", outcome="failed"))
    found = records(bench, omni, db)
    # a failure is never imputed here
    assert found["maml", "omni-20w1s"]["score"] is None
    assert found["maml", "omni-20w1s"]["difference_points"] is None
    assert "- (95.8)" in bench("reproduction", "--suite", omni, "--db", db)


def test_variants_are_not_set_beside_the_papers_figure(bench: Bench, omni: Path, land: Land) -> None:
    db = land(row(scores=[0.5, 0.5]), row(params={"inner_lr": 0.1}))
    assert records(bench, omni, db)["maml", "omni-5w1s"]["score"] == 0.5
    text = bench("reproduction", "--suite", omni, "--db", db)
    assert "not compared, since published accuracies are for default parameters: maml(inner_lr=0.1)" in text
    only = land(row(params={"inner_lr": 0.1}), name="only")
    bench("reproduction", "--suite", omni, "--db", only, raises=InputError)


def test_presets_are_mixed_only_when_asked_and_then_shown(bench: Bench, omni: Path, land: Land) -> None:
    db = land(
        row(preset="standard", iterations=3000, scores=[0.97, 0.97]),
        row(scores=[0.8, 0.8]),
        row(task="omni-20w1s", scores=[0.6, 0.6]),
    )
    assert {r["preset"] for r in records(bench, omni, db).values()} == {"quick"}
    text = bench("reproduction", "--suite", omni, "--db", db)
    assert "left out: 1 trial of suite version 1, protocol 3, preset standard" in text
    assert records(bench, omni, db, "--preset", "standard")["maml", "omni-5w1s"]["score"] == 0.97
    best = records(bench, omni, db, "--preset", "best")
    assert {t: (r["preset"], r["iterations"], r["score"]) for (_, t), r in best.items()} == {
        "omni-5w1s": ("standard", 3000, 0.97),
        "omni-20w1s": ("quick", 900, 0.6),
    }
    text = bench("reproduction", "--suite", omni, "--db", db, "--preset", "best")
    assert "97.00 ± 0.00 (98.7), standard 3,000" in text
    assert "60.00 ± 0.00 (95.8), quick 900" in text
    assert "presets differ between rows" in text


def test_csv_and_markdown_hold_the_same_figures(bench: Bench, omni: Path, land: Land) -> None:
    db = land(row(), row(method="protonet", scores=[0.95, 0.97]))
    found = records(bench, omni, db)
    read = list(csv.DictReader(io.StringIO(bench("reproduction", "--suite", omni, "--db", db, "--format", "csv"))))
    assert [(r["method"], r["task"], float(r["score"])) for r in read if r["score"]] == [
        (m, t, r["score"]) for (m, t), r in found.items() if r["score"] is not None
    ]
    text = bench("reproduction", "--suite", omni, "--db", db, "--format", "markdown")
    assert "| method | 5w1s |" in text
    assert "(98.7) |" in text
    assert "| -6.70 |" in text


def test_update_replaces_what_stands_between_the_markers_alone(
    bench: Bench, omni: Path, land: Land, tmp_path: Path
) -> None:
    db = land(row())
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- published:other -->\nkeep\n<!-- /published -->\n<!-- published:omni -->\nold\n<!-- /published -->\nafter\n"
    )
    assert "updated" in bench("reproduction", "--suite", omni, "--db", db, "--update", page)
    once = page.read_text()
    assert once.startswith("before\n<!-- published:other -->\nkeep\n<!-- /published -->\n<!-- published:omni -->\n")
    assert once.endswith("<!-- /published -->\nafter\n")
    assert "old" not in once.splitlines()
    assert bench("reproduction", "--suite", omni, "--db", db, "--format", "markdown") in once
    bench("reproduction", "--suite", omni, "--db", db, "--update", page)
    assert page.read_text() == once
    page.write_text("no markers")
    bench("reproduction", "--suite", omni, "--db", db, "--update", page, raises=InputError)
    assert page.read_text() == "no markers"


def test_generated_splits_are_refused(bench: Bench, suite_file: Path, land: Land) -> None:
    bench("reproduction", "--suite", suite_file, "--db", land({}), raises=InputError)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--task", "omni-5w1"], UnknownNameError),
        (["--method", "mamel"], UnknownNameError),
        (["--preset", "paper"], InputError),
        (["--format", "xml"], InputError),
        (["--update", "no_such_file.md"], InputError),
    ],
)
def test_wrong_input(bench: Bench, omni: Path, land: Land, options: list[str], error: type[InputError]) -> None:
    bench("reproduction", "--suite", omni, "--db", land(row()), *options, raises=error)


def test_no_results_and_no_figures(bench: Bench, omni: Path, land: Land, tmp_path: Path) -> None:
    bench("reproduction", "--suite", omni, "--db", tmp_path / "none.duckdb", raises=InputError)
    bench("reproduction", "--suite", omni, "--db", land(row(method="pixel_nn")), raises=InputError)


def test_a_card_with_per_cents_is_refused() -> None:
    facts: dict[str, Any] = {
        "name": "m",
        "track": "fewshot",
        "title": "M",
        "summary": "",
        "paper": "",
        "url": "",
        "year": 1,
    }
    assert MethodCard(**facts, published={"a": 0.987}).to_dict()["published"] == {"a": 0.987}
    with pytest.raises(ValueError, match="expected an accuracy"):
        MethodCard(**facts, published={"a": 98.7})


def test_the_cards_figures_are_of_tasks_that_exist() -> None:
    from benchbench.suite_files import find_suite, list_suites

    suites = [s for s in map(find_suite, list_suites()) if not s.generated_splits]
    tasks = {t.name for s in suites for t in s.tasks}
    cited = {t for e in registry._scan("").values() for t in e.card.published}
    assert sorted(cited - tasks) == []
