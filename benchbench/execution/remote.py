"""An adapter in another interpreter: that of its own environment, as a child process of the trial.

Commands and answers are JSON over a socket (`wire`), one at a time. A task's table is the Arrow file in the cache, of which the
interpreter reads what rows it is told; targets are Arrow files in the trial's scratch folder, numbers of rows, predictions and
episodes .npy files. The child stands under the trial's limits like any other process of its tree.

What is common to all contracts, and that of tables; few-shot methods are in `remote_fewshot`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl import AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.errors import BenchbenchError, ClusterError, InputError
from benchbench.execution import child, environments, shim, wire
from benchbench.frames import read_array, write_array, write_table
from benchbench.registry import MethodEntry, check_params

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from benchbench.contracts.context import Context

__all__ = ["InterpreterDiedError", "Proxy", "Remote", "RemoteError", "probe", "remote_adapter"]

# what an adapter may take to end what it has started; after that it is ended
CLOSE_SECONDS = 15.0
TAIL_CHARACTERS = 4000
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""Answers a request of the interpreter."""

# what would let the environment see packages or settings of ours
NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX")


class RemoteError(Exception):
    """The method raised something in its own interpreter; the subclass has the name of what it was."""


class _RemoteTracebackError(Exception):
    """Shows the other interpreter's traceback as the cause of an error."""

    def __str__(self) -> str:
        return f"in the method's own interpreter:\n{self.args[0]}"


class InterpreterDiedError(BenchbenchError):
    """The method's own interpreter ended in the middle of a command."""

    outcome = "crashed"


def remote_adapter(entry: MethodEntry, params: Mapping[str, Any]) -> Any:
    """Return an adapter that runs in its method's own environment, which is built if need be.

    Raises
    ------
    EnvironmentBuildError
        If the environment cannot be built.
    ClusterError
        If the adapter's file is no longer what this process has read.
    UnknownNameError
        If the adapter's constructor has no such parameter.
    InputError
        If methods of the track cannot have environments of their own.
    """
    check_params(entry, params)
    if entry.source_hash() != entry.source_hash_now():
        raise ClusterError(f"{entry.path} has changed since this worker read it; run the same command again")
    found = environments.ensure(entry, _say)
    child.remember({f"environment/{name}": version for name, version in found.versions.items()})
    return _proxy(entry, params, found.python)


def probe(entry: MethodEntry, python: Path) -> None:
    """Import an adapter, and what its contract needs, in an interpreter.

    Raises
    ------
    RemoteError
        If that raises anything there.
    InterpreterDiedError
    """
    proxy = _proxy(entry, {}, python)
    try:
        proxy.remote.ask("probe")
    finally:
        proxy.close()


