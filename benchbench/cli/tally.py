"""The state of a run, and an estimate of its remaining time."""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from benchbench.records import Attempt
from benchbench.spec import TrialSpec, canonical_json
from benchbench.stats.labels import method_label, plural, whole_duration
from benchbench.text import printable

__all__ = ["RunningTrial", "Tally", "label_of"]

# more trials than this are spread evenly over the slots instead of one by one
MANY_TRIALS = 500


def label_of(trial: Attempt | TrialSpec) -> str:
    """Return the method of a trial with its parameters."""
    return method_label(trial.method, canonical_json(dict(trial.params)))


@dataclass(slots=True)
class RunningTrial:
    """A trial on a worker, with its first and last report of progress.

    `method` is a label. A trial may have parts, such as training and testing. `first` and `last`
    concern the current part, `before` holds the seconds of the earlier ones. The first report is
    not 0 if training resumed from a checkpoint. `allowed` is the training budget in seconds, if
    there is one.
    """

    method: str
    task: str
    since: float
    allowed: float | None = None
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None
    part: str = ""
    before: float = 0.0

    def advance(self, share: float, part: str = "") -> None:
        """Record the share that is done, of training or of another part."""
        if part != self.part:
            # resumed training took longer than this process has seen
            self.before = max(self.elapsed(), self._part_seconds() or 0.0)
            self.part, self.first = part, None
        self.last = (time.monotonic(), share)
        self.first = self.first or self.last

    def elapsed(self) -> float:
        """Return the seconds since the trial started."""
        return time.monotonic() - self.since

    def whole_seconds(self) -> float | None:
        """Estimate the total seconds from the pace so far, without later parts; None if unknown."""
        of_part = self._part_seconds()
        return (self.before or None) if of_part is None else self.before + of_part

    def _part_seconds(self) -> float | None:
        if self.first is None or self.last is None or self.last[1] <= self.first[1]:
            return None
        (began, start), (now, share) = self.first, self.last
        return (now - began) / (share - start)

    def seconds_left(self) -> float | None:
        """Estimate the remaining seconds from the pace so far; None if unknown."""
        of_part = self._part_seconds()
        if of_part is None or self.last is None:
            return 0.0 if self.part else None  # the last part is the shorter one
        now, share = self.last
        return max(0.0, of_part * (1 - share) - (time.monotonic() - now))

    def __str__(self) -> str:
        share = ""
        if self.last is not None:
            done = "100 %" if self.last[1] >= 1 else f"{min(99, round(100 * self.last[1]))} %"
            share = f"{self.part} {done}, ".lstrip()
        return f"{printable(self.method)} on {printable(self.task)} ({share}{whole_duration(self.elapsed())})"


@dataclass(slots=True)
class Tally:
    """The state of a run."""

    n_trials: int
    n_slots: int = 1
    n_done: int = 0
    n_remarked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    seconds_by_method: dict[str, list[float]] = field(default_factory=dict)
    waiting: Counter[str] = field(default_factory=Counter)
    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    running: dict[str, RunningTrial] = field(default_factory=dict)
    preparing: str = ""
    """The task whose data are being prepared."""
    n_unprepared: int = 0
    """Tasks whose data are not prepared yet."""
    failed_tasks: dict[str, str] = field(default_factory=dict)
    """Why the data of tasks could not be prepared."""

    def expect(self, more: Counter[str], fewer: Counter[str]) -> None:
        """Correct the number of trials, by method, as the data of a task become known."""
        self.n_trials += more.total() - fewer.total()
        self.waiting.update(more)
        self.waiting.subtract(fewer)

    def start(self, trial_id: str, method: str, task: str, allowed: float | None = None) -> None:
        """Record that a worker started a trial."""
        self.running[trial_id] = RunningTrial(method, task, time.monotonic(), allowed)

    def advance(self, trial_id: str, done: float, total: float, part: str = "") -> None:
        """Record the progress of a trial in a part of its work."""
        if trial_id in self.running and total > 0 and 0 <= done < math.inf:
            self.running[trial_id].advance(min(1.0, done / total), part)

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """Record the outcome of an attempt."""
        self.running.pop(attempt.trial_id, None)
        self.outcomes[attempt.outcome] += 1
        if not is_final:
            return
        self.n_done += 1
        self.n_remarked += bool(attempt.remarks)
        label = label_of(attempt)
        self.waiting[label] -= 1
        # durations of these outcomes do not predict those of other trials
        if attempt.outcome not in ("declined", "infra"):
            whole = attempt.wall_seconds + attempt.metrics.get("continued_seconds", 0.0)
            self.seconds_by_method.setdefault(label, []).append(whole)
        if attempt.score is not None:
            self.scores.setdefault((label, attempt.task), []).append(attempt.score)

    def seconds_left(self) -> float | None:
        """Estimate the remaining seconds of the run; None as long as nothing is known.

        A running trial that reports progress is extrapolated from its pace. Other trials take the
        mean of their method's finished, extrapolated or allowed seconds. Without any of these they
        take the mean of all trials.
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
        """Attempts that neither succeeded nor were declined."""
        return sum(n for outcome, n in self.outcomes.items() if outcome not in ("ok", "declined"))

    def line(self) -> str:
        """Return one line of progress."""
        left = self.seconds_left()
        eta = (
            "" if left is None or left < 0.5 or self.n_done == self.n_trials else f", about {whole_duration(left)} left"
        )
        if self.n_remarked:
            eta = f", {self.n_remarked} with remarks{eta}"
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        data = f", data of {plural(self.n_unprepared, 'task')} to prepare" if self.n_unprepared else ""
        lost = f", data of {plural(len(self.failed_tasks), 'task')} failed" if self.failed_tasks else ""
        return f"{self.n_done}/{self.n_trials} trials done, {len(self.running)} running{failed}{data}{lost}{eta}"
