"""Progress of a run: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TextIO

from benchbench.records import Attempt

__all__ = ["LiveProgress", "PlainProgress", "Progress", "make_progress"]

# plain output says no more often than this how far it is
PLAIN_SECONDS, PLAIN_SHARE = 30.0, 0.02
PLAIN_TRIALS = 4
# so many are shared out evenly over the slots, and not one by one
MANY_TRIALS = 500


@dataclass(slots=True)
class RunningTrial:
    """A trial on a worker, and what it said of its progress: first, since it may have gone on from a checkpoint, and last.

    `allowed` are the seconds that its training is given, if it is given a time.
    """

    method: str
    task: str
    since: float
    allowed: float | None = None
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None

    def advance(self, share: float) -> None:
        """Note the share of its work that is done; it may still have to be tested."""
        self.last = (time.monotonic(), share)
        self.first = self.first or self.last

    def elapsed(self) -> float:
        """Return the seconds since it was handed over."""
        return time.monotonic() - self.since

    def whole_seconds(self) -> float | None:
        """Estimate from its own pace what all of it takes; None if it has said too little."""
        if self.first is None or self.last is None or self.last[1] <= self.first[1]:
            return None
        (began, start), (now, share) = self.first, self.last
        return (now - began) / (share - start)

    def seconds_left(self) -> float | None:
        """Estimate from its own pace what is left of it; None if it has said too little."""
        whole = self.whole_seconds()
        if whole is None or self.last is None:
            return None
        now, share = self.last
        return max(0.0, whole * (1 - share) - (time.monotonic() - now))

    def __str__(self) -> str:
        share = ""
        if self.last is not None:
            share = "100 %, " if self.last[1] >= 1 else f"{min(99, round(100 * self.last[1]))} %, "
        return f"{self.method} on {self.task} ({share}{duration(self.elapsed())})"


@dataclass(slots=True)
class Tally:
    """What is known of a run so far."""

    n_trials: int
    n_slots: int = 1
    n_done: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    seconds_by_method: dict[str, list[float]] = field(default_factory=dict)
    waiting: Counter[str] = field(default_factory=Counter)
    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    running: dict[str, RunningTrial] = field(default_factory=dict)

    def start(self, trial_id: str, method: str, task: str, allowed: float | None = None) -> None:
        """Note that a trial was handed to a worker."""
        self.running[trial_id] = RunningTrial(method, task, time.monotonic(), allowed)

    def advance(self, trial_id: str, done: float, total: float) -> None:
        """Note how far a trial is."""
        if trial_id in self.running and total > 0 and 0 <= done < math.inf:
            self.running[trial_id].advance(min(1.0, done / total))

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """Note what came of a try."""
        self.running.pop(attempt.trial_id, None)
        self.outcomes[attempt.outcome] += 1
        if not is_final:
            return
        self.n_done += 1
        self.waiting[attempt.method] -= 1
        if attempt.outcome not in ("declined", "infra"):  # they say nothing of how long the others take
            whole = attempt.wall_seconds + attempt.metrics.get("continued_seconds", 0.0)
            self.seconds_by_method.setdefault(attempt.method, []).append(whole)
        if attempt.score is not None:
            self.scores.setdefault((attempt.method, attempt.task), []).append(attempt.score)

    def seconds_left(self) -> float | None:
        """Estimate the time to the end; None as long as nothing is known.

        A trial that runs goes by its own pace if it says how far it is. Others take what trials of their method took, or are about
        to take, or may; or else what all trials take.
        """
        by_method = {method: list(times) for method, times in self.seconds_by_method.items()}
        for trial in self.running.values():
            whole = trial.whole_seconds()
            if whole is None and trial.method not in self.seconds_by_method:
                whole = trial.allowed
            if whole is not None:
                by_method.setdefault(trial.method, []).append(whole)
        known = [s for times in by_method.values() for s in times]
        if not known:
            return None
        means: defaultdict[str, float] = defaultdict(lambda: sum(known) / len(known))
        means.update({method: sum(times) / len(times) for method, times in by_method.items()})
        # seconds until each slot is free
        free = [0.0] * (max(1, self.n_slots) - len(self.running))
        for trial in self.running.values():
            left = trial.seconds_left()
            free.append(max(0.0, means[trial.method] - trial.elapsed()) if left is None else left)
        not_begun = self.waiting - Counter(trial.method for trial in self.running.values())
        if not_begun.total() > MANY_TRIALS:
            return math.fsum([*free, *(n * means[method] for method, n in not_begun.items())]) / len(free)
        heapq.heapify(free)
        for method in sorted(not_begun, key=lambda name: -means[name]):
            for _ in range(not_begun[method]):
                heapq.heapreplace(free, free[0] + means[method])
        return max(free)

    @property
    def n_failed(self) -> int:
        """Tries that ended neither well nor by being declined."""
        return sum(n for outcome, n in self.outcomes.items() if outcome not in ("ok", "declined"))

    def line(self) -> str:
        """Say in one line how far the run is."""
        left = self.seconds_left()
        eta = "" if left is None or self.n_done == self.n_trials else f", about {duration(left)} left"
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        return f"{self.n_done}/{self.n_trials} trials done, {len(self.running)} running{failed}{eta}"


def duration(seconds: float) -> str:
    """Return "42 s", "3 min 05 s" or "2 h 10 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"


