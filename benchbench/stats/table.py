"""The score table from which every statistic is computed: methods x tasks x units.

Shapes used in this package: M methods, T tasks, U units (seeds or folds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.ties import rounded

__all__ = ["FloatArray", "ScoreTable", "TrialState", "mean_over_units"]

FloatArray = NDArray[np.float64]


class TrialState(IntEnum):
    """State of a cell: scored; failed, crashed or stopped at a limit; declined; never run."""

    OK = 0
    FAILED = 1
    DECLINED = 2
    ABSENT = 3


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """Scores of methods on tasks, unit by unit.

    Parameters
    ----------
    methods, tasks : tuple of str
        Unique labels.
    units : tuple of int
        Seeds or folds. A unit that a task does not have is `TrialState.ABSENT` there.
    scores : (M, T, U) float64
        Higher is better; NaN where missing.
    states : (M, T, U) int8
        Values of `TrialState`. An imputed cell has a score and keeps its state.
    seconds : (M, T, U) float64 or None
        Timed seconds; NaN where missing.
    deviations : (M, T, U) float64 or None
        Standard deviation over the units within a trial (episodes); NaN where missing.
    n_units : (M, T, U) int32 or None
        Number of those units.

    Raises
    ------
    InputError
        If shapes do not match, a label occurs twice, a cell that is OK has no finite score, or a
        score is infinite.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    units: tuple[int, ...]
    scores: FloatArray
    states: NDArray[np.int8]
    seconds: FloatArray | None = None
    deviations: FloatArray | None = None
    n_units: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.methods), len(self.tasks), len(self.units))
        for name in ("scores", "states", "seconds", "deviations", "n_units"):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise InputError(
                    f"{name} of a table have shape {value.shape}, expected {shape} (methods, tasks, units)"
                )
        for name in ("methods", "tasks", "units"):
            labels = getattr(self, name)
            if len(set(labels)) < len(labels):
                twice = sorted({str(one) for one in labels if labels.count(one) > 1})
                raise InputError(f"{name} of a table occur more than once: {', '.join(twice)}")
        lacking = np.isnan(self.scores) & (self.states == TrialState.OK)
        if lacking.any() or np.isinf(self.scores).any():
            wrong = lacking | np.isinf(self.scores)
            m, t, u = (int(i[0]) for i in np.nonzero(wrong))
            raise InputError(
                f"{self.methods[m]} on {self.tasks[t]}, unit {self.units[u]}: score {self.scores[m, t, u]};"
                " a successful trial must have a finite score"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of methods, tasks and units."""
        return len(self.methods), len(self.tasks), len(self.units)

    def select(self, methods: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> ScoreTable:
        """Return the table of these methods and tasks, in that order; None: all.

        Raises
        ------
        UnknownNameError
        """
        rows = _indices("method of the table:", self.methods, methods)
        columns = _indices("task of the table:", self.tasks, tasks)
        if rows == list(range(len(self.methods))) and columns == list(range(len(self.tasks))):
            return self

        def part(values: NDArray[Any]) -> NDArray[Any]:
            values = values if methods is None else values[rows]
            return values if tasks is None else values[:, columns]

        names = ("scores", "states", "seconds", "deviations", "n_units")
        arrays: dict[str, Any] = {n: part(value) for n in names if (value := getattr(self, n)) is not None}
        return replace(
            self,
            methods=tuple(self.methods[i] for i in rows),
            tasks=tuple(self.tasks[i] for i in columns),
            **arrays,
        )

    def task_means(self) -> FloatArray:
        """Return the (M, T) means over the units with a score, NaN where there are none."""
        return mean_over_units(self.scores)

    def task_scores(self) -> FloatArray:
        """Return `task_means` rounded by the rule for ties."""
        return rounded(self.task_means())

    def task_seconds(self) -> FloatArray | None:
        """Return the (M, T) mean timed seconds, or None if the table has none."""
        return None if self.seconds is None else mean_over_units(self.seconds)

    def count(self, state: TrialState) -> NDArray[np.int64]:
        """Return how many units per (M, T) cell have that state."""
        return np.asarray((self.states == state).sum(axis=2), dtype=np.int64)


def mean_over_units(values: FloatArray) -> FloatArray:
    """Return the mean over the last axis without NaN; NaN where all are."""
    present = ~np.isnan(values)
    if present.all() and values.shape[-1]:
        return np.asarray(values.mean(axis=-1))
    counts = present.sum(axis=-1)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _indices(kind: str, known: tuple[str, ...], wanted: Sequence[str] | None) -> list[int]:
    if wanted is None:
        return list(range(len(known)))
    place = {name: i for i, name in enumerate(known)}
    for name in wanted:
        if name not in place:
            raise UnknownNameError(kind, name, known)
    return [place[name] for name in wanted]
