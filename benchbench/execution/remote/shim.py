"""The other end of `interpreter`: a script in the interpreter of a method's own environment.

It makes this package importable there (contracts, cards, seeds, adapters), but not what is
installed beside this package. The environment must have numpy, for tables also pyarrow and pandas,
and what the adapter imports.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import socket
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PROTOCOL = 6
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
    # this package is importable only from here on
    wire = import_module("benchbench.execution.wire")
    server, owner = Server(sock, wire), os.getpid()
    while (message := wire.receive(sock)) is not None:
        try:
            answer = {"ok": server.do(message.pop("do"), message)}
        except BaseException as error:  # the trial records whatever the method raises
            answer = {"error": _describe(error)}
        if os.getpid() != owner:  # a process that the method forked must not answer
            os._exit(1)
        sys.stdout.flush()
        sys.stderr.flush()
        _send(wire, sock, answer)
    # normal interpreter shutdown can take a second and adds nothing after `close`
    os._exit(0)


def _send(wire: Any, sock: socket.socket, answer: dict[str, Any]) -> None:
    """Send an answer; if it is no plain data, the error that says so."""
    try:
        wire.send(sock, answer)
    except (TypeError, ValueError, RecursionError) as error:
        wire.send(sock, {"error": _describe(error)})


class Server:
    """Holds the adapter; each `do_*` is a command, here or of its track (`<track>_served`)."""

    def __init__(self, sock: socket.socket, wire: Any) -> None:
        self.sock, self.wire = sock, wire

    def do(self, command: str, arguments: dict[str, Any]) -> Any:
        """Execute a command and return its answer, which is plain data."""
        owner = self if hasattr(self, f"do_{command}") else self.served
        return getattr(owner, f"do_{command}")(**arguments)

    def do_hello(self, protocol: int, adapter: dict[str, Any]) -> dict[str, Any]:
        """Import and create the adapter; return facts about this interpreter."""
        if protocol != PROTOCOL:
            raise ValueError(f"got protocol {protocol}, expected {PROTOCOL}")
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

    def do_metrics(self) -> dict[str, float]:
        """Return the adapter's own figures as floats."""
        figures = import_module("benchbench.numbers")
        found: dict[str, float] = figures.numbers_by_name(
            self.adapter.metrics(), f"metrics() of method {self.adapter.card.name!r}"
        )
        return found

    def do_close(self) -> None:
        """Let the adapter release what it started."""
        self.adapter.close()

    def harness(self, plain: dict[str, Any]) -> Any:
        """Return the trial's harness here; the deadline's clock is shared by the whole host."""
        plain["scratch"] = Path(plain["scratch"])
        # limits and checkpoints are never set here, so it sends only points, progress
        # and remarks
        harness = import_module("benchbench.execution.harness").TrialHarness
        return harness(**plain, send=lambda message: self.wire.send(self.sock, message))

    def request(self, asked: dict[str, Any]) -> Any:
        """Send the harness a request during a command and return its answer."""
        self.wire.send(self.sock, {"request": asked})
        answer = self.wire.receive(self.sock)
        if answer is None:
            # the harness closed the socket: the trial is over
            os._exit(0)
        return answer


def _add_package(name: str, folder: Path) -> None:
    """Make a package importable from this folder, independently of `sys.path`."""
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
    found = import_module("benchbench.execution.described").describe(error)
    return {name: getattr(found, name) for name in ("type", "message", "traceback", "is_memory")}


if __name__ == "__main__":
    main()