class Progress:
    """Keeps the tally and shows nothing (`--quiet`)."""

    def __init__(self, n_trials: int, n_slots: int, waiting: Counter[str]) -> None:
        self.tally = Tally(n_trials, n_slots, started=time.monotonic(), waiting=waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def start(self, trial_id: str, method: str, task: str, allowed: float | None = None) -> None:
        """A trial was handed to a worker; its training may be given a time in seconds."""
        self.tally.start(trial_id, method, task, allowed)

    def advance(self, trial_id: str, done: float, total: float) -> None:
        """A trial said how far it is."""
        self.tally.advance(trial_id, done, total)

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """A try ended."""
        self.tally.finish(attempt, is_final)

    def tick(self) -> None:
        """Some time has passed."""

    def close(self) -> None:
        """The run is over, well or not."""


class PlainProgress(Progress):
    """One line for each trial that went wrong, and now and then one that says how far the run is."""

    def __init__(self, n_trials: int, n_slots: int, waiting: Counter[str], out: TextIO) -> None:
        super().__init__(n_trials, n_slots, waiting)
        self.out = out
        self.next_line = time.monotonic() + PLAIN_SECONDS

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """Print what went wrong, if it did."""
        super().finish(attempt, is_final)
        if attempt.outcome not in ("ok", "declined"):
            self._print(problem(attempt))

    def tick(self) -> None:
        """Print how far the run is, at intervals."""
        now = time.monotonic()
        if now >= self.next_line:
            # a log of hours needs no line in every half minute
            self.next_line = now + max(PLAIN_SECONDS, PLAIN_SHARE * (now - self.tally.started))
            trials = [str(trial) for trial in self.tally.running.values() if trial.last is not None]
            more = [f"and {len(trials) - PLAIN_TRIALS} more"] if len(trials) > PLAIN_TRIALS else []
            self._print("; ".join([self.tally.line(), *trials[:PLAIN_TRIALS], *more]))

    def close(self) -> None:
        """Print how far the run came."""
        self._print(self.tally.line())

    def _print(self, text: str) -> None:
        self.out.write(text + "\n")
        self.out.flush()


def problem(attempt: Attempt) -> str:
    """Say in one line what went wrong with an attempt, and where to read more."""
    what = attempt.error_message.strip().splitlines()[0] if attempt.error_message.strip() else attempt.error_type
    kind = f"{attempt.error_type}: " if attempt.error_type and attempt.error_type not in what else ""
    short = what if len(what) <= 160 else what[:157] + "..."
    return f"{attempt.outcome}: {attempt.method} on {attempt.task}: {kind}{short} (bench show {attempt.attempt_id[:8]})"


class LiveProgress(Progress):
    """A bar, what is running, and the standing so far, redrawn in place."""

    def __init__(self, n_trials: int, n_slots: int, waiting: Counter[str]) -> None:
        super().__init__(n_trials, n_slots, waiting)
        from rich.console import Console
        from rich.live import Live

        self.console = Console(stderr=True)
        self.live = Live(self._draw(), console=self.console, refresh_per_second=4, transient=True)
        self.live.start()

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """Redraw, and leave a line above the display for what went wrong."""
        super().finish(attempt, is_final)
        if attempt.outcome not in ("ok", "declined"):
            self.console.print(problem(attempt), style="red", highlight=False, markup=False)
        self.live.update(self._draw())

    def tick(self) -> None:
        """Redraw."""
        self.live.update(self._draw())

    def close(self) -> None:
        """Take the display away and say in one line how far the run came."""
        self.live.stop()
        self.console.print(self.tally.line(), highlight=False)

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        tally = self.tally
        now = time.monotonic()
        running = [str(trial) for trial in tally.running.values()]
        bar = Table.grid()  # a bar alone ends without a new line
        bar.add_row(
            ProgressBar(total=max(tally.n_trials, 1), completed=tally.n_done, width=min(60, self.console.width))
        )
        parts: list[Any] = [
            bar,
            Text(f"{tally.line()}; {duration(now - tally.started)} so far"),
        ]
        if running:
            more = f" and {len(running) - 6} more" if len(running) > 6 else ""
            parts.append(Text("running: " + ", ".join(running[:6]) + more, style="dim"))
        if tally.scores:
            parts.append(self._standing())
        return Group(*parts)

    def _standing(self) -> Any:
        from rich.table import Table

        tasks = list(dict.fromkeys(t for _, t in self.tally.scores))[:5]
        table = Table(title="standing so far (scores)", title_justify="left", box=None, pad_edge=False)
        table.add_column("method")
        for task in tasks:
            table.add_column(task, justify="right")
        for method in sorted({m for m, _ in self.tally.scores}):
            cells = []
            for task in tasks:
                scores = self.tally.scores.get((method, task))
                cells.append(f"{sum(scores) / len(scores):.3f}" if scores else "")
            table.add_row(method, *cells)
        return table


def make_progress(n_trials: int, n_slots: int, waiting: Counter[str], quiet: bool) -> Progress:
    """Return the display that fits: none, live on a terminal, plain lines elsewhere."""
    if quiet:
        return Progress(n_trials, n_slots, waiting)
    if sys.stderr.isatty():
        return LiveProgress(n_trials, n_slots, waiting)
    return PlainProgress(n_trials, n_slots, waiting, sys.stderr)
