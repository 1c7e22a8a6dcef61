"""What runs inside a Dask worker. Dask sends these functions by name, never their code."""

from __future__ import annotations

import functools
import os
import socket
import warnings
from dataclasses import replace
from typing import Any

import benchbench
from benchbench.execution import supervisor
from benchbench.provenance import code_hash, hardware_class
from benchbench.records import TrialOutcome
from benchbench.registry import harness_hash
from benchbench.spec import content_hash

__all__ = ["PROGRESS_TOPIC", "abort", "facts", "prepare", "run_batch", "worker_hash"]


# of Dask's events: one for all runs, since the scheduler keeps the last events of each topic for
# good
PROGRESS_TOPIC = "benchbench-progress"


def run_batch(requests: list[dict[str, Any]], run: str) -> list[TrialOutcome]:
    """Run trials one after the other and return an outcome for each.

    Parameters
    ----------
    requests : list of dict
        As for `supervisor.execute`, with `trial_id`.
    run : str
        Part of their progress events, so that clients can distinguish their own.
    """
    host, hardware = _here()
    return [
        replace(supervisor.execute(request, _teller(run, request["trial_id"])), host=host, hardware_class=hardware)
        for request in requests
    ]


def _teller(run: str, trial_id: str) -> supervisor.OnProgress:
    from distributed import get_worker

    worker = get_worker()

    def tell(done: float, total: float, part: str) -> None:
        event = {"run": run, "trial_id": trial_id, "done": done, "total": total, "part": part}
        worker.log_event(PROGRESS_TOPIC, event)

    return tell


@functools.lru_cache(maxsize=1)
def _here() -> tuple[str, str]:
    """Return this host's name and its hardware class."""
    return socket.gethostname(), hardware_class()


@functools.lru_cache(maxsize=1)
def worker_hash() -> str:
    """Hash of the code that runs trials, except the methods: the harness, and execution around it.

    A worker keeps what it was when its first client came, as it keeps the modules that it then
    imported.
    """
    around = (
        "execution",
        "execution.remote",
        "artefacts",
        "checkpoints",
        "figures",
        "provenance",
        "records",
        "registry",
        "spec",
        "cluster.worker",
    )
    return content_hash([harness_hash(), code_hash(*(f"benchbench.{name}" for name in around))], 16)


def facts(methods: list[str], track: str) -> dict[str, Any]:
    """Return what the client compares with itself before it trusts this worker with trials."""
    from benchbench.errors import BenchbenchError, BrokenPluginWarning
    from benchbench.protocols.base import get_protocol
    from benchbench.registry import get_method

    # the client has said it, and learns below about the methods that it needs
    warnings.simplefilter("ignore", BrokenPluginWarning)
    hashes: dict[str, str] = {}
    for name in methods:
        try:
            hashes[name] = get_method(name).source_hash()
        except BenchbenchError as error:
            hashes[name] = f"not usable: {error}"
    return {
        "version": benchbench.__version__,
        "protocol_version": get_protocol(track).PROTOCOL_VERSION,
        "harness": worker_hash(),
        "source_hashes": hashes,
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
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
