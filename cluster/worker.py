"""What runs inside a Dask worker. Dask sends these functions by name, never their code."""

from __future__ import annotations

import functools
import os
import socket
import warnings
from dataclasses import replace
from typing import Any

import benchbench
from benchbench.cluster.preparing import PreparationFailure, prepare_data
from benchbench.execution import supervisor
from benchbench.provenance import code_hash, hardware_class
from benchbench.records import TrialOutcome
from benchbench.registry import harness_hash
from benchbench.spec import canonical_json, content_hash

__all__ = ["PROGRESS_TOPIC", "abort", "facts", "run_batch", "worker_hash"]


# of Dask's events: one for all runs, since the scheduler keeps the last events of each topic for
# good
PROGRESS_TOPIC = "benchbench-progress"

# fingerprints of the data that this worker has prepared, by run, loader and options
_prepared: dict[tuple[str, str, str], str] = {}
MOST_REMEMBERED = 10_000


def run_batch(requests: list[dict[str, Any]], run: str) -> list[TrialOutcome | PreparationFailure]:
    """Run trials one after the other; return an outcome for each.

    The data of a trial's task are prepared on this host first. If they are unavailable or not those
    of the client, the trial does not run, and the failure stands in place of its outcome.

    Parameters
    ----------
    requests : list of dict
        As for `supervisor.execute`, with `trial_id`.
    run : str
        Part of their progress events, so that clients can distinguish their own.
    """
    host, hardware = _here()
    results: list[TrialOutcome | PreparationFailure] = []
    for request in requests:
        tell = _teller(run, request["trial_id"])
        failure = _problem_of_data(request, run, tell)
        if failure is not None:
            results.append(failure)
            continue
        results.append(replace(supervisor.execute(request, tell), host=host, hardware_class=hardware))
    return results


def _problem_of_data(request: dict[str, Any], run: str, tell: supervisor.OnProgress) -> PreparationFailure | None:
    """Prepare the data of a trial's task, once per run; return why it cannot run here."""
    spec, expected = request["spec"], request["fingerprint"]
    key = run, spec["loader"], canonical_json(dict(spec["options"]))
    if key not in _prepared:
        found = prepare_data(spec["loader"], spec["options"], lambda line: tell(0.0, 1.0, "preparing data"))
        if isinstance(found, PreparationFailure):
            return found
        if len(_prepared) >= MOST_REMEMBERED:
            _prepared.clear()
        _prepared[key] = found
    if _prepared[key] == expected:
        return None
    return PreparationFailure("OtherData", f"this is other data ({_prepared[key]}; the client has {expected})")


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
        "numbers",
        "provenance",
        "records",
        "registry",
        "spec",
        "cluster.preparing",
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


def abort() -> int:
    """End what runs here, because its client gives up; return how many zygotes there were."""
    return supervisor.abort_all()
