"""The harness of a trial: limits, clock, checkpoints and the channel for the adapter's reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchbench.checkpoints import Point
from benchbench.contracts.context import Context
from benchbench.errors import ProtocolViolation
from benchbench.numbers import LONGEST_NAME, as_number, checked_name

__all__ = ["KeepCheckpoint", "TrialHarness"]

PROGRESS_SECONDS = 2.0

# of reports of the same metrics so many are kept, then every second until there were twice as many,
# every fourth until four times, and so on
FULL_REPORTS = 10_000
# other sets of metrics than these are thinned together
MOST_SETS = 1000
LARGEST_STEP = 2**63 - 1
THINNED = f"more than {FULL_REPORTS:,} reports; the later ones are thinned out"

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
        `progress` (done, total, part), `limit` (what, seconds, deadline; None at its end),
        `checkpoint` (path) or `remark` (text).
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
        self._n_reports: dict[tuple[str, ...], int] = {}
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
        """Record a point of a curve, with its own seconds.

        Raises
        ------
        ProtocolViolation
            If step or value is no number.
        """
        point = (_step(step), float(seconds), metric, as_number(value, f"metric {metric!r} of a report"))
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
            numbers = as_number(done, "what is done"), as_number(total, "the total")
            # others say nothing of how far the trial is
            if math.isfinite(sum(numbers)):
                self._tell("progress", (*numbers, part))

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
        """Record values at the current time; very many reports are thinned out.

        Raises
        ------
        ProtocolViolation
            If a value is no number, or a name too long.
        """
        if self._is_kept(tuple(metrics)):
            seconds = self.elapsed()
            for name, value in metrics.items():
                self.point(step, seconds, checked_name(name, "a metric of a report"), value)

    def remark(self, text: str) -> None:
        """Record what is questionable about the trial, for people."""
        self._tell("remark", text)

    def _is_kept(self, names: tuple[str, ...]) -> bool:
        """Count a report of these metrics; return whether it is one of those that are kept."""
        if names not in self._n_reports and len(self._n_reports) >= MOST_SETS:
            names = ()
        n = self._n_reports.get(names, 0)
        self._n_reports[names] = n + 1
        if n == FULL_REPORTS:
            self.remark(f"curve of {', '.join(names)[:LONGEST_NAME] or 'many metrics'}: {THINNED}")
        return n < FULL_REPORTS or n % (1 << (n // FULL_REPORTS).bit_length()) == 0

    def _tell(self, kind: str, message: object) -> None:
        if self._send is not None:
            self._send({kind: message})


def _step(step: object) -> int:
    if type(step) is not int:
        number = as_number(step, "the step of a report")
        if not number.is_integer():
            raise ProtocolViolation(f"the step of a report is {number:g}, expected a whole number")
        step = int(number)
    if abs(step) > LARGEST_STEP:
        raise ProtocolViolation(f"the step of a report has {step.bit_length()} bits, expected at most 63")
    return step


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
