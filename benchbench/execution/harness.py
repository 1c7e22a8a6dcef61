"""The harness of a trial: limits, clock, checkpoints and the channel for the adapter's reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchbench.checkpoints import Point
from benchbench.contracts.context import Context

__all__ = ["KeepCheckpoint", "TrialHarness"]

PROGRESS_SECONDS = 2.0

KeepCheckpoint = Callable[[Callable[[], bytes]], None]
"""Receives the function that makes a checkpoint whenever the method offers one."""


class TrialHarness:
    """Clock of the curves, limits of phases, checkpoints, and the channel to the supervisor.

    Parameters
    ----------
    seed, device, threads, scratch
        As of `Context`.
    deadline : float
        `time.monotonic()` at which the trial is killed; may be set later.
    send : callable, optional
        Receives messages, each plain data under one key: `point` (step, seconds, metric, value),
        `progress` (done, total, part), `limit` (what, seconds, deadline; None at its end) or
        `checkpoint` (path).
    shares_training : bool
        Whether the trial may reuse what another trial learnt in the same training.

    Attributes
    ----------
    context : Context
        What adapters receive.
    """

    def __init__(
        self,
        *,
        seed: int,
        device: str,
        threads: int,
        scratch: Path,
        deadline: float,
        send: Callable[[dict[str, Any]], None] | None = None,
        shares_training: bool = False,
    ) -> None:
        self.deadline, self.shares_training = deadline, shares_training
        self.context: Context = _TrialContext(self, seed, device, threads, scratch)
        self._send = send
        self._started = time.perf_counter()
        self._next_progress, self._part = 0.0, ""
        self._recordings: list[list[Point]] = []
        self._keep: KeepCheckpoint | None = None
        self._earlier: bytes | None = None

    def start_clock(self, already_seconds: float = 0.0) -> None:
        """Start the timed phase: seconds of points count from now, plus those already spent."""
        self._started = time.perf_counter() - already_seconds

    def elapsed(self) -> float:
        """Return the seconds since the timed phase began."""
        return time.perf_counter() - self._started

    @contextmanager
    def limited(self, what: str, seconds: float) -> Iterator[None]:
        """Have the trial killed if the body takes longer."""
        before = self.deadline
        deadline = time.monotonic() + seconds
        self.deadline = min(before, deadline)
        self._tell("limit", (what, seconds, deadline))
        try:
            yield
        finally:
            self.deadline = before
            self._tell("limit", None)

    def charge(self, seconds: float, *, limit_seconds: float) -> None:
        """Count the seconds of an interrupted process against the trial's limit."""
        self.deadline -= seconds
        self._tell("limit", ("the trial, including the time before its interruption,", limit_seconds, self.deadline))

    def point(self, step: int, seconds: float, metric: str, value: float) -> None:
        """Record a point of a curve, with its own seconds."""
        point = (int(step), float(seconds), metric, float(value))
        for recording in self._recordings:
            recording.append(point)
        self._tell("point", point)

    def replay(self, points: Iterable[Point]) -> None:
        """Record points that were reported earlier or elsewhere."""
        for point in points:
            self.point(*point)

    @contextmanager
    def recorded(self) -> Iterator[list[Point]]:
        """Collect the points of the body; they are sent as well."""
        points: list[Point] = []
        self._recordings.append(points)
        try:
            yield points
        finally:
            # the innermost one: recordings are nested
            self._recordings.pop()

    def progress(self, done: float, total: float, part: str = "") -> None:
        """Report progress; sent every `PROGRESS_SECONDS` and when a part begins (training: "")."""
        now = time.monotonic()
        if now >= self._next_progress or part != self._part:
            self._next_progress, self._part = now + PROGRESS_SECONDS, part
            self._tell("progress", (float(done), float(total), part))

    @contextmanager
    def checkpoints(self, keep: KeepCheckpoint | None = None, earlier: bytes | None = None) -> Iterator[None]:
        """Save checkpoints of the body's training with `keep`; resume it from `earlier`."""
        self._keep, self._earlier = keep, earlier
        try:
            yield
        finally:
            self._keep = self._earlier = None

    def name_checkpoint(self, path: Path) -> None:
        """Report the checkpoint's path, to be removed if a limit or a crash ends the trial."""
        self._tell("checkpoint", str(path))

    def last_checkpoint(self) -> bytes | None:
        """Return the checkpoint that training resumes from."""
        return self._earlier

    def offer_checkpoint(self, make: Callable[[], bytes]) -> None:
        """Pass the function that makes a checkpoint to `keep`, if there is one."""
        if self._keep is not None:
            self._keep(make)

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record values at the current time."""
        seconds = self.elapsed()
        for name, value in metrics.items():
            self.point(step, seconds, name, value)

    def _tell(self, kind: str, message: object) -> None:
        if self._send is not None:
            self._send({kind: message})


class _TrialContext(Context):
    """The adapter's view of a harness."""

    __slots__ = ("_harness", "device", "scratch", "seed", "threads")

    def __init__(self, harness: TrialHarness, seed: int, device: str, threads: int, scratch: Path) -> None:
        self._harness = harness
        self.seed, self.device, self.threads, self.scratch = seed, device, threads, scratch

    @property
    def deadline(self) -> float:
        return self._harness.deadline

    def report(self, step: int, **metrics: float) -> None:
        self._harness.report(step, metrics)

    def progress(self, done: float, total: float) -> None:
        self._harness.progress(done, total)

    def last_checkpoint(self) -> bytes | None:
        return self._harness.last_checkpoint()

    def checkpoint(self, make: Callable[[], bytes]) -> None:
        self._harness.offer_checkpoint(make)
