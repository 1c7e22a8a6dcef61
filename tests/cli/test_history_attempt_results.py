"""`bench history`, `bench attempt` and `bench results`, on a real database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchbench.cli.main import app
from benchbench.errors import InputError, UnknownNameError
from benchbench.records import Attempt, CurvePoint, PreparationRecord, RunRecord
from benchbench.results.store import Store


@pytest.fixture
def attempt(make_attempt: Callable[..., Attempt]) -> Callable[..., Attempt]:
    """Make attempts by their ids."""

    def make(attempt_id: str, **changes: Any) -> Attempt:
        values: dict[str, Any] = {
            "attempt_id": attempt_id, "run_id": "20260101-a", "trial_id": attempt_id, "task_fingerprint": "f",
            "protocol_version": "1", "params": {"lr": 0.5}, "seed": 3, "budget": {"test_units": 2}, "unit_scores": [0.5, 1.0],
            "curve": [CurvePoint(10, 1.5, "loss", float("nan"))], "phases": {"adapt": 0.125}, "seconds": 0.0,
            "wall_seconds": 0.0, "environment": {"torch": "2.13.0"}, "environment_hash": "e", "started_at": 60.0,
            "hardware_class": "", "adapter_source_hash": "", "metric": "accuracy",
        }  # fmt: skip
        return make_attempt(0, **{**values, **changes})

    return make


@pytest.fixture
def db(tmp_path: Path, attempt: Callable[..., Attempt]) -> Path:
    """Return a database of one ended run, with one failure, and one run that still runs."""
    store = Store(tmp_path / "results.duckdb")
    store.open_for_writing()
    store.land_run(
        RunRecord(run_id="20260101-a", suite="tiny", preset="quick", command="bench run --suite tiny", started_at=60.0,
                  ended_at=95.0, n_trials=3, state="finished", host="here")
    )  # fmt: skip
    store.land_run(
        RunRecord(run_id="20260102-b", suite="tiny", preset="paper", command="", started_at=120.0, n_trials=9)
    )
    failed = attempt(
        "ab12ffffffffff", outcome="failed", score=None, unit_scores=[], curve=[], n_units=0, method="broken", params={},
        error_type="ValueError", error_message="no\nway", traceback="Traceback ...\nValueError: no\nway",
    )  # fmt: skip
    store.land_attempts([attempt("ab34ffffffffff"), failed])
    return store.path


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def lines_of(*arguments: object) -> list[str]:
    result = bench(*arguments)
    assert result.exception is None
    return result.stdout.splitlines()


def test_runs_are_listed_newest_first(db: Path) -> None:
    lines = lines_of("history", "--db", db)
    assert [line.split()[0] for line in lines[2:]] == ["20260102-b", "20260101-a"]
    assert "1970-01-01 00:01:00" in lines[3]
    assert "1 ok, 1 failed of 3" in lines[3]
    assert "none of 9" in lines[2]
    rows = json.loads(bench("history", "--db", db, "--format", "json").stdout)
    assert rows[1]["outcomes"] == {"ok": 1, "failed": 1}
    assert len(json.loads(bench("history", "--db", db, "--limit", 1, "--format", "json").stdout)) == 1


def test_a_run_of_which_nothing_was_heard_may_have_been_killed(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stayed "running" for ever; the dashboard said that it was quiet."""
    killed, ended = json.loads(bench("history", "--db", db, "--format", "json").stdout)
    assert (killed["state"], killed["is_quiet"], ended["is_quiet"]) == ("running", False, False)
    assert "killed" not in bench("history", "--db", db).stdout
    # the record was made just now
    now = killed["last_sign"] + 3 * 86_400.0
    monkeypatch.setattr("benchbench.cli.history.time.time", lambda: now)
    text = bench("history", "--db", db).stdout
    assert "running? nothing heard for 3 days 0 h" in text
    assert "may have been killed. Finished trials are recorded; run the same command for the rest" in text
    killed, ended = json.loads(bench("history", "--db", db, "--format", "json").stdout)
    assert (killed["state"], killed["is_quiet"], ended["is_quiet"]) == ("running", True, False)


