"""What the harness hands to every adapter of every track."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.seeding import derive_seed, generator

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Budget", "Context", "base_preset", "fit_limit_seconds"]

PROGRESS_SECONDS = 2.0

FIT_GRACE_SECONDS = 10.0
FIT_GRACE_SHARE = 0.1


def base_preset(name: str) -> str:
    """Return the preset that a budget began as: `name` without what was overridden ("quick" of "quick,threads=2")."""
    return name.partition(",")[0]


def fit_limit_seconds(fit_seconds: float) -> float:
    """Return when training is stopped from outside: 10 s and a tenth of its budget later than it should have ended."""
    return fit_seconds * (1 + FIT_GRACE_SHARE) + FIT_GRACE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a method may spend.

    Parameters
    ----------
    preset : str
        Name of the preset that this budget comes from, with what was overridden: see `base_preset`.
    iterations : int
        Training iterations: the budget that counts, because it repeats.
    threads : int
        CPU threads of the trial.
    time_limit_seconds : float
        Wall-clock guard of the whole trial; reaching it is a failure (`timeout`), not an early stop.
    memory_limit_mib : int
        Guard on the memory of the trial's whole process tree.
    grace_seconds : float
        Time between SIGTERM and SIGKILL once a guard is reached.
    test_units : int
        Test episodes (few-shot) or other units that the score is taken over; 0 where the task says it.
    fit_seconds : float or None
        Wall-clock seconds that training alone may take, for methods that use the time they are given; it is stopped at
        `fit_limit_seconds` of it. None: training has no limit of its own.
    """

    preset: str
    iterations: int
    threads: int = 1
    time_limit_seconds: float = 600.0
    memory_limit_mib: int = 4096
    grace_seconds: float = 2.0
    test_units: int = 0
    fit_seconds: float | None = None


@dataclass(slots=True, kw_only=True)
class Context:
    """Seed, device, threads, scratch folder, deadline, and the way to report any-time curves.

    Parameters
    ----------
    seed : int
        The trial's seed; derive streams of it with `rng` or `derive`.
    device : str
        "cpu" or "cuda".
    threads : int
        CPU threads; already set in torch and the BLAS libraries.
    scratch : Path
        Empty folder of this trial, removed afterwards.
    deadline : float
        `time.monotonic()` at which the trial is stopped from outside.
    sink : callable
        Receives `(step, seconds, metric, value)` for each reported value.
    teller : callable
        Receives how much is done, of how much, and of what part of the trial.
    limiter : callable
        Receives `(what, seconds, deadline)` when a part of the trial gets a limit of its own, and None when it has ended.
    shares_training : bool
        Whether the harness may take over what another trial learnt in the same meta-training.
    earlier : bytes, optional
        The last checkpoint of this training, of a process that was interrupted.
    keeper : callable
        Receives the maker of a checkpoint whenever the method offers one.
    names_checkpoint : callable
        Receives the path of the checkpoint, which must not outlive a trial that is killed for what it did.
    """

    seed: int
    device: str
    threads: int
    scratch: Path
    deadline: float
    sink: Callable[[int, float, str, float], None] | None = None
    teller: Callable[[float, float, str], None] | None = None
    limiter: Callable[[tuple[str, float, float] | None], None] | None = None
    shares_training: bool = False
    earlier: bytes | None = None
    keeper: Callable[[Callable[[], bytes]], None] | None = None
    names_checkpoint: Callable[[Path], None] | None = None
    started: float = field(default_factory=time.perf_counter)
    next_progress: float = 0.0
    progress_part: str = ""

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return numpy's generator for a named stream of the trial's seed."""
        return generator(self.seed, *names)

    def derive(self, *names: str | int) -> int:
        """Return an integer seed for a named stream of the trial's seed (for `torch.manual_seed`)."""
        return derive_seed(self.seed, *names) % (2**31)

    def seconds_left(self) -> float:
        """Return the wall-clock seconds until the trial is stopped from outside."""
        return self.deadline - time.monotonic()

    @contextmanager
    def limited(self, what: str, seconds: float) -> Iterator[None]:
        """Have the trial stopped from outside if the body takes longer; for the harness."""
        before = self.deadline
        deadline = time.monotonic() + seconds
        self.deadline = min(before, deadline)
        if self.limiter is not None:
            self.limiter((what, seconds, deadline))
        try:
            yield
        finally:
            self.deadline = before
            if self.limiter is not None:
                self.limiter(None)

    def last_checkpoint(self) -> bytes | None:
        """Return the last checkpoint of this very training if it was interrupted, or None: begin at the beginning.

        Only `meta_fit` has checkpoints, and only of methods with a `training_key`.
        """
        return self.earlier

    def checkpoint(self, make: Callable[[], bytes]) -> None:
        """Offer to keep how far training has come; cheap enough to be called after every iteration.

        Parameters
        ----------
        make : callable
            Returns all that is needed to go on to the very same end; called once a minute or so. Nothing but the method reads the
            bytes, so never unpickle them (`torch.load` with ``weights_only=True``).
        """
        if self.keeper is not None:
            self.keeper(make)

    def charge(self, seconds: float, *, limit_seconds: float) -> None:
        """Count seconds that an interrupted process spent against the trial's limit; for the harness."""
        self.deadline -= seconds
        if self.limiter is not None:
            self.limiter(("the trial, with the time before it was interrupted,", limit_seconds, self.deadline))

    def start_clock(self, already_seconds: float = 0.0) -> None:
        """Begin the timed phase: `report` counts seconds from here, on top of those that were spent already."""
        self.started = time.perf_counter() - already_seconds

    def elapsed(self) -> float:
        """Return the seconds since the timed phase began."""
        return time.perf_counter() - self.started

    def report(self, step: int, **metrics: float) -> None:
        """Record a point of the any-time curves: `report(iteration, accuracy=0.91, train_loss=0.3)`.

        Points are sent at once, so that they survive a trial that is stopped.
        """
        if self.sink is not None:
            seconds = self.elapsed()
            for name, value in metrics.items():
                self.sink(int(step), seconds, name, float(value))

    def progress(self, done: float, total: float, part: str = "") -> None:
        """Say how far the trial is, for who watches: `progress(iteration, n_iterations)`.

        It is passed on once in `PROGRESS_SECONDS`, so call it as often as you like. Methods have one part, which they need not name;
        the harness calls what comes after it "testing".
        """
        if self.teller is None:
            return
        now = time.monotonic()
        if now >= self.next_progress or part != self.progress_part:
            self.next_progress, self.progress_part = now + PROGRESS_SECONDS, part
            self.teller(float(done), float(total), part)

    def replay(self, points: Iterable[tuple[int, float, str, float]]) -> None:
        """Send points that were recorded earlier, with their own seconds; for the harness."""
        if self.sink is not None:
            for point in points:
                self.sink(*point)

    @contextmanager
    def recorded(self) -> Iterator[list[tuple[int, float, str, float]]]:
        """Collect what the body reports, besides sending it; for the harness."""
        points: list[tuple[int, float, str, float]] = []
        sink = self.sink

        def record(step: int, seconds: float, metric: str, value: float) -> None:
            points.append((step, seconds, metric, value))
            if sink is not None:
                sink(step, seconds, metric, value)

        self.sink = record
        try:
            yield points
        finally:
            self.sink = sink
