"""Locks on files that processes of one machine wait for; they end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from typing import IO

__all__ = ["try_lock", "unlock", "wait_for_lock"]

POLL_SECONDS = (0.02, 0.5)
"""First and longest pause between two looks at a lock that another process holds."""


def try_lock(file: IO[bytes]) -> bool:
    """Take the exclusive lock of an open file if nobody else has it; say whether it was to be had."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(file: IO[bytes], after_pause: Callable[[], None] | None = None) -> None:
    """Take the exclusive lock of an open file, however long that takes.

    Parameters
    ----------
    file : binary file
    after_pause : callable, optional
        Called after every pause; what it raises ends the waiting.
    """
    pause = POLL_SECONDS[0]
    # not one blocking call, so that a signal handler of Python's can run
    while not try_lock(file):
        time.sleep(pause)
        if after_pause is not None:
            after_pause()
        pause = min(1.5 * pause, POLL_SECONDS[1])


def unlock(file: IO[bytes]) -> None:
    """Give the lock back: closing the file alone would leave it with any process that has inherited it."""
    fcntl.flock(file, fcntl.LOCK_UN)
