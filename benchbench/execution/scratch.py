"""The size of a trial's scratch folder, and its limit on this host."""

from __future__ import annotations

import math
import os
import time

from benchbench.errors import InputError

__all__ = ["LIMIT_VARIABLE", "ScratchWatch", "limit_mib"]

LIMIT_VARIABLE, LIMIT_MIB = "BENCHBENCH_SCRATCH_LIMIT_MIB", 10_240.0
LEAST_SECONDS = 1.0
# at most this share of the time is spent on looking
SHARE = 0.05


def limit_mib() -> float:
    """Return the limit in MiB: `BENCHBENCH_SCRATCH_LIMIT_MIB`, else 10 GiB.

    Raises
    ------
    InputError
        If the variable is not a positive number.
    """
    given = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(given) if given else LIMIT_MIB
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise InputError(f"{LIMIT_VARIABLE} is {given!r}, expected MiB, more than 0")
    return limit


class ScratchWatch:
    """Looks at a folder now and then; more rarely if that takes long."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._next = time.monotonic() + LEAST_SECONDS

    def used_mib(self) -> float:
        """Return the folder's size on disk, or 0 if it is not yet time to look."""
        now = time.monotonic()
        if now < self._next:
            return 0.0
        used = _size(self.folder) / 2**20
        took = time.monotonic() - now
        self._next = now + max(LEAST_SECONDS, took / SHARE)
        return used


def _size(folder: str) -> int:
    total, waiting = 0, [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
            except OSError:
                continue
    return total
