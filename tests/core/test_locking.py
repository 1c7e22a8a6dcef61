"""Locks between real processes, some of which are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchbench.locking import LockTimeout, exclusive, shared, try_lock, unlock, wait_for_lock

# holds a lock until it is killed, or until its standard input is closed
HOLDER = """
import sys
from pathlib import Path
from benchbench import locking
kind, place = sys.argv[1], Path(sys.argv[2])
if kind == "file":
    file = place.open("ab")
    locking.wait_for_lock(file)
    print("held", flush=True)
    sys.stdin.read()
else:
    with getattr(locking, kind)(place, 10.0):
        print("held", flush=True)
        sys.stdin.read()
"""
# takes and gives back the shared lock of a folder, over and over
READER = """
import sys, time
from pathlib import Path
from benchbench.locking import shared
print("ready", flush=True)
while True:
    with shared(Path(sys.argv[1]), 60.0):
        time.sleep(0.05)
"""

Start = Callable[..., "subprocess.Popen[str]"]
Lock = Callable[[Path, float], AbstractContextManager[None]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a script, wait for its first line, and leave none running."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-c", script, *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() in ("held\n", "ready\n")
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_writer_is_alone_and_readers_share(tmp_path: Path) -> None:
    with shared(tmp_path, 1.0), shared(tmp_path, 0.0), pytest.raises(LockTimeout), exclusive(tmp_path, 0.05):
        pass
    with exclusive(tmp_path, 0.0):
        for kind in (shared, exclusive):
            with pytest.raises(LockTimeout), kind(tmp_path, 0.05):
                pass
    with exclusive(tmp_path, 0.0):
        pass


@pytest.mark.parametrize(("held", "wanted"), [("shared", exclusive), ("exclusive", shared), ("exclusive", exclusive)])
def test_the_lock_of_a_folder_ends_with_a_killed_process(tmp_path: Path, start: Start, held: str, wanted: Lock) -> None:
    process = start(HOLDER, held, tmp_path)
    with pytest.raises(LockTimeout), wanted(tmp_path, 0.1):
        pass
    process.send_signal(signal.SIGKILL)
    with wanted(tmp_path, 10.0):
        pass


def test_the_lock_of_a_file_ends_with_a_killed_process(tmp_path: Path, start: Start) -> None:
    process = start(HOLDER, "file", tmp_path / "one.lock")
    with (tmp_path / "one.lock").open("ab") as file:
        assert not try_lock(file)
        with pytest.raises(LockTimeout):
            wait_for_lock(file, deadline=time.monotonic() + 0.1)
        process.send_signal(signal.SIGKILL)
        wait_for_lock(file, deadline=time.monotonic() + 10)


def test_readers_that_follow_each_other_do_not_starve_a_writer(tmp_path: Path, start: Start) -> None:
    for _ in range(3):
        start(READER, tmp_path)
    for _ in range(3):
        with exclusive(tmp_path, 10.0):
            pass


def test_what_is_called_after_a_pause_may_end_the_waiting(tmp_path: Path, start: Start) -> None:
    start(HOLDER, "file", tmp_path / "one.lock")
    calls = []

    def watch() -> None:
        calls.append(time.monotonic())
        if len(calls) == 3:
            raise InterruptedError

    with (tmp_path / "one.lock").open("ab") as file, pytest.raises(InterruptedError):
        wait_for_lock(file, watch)
    assert len(calls) == 3


def test_unlocking_takes_the_lock_from_whoever_inherited_it(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with path.open("ab") as file, path.open("ab") as other:
        os.set_inheritable(file.fileno(), True)
        assert try_lock(file)
        heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
        try:
            unlock(file)
            assert try_lock(other)
        finally:
            heir.kill()
            heir.communicate()


def test_a_folder_that_takes_no_lock_files_is_read_without_and_not_written(tmp_path: Path) -> None:
    with shared(tmp_path / "missing", 0.0):
        pass
    with pytest.raises(OSError, match="missing"), exclusive(tmp_path / "missing", 0.0):
        pass
