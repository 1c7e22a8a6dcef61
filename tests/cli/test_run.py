"""`bench run` as people use it: twice, interrupted, killed, two at once, with wrong input. Real processes throughout."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchbench.execution import limits
from benchbench.paths import cache_dir
from benchbench.registry import get_loader

BENCH = [sys.executable, "-P", "-m", "benchbench"]

SUITE = """
name = "tiny"
version = "1"
track = "fewshot"
title = "Tiny"
[scores]
baseline = "noop"
reference = "noop"
[presets.quick]
test_units = 3
time_limit_seconds = 30
grace_seconds = 0.3
[[tasks]]
name = "one"
loader = "sinusoid"
options = { shot = 10 }
baseline_score = -4.0
reference_score = 0.0
[[tasks]]
name = "two"
loader = "sinusoid"
options = { shot = 5 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path


def bench(folder: Path, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*BENCH, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, **environment},
    )
    assert done.returncode == code, f"exit {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def run_arguments(*more: str) -> list[str]:
    return ["run", "--suite", "tiny.toml", *more]


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*BENCH, *arguments], cwd=folder, stdout=log, stderr=log, start_new_session=True)


def attempts(folder: Path) -> list[tuple[Any, ...]]:
    from benchbench.results.store import Store

    store = Store(folder / ".benchbench" / "benchbench.duckdb")
    if not store.is_recorded():
        return []
    with store.reading() as con:
        return con.execute("SELECT trial_id, outcome, attempt_id, run_id FROM attempts").fetchall()


def counted(folder: Path) -> list[str]:
    return [row[0] for row in attempts(folder) if row[1] != "infra"]


def processes_of(folder: Path) -> list[int]:
    """Return processes that work in the folder, or carry its name on their command line."""
    found = []
    for pid in limits._all_pids():
        try:
            cwd = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            continue
        if cwd == folder and pid != os.getpid():
            found.append(pid)
    return found


