"""`bench dashboard` and `bench sample`: what they start, and what they refuse."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from benchbench.cli import dashboard, sample
from benchbench.errors import InputError
from benchbench.registry import methods
from benchbench.results.store import Store
from benchbench.suite_files import find_suite

Bench = Callable[..., str]


def test_it_listens_on_this_machine_alone_and_asks_nobody(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    Store(tmp_path / "results.duckdb").open_for_writing()
    bench("dashboard", "--db", tmp_path / "results.duckdb", "--port", free_port())
    ((program, command, environment),) = started
    assert program == sys.executable
    assert "--server.address=127.0.0.1" in command
    assert "--browser.gatherUsageStats=false" in command
    assert environment["BENCHBENCH_DB"] == str(tmp_path / "results.duckdb")
    script = Path(next(part for part in command if part.endswith(".py")))
    # Streamlit puts the script's folder on the path of modules: nothing else may be importable from there
    assert {p.name for p in script.parent.glob("*.py")} == {"__init__.py", "main.py"}


def test_streamlit_knows_every_flag() -> None:
    from streamlit import config

    known = config.get_config_options(force_reparse=True)
    assert [name for name in dashboard.FLAGS if name not in known] == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.8.8.8", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert dashboard.is_loopback(host) == expected


def test_other_machines_are_warned_of(tmp_path: Path) -> None:
    code = "import os; os.execve = lambda *a: None; from benchbench.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "dashboard", "--host", "0.0.0.0", "--port", str(free_port())],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert "other machines can connect to" in done.stderr
    assert "without a password" in done.stderr


def test_a_port_that_is_taken_and_a_host_that_is_none(bench: Bench, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="choose another with --port"):
            dashboard.check_free("127.0.0.1", port)
    with pytest.raises(InputError, match="is not an address of this machine"):
        dashboard.check_free("no such host.invalid", port)
    bench("dashboard", "--db", tmp_path, raises=InputError)
    bench("dashboard", "--db", tmp_path / "mistyped.duckdb", raises=InputError)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_samples_runs_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbench.cli.common import split_list

    known = {n: e.card for n, e in methods().items()} | sample_cards()
    plan = sample.chosen_runs()
    assert len({one["suite"] for one in plan}) == len(plan) >= 4
    assert len({find_suite(one["suite"]).track for one in plan}) >= 3
    for one in plan:
        arguments = one["arguments"]
        for name in split_list([arguments[arguments.index("--method") + 1]]):
            assert known[name].track == find_suite(one["suite"]).track, name
    with pytest.raises(InputError, match="the sample has no run"):
        sample.chosen_runs(["nonsense"])


def sample_cards() -> dict[str, Any]:
    from benchbench.cli.automl_sample_methods import BestSubset, NewtonLogistic

    return {cls.card.name: cls.card for cls in (BestSubset, NewtonLogistic)}


def test_the_samples_methods_are_those_of_the_user_and_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(files("benchbench.cli") / "automl_sample_methods.py")
    monkeypatch.setenv("BENCHBENCH_METHODS", "mine.py")
    assert sample._environment()["BENCHBENCH_METHODS"].split(os.pathsep) == ["mine.py", own]
    monkeypatch.setenv("BENCHBENCH_METHODS", own)
    assert sample._environment()["BENCHBENCH_METHODS"] == own


@pytest.mark.slow
def test_a_sample_holds_failures_timeouts_and_declined_trials(tmp_path: Path) -> None:
    database = tmp_path / "sample.duckdb"
    command = [sys.executable, "-P", "-m", "benchbench", "sample", str(database), "--suite", "tabular", "--quiet"]
    subprocess.run(command, check=True)
    store = Store(database)
    (run,) = store.runs()
    assert {"ok", "failed", "timeout", "declined"} <= set(run["outcomes"])
    # what is recorded is not run again
    subprocess.run(command, check=True)
    assert len(store.runs()) == 1
