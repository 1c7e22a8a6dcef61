"""Passes planned trials to Dask workers and yields their outcomes.

Each trial is pinned to one slot (a thread of a worker), and a slot has at most one task, so that
the driver always knows what was running where. Dask does not repeat work: if a worker
disappears, its trials become `infra` attempts here and are submitted again, up to `max_tries`.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchbench import __version__
from benchbench.cluster import worker as worker_side
from benchbench.cluster.backends import NO_GPU, NO_WORKERS
from benchbench.cluster.plan import PlannedTrial
from benchbench.cluster.preparing import PreparationFailure
from benchbench.errors import ClusterError, UnmeetableRequestError
from benchbench.records import TrialOutcome

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Driver", "Finished", "Running"]

WATCH_SECONDS = 0.5
# with free slots, while data are being prepared
WAITING_SECONDS = 0.05
NO_WORKERS_SECONDS = 60.0
# tasks shorter than this are sent several at a time: Dask costs 2 to 4 ms per task
BATCH_SECONDS = 0.1
MAX_BATCH = 16


@dataclass(frozen=True, slots=True)
class Running:
    """A trial that was passed to a worker."""

    trial: PlannedTrial
    try_number: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial that ended, with its outcome as the worker saw it."""

    trial: PlannedTrial
    try_number: int
    outcome: TrialOutcome
    worker: str
    is_final: bool


@dataclass(slots=True)
class _Slot:
    address: str
    batch: list[Running] = field(default_factory=list)
    future: Future[Any] | None = None


