"""An adapter in another interpreter: rows and answers go through unchanged, and every way to go wrong has its status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchbench.contracts.automl import AutoMLBudget, TableInfo
from benchbench.errors import ClusterError, ProtocolViolation, UnknownNameError
from benchbench.execution import limits, supervisor
from benchbench.execution.environments import Environment
from benchbench.execution.harness import TrialHarness
from benchbench.execution.remote.adapters import remote_adapter
from benchbench.execution.remote.automl_proxy import Proxy, _plain
from benchbench.execution.remote.automl_served import _info
from benchbench.execution.remote.interpreter import InterpreterDiedError, RemoteError
from benchbench.frames import read_table, write_table
from benchbench.protocols.automl_predictions import check_labels
from benchbench.records import TrialOutcome
from benchbench.registry import MethodEntry, get_loader, get_method

pytestmark = pytest.mark.usefixtures("zygotes", "wrapped")

COLUMNS = {"age": "numeric", "size": "numeric", "colour": "nominal", "note": "string"}


@pytest.fixture
def rows() -> pd.DataFrame:
    colours = pd.Categorical(["red", None, "blue", "red"], categories=["blue", "green", "red"])
    frame = pd.DataFrame(
        {
            "age": np.array([3, -1, 2**60, 0]),
            "size": [0.1, float("nan"), -1e300, 5e-324],
            "colour": colours,
            "note": pd.Series(["a", None, "", "ü\n\U0001f600"], dtype="str"),
        }
    )
    frame.index = pd.Index([7, 3, 3, 0])
    return frame


@pytest.fixture
def target() -> pd.Series[Any]:
    return pd.Series(pd.Categorical(["no", "yes", "no", "no"], categories=["yes", "no", "never"]), name="answer")


def info(kind: str = "multiclass") -> TableInfo:
    classes = () if kind == "regression" else ("yes", "no", "never")
    return TableInfo(
        name="t", kind=kind, metric="log_loss", target="answer", classes=classes, columns=COLUMNS, n_rows=4
    )


def test_the_description_of_a_task_comes_back() -> None:
    full = replace(info(), out_of_range={"size": 2, "age": 1}, warnings=("column 'size' holds infinite values",))
    found = _info(json.loads(json.dumps(_plain(full))))
    assert found == full
    assert (list(found.columns), list(found.out_of_range)) == (list(COLUMNS), ["size", "age"])


@pytest.fixture
def make(make_harness: Callable[..., TrialHarness]) -> Iterator[Callable[..., Any]]:
    """Make a proxy that has been set up; all are closed after the test."""
    made = []

    def start(how: str = "nothing", kind: str = "multiclass") -> Any:
        harness = make_harness()
        proxy = remote_adapter(get_method("wrapped"), {"how": how}, harness)
        made.append(proxy)
        proxy.setup(
            info(kind),
            budget=AutoMLBudget(seconds=10, threads=1, memory_mib=1000),
            context=harness.context,
        )
        return proxy

    yield start
    for proxy in made:
        proxy.close()


def test_predictions_come_back(make: Callable[..., Any], rows: pd.DataFrame, target: pd.Series[Any]) -> None:
    proxy = make()
    assert proxy.supports(info()) is None
    proxy.fit(rows, target)
    assert proxy.predict_proba(rows).tolist() == [[0.25, 0.75, 0.0]] * 4
    assert proxy.predict(rows.iloc[:2]).tolist() == [1, 1]
    assert proxy.predict(rows).dtype == np.int64
    found = proxy.metrics()
    assert 0 < found.pop("environment_start_seconds") < 60
    assert found == {"n_rows": 4.0, "is_fast": 1.0}


def test_names_on_predictions_are_read_there(
    make: Callable[..., Any], rows: pd.DataFrame, target: pd.Series[Any]
) -> None:
    """Arrays come back, so that columns in another order would be scored by position here."""
    proxy = make("named")
    proxy.fit(rows, target)
    assert proxy.predict_proba(rows).tolist() == [[0.25, 0.75, 0.0]] * 4
    with pytest.raises(ProtocolViolation, match="texts such as 'yes', expected indices 0 to 2"):
        check_labels(proxy.predict(rows), 4, ("yes", "no", "never"))


def test_values_come_back(make: Callable[..., Any], rows: pd.DataFrame) -> None:
    proxy = make(kind="regression")
    proxy.fit(rows, pd.Series([1.0, 2.0, 3.0, 4.1]))
    assert proxy.predict(rows).tolist() == [pytest.approx(2.525, abs=0)] * 4


def test_columns_keep_their_types(
    make: Callable[..., Any], rows: pd.DataFrame, target: pd.Series[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    proxy = make("describe")
    proxy.fit(rows, target)
    said = capfd.readouterr().out
    assert "column age: int64  [3, -1, 1152921504606846976, 0]" in said
    assert "column size: float64  [0.1, None, -1e+300, 5e-324]" in said
    assert "column colour: category ['blue', 'green', 'red'] ['red', None, 'blue', 'red']" in said
    assert "column note: str  ['a', None, '', 'ü\\n\U0001f600']" in said
    assert "target target: category ['no', 'yes', 'no']" in said
    assert "index [0, 1, 2, 3] [0, 1, 2, 3]" in said


def test_rows_of_a_table_keep_their_types(
    make: Callable[..., Any],
    rows: pd.DataFrame,
    target: pd.Series[Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The interpreter reads them itself, in the order that it is told, and nothing but numbers and the target is written."""
    table = tmp_path / "table.arrow"
    write_table(rows, table)
    proxy = make("describe")
    before = set(tmp_path.rglob("*.*"))
    found = proxy.hand_over(table, np.array([3, 1, 2], np.int32), target.iloc[[3, 1, 2]].reset_index(drop=True))
    assert len(found) == 3
    (written,) = set(tmp_path.rglob("*.*")) - before
    assert list(read_table(written)) == ["target"]
    proxy.fit(found, target.iloc[[3, 1, 2]])
    said = capfd.readouterr().out
    assert "column age: int64  [0, -1, 1152921504606846976]" in said
    assert "column size: float64  [5e-324, None, -1e+300]" in said
    assert "column colour: category ['blue', 'green', 'red'] ['red', None, 'blue']" in said
    assert "column note: str  ['ü\\n\U0001f600', None, '']" in said
    assert "target target: category ['no', 'yes', 'no']" in said
    assert "index [0, 1, 2] [0, 1, 2]" in said
    some = proxy.hand_over(table, np.array([0, 2], np.int32))
    assert proxy.predict(some).tolist() == [1, 1]
    assert proxy.predict(proxy.row(some, 1)).tolist() == [1]
    assert set(tmp_path.rglob("*.*")) == before