def wait_until_gone(folder: Path) -> None:
    until = time.monotonic() + 20
    while processes_of(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_of(folder) == []


def test_a_run_ends_with_a_board_and_the_second_runs_nothing(folder: Path) -> None:
    first = bench(folder, *run_arguments("--method", "noop,declining", "--format", "json"))
    board = json.loads(first.stdout)
    required = {"method", "task", "rank", "score", "ci95", "n", "n_ok", "n_failed", "seconds"}
    assert all(required <= row.keys() for row in board)
    _check_times_of_the_run(folder, first.stderr)
    assert [(r["method"], r["task"]) for r in board][:2] == [("noop", None), ("declining", None)]
    assert next(r for r in board if r["method"] == "declining" and r["task"] == "one")["n_declined"] == 1
    started = time.monotonic()
    second = bench(folder, *run_arguments("--method", "noop,declining", "--format", "json"))
    assert time.monotonic() - started < 30
    assert json.loads(second.stdout) == board
    assert "nothing to run: all 4 trials are recorded" in second.stderr
    assert len(attempts(folder)) == 4


def _check_times_of_the_run(folder: Path, said: str) -> None:
    """Guards against a run that is recorded only from when its workers have started, seconds after the time in its name."""
    (run,) = json.loads(bench(folder, "history", "--format", "json").stdout)
    assert time.strftime("%Y%m%d-%H%M%S", time.gmtime(run["started_at"])) == run["run_id"].rsplit("-", 1)[0]
    found = re.search(r"took ([\d.]+) s;", said)
    assert found is not None
    assert 0 < run["ended_at"] - run["started_at"] <= float(found[1]) + 0.1


def test_scores_are_the_same_with_one_and_two_workers(folder: Path) -> None:
    scores = []
    for workers in ("1", "2"):
        db = f"w{workers}.duckdb"
        bench(folder, *run_arguments("--method", "pixel_nn", "--seeds", "0,1", "--workers", workers, "--db", db))
        from benchbench.results.store import Store

        with Store(folder / db).reading() as con:
            rows = con.execute("SELECT trial_id, scores FROM attempts JOIN unit_scores USING (attempt_key)").fetchall()
        scores.append(dict(rows))
    assert scores[0] == scores[1]
    assert len(scores[0]) == 4


def test_failures_are_rows_and_do_not_stop_the_rest(folder: Path) -> None:
    methods = "noop,misbehaving(how='segfault'),misbehaving(how='raise_error'),bad_predictions"
    done = bench(folder, *run_arguments("--method", methods))
    outcomes = sorted(row[1] for row in attempts(folder))
    assert outcomes == ["crashed"] * 2 + ["failed"] * 4 + ["ok"] * 2
    assert "crashed: misbehaving(how='segfault') on one: the process was killed by SIGSEGV" in done.stderr
    assert "6 trials failed" in done.stdout
    assert "imputed by policy `baseline`" in done.stdout


def test_rerun(folder: Path) -> None:
    arguments = run_arguments("--task", "one", "--method", "noop,misbehaving(how='raise_error')")
    bench(folder, *arguments)
    assert "nothing to run" in bench(folder, *arguments).stderr
    assert "1 trials to run" in bench(folder, *arguments, "--rerun", "failed").stderr
    assert "2 trials to run" in bench(folder, *arguments, "--rerun", "all").stderr
    assert len(attempts(folder)) == 5


def test_an_override_by_what_the_preset_says_anyway_is_no_other_budget(folder: Path) -> None:
    def presets(*options: str) -> set[str]:
        done = bench(folder, *run_arguments("--dry-run", "--method", "noop", "--format", "json", *options))
        return {trial["budget"]["preset"] for trial in json.loads(done.stdout)}

    assert presets("--threads", "1", "--time-limit", "30", "--test-units", "3") == {"quick"}
    assert presets("--threads", "2", "--test-units", "3") == {"quick,threads=2"}
    assert presets("--iterations", "5") == {"quick,iterations=5"}


def test_more_threads_than_cores_are_said_and_run(folder: Path) -> None:
    arguments = run_arguments("--task", "one", "--method", "noop", "--quiet")
    assert bench(folder, *arguments, "--threads", "1").stderr == ""
    n_cores = len(os.sched_getaffinity(0))
    done = bench(folder, *arguments, "--threads", "999")
    there = "is 1 core" if n_cores == 1 else f"are {n_cores} cores"
    assert f"warning: trials have 999 threads each, but there {there} here" in done.stderr
    assert "noop" in done.stdout


def test_dry_run_writes_nothing(folder: Path) -> None:
    done = bench(folder, *run_arguments("--dry-run", "--method", "noop"))
    assert "2 trials to run, 0 already recorded" in done.stdout
    assert not (folder / ".benchbench").exists()


def test_dry_run_says_what_training_may_take(folder: Path) -> None:
    done = bench(folder, *run_arguments("--dry-run", "--method", "noop", "--iterations", "7"))
    assert "noop on one, seed 0, 7 iterations\n" in done.stdout
    automl = ["run", "--suite", "tabular", "--method", "linear_model", "--dry-run"]
    for more, said in (([], "5 s"), (["--fit-seconds", "2.5"], "2.5 s")):
        lines = bench(folder, *automl, *more).stdout.splitlines()
        assert len(lines) > 1
        assert all(line.endswith(f", {said}") for line in lines[:-1])


def test_another_budget_is_another_board(folder: Path) -> None:
    bench(folder, *run_arguments("--method", "noop", "--task", "one"))
    done = bench(folder, *run_arguments("--method", "noop", "--task", "one", "--test-units", "7"))
    assert "preset quick,test_units=7" in done.stdout
    assert "left out: 1 trial of suite version 1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", "--suite", "fewshoot"],
            ["unknown suite 'fewshoot'", "did you mean 'fewshot'? List them with: bench list suites"],
        ),
        (["run", "--suite", "tiny.toml", "--method", "protonte"], ["did you mean 'protonet'"]),
        (["run", "--suite", "tiny.toml", "--method", "sleeper(secnds=1)"], ["did you mean 'seconds'"]),
        (["run", "--suite", "tiny.toml", "--method", "sleeper(1)"], ["cannot read method"]),
        (["run", "--suite", "tiny.toml", "--task", "on"], ["unknown task", "'one'"]),
        (["run", "--suite", "tiny.toml", "--exclude-task", "on"], ["unknown task", "'one'"]),
        (["run", "--suite", "tiny.toml", "--exclude-task", ""], ["--exclude-task expects at least one"]),
        (["run", "--suite", "tiny.toml", "--exclude-task", "two,one"], ["excludes every task", "leave at least one"]),
        (["run", "--suite", "tiny.toml", "--preset", "qick"], ["did you mean 'quick'"]),
        (["run", "--suite", "tiny.toml", "--seeds", "a"], ["whole numbers"]),
        (["run", "--suite", "tiny.toml", "--device", "cuda"], ["no GPU"]),
        (["run", "--suite", "tiny.toml", "--gpus", "2"], ["this machine shows 0"]),
        (["run", "--suite", "tiny.toml", "--cluster", "tcp://127.0.0.1:1"], ["no Dask scheduler answers"]),
        (
            ["run", "--suite", "tiny.toml", "--cluster", "tcp://127.0.0.1:1", "--dry-run"],
            ["no Dask scheduler answers"],
        ),
        (
            ["run", "--suite", "tiny.toml", "--cluster", "tcp://127.0.0.1:1", "--workers", "2"],
            ["--workers 2 sizes the embedded cluster", "dask worker tcp://127.0.0.1:1"],
        ),
        (["run", "--suite", "tiny.toml", "--db", "/proc/x/y.duckdb"], ["cannot write results", "--db PATH"]),
        (["run", "--suite", "tiny.toml", "--db", "tiny.toml"], ["not a DuckDB database"]),
        (["run", "--suite", "malformed.toml"], ["cannot be read as TOML"]),
        (["run", "--suite", "odd.toml"], ["unknown key 'tsks'"]),
        (["run", "--suite", "tiny.toml", "--rerun", "some"], ["--rerun expects none, failed or all, got 'some'"]),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--method", ""],
            ["--method expects at least one method, got ''"],
        ),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--method", ","],
            ["--method expects at least one method, got ','"],
        ),
        (["run", "--suite", "tiny.toml", "--dry-run", "--task", ""], ["--task expects at least one task"]),
        (["run", "--suite", "tiny.toml", "--dry-run", "--seeds", ""], ["whole numbers, for example 0,1,2; got ''"]),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--preset", ""],
            ["--preset expects a preset of suite", "quick", "got ''"],
        ),
        (["run", "--suite", "tiny.toml", "--dry-run", "--task", "one,two,one"], ["task 'one' is named more than once"]),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--method", "noop", "--method", "noop"],
            ["method 'noop' is named"],
        ),
        (["data", "verify", "--suite", "tiny.toml", "--task", "two,two"], ["task 'two' is named more than once"]),
        (["leaderboard", "--suite", "tiny.toml", "--task", ""], ["--task expects at least one task"]),
        (["artefacts", "remove", "--method", ""], ["--method expects at least one method"]),
        (["data", "verify", "--suite", ""], ["unknown suite ''"]),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--seeds", "0", "--folds", "1"],
            ["--seeds (or --folds) is given with different values: 0 and 1; give one"],
        ),
        (["run", "--suite", "tiny.toml", "--dry-run", "--preset", "quick", "--profile", "x"], ["quick and x"]),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--time-limit", "nan"],
            ["--time-limit must be a finite number above 0, got nan"],
        ),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--time-limit", "inf"],
            ["--time-limit must be a finite number above 0, got inf"],
        ),
        (["run", "--suite", "tabular", "--dry-run", "--fit-seconds", "nan"], ["--fit-seconds must be a finite"]),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--memory-limit", "0"],
            ["--memory-limit must be a whole number from 1 to 2**53 - 1, got 0"],
        ),
        (["run", "--suite", "tiny.toml", "--dry-run", "--iterations", "9" * 400], ["--iterations must be a whole"]),
        (
            ["run", "--suite", "tiny.toml", "--dry-run", "--fit-seconds", "5"],
            ["--fit-seconds has no effect on suite 'tiny'", "'fewshot' use only --iterations, --test-units"],
        ),
        (["run", "--suite", "tabular", "--dry-run", "--test-units", "1"], ["--test-units has no effect"]),
        (["run", "--suite", "tabular", "--dry-run", "--iterations", "1"], ["--iterations has no effect"]),
        (["run", "--suite", "hpo-synthetic", "--dry-run", "--fit-seconds", "5"], ["--fit-seconds has no effect"]),
        (["leaderboard", "--suite", "nope"], ["unknown suite"]),
        (
            ["leaderboard", "--suite", "tiny.toml", "--format", "xml"],
            ["--format expects table, json, csv, markdown, latex or html, got 'xml'"],
        ),
        (["list", "method"], ["did you mean 'methods'"]),
        (["check", "protonett"], ["did you mean 'protonet'"]),
        (["runn"], ["No such command"]),
        (["run", "--suite", "omniglot", "--task", "omniglot-maml-5w1s"], ["omniglot", "BENCHBENCH_DATA"]),
    ],
)
def test_bad_input(folder: Path, arguments: list[str], words: list[str]) -> None:
    (folder / "malformed.toml").write_text("name = ")
    (folder / "odd.toml").write_text(SUITE.replace('"tiny"', '"odd"').replace("[[tasks]]", "[[tsks]]", 1))
    offline = {"BENCHBENCH_DATA": str(folder / "empty"), "BENCHBENCH_CACHE": str(folder / "cache")}
    done = bench(folder, *arguments, code=2, **(offline if "omniglot" in arguments else {}))
    for word in words:
        assert word in done.stderr


