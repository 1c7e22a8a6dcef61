"""Shared memory of a trial: files in `/dev/shm` and those that only descriptors name (memfd).

Where the kernel lets a process have mounts of its own, each trial has a `/dev/shm` of its own,
which the kernel frees with its last process. Elsewhere the files that a process of the trial held
open when it was looked at are counted, and removed afterwards.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from benchbench.paths import cache_dir, data_dir

__all__ = ["SharedMemory", "have_own"]

FOLDER = "/dev/shm"
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_NOSUID, MS_NODEV, MS_REC, MS_SLAVE = 2, 4, 16384, 1 << 19
MIB = 2**20

_libc = ctypes.CDLL(None, use_errno=True)


def have_own(limit_mib: float, scratch: str) -> bool:
    """Give this process and its descendants a `/dev/shm` of their own; return whether it worked.

    Call it in a process with one thread. What is kept below `/dev/shm` by the user stays in sight:
    then, nothing is done.
    """
    used = (scratch, str(data_dir()), str(cache_dir()), __file__)
    if not Path(FOLDER).is_dir() or any(os.path.realpath(path).startswith(FOLDER + "/") for path in used):
        return False
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWNS) != 0:
        if _libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
            return False
        with suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    # later mounts of the host are still seen, as automounters need; ours stay here
    if _libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None) != 0:
        return False
    # larger than the limit, so that the trial ends at its limit and not by SIGBUS
    options = f"size={int(2 * limit_mib)}m,mode=1777".encode()
    return bool(_libc.mount(b"tmpfs", FOLDER.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, options) == 0)


class SharedMemory:
    """What the processes of one trial keep in such files.

    Parameters
    ----------
    pid : int
        The trial's first process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._before = _names()
        self._seen: set[tuple[int, int]] = set()

    def files_mib(self, pids: list[int]) -> float:
        """Return the memory of the files in MiB, whether they are mapped or not."""
        own = self._own_mib()
        sizes: dict[tuple[int, int], int] = {}
        for pid in pids:
            for path, is_memfd in _descriptors(pid):
                if is_memfd or own is None:
                    with suppress(OSError):
                        found = os.stat(path)  # noqa: PTH116, hot path
                        sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
        if own is None:
            self._seen |= sizes.keys()
            sizes |= {key: size for key, (_, size) in _names().items() if key in self._seen}
        return (own or 0.0) + sum(sizes.values()) / MIB

    def mapped_mib(self, pids: list[int]) -> float:
        """Return the part of the files that these processes have mapped, each page once.

        Every mapping is read, which takes long.
        """
        try:
            found = os.stat(f"/proc/{self.pid}/root{FOLDER}").st_dev  # noqa: PTH116, hot path
        except OSError:
            return 0.0
        device = f"{os.major(found):02x}:{os.minor(found):02x}".encode()
        return sum(_mapped_mib(pid, device) for pid in pids)

    def _own_mib(self) -> float | None:
        """Return the size of the trial's own `/dev/shm`; None if it has none."""
        try:
            path = f"/proc/{self.pid}/root{FOLDER}"
            if os.stat(path).st_dev == os.stat(FOLDER).st_dev:  # noqa: PTH116, hot path
                return None
            found = os.statvfs(path)
        except OSError:
            return None
        return (found.f_blocks - found.f_bfree) * found.f_frsize / MIB

    def remove(self) -> None:
        """Remove the files of this trial that are left, once its processes have ended."""
        for key, (name, _) in _names().items():
            if key in self._seen and key not in self._before:
                with suppress(OSError):
                    Path(FOLDER, name).unlink()


def _mapped_mib(pid: int, device: bytes) -> float:
    """Return the proportional memory of such files that a process has mapped."""
    total, is_file = 0, False
    try:
        with Path(f"/proc/{pid}/smaps").open("rb") as file:
            for line in file:
                parts = line.split(maxsplit=5)
                if not parts[0].endswith(b":"):
                    # the path of a file in another mount has no /dev/shm
                    is_file = parts[3] == device or (len(parts) > 5 and parts[5].startswith(b"/memfd:"))
                elif is_file and parts[0] == b"Pss:":
                    total += int(parts[1])
    except (OSError, ValueError, IndexError):
        return total / 1024
    return total / 1024


def _descriptors(pid: int) -> list[tuple[str, bool]]:
    """Return the paths below `/proc` of a process's open files, and whether each is a memfd."""
    found = []
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208, hot path
            with suppress(OSError):
                target = os.readlink(f"{folder}/{name}")  # noqa: PTH115, hot path
                if target.startswith(("/memfd:", FOLDER + "/")):
                    found.append((f"{folder}/{name}", target.startswith("/memfd:")))
    return found


def _names() -> dict[tuple[int, int], tuple[str, int]]:
    """Return name and size of this user's files in `/dev/shm`, by device and inode."""
    found = {}
    with suppress(OSError):
        for entry in os.scandir(FOLDER):
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if status.st_uid == os.geteuid() and entry.is_file(follow_symlinks=False):
                    found[status.st_dev, status.st_ino] = (entry.name, status.st_blocks * 512)
    return found