class Driver:
    """Runs trials on the workers of a Dask client.

    Parameters
    ----------
    client : distributed.Client
    device : str
        "cpu" or "cuda"; only workers with a `GPU` resource get trials for "cuda".
    source_hashes : dict
        Of the methods that every worker must know in the very same source, by name.
    track, protocol_version : str
    max_tries : int
        Executions of a trial within this run if its worker is lost.
    on_start : callable, optional
        Called with each trial that is passed to a worker.
    on_progress : callable, optional
        Called from time to time with trial id, amount done, total, and the part of the trial.
    on_unprepared : callable, optional
        Called with a task that no worker can prepare, the reason, and its trials that were taken
        from the stream and will not run.
    """

    def __init__(
        self,
        client: Client,
        *,
        device: str,
        source_hashes: dict[str, str],
        track: str,
        protocol_version: str,
        max_tries: int = 3,
        on_start: Callable[[Running], None] | None = None,
        on_progress: Callable[[str, float, float, str], None] | None = None,
        on_unprepared: Callable[[str, PreparationFailure, list[PlannedTrial]], None] | None = None,
    ) -> None:
        self.client = client
        self.device = device
        self.source_hashes, self.track, self.protocol_version = source_hashes, track, protocol_version
        self.max_tries = max_tries
        self.on_start, self.on_progress, self.on_unprepared = on_start, on_progress, on_unprepared
        self._run = uuid.uuid4().hex
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.slots: list[_Slot] = []
        self._addresses: set[str] = set()
        self._done: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._has_more = True
        self._is_waiting = False
        # taken from the stream, but not for the workers that were free
        self._held: list[Running] = []
        self._again: list[Running] = []
        self._unable: dict[tuple[str, str], PreparationFailure] = {}
        """By worker and task: why the worker cannot prepare the task's data."""
        self._dropped: set[str] = set()
        self._trial_seconds: float | None = None
        self._next_watch = 0.0
        self._last_worker = time.monotonic()

    def running(self) -> list[Running]:
        """Return what is on the workers now."""
        return [r for slot in self.slots for r in slot.batch]

    def run(self, trials: Iterable[PlannedTrial | None]) -> Iterator[list[Finished]]:
        """Run the trials.

        Yield lists of finished tries, at the latest every half second (an empty list then).

        Parameters
        ----------
        trials : iterable of PlannedTrial or None
            Read as slots become free. None stands for no trial now, but perhaps later.

        Raises
        ------
        UnmeetableRequestError
            If no worker there can run them.
        ClusterError
            If all workers are gone for a minute.
        """
        stream = iter(trials)
        self._watch(must_have=True)
        self._has_more = True
        self.client.subscribe_topic(worker_side.PROGRESS_TOPIC, lambda event: self._events.put(event[1]))
        try:
            while True:
                self._fill(stream)
                self._drop_unprepared()
                if not (self._has_more or self._held or self._again or self.running()):
                    return
                finished = self._collect()
                self._tell_progress()
                yield finished
                if time.monotonic() >= self._next_watch:
                    lost = self._watch()
                    if lost:
                        yield lost
        finally:
            if self.client.status == "running":  # else it was removed with its client
                self.client.unsubscribe_topic(worker_side.PROGRESS_TOPIC)

    def _tell_progress(self) -> None:
        """Pass on what workers have said of trials that still run."""
        running = {r.trial.trial_id for r in self.running()}
        while not self._events.empty():
            event = self._events.get()
            if self.on_progress is not None and event["run"] == self._run and event["trial_id"] in running:
                self.on_progress(event["trial_id"], event["done"], event["total"], event["part"])

    def abort(self) -> None:
        """End the trials that run on the workers; used when the client gives up."""
        for slot in self.slots:
            if slot.future is not None:
                slot.future.cancel()
        try:
            self.client.run(worker_side.abort, on_error="ignore")
        except (OSError, TimeoutError):
            return  # the cluster is gone already, and its zygotes with it

    def _fill(self, stream: Iterator[PlannedTrial | None]) -> None:
        """Give each free slot a batch."""
        self._is_waiting = False
        for slot in self.slots:
            if slot.batch:
                continue
            batch: list[Running] = []
            for _ in range(self._batch_size()):
                running = self._next(stream, slot.address)
                if running is None:
                    break
                batch.append(running)
            if batch:
                self._submit(slot, batch)

    def _next(self, stream: Iterator[PlannedTrial | None], address: str) -> Running | None:
        """Return the next trial for a worker, None if there is none now."""
        found = self._first_possible(self._held, address)
        while found is None and self._has_more and not self._is_waiting:
            try:
                trial = next(stream)
            except StopIteration:
                self._has_more = False
                break
            if trial is None:
                self._is_waiting = True
            elif trial.spec.task in self._dropped:
                self._drop(trial.spec.task, [trial])
            elif (address, trial.spec.task) in self._unable:
                self._held.append(Running(trial, 1))
            else:
                found = Running(trial, 1)
        # after everything else: what killed its worker once may do so again
        return found or self._first_possible(self._again, address)

    def _first_possible(self, waiting: list[Running], address: str) -> Running | None:
        """Take the first trial whose data the worker can prepare, as far as known."""
        for i, running in enumerate(waiting):
            if (address, running.trial.spec.task) not in self._unable:
                return waiting.pop(i)
        return None

    def _drop_unprepared(self) -> None:
        """Drop the tasks of waiting trials that none of the workers can prepare."""
        if not self._unable or not self.slots:
            return
        addresses = {slot.address for slot in self.slots}
        for task in dict.fromkeys(running.trial.spec.task for running in (*self._held, *self._again)):
            if all((address, task) in self._unable for address in addresses):
                trials = [r.trial for r in (*self._held, *self._again) if r.trial.spec.task == task]
                self._held = [r for r in self._held if r.trial.spec.task != task]
                self._again = [r for r in self._again if r.trial.spec.task != task]
                self._dropped.add(task)
                self._drop(task, trials)

    def _drop(self, task: str, trials: list[PlannedTrial]) -> None:
        if self.on_unprepared is None:
            return
        address, failure = next((a, failure) for (a, name), failure in self._unable.items() if name == task)
        self.on_unprepared(task, replace(failure, message=f"{failure.message} (worker {address})"), trials)

    def _batch_size(self) -> int:
        if self._trial_seconds is None:
            return 1
        return max(1, min(MAX_BATCH, int(BATCH_SECONDS / max(self._trial_seconds, 1e-4))))

    def _submit(self, slot: _Slot, batch: list[Running]) -> None:
        slot.batch = batch
        for running in batch:
            if self.on_start is not None:
                self.on_start(running)
        slot.future = self.client.submit(
            worker_side.run_batch,
            [_request(r.trial, self.device) for r in batch],
            self._run,
            workers=[slot.address],
            allow_other_workers=False,
            pure=False,
            retries=0,
            resources={"GPU": 1} if self.device == "cuda" else None,
        )
        slot.future.add_done_callback(lambda _, slot=slot: self._done.put(slot))

    def _collect(self) -> list[Finished]:
        """Wait a little for finished tasks and return all that there are."""
        finished: list[Finished] = []
        wait = max(0.0, self._next_watch - time.monotonic())
        if self._is_waiting:
            wait = min(wait, WAITING_SECONDS)
        while True:
            try:
                slot = self._done.get(timeout=wait)
            except queue.Empty:
                return finished
            wait = 0.0
            if slot.future is not None and slot.future.done():
                finished += self._finish(slot)

    def _finish(self, slot: _Slot) -> list[Finished]:
        future, batch = slot.future, slot.batch
        slot.future, slot.batch = None, []
        assert future is not None
        if future.status != "finished":
            error = future.exception() if future.status == "error" else None
            return self._lost(batch, slot.address, f"{type(error).__name__}: {error}" if error else str(future.status))
        outcomes = future.result()
        finished = []
        for running, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, PreparationFailure):
                self._unable[slot.address, running.trial.spec.task] = outcome
                self._held.append(running)
                continue
            seconds, known = outcome.wall_seconds, self._trial_seconds
            self._trial_seconds = seconds if known is None else 0.8 * known + 0.2 * seconds
            finished.append(self._finished(running, outcome, slot.address))
        return finished

    def _finished(self, running: Running, outcome: TrialOutcome, address: str) -> Finished:
        is_final = outcome.outcome != "infra" or running.try_number >= self.max_tries
        if not is_final:
            self._again.append(Running(running.trial, running.try_number + 1))
        return Finished(running.trial, running.try_number, outcome, address, is_final)

    def _lost(self, batch: list[Running], address: str, why: str) -> list[Finished]:
        message = f"worker {address} was lost: {why}"
        outcome = TrialOutcome(outcome="infra", error_type="WorkerLost", error_message=message)
        return [self._finished(running, outcome, address) for running in batch]

    def _watch(self, must_have: bool = False) -> list[Finished]:
        """Compare the slots with the present workers.

        Return what was lost with workers that disappeared.
        """
        self._next_watch = time.monotonic() + WATCH_SECONDS
        try:
            threads: dict[str, int] = self.client.nthreads()
        except (OSError, TimeoutError) as error:
            raise ClusterError(
                f"the Dask scheduler is gone ({error}); what was recorded is safe, run the same command again"
            ) from error
        lost: list[Finished] = []
        for slot in [s for s in self.slots if s.address not in threads]:
            self.slots.remove(slot)
            future, batch = slot.future, slot.batch
            # emptied before the cancel, whose call-back would report the same loss a second time
            slot.future, slot.batch = None, []
            if future is not None:
                future.cancel()
                lost += self._lost(batch, slot.address, "it left the cluster")
        self._addresses &= set(threads)
        new = {a: n for a, n in threads.items() if a not in self._addresses}
        if new:
            self._admit(new, must_have)
        if self.slots:
            self._last_worker = time.monotonic()
        elif must_have:
            raise UnmeetableRequestError(NO_WORKERS)
        elif time.monotonic() - self._last_worker > NO_WORKERS_SECONDS:
            raise ClusterError(
                f"no worker was left for {NO_WORKERS_SECONDS:.0f} s; what was recorded is safe, run the same command again"
            )
        return lost

    def _admit(self, new: dict[str, int], must_have: bool) -> None:
        """Give slots to new workers that run the same code.

        At the start, refuse the run if one does not.
        """
        info = self.client.scheduler_info()["workers"]
        known = self.client.run(
            worker_side.facts, list(self.source_hashes), self.track, workers=list(new), on_error="return"
        )
        self._addresses |= set(new)
        usable = {}
        for address, threads in new.items():
            problem = self._problem(known.get(address))
            if problem and must_have:
                raise UnmeetableRequestError(f"worker {address} {problem}")
            if not problem:
                gpus = int(info.get(address, {}).get("resources", {}).get("GPU", 0))
                usable[address] = min(threads, gpus) if self.device == "cuda" else threads
        if must_have and self.device == "cuda" and not any(usable.values()):
            raise UnmeetableRequestError(NO_GPU)
        self.slots += [_Slot(address) for address, n in usable.items() for _ in range(n)]

    def _problem(self, found: Any) -> str | None:
        if not isinstance(found, dict):
            return f"cannot run benchbench: {type(found).__name__}: {found}"
        if found["version"] != __version__:
            return f"has benchbench {found['version']}, this client {__version__}; install the same version on both"
        if found["protocol_version"] != self.protocol_version:
            return f"has protocol {found['protocol_version']}, this client {self.protocol_version}; install the same code on both"
        if found.get("harness") != worker_side.worker_hash():
            return (
                f"has another state of benchbench {__version__}'s own code ({found.get('harness')}; here"
                f" {worker_side.worker_hash()}); install the same code on both, then restart the worker"
            )
        for name, source in self.source_hashes.items():
            if found["source_hashes"].get(name) != source:
                return (
                    f"has another source of method {name!r} ({found['source_hashes'].get(name)}; here {source});"
                    " install the same code on both, then restart the worker"
                )
        return None


def _request(trial: PlannedTrial, device: str) -> dict[str, Any]:
    spec = trial.spec.to_dict()
    spec["budget"] = asdict(trial.spec.budget)
    return {
        "spec": spec,
        "trial_id": trial.trial_id,
        "fingerprint": trial.fingerprint,
        "preload": list(trial.preload),
        "visible_gpus": "" if device == "cpu" else None,
    }
