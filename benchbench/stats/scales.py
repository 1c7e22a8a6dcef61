"""Scores of different tasks on one scale: between two ends, or by how much of the error is left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.imputation import Imputed
from benchbench.stats.table import FloatArray, ScoreGrid, mean_over_units

__all__ = ["PERFECT_SCORES", "improvability", "normalised_scores"]

PERFECT_SCORES: Mapping[str, float] = {
    "accuracy": 1.0,
    "balanced_accuracy": 1.0,
    "predictive_accuracy": 1.0,
    "auc": 1.0,
    "neg_log_loss": 0.0,
    "neg_mse": 0.0,
    "neg_rmse": 0.0,
}
"""What a perfect prediction scores, by metric; what improvability measures errors from."""


def normalised_scores(
    grid: ScoreGrid | Imputed,
    *,
    baseline: str | None = None,
    reference: str | None = None,
    ends: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[FloatArray, tuple[str, ...]]:
    r"""Return the (M, T) scores on a scale of each task's own, 0 = baseline and 1 = reference, and notes.

    Parameters
    ----------
    grid : ScoreGrid or Imputed
    baseline, reference : str, optional
        Methods of the grid. The scale is then that of each unit (fold), and the mean over units is taken afterwards, as AMLB does.
    ends : mapping of task to (baseline score, reference score), optional
        Frozen ends; they come before the methods.

    Notes
    -----
    .. math:: (s - s_\text{baseline}) / (s_\text{reference} - s_\text{baseline})

    Without ends and methods, 0 is the median method of each task and 1 the best, and what lies below 0 is 0 (Salinas, Erickson
    2024, arXiv:2311.02971). Tasks whose reference is not above the baseline have no such scale: they are left out, and named.

    Raises
    ------
    UnknownNameError
        If the grid has no such method.
    InputError
        If only one of baseline and reference is given.
    """
    table = grid.grid if isinstance(grid, Imputed) else grid
    if (baseline is None) != (reference is None) and not ends:
        raise InputError("a normalised score needs both ends: a baseline and a reference")
    if ends or baseline is not None:
        return _between(table, baseline, reference, ends or {})
    scores = table.task_scores()
    values, bare = np.full(scores.shape, np.nan), []
    for t, task in enumerate(table.tasks):
        own = scores[:, t][~np.isnan(scores[:, t])]
        if len(own) and own.max() > np.median(own):
            values[:, t] = np.maximum((scores[:, t] - np.median(own)) / (own.max() - np.median(own)), 0.0)
        else:
            bare.append(task)
    notes = ["normalised score: 0 = median method of each task, 1 = best, cut at 0"]
    if bare:
        notes.append(f"no scale, the best is no better than the median: {', '.join(bare)}")
    return values, tuple(notes)


def _between(
    table: ScoreGrid, baseline: str | None, reference: str | None, ends: Mapping[str, tuple[float, float]]
) -> tuple[FloatArray, tuple[str, ...]]:
    for name in (baseline, reference):
        if name is not None and name not in table.methods and not ends:
            raise UnknownNameError("method of the grid:", name, table.methods)
    values, bare = np.full(table.shape[:2], np.nan), []
    sides = [
        table.scores[table.methods.index(name)] if name in table.methods else np.full(table.shape[1:], np.nan)
        for name in (baseline, reference)
    ]
    scores = table.task_scores()
    for t, task in enumerate(table.tasks):
        if task in ends:
            zero, one = ends[task]
            if one > zero:
                values[:, t] = (scores[:, t] - zero) / (one - zero)
                continue
        else:
            zeros, ones = sides[0][t], sides[1][t]
            is_run = np.asarray(~np.isnan(table.scores[:, t]).all(axis=0))
            if is_run.any() and (ones[is_run] > zeros[is_run]).all():
                values[:, t] = mean_over_units(
                    (table.scores[:, t][:, is_run] - zeros[is_run]) / (ones[is_run] - zeros[is_run])
                )
                continue
        bare.append(task)
    notes = (f"no normalised score, the reference is not above the baseline: {', '.join(bare)}",) if bare else ()
    return values, notes


def improvability(
    grid: ScoreGrid | Imputed, *, perfect: Mapping[str, float] | None = None
) -> tuple[FloatArray, tuple[str, ...]]:
    r"""Return (M, T): by which share each method's error on the task could fall if it were as good as the best there; and notes.

    Parameters
    ----------
    grid : ScoreGrid or Imputed
    perfect : mapping of task to score, optional
        What a perfect answer scores (`PERFECT_SCORES` by metric). Where it is not given: 1 if all scores of the task lie within
        0 and 1, 0 if none is above 0.

    Notes
    -----
    .. math:: 1 - e_\text{best} / e, \qquad e = s_\text{perfect} - s

    0 is the best method's, and 1 that of one with an error where the best has none (Erickson et al. 2025, arXiv:2506.16791, give it
    in per cent). Tasks where a method is better than perfect, or no perfect score is known, are left out, and named.
    """
    table = grid.grid if isinstance(grid, Imputed) else grid
    scores = table.task_scores()
    values, bare, assumed = np.full(scores.shape, np.nan), [], []
    for t, task in enumerate(table.tasks):
        own = scores[:, t][~np.isnan(scores[:, t])]
        best_possible = (perfect or {}).get(task)
        if best_possible is None and len(own):
            best_possible = 1.0 if own.min() >= 0 and own.max() <= 1 else 0.0 if own.max() <= 0 else None
            assumed.append(task)
        if best_possible is None or not len(own) or own.max() > best_possible:
            bare.append(task)
            continue
        errors = best_possible - scores[:, t]
        values[:, t] = np.where(errors > 0, 1.0 - (best_possible - own.max()) / np.where(errors > 0, errors, 1.0), 0.0)
        values[np.isnan(errors), t] = np.nan
    notes = []
    if set(assumed) - set(bare):
        notes.append("what a perfect answer scores was inferred from the scores' range")
    if bare:
        notes.append(f"no improvability, what a perfect answer scores is not known: {', '.join(bare)}")
    return values, tuple(notes)