def test_the_attempts_of_a_run(db: Path) -> None:
    lines = lines_of("history", "20260101", "--db", db)
    assert lines[:2] == ["suite tiny, preset quick, threads 1, device cpu, protocol 1", ""]
    lines = lines[2:]
    assert len(lines) == 4
    failed = next(line for line in lines if "broken" in line)
    assert "ValueError: no" in failed
    assert "way" not in failed
    scored = next(line for line in lines if "maml" in line)
    # of the units 0.5 and 1.0: Student's t of one degree of freedom, 12.7062, times 0.353553 / sqrt(2)
    assert scored.split()[1:] == [
        "maml(lr=0.5)",
        "letters",
        "3",
        "1",
        "ok",
        "accuracy",
        "0.7500",
        "3.1766",
        "2",
        "episodes",
        "0.0",
    ]
    assert lines[0].split()[6:] == ["metric", "score", "±", "95", "%", "n", "seconds", "error"]
    found = json.loads(bench("history", "20260101", "--db", db, "--format", "json").stdout)
    rows = {r["method"]: r for r in found["attempts"]}
    assert rows["maml"]["params"] == {"lr": 0.5}
    assert (rows["maml"]["metric"], rows["maml"]["n_units"], rows["maml"]["unit"]) == ("accuracy", 2, "episode")
    assert rows["maml"]["ci95"] == pytest.approx(3.1766, abs=1e-4)
    assert (rows["broken"]["params"], rows["broken"]["ci95"]) == ({}, None)
    names = ("suite", "suite_version", "protocol_version", "preset", "threads", "device")
    assert [rows["maml"][name] for name in names] == ["tiny", "1", "1", "quick", 1, "cpu"]
    assert isinstance(bench("history", "2026", "--db", db).exception, InputError)
    assert isinstance(bench("history", "x", "--db", db).exception, InputError)


def test_attempts_of_a_run_say_the_conditions_that_they_differ_in(db: Path, attempt: Callable[..., Attempt]) -> None:
    """As those of imported results do, where one run holds several suites."""
    Store(db).land_attempts([attempt("cd", suite="other", preset="long", threads=2)])
    lines = lines_of("history", "20260101", "--db", db)
    assert lines[0] == "device cpu, protocol 1"
    assert lines[2].split()[:7] == ["attempt", "method", "task", "suite", "preset", "threads", "seed"]
    assert next(line for line in lines if line.startswith("cd")).split()[3:6] == ["other", "long", "2"]
    # one without attempts differs in nothing
    assert lines_of("history", "20260102", "--db", db)[0].split()[:4] == ["attempt", "method", "task", "seed"]


