"""Who may touch the database file: one writer alone, or any number of readers.

DuckDB refuses a second process at once, without waiting. These locks make processes wait for each other instead. They are
advisory (`flock`), vanish with the process that holds them, and are fair to writers: whoever wants in first passes a
turnstile, which a waiting writer keeps closed, so that a stream of readers cannot starve it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["LockTimeout", "exclusive", "shared"]

# poll intervals, seconds: quick at first, since most holders are done in some 20 ms
_FIRST_POLL, _LAST_POLL = 0.001, 0.02


class LockTimeout(Exception):
    """The lock was not to be had in the time given."""


@contextmanager
def exclusive(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the write lock of `folder`.

    Raises
    ------
    LockTimeout
    OSError
        If the lock files cannot be made.
    """
    deadline = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        turn = stack.enter_context(_flock(folder / "turn.lock", fcntl.LOCK_EX, deadline))
        stack.enter_context(_flock(folder / "main.lock", fcntl.LOCK_EX, deadline))
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield


@contextmanager
def shared(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Hold a read lock of `folder`; without effect where lock files are absent and cannot be made (read-only media).

    Raises
    ------
    LockTimeout
    """
    deadline = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        try:
            turn = stack.enter_context(_flock(folder / "turn.lock", fcntl.LOCK_SH, deadline))
            stack.enter_context(_flock(folder / "main.lock", fcntl.LOCK_SH, deadline))
        except OSError:
            yield
            return
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield


@contextmanager
def _flock(path: Path, mode: int, deadline: float) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pause = _FIRST_POLL
        while True:
            try:
                fcntl.flock(handle, mode | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LockTimeout(str(path)) from None
            time.sleep(pause)
            pause = min(pause * 2, _LAST_POLL)
        yield handle
    finally:
        os.close(handle)
