"""The interpreter of a method's own environment, as a child process of the trial.

Commands and answers are JSON over a socket (`wire`), one at a time. The trial's limits hold for the
child as for any other process of its tree.
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
from benchbench.execution.described import signal_name
from benchbench.execution.remote import shim
from benchbench.registry import MethodEntry

if TYPE_CHECKING:
    from benchbench.execution.harness import TrialHarness

__all__ = ["InterpreterDiedError", "Remote", "RemoteError"]

# seconds that an adapter's close() may take before its interpreter is killed
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

# variables by which the environment would see our packages or settings
NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX")


class RemoteError(Exception):
    """The method raised an error in its own interpreter; the subclass has the error's name."""


class _RemoteTracebackError(Exception):
    """Shows the other interpreter's traceback as the cause of an error."""

    def __str__(self) -> str:
        return f"in the method's own interpreter:\n{self.args[0]}"


class InterpreterDiedError(BenchbenchError):
    """The method's own interpreter ended during a command."""

    outcome = "crashed"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class Remote:
    """An adapter in its own interpreter, which the first command starts.

    Parameters
    ----------
    entry : MethodEntry
    params : mapping
        For the adapter's constructor.
    python : Path
        The interpreter.
    harness : TrialHarness, optional
        The trial's harness, which receives the adapter's reports; without it the interpreter can
        only be probed.
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
        """Send the task; record how long the start and the imports took.

        Parameters
        ----------
        **arguments
            Arguments of the contract's `setup` except the context, as plain data.
        """
        context = self.harness.context
        self._folder = Path(tempfile.mkdtemp(prefix="exchange-", dir=context.scratch))
        plain = {name: getattr(context, name) for name in ("seed", "device", "threads", "deadline")}
        started, before = time.perf_counter(), self.start_seconds
        self.ask("setup", trial=plain | {"scratch": str(context.scratch)}, **arguments)
        # the start itself, if it happens now, is included
        self.start_seconds = before + time.perf_counter() - started

    @property
    def harness(self) -> TrialHarness:
        """The trial's harness."""
        if self._harness is None:
            raise RuntimeError("a probed interpreter has no trial")
        return self._harness

    def metrics(self) -> dict[str, float]:
        """Return the adapter's own figures, and how long its interpreter took to start.

        Raises
        ------
        RemoteError
            If they are no numbers by name.
        """
        own = self.ask("metrics") if self.is_running else {}
        return {**own, "environment_start_seconds": self.start_seconds}

    def clock(self) -> dict[str, float]:
        """Return the curves' seconds so far and the deadline, for training."""
        return {"elapsed": self.harness.elapsed(), "deadline": self.harness.deadline}

    def file(self, ending: str) -> Path:
        """Return an unused file name in the trial's scratch folder."""
        self._n_files += 1
        return self._folder / f"{self._n_files}.{ending}"

    def ask(self, what: str, on_request: Answer | None = None, **arguments: Any) -> Any:
        """Send a command and return its answer.

        Parameters
        ----------
        what : str
            One of the commands of the shim.
        on_request : callable, optional
            Answers the interpreter's requests during the command; plain data in, plain data out.
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
        """Let the adapter close within `CLOSE_SECONDS`, then end its interpreter."""
        if self._interpreter is None:
            return
        try:
            self._interpreter.patience = CLOSE_SECONDS
            self.ask("close")
        except TimeoutError:
            _say(f"the adapter's close() did not return within {CLOSE_SECONDS:g} s")
        except (RemoteError, InterpreterDiedError, NotImplementedError, MemoryError, OSError) as error:
            # the scores exist already: errors of close() go only to the log
            _say(f"close: {type(error).__name__}: {error}")
        finally:
            self.stop()

    def stop(self) -> None:
        """Kill the interpreter."""
        if self._interpreter is not None:
            self._interpreter.stop()
            self._interpreter = None

    def _hear(self, message: dict[str, Any]) -> None:
        """Forward the adapter's reports, remarks or progress."""
        if "point" in message:
            step, seconds, metric, value = message["point"]
            self.harness.point(int(step), float(seconds), str(metric), float(value))
        elif "remark" in message:
            self.harness.remark(str(message["remark"]))
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
        # some libraries send usage statistics otherwise
        environment["DO_NOT_TRACK"] = "1"
        # -P keeps the shim's folder off sys.path: its neighbours are not top-level modules
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
        """Stop waiting for an answer when the interpreter ends: its forks may hold the socket."""
        self._process.wait()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _pass_on(self) -> None:
        """Copy the interpreter's standard error to the trial's log, and keep its end."""
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
        """Send a command and return its answer; meanwhile forward reports and answer requests."""
        self._socket.settimeout(self.patience)
        try:
            wire.send(self._socket, {"do": what, **arguments})
            message = wire.receive(self._socket)
            while message is not None and not message.keys() & {"ok", "error"}:
                if message.keys() & {"point", "progress", "remark"}:
                    hear(message)
                elif on_request is not None:
                    wire.send(self._socket, on_request(message["request"]))
                else:
                    raise InterpreterDiedError(f"the method's own interpreter sent an invalid message during {what}")
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
        # processes that it left behind may hold the pipe open
        self._reader.join(timeout=0.5)
        if code is None:
            how = "closed its socket"
        elif code < 0:
            how = f"was killed by {signal_name(-code)}"
            if code == -signal.SIGKILL:
                how += " (not by the harness; perhaps by the kernel, out of memory)"
        else:
            how = f"exited with code {code}"
        return f"the method's own interpreter {how} during {what}; it printed: {self._said.strip() or 'nothing'}"

    def stop(self) -> None:
        """Close the socket, which ends the interpreter; kill it if it does not end."""
        self._socket.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=0.5)


def _packages() -> list[str]:
    """Return the paths of our packages that can be imported there."""
    return [f"{name}={import_module(name).__path__[0]}" for name in ("benchbench", "benchbench.methods")]


def _raise(error: dict[str, Any]) -> None:
    """Raise the method's error under its own name, caused by the other interpreter's traceback."""
    # a class may have a name that cannot be given to another
    name, message = str(error["type"]).encode("ascii", "replace").decode().replace("\0", "?"), str(error["message"])
    cause = _RemoteTracebackError(error["traceback"])
    if error["is_memory"]:
        raise MemoryError(message) from cause
    if name == NotImplementedError.__name__:
        raise NotImplementedError(message) from cause
    raise type(name, (RemoteError,), {"__module__": __name__})(message) from cause
