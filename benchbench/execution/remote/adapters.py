"""Creates adapters that run in their methods' own environments."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchbench.errors import ClusterError, InputError
from benchbench.execution import environments
from benchbench.execution.harness import TrialHarness
from benchbench.execution.remote.interpreter import Remote
from benchbench.provenance import remember_versions
from benchbench.registry import MethodEntry, check_params

__all__ = ["probe", "remote_adapter"]


def remote_adapter(entry: MethodEntry, params: Mapping[str, Any], harness: TrialHarness) -> Any:
    """Return an adapter that runs in its method's own environment; build that if needed.

    Raises
    ------
    EnvironmentBuildError
        If the environment cannot be built.
    ClusterError
        If the adapter's file has changed since this process read it.
    UnknownNameError
        If the adapter's constructor has no such parameter.
    InputError
        If methods of the track cannot have their own environments.
    """
    check_params(entry, params)
    if entry.source_hash() != entry.source_hash_now():
        raise ClusterError(f"{entry.path} has changed since this worker read it; run the same command again")
    found = environments.ensure(entry, _say)
    remember_versions({f"environment/{name}": version for name, version in found.versions.items()})
    return _proxy(entry, params, found.python, harness)


def probe(entry: MethodEntry, python: Path) -> None:
    """Import an adapter and what its contract needs in an interpreter.

    Raises
    ------
    RemoteError
        If the import fails there.
    InterpreterDiedError
    """
    proxy = _proxy(entry, {}, python)
    try:
        proxy.remote.ask("probe")
    finally:
        proxy.close()


def _proxy(entry: MethodEntry, params: Mapping[str, Any], python: Path, harness: TrialHarness | None = None) -> Any:
    name = f"benchbench.execution.remote.{entry.card.track}_proxy"
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"method {entry.name!r} names requirements,"
            f" but methods of track {entry.card.track!r} cannot have their own environment"
        )
    return import_module(name).Proxy(Remote(entry, params, python, harness))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
