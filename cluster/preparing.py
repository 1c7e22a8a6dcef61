"""Prepares the data of tasks in a process of its own, while trials run.

Whatever prevents that is the failure of one task: an exception, a crash, a killed process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from benchbench.errors import InputError
from benchbench.extras import remedy
from benchbench.registry import get_loader

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from benchbench.suite_files import TaskSpec

__all__ = ["Preparation", "PreparationFailure", "Preparer", "known_fingerprint", "prepare_data"]

# trials go first: their seconds are measured
NICENESS = 5
END_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PreparationFailure:
    """Why the data of a task are unavailable.

    Parameters
    ----------
    error_type, message : str
    is_input : bool
        Whether that is an `InputError`, as of missing data, rather than a failure of the platform.
    """

    error_type: str
    message: str
    is_input: bool = False

    def __str__(self) -> str:
        return f"{self.error_type}: {self.message}" if self.message else self.error_type


@dataclass(frozen=True, slots=True)
class Preparation:
    """News of the preparation of a task.

    Parameters
    ----------
    task : TaskSpec
    line : str
        What the loader said; empty in the first and in the last news of a task.
    fingerprint : str
        Set once the data are prepared.
    failure : PreparationFailure or None
    """

    task: TaskSpec
    line: str = ""
    fingerprint: str = ""
    failure: PreparationFailure | None = None


def known_fingerprint(task: TaskSpec) -> str | None:
    """Return the fingerprint of a task by its manifest alone; None if it is not prepared."""
    try:
        return get_loader(task.loader).fingerprint(task.options)
    except Exception:  # preparing the data tells what is wrong
        return None


def prepare_data(
    loader_name: str, options: Mapping[str, Any], progress: Callable[[str], None]
) -> str | PreparationFailure:
    """Prepare the data of a task on this host; return their fingerprint, or why there is none."""
    try:
        loader = get_loader(loader_name)
        loader.prepare(options, progress)
        return loader.fingerprint(options)
    except (Exception, SystemExit) as error:
        return _failure(error)


def _failure(error: BaseException) -> PreparationFailure:
    try:
        message = str(error)
    except Exception:
        message = "its message cannot be read"
    told = remedy(error)
    return PreparationFailure(
        type(error).__name__, f"{message}; {told}" if told else message, isinstance(error, InputError) or bool(told)
    )


class Preparer:
    """Prepares tasks one after the other in a background process, in their order.

    On leaving, what is unfinished is stopped; prepared data stay.

    Parameters
    ----------
    tasks : sequence of TaskSpec
    """

    def __init__(self, tasks: Sequence[TaskSpec]) -> None:
        self._tasks = list(tasks)
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._log = tempfile.NamedTemporaryFile(prefix="benchbench-prepare-")  # noqa: SIM115

    def __enter__(self) -> Self:
        if self._tasks:
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._tasks = []
        self._end()
        self._log.close()

    @property
    def n_left(self) -> int:
        """Number of tasks that are neither prepared nor failed."""
        return len(self._tasks)

    def poll(self, wait_seconds: float = 0.0) -> list[Preparation]:
        """Return the news since the last call; wait for the first one at most so long."""
        found: list[Preparation] = []
        while self._pipe is not None and self._pipe.poll(0.0 if found else wait_seconds):
            try:
                kind, value = self._pipe.recv()
            except (EOFError, OSError):
                found.append(self._crashed())
            else:
                found.append(self._news(kind, value))
        return found

    def _news(self, kind: str, value: Any) -> Preparation:
        task = self._tasks[0]
        if kind == "line":
            return Preparation(task, line=value)
        if kind == "begun":
            return Preparation(task)
        self._next()
        if isinstance(value, PreparationFailure):
            return Preparation(task, failure=value)
        return Preparation(task, fingerprint=value)

    def _next(self) -> None:
        self._tasks.pop(0)
        if not self._tasks:
            self._end()

    def _crashed(self) -> Preparation:
        """Return the failure of the task that was being prepared; go on with the next one."""
        task = self._tasks[0]
        assert self._process is not None
        self._process.join(END_SECONDS)
        code = self._process.exitcode
        how = (
            f"was killed by {signal.Signals(-code).name}"
            if code is not None and code < 0
            else f"ended with code {code}"
        )
        message = f"the process that prepared the data {how}{self._last_words()}"
        self._end()
        self._tasks.pop(0)
        if self._tasks:
            self._start()
        return Preparation(task, failure=PreparationFailure("PreparationCrashed", message))

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read()[-4096:].decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, sender = context.Pipe(duplex=False)
        tasks = [(t.loader, dict(t.options)) for t in self._tasks]
        process = context.Process(
            target=_prepare_all, args=(tasks, sender, self._log.name), daemon=True, name="benchbench-prepare"
        )
        self._log.truncate(0)
        # Ctrl-C on a terminal goes to the whole group, but this process stops its helper in order;
        # the tracker unblocks the signal when it starts
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
            self._process = process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            sender.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None:
            process.terminate()
            process.join(END_SECONDS)
            process.kill()
            process.join()
        if pipe is not None:
            pipe.close()


def _prepare_all(tasks: Sequence[tuple[str, Mapping[str, Any]]], pipe: Connection, log: str) -> None:
    """Prepare tasks and tell the parent; the body of the helper process."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    handle = os.open(log, os.O_WRONLY | os.O_APPEND)
    # the terminal is the parent's
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    try:
        for loader, options in tasks:
            pipe.send(("begun", None))
            pipe.send(("ended", prepare_data(loader, options, lambda line: pipe.send(("line", line)))))
    except (KeyboardInterrupt, BrokenPipeError):
        return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
