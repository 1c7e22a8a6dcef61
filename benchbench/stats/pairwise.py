"""Two methods against each other: task by task over paired units, and over tasks on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.errors import InputError
from benchbench.stats.imputation import Imputed
from benchbench.stats.intervals import estimate
from benchbench.stats.labels import plural
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.significance import PosteriorProbabilities, TwoComparison, bayesian_signed_rank, compare_two
from benchbench.stats.stability import Separation, tasks_to_separate
from benchbench.stats.table import FloatArray, ScoreGrid, State

__all__ = ["HeadToHead", "TaskPair", "head_to_head"]

NORMALISED, RANK = "normalised score", "rank"
# half-widths of the region of practical equivalence, where none is given: a hundredth of the way from baseline to reference
# (as of accuracy: Benavoli et al. 2017, JMLR 18(77), use 0.01), and half a place
ROPES = {NORMALISED: 0.01, RANK: 0.5}

UnitScores = Mapping[tuple[str, int], Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPair:
    """A minus B on one task.

    Parameters
    ----------
    a, b : float or None
        Mean scores over the seeds (folds) that both have; None where one has none.
    difference, ci95 : float or None
        Mean over the pairs and the half-width of its 95 % interval by Student's t; no interval of one pair, nor with imputed scores.
    n, unit : int, str
        Pairs, and what was paired: seeds or folds, or with one of them its units (episodes).
    n_imputed : int
        Pairs of seeds (folds) of which a score, or both, was imputed.
    scaled : float or None
        The difference on the scale of the overall comparison.
    note : str
        Why something is missing, or imputed.
    """

    task: str
    metric: str
    a: float | None = None
    b: float | None = None
    difference: float | None = None
    ci95: float | None = None
    n: int = 0
    unit: str = ""
    n_imputed: int = 0
    scaled: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadToHead:
    """The comparison of two methods; above 0: a is better.

    `scale` says on what scores of different tasks are put together: "normalised score", a metric that all tasks have, or "rank"
    (among all methods of the board, turned round). `n_pairs` counts common seeds (folds) over all tasks, `n_imputed` those of which a
    score was imputed. `overall`, `bayes` and `separation` are None without a common task, and where all pairs are imputed; the latter
    two also with a single task.
    """

    a: str
    b: str
    scale: str
    rope: float
    tasks: tuple[TaskPair, ...]
    overall: TwoComparison | None
    bayes: PosteriorProbabilities | None
    separation: Separation | None
    n_pairs: int = 0
    n_imputed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def head_to_head(
    imputed: Imputed,
    a: str,
    b: str,
    *,
    metrics: Mapping[str, str],
    trial_unit: Mapping[str, str],
    ends: Mapping[str, tuple[float, float]],
    units: tuple[UnitScores, UnitScores],
    unit_names: Mapping[str, str],
    rope: float | None = None,
) -> HeadToHead:
    """Compare two methods.

    Parameters
    ----------
    imputed : Imputed
        All methods of the board.
    a, b : str
        Two of its methods.
    metrics, trial_unit, unit_names : mapping of task to str
        The metric; what a trial is a sample of ("seed" or "fold"); what a unit within a trial is ("episode").
    ends : mapping of task to (baseline's score, reference's)
    units : pair of mappings of (task, seed) to scores by unit
        Of a and b.
    rope : float, optional
        Half-width of the region of practical equivalence on the scale of the comparison.

    Raises
    ------
    InputError
        If both are the same, or `rope` is below 0.
    """
    if a == b:
        raise InputError(f"compare two different methods; both are {a!r}")
    if rope is not None and not rope >= 0:
        raise InputError(f"--rope must be 0 or more, got {rope}")
    grid = imputed.grid
    rows = (grid.methods.index(a), grid.methods.index(b))
    pairs = [
        _task_pair(imputed, rows, t, metrics.get(task, ""), trial_unit.get(task, "seed"), units, unit_names)
        for t, task in enumerate(grid.tasks)
    ]
    scale, scaled = _scaled(grid, rows, [p.difference is not None for p in pairs], metrics, ends)
    first, second = scaled.task_scores()[list(rows)]
    is_common = ~np.isnan(first) & ~np.isnan(second)
    pairs = [
        replace(p, scaled=float(first[t] - second[t])) if p.difference is not None and is_common[t] else p
        for t, p in enumerate(pairs)
    ]
    if rope is None:
        rope = ROPES.get(scale, 0.01 if "accuracy" in scale or "auc" in scale else 0.0)
    both = ~np.isnan(grid.scores[list(rows)]).any(axis=0)
    n_pairs, n_imputed = int(both.sum()), sum(p.n_imputed for p in pairs)
    nothing = HeadToHead(
        a=a,
        b=b,
        scale=scale,
        rope=rope,
        tasks=tuple(pairs),
        overall=None,
        bayes=None,
        separation=None,
        n_pairs=n_pairs,
        n_imputed=n_imputed,
    )
    # of made-up scores alone there is nothing to win
    if not is_common.any() or n_imputed == n_pairs:
        return nothing
    return replace(
        nothing,
        overall=compare_two(first, second),
        # of one task nobody knows how much tasks differ
        bayes=bayesian_signed_rank(first - second, rope=rope) if is_common.sum() > 1 else None,
        separation=tasks_to_separate(scaled, a, b) if is_common.sum() > 1 else None,
    )


def _task_pair(
    imputed: Imputed,
    rows: tuple[int, int],
    t: int,
    metric: str,
    trial_unit: str,
    units: tuple[UnitScores, UnitScores],
    unit_names: Mapping[str, str],
) -> TaskPair:
    grid = imputed.grid
    task = grid.tasks[t]
    own = grid.scores[list(rows), t]
    is_common = ~np.isnan(own).any(axis=0)
    plain = TaskPair(task=task, metric=metric)
    if not is_common.any():
        lacking = [grid.methods[row] for row, scores in zip(rows, own, strict=True) if np.isnan(scores).all()]
        what = f"no score of {' and '.join(lacking)}" if lacking else f"no common {trial_unit}"
        return replace(plain, note=what)
    first, second = own[:, is_common]
    n_imputed = int(imputed.imputed[list(rows), t][:, is_common].any(axis=0).sum())
    left = int((~np.isnan(own)).any(axis=0).sum()) - int(is_common.sum())
    notes = [f"{n_imputed} of {len(first)} pairs imputed"] if n_imputed else []
    if left:
        notes.append(f"{plural(left, trial_unit)} of one only")
    differences, unit = [float(d) for d in first - second], trial_unit
    if len(differences) == 1 and not n_imputed:
        seed = grid.units[int(np.flatnonzero(is_common)[0])]
        within = [side.get((task, seed), ()) for side in units]
        if len(within[0]) == len(within[1]) > 1:
            differences = [float(x - y) for x, y in zip(*within, strict=True)]
            unit = unit_names.get(task, "unit")
    found = estimate(differences)
    return replace(
        plain,
        a=float(first.mean()),
        b=float(second.mean()),
        difference=float(first.mean() - second.mean()),
        ci95=None if n_imputed else found.ci95,
        n=found.n,
        unit=unit,
        n_imputed=n_imputed,
        note=", ".join(notes),
    )


def _scaled(
    grid: ScoreGrid,
    rows: tuple[int, int],
    common: Sequence[bool],
    metrics: Mapping[str, str],
    ends: Mapping[str, tuple[float, float]],
) -> tuple[str, ScoreGrid]:
    """Return the name of the scale that all common tasks have, and the grid on it, of common seeds and higher-is-better."""
    tasks = [task for task, is_common in zip(grid.tasks, common, strict=True) if is_common]
    pair = grid.scores[list(rows)]
    # a seed that only one of the two has must not move the mean of the other
    both: NDArray[np.bool_] = np.logical_and.reduce(~np.isnan(pair), axis=0)
    scores = np.where(both[None], grid.scores, np.nan)
    plain = replace(grid, scores=scores, states=_states(scores, grid))
    if tasks and all(task in ends and ends[task][0] != ends[task][1] for task in tasks):
        low = np.array([ends.get(t, (np.nan, np.nan))[0] for t in grid.tasks])[None, :, None]
        high = np.array([ends.get(t, (np.nan, np.nan))[1] for t in grid.tasks])[None, :, None]
        return NORMALISED, _rescaled(plain, low, high)
    named = {metrics.get(task, "") for task in tasks}
    if len(named) == 1 and named != {""}:
        return named.pop(), plain
    ranks = -tied_ranks(plain.task_scores())[:, :, None]
    turned = ScoreGrid(
        grid.methods, grid.tasks, (0,), ranks, np.where(np.isnan(ranks), State.ABSENT, State.OK).astype(np.int8)
    )
    return RANK, turned


def _rescaled(grid: ScoreGrid, low: FloatArray, high: FloatArray) -> ScoreGrid:
    scores = (grid.scores - low) / (high - low)
    return replace(grid, scores=scores, states=_states(scores, grid))


def _states(scores: FloatArray, grid: ScoreGrid) -> NDArray[np.int8]:
    """Return states that claim no score where one was taken out."""
    return np.where(np.isnan(scores) & (grid.states == State.OK), np.int8(State.ABSENT), grid.states)
