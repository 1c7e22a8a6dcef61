"""Summaries of each method on each task over units: means with 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.stats.intervals import t_quantiles
from benchbench.stats.table import FloatArray, ScoreTable, TrialState, mean_over_units

__all__ = ["CellNumbers"]


@dataclass(frozen=True, slots=True, eq=False)
class CellNumbers:
    """Arrays (M, T) that summarise each method on each task.

    Parameters
    ----------
    means, ci95 : (M, T) float64
        Mean score and half-width of its 95 % interval by Student's t; NaN where missing.
    n : (M, T) int
        Sample size of the interval: trials if `is_over_trials`, else the units of one trial.
    agree : (M, T) bool
        Whether there are several trials, all with the same score.
    n_ok, n_imputed, n_units : (M, T) int
    seconds : (M, T) float64
        Mean timed seconds; NaN where missing.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    means: FloatArray
    ci95: FloatArray
    n: NDArray[np.int64]
    is_over_trials: NDArray[np.bool_]
    agree: NDArray[np.bool_]
    n_ok: NDArray[np.int64]
    n_imputed: NDArray[np.int64]
    n_units: NDArray[np.int64]
    seconds: FloatArray

    @classmethod
    def of(cls, table: ScoreTable) -> CellNumbers:
        """Summarise the units of each cell; a failed unit with a score is imputed."""
        shape = table.shape[:2]
        numbers = cls(
            methods=table.methods,
            tasks=table.tasks,
            means=np.full(shape, np.nan),
            ci95=np.full(shape, np.nan),
            n=np.zeros(shape, dtype=np.int64),
            is_over_trials=np.zeros(shape, dtype=np.bool_),
            agree=np.zeros(shape, dtype=np.bool_),
            n_ok=np.zeros(shape, dtype=np.int64),
            n_imputed=np.zeros(shape, dtype=np.int64),
            n_units=np.zeros(shape, dtype=np.int64),
            seconds=np.full(shape, np.nan),
        )
        # in blocks of methods, since intermediate arrays are as large as the table
        step = max(1, _CELLS_AT_ONCE // max(1, shape[1] * len(table.units)))
        for start in range(0, shape[0] if table.units else 0, step):
            numbers._sum_up(slice(start, start + step), table)
        return numbers

    def _sum_up(self, part: slice, table: ScoreTable) -> None:
        scores, is_ok = table.scores[part], table.states[part] == TrialState.OK
        n_ok = is_ok.sum(axis=2)
        n_imputed = ((table.states[part] == TrialState.FAILED) & ~np.isnan(scores)).sum(axis=2)
        means = mean_over_units(scores)
        least = np.where(is_ok, scores, np.inf).min(axis=2, initial=np.inf)
        most = np.where(is_ok, scores, -np.inf).max(axis=2, initial=-np.inf)
        with np.errstate(invalid="ignore"):
            agree = (n_ok > 1) & (most - least <= 1e-12 * np.maximum(np.abs(most), np.abs(least)))
        # with one trial, or several equal ones, the sample are the units within a trial
        first = np.argmax(is_ok, axis=2)[:, :, None]
        deviation = _first(table.deviations, part, first, np.nan)
        n_within = _first(table.n_units, part, first, 0).astype(np.int64)
        within = _half_width(deviation, n_within)
        is_over_trials = (n_ok > 1) & ~agree
        squares = np.where(is_ok, (scores - np.where(np.isnan(means), 0.0, means)[:, :, None]) ** 2, 0.0).sum(axis=2)
        between = _half_width(np.sqrt(squares / np.maximum(n_ok - 1, 1)), n_ok)
        ci95 = np.where(is_over_trials, between, np.where(n_ok > 0, within, np.nan))
        is_over_trials |= (agree & np.isnan(ci95)) | (n_imputed > 0)
        self.means[part], self.agree[part], self.n_ok[part], self.n_imputed[part] = means, agree, n_ok, n_imputed
        # no interval over seeds with imputed scores: it would be too narrow
        self.ci95[part] = np.where(n_imputed > 0, np.nan, ci95)
        self.is_over_trials[part] = is_over_trials
        self.n[part] = np.where(n_ok == 0, 0, np.where(is_over_trials, n_ok + n_imputed, n_within))
        if table.n_units is not None:
            self.n_units[part] = table.n_units[part].sum(axis=2, where=is_ok)
        if table.seconds is not None:
            self.seconds[part] = mean_over_units(table.seconds[part])


# bounds intermediate arrays to some 10 MB
_CELLS_AT_ONCE = 200_000


def _first(values: NDArray[Any] | None, part: slice, first: NDArray[np.intp], nothing: float) -> NDArray[Any]:
    if values is None or not values.shape[2]:
        return np.full(first.shape[:2], nothing)
    return np.take_along_axis(values[part], first, axis=2)[:, :, 0]


def _half_width(deviation: FloatArray, n: NDArray[np.int64]) -> FloatArray:
    """Return half-widths of 95 % Student-t intervals, NaN where undefined."""
    is_known = (n >= 2) & np.isfinite(deviation)
    found = np.full(deviation.shape, np.nan)
    found[is_known] = t_quantiles(n[is_known] - 1) * deviation[is_known] / np.sqrt(n[is_known])
    return found