def test_it_is_another_interpreter_that_sees_little_of_ours(
    make: Callable[..., Any], wrapped: Environment, capfd: pytest.CaptureFixture[str]
) -> None:
    make()
    said = capfd.readouterr().out
    assert f"executable={wrapped.python}" in said
    assert "threads=1 1 1" in said
    for module in ("registry", "execution.supervisor", "protocols", "suites"):
        assert f"benchbench.{module}" not in said


def test_points_are_passed_on(make: Callable[..., Any], rows: pd.DataFrame, target: pd.Series[Any]) -> None:
    proxy = make()
    harness = proxy.remote.harness
    harness.start_clock(100.0)
    with harness.recorded() as points:
        proxy.fit(rows, target)
    (point,) = points
    assert (point[0], point[2], point[3]) == (1, "loss", 0.5)
    assert 100 <= point[1] < 110


def test_what_it_raises_is_raised(make: Callable[..., Any], rows: pd.DataFrame, target: pd.Series[Any]) -> None:
    proxy = make("raise_error")
    with pytest.raises(RemoteError, match="the loss is NaN") as caught:
        proxy.fit(rows, target)
    assert type(caught.value).__name__ == "ArithmeticError"
    assert "wrapped_table.py" in str(caught.value.__cause__)
    # and it goes on
    assert proxy.supports(info("regression")) is None