def test_a_narrow_terminal_goes_without_columns_but_never_without_the_metric(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchbench.cli.history._columns", lambda: 80)
    lines = lines_of("history", "20260101", "--db", db)
    assert lines[2].split()[:5] == ["attempt", "method", "task", "outcome", "metric"]
    assert any("accuracy" in line and "2 episodes" in line for line in lines)


def test_show_says_everything(db: Path) -> None:
    text = bench("attempt", "ab34", "--db", db).stdout
    for part in ("maml", "lr 0.5", "adapt 0.125", "torch 2.13.0", "2 episodes", "step      10", "1970-01-01 00:01:00"):
        assert part in text
    assert "Traceback ...\nValueError: no\nway" in bench("attempt", "ab12", "--db", db).stdout


def test_show_as_json_is_json_even_with_nan(db: Path) -> None:
    text = bench("attempt", "ab34", "--db", db, "--format", "json").stdout

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(text, parse_constant=refuse)
    assert found["curve"] == [{"step": 10, "seconds": 1.5, "metric": "loss", "value": None}]
    assert found["unit_scores"] == [0.5, 1.0]
    assert found["params"] == {"lr": 0.5}
    # as of `bench history`
    assert found["ci95"] == pytest.approx(3.1766, abs=1e-4)
    assert re.search(r"^score +0.75\n± 95 % +3\.176", bench("attempt", "ab34", "--db", db).stdout, re.MULTILINE)
    assert json.loads(bench("attempt", "ab12", "--db", db, "--format", "json").stdout)["ci95"] is None


def test_an_ambiguous_id_lists_what_it_may_be(db: Path) -> None:
    error = bench("attempt", "ab", "--db", db).exception
    assert isinstance(error, InputError)
    assert "ab12ffffffffff  broken on letters, failed" in str(error)
    assert "ab34ffffffffff  maml on letters, ok" in str(error)


def test_results_travel(db: Path, tmp_path: Path) -> None:
    folder, other = tmp_path / "export", tmp_path / "other.duckdb"
    assert lines_of("results", "export", folder, "--db", db) == [f"exported 2 attempts of 2 runs to {folder}"]
    assert lines_of("results", "import", folder, "--db", other) == [
        f"{folder}: 2 new attempts, 0 already known; stored in {other}"
    ]
    merged = json.loads(bench("results", "merge", folder, db, "--db", other, "--format", "json").stdout)
    assert [(m["n_new"], m["n_known"]) for m in merged] == [(0, 2), (0, 2)]
    assert lines_of("history", "--db", other) == lines_of("history", "--db", db)


def test_a_file_to_import_needs_a_format(db: Path, tmp_path: Path) -> None:
    (tmp_path / "ok.csv").write_text("method,task,score\n")
    other = tmp_path / "other.duckdb"
    for path in (tmp_path / "ok.csv", db):
        error = bench("results", "import", path, "--db", other).exception
        assert isinstance(error, InputError)
        assert f"{path} is a file; expected the folder of an export. Published results need --from" in str(error)
        assert f"bench results merge {path}" in str(error)
    assert "none.csv does not exist" in str(bench("results", "import", tmp_path / "none.csv", "--db", other).exception)
    assert not other.exists()


def test_export_of_an_unknown_suite(db: Path, tmp_path: Path) -> None:
    error = bench("results", "export", tmp_path / "e", "--suite", "tinny", "--db", db).exception
    assert isinstance(error, UnknownNameError)
    assert "did you mean 'tiny'?" in str(error)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    "arguments",
    [["history"], ["attempt", "ab"], ["results", "export", "{tmp}/e"], ["results", "import", "{tmp}/nothing"]],
)
def test_a_missing_database_or_export_is_bad_input_without_traceback(arguments: list[str], tmp_path: Path) -> None:
    command = [a.format(tmp=tmp_path) for a in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "benchbench", *command, "--db", str(tmp_path / "no.duckdb")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "no.duckdb").exists()


