"""Advisory file locks (`flock`) between the processes of one machine.

A lock ends with the process that holds it, however that process ends. There are two kinds: the lock
of one open file (for building an environment, a data set or shared training), and the lock of a
folder, which one writer holds alone or any number of readers share (for the results database, since
DuckDB refuses a second process at once).

Notes
-----
`filelock` 4.2 was considered: its `FileLock` has no shared mode and hides its descriptor, which a
build hands to the installer so that the lock outlives a killed builder. Its `ReadWriteLock` is a
transaction of SQLite, ten times as slow as the lock of a folder here.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

__all__ = ["LockTimeout", "exclusive", "locked", "shared", "try_lock", "unlock", "wait_for_lock"]

FIRST_PAUSE_SECONDS = 0.001
LONGEST_PAUSE_SECONDS = 0.5
# most holders of a folder's lock release it within 20 ms
_LONGEST_FOLDER_PAUSE_SECONDS = 0.02


class LockTimeout(Exception):
    """Another process held the lock for longer than the caller would wait."""


def try_lock(file: IO[bytes] | int, *, is_shared: bool = False) -> bool:
    """Try to lock an open file or descriptor without waiting; return whether that succeeded."""
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
    """Lock an open file or descriptor; wait while others hold the lock.

    Parameters
    ----------
    file : binary file or int
    after_pause : callable, optional
        Called after every pause; an exception that it raises ends the wait.
    is_shared : bool
        Whether others may share the lock.
    deadline : float
        When to give up, in seconds of `time.monotonic`; by default never.
    longest_pause : float
        Longest pause between two attempts, in seconds; the first pause takes 1 ms, each next one
        twice the last.

    Raises
    ------
    LockTimeout
        If the deadline has passed.
    """
    pause = FIRST_PAUSE_SECONDS
    # not one blocking call, so that Python's signal handlers can run
    while not try_lock(file, is_shared=is_shared):
        if time.monotonic() >= deadline:
            raise LockTimeout
        time.sleep(pause)
        if after_pause is not None:
            after_pause()
        pause = min(2 * pause, longest_pause)


def unlock(file: IO[bytes] | int) -> None:
    """Release the lock; closing the file would leave it with processes that inherited it."""
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

    No lock is taken where its files are missing and cannot be created (read-only media).

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

    Everybody passes a turnstile first, which a waiting writer keeps closed: a stream of readers
    cannot starve the writer.
    """
    turn = stack.enter_context(locked(folder / "turn.lock", deadline, is_shared))
    stack.enter_context(locked(folder / "main.lock", deadline, is_shared))
    unlock(turn)


@contextmanager
def locked(path: Path, deadline: float, is_shared: bool) -> Iterator[int]:
    """Hold the lock of a file, made if missing, until a deadline of `time.monotonic`.

    Raises
    ------
    LockTimeout
    OSError
        If the file cannot be made.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        wait_for_lock(handle, is_shared=is_shared, deadline=deadline, longest_pause=_LONGEST_FOLDER_PAUSE_SECONDS)
        yield handle
    finally:
        os.close(handle)
