"""Locks on files, for which the processes of one machine wait; they are advisory (`flock`).

Each ends with the process that holds it, however that ends. There are two kinds: the lock of one
open file (who builds an environment, a data set, shared training), and the lock of a folder, which
one writer holds alone or any number of readers share (the results database, since DuckDB refuses a
second process at once).

Notes
-----
`filelock` 4.2 would replace three lines of this module: its `lock_descriptor` is `try_lock`,
exclusive only. `FileLock` has no shared mode and does not give its descriptor, which a build hands
to the installer so that the lock outlives a killed builder. `ReadWriteLock` is a transaction of
SQLite. Uncontended, measured on one machine: `FileLock` takes 0.22 ms, `ReadWriteLock` 0.46 ms to
read and 0.56 ms to write, either lock of a folder here 0.04 ms; importing `filelock` takes 28 ms.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

__all__ = ["LockTimeout", "exclusive", "shared", "try_lock", "unlock", "wait_for_lock"]

FIRST_PAUSE_SECONDS = 0.001
LONGEST_PAUSE_SECONDS = 0.5
# holders of a folder's lock are done in some 20 ms
_LONGEST_FOLDER_PAUSE_SECONDS = 0.02


class LockTimeout(Exception):
    """Another process held the lock for longer than the caller would wait."""


def try_lock(file: IO[bytes] | int, *, is_shared: bool = False) -> bool:
    """Take the lock of an open file or descriptor if others allow it; return whether it was taken."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(
    file: IO[bytes] | int,
    after_pause: Callable[[], None] | None = None,
    *,
    is_shared: bool = False,
    deadline: float = float("inf"),
    longest_pause: float = LONGEST_PAUSE_SECONDS,
) -> None:
    """Take the lock of an open file or descriptor as soon as others allow it.

    Parameters
    ----------
    file : binary file or int
    after_pause : callable, optional
        Called after every pause; what it raises ends the waiting.
    is_shared : bool
        Others may share the lock.
    deadline : float
        When to give up, in seconds of `time.monotonic`; by default never.
    longest_pause : float
        Between two attempts, in seconds; the first pause is of 1 ms, each one twice the last.

    Raises
    ------
    LockTimeout
        If the deadline has passed.
    """
    pause = FIRST_PAUSE_SECONDS
    # not one blocking call, so that a signal handler of Python's can run
    while not try_lock(file, is_shared=is_shared):
        if time.monotonic() >= deadline:
            raise LockTimeout
        time.sleep(pause)
        if after_pause is not None:
            after_pause()
        pause = min(2 * pause, longest_pause)


def unlock(file: IO[bytes] | int) -> None:
    """Give the lock back: closing the file alone would leave it with any process that has inherited it."""
    fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def exclusive(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of a folder alone.

    Raises
    ------
    LockTimeout
    OSError
        If the lock files cannot be made.
    """
    deadline = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        _lock_folder(stack, folder, deadline, is_shared=False)
        yield


@contextmanager
def shared(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Share the lock of a folder with other readers.

    No lock is taken where its files are missing and cannot be made (read-only media).

    Raises
    ------
    LockTimeout
    """
    deadline = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        try:
            _lock_folder(stack, folder, deadline, is_shared=True)
        except OSError:
            stack.close()
        yield


def _lock_folder(stack: ExitStack, folder: Path, deadline: float, *, is_shared: bool) -> None:
    """Take the lock until the stack unwinds.

    All pass a turnstile first, which a waiting writer keeps closed: a stream of readers cannot starve it.
    """
    turn = stack.enter_context(_locked(folder / "turn.lock", deadline, is_shared))
    stack.enter_context(_locked(folder / "main.lock", deadline, is_shared))
    unlock(turn)


@contextmanager
def _locked(path: Path, deadline: float, is_shared: bool) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        wait_for_lock(handle, is_shared=is_shared, deadline=deadline, longest_pause=_LONGEST_FOLDER_PAUSE_SECONDS)
        yield handle
    finally:
        os.close(handle)
