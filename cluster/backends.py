"""Where the workers come from: an embedded cluster of processes, or one that was started apart."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from benchbench.errors import InputError, UnmeetableRequestError
from benchbench.provenance import gpu_names

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

__all__ = [
    "NO_GPU",
    "NO_WORKERS",
    "check_workers",
    "cluster_device",
    "connect",
    "default_workers",
    "embedded",
    "resolve_device",
    "too_many_threads",
]

CONNECT_SECONDS = 10
NO_WORKERS = "the cluster has no workers; start some with `dask worker SCHEDULER`"
NO_GPU = "no worker has a GPU: start workers with `dask worker SCHEDULER --resources GPU=1`"
# an embedded cluster is not reachable from outside, and two of them never share a port
_LOOPBACK: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"}


def default_workers(threads: int) -> int:
    """Return how many trials of this many threads this machine can run side by side."""
    return max(1, _n_cores() // threads)


def too_many_threads(threads: int) -> str:
    """Say that trials have more threads than this process may use cores; empty if they do not."""
    n_cores = _n_cores()
    if threads <= n_cores:
        return ""
    there = "is 1 core" if n_cores == 1 else f"are {n_cores} cores"
    return (
        f"trials have {threads} threads each, but there {there} here: they take longer than on a machine with as many"
    )


def _n_cores() -> int:
    return len(os.sched_getaffinity(0))


def check_workers(workers: int | None, cluster: str | None) -> None:
    """Raise `InputError` if a number of workers is requested of a cluster that has its own."""
    if workers is not None and cluster is not None:
        raise InputError(
            f"--workers {workers} sizes the embedded cluster; those of --cluster are started with: dask worker {cluster}"
        )


def resolve_device(device: str, gpus: int | None, cluster: str | None) -> tuple[str, int]:
    """Return the device that trials will use and the number of GPU workers of an embedded cluster.

    Raises
    ------
    UnmeetableRequestError
        If GPUs are asked for and there are fewer; waiting for one would never end.
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
    """Start a cluster of worker processes on this machine, one trial per worker; end it on leaving.

    Parameters
    ----------
    n_workers : int
        Worker processes if there are no GPUs.
    n_gpus : int
        If above 0, this many workers, each with one GPU as its `CUDA_VISIBLE_DEVICES` and the
        resource ``GPU=1``.
    """
    from distributed import Client, Nanny, Scheduler, SpecCluster

    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
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
    held = _HeldInterrupts()
    with (
        held,
        _ended(SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL)) as cluster,
        Client(cluster) as client,
        held.let_through(),
    ):
        yield client


@contextmanager
def _ended(cluster: SpecCluster) -> Iterator[SpecCluster]:
    """Enter a cluster and close it, even if Dask gives up on closing.

    On a busy machine a killed worker may outlive Dask's patience.
    """
    cluster.__enter__()
    try:
        yield cluster
    finally:
        try:
            cluster.close()
        except TimeoutError:
            # those that it did not come to; the workers are the only such processes here
            for process in multiprocessing.active_children():
                process.kill()
            # it would try, and wait, again as Python ends
            cluster.shutdown_on_close = False
            sys.stderr.write("workers were slow to end, and were killed; no result is touched by that\n")


class _HeldInterrupts:
    """Holds Ctrl-C and SIGTERM back while Dask starts and ends, where it would come apart.

    They act right after.

    Threads that are started meanwhile block SIGINT, and so do the workers that they start, now or
    later: Ctrl-C on a terminal goes to the whole group, but must reach the client alone, which ends
    its workers in order. Off the main thread this does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._noted: int | None = None
        self._has_started = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            # what is ignored (nohup) or left to the system stays so
            found = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
            self._handlers = {sign: handler for sign, handler in found.items() if callable(handler)}
            self._hold()
            # multiprocessing unblocks SIGINT in the thread that starts this, so it must not be the
            # one that starts workers
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._release()
        # a start may fail of the signal itself, if that went to the workers as well; what failed
        # later has more to tell
        if error is None or not self._has_started:
            self._act()

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Between start and end: act on what was held back, and at once on what comes."""
        self._has_started = True
        self._release()
        try:
            self._act()
            yield
        finally:
            self._hold()

    def _hold(self) -> None:
        for sign in self._handlers:
            signal.signal(sign, self._note)

    def _note(self, signum: int, frame: object) -> None:
        self._noted = signum

    def _release(self) -> None:
        if self._handlers:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for sign, handler in self._handlers.items():
            signal.signal(sign, handler)

    def _act(self) -> None:
        noted, self._noted = self._noted, None
        if noted is not None:
            self._handlers[noted](noted, None)


def _visible_gpus() -> list[str]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(i) for i in range(len(gpu_names()))]


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """Connect to a running scheduler (``dask scheduler``); it is left running.

    TLS is set up as Dask documents it: an address ``tls://...`` and the certificates in Dask's
    configuration.

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


def cluster_device(client: Client, device: str) -> str:
    """Return the device of trials on a cluster's workers; with "auto", GPUs if there are any.

    Raises
    ------
    UnmeetableRequestError
        If there are no workers, or none with a GPU though one is asked for.
    """
    workers = client.scheduler_info()["workers"]
    if not workers:
        raise UnmeetableRequestError(NO_WORKERS)
    found = "cuda" if any(w.get("resources", {}).get("GPU") for w in workers.values()) else "cpu"
    if device == "cuda" and found != "cuda":
        raise UnmeetableRequestError(NO_GPU)
    return found if device == "auto" else device
