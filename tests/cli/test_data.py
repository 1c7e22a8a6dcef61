"""`bench data`: what is missing is made ready, failures are told at the end, damage is found and mended."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from benchbench import registry
from benchbench.cli.main import app
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import BenchbenchError, DataMissingError, InputError, StoreError
from benchbench.suites._prepared import Built, find, folder_of, prepare

SUITE = """
name = "numbers"
version = "1"
track = "fewshot"
title = "Some numbers"
[scores]
baseline = "pixel_nn"
reference = "maml"
[presets.quick]
test_units = 4
[[tasks]]
name = "one"
loader = "numbers"
options = { number = 1 }
[[tasks]]
name = "two"
loader = "numbers"
options = { number = 2 }
[[tasks]]
name = "three"
loader = "numbers"
options = { number = 3 }
"""


class NumbersLoader(TaskLoader):
    """An array a task, and an original of the same content; what `broken` says happens instead."""

    name = "numbers"
    track = "fewshot"

    def __init__(self) -> None:
        self.broken: dict[int, BaseException] = {}
        self.made: list[int] = []

    def check(self, options: Mapping[str, Any]) -> None:
        if "number" not in options:
            raise InputError("no number")

    def info(self, name: str, options: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        prepare("numbers", options, lambda: self._build(options, progress), progress)

    def mirror(self, options: Mapping[str, Any], progress: Progress) -> None:
        prepare("numbers-originals", options, lambda: self._build(options, progress), progress)
        self.prepare(options, progress)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        return find("numbers", options).content

    def load(self, name: str, options: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def warnings(self, options: Mapping[str, Any]) -> Sequence[str]:
        return ["an even number", *find("numbers", options).manifest["files"]] if options["number"] == 2 else []

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        kept = folder_of("numbers-originals", options)
        return [folder_of("numbers", options), *([kept] if kept.exists() else [])]

    def _build(self, options: Mapping[str, Any], progress: Progress) -> Built:
        number = options["number"]
        progress(f"making {number}")
        self.made.append(number)
        if number in self.broken:
            raise self.broken[number]
        content = {"note.txt": lambda path: path.write_text(f"{number}\n")}
        return Built(arrays={"a": np.full(1000, number)}, files=content, notes={"source": "thin air"})


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NumbersLoader:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    loader = NumbersLoader()
    monkeypatch.setattr(registry, "_scan_loaders", lambda *_: {"numbers": loader})
    return loader


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "numbers.toml"
    path.write_text(SUITE)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", *arguments])


def rows(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*arguments, "--format", "json").stdout)
    return found


def test_fetch_then_list_then_verify(loader: NumbersLoader, suite: str) -> None:
    assert [row["state"] for row in rows("list", "--suite", suite)] == ["missing"] * 3
    done = run("fetch", "--suite", suite)
    assert (done.exit_code, done.stdout) == (0, "numbers: 3 of 3 tasks are ready\n")
    assert "  making 2" in done.stderr
    assert re.search(r"^\[1/3\] one: ready \(\d s\), about \d s left$", done.stderr, re.MULTILINE)
    assert re.search(r"^\[3/3\] three: ready \(\d s\)$", done.stderr, re.MULTILINE)
    listed = rows("list", "--suite", suite)
    assert [(row["task"], row["state"], row["source"]) for row in listed] == [
        (name, "ready", "thin air") for name in ("one", "two", "three")
    ]
    # prepared and original, an array and a file each
    assert listed[0]["bytes"] == 2 * (8000 + 128 + 2)
    assert [row["warnings"] for row in listed] == [[], ["an even number", "note.txt"], []]
    assert run("list", "--suite", suite).stdout.splitlines()[-3:] == [
        "3 of 3 tasks are ready, 0.0 MiB in all",
        "warning: two: an even number",
        "warning: two: note.txt",
    ]
    verified = run("verify", "--suite", suite)
    assert (verified.exit_code, verified.stdout) == (0, "6 folders ok, 0 folders damaged, 0 folders missing\n")
    assert (run("fetch", "--suite", suite, "--quiet").stderr, sorted(loader.made)) == ("", [1, 1, 2, 2, 3, 3])


def test_fetch_chosen_tasks_as_json(loader: NumbersLoader, suite: str) -> None:
    assert [(r["task"], r["state"]) for r in rows("fetch", "--suite", suite, "--task", "three,one")] == [
        ("three", "ready"),
        ("one", "ready"),
    ]
    assert [row["state"] for row in rows("list", "--suite", suite)] == ["ready", "missing", "ready"]


@pytest.mark.parametrize(("error", "code"), [(DataMissingError("no network"), 2), (StoreError("disk is on fire"), 1)])
def test_fetch_goes_on_after_a_failure(loader: NumbersLoader, suite: str, error: BenchbenchError, code: int) -> None:
    loader.broken = {1: error, 3: DataMissingError("not there either")}
    done = run("fetch", "--suite", suite)
    assert (done.exit_code, done.stdout) == (code, "numbers: 1 of 3 tasks are ready\n")
    assert done.stderr.splitlines()[-2:] == [f"failed: one: {error}", "failed: three: not there either"]
    loader.broken, loader.made = {}, []
    assert run("fetch", "--suite", suite).exit_code == 0
    assert set(loader.made) == {1, 3}


def test_an_interrupted_fetch_is_resumed(loader: NumbersLoader, suite: str) -> None:
    loader.broken = {2: KeyboardInterrupt()}
    done = run("fetch", "--suite", suite)
    assert done.exit_code == 130
    assert "1 of 3 tasks are done; run the same command to continue" in done.stderr
    loader.broken, loader.made = {}, []
    assert run("fetch", "--suite", suite).exit_code == 0
    assert set(loader.made) == {2, 3}


@pytest.mark.parametrize("folder", ["numbers", "numbers-originals"])
@pytest.mark.parametrize("name", ["a.npy", "note.txt", "manifest.json"])
def test_damage_is_found_and_mended(loader: NumbersLoader, suite: str, folder: str, name: str) -> None:
    run("fetch", "--suite", suite)
    path = folder_of(folder, {"number": 2}) / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    done = run("verify", "--suite", suite)
    assert done.exit_code == 1
    assert "5 folders ok, 1 folders damaged, 0 folders missing" in done.stdout
    assert str(path) in done.stdout
    command = f"bench data fetch --suite {suite} --task two"
    assert command in done.stderr
    bad = [row for row in rows("verify", "--suite", suite) if row["problem"]]
    assert [(row["tasks"], row["state"], row["folder"]) for row in bad] == [(["two"], "damaged", str(path.parent))]
    assert run(*command.split()[2:]).exit_code == 0
    assert run("verify", "--suite", suite).exit_code == 0


def test_verify_tells_what_is_missing(loader: NumbersLoader, suite: str) -> None:
    run("fetch", "--suite", suite, "--task", "one")
    done = run("verify", "--suite", suite)
    assert done.exit_code == 1
    assert "2 folders ok, 0 folders damaged, 2 folders missing" in done.stdout
    assert "--task two,three" in done.stderr


def test_all_suites(loader: NumbersLoader, suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbench.suite_files.list_suites", lambda: {suite: Path(suite)})
    assert [(row["suite"], row["task"]) for row in rows("list")] == [("numbers", n) for n in ("one", "two", "three")]
    assert isinstance(run("list", "--task", "one").exception, InputError)
    assert run("fetch").exit_code == 2


def test_a_task_that_cannot_be_used_hides_no_other(loader: NumbersLoader, suite: str) -> None:
    Path(suite).write_text(SUITE.replace("number = 2", "digit = 2"))
    done = run("fetch", "--suite", suite)
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, "failed: two: no number")
    assert [row["state"] for row in rows("list", "--suite", suite)] == ["ready", "unusable", "ready"]
    assert run("list", "--suite", suite).stdout.splitlines()[-1] == "unusable: two: no number"
    done = run("verify", "--suite", suite)
    assert done.exit_code == 1
    assert "no number" in done.stdout
    assert "4 folders ok" in done.stdout


@pytest.mark.parametrize("suite", ["fewshot", "omniglot", "crossdomain", "cifar-fs", "miniimagenet"])
def test_shipped_loaders_tell_their_folders(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbench.suite_files import find_suite

    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    task = find_suite(suite).tasks[0]
    folders = registry.get_loader(task.loader).folders(task.options)
    assert folders
    assert all(tmp_path in folder.parents for folder in folders)
    assert run("verify", "--suite", suite, "--task", task.name).exit_code == 1
