"""The worker's side of a zygote: starts it, sends it trials, survives its death."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from benchbench.errors import BenchbenchError, EnvironmentBuildError
from benchbench.execution import environments, limits, wire
from benchbench.execution.installing import BuildInterrupted
from benchbench.execution.variables import seen_by_trials
from benchbench.records import TrialOutcome
from benchbench.registry import get_method

__all__ = ["Zygote", "abort_all", "execute"]

START_SECONDS = 180.0
# seconds beyond limit and grace after which a zygote that still cleans up counts as dead
MARGIN_SECONDS = 30.0
MARK = "BENCHBENCH_ZYGOTE"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


OnProgress = Callable[[float, float, str], None]


class ZygoteLostError(Exception):
    """The zygote died or stopped answering."""


class Zygote:
    """A zygote process with these modules imported; it runs one trial at a time.

    Raises
    ------
    ZygoteLostError
        If it cannot be started; the message holds its output.
    """

    def __init__(self, preload: tuple[str, ...]) -> None:
        self.preload = preload
        self.mark = f"{MARK}={uuid.uuid4().hex}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as the process
        # of its trials; the zygote removes it on exit, but may be killed before
        self._scratch = tempfile.mkdtemp(prefix="benchbench-")
        mine, its = socket.socketpair()
        self._socket = mine
        # one thread, and no CUDA before the fork: a child hangs if its zygote ever ran a parallel
        # region
        environment = {**seen_by_trials(), **dict.fromkeys(THREAD_VARIABLES, "1"), MARK: self.mark.partition("=")[2]}
        # Dask's nanny sets this for its workers; the allocator then returns memory to the kernel
        # all the time, which slows training down
        environment.pop("MALLOC_TRIM_THRESHOLD_", None)
        with its:
            # -P keeps the current folder off sys.path, where `methods` would be found twice
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    "from benchbench.execution.zygote import main; main()",
                    str(its.fileno()),
                    self._scratch,
                    *preload,
                ],
                pass_fds=[its.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
        # until the zygote has said its own: that of its keeper
        self.pid = self._process.pid
        mine.settimeout(START_SECONDS)
        self.pid = int(self._expect(START_SECONDS)["ready"])

    def execute(self, request: dict[str, Any], on_progress: OnProgress | None = None) -> TrialOutcome:
        """Run one trial and return its outcome; parameters as in the function `execute`.

        Raises
        ------
        ZygoteLostError
            If the zygote dies or does not answer in time; all its descendants have been ended then.
        """
        budget = request["spec"]["budget"]
        try:
            wire.send(self._socket, request)
        except OSError as error:
            self.close()
            raise ZygoteLostError(f"the trial's zygote is gone ({error})") from error
        longest = budget["time_limit_seconds"] + budget["grace_seconds"] + MARGIN_SECONDS
        return TrialOutcome.received(self._expect(longest, on_progress), "the trial's zygote")

    def _expect(self, seconds: float, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Return the next message that is not about progress."""
        until = time.monotonic() + seconds
        while True:
            try:
                self._socket.settimeout(max(0.001, until - time.monotonic()))
                message = wire.receive(self._socket)
            except (OSError, ValueError) as error:
                self.close()
                raise ZygoteLostError(f"the trial's zygote does not answer: {error}") from error
            if message is None or "progress" not in message:
                break
            if on_progress is not None:
                on_progress(*message["progress"])
        if message is None:
            said = f"the trial's zygote ended ({self._wait_code()}); it printed: {self._printed()}"
            self.close()
            raise ZygoteLostError(said)
        return message

    def _wait_code(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "still running, closed its socket"
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def _printed(self) -> str:
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace").strip() or "nothing"

    def interrupt(self) -> None:
        """Close the connection from another thread: the zygote ends, and `execute` raises."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """End the zygote and everything it started; safe to call twice."""
        self._socket.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            # its keeper then ends what it started, and follows
            limits.kill(self.pid)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        limits.kill_marked(self.mark)
        # last, when no process is left that could write there
        shutil.rmtree(self._scratch, ignore_errors=True)


_idle: list[Zygote] = []
_busy: set[Zygote] = set()
_lock = threading.Lock()


def execute(request: dict[str, Any], on_progress: OnProgress | None = None) -> TrialOutcome:
    """Run one trial in a child of a zygote of this process; a failing trial never raises.

    Parameters
    ----------
    request : dict
        `spec` (a trial specification as plain data), `fingerprint` (of the task), `preload`
        (modules), and optionally `visible_gpus` (for CUDA_VISIBLE_DEVICES) and `shares_training`
        (False: the trial trains by itself).
    on_progress : callable, optional
        Receives the trial's progress: what is done, and the total.

    Returns
    -------
    TrialOutcome
        Without host and hardware, which the worker adds.
    """
    started_at, started = time.time(), time.monotonic()
    zygote: Zygote | None = None
    try:
        # here, since a build must not count against the trial's limits
        prepare_environment(request["spec"]["method"])
    except EnvironmentBuildError as error:
        # retried automatically only if it was stopped from outside
        status = "infra" if isinstance(error, BuildInterrupted) else "failed"
        return _without_trial(status, error, started_at, started)
    except OSError as error:
        return _without_trial("infra", error, started_at, started)
    try:
        zygote = _take(tuple(request["preload"]))
        outcome = zygote.execute(request, on_progress)
        _give_back(zygote)
        return outcome
    except (ZygoteLostError, OSError) as error:
        if zygote is not None:
            with _lock:
                _busy.discard(zygote)
        return _without_trial("infra", error, started_at, started)


def _without_trial(outcome: str, error: Exception, started_at: float, started: float) -> TrialOutcome:
    return TrialOutcome(
        outcome=outcome,
        error_type=type(error).__name__,
        error_message=str(error),
        started_at=started_at,
        wall_seconds=time.monotonic() - started,
    )


def prepare_environment(method: str) -> None:
    """Build the method's own environment, if it has one and that is missing.

    Raises
    ------
    EnvironmentBuildError
        If the build fails.
    """
    try:
        entry = get_method(method)
        if entry.card.requirements:
            environments.ensure(entry, _say)
    except EnvironmentBuildError:
        raise
    except BenchbenchError:
        # an unknown method, or a card with an unusable file: the trial fails with the same error
        # and records its traceback
        return


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def abort_all() -> int:
    """End all running trials and zygotes of this process; return how many zygotes there were."""
    environments.abort()
    with _lock:
        zygotes = [*_busy, *_idle]
        idle = list(_idle)
        _idle.clear()
    for zygote in zygotes:
        zygote.interrupt()
    for zygote in idle:
        zygote.close()
    return len(zygotes)


def _take(preload: tuple[str, ...]) -> Zygote:
    with _lock:
        for zygote in _idle:
            if zygote.preload == preload:
                _idle.remove(zygote)
                _busy.add(zygote)
                return zygote
    zygote = Zygote(preload)
    with _lock:
        _busy.add(zygote)
    return zygote


def _give_back(zygote: Zygote) -> None:
    with _lock:
        _busy.discard(zygote)
        _idle.append(zygote)
