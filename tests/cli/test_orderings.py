"""`bench orderings` on a real database: verdicts, what is said, exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from benchbench.cli.orderings import orderings
from benchbench.errors import GateFailed, InputError

Bench = Callable[..., str]
Land = Callable[..., Path]

ORDERINGS = """
[[orderings]]
above = ["maml", "protonet"]
below = ["pixel_nn"]
tasks = ["letters"]
why = "Paper 2016, table 1"
[[orderings]]
above = ["reptile"]
below = ["maml"]
tasks = ["letters"]
at_least = true
why = "Paper 2018, table 2"
"""
# known means: maml 0.62, pixel_nn 0.42
MAML, PIXELS = [0.5, 0.6, 0.6, 0.78], [0.31, 0.39, 0.41, 0.57]


@pytest.fixture
def ordered(suite_file: Path) -> Path:
    suite_file.write_text(suite_file.read_text() + ORDERINGS)
    return suite_file


def good(**changes: Any) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {
        "maml": {"scores": MAML},
        "protonet": {"scores": [s + 0.01 for s in MAML]},
        "pixel_nn": {"scores": PIXELS},
        "reptile": {"scores": [0.52, 0.59, 0.58, 0.79]},
    }
    return [{"method": m, **(changes.get(m) or row)} for m, row in rows.items() if changes.get(m, row) is not None]


def findings(
    bench: Bench, suite: Path, db: Path, *options: str, raises: type[BaseException] | None = None
) -> dict[str, dict[str, Any]]:
    text = bench("orderings", "--suite", suite, "--db", db, "--format", "json", *options, raises=raises)
    return {f"{r['above']} {r['below']}": r for r in json.loads(text)}


def test_what_holds(bench: Bench, ordered: Path, land: Land) -> None:
    db = land(*good())
    found = findings(bench, ordered, db)
    assert {key: f["verdict"] for key, f in found.items()} == {
        "maml pixel_nn": "holds",
        "protonet pixel_nn": "holds",
        # the interval includes 0, and that is enough for "not lower"
        "reptile maml": "holds",
    }
    maml = found["maml pixel_nn"]
    low, high = stats.ttest_rel(MAML, PIXELS).confidence_interval(0.95)
    assert (maml["above_score"], maml["below_score"]) == pytest.approx((0.62, 0.42))
    assert (maml["difference"], maml["ci95"]) == pytest.approx(((low + high) / 2, (high - low) / 2))
    assert (maml["n"], maml["unit"], maml["seeds_won"], maml["n_seeds"], maml["seed_ci95"]) == (
        4,
        "episode",
        1,
        1,
        None,
    )
    assert (maml["task"], maml["why"], maml["preset"], maml["protocol_version"]) == (
        "letters",
        "Paper 2016, table 1",
        "quick",
        "3",
    )
    text = bench("orderings", "--suite", ordered, "--db", db)
    assert "3 of 3 hold, 0 not shown, 0 violated, 0 missing\n" in text
    assert "reptile ≥ maml" in text
    assert "± seeds" not in text


def test_over_several_tasks(bench: Bench, suite_file: Path, land: Land) -> None:
    suite_file.write_text(suite_file.read_text() + '[[orderings]]\nabove = ["maml"]\nbelow = ["pixel_nn"]\n')
    near = [s + d for s, d in zip(PIXELS, (0.01, -0.02, 0.03, 0.0), strict=True)]
    db = land(
        {"scores": MAML},
        {"method": "pixel_nn", "scores": PIXELS},
        {"scores": near, "task": "waves"},
        {"method": "pixel_nn", "scores": PIXELS, "task": "waves"},
    )
    options = ["orderings", "--suite", suite_file, "--db", db]
    # a task that does not show it is still what the exit code goes by
    records = json.loads(bench(*options, "--format", "json", raises=GateFailed))
    assert [(r["task"], r["over"], r["verdict"]) for r in records] == [
        ("waves", [], "not shown"),
        ("letters", [], "holds"),
        (None, ["letters", "waves"], "holds"),
    ]
    assert records[2]["difference"] == pytest.approx(sum(r["difference"] for r in records[:2]) / 2)
    text = bench(*options, raises=GateFailed)
    assert "1 of 2 hold, 1 not shown" in text
    assert re.search(r"over several tasks\n.*\n.*\nholds +maml > pixel_nn +2 tasks .*\n\n1 of 1 hold", text)
    rows = list(csv.DictReader(io.StringIO(bench(*options, "--format", "csv", raises=GateFailed))))
    assert [row["task"] for row in rows] == ["waves", "letters", ""]
    assert "### Over several tasks\n\n| verdict" in bench(*options, "--format", "md", raises=GateFailed)


def test_not_shown_and_violated_fail_and_stand_first(bench: Bench, ordered: Path, land: Land) -> None:
    near = {"scores": [0.3, 0.4, 0.4, 0.58]}
    db = land(*good(maml=near, reptile={"scores": [s - 0.1 for s in (0.3, 0.41, 0.39, 0.58)]}))
    found = findings(bench, ordered, db, raises=GateFailed)
    assert [(key, f["verdict"]) for key, f in found.items()] == [
        ("reptile maml", "violated"),
        ("maml pixel_nn", "not shown"),
        ("protonet pixel_nn", "holds"),
    ]
    text = bench("orderings", "--suite", ordered, "--db", db, raises=GateFailed)
    assert "1 of 3 hold, 1 not shown, 1 violated, 0 missing" in text
    assert "1 violated, although reported by: Paper 2018, table 2" in text
    assert "1 not shown, although reported by: Paper 2016, table 1" in text
    assert GateFailed.exit_code == 3


def test_a_strict_ordering_the_other_way_round_is_violated(bench: Bench, ordered: Path, land: Land) -> None:
    db = land(*good(protonet={"scores": [s - 0.2 for s in PIXELS]}))
    assert findings(bench, ordered, db, raises=GateFailed)["protonet pixel_nn"]["verdict"] == "violated"


def test_missing_and_declined_are_listed_and_fail_only_when_strict(bench: Bench, ordered: Path, land: Land) -> None:
    db = land(*good(reptile={"outcome": "declined"}, protonet={"outcome": "failed", "error_message": "no memory"}))
    found = findings(bench, ordered, db)
    assert {key: f["verdict"] for key, f in found.items()} == {
        "maml pixel_nn": "holds",
        "protonet pixel_nn": "missing",
        "reptile maml": "declined",
    }
    assert found["protonet pixel_nn"]["reason"] == "protonet: failed: no memory"
    text = bench("orderings", "--suite", ordered, "--db", db, "--strict", raises=GateFailed)
    assert "1 of 3 hold, 0 not shown, 0 violated, 1 missing, 1 declined" in text
    # what a method declines can never be shown
    declined = land(*good(reptile={"outcome": "declined"}), name="declined")
    bench("orderings", "--suite", ordered, "--db", declined, "--strict")


def test_several_seeds_give_two_intervals(bench: Bench, ordered: Path, land: Land) -> None:
    shifts = {0: 0.0, 1: 0.05, 2: -0.3}
    db = land(
        *({"seed": seed, "scores": [s + shift for s in MAML]} for seed, shift in shifts.items()),
        *({"method": "pixel_nn", "seed": seed, "scores": PIXELS} for seed in (0, 1, 2, 3)),
    )
    maml = findings(bench, ordered, db)["maml pixel_nn"]
    # the verdict is that of the interval over episodes, given these trainings; that over seeds includes 0 here
    assert (maml["verdict"], maml["seed_ci95"] > maml["difference"]) == ("holds", True)
    means = [0.2 + shift for shift in shifts.values()]
    low, high = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    assert (maml["difference"], maml["seed_ci95"]) == pytest.approx(((low + high) / 2, (high - low) / 2))
    low, high = stats.ttest_rel([s - 0.25 / 3 for s in MAML], PIXELS).confidence_interval(0.95)
    assert (maml["difference"], maml["ci95"]) == pytest.approx(((low + high) / 2, (high - low) / 2))
    assert (maml["seeds_won"], maml["n_seeds"], maml["n"]) == (2, 3, 4)
    assert maml["reason"] == "without seed 3: not of both"
    text = bench("orderings", "--suite", ordered, "--db", db)
    assert "2/3" in text
    assert "± seeds: half-width" in text
    assert findings(bench, ordered, db, "--seeds", "0,1")["maml pixel_nn"]["n_seeds"] == 2


def test_only_comparable_results_are_paired(bench: Bench, ordered: Path, land: Land) -> None:
    lower = {"scores": [0.0, 0.0, 0.0, 0.1]}
    db = land(
        {**lower, "task_fingerprint": "data-0", "seed": 1},
        {**lower, "protocol_version": "2", "seed": 2},
        {**lower, "threads": 2},
        {**lower, "device": "cuda"},
        {**lower, "params": {"inner_lr": 0.1}},
        {**lower, "preset": "long"},
        {**lower, "adapter_source_hash": "source-0", "seed": 3},
        *good(),
    )
    assert findings(bench, ordered, db)["maml pixel_nn"]["n_seeds"] == 1
    text = bench("orderings", "--suite", ordered, "--db", db)
    assert "not compared, since orderings concern default parameters: maml(inner_lr=0.1)" in text
    assert "left out: 1 trial of suite version 1, protocol 3, preset long" in text
    found = findings(bench, ordered, db, "--preset", "long", raises=InputError)
    assert {f["verdict"] for f in found.values()} == {"missing"}
    assert findings(bench, ordered, db, "--threads", "2", raises=InputError).keys() == found.keys()


def test_csv_and_markdown_hold_the_same(bench: Bench, ordered: Path, land: Land) -> None:
    db = land(*good())
    found = findings(bench, ordered, db)
    read = list(csv.DictReader(io.StringIO(bench("orderings", "--suite", ordered, "--db", db, "--format", "csv"))))
    assert [float(r["difference"]) for r in read] == [f["difference"] for f in found.values()]
    text = bench("orderings", "--suite", ordered, "--db", db, "--format", "markdown")
    assert "| holds | maml \\> pixel\\_nn | letters | 0.6200 | 0.4200 | +0.2000 |" in text


@pytest.mark.parametrize(
    "options", [["--seeds", "one"], ["--seeds", "7"], ["--preset", "paper"], ["--format", "xml"], ["--device", "cuda"]]
)
def test_wrong_input(bench: Bench, ordered: Path, land: Land, options: list[str]) -> None:
    bench("orderings", "--suite", ordered, "--db", land(*good()), *options, raises=InputError)


def test_nothing_to_check(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    db = land(*good())
    bench("orderings", "--suite", suite_file, "--db", db, raises=InputError)
    suite_file.write_text(suite_file.read_text() + ORDERINGS)
    bench("orderings", "--suite", suite_file, "--db", tmp_path / "none.duckdb", raises=InputError)
    other = land({"method": "siamese"}, name="other")
    bench("orderings", "--suite", suite_file, "--db", other, raises=InputError)


def test_an_ordering_without_tasks_is_of_all(bench: Bench, ordered: Path, land: Land) -> None:
    ordered.write_text(ordered.read_text() + '[[orderings]]\nabove = ["maml"]\nbelow = ["siamese"]\n')
    text = bench("orderings", "--suite", ordered, "--db", land(*good()), "--strict", raises=GateFailed)
    assert text.count("maml > siamese") == 2
    assert "3 of 5 hold, 0 not shown, 0 violated, 2 missing" in text


def test_what_was_not_run_is_counted_and_listed_only_when_strict(bench: Bench, ordered: Path, land: Land) -> None:
    db = land(*good(reptile=None))
    assert findings(bench, ordered, db)["reptile maml"]["reason"] == "no result of reptile"
    text = bench("orderings", "--suite", ordered, "--db", db)
    assert "2 of 3 hold, 0 not shown, 0 violated, 1 missing" in text
    assert "1 of the missing orderings, on 1 task, are not listed: a method was not run" in text
    assert "no result of reptile" not in text
    strict = bench("orderings", "--suite", ordered, "--db", db, "--strict", raises=GateFailed)
    assert "no result of reptile" in strict
    assert "not listed" not in strict


def test_that_nothing_could_be_checked_is_an_error_after_the_report(bench: Bench, ordered: Path, land: Land) -> None:
    db = land(*good(maml=None, protonet=None, reptile=None))
    assert "cpu\n\n0 of 3 hold" in bench("orderings", "--suite", ordered, "--db", db, raises=InputError)
    found = findings(bench, ordered, db, raises=InputError)
    assert [f["verdict"] for f in found.values()] == ["missing"] * 3
    with pytest.raises(InputError, match=r"^none of the 3 orderings of suite 'pair' could be checked"):
        orderings(str(ordered), db=db)
    # what is missing fails where that was asked for
    bench("orderings", "--suite", ordered, "--db", db, "--strict", raises=GateFailed)
    # nothing was checked of what is declined either
    declined = land(*({"method": m, "outcome": "declined"} for m in ("maml", "pixel_nn")), name="declined")
    bench("orderings", "--suite", ordered, "--db", declined, raises=InputError)
