"""What stands for a result that is not there, chosen when it is looked at and never stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchbench.errors import InputError, UnknownNameError, suggest
from benchbench.stats.table import FloatArray, ScoreGrid, State, mean_over_units

__all__ = ["POLICIES", "Imputed", "impute"]

POLICIES = ("none", "worst", "baseline", "drop-task")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Imputed:
    """A grid whose gaps were filled by a policy.

    Parameters
    ----------
    grid : ScoreGrid
        The filled grid; imputed cells have a score and keep their state.
    imputed : (M, T, U) bool
        Which cells were filled.
    dropped_tasks : tuple of str
        Tasks that the policy left out.
    policy : str
    notes : tuple of str
        What was done that the policy's name does not say.
    """

    grid: ScoreGrid
    imputed: NDArray[np.bool_]
    dropped_tasks: tuple[str, ...] = ()
    policy: str = "none"
    notes: tuple[str, ...] = ()

    def shares(self) -> FloatArray:
        """Return of each (M,) method the share of its scores that were imputed; 0 for one without any score."""
        n_scores = (~np.isnan(self.grid.scores)).sum(axis=(1, 2))
        return np.asarray(self.imputed.sum(axis=(1, 2)) / np.maximum(n_scores, 1), dtype=np.float64)


def impute(
    grid: ScoreGrid,
    policy: str,
    *,
    baseline: str | None = None,
    fills: Mapping[str, float] | None = None,
    absent: bool = False,
    whole_tasks: bool = True,
) -> Imputed:
    """Fill the cells of trials that failed, or drop their tasks.

    A cell that ended well is never touched, and a declined one never filled.

    Parameters
    ----------
    grid : ScoreGrid
    policy : str
        One of `POLICIES`. "none": nothing is filled. "worst": the lowest mean of any method on that task. "baseline": the frozen
        score of the task in `fills`; where there is none, the baseline method's own score on the same unit, or its mean on the
        task. "drop-task": tasks on which any method failed are left out for all.
    baseline : str, optional
        Label of the baseline method; with "baseline" it or `fills` is needed. To use a method rather than frozen scores, give no
        `fills`.
    fills : mapping of task to score, optional
        The suite's frozen baseline scores.
    absent : bool
        Fill (or drop) what was never run, too. A unit that no method has on a task stays absent.
    whole_tasks : bool
        Whether a method that has no score at all on a task gets one. AMLB's published tables of 2019 do not give it one.

    Raises
    ------
    InputError
        If the policy is unknown, or "baseline" has neither a method nor scores.
    UnknownNameError
        If the grid has no such baseline.
    """
    if policy not in POLICIES:
        raise InputError(f"unknown imputation {policy!r}{suggest(policy, POLICIES)}")
    if baseline is not None and policy == "baseline" and baseline not in grid.methods and not fills:
        raise UnknownNameError("method to impute with:", baseline, grid.methods)
    gaps = _gaps(grid, absent=absent, whole_tasks=whole_tasks)
    nothing = np.zeros(grid.shape, dtype=np.bool_)
    if policy == "none" or not gaps.any():
        return Imputed(grid=grid, imputed=nothing, policy=policy)
    if policy == "drop-task":
        hit = _on_tasks(gaps)
        kept = grid.select(tasks=[t for t, is_hit in zip(grid.tasks, hit, strict=True) if not is_hit])
        dropped = tuple(t for t, is_hit in zip(grid.tasks, hit, strict=True) if is_hit)
        return Imputed(
            grid=kept, imputed=np.zeros(kept.shape, dtype=np.bool_), dropped_tasks=dropped, policy="drop-task"
        )
    values = _worst(grid)
    notes: list[str] = []
    if policy == "baseline":
        if not fills and baseline is None:
            raise InputError("imputing by a baseline needs one: name a method, or freeze baseline scores in the suite")
        values, notes = _baseline(grid, gaps, baseline, fills or {}, values)
    is_filled = gaps & ~np.isnan(values)
    filled = replace(grid, scores=np.where(is_filled, values, grid.scores))
    return Imputed(grid=filled, imputed=is_filled, policy=policy, notes=tuple(notes))


def _gaps(grid: ScoreGrid, *, absent: bool, whole_tasks: bool) -> NDArray[np.bool_]:
    gaps: NDArray[np.bool_] = grid.states == State.FAILED
    if absent:
        is_run = (grid.states != State.ABSENT).any(axis=0)
        gaps = gaps | ((grid.states == State.ABSENT) & is_run)
    if not whole_tasks:
        has_score = np.asarray((~np.isnan(grid.scores)).any(axis=2))
        gaps = gaps & has_score[:, :, None]
    return gaps & np.isnan(grid.scores)


def _worst(grid: ScoreGrid) -> FloatArray:
    """Return, for every cell, the lowest mean that any method has on the task."""
    lowest = np.fmin.reduce(grid.task_scores(), axis=0, initial=np.nan)
    return np.broadcast_to(lowest[None, :, None], grid.shape)


def _baseline(
    grid: ScoreGrid, gaps: NDArray[np.bool_], baseline: str | None, fills: Mapping[str, float], worst: FloatArray
) -> tuple[FloatArray, list[str]]:
    frozen = np.array([fills.get(task, np.nan) for task in grid.tasks])[None, :, None]
    if baseline is not None and baseline in grid.methods:
        own = grid.scores[grid.methods.index(baseline)]
        measured = np.where(np.isnan(own), mean_over_units(own)[:, None], own)[None]
    else:
        measured = np.full((1, *grid.shape[1:]), np.nan)
    values = np.where(np.isnan(frozen), measured, frozen)
    values = np.broadcast_to(values, grid.shape)
    notes = []
    hit, lacking = _on_tasks(gaps), _on_tasks(gaps & np.isnan(values))
    is_measured = hit & np.isnan(frozen[0, :, 0]) & ~lacking
    if is_measured.any() and fills:
        notes.append(f"no frozen baseline score: {baseline}'s own stands for failures on {_names(grid, is_measured)}")
    if lacking.any():
        notes.append(f"no baseline score: the lowest mean stands for failures on {_names(grid, lacking)}")
    return np.where(np.isnan(values), worst, values), notes


def _on_tasks(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cells.any(axis=(0, 2)))


def _names(grid: ScoreGrid, which: NDArray[np.bool_]) -> str:
    return ", ".join(task for task, is_hit in zip(grid.tasks, which, strict=True) if is_hit)
