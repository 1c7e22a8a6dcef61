"""The interpreter of a method's own environment, as a child process of the trial.

Commands and answers are JSON over a socket (`wire`), one at a time. The child stands under the
trial's limits like any other process of its tree.
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
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import BenchbenchError
from benchbench.execution import wire
from benchbench.execution.remote import shim
from benchbench.registry import MethodEntry

if TYPE_CHECKING:
    from benchbench.execution.harness import TrialHarness

__all__ = ["InterpreterDiedError", "Remote", "RemoteError"]

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
    harness : TrialHarness, optional
        Of the trial, where the adapter's reports go; without it the interpreter can only be probed.
    """

    def __init__(
        self, entry: MethodEntry, params: Mapping[str, Any], python: Path, harness: TrialHarness | None = None
    ) -> None:
        self.entry, self.params, self.python = entry, dict(params), python
        self.start_seconds = 0.0
        self._harness = harness
        self._interpreter: _Interpreter | None = None
        self._n_files = 0

    @property
    def is_running(self) -> bool:
        """Whether the interpreter has been started."""
        return self._interpreter is not None

    def setup(self, **arguments: Any) -> None:
        """Hand the task over; takes note of how long start and imports took.

        Parameters
        ----------
        **arguments
            What the contract's `setup` gets besides the context, as plain data.
        """
        context = self.harness.context
        self._folder = Path(tempfile.mkdtemp(prefix="exchange-", dir=context.scratch))
        plain = {name: getattr(context, name) for name in ("seed", "device", "threads", "deadline")}
        started, before = time.perf_counter(), self.start_seconds
        self.ask("setup", trial=plain | {"scratch": str(context.scratch)}, **arguments)
        # the start itself, if it was now, is part of it
        self.start_seconds = before + time.perf_counter() - started

    @property
    def harness(self) -> TrialHarness:
        """The trial's harness."""
        if self._harness is None:
            raise RuntimeError("an interpreter that is probed has no trial")
        return self._harness

    def clock(self) -> dict[str, float]:
        """Return what training must know of the time: seconds of the curves so far, and deadline."""
        return {"elapsed": self.harness.elapsed(), "deadline": self.harness.deadline}

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
        if "point" in message:
            step, seconds, metric, value = message["point"]
            self.harness.point(int(step), float(seconds), str(metric), float(value))
        else:
            done, total, part = message["progress"]
            self.harness.progress(float(done), float(total), str(part))

    def _start(self) -> None:
        started = time.perf_counter()
        self._interpreter = _Interpreter(self.python, 1 if self._harness is None else self._harness.context.threads)
        adapter = {
            "track": self.entry.card.track,
            "module": self.entry.module,
            "file": str(self.entry.path),
            "name": self.entry.cls.__qualname__,
            "params": self.params,
        }
        self._interpreter.ask("hello", {"protocol": shim.PROTOCOL, "adapter": adapter}, self._hear)
        self.start_seconds += time.perf_counter() - started


class _Interpreter:
    """The child process and its socket."""

    def __init__(self, python: Path, threads: int) -> None:
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


def _raise(error: dict[str, Any]) -> None:
    """Raise what the method raised, under its own name, with the other interpreter's traceback as its cause."""
    name, message = str(error["type"]), str(error["message"])
    cause = _RemoteTracebackError(error["traceback"])
    if error["is_memory"]:
        raise MemoryError(message) from cause
    if name == NotImplementedError.__name__:
        raise NotImplementedError(message) from cause
    raise type(name, (RemoteError,), {"__module__": __name__})(message) from cause
