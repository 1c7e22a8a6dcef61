"""The zygote: a process that imports everything, never computes, and forks a child per trial.

The supervisor starts it with one end of a socket pair. Its parent is a process of its own, the
keeper, which ends all that a killed zygote leaves behind. For each request the zygote forks a
child, watches the child's deadline and memory, collects its reports, ends the processes that it
leaves behind, and answers. When the socket closes (the worker is gone) it ends everything and
exits.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from benchbench.checkpoints import SUFFIX, CheckpointFile
from benchbench.execution import child, limits, scratch, wire
from benchbench.execution.cores import Cores, excess
from benchbench.execution.described import signal_name
from benchbench.execution.shared_memory import SharedMemory, have_own
from benchbench.protocols.base import get_protocol
from benchbench.provenance import hardware_class, package_versions
from benchbench.records import TrialOutcome
from benchbench.spec import TrialSpec

__all__ = ["main"]

# memory is checked again as soon as a process that writes at this rate might reach the limit
POLL_SECONDS = (0.02, 0.25)
ALLOCATION_MIB_A_SECOND = 8000.0
EXACT_MEMORY_SECONDS = 1.0
LOG_TAIL_BYTES = 16 * 1024
PIPE_BYTES = 2**20
# larger results are refused, so that a method cannot fill the worker's memory through `report`
MAX_REPORT_BYTES = 64 * 2**20
# of what a child may say of limits and progress: all else is no such message
LARGEST_NUMBER, LONGEST_NOTICE = 1e15, 200
MOST_REMARKS, LONGEST_REMARK = 50, 1000


def main() -> None:
    """Run the zygote.

    Arguments: the socket's file descriptor, a folder for the trials' files, modules to preload.
    """
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(sock.fileno(), False)
    limits.fork_with_keeper(sock.fileno())
    limits.become_subreaper()
    folder = sys.argv[2]
    for name in sys.argv[3:]:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            # trials that need the module fail or import it themselves; others are not affected
            sys.stderr.write(f"{name} cannot be preloaded: {error}\n")
    _import_registry()
    package_versions()
    # before a trial is bound to some of the processors
    hardware_class()
    gc.collect()
    gc.freeze()
    gc.disable()
    limits.collapse_memory()
    wire.send(sock, {"ready": os.getpid()})
    try:
        while (request := wire.receive(sock)) is not None:
            wire.send(sock, Trial(sock, request, folder).execute().to_wire())
    except OSError:
        pass  # the worker is gone
    finally:
        limits.reap(os.getpid(), 0.0)
        shutil.rmtree(folder, ignore_errors=True)


def _import_registry() -> None:
    from benchbench import registry

    registry.loaders()
    registry.harness_hash()
    for entry in registry.methods().values():
        # now, while the code is read: its author may change the file before a trial asks
        try:
            entry.source_hash()
        except Exception as error:
            sys.stderr.write(f"{entry.path}: source cannot be hashed: {type(error).__name__}: {error}\n")


class Trial:
    """One request: fork, watch, collect, clean up."""

    def __init__(self, sock: socket.socket, request: dict[str, Any], folder: str) -> None:
        self.sock, self.request, self.folder = sock, request, folder
        budget = request["spec"]["budget"]
        self.grace = float(budget["grace_seconds"])
        self.limit_mib = float(budget["memory_limit_mib"])
        self.time_limit = float(budget["time_limit_seconds"])
        self.threads = int(budget["threads"])
        # whole lines of what the child reported, and the beginning of the next one
        self.report = bytearray()
        self.partial = bytearray()
        self.is_cut = False
        self.log = bytearray()
        self.log_bytes = 0
        self.peak_mib = 0.0
        self.stopped: TrialOutcome | None = None
        # limit that the child set for a part of the trial: (what, seconds, deadline); never later
        # than the trial's
        self.part: tuple[str, float, float] | None = None

    def execute(self) -> TrialOutcome:
        """Run the trial and return its outcome; raises `OSError` only if the worker is gone."""
        folder = tempfile.mkdtemp(dir=self.folder)
        self.scratch = scratch.ScratchWatch(folder)
        cpu_before = _children_cpu()
        started_at, started = time.time(), time.monotonic()
        self.cores = Cores(self.threads)
        try:
            status = self._run(folder, started + self.time_limit)
            if status != 0:
                # now, while a child that must be ended still holds its locks
                self._remove_checkpoint()
        finally:
            left_over = limits.reap(os.getpid(), self.grace if self.stopped else 0.0)
            self.cores.free()
            self.shared_memory.remove()
            shutil.rmtree(folder, ignore_errors=True)
        self._drain()
        os.close(self.report_fd)
        os.close(self.log_fd)
        outcome = self._outcome(status)
        wall_seconds, cpu_seconds = time.monotonic() - started, _children_cpu() - cpu_before
        too_many = excess(self.threads, cpu_seconds, wall_seconds)
        return replace(
            outcome,
            remarks=(*outcome.remarks, too_many) if too_many else outcome.remarks,
            started_at=started_at,
            wall_seconds=wall_seconds,
            cpu_seconds=cpu_seconds,
            peak_memory_mib=round(self.peak_mib, 1),
            log_tail=self._log_text(left_over if status is not None else 0),
        )

    def _run(self, folder: str, deadline: float) -> int | None:
        """Fork and watch; return the child's wait status, or None if it had to be stopped."""
        self.report_fd, report_end = _pipe()
        self.log_fd, log_end = _pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            limits.die_with_parent(parent)
            # otherwise a forked process that outlives the zygote would hide its end from the worker
            for fd in (self.sock.fileno(), self.report_fd, self.log_fd):
                os.close(fd)
            numbers = self.cores.numbers
            self.cores.free()
            if numbers:
                os.sched_setaffinity(0, numbers)
            have_own(self.limit_mib, folder)
            child.run(self.request, folder, report_end, log_end, deadline)
        os.close(report_end)
        os.close(log_end)
        self.pid = pid
        self.shared_memory = SharedMemory(pid)
        pidfd = os.pidfd_open(pid)
        try:
            return self._watch(pidfd, deadline)
        finally:
            os.close(pidfd)

    def _watch(self, pidfd: int, deadline: float) -> int | None:
        poll = select.poll()
        for fd in (pidfd, self.report_fd, self.log_fd, self.sock.fileno()):
            poll.register(fd, select.POLLIN)
        next_memory, next_exact = time.monotonic() + POLL_SECONDS[0], time.monotonic() + 0.1
        while True:
            now = time.monotonic()
            wait = max(0.0, min(next_memory, deadline, self.part[2] if self.part else deadline) - now)
            ready = {fd for fd, _ in poll.poll(wait * 1000)}
            for fd in (self.report_fd, self.log_fd):
                if fd in ready and not self._read(fd):
                    poll.unregister(fd)
            if pidfd in ready:
                return os.waitpid(self.pid, 0)[1]
            if self.sock.fileno() in ready:
                raise ConnectionAbortedError("the worker is gone or has abandoned this trial")
            now = time.monotonic()
            if now >= deadline:
                self.stopped = _stopped("timeout", f"stopped at its limit of {self.time_limit:g} s")
                return None
            if self.part is not None and now >= self.part[2]:
                what, seconds, _ = self.part
                self.stopped = _stopped("timeout", f"{what} was stopped at its limit of {seconds:g} s")
                return None
            if now >= next_memory:
                exact = now >= next_exact
                used = self._check_memory(exact)
                if used is None or self._scratch_is_full():
                    return None
                pause = (self.limit_mib - used) / ALLOCATION_MIB_A_SECOND
                next_memory = now + min(max(pause, POLL_SECONDS[0]), POLL_SECONDS[1])
                next_exact = now + EXACT_MEMORY_SECONDS if exact else next_exact

    def _check_memory(self, exact: bool) -> float | None:
        """Return the tree's memory in MiB, or None if it is above the limit: stop the trial."""
        pids = limits.descendants(os.getpid())
        used = limits.tree_memory_mib(pids, self.limit_mib, exact, self.shared_memory)
        if used > self.limit_mib:
            # processes are read one after the other: a fork between them counts shared pages twice
            pids = limits.descendants(os.getpid())
            used = min(used, limits.tree_memory_mib(pids, self.limit_mib, True, self.shared_memory))
        if exact or used > self.limit_mib:
            self.peak_mib = max(self.peak_mib, used)
        if used <= self.limit_mib:
            return used
        self.stopped = _stopped(
            "memory", f"stopped at {used:.0f} MiB; its limit is {self.limit_mib:.0f} MiB for the whole process tree"
        )
        return None

    def _scratch_is_full(self) -> bool:
        used = self.scratch.used_mib()
        # the child has checked the limit before it ran anything of the method
        limit = scratch.limit_mib() if used else 0.0
        if used <= limit:
            return False
        message = f"stopped with {used:.0f} MiB in its scratch folder; the limit of this host is {limit:.0f} MiB"
        self.stopped = TrialOutcome(outcome="failed", error_type="ScratchLimit", error_message=message)
        return True

    def _read(self, fd: int) -> bool:
        """Read what is available; return whether more may come."""
        while True:
            try:
                data = os.read(fd, PIPE_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            if fd == self.log_fd:
                self.log_bytes += len(data)
                self.log += data
                del self.log[:-LOG_TAIL_BYTES]
                return True  # one read per turn, so that a flood of output cannot delay the limits
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Keep what the child reported; once it is too much, all but its points."""
        end = data.rfind(b"\n") + 1
        if not end:
            self.partial += data[: MAX_REPORT_BYTES - len(self.partial)]
            return
        lines = bytes(self.partial) + data[:end]
        self.partial = bytearray(data[end:])
        if len(self.report) + len(lines) > MAX_REPORT_BYTES:
            self.is_cut = True
            lines = b"".join(line + b"\n" for line in lines.split(b"\n") if not line.startswith(b'{"point"'))
        if len(self.report) + len(lines) <= 2 * MAX_REPORT_BYTES:
            self.report += lines
            self._take_notice(lines)

    def _take_notice(self, lines: bytes) -> None:
        """Apply the child's latest limits and forward its progress."""
        if b'"limit"' in lines or b'"progress"' in lines:
            progress = None
            for line in lines.split(b"\n"):
                message = _parse(line) or {}
                # a method may have written there as well: other messages are kept
                if "limit" in message and (
                    message["limit"] is None or _is_made_of(message["limit"], str, float, float)
                ):
                    self.part = message["limit"] and tuple(message["limit"])
                if _is_made_of(message.get("progress"), float, float, str):
                    progress = message["progress"]
            # never waits for a worker that does not read: limits must be enforced meanwhile
            if progress is not None and select.select([], [self.sock], [], 0)[1]:
                wire.send(self.sock, {"progress": progress})

    def _drain(self) -> None:
        self._read(self.report_fd)
        for _ in range(PIPE_BYTES // 4096):
            before = self.log_bytes
            if not self._read(self.log_fd) or self.log_bytes == before:
                break

    def _outcome(self, status: int | None) -> TrialOutcome:
        curve: list[Any] = []
        remarks: list[str] = []
        result: object = None
        for line in self.report.split(b"\n"):
            message = _parse(line) or {}
            if "point" in message:
                curve.append(message["point"])
            elif "result" in message:
                result = message["result"]
            elif isinstance(message.get("remark"), str) and len(remarks) < MOST_REMARKS:
                remarks.append(message["remark"][:LONGEST_REMARK])
        if self.is_cut:
            remarks.append(f"the curve is cut at {MAX_REPORT_BYTES // 2**20} MiB of points")
        if self.stopped is not None:
            ended = self.stopped.to_wire()
        elif isinstance(result, dict) and status == 0:
            ended = result
        else:
            assert status is not None
            ended = _died(status).to_wire()
        found = TrialOutcome.received(ended | {"curve": curve}, "the trial's process")
        found = self._with_expected_units(found)
        return replace(found, remarks=(*found.remarks, *remarks))

    def _with_expected_units(self, found: TrialOutcome) -> TrialOutcome:
        """Return the outcome; a crash if it has more or fewer scores than the budget says.

        A child does not send one, but a method may forge it.
        """
        if found.outcome != "ok" or "runner" in self.request:
            return found
        spec = TrialSpec.from_dict(self.request["spec"])
        expected = child.expected_units(spec, get_protocol(spec.track).UNUSED_BUDGET)
        if expected in (0, found.n_units):
            return found
        message = f"the trial's process sent {found.n_units} scores, expected {expected}"
        return TrialOutcome(outcome="crashed", error_type="InvalidOutcome", error_message=message)

    def _remove_checkpoint(self) -> None:
        """Remove the checkpoint that the child named, if the child could not."""
        for line in self.report.split(b"\n"):
            message = _parse(line) or {} if b'"checkpoint"' in line else {}
            path = message.get("checkpoint")
            # nothing else: a method may name any file
            if isinstance(path, str) and path.endswith(SUFFIX) and "\0" not in path:
                CheckpointFile(Path(path), {}).remove()

    def _log_text(self, left_over: int) -> str:
        text = self.log.decode(errors="replace")
        if self.log_bytes > len(self.log):
            text = f"[{self.log_bytes} bytes were printed; these are the last {len(self.log)}]\n{text}"
        if left_over:
            text += f"\n[{left_over} processes were left running and were ended]"
        return text


def _stopped(outcome: str, message: str) -> TrialOutcome:
    return TrialOutcome(outcome=outcome, error_message=message)


def _died(status: int) -> TrialOutcome:
    """Return the outcome of a process that exited without a result."""
    if os.WIFSIGNALED(status):
        name = signal_name(os.WTERMSIG(status))
        message = f"the process was killed by {name}"
        if name == "SIGKILL":
            message += " (not by the harness; perhaps by the kernel, out of memory)"
    else:
        name = "exit"
        message = f"the process exited with code {os.waitstatus_to_exitcode(status)} without a result"
    return TrialOutcome(outcome="crashed", error_type=name, error_message=message)


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    return read, write


def _parse(line: bytes | bytearray) -> dict[str, Any] | None:
    """Return the message of a line, or None if it is none: a method may write anything there."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _is_made_of(found: object, *types: type) -> bool:
    """Return whether a message is a list of finite numbers and short texts, in this order."""
    return (
        isinstance(found, list)
        and len(found) == len(types)
        and all(_is_number(x) if t is float else _is_short(x) for x, t in zip(found, types, strict=True))
    )


def _is_number(found: object) -> bool:
    return isinstance(found, int | float) and abs(found) < LARGEST_NUMBER


def _is_short(found: object) -> bool:
    return isinstance(found, str) and len(found) <= LONGEST_NOTICE


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(f"{Path(__file__).name} is started by the supervisor")