def _proxy(entry: MethodEntry, params: Mapping[str, Any], python: Path) -> Any:
    remote = Remote(entry, params, python)
    if entry.card.track == "automl":
        return Proxy(remote)
    if entry.card.track == "fewshot":
        from benchbench.execution.remote_fewshot import FewShotProxy

        return FewShotProxy(remote)
    raise InputError(
        f"method {entry.name!r} names requirements, but methods of track {entry.card.track!r} cannot have an environment of their own"
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class Remote:
    """An adapter in its own interpreter, which is started with the first command.

    Parameters
    ----------
    entry : MethodEntry
    params : mapping
        For the adapter's constructor.
    python : Path
        The interpreter.
    """

    def __init__(self, entry: MethodEntry, params: Mapping[str, Any], python: Path) -> None:
        self.entry, self.params, self.python = entry, dict(params), python
        self.start_seconds = 0.0
        self.context: Context | None = None
        self._interpreter: _Interpreter | None = None
        self._n_files = 0

    @property
    def is_running(self) -> bool:
        """Whether the interpreter has been started."""
        return self._interpreter is not None

    def setup(self, context: Context, **arguments: Any) -> None:
        """Hand the task over; takes note of how long start and imports took.

        Parameters
        ----------
        context : Context
        **arguments
            What else the contract's `setup` gets, as plain data.
        """
        if self._interpreter is not None and self._interpreter.threads != context.threads:
            self.stop()
        self.context = context
        self._folder = Path(tempfile.mkdtemp(prefix="exchange-", dir=context.scratch))
        plain = {name: getattr(context, name) for name in ("seed", "device", "threads", "deadline")}
        started, before = time.perf_counter(), self.start_seconds
        self.ask("setup", context=plain | {"scratch": str(context.scratch)}, **arguments)
        # the start itself, if it was now, is part of it
        self.start_seconds = before + time.perf_counter() - started

    def file(self, ending: str) -> Path:
        """Return a file name in the trial's scratch folder that is not used yet."""
        self._n_files += 1
        return self._folder / f"{self._n_files}.{ending}"

    def ask(self, what: str, on_request: Answer | None = None, **arguments: Any) -> Any:
        """Give a command and return its answer.

        Parameters
        ----------
        what : str
            One of the commands of the shim.
        on_request : callable, optional
            Answers what the interpreter asks for before it is done; plain data in, plain data out.
        **arguments
            Plain data.

        Raises
        ------
        RemoteError, NotImplementedError, MemoryError
            What the method raised.
        InterpreterDiedError
        """
        if self._interpreter is None:
            self._start()
        assert self._interpreter is not None
        return self._interpreter.ask(what, arguments, self._hear, on_request)

    def close(self) -> None:
        """Let the adapter close, within `CLOSE_SECONDS`, and end its interpreter."""
        if self._interpreter is None:
            return
        try:
            self._interpreter.patience = CLOSE_SECONDS
            self.ask("close")
        except TimeoutError:
            _say(f"the adapter's close() did not end within {CLOSE_SECONDS:g} s")
        except (RemoteError, InterpreterDiedError, NotImplementedError, MemoryError, OSError) as error:
            # the scores are there: what goes wrong now is told in the log alone
            _say(f"close: {type(error).__name__}: {error}")
        finally:
            self.stop()

    def stop(self) -> None:
        """End the interpreter, whatever it does."""
        if self._interpreter is not None:
            self._interpreter.stop()
            self._interpreter = None

    def _hear(self, message: dict[str, Any]) -> None:
        """Pass on what the adapter reports, or how far it is."""
        assert self.context is not None
        if "point" in message:
            step, seconds, metric, value = message["point"]
            self.context.replay([(int(step), float(seconds), str(metric), float(value))])
        else:
            done, total, part = message["progress"]
            self.context.progress(float(done), float(total), str(part))

    def _start(self) -> None:
        # the harness has set the trial's threads here already
        threads = self.context.threads if self.context is not None else int(os.environ.get("OMP_NUM_THREADS", "1"))
        started = time.perf_counter()
        self._interpreter = _Interpreter(self.python, threads)
        adapter = {
            "track": self.entry.card.track,
            "module": self.entry.module,
            "file": str(self.entry.path),
            "name": self.entry.cls.__qualname__,
            "params": self.params,
        }
        self._interpreter.ask("hello", {"protocol": shim.PROTOCOL, "adapter": adapter}, self._hear)
        self.start_seconds += time.perf_counter() - started


class Proxy(AutoMLAdapter):
    """Passes each call on to the adapter in its own interpreter, and takes the answer from there.

    Parameters
    ----------
    remote : Remote

    Notes
    -----
    Any call may raise `RemoteError` (what the method raised), `InterpreterDiedError` or `MemoryError`.
    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.card = remote.entry.card  # type: ignore[misc]
        self._written: dict[str, Any] = {}

    def supports(self, info: TableInfo) -> str | None:
        """See the base class."""
        reason: str | None = self.remote.ask("supports", info=_plain(info))
        if reason is not None:
            self.close()
        return reason

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        """See the base class."""
        super().setup(info, budget=budget, context=context)
        self.remote.setup(context, info=_plain(info), budget=asdict(budget))

    def metrics(self) -> dict[str, float]:
        """Return what the harness records besides scores."""
        return {"environment_start_seconds": self.remote.start_seconds}

    def hand_over(self, table: Path, numbers: NDArray[np.int32], target: pd.Series[Any] | None = None) -> _Rows:
        """See the base class; the interpreter reads the table itself."""
        path = self.remote.file("npy")
        write_array(numbers, path)
        self.remote.ask("load", name=str(path), table=str(table), numbers=str(path))
        if target is not None:
            self._name(target)
        return _Rows(str(path), len(numbers))

    def row(self, rows: Any, number: int) -> _Rows:
        """See the base class."""
        name = self._name(rows)
        one = _Rows(f"{name}:{number}", 1)
        self.remote.ask("row", name=one.name, rows=name, number=number)
        return one

    def fit(self, rows: Any, target: pd.Series[Any]) -> None:
        """See the base class; rows that were not handed over go over now."""
        context = self.context
        self.remote.ask(
            "fit",
            rows=self._name(rows),
            target=self._name(target),
            elapsed=context.elapsed(),
            deadline=context.deadline,
        )
        # the interpreter has forgotten them
        for name in self._written:
            Path(name).unlink()
        self._written.clear()

    def predict(self, rows: Any) -> NDArray[Any]:
        """See the base class."""
        return self._predictions("predict", rows)

    def predict_proba(self, rows: Any) -> NDArray[Any]:
        """See the base class."""
        return self._predictions("predict_proba", rows)

    def close(self) -> None:
        """See the base class."""
        self.remote.close()

    def _predictions(self, what: str, rows: Any) -> NDArray[Any]:
        answer = self.remote.file("npy")
        self.remote.ask(what, rows=self._name(rows), answer=str(answer))
        return read_array(answer)

    def _name(self, rows: Any) -> str:
        """Return the interpreter's name for rows or a target; what is in no file yet is written to one, once."""
        if isinstance(rows, _Rows):
            return rows.name
        for name, known in self._written.items():
            if known is rows:
                return name
        path = str(self.remote.file("arrow"))
        write_table(rows if hasattr(rows, "columns") else rows.to_frame("target"), Path(path))
        self.remote.ask("load", name=path, table=path, numbers=None)
        # holds the rows, so that no others can have their identity
        self._written[path] = rows
        return path


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that the interpreter has, under this name."""

    name: str
    n_rows: int

    def __len__(self) -> int:
        return self.n_rows


class _Interpreter:
    """The child process and its socket."""

    def __init__(self, python: Path, threads: int) -> None:
        self.threads = threads
        self.patience: float | None = None
        self._said = ""
        mine, its = socket.socketpair()
        self._socket = mine
        environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
        environment |= {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
        # some libraries report to their makers otherwise
        environment["DO_NOT_TRACK"] = "1"
        # the folder of the shim stays off sys.path (-P): its neighbours are no top-level modules
        command = [str(python), "-P", shim.__file__, str(its.fileno()), *_packages()]
        with its:
            self._process = subprocess.Popen(
                command,
                pass_fds=[its.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()
        threading.Thread(target=self._hang_up, daemon=True).start()

    def _hang_up(self) -> None:
        """End waiting for an answer when the interpreter has ended; what it forked may still hold its socket."""
        self._process.wait()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _pass_on(self) -> None:
        """Copy what the interpreter prints on standard error to the trial's log, and keep the end of it."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while data := os.read(stream.fileno(), 65536):
                self._said = (self._said + data.decode(errors="replace"))[-TAIL_CHARACTERS:]
                while data:
                    data = data[os.write(2, data) :]

    def ask(
        self,
        what: str,
        arguments: dict[str, Any],
        hear: Callable[[dict[str, Any]], None],
        on_request: Answer | None = None,
    ) -> Any:
        """Send a command and return its answer; points and progress that come before it are passed on, requests answered."""
        self._socket.settimeout(self.patience)
        try:
            wire.send(self._socket, {"do": what, **arguments})
            message = wire.receive(self._socket)
            while message is not None and not message.keys() & {"ok", "error"}:
                if message.keys() & {"point", "progress"}:
                    hear(message)
                elif on_request is not None:
                    wire.send(self._socket, on_request(message["request"]))
                else:
                    raise InterpreterDiedError(f"the method's own interpreter sent something unexpected in {what}")
                message = wire.receive(self._socket)
        except (BrokenPipeError, ConnectionResetError):
            message = None
        if message is None:
            raise InterpreterDiedError(self._how_it_died(what))
        if "error" in message:
            _raise(message["error"])
        return message["ok"]

    def _how_it_died(self, what: str) -> str:
        try:
            code: int | None = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        # processes that it has left may hold the pipe open
        self._reader.join(timeout=0.5)
        if code is None:
            how = "closed its socket"
        elif code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                how += " (not by the harness; perhaps by the kernel for want of memory)"
        else:
            how = f"left by exit code {code}"
        return f"the method's own interpreter {how} in {what}; it said: {self._said.strip() or 'nothing'}"

    def stop(self) -> None:
        """Close the socket, which ends the interpreter, and make sure of it."""
        self._socket.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=0.5)


def _packages() -> list[str]:
    """Return what of ours can be imported there: the core, whose adapters' part may lie in another folder."""
    return [f"{name}={import_module(name).__path__[0]}" for name in ("benchbench", "benchbench.methods")]


def _plain(info: TableInfo) -> dict[str, Any]:
    plain = {name: getattr(info, name) for name in ("name", "kind", "metric", "target", "n_rows")}
    return plain | {"classes": list(info.classes), "columns": [list(pair) for pair in info.columns.items()]}


def _raise(error: dict[str, Any]) -> None:
    """Raise what the method raised, under its own name, with the other interpreter's traceback as its cause."""
    name, message = str(error["type"]), str(error["message"])
    cause = _RemoteTracebackError(error["traceback"])
    if error["is_memory"]:
        raise MemoryError(message) from cause
    if name == NotImplementedError.__name__:
        raise NotImplementedError(message) from cause
    raise type(name, (RemoteError,), {"__module__": __name__})(message) from cause