def test_no_probabilities(make: Callable[..., Any], rows: pd.DataFrame, target: pd.Series[Any]) -> None:
    proxy = make("no_probabilities")
    proxy.fit(rows, target)
    with pytest.raises(NotImplementedError):
        proxy.predict_proba(rows)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit_hard", "exited with code 7 during fit; it printed: a last word"),
        ("segfault", "killed by SIGSEGV during fit; it printed: Fatal Python error"),
        ("kill_self_with_fork", "killed by SIGKILL"),
    ],
)
def test_its_death_is_told(
    make: Callable[..., Any], rows: pd.DataFrame, target: pd.Series[Any], how: str, words: str
) -> None:
    proxy = make(how)
    try:
        with pytest.raises(InterpreterDiedError, match=words):
            proxy.fit(rows, target)
    finally:
        for pid in limits.descendants(os.getpid()):
            if b"ours" not in limits._environ(pid) and "wrapped" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, 9)


def test_declining_ends_it(make_harness: Callable[..., TrialHarness]) -> None:
    proxy = remote_adapter(get_method("wrapped"), {"how": "decline"}, make_harness())
    assert isinstance(proxy, Proxy)
    assert proxy.supports(info()) == "not today"
    assert not proxy.remote.is_running


def test_unknown_parameters_are_refused(make_harness: Callable[..., TrialHarness]) -> None:
    with pytest.raises(UnknownNameError, match="hwo"):
        remote_adapter(get_method("wrapped"), {"hwo": "x"}, make_harness())


def test_a_changed_file_is_noticed(tmp_path: Path, make_harness: Callable[..., TrialHarness]) -> None:
    entry = get_method("wrapped")
    copy = tmp_path / "wrapped_table.py"
    copy.write_bytes(entry.path.read_bytes())
    moved = MethodEntry(entry.name, entry.card, entry.cls, entry.module, copy)
    moved.source_hash()
    copy.write_text(copy.read_text() + "\n# changed\n")
    with pytest.raises(ClusterError, match="has changed since"):
        remote_adapter(moved, {}, make_harness())


def execute(make_request: Any, how: str, **budget: Any) -> TrialOutcome:
    options = {"table": "iris"}
    limits_ = {"time_limit_seconds": 60.0, "memory_limit_mib": 2000, "fit_seconds": 5.0, **budget}
    return supervisor.execute(
        make_request("wrapped", loader="sklearn", options=options, params={"how": how}, **limits_)
    )


def test_a_trial(make_request: Any) -> None:
    outcome = execute(make_request, "nothing")
    assert outcome.outcome == "ok", outcome
    assert outcome.score == pytest.approx(np.log(1 / 3), abs=0.01)
    assert [(p.step, p.metric) for p in outcome.curve] == [(1, "loss")]
    assert outcome.environment["environment/toy"] == "1.5"
    assert "closed" in outcome.log_tail
    assert "left running" not in outcome.log_tail
    assert 0 < outcome.metrics["environment_start_seconds"] < outcome.wall_seconds


def test_trials_share_one_table_without_a_target(make_request: Any) -> None:
    """Nothing is written beside it, whatever the fold, and two zygotes may use it at once."""
    loader, options = get_loader("sklearn"), {"table": "iris"}
    request = make_request("wrapped", loader="sklearn", options=options, time_limit_seconds=60.0)
    task = loader.load("iris", options)
    (folder,) = loader.folders(options)

    def state() -> dict[str, tuple[int, int]]:
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}

    before = state()
    assert list(before) and task.table.parent == folder
    with ThreadPoolExecutor(2) as pool:
        requests = [{**request, "spec": {**request["spec"], "seed": seed}} for seed in (0, 0, 1)]
        outcomes = list(pool.map(supervisor.execute, requests))
    assert [outcome.outcome for outcome in outcomes] == ["ok"] * 3
    assert outcomes[0].unit_scores == outcomes[1].unit_scores
    assert state() == before
    assert list(read_table(task.table).columns) == list(task.info.columns)
    assert task.info.target not in task.info.columns


PREPARE = """
import sys
from benchbench.records import TrialOutcome
from benchbench.registry import get_loader
get_loader("sklearn").prepare({"table": "digits"}, print)
print(get_loader("sklearn").load("t", {"table": "digits"}).table.stat().st_mtime_ns)
"""


