"""Scores of different tasks on one scale: between two ends, or by the avoidable share of error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.labels import listed
from benchbench.stats.table import FloatArray, ScoreTable, mean_over_units

__all__ = ["frozen_ends", "improvability", "normalise", "normalise_one", "normalised_scores"]


def frozen_ends(tasks: tuple[str, ...], ends: Mapping[str, tuple[float, float]]) -> tuple[FloatArray, FloatArray]:
    """Return the (T,) baseline and reference scores of tasks, NaN where there is no scale."""
    nothing = (np.nan, np.nan)
    found = np.array([ends.get(task, nothing) for task in tasks], dtype=np.float64).reshape(-1, 2)
    has_scale = found[:, 1] > found[:, 0]
    return np.where(has_scale, found[:, 0], np.nan), np.where(has_scale, found[:, 1], np.nan)


def normalise(scores: FloatArray, zero: FloatArray, one: FloatArray) -> FloatArray:
    r"""Return scores on the scale where `zero` is 0 and `one` is 1; arrays broadcast.

    Notes
    -----
    .. math:: (s - s_\text{baseline}) / (s_\text{reference} - s_\text{baseline})
    """
    return np.asarray((scores - zero) / (one - zero))


def normalise_one(score: float, ci95: float | None, ends: tuple[float, float] | None) -> tuple[float, float | None]:
    """Return a score and its half-width on the scale between two ends, unchanged without ends."""
    if ends is None:
        return score, ci95
    zero, one = (np.asarray(end) for end in ends)
    return float(normalise(np.asarray(score), zero, one)), None if ci95 is None else ci95 / (ends[1] - ends[0])


def normalised_scores(
    table: ScoreTable,
    *,
    baseline: str | None = None,
    reference: str | None = None,
    ends: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[FloatArray, tuple[str, ...]]:
    r"""Return (M, T) scores on each task's scale, 0 = baseline and 1 = reference, and notes.

    Parameters
    ----------
    table : ScoreTable
    baseline, reference : str, optional
        Methods of the table. Each unit (fold) then has its own scale, and the mean over units is
        taken afterwards, as in AMLB.
    ends : mapping of task to (baseline score, reference score), optional
        Frozen ends; they take precedence over the methods.

    Notes
    -----
    See `normalise`. Without ends and methods, 0 is the median method of each task and 1 the best,
    and scores are clipped at 0 (Salinas, Erickson 2024, arXiv:2311.02971). Tasks whose reference is
    not above the baseline have no scale: they are left out and named.

    Raises
    ------
    UnknownNameError
        If the table has no such method.
    InputError
        If only one of baseline and reference is given.
    """
    if (baseline is None) != (reference is None) and not ends:
        raise InputError("a normalised score needs both ends: a baseline and a reference")
    if ends or baseline is not None:
        return _between(table, baseline, reference, ends or {})
    scores = table.task_means()
    values, bare = np.full(scores.shape, np.nan), []
    for t, task in enumerate(table.tasks):
        own = scores[:, t][~np.isnan(scores[:, t])]
        if len(own) and own.max() > np.median(own):
            values[:, t] = np.maximum(normalise(scores[:, t], np.asarray(np.median(own)), np.asarray(own.max())), 0.0)
        else:
            bare.append(task)
    notes = ["normalised score: 0 = median method of each task, 1 = best, clipped at 0"]
    if bare:
        notes.append(f"no scale, the best is no better than the median: {listed(bare)}")
    return values, tuple(notes)


def _between(
    table: ScoreTable, baseline: str | None, reference: str | None, ends: Mapping[str, tuple[float, float]]
) -> tuple[FloatArray, tuple[str, ...]]:
    for name in (baseline, reference):
        if name is not None and name not in table.methods and not ends:
            raise UnknownNameError("method of the table:", name, table.methods)
    zero, one = frozen_ends(table.tasks, ends)
    values = normalise(table.task_means(), zero, one)
    if baseline in table.methods and reference in table.methods:
        zeros, ones = (table.scores[table.methods.index(name)] for name in (baseline, reference) if name is not None)
        for t in np.flatnonzero([task not in ends for task in table.tasks]):
            is_run = np.asarray(~np.isnan(table.scores[:, t]).all(axis=0))
            if is_run.any() and (ones[t][is_run] > zeros[t][is_run]).all():
                values[:, t] = mean_over_units(
                    normalise(table.scores[:, t][:, is_run], zeros[t][is_run], ones[t][is_run])
                )
    bare = [task for task, column in zip(table.tasks, values.T, strict=True) if np.isnan(column).all()]
    notes = (f"no normalised score, the reference is not above the baseline: {listed(bare)}",) if bare else ()
    return values, notes


def improvability(
    table: ScoreTable, *, perfect: Mapping[str, float] | None = None
) -> tuple[FloatArray, tuple[str, ...]]:
    r"""Return the (M, T) shares by which errors exceed the best one's on the task, and notes.

    Parameters
    ----------
    table : ScoreTable
    perfect : mapping of task to score, optional
        Score of a perfect prediction (`facts.PERFECT_SCORES` by metric). Where it is missing: 1 if
        all scores of the task are in [0, 1], 0 if none is above 0.

    Notes
    -----
    .. math:: 1 - e_\text{best} / e, \qquad e = s_\text{perfect} - s

    0 is the best method's; 1 means an error where the best method has none (Erickson et al. 2025,
    arXiv:2506.16791, give it in per cent). Tasks where a method is better than perfect, or without
    a known perfect score, are left out and named.
    """
    scores = table.task_means()
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
        notes.append("the perfect score was inferred from the range of scores")
    if bare:
        notes.append(f"no improvability, the perfect score is unknown: {listed(bare)}")
    return values, tuple(notes)
