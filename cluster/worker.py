"""What runs inside a Dask worker. Dask sends these functions by name, never their code."""

from __future__ import annotations

import functools
import os
import socket
from typing import Any

import benchbench
from benchbench.execution import supervisor
from benchbench.provenance import hardware_class

__all__ = ["abort", "facts", "prepare", "run_batch"]


def run_batch(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run trials one after the other and return an outcome for each."""
    return [supervisor.execute(request) | _here() for request in requests]


@functools.lru_cache(maxsize=1)
def _here() -> dict[str, Any]:
    return {"host": socket.gethostname(), "hardware_class": hardware_class(), "worker_pid": os.getpid()}


def facts(methods: list[str], track: str) -> dict[str, Any]:
    """Return what the client compares with itself before it trusts this worker with trials."""
    from benchbench.errors import BenchbenchError
    from benchbench.protocols.base import get_protocol
    from benchbench.registry import get_method

    hashes: dict[str, str] = {}
    for name in methods:
        try:
            hashes[name] = get_method(name).source_hash()
        except BenchbenchError as error:
            hashes[name] = f"not usable: {error}"
    return {
        "version": benchbench.__version__,
        "protocol_version": get_protocol(track).PROTOCOL_VERSION,
        "source_hashes": hashes,
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        **_here(),
    }


def prepare(tasks: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Make the data of these (loader, options) ready on this host; return their fingerprints."""
    from benchbench.registry import get_loader

    fingerprints = []
    for name, options in tasks:
        loader = get_loader(name)
        loader.prepare(options, lambda line: None)
        fingerprints.append(loader.fingerprint(options))
    return fingerprints


def abort() -> int:
    """End what runs here, because its client gives up; return how many zygotes there were."""
    return supervisor.abort_all()