def test_ctrl_c_on_a_terminal_records_what_has_ended(folder: Path) -> None:
    """The interrupt goes to the whole foreground group, as a terminal sends it."""
    arguments = run_arguments("--method", "sleeper(seconds=1.0)", "--seeds", "0,1,2,3,4,5", "--workers", "2")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*BENCH, *arguments], cwd=folder, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    )
    os.close(follower)
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):
            while part := os.read(leader, 65536):
                shown.append(part)

    # all the time, as a terminal does: a screen that nobody reads is full after some seconds, and stops who writes to it
    reader = threading.Thread(target=read)
    reader.start()
    until = time.monotonic() + 200
    while len(attempts(folder)) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    reader.join(timeout=30)
    os.close(leader)
    text = b"".join(shown).decode(errors="replace")
    assert "interrupted" in text
    assert "Traceback" not in text
    wait_until_gone(folder)
    before = counted(folder)
    assert 3 <= len(before) < 12
    done = bench(folder, *arguments)
    assert f"{12 - len(before)} trials to run, {len(before)} already recorded" in done.stderr
    assert len(counted(folder)) == len(set(counted(folder))) == 12
    states = json.loads(bench(folder, "history", "--format", "json").stdout)
    assert sorted(r["state"] for r in states) == ["finished", "interrupted"]


