"""The counted trials of a suite, in columns: the input of leaderboards.

Shapes: N trials, C cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchbench.stats.labels import method_label, plural
from benchbench.stats.table import ScoreTable, TrialState

if TYPE_CHECKING:
    from benchbench.stats.table import FloatArray

__all__ = ["FOLD", "Cell", "Conditions", "CountedTrials", "UnpreparedTask"]


FOLD = "fold"
"""Unit of tasks with splits: a trial's seed is the number of its split."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Conditions:
    """What comparable results have in common, apart from the tasks' fingerprints."""

    suite_version: str
    protocol_version: str
    preset: str
    test_units: int
    threads: int
    device: str

    def in_words(self) -> str:
        """Return "protocol fewshot/2, preset quick, 300 test units, 1 thread, cpu".

        Fields that published results lack are left out.
        """
        parts = [f"protocol {self.protocol_version}", f"preset {self.preset}"]
        if self.test_units:
            parts.append(plural(self.test_units, "test unit"))
        if self.threads:
            parts += [plural(self.threads, "thread"), self.device]
        return ", ".join(parts)


class Cell(NamedTuple):
    """One method on one task under one set of conditions.

    Parameters
    ----------
    method, params : str
        `params` is canonical JSON.
    n_ok, n_failed, n_declined, n_lost : int
        Trials by outcome; lost trials have only `infra` attempts.
    hardware : tuple of str
        Hardware classes of the trials that succeeded.
    newest : float
        Start of the newest attempt, in seconds since the epoch.
    n_shared, shared_seconds : int, float
        Successful trials that reused another trial's training, and the seconds of that training, as
        a mean over all successful trials.
    iterations : int
        Meta-training iterations per trial; 0 without meta-training.
    n_remarked : int
        Trials with remarks.
    """

    conditions: Conditions
    task: str
    fingerprint: str
    method: str
    params: str
    transductive: bool
    metric: str
    unit: str
    n_ok: int
    n_failed: int
    n_declined: int
    n_lost: int
    hardware: tuple[str, ...]
    n_environments: int
    newest: float
    n_shared: int = 0
    shared_seconds: float = 0.0
    iterations: int = 0
    n_remarked: int = 0

    @property
    def n_trials(self) -> int:
        """All trials, whatever their outcome."""
        return self.n_ok + self.n_failed + self.n_declined + self.n_lost

    @property
    def label(self) -> str:
        """The method with its parameters, for people."""
        return method_label(self.method, self.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpreparedTask:
    """A task whose data could not be prepared when last tried."""

    task: str
    suite_version: str
    run_id: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CountedTrials:
    """The counted trials, one attempt each, and their cells.

    Parameters
    ----------
    cells : tuple of C Cell
    cell : (N,) int
        Position of each trial's cell.
    seed : (N,) int
        Seed or fold.
    state : (N,) int8
        Values of `TrialState`.
    score, deviation : (N,) float64
        Mean score of the trial and standard deviation over its units; NaN where missing.
    n_units : (N,) int
    seconds : (N,) float64
        Timed seconds; NaN where missing.
    superseded : tuple of (method, number of trials)
        Trials with only attempts of an older source of their adapter.
    unprepared : tuple of UnpreparedTask
    """

    cells: tuple[Cell, ...]
    cell: NDArray[np.integer]
    seed: NDArray[np.integer]
    state: NDArray[np.int8]
    score: FloatArray
    deviation: FloatArray
    n_units: NDArray[np.integer]
    seconds: FloatArray
    superseded: tuple[tuple[str, int], ...] = ()
    unprepared: tuple[UnpreparedTask, ...] = ()

    def table(self, chosen: Sequence[int], tasks: Sequence[str]) -> ScoreTable:
        """Return the trials of some cells as a score table, with methods in the order of labels.

        Parameters
        ----------
        chosen : sequence of int
            Positions of cells, no two of them with the same method and task.
        tasks : sequence of str
            Every task of the table, in order.
        """
        labels = [self.cells[i].label for i in chosen]
        methods = sorted(set(labels))
        row_of, column_of = {m: i for i, m in enumerate(methods)}, {t: i for i, t in enumerate(tasks)}
        row, column = (np.full(len(self.cells), -1, dtype=np.int32) for _ in range(2))
        row[list(chosen)] = [row_of[label] for label in labels]
        column[list(chosen)] = [column_of[self.cells[i].task] for i in chosen]
        # trials lost with their workers are absent from the table
        kept = np.flatnonzero((row[self.cell] >= 0) & (self.state != TrialState.ABSENT))
        if len(kept) == len(self.cell):
            kept = slice(None)  # type: ignore[assignment]
        units, unit = positions(self.seed[kept])
        shape = (len(methods), len(tasks), len(units))
        # index of the cell, then of the unit
        first = (row.astype(np.int64) * shape[1] + column) * shape[2]
        place = first[self.cell[kept]]
        place += unit

        def scattered(values: NDArray[Any], empty: float, dtype: type[np.generic]) -> NDArray[Any]:
            found: NDArray[Any] = np.full(shape, empty, dtype=dtype)
            found.flat[place] = values[kept]
            return found

        return ScoreTable(
            methods=tuple(methods),
            tasks=tuple(tasks),
            units=tuple(units.tolist()),
            scores=scattered(self.score, np.nan, np.float64),
            states=scattered(self.state, TrialState.ABSENT, np.int8),
            seconds=scattered(self.seconds, np.nan, np.float64),
            deviations=scattered(self.deviation, np.nan, np.float64),
            n_units=scattered(self.n_units, 0, np.int32),
        )


def positions(values: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct values in order, and the position of each value among them."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if high - low > 4 * len(values):
        distinct, found = np.unique(values, return_inverse=True)
        return distinct, found
    # small numbers, as most seeds are, need no sorting
    is_met = np.bincount(values - low, minlength=high - low + 1) > 0
    return np.flatnonzero(is_met) + low, (np.cumsum(is_met) - 1)[values - low]
