"""Progress of a run: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, TextIO

from benchbench.cli.tally import Tally, label_of
from benchbench.records import Attempt
from benchbench.stats.labels import whole_duration
from benchbench.text import printable

__all__ = ["LiveProgress", "PlainProgress", "Progress", "make_progress"]

# the shortest interval between progress lines of plain output
PLAIN_SECONDS, PLAIN_SHARE = 30.0, 0.02
PLAIN_TRIALS = 4


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
        """A worker started a trial; its training may have a limit in seconds."""
        self.tally.start(trial_id, method, task, allowed)

    def advance(self, trial_id: str, done: float, total: float, part: str = "") -> None:
        """A trial reported its progress in a part of its work."""
        self.tally.advance(trial_id, done, total, part)

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """An attempt ended."""
        self.tally.finish(attempt, is_final)

    def tick(self) -> None:
        """Some time has passed."""

    def expect(self, more: Counter[str], fewer: Counter[str]) -> None:
        """The number of trials changed, by method, as the data of a task became known."""
        self.tally.expect(more, fewer)

    def prepare(self, task: str, n_left: int, line: str = "") -> None:
        """The data of a task are being prepared; `line` is what its loader says."""
        self.tally.preparing = f"{task}: {line}" if line else task
        self.tally.n_unprepared = n_left

    def prepared(self, task: str, n_left: int, failure: str = "") -> None:
        """The data of a task are prepared, or not, with the reason."""
        self.tally.preparing, self.tally.n_unprepared = "", n_left
        if failure:
            self.tally.failed_tasks[task] = failure

    def drop(self, trial_ids: Iterable[str]) -> None:
        """Trials that a worker had been given will not run."""
        for trial_id in trial_ids:
            self.tally.running.pop(trial_id, None)

    def close(self) -> None:
        """The run is over, whether it succeeded or not."""


class PlainProgress(Progress):
    """One line per failed trial, and regular lines of progress."""

    def __init__(self, n_trials: int, n_slots: int, waiting: Counter[str], out: TextIO) -> None:
        super().__init__(n_trials, n_slots, waiting)
        self.out = out
        self.next_line = time.monotonic() + PLAIN_SECONDS

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """Print the error if the attempt failed."""
        super().finish(attempt, is_final)
        if attempt.outcome not in ("ok", "declined"):
            self._print(problem(attempt))

    def prepare(self, task: str, n_left: int, line: str = "") -> None:
        """Print the task, or what its loader says."""
        super().prepare(task, n_left, line)
        self._print(preparing(task, line))

    def prepared(self, task: str, n_left: int, failure: str = "") -> None:
        """Print why the data of a task are unavailable."""
        super().prepared(task, n_left, failure)
        if failure:
            self._print(unavailable(task, failure))

    def tick(self) -> None:
        """Print the progress at intervals."""
        now = time.monotonic()
        if now >= self.next_line:
            # the log of a long run needs fewer lines
            self.next_line = now + max(PLAIN_SECONDS, PLAIN_SHARE * (now - self.tally.started))
            trials = [str(trial) for trial in self.tally.running.values() if trial.last is not None]
            more = [f"and {len(trials) - PLAIN_TRIALS} more"] if len(trials) > PLAIN_TRIALS else []
            self._print("; ".join([self.tally.line(), *trials[:PLAIN_TRIALS], *more]))

    def close(self) -> None:
        """Print the final progress."""
        self._print(self.tally.line())

    def _print(self, text: str) -> None:
        self.out.write(text + "\n")
        self.out.flush()


def preparing(task: str, line: str = "") -> str:
    """Return one line on data that are being prepared."""
    return printable(f"preparing {task}: {line}" if line else f"preparing {task}")


def unavailable(task: str, failure: str) -> str:
    """Return one line on why the data of a task are unavailable."""
    return printable(f"failed: data of {task}: {failure}")


def problem(attempt: Attempt) -> str:
    """Return one line on why an attempt failed, and where to read more."""
    what = attempt.error_message.strip().splitlines()[0] if attempt.error_message.strip() else attempt.error_type
    kind = f"{attempt.error_type}: " if attempt.error_type and attempt.error_type not in what else ""
    short = what if len(what) <= 160 else what[:157] + "..."
    where = f"{label_of(attempt)} on {attempt.task}"
    return printable(f"{attempt.outcome}: {where}: {kind}{short} (bench attempt {attempt.attempt_id[:8]})")


class LiveProgress(Progress):
    """A bar, the running trials and the scores so far, redrawn in place."""

    def __init__(self, n_trials: int, n_slots: int, waiting: Counter[str]) -> None:
        super().__init__(n_trials, n_slots, waiting)
        from rich.console import Console
        from rich.live import Live

        # not sys.stderr, which shows control characters as escapes
        self.console = Console(file=sys.__stderr__)
        self.live = Live(self._draw(), console=self.console, refresh_per_second=4, transient=True)
        self.live.start()

    def finish(self, attempt: Attempt, is_final: bool) -> None:
        """Redraw, and print a line above the display if the attempt failed."""
        super().finish(attempt, is_final)
        if attempt.outcome not in ("ok", "declined"):
            self.console.print(problem(attempt), style="red", highlight=False, markup=False, emoji=False)
        self.live.update(self._draw())

    def prepared(self, task: str, n_left: int, failure: str = "") -> None:
        """Redraw, and print why the data of a task are unavailable above the display."""
        super().prepared(task, n_left, failure)
        if failure:
            self.console.print(unavailable(task, failure), style="red", highlight=False, markup=False, emoji=False)
        self.live.update(self._draw())

    def tick(self) -> None:
        """Redraw."""
        self.live.update(self._draw())

    def close(self) -> None:
        """Remove the display and print the final progress."""
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
        bar = Table.grid()  # a bar alone ends without a line break
        bar.add_row(
            ProgressBar(total=max(tally.n_trials, 1), completed=tally.n_done, width=min(60, self.console.width))
        )
        parts: list[Any] = [
            bar,
            Text(f"{tally.line()}; {whole_duration(now - tally.started)} so far"),
        ]
        if running:
            more = f" and {len(running) - 6} more" if len(running) > 6 else ""
            parts.append(Text("running: " + ", ".join(running[:6]) + more, style="dim"))
        if tally.preparing:
            parts.append(Text(preparing(tally.preparing), style="dim"))
        if tally.scores:
            parts.append(self._standing())
        return Group(*parts)

    def _standing(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        tasks = list(dict.fromkeys(t for _, t in self.tally.scores))[:5]
        table = Table(title="scores so far", title_justify="left", box=None, pad_edge=False)
        table.add_column("method")
        for task in tasks:
            table.add_column(Text(printable(task)), justify="right")
        for method in sorted({m for m, _ in self.tally.scores}):
            cells = []
            for task in tasks:
                scores = self.tally.scores.get((method, task))
                cells.append(f"{sum(scores) / len(scores):.3f}" if scores else "")
            table.add_row(Text(printable(method)), *cells)
        return table


def make_progress(n_trials: int, n_slots: int, waiting: Counter[str], quiet: bool) -> Progress:
    """Return the display for this output: none, live on a terminal, plain lines elsewhere."""
    if quiet:
        return Progress(n_trials, n_slots, waiting)
    if sys.stderr.isatty():
        return LiveProgress(n_trials, n_slots, waiting)
    return PlainProgress(n_trials, n_slots, waiting, sys.stderr)