def test_an_interrupted_training_goes_on_with_the_same_command(folder: Path) -> None:
    environment = with_letters(folder) | {"BENCHBENCH_CHECKPOINT_SECONDS": "0"}
    (folder / "cache").mkdir()
    (folder / "cache" / "glyphs").symlink_to(drawn_letters())
    more = ["--task", "letters", "--iterations", "20"]
    arguments = run_arguments("--method", "sharing(iteration_sleeps=0.2)", *more)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*BENCH, *arguments], cwd=folder, stderr=log, start_new_session=True, env={**os.environ, **environment}
        )
    until = time.monotonic() + 100
    while not list(folder.glob("cache/artefacts/sharing/[!.]*.unfinished")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert (
        "run the same command for the rest; training resumes from the last checkpoints" in (folder / "log").read_text()
    )
    bench(folder, *arguments, **environment)
    ((_, _, attempt_id, _),) = attempts(folder)
    shown = json.loads(bench(folder, "attempt", attempt_id, "--format", "json").stdout)
    assert 0.2 <= shown["metrics"]["continued_seconds"] < shown["phases"]["meta_fit"]
    whole = run_arguments("--method", "sharing", *more, "--db", "whole.duckdb")
    board = json.loads(bench(folder, *whole, "--format", "json", **environment).stdout)
    assert [row["score"] for row in board if row["task"] == "letters"] == [shown["score"]]


LETTERS = """
[[tasks]]
name = "letters"
loader = "glyphs"
options = { way = 5, shot = 1, query = 3 }
"""


def with_letters(folder: Path, text: str = SUITE) -> dict[str, str]:
    """Put a task with data to prepare before the others; return the environment of an empty cache."""
    head, mark, tasks = text.partition("[[tasks]]")
    (folder / "tiny.toml").write_text(head + LETTERS + mark + tasks)
    return {"BENCHBENCH_CACHE": str(folder / "cache")}


def history(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bench(folder, "history", "--format", "json").stdout)
    return found


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_trials_run_while_data_are_made_and_a_stop_then_keeps_them(folder: Path, sign: signal.Signals) -> None:
    environment = {**os.environ, **with_letters(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*BENCH, *run_arguments("--method", "noop", "--seeds", "0,1")],
            cwd=folder,
            stderr=log,
            start_new_session=True,
            env=environment,
        )
    until = time.monotonic() + 300
    while len(attempts(folder)) < 4 and time.monotonic() < until:
        time.sleep(0.05)
    text = (folder / "log").read_text()
    assert process.poll() is None, text
    assert "preparing letters: glyphs: reading the letters" in text
    assert "6 trials to run, data of 1 task to prepare" in text
    assert not list(folder.glob("cache/glyphs/*/manifest.json")), "the letters were there before the other trials ended"
    # as a terminal does
    os.killpg(process.pid, sign) if sign == signal.SIGINT else process.send_signal(sign)
    assert process.wait(timeout=30) == (-9 if sign == signal.SIGKILL else 130)
    wait_until_gone(folder)
    text = (folder / "log").read_text()
    assert "Traceback" not in text
    assert len(attempts(folder)) == 4
    if sign != signal.SIGKILL:
        assert "interrupted" in text
        assert not list(folder.glob("cache/glyphs/.tmp-*")), "what was half made is gone"
        assert [run["state"] for run in history(folder)] == ["interrupted"]
        return
    (folder / "cache" / "glyphs").rename(folder / "half")
    (folder / "cache" / "glyphs").symlink_to(drawn_letters())
    done = bench(folder, *run_arguments("--method", "noop", "--seeds", "0,1"), **with_letters(folder))
    assert "2 trials to run, 4 already recorded" in done.stderr
    assert len(counted(folder)) == len(set(counted(folder))) == 6


def drawn_letters() -> Path:
    get_loader("glyphs").prepare({"way": 5, "shot": 1, "query": 3}, lambda line: None)
    return cache_dir() / "glyphs"


def test_a_task_without_data_does_not_stop_the_rest_and_comes_back(folder: Path) -> None:
    """One unusable table ended the whole run before any trial."""
    environment = with_letters(folder)
    (folder / "cache").mkdir()
    (folder / "cache" / "glyphs").write_text("a file in place of the folder")
    arguments = run_arguments("--method", "noop", "--format", "json")
    done = bench(folder, *arguments, **environment)
    reason = "InputError: cannot keep prepared data under"
    assert f"failed: data of letters: {reason}" in done.stderr
    assert "2/2 trials done, 0 running, data of 1 task failed" in done.stderr
    assert (
        "the data of 1 of 3 tasks could not be prepared; the same command tries again:\n- letters: Inp" in done.stderr
    )
    rows = json.loads(done.stdout)
    assert {row["task"] for row in rows} == {None, "one", "two"}
    assert all(row["unprepared_tasks"] == ["letters"] for row in rows)
    assert len(attempts(folder)) == 2
    (run,) = history(folder)
    assert (run["state"], run["n_trials"]) == ("finished", 2)

    # again, with nothing else to run: only what is asked for changes the exit code
    done = bench(folder, *arguments, "--strict", code=1, **environment)
    assert "failed: data of letters" in done.stderr
    line = f"- left out: task letters: its data could not be prepared in run {history(folder)[0]['run_id']}: {reason}"
    board = bench(folder, "leaderboard", "--suite", "tiny.toml")
    assert board.stdout.count("left out: task letters") == 1
    assert line in board.stdout
    page = bench(folder, "leaderboard", "--suite", "tiny.toml", "--format", "html").stdout
    assert "task letters: its data could not be prepared" in page.replace("Left out", "left out")

    # alone, it is an error of what was asked for
    done = bench(folder, *arguments, "--task", "letters", code=2, **environment)
    assert f"error: the data of no task of suite 'tiny' could be prepared:\n- letters: {reason[12:]}" in done.stderr
    assert history(folder)[0]["state"] == "failed"
    done = bench(folder, *arguments, "--exclude-task", "letters", "--strict", **environment)
    assert "nothing to run: all 2 trials are recorded" in done.stderr

    (folder / "cache" / "glyphs").unlink()
    (folder / "cache" / "glyphs").symlink_to(drawn_letters())
    done = bench(folder, *arguments, "--strict", **environment)
    assert "1 trials to run, 2 already recorded" in done.stderr
    rows = json.loads(done.stdout)
    assert {row["task"] for row in rows} == {None, "letters", "one", "two"}
    assert all(row["unprepared_tasks"] == [] for row in rows)
    assert "left out: task" not in bench(folder, "leaderboard", "--suite", "tiny.toml").stdout


def test_dry_run_prepares_nothing_and_says_what_is_to_be_prepared(folder: Path) -> None:
    environment = with_letters(folder)
    arguments = run_arguments("--method", "noop", "--dry-run")
    done = bench(folder, *arguments, **environment)
    assert "noop on letters, seed 0" in done.stdout
    assert done.stdout.endswith("3 trials to run, 0 already recorded; data of 1 task to prepare: letters\n")
    assert not (folder / "cache").exists()
    trials = json.loads(bench(folder, *arguments, "--format", "json", **environment).stdout)
    assert [(t["task"], t["is_prepared"]) for t in trials] == [("letters", False), ("one", True), ("two", True)]
    names = bench(folder, *arguments, "--exclude-task", "one,letters", "--format", "json", **environment).stdout
    assert [t["task"] for t in json.loads(names)] == ["two"]


@pytest.mark.parametrize(
    ("sign", "send"), [(signal.SIGINT, os.kill), (signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)]
)
def test_an_interrupt_while_workers_start(folder: Path, sign: signal.Signals, send: Any) -> None:
    """It was thrown away, and the run went on to its end; SIGTERM showed the insides of Dask."""
    process = start(folder, *run_arguments("--method", "sleeper(seconds=5)", "--workers", "2"))

    def has_worker() -> bool:
        return any(b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes() for p in limits.descendants(process.pid))

    until = time.monotonic() + 100
    while not has_worker() and time.monotonic() < until:
        time.sleep(0.01)
    send(process.pid, sign)
    assert process.wait(timeout=60) == 130
    (line,) = (folder / "log").read_text().splitlines()
    assert line.startswith("interrupted; finished trials are recorded in ")
    assert attempts(folder) == []
    wait_until_gone(folder)


def test_an_interrupt_while_text_is_executed_has_the_same_exit_code(folder: Path) -> None:
    """With -m, Python died of the signal at the end, though the interrupt had been caught and another code chosen."""
    plugin = folder / "plugin.py"
    plugin.write_text("exec('raise KeyboardInterrupt')\n")
    environment = {**os.environ, "BENCHBENCH_METHODS": str(plugin)}
    assert subprocess.run([*BENCH, "list", "methods"], cwd=folder, env=environment, check=False).returncode == 130


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_and_doubles_nothing(folder: Path) -> None:
    arguments = run_arguments(
        "--method", "sleeper(seconds=0.2)", "--seeds", ",".join(map(str, range(20))), "--workers", "2"
    )
    known: set[str] = set()
    dice = random.Random(0)
    for _ in range(6):
        process = start(folder, *arguments)
        time.sleep(dice.uniform(1.0, 7.0))
        process.kill()
        process.wait()
        wait_until_gone(folder)
        rows = attempts(folder)
        assert len({r[2] for r in rows}) == len(rows), "an attempt stands twice"
        assert known <= {r[2] for r in rows}, "an attempt was lost"
        known = {r[2] for r in rows}
    bench(folder, *arguments)
    found = counted(folder)
    assert len(found) == len(set(found)) == 40


@pytest.mark.slow
def test_kill_9_of_workers_while_running(folder: Path) -> None:
    arguments = run_arguments(
        "--method", "sleeper(seconds=0.5)", "--seeds", ",".join(map(str, range(10))), "--workers", "2"
    )
    process = start(folder, *arguments)
    dice = random.Random(1)
    for _ in range(3):
        time.sleep(dice.uniform(3.0, 5.0))
        workers = [
            p for p in limits.descendants(process.pid) if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()
        ]
        if workers:
            os.kill(dice.choice(workers), signal.SIGKILL)
    # 1 if chance killed the same trial's worker three times, which the message says
    code = process.wait(timeout=120)
    text = (folder / "log").read_text()
    assert code == 0 or (code == 1 and "run the same command again" in text), text
    wait_until_gone(folder)
    assert any(row[1] == "infra" for row in attempts(folder))
    bench(folder, *arguments)
    found = counted(folder)
    assert len(found) == len(set(found)) == 20


def test_two_runs_at_once_and_a_reader(folder: Path) -> None:
    one = start(folder, *run_arguments("--method", "noop", "--seeds", "0,1,2,3,4,5,6,7,8,9", "--workers", "1"))
    two = start(
        folder, *run_arguments("--method", "sleeper(seconds=0.05)", "--seeds", "0,1,2,3,4,5,6,7", "--workers", "1")
    )
    n_reads = 0
    while one.poll() is None or two.poll() is None:
        if (folder / ".benchbench" / "benchbench.duckdb").exists():
            bench(folder, "leaderboard", "--suite", "tiny.toml")
            n_reads += 1
    assert (one.returncode, two.returncode) == (0, 0), (folder / "log").read_text()
    assert n_reads > 0
    assert len(counted(folder)) == len(set(counted(folder))) == 36


@pytest.mark.slow
def test_a_cluster_started_apart_through_the_command(folder: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    port = address.rpartition(":")[2]
    dask = [sys.executable, "-P", "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port]
    worker = [
        sys.executable,
        "-P",
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "2",
        "--host",
        "127.0.0.1",
    ]
    no_page = ["--dashboard-address", "127.0.0.1:0"]
    with (folder / "dask").open("wb") as log:
        both = [subprocess.Popen([*c, *no_page], stdout=log, stderr=log, cwd="/") for c in (dask, worker)]
    try:
        time.sleep(6)
        done = bench(folder, *run_arguments("--method", "noop", "--cluster", address))
        assert "2/2 trials done" in done.stderr
        planned = bench(folder, *run_arguments("--method", "noop", "--cluster", address, "--dry-run"))
        assert planned.stdout == "0 trials to run, 2 already recorded\n"
        refused = bench(folder, *run_arguments("--method", "noop", "--cluster", address, "--device", "cuda"), code=2)
        assert "no worker has a GPU" in refused.stderr
    finally:
        for process in both[::-1]:
            process.terminate()
            process.wait(timeout=30)


def test_what_a_method_returns_ends_neither_the_run_nor_the_results_of_others(folder: Path) -> None:
    odd = ['odd(metrics=\'{"backbone": "conv4"}\')', "odd(metrics='None')", "odd(error='Unreadable()')", "huge"]
    arguments = run_arguments("--method", ",".join(["noop", *odd]), "--task", "one", "--db", "r.duckdb", "--quiet")
    bench(folder, *arguments)
    (run,) = json.loads(bench(folder, "history", "--db", "r.duckdb", "--format", "json").stdout)
    assert run["outcomes"] == {"ok": 1, "failed": 4}
    bench(folder, *arguments)
    assert len(json.loads(bench(folder, "history", "--db", "r.duckdb", "--format", "json").stdout)) == 1
