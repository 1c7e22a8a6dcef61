"""`bench env`: says what is ready and what is not, and ends with 1 where something is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import InputError
from benchbench.execution import environments, installing
from benchbench.registry import get_method

Bench = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setattr(installing, "_pip_settings", dict)


def leave(method: str) -> Path:
    """Leave a folder like that of an environment, with nothing in it that runs."""
    folder = environments.wanted(get_method(method)).folder
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/bin/true")
    facts = {"versions": {}, "python_version": "3", "seconds": 2.0, "created_at": 1e9, "n_bytes": 2**20}
    (folder / environments.MANIFEST).write_text(json.dumps(facts))
    return folder


def test_list(bench: Bench) -> None:
    states = {row["method"]: row["state"] for row in json.loads(bench("env", "list", "--format", "json"))}
    assert states["wrapped"] == "not built"
    leave("wrapped")
    (row,) = json.loads(bench("env", "list", "wrapped", "--format", "json"))
    assert (row["state"], row["bytes"], row["environment"]) == ("ready", 2**20, "wrapped")
    line = next(line for line in bench("env", "list").splitlines() if line.startswith("wrapped"))
    assert line.split()[3:6] == ["ready", "1", "1"]


def test_a_failed_build_is_told_and_others_go_on(bench: Bench) -> None:
    leave("wrapped")
    said = bench("env", "build", "unbuildable,wrapped", "--quiet", raises=SystemExit)
    assert "benchbench-toy==99.0" in said
    assert [line.split()[3] for line in said.splitlines()[2:4]] == ["failed", "ready"]
    assert "failed" in bench("env", "list", "unbuildable")


def test_verify(bench: Bench) -> None:
    assert "not built" in bench("env", "verify", "wrapped", raises=SystemExit)
    leave("wrapped")
    said = bench("env", "verify", "wrapped", raises=SystemExit)
    assert "pandas is missing, pinned 3.1.1" in said
    assert "the adapter cannot be imported there: InterpreterDiedError" in said


def test_remove(bench: Bench, tmp_path: Path) -> None:
    folder = leave("wrapped")
    old = tmp_path / "environments" / "old" / "0123"
    old.mkdir(parents=True)
    assert "unused" in bench("env", "list")
    assert bench("env", "remove", "--unused").startswith("removed 1 environments")
    assert folder.exists()
    assert not old.exists()
    assert bench("env", "remove", "wrapped") == "removed 1 environments, 1 MiB\n"
    assert not folder.exists()
    for arguments in ([], ["wrapped", "--all"]):
        bench("env", "remove", *arguments, raises=InputError)


def test_methods_without_an_environment_are_refused(bench: Bench) -> None:
    bench("env", "build", "noop", raises=InputError)
