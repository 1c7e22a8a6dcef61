"""The other end of `benchbench.execution.remote.interpreter`: runs in the interpreter of a method's own environment, by its path.

Of this package it makes importable what adapters need at import (contracts, cards, seeds, and the
adapters themselves), not what else is installed beside it; of the environment it needs numpy, for
tables pyarrow and pandas too, and what the adapter imports.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import socket
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PROTOCOL = 5
"""Version of the messages; both ends must have the same."""


def main() -> None:
    """Answer commands until the socket closes; its file descriptor is the argument."""
    faulthandler.enable()
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    sock.setblocking(True)
    packages = [part.partition("=") for part in sys.argv[2:]]
    for name, _, folder in packages:
        _add_package(name, Path(folder))
    # only from here on is this package importable
    wire = import_module("benchbench.execution.wire")
    server, owner = Server(sock, wire), os.getpid()
    while (message := wire.receive(sock)) is not None:
        try:
            answer = {"ok": server.do(message.pop("do"), message)}
        except BaseException as error:  # whatever the method raises is the trial's business
            answer = {"error": _describe(error)}
        if os.getpid() != owner:  # a process that the method forked has no say
            os._exit(1)
        sys.stdout.flush()
        sys.stderr.flush()
        wire.send(sock, answer)
    # tearing the interpreter down can cost a second, and says nothing that `close` has not
    os._exit(0)


class Server:
    """Holds the adapter, and does what it is told: each `do_*` is a command, here or of its track's contract (`<track>_served`)."""

    def __init__(self, sock: socket.socket, wire: Any) -> None:
        self.sock, self.wire = sock, wire

    def do(self, command: str, arguments: dict[str, Any]) -> Any:
        """Do what a command says and return its answer, which is plain data."""
        owner = self if hasattr(self, f"do_{command}") else self.served
        return getattr(owner, f"do_{command}")(**arguments)

    def do_hello(self, protocol: int, adapter: dict[str, Any]) -> dict[str, Any]:
        """Import the adapter and make it; return what this interpreter is."""
        if protocol != PROTOCOL:
            raise ValueError(f"protocol {protocol} was asked for, this is {PROTOCOL}")
        cls: Any = _load(adapter["module"], Path(adapter["file"]))
        for part in adapter["name"].split("."):
            cls = getattr(cls, part)
        self.adapter = cls(**adapter["params"])
        served = import_module(f"benchbench.execution.remote.{adapter['track']}_served")
        self.served: Any = served.Served(self.adapter, self)
        return {"protocol": PROTOCOL, "python": ".".join(map(str, sys.version_info[:3]))}

    def do_probe(self) -> None:
        """Import what the contract needs."""
        for name in self.served.NEEDS:
            import_module(name)

    def do_close(self) -> None:
        """Let the adapter end what it has started."""
        self.adapter.close()

    def harness(self, plain: dict[str, Any]) -> Any:
        """Return the trial's harness here; all processes of a host share the deadline's clock."""
        plain["scratch"] = Path(plain["scratch"])
        # no limits or checkpoints are set here, so that points and progress are all that it sends
        harness = import_module("benchbench.execution.harness").TrialHarness
        return harness(**plain, send=lambda message: self.wire.send(self.sock, message))

    def request(self, asked: dict[str, Any]) -> Any:
        """Ask the harness for something in the middle of a command, and return its answer."""
        self.wire.send(self.sock, {"request": asked})
        answer = self.wire.receive(self.sock)
        if answer is None:
            # the harness has hung up: the trial is over
            os._exit(0)
        return answer


def _add_package(name: str, folder: Path) -> None:
    """Make a package importable from this folder, whatever `sys.path` says."""
    module = _import_from(name, folder / "__init__.py", [str(folder)])
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def _load(name: str, file: Path) -> ModuleType:
    """Return the adapter's module: one of a package that was added, else the file alone."""
    parent = name.rpartition(".")[0]
    if parent and parent.partition(".")[0] in sys.modules:
        return import_module(name)
    return _import_from(name, file, None)


def _import_from(name: str, file: Path, folders: list[str] | None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _describe(error: BaseException) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "message": str(error)[:4000],
        "traceback": "".join(traceback.format_exception(error))[-20_000:],
        "is_memory": isinstance(error, MemoryError),
    }


if __name__ == "__main__":
    main()
