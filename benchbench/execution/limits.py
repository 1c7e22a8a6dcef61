"""Process trees, read from `/proc`: their descendants, their memory, and how to end them.

Only Linux is supported: the guarantees rest on child subreapers, pidfds and `/proc`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from benchbench.execution.shared_memory import SharedMemory

__all__ = [
    "become_subreaper",
    "collapse_memory",
    "descendants",
    "die_with_parent",
    "fork_with_keeper",
    "kill",
    "kill_marked",
    "reap",
    "tree_memory_mib",
]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MADV_COLLAPSE = 25
# scans of /proc without a marked process: so many in a row, or so many in all where other processes
# come and go
CALM_ROUNDS, QUIET_ROUNDS = 2, 60
HUGE = 2 * 2**20
LARGE_FILES_MIB = 16.0

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Make this process, not init, the parent of its orphaned descendants."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the *thread* that forked it ends.

    Call it first after a fork.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def fork_with_keeper(fd: int) -> None:
    """Fork and return in the child only; its parent becomes its keeper.

    If the child ends, the keeper ends every descendant that is left, whatever its environment or
    session, and then ends as the child did. Call it before anything large is imported, and before
    any thread is started.

    Parameters
    ----------
    fd : int
        Descriptor that only the child keeps: others wait for its end.
    """
    become_subreaper()
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent(keeper)
        return
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    reap(keeper, 0.0)
    if os.WIFSIGNALED(status):
        # SIGKILL at the latest ends it
        for sign in (os.WTERMSIG(status), signal.SIGKILL):
            os.kill(keeper, sign)
    os._exit(os.waitstatus_to_exitcode(status))


def descendants(root: int) -> list[int]:
    """Return the process ids of all living descendants of `root`, children before grandchildren."""
    found: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208, hot path
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123, hot path
                    children = [int(c) for c in file.read().split()]
            except OSError:
                continue
            found += children
            waiting += children
    return found


def tree_memory_mib(pids: list[int], limit_mib: float, exact: bool = False, files: SharedMemory | None = None) -> float:
    """Return the memory of these processes in MiB: an upper bound below the limit, else exact.

    Files in memory count whether they are mapped or not, and their mapped pages once.

    The bound counts every anonymous and shared-memory page of each process, so pages that a forked
    child shares with its zygote count twice. The exact figure is proportional (`Pss`): shared pages
    count once, memory-mapped files not at all. It walks page tables, which takes milliseconds for
    large processes.
    """
    files_mib = 0.0 if files is None else files.files_mib(pids)
    bound = files_mib + sum(_resident_mib(pid) for pid in pids)
    if not exact and bound <= limit_mib:
        return bound
    total = files_mib + sum(_proportional_mib(pid) for pid in pids)
    if files is None or files_mib < LARGE_FILES_MIB:
        return total
    return total - min(files_mib, files.mapped_mib(pids))


def _resident_mib(pid: int) -> float:
    return _sum_mib(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:"))


def _proportional_mib(pid: int) -> float:
    return _sum_mib(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:"))


def _sum_mib(path: str, fields: tuple[bytes, ...]) -> float:
    """Return the sum of these fields (kB) of a file of `/proc`; 0 if the process is gone."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123, hot path
            return sum(int(line.split()[1]) for line in file if line.startswith(fields)) / 1024
    except (OSError, ValueError):
        return 0.0


def reap(root: int, grace_seconds: float) -> int:
    """End every descendant of `root` (this process): SIGTERM, after the grace SIGKILL.

    Returns how many there were, once none is left. Orphans are children of `root` if it is a
    subreaper, so nothing escapes by `setsid` or by forking twice.
    """
    seen: set[int] = set()
    until = time.monotonic() + grace_seconds
    sign = signal.SIGTERM if grace_seconds > 0 else signal.SIGKILL
    signalled: set[tuple[int, int]] = set()
    pause = 0.0005
    while True:
        _wait_all()
        living = descendants(root)
        if not living:
            return len(seen)
        seen.update(living)
        if time.monotonic() >= until:
            sign = signal.SIGKILL
        for pid in living:
            # SIGTERM once each; SIGKILL repeatedly, since a process may fork between two scans
            if sign == signal.SIGKILL or (pid, sign) not in signalled:
                signalled.add((pid, sign))
                kill(pid, sign)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _wait_all() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def kill(pid: int, sign: int = signal.SIGKILL) -> None:
    """Send a signal, if the process still exists."""
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def kill_marked(mark: str) -> int:
    """SIGKILL every process whose initial environment holds `mark` ("NAME=value"); return how many.

    It finds the descendants of a killed zygote: forked children and the programs that they start
    have its environment, whatever their parent is now.
    """
    needle = mark.encode()
    killed: set[int] = set()
    blank: set[int] = set()
    calm = quiet = 0
    # a killed process may take long to end on a busy machine; what it forked meanwhile appears only
    # in the next round
    for _ in range(600):
        environs = {pid: _environ(pid) for pid in _all_pids() if pid != os.getpid()}
        living = [pid for pid, environ in environs.items() if needle in environ.split(b"\x00")]
        killed.update(living)
        for pid in living:
            kill(pid, signal.SIGKILL)
        # a process with an empty environment may be a zombie or the kernel's, but also one that is
        # just starting a program, or that forked after /proc was listed and ended before it was
        # read: each one that is new needs another scan
        before, blank = blank, {pid for pid, environ in environs.items() if not environ}
        quiet = 0 if living else quiet + 1
        calm = 0 if living or blank - before else calm + 1
        if calm >= CALM_ROUNDS or quiet >= QUIET_ROUNDS:
            break
        time.sleep(0.005)
    return len(killed)


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208, hot path


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def collapse_memory() -> None:
    """Ask the kernel to back this process's heap with huge pages, so that forks are cheaper.

    A fork then copies fewer page-table entries. Needs Linux 6.1; elsewhere it changes nothing.
    """
    _libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        parts = line.split()
        is_anonymous = len(parts) == 5 or parts[5] == "[heap]"
        if not is_anonymous or not parts[1].startswith("rw"):
            continue
        low, high = (int(x, 16) for x in parts[0].split("-"))
        low, high = -(-low // HUGE) * HUGE, high // HUGE * HUGE
        if high > low:
            _libc.madvise(low, high - low, MADV_COLLAPSE)
