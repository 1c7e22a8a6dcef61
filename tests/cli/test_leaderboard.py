"""`bench leaderboard` on a real database: what counts, what is said, every format."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.errors import InputError, UnknownNameError
from benchbench.results.store import Store
from benchbench.stats.intervals import t_quantile

Bench = Callable[..., str]
Land = Callable[..., Path]


def board(bench: Bench, suite: Path, db: Path, *options: str) -> dict[tuple[str, str | None], dict[str, Any]]:
    rows = json.loads(bench("leaderboard", "--suite", suite, "--db", db, "--format", "json", *options))
    return {(r["method"], r["task"]): r for r in rows}


def test_json_has_the_promised_keys_and_figures(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({}, {"method": "pixel_nn", "scores": [0.1, 0.3]}, {"task": "waves", "scores": [-3.0, -3.0]})
    rows = board(bench, suite_file, db)
    row = rows["maml", "letters"]
    assert row["score"] == pytest.approx(0.55)
    assert row["ci95"] == pytest.approx(t_quantile(3) * (0.05 / 3) ** 0.5 / 2)
    assert (row["rank"], row["n"], row["unit"], row["n_ok"], row["n_failed"]) == (1.0, 4, "episode", 1, 0)
    assert (row["seconds"], row["metric"], row["preset"], row["suite_version"]) == (2.0, "accuracy", "quick", "1")
    whole = rows["maml", None]
    assert whole["score"] == pytest.approx((0.7 + 0.5) / 2)
    assert (whole["rank"], whole["n_tasks"], whole["n_tasks_ok"], whole["n"]) == (1.0, 2, 2, 6)
    assert rows["pixel_nn", None]["n_tasks_ok"] == 1


def test_of_a_trial_the_newest_attempt_counts_that_was_not_lost(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({"scores": [0.1, 0.1]}, {"scores": [0.9, 0.9]}, {"outcome": "infra"})
    row = board(bench, suite_file, db)["maml", "letters"]
    assert (row["score"], row["n_ok"], row["n_lost"]) == (0.9, 1, 0)


def test_a_trial_that_was_only_ever_lost_is_said(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({"outcome": "infra"}, {"method": "pixel_nn"})
    row = board(bench, suite_file, db)["maml", "letters"]
    assert (row["score"], row["n_ok"], row["n_lost"], row["n_imputed"]) == (None, 0, 1, 0)
    assert "lost with their workers" in bench("leaderboard", "--suite", suite_file, "--db", db)


def test_results_of_an_older_source_are_left_out_and_said(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        {"scores": [0.9, 0.9]},
        {"scores": [0.8, 0.8], "seed": 1},
        {"scores": [0.5, 0.5], "adapter_source_hash": "source-2"},
        {"scores": [0.7, 0.7], "preset": "long"},
    )
    row = board(bench, suite_file, db, "--preset", "quick")["maml", "letters"]
    assert (row["score"], row["n_seeds"]) == (0.5, 1)
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--preset", "quick")
    assert "left out: 1 trial of maml from an older source of the adapter" in text
    # the longer preset was measured with the older source alone, and keeps its board
    assert board(bench, suite_file, db, "--preset", "long")["maml", "letters"]["score"] == pytest.approx(0.7)


def test_what_has_landed_and_what_is_folded_in_give_one_board(bench: Bench, suite_file: Path, land: Land) -> None:
    land({"scores": [0.9, 0.7]}, {"task": "waves", "scores": [-1.0, -2.0]})
    Store(land()).ingest()
    db = land({"method": "pixel_nn"})
    before = board(bench, suite_file, db)
    assert ("pixel_nn", "letters") in before
    assert ("maml", "waves") in before
    Store(db).ingest()
    assert board(bench, suite_file, db) == before


def test_presets_are_never_mixed_and_the_other_is_named(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({"preset": "long", "scores": [0.9, 0.9]}, {"scores": [0.5, 0.5]})
    assert board(bench, suite_file, db)["maml", "letters"]["score"] == 0.5
    assert board(bench, suite_file, db, "--preset", "long")["maml", "letters"]["score"] == 0.9
    text = bench("leaderboard", "--suite", suite_file, "--db", db)
    other = "1 trial of suite version 1, protocol 3, preset long, 4 test units, 1 thread, cpu: --preset long"
    assert f"- left out: {other}\n" in text


@pytest.mark.parametrize("option", [["--preset", "bogus"], ["--device", "tpu"], ["--threads", "7"]])
def test_options_that_no_result_fits_are_an_error(
    bench: Bench, suite_file: Path, land: Land, option: list[str]
) -> None:
    """Guards against a script that takes a misspelt preset for an empty database."""
    from typer.testing import CliRunner

    from benchbench.cli.main import app

    db = land({"preset": "long"}, {})
    for more in ([], ["--format", "json"], ["--stat", "elo"]):
        command = ["leaderboard", "--suite", str(suite_file), "--db", str(db), *option, *more]
        error = CliRunner().invoke(app, command).exception
        assert isinstance(error, InputError)
        assert "no results of suite pair match the options" in str(error)
        for preset in ("long", "quick"):
            assert f"--preset {preset} --device cpu --threads 1" in str(error)
    # a database without results of the suite is none
    bench("leaderboard", "--suite", suite_file, "--db", land({"suite": "another"}, name="none"), *option)


def test_a_negative_number_of_threads_is_refused(bench: Bench, suite_file: Path, land: Land) -> None:
    bench("leaderboard", "--suite", suite_file, "--db", land({}), "--threads", "-1", raises=InputError)


def test_the_options_of_a_run_with_other_threads_find_its_board(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({"scores": [0.5, 0.5], "threads": 2}, {"preset": "quick,threads=1", "scores": [0.9, 0.9]})
    for options, score in (
        (["--preset", "quick"], 0.5),
        (["--preset", "quick", "--threads", "2"], 0.5),
        (["--preset", "quick", "--threads", "1"], 0.9),
        (["--preset", "quick,threads=1"], 0.9),
    ):
        assert board(bench, suite_file, db, *options)["maml", "letters"]["score"] == score
    bench("leaderboard", "--suite", suite_file, "--db", db, "--preset", "quick", "--threads", "4", raises=InputError)
    # the plain name comes first, though the other is newer
    land({"scores": [0.7, 0.7]}, {"preset": "quick,threads=1", "scores": [0.9, 0.9], "seed": 1})
    assert board(bench, suite_file, db, "--preset", "quick", "--threads", "1")["maml", "letters"]["score"] == 0.7


def test_failures_are_imputed_shown_and_counted(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({"outcome": "timeout"}, {"method": "pixel_nn", "scores": [0.1, 0.3]}, {"method": "protonet"})
    row = board(bench, suite_file, db)["maml", "letters"]
    assert (row["score"], row["n_failed"], row["n_imputed"], row["ci95"]) == (0.2, 1, 1, None)
    text = bench("leaderboard", "--suite", suite_file, "--db", db)
    assert "imputed by policy `baseline`" in text
    assert re.search(r"maml .* imputed", text)
    assert board(bench, suite_file, db, "--impute", "none")["maml", "letters"]["score"] is None
    with_one = board(bench, suite_file, db, "--impute", "worst", "--method", "maml,protonet")
    # the worst of all methods, not only of those shown
    assert with_one["maml", "letters"]["score"] == pytest.approx(0.2)


def test_a_method_that_only_failed_is_marked_as_no_result(bench: Bench, suite_file: Path, land: Land) -> None:
    """Guards against a crashed method that stands above others as if it had been measured."""
    db = land(
        {"method": "protonet", "scores": [0.1, 0.1]},
        {"method": "protonet", "task": "waves", "scores": [-5.0, -5.0]},
        {"outcome": "failed"},
        {"outcome": "failed", "task": "waves"},
        {"method": "mann", "outcome": "failed"},
        {"method": "mann", "task": "waves", "scores": [-5.5, -5.5]},
    )
    for options in ([], ["--stat", "elo"], ["--format", "md"]):
        text = bench("leaderboard", "--suite", suite_file, "--db", db, *options)
        (row,) = [line for line in text.replace("|", " ").splitlines() if line.split()[1:2] == ["maml"]][:1]
        assert row.split()[0] == "-"
        assert "all" in row.split()
        assert "not ranked: every trial failed" in row
        assert "not ranked, since every trial failed: maml" in text
    ranks = {m: r["rank"] for (m, task), r in board(bench, suite_file, db).items() if task is None}
    assert ranks == {"maml": None, "mann": 1.5, "protonet": 1.5}


def test_the_table_says_what_its_figures_are(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        {"transductive": True},
        {"method": "protonet", "params": {"n_way": 30}},
        {"method": "protonet", "params": {"n_way": 30}, "task": "waves", "outcome": "declined"},
    )
    text = bench("leaderboard", "--suite", suite_file, "--db", db)
    assert "A pair of tasks (suite pair 1)" in text
    assert "protocol 3, preset quick, 4 test units, 1 thread, cpu" in text
    assert "all splits were generated by this project: do not compare with published results" in text
    assert "maml (t)" in text
    assert "(t) transductive" in text
    assert "protonet(n_way=30)" in text
    assert "1 declined" in text
    assert "given this training (one seed)" in text
    assert "0 = pixel_nn, 1 = maml, frozen in the suite file; by hand" in text
    assert "which have no reference" not in text
    suite_file.write_text(suite_file.read_text().replace("reference_score = -2.0\n", ""))
    text = bench("leaderboard", "--suite", suite_file, "--db", db)
    assert "by hand; without waves, which have no reference above the baseline" in " ".join(text.split())


def test_csv_and_markdown_hold_the_same_rows(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({}, {"method": "pixel_nn", "scores": [0.1, 0.3]}, {"task": "waves", "scores": [-3.0, -3.0]})
    rows = board(bench, suite_file, db)
    read = list(csv.DictReader(io.StringIO(bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "csv"))))
    assert [(r["method"], r["task"] or None) for r in read] == list(rows)
    assert float(read[0]["score"]) == rows["maml", None]["score"]
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "md")
    assert "### letters (accuracy)" in text
    assert re.search(r"^\| 1 \| maml \| 0\.5500 \|", text, re.MULTILINE)
    assert r"| 2 | pixel\_nn | 0.2000 |" in text


def test_tasks_and_methods_restrict_the_board(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({}, {"method": "pixel_nn"}, {"task": "waves", "scores": [-3.0, -3.0]})
    assert list(board(bench, suite_file, db, "--task", "waves")) == [("maml", None), ("maml", "waves")]
    assert {m for m, _ in board(bench, suite_file, db, "--method", "pixel_nn")} == {"pixel_nn"}


def test_no_results_yet(bench: Bench, suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert json.loads(bench("leaderboard", "--suite", suite_file, "--format", "json")) == []
    assert "bench run --suite pair" in bench("leaderboard", "--suite", suite_file)
    assert not (tmp_path / ".benchbench").exists()
    # a path that was named is most likely mistyped
    bench("leaderboard", "--suite", suite_file, "--db", tmp_path / "none.duckdb", raises=InputError)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--task", "leters"], UnknownNameError),
        (["--method", "mamel"], UnknownNameError),
        (["--impute", "mean"], InputError),
        (["--format", "xml"], InputError),
    ],
)
def test_wrong_input(
    bench: Bench, suite_file: Path, land: Land, options: list[str], error: type[BaseException]
) -> None:
    bench("leaderboard", "--suite", suite_file, "--db", land({}), *options, raises=error)


@pytest.mark.parametrize("what", ["suite", "database"])
def test_errors_of_the_command_itself(suite_file: Path, tmp_path: Path, what: str) -> None:
    rubbish = tmp_path / "rubbish.duckdb"
    rubbish.write_text("this is no database, though it is long enough to be one\n" * 100)
    Store(tmp_path / "x.duckdb").open_for_writing()
    suite, db = ("fewshoot", tmp_path / "x.duckdb") if what == "suite" else (str(suite_file), rubbish)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchbench", "leaderboard", "--suite", suite, "--db", str(db)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert ("did you mean 'fewshot'?" if what == "suite" else "is not a DuckDB database") in done.stderr


def test_seconds_that_another_trial_spent_are_marked(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        {"seconds": 30.0, "metrics": {"shared_seconds": 25.0}},
        {"seed": 1, "seconds": 32.0, "metrics": {"shared_seconds": 0.0}},
        {"task": "waves", "scores": [-3.0, -3.0], "seconds": 10.0, "metrics": {"shared_seconds": 8.0}},
        {"method": "pixel_nn", "metrics": {"log_loss": 1.0}},
    )
    rows = board(bench, suite_file, db)
    row = rows["maml", "letters"]
    assert (row["seconds"], row["n_shared"], row["shared_seconds"]) == (31.0, 1, 12.5)
    assert (rows["maml", None]["n_shared"], rows["maml", None]["shared_seconds"]) == (2, 20.5)
    assert (rows["pixel_nn", "letters"]["n_shared"], rows["pixel_nn", "letters"]["shared_seconds"]) == (0, 0.0)
    text = bench("leaderboard", "--suite", suite_file, "--db", db)
    assert re.search(r"maml .* 31\.0  training shared \(1 of 2 trials\)", text)
    assert re.search(r"maml .* 10\.0  training shared\n", text)
    assert not re.search(r"pixel_nn .* shared", text)
    assert "training shared: the seconds include meta-training that another trial did, once" in text
    assert "shared" not in bench("leaderboard", "--suite", suite_file, "--db", db, "--method", "pixel_nn")


def test_splits_that_were_made_here_are_named_by_task(bench: Bench, suite_file: Path, land: Land) -> None:
    suite_file.write_text(suite_file.read_text().replace("generated_splits = true", ""))
    db = land({"task": "letters", "task_fingerprint": "abc-generated"}, {"task": "waves", "task_fingerprint": "def"})
    text = bench("leaderboard", "--suite", suite_file, "--db", db)
    assert "splits of letters were generated by this project: do not compare with published results" in text
    found = json.loads(bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "json"))
    assert {row["task"]: row["generated_splits"] for row in found} == {None: True, "letters": True, "waves": False}
    both = land({"task": "waves", "task_fingerprint": "def"}, name="official")
    assert "generated" not in bench("leaderboard", "--suite", suite_file, "--db", both)


def test_notes_are_of_the_tables_shown(bench: Bench, suite_file: Path, land: Land) -> None:
    """Guards against explaining a score of the whole suite, or a ±, that no table has."""
    db = land({}, {"task": "waves", "scores": [-3.0, -2.0]}, {"method": "mann", "scores": [0.5]})
    text = bench("leaderboard", "--suite", suite_file, "--db", db)
    assert "whole-suite score" in text
    assert "± is the half-width" in text
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--task", "letters", "--method", "mann")
    assert "0.5000" in text
    assert "whole-suite score" not in text
    assert "±" not in text


@pytest.mark.parametrize("by", ["suite", "dataset"])
def test_a_task_on_which_everything_was_imputed_has_scores(bench: Bench, suite_file: Path, land: Land, by: str) -> None:
    options = [] if by == "suite" else ["--by", "dataset"]
    db = land({"outcome": "timeout", "metric": ""}, {"method": "mann", "outcome": "declined", "metric": ""})
    text = bench("leaderboard", "--suite", suite_file, "--db", db, *options)
    assert "letters (all imputed)" in text
    assert "0.2000" in text
    assert "(no score)" not in text
    assert "letters (no score)" in bench("leaderboard", "--suite", suite_file, "--db", db, "--impute", "none", *options)
