"""Data are prepared in a process of their own: whatever happens there concerns one task."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

from benchbench.cluster.preparing import Preparation, Preparer, known_fingerprint
from benchbench.registry import get_loader
from benchbench.suite_files import TaskSpec, find_suite


def task(loader: str, **options: Any) -> TaskSpec:
    return TaskSpec(name=f"a task of {loader}", loader=loader, options=options)


LETTERS, WAVES = task("glyphs", way=5, shot=1, query=3), task("sinusoid", shot=10)
PHOTOGRAPHS = next(t for t in find_suite("miniimagenet").tasks)


def wait_for(preparer: Preparer, found: list[Preparation], n: int) -> None:
    until = time.monotonic() + 120
    while len(found) < n and time.monotonic() < until:
        found += preparer.poll(0.5)
    assert len(found) >= n, found


def helpers() -> list[Any]:
    return [process for process in active_children() if process.name == "benchbench-prepare"]


def test_a_killed_process_and_missing_data_are_failures_of_their_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path / "data"))
    assert known_fingerprint(LETTERS) is None
    found: list[Preparation] = []
    with Preparer([LETTERS, PHOTOGRAPHS, WAVES]) as preparer:
        assert preparer.n_left == 3
        # it has begun, and says that it reads the letters
        wait_for(preparer, found, 2)
        (helper,) = helpers()
        os.kill(helper.pid, signal.SIGKILL)
        while preparer.n_left:
            wait_for(preparer, found, len(found) + 1)
    assert helpers() == []
    ended = [news for news in found if news.failure or news.fingerprint]
    assert [news.task for news in ended] == [LETTERS, PHOTOGRAPHS, WAVES]
    crashed, missing, ready = ended
    assert str(crashed.failure) == "PreparationCrashed: the process that prepared the data was killed by SIGKILL"
    assert missing.failure is not None
    assert (missing.failure.error_type, missing.failure.is_input) == ("DataMissingError", True)
    assert ready.fingerprint == get_loader("sinusoid").fingerprint(WAVES.options) == known_fingerprint(WAVES)
    # nothing but the remains of the killed process, which the next one removes
    assert not list(tmp_path.glob("cache/*/*/manifest.json"))


def test_leaving_stops_what_is_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    found: list[Preparation] = []
    with Preparer([LETTERS, WAVES]) as preparer:
        wait_for(preparer, found, 2)
    assert helpers() == []
    assert preparer.poll(0.1) == []
    assert not list(tmp_path.glob("glyphs/.tmp-*"))