def test_two_processes_make_the_table_once(tmp_path: Path) -> None:
    environment = {**os.environ, "BENCHBENCH_CACHE": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-P", "-c", PREPARE], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0].splitlines()[-1] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert said[0] == said[1]
    assert len(list(tmp_path.rglob("*.arrow"))) == 1
    assert list(tmp_path.rglob(".tmp-*")) == []


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("decline", "declined", "not today"),
        ("raise_error", "failed", "the loss is NaN"),
        ("metrics_text", "failed", "metric 'backbone' of metrics() of method 'wrapped' is 'conv4' (str)"),
        ("metrics_none", "failed", "metrics() of method 'wrapped' returned None"),
        ("report_text", "failed", "metric 'loss' of a report is 'low' (str)"),
        ("raise_unreadable", "failed", "its message cannot be read: str() raised SystemExit"),
        ("report_often", "ok", ""),
        ("exit", "failed", "3"),
        ("raise_memory_error", "memory", "Unable to allocate"),
        ("exit_hard", "crashed", "a last word"),
        ("kill_self", "crashed", "SIGKILL"),
        ("kill_self_with_fork", "crashed", "SIGKILL"),
        ("fork_and_return", "ok", ""),
        ("no_probabilities", "ok", ""),
    ],
)
def test_hostile_methods(make_request: Any, how: str, status: str, words: str) -> None:
    outcome = execute(make_request, how)
    assert outcome.outcome == status, outcome
    assert words in outcome.error_message
    if how == "report_often":
        assert 10_000 < len(outcome.curve) < 20_000
        assert "more than 10,000 reports" in outcome.remarks[0]


def test_its_budget_holds(make_request: Any) -> None:
    started = time.monotonic()
    outcome = execute(make_request, "sleep", time_limit_seconds=8.0, fit_seconds=None)
    assert outcome.outcome == "timeout"
    assert 8 <= time.monotonic() - started < 30


def test_its_training_is_stopped(make_request: Any) -> None:
    """A method that ignores the seconds of `fit`, and SIGTERM, is stopped 10 s and a tenth of them later."""
    started = time.monotonic()
    outcome = execute(make_request, "sleep", fit_seconds=0.5)
    assert outcome.outcome == "timeout"
    assert "fit" in outcome.error_message
    assert 10.5 <= time.monotonic() - started < 30


@pytest.mark.parametrize(
    "how",
    [
        "allocate",
        "allocate_in_grandchild",
        pytest.param(
            "allocate_in_java",
            marks=pytest.mark.skipif(shutil.which("javac") is None, reason="no Java development kit here"),
        ),
    ],
)
def test_twice_its_memory_is_too_much(make_request: Any, how: str) -> None:
    """Whoever of the tree takes it: the method, a process that it has started, a Java program of its own session."""
    outcome = execute(make_request, how, memory_limit_mib=700)
    assert outcome.outcome == "memory", outcome
    assert 700 < outcome.peak_memory_mib < 2000
    assert running("Filler.java") == []


def running(words: str) -> list[str]:
    """Return the command lines of processes that hold these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line:
            found.append(line)
    return found


def test_what_it_leaves_is_ended(make_request: Any) -> None:
    outcome = execute(make_request, "leave_grandchild")
    assert outcome.outcome == "ok"
    assert "1 processes were left running" in outcome.log_tail


@pytest.mark.slow
def test_a_close_that_hangs_costs_no_result(make_request: Any) -> None:
    outcome = execute(make_request, "close_hangs")
    assert outcome.outcome == "ok"
    assert "did not return within" in outcome.log_tail


def test_a_failed_build_is_a_failed_trial(make_request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = make_request("unbuildable", loader="sklearn", options={"table": "iris"})
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    outcome = supervisor.execute(request)
    assert (outcome.outcome, outcome.error_type) == ("failed", "EnvironmentBuildError")
    assert "benchbench-toy" in outcome.error_message
    # not tried again for the next fold: what uv said is that of the first try
    (log,) = tmp_path.glob("environments/*/*.log")
    written = log.stat().st_mtime_ns
    again = supervisor.execute(request)
    assert "to try again now: bench env build" in again.error_message
    assert log.stat().st_mtime_ns == written
