"""The table that every statistic is computed of: methods x tasks x units, each cell with its score and how it came about.

Shapes used in this package: M methods, T tasks, U units (seeds or folds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.ranks import SIGNIFICANT_DIGITS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FloatArray", "ScoreGrid", "State", "mean_over_units"]

FloatArray = NDArray[np.float64]

FRAME_COLUMNS = ("method", "task", "unit", "score", "state")


class State(IntEnum):
    """How a cell came about: it has a score; it failed, crashed or hit a limit; the method declined; it was never run."""

    OK = 0
    FAILED = 1
    DECLINED = 2
    ABSENT = 3


@dataclass(frozen=True, slots=True, eq=False)
class ScoreGrid:
    """Scores of methods on tasks, unit by unit.

    Parameters
    ----------
    methods, tasks : tuple of str
        Labels, each once.
    units : tuple of int
        Seeds or folds. A unit that a task does not have is `State.ABSENT` there.
    scores : (M, T, U) float64
        Higher is better; NaN where there is none.
    states : (M, T, U) int8
        Values of `State`. What was imputed has a score and keeps its state.
    seconds : (M, T, U) float64 or None
        Timed seconds; NaN where there are none.

    Raises
    ------
    InputError
        If shapes do not fit, a label occurs twice, a cell that is OK has no finite score, or any score is infinite.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    units: tuple[int, ...]
    scores: FloatArray
    states: NDArray[np.int8]
    seconds: FloatArray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.methods), len(self.tasks), len(self.units))
        for name in ("scores", "states", "seconds"):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise InputError(
                    f"{name} of a grid have shape {value.shape}; {shape} is expected (methods, tasks, units)"
                )
        for name in ("methods", "tasks", "units"):
            labels = getattr(self, name)
            if len(set(labels)) < len(labels):
                twice = sorted({str(one) for one in labels if labels.count(one) > 1})
                raise InputError(f"{name} of a grid occur more than once: {', '.join(twice)}")
        lacking = np.isnan(self.scores) & (self.states == State.OK)
        if lacking.any() or np.isinf(self.scores).any():
            wrong = lacking | np.isinf(self.scores)
            m, t, u = (int(i[0]) for i in np.nonzero(wrong))
            raise InputError(
                f"{self.methods[m]} on {self.tasks[t]}, unit {self.units[u]}: score {self.scores[m, t, u]};"
                " a finite number is expected of what ended well"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of methods, tasks and units."""
        return len(self.methods), len(self.tasks), len(self.units)

    def select(self, methods: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> ScoreGrid:
        """Return the grid of those methods and tasks, in that order; all if None.

        Raises
        ------
        UnknownNameError
        """
        rows = _positions("method of the grid:", self.methods, methods)
        columns = _positions("task of the grid:", self.tasks, tasks)
        if methods is None and tasks is None:
            return self

        def part(values: NDArray[Any]) -> NDArray[Any]:
            values = values if methods is None else values[rows]
            return values if tasks is None else values[:, columns]

        return replace(
            self,
            methods=tuple(self.methods[i] for i in rows),
            tasks=tuple(self.tasks[i] for i in columns),
            scores=part(self.scores),
            states=part(self.states),
            seconds=None if self.seconds is None else part(self.seconds),
        )

    def task_scores(self) -> FloatArray:
        """Return the (M, T) means over the units that have a score, NaN where none has."""
        return mean_over_units(self.scores)

    def task_seconds(self) -> FloatArray | None:
        """Return the (M, T) mean timed seconds, or None if the grid has none."""
        return None if self.seconds is None else mean_over_units(self.seconds)

    def count(self, state: State) -> NDArray[np.int64]:
        """Return how many units of each (M, T) cell are in that state."""
        return np.asarray((self.states == state).sum(axis=2), dtype=np.int64)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> ScoreGrid:
        """Make a grid of a table with one row a (method, task, unit).

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns `method`, `task`, `unit` (int), `score` (NaN unless the state is OK), `state` (values of `State`), and
            `seconds` if there are any. The order of rows does not matter: labels are sorted. Cells without a row are ABSENT.

        Raises
        ------
        InputError
            If a column is missing or a (method, task, unit) occurs twice.
        """
        import pandas as pd

        missing = [name for name in FRAME_COLUMNS if name not in frame.columns]
        if missing:
            raise InputError(
                f"a table of scores lacks {', '.join(missing)}; it has the columns {', '.join(map(str, frame.columns))}"
            )
        codes, labels = [], []
        for name in ("method", "task", "unit"):
            code, found = pd.factorize(frame[name], sort=True)
            if (code < 0).any():
                raise InputError(f"a table of scores has a row without {name}")
            codes.append(code)
            labels.append(found)
        shape = tuple(len(found) for found in labels)
        place = np.ravel_multi_index(codes, shape) if len(frame) else np.zeros(0, dtype=np.int64)
        counts = np.bincount(place, minlength=int(np.prod(shape)))
        if (counts > 1).any():
            cell = np.unravel_index(int(counts.argmax()), shape)
            names = ", ".join(str(found[i]) for found, i in zip(labels, cell, strict=True))
            raise InputError(f"{int(counts.max())} rows of one (method, task, unit): {names}; one is expected")
        scores = np.full(shape, np.nan)
        states = np.full(shape, State.ABSENT, dtype=np.int8)
        scores.flat[place] = frame["score"].to_numpy(dtype=np.float64, na_value=np.nan)
        states.flat[place] = frame["state"].to_numpy(dtype=np.int8)
        seconds = None
        if "seconds" in frame.columns:
            seconds = np.full(shape, np.nan)
            seconds.flat[place] = frame["seconds"].to_numpy(dtype=np.float64, na_value=np.nan)
        return cls(
            methods=tuple(str(m) for m in labels[0]),
            tasks=tuple(str(t) for t in labels[1]),
            units=tuple(int(u) for u in labels[2]),
            scores=scores,
            states=states,
            seconds=seconds,
        )


def mean_over_units(values: FloatArray) -> FloatArray:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is.

    It has 12 significant digits: the order in which scores are added up breaks no tie.
    """
    present = ~np.isnan(values)
    if present.all() and values.shape[-1]:
        return _rounded(np.asarray(values.mean(axis=-1)))
    counts = present.sum(axis=-1)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return _rounded(np.where(counts > 0, total / np.maximum(counts, 1), np.nan))


def _rounded(values: FloatArray) -> FloatArray:
    size = np.abs(values)
    # beyond these the scale itself would overflow
    is_usual = (size > 1e-200) & (size < 1e200)
    scale = 10.0 ** (SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(np.where(is_usual, size, 1.0))))
    return np.where(is_usual, np.rint(np.where(is_usual, values, 0.0) * scale) / scale, values)


def _positions(kind: str, known: tuple[str, ...], wanted: Sequence[str] | None) -> list[int]:
    if wanted is None:
        return list(range(len(known)))
    place = {name: i for i, name in enumerate(known)}
    for name in wanted:
        if name not in place:
            raise UnknownNameError(kind, name, known)
    return [place[name] for name in wanted]