def test_a_foreign_file_is_refused_in_words_that_fit_commands_without_db(db: Path, tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("hello")
    for arguments in (
        ["regressions", tmp_path / "text.duckdb", db],
        ["results", "merge", tmp_path / "text.duckdb", "--db", db],
    ):
        error = bench(*arguments).exception
        assert isinstance(error, InputError)
        assert "text.duckdb is not a DuckDB database; give the path of a results database" in str(error)
        assert "--db" not in str(error)


READERS = [
    ["history"],
    ["attempt", "ab"],
    ["leaderboard", "--suite", "smoke"],
    ["leaderboard", "--suite", "all"],
    ["plot", "curves", "--suite", "smoke", "--format", "json"],
    ["versus", "maml", "protonet", "--suite", "smoke"],
    ["anytime", "--suite", "hpo"],
    ["reproduction", "--suite", "omniglot"],
    ["orderings", "--suite", "fewshot"],
    ["site", "site"],
    ["results", "export", "export"],
    ["dashboard"],
]


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_a_named_path_without_a_database_is_bad_input_of_every_command_that_reads(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("x")
    Path("folder").mkdir()
    wanted = {
        "": "give the path of a file",
        "/": "give the path of a file",
        "folder": "the results database folder is a folder; ",
        "mistyped.duckdb": "the results database mistyped.duckdb does not exist; ",
        "text/results.duckdb": "the results database text/results.duckdb does not exist: text is a file, not a folder; ",
    }
    for db, message in wanted.items():
        error = bench(*arguments, "--db", db).exception
        assert isinstance(error, InputError), (db, error)
        assert message in str(error)
    monkeypatch.setenv("BENCHBENCH_DB", "mistyped.duckdb")
    assert wanted["mistyped.duckdb"] in str(bench(*arguments).exception)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "text"]


def test_the_default_database_may_not_be_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lines_of("leaderboard", "--suite", "smoke") == [
        "No results of suite smoke yet. Record some with: bench run --suite smoke"
    ]
    assert lines_of("history") == ["No runs yet. Start one with: bench run --suite fewshot"]
    assert json.loads(bench("history", "--format", "json").stdout) == []
    Path(".benchbench/benchbench.duckdb").mkdir(parents=True)
    assert "is a folder" in str(bench("leaderboard", "--suite", "smoke").exception)


def test_texts_of_methods_do_not_reach_the_terminal_as_they_are(
    tmp_path: Path, attempt: Callable[..., Attempt]
) -> None:
    """They are stored as they are, all but lone surrogates, and shown with escapes."""
    odd = "a\x00b\x1b[31mc\u202ed"
    store = Store(tmp_path / "odd.duckdb")
    store.open_for_writing()
    store.land_run(RunRecord(run_id="20260101-a", suite="tiny", preset="quick", command="", started_at=60.0))
    changes = {
        "error_type": odd,
        "error_message": odd + "\ud800",
        "traceback": odd + "\nend",
        "log_tail": odd + "\nend",
    }
    failed = attempt(
        "ab12ffffffffff", outcome="failed", score=None, unit_scores=[], curve=[CurvePoint(1, 1.0, odd, 0.5)], n_units=0,
        metrics={odd: 1.0}, environment={odd: odd}, remarks=[odd], **changes,
    )  # fmt: skip
    store.land_attempts([failed])
    for command in (("attempt", "ab12"), ("history", "20260101-a")):
        shown = bench(*command, "--db", store.path)
        assert shown.exit_code == 0, shown.output
        assert r"a\x00b\x1b[31mc\u202ed" in shown.output
        assert not {"\x00", "\x1b", "\u202e"} & set(shown.output)
    assert "\nend\n" in bench("attempt", "ab12", "--db", store.path).output
    kept = json.loads(bench("attempt", "ab12", "--db", store.path, "--format", "json").output)
    assert kept["error_message"] == odd + "?"
    assert kept["metrics"] == {odd: 1.0}
    assert kept["log_tail"] == odd + "\nend"


def test_history_marks_remarks_and_lists_failed_preparations(db: Path, attempt: Callable[..., Attempt]) -> None:
    assert "remarks" not in bench("history", "20260101-a", "--db", db).stdout
    assert "no attempt of this run has remarks" in bench("history", "20260101-a", "--remarks", "--db", db).stdout
    store = Store(db)
    store.land_attempts([attempt("cd56ffffffffff", seed=4, remarks=["AUC is 0.02\x1b[31m", "used 2 cores"])])
    prepared = {"run_id": "20260101-a", "suite": "tiny", "suite_version": "1", "preset": "quick", "recorded_at": 70.0}
    store.land_preparations(
        [
            PreparationRecord(
                **prepared, task="sparse", outcome="failed", error_type="DataError", error_message="no file"
            ),
            PreparationRecord(**prepared, task="dense", outcome="ok"),
            PreparationRecord(**{**prepared, "run_id": "20260102-b"}, task="other", outcome="failed"),
        ]
    )
    text = bench("history", "20260101-a", "--db", db).stdout
    assert [line.split()[0] for line in text.splitlines() if " ok *" in line] == ["cd56ffffff"]
    assert "1 attempt marked * with remarks: add --remarks to show them" in text
    assert text.endswith("1 task could not be prepared\n- sparse: DataError: no file\n")
    told = bench("history", "20260101-a", "--remarks", "--db", db).stdout
    assert "maml(lr=0.5)" in told
    assert "seed 4: AUC is 0.02" in told
    assert "; used 2 cores" in told
    assert "\x1b" not in told
    found = json.loads(bench("history", "20260101-a", "--db", db, "--format", "json").stdout)
    assert [len(r["remarks"]) for r in found["attempts"]] == [0, 0, 2]
    assert [(p["task"], p["error_message"]) for p in found["failed_preparations"]] == [("sparse", "no file")]
    assert isinstance(bench("history", "--remarks", "--db", db).exception, InputError)
