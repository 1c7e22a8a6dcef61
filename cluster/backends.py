"""Where the workers come from: an embedded cluster of processes, or one that was started apart."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError, UnmeetableRequestError
from benchbench.provenance import gpu_names

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connect", "default_workers", "embedded", "resolve_device"]

CONNECT_SECONDS = 10
# nothing of an embedded cluster is reachable from outside, and two of them do not meet on a port
_LOOPBACK: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}


def default_workers(threads: int) -> int:
    """Return how many trials of so many threads this machine can run side by side."""
    return max(1, len(os.sched_getaffinity(0)) // threads)


def resolve_device(device: str, gpus: int | None, cluster: str | None) -> tuple[str, int]:
    """Return the device that trials will use and the number of GPU workers of an embedded cluster.

    Raises
    ------
    UnmeetableRequestError
        If GPUs are asked for and there are fewer; waiting for one would last for ever.
    InputError
        On requests that contradict each other.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"unknown device {device!r}; expected auto, cpu or cuda")
    if gpus is not None and gpus < 1:
        raise InputError(f"--gpus expects a number above 0, got {gpus}")
    if cluster is not None:
        if gpus is not None:
            raise InputError(
                "--gpus sizes the embedded cluster; workers of --cluster declare theirs: dask worker --resources GPU=1"
            )
        return device, 0
    found = len(gpu_names())
    if gpus is not None and device == "cpu":
        raise InputError("--gpus and --device cpu contradict each other")
    if gpus is not None and gpus > found:
        raise UnmeetableRequestError(
            f"--gpus {gpus}: this machine shows {found} (nvidia-smi); use --device cpu, or fewer"
        )
    if device == "cuda" and not found:
        raise UnmeetableRequestError(
            "--device cuda: nvidia-smi shows no GPU on this machine; use --device cpu, or --cluster"
        )
    if device == "cpu" or not found:
        return "cpu", 0
    return "cuda", gpus or found


@contextmanager
def embedded(n_workers: int, n_gpus: int) -> Iterator[Client]:
    """Start a cluster of worker processes on this machine, one trial a worker; end it on leaving.

    Parameters
    ----------
    n_workers : int
        Worker processes if there are no GPUs.
    n_gpus : int
        If above 0, this many workers, each with one GPU as its `CUDA_VISIBLE_DEVICES` and the resource ``GPU=1``.
    """
    from distributed import Client, Nanny, Scheduler, SpecCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # the nanny must not restart workers for the memory of trials: those have limits of their own
    options: dict[str, Any] = {
        **_LOOPBACK,
        "nthreads": 1,
        "memory_limit": 0,
        "silence_logs": logging.CRITICAL,
    }
    if n_gpus:
        visible = _visible_gpus()[:n_gpus]
        workers = {
            i: {"cls": Nanny, "options": {**options, "resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": gpu}}}
            for i, gpu in enumerate(visible)
        }
    else:
        workers = {i: {"cls": Nanny, "options": options} for i in range(n_workers)}
    scheduler = {"cls": Scheduler, "options": {**_LOOPBACK, "port": 0}}
    # workers inherit an ignored SIGINT, so that Ctrl-C reaches the client alone, which ends them in order
    with (
        _ignored_interrupts(),
        SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster) as client,
        _restored_interrupts(),
    ):
        yield client


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    _handlers.append(before)
    try:
        yield
    finally:
        _handlers.pop()
        signal.signal(signal.SIGINT, before)


@contextmanager
def _restored_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not _handlers:
        yield
        return
    signal.signal(signal.SIGINT, _handlers[-1])
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


_handlers: list[Any] = []


def _visible_gpus() -> list[str]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(i) for i in range(len(gpu_names()))]


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """Connect to a scheduler that was started apart (``dask scheduler``); it is left running.

    TLS is set up as Dask documents it: an address ``tls://...`` and the certificates in Dask's configuration.

    Raises
    ------
    InputError
        If there is no scheduler at that address.
    """
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_SECONDS, name="benchbench")
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address!r} ({type(error).__name__}: {error}); "
            "start one with `dask scheduler` and give its address, like tcp://host:8786"
        ) from error
    with client:
        yield client
