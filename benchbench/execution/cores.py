"""The processors of a trial: as many as its budget has threads, and not those of another trial.

Workers do not know of each other, so each processor of a host has a file that the zygote of a
running trial locks. Where too few processors are free (more trials than processors, or locks that
cannot be had), a trial may run on all that its worker may use, and a remark says if it used more
than its budget.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["Cores", "excess"]

# processor time beyond the budget that is no remark: of the harness, and of clocks that tick
TOLERATED_SHARE, TOLERATED_SECONDS = 1.1, 0.5


class Cores:
    """Processors that are locked until `free` is called, or this process ends.

    Parameters
    ----------
    n : int
        How many are wanted.

    Attributes
    ----------
    numbers : tuple of int
        Those that are locked; none if fewer than `n` were free.
    """

    def __init__(self, n: int) -> None:
        self.fds: list[int] = []
        self.numbers: tuple[int, ...] = ()
        allowed = sorted(os.sched_getaffinity(0))
        folder = _folder()
        if folder is None or n > len(allowed):
            return
        found = []
        for number in allowed:
            fd = _locked(folder / str(number))
            if fd is not None:
                self.fds.append(fd)
                found.append(number)
            if len(found) == n:
                self.numbers = tuple(found)
                return
        self.free()

    def free(self) -> None:
        """Unlock them; in a fork, close the descriptors that it inherited."""
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()


def _folder() -> Path | None:
    """Return the folder of the locks; None if it is not this user's own."""
    folder = Path(tempfile.gettempdir()) / f"benchbench-cores-{os.getuid()}"
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    return folder if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() else None


def _locked(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def excess(threads: int, cpu_seconds: float, wall_seconds: float) -> str:
    """Return the remark that a trial used more processors than its budget has, or ""."""
    if cpu_seconds <= threads * wall_seconds * TOLERATED_SHARE + TOLERATED_SECONDS:
        return ""
    used = cpu_seconds / wall_seconds
    return f"used {used:.2f} processors on average; its budget has {threads}"
