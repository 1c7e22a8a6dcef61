"""Standings: methods in order of one statistic over the tasks of a grid, each with its interval.

Intervals come from a bootstrap over tasks: they say how far the statistic would move if other tasks of the same kind had been
chosen. What a method scores on each task is taken as given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchbench.errors import InputError, suggest
from benchbench.stats.elo import MEAN_RATING, POINTS_PER_UNIT, PRIOR_DRAWS, bradley_terry, elo
from benchbench.stats.imputation import Imputed
from benchbench.stats.intervals import FEW_TASKS, t_quantile
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.scales import PERFECT_SCORES, improvability, normalised_scores
from benchbench.stats.table import FloatArray, ScoreGrid, State, mean_over_units
from benchbench.stats.wins import PairCounts, WinMatrix, win_matrix

__all__ = [
    "PERFECT_SCORES",
    "STATISTICS",
    "Standing",
    "Statistic",
    "WinMatrix",
    "few_tasks",
    "improvability",
    "normalised_scores",
    "standings",
    "task_ranks",
    "task_values",
    "win_matrix",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """What a reader needs to know of a statistic: its title, its direction, and between which values it lies.

    The highest mean rank is the number of methods.
    """

    name: str
    title: str
    higher_is_better: bool
    lowest: float = -math.inf
    highest: float = math.inf


_ALL = (
    Statistic(name="rank", title="mean rank", higher_is_better=False, lowest=1.0),
    Statistic(name="winrate", title="win rate", higher_is_better=True, lowest=0.0, highest=1.0),
    Statistic(name="norm", title="normalised score", higher_is_better=True),
    Statistic(name="improvability", title="improvability", higher_is_better=False, lowest=0.0, highest=1.0),
    Statistic(name="elo", title="Elo", higher_is_better=True),
    Statistic(name="mrr", title="mean reciprocal rank", higher_is_better=True, lowest=0.0, highest=1.0),
)
STATISTICS = tuple(s.name for s in _ALL)
_BY_NAME = {s.name: s for s in _ALL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A method's place by one statistic.

    Parameters
    ----------
    method : str
    value : float or None
        None if the statistic is not defined for it (no task, or none with both ends of the scale).
    low, high : float or None
        Ends of the interval; None with fewer than two tasks.
    place : float or None
        1 is best; equal values share their mean place.
    n_tasks : int
        Tasks that the value rests on.
    imputed_share : float
        Of the scores behind it, those that were imputed.
    notes : tuple of str
    """

    method: str
    value: float | None
    low: float | None = None
    high: float | None = None
    place: float | None = None
    n_tasks: int = 0
    imputed_share: float = 0.0
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def standings(
    grid: ScoreGrid | Imputed,
    statistic: str,
    *,
    baseline: str | None = None,
    reference: str | None = None,
    ends: Mapping[str, tuple[float, float]] | None = None,
    perfect: Mapping[str, float] | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
    prior_draws: float = PRIOR_DRAWS,
) -> list[Standing]:
    r"""Return the methods by one statistic, best first.

    Parameters
    ----------
    grid : ScoreGrid or Imputed
    statistic : str
        "rank": mean rank (see `ranks.mean_ranks`). "winrate": mean over the other methods of the share of common tasks won, ties
        by half. "norm": see `normalised_scores`. "improvability": see `improvability`. "elo": see `ratings.elo`, of the wins on
        tasks. "mrr": mean over tasks of 1 / rank.
    baseline, reference, ends
        For "norm": methods of the grid, or frozen scores by task (which come first), at 0 and 1.
    perfect : mapping of task to score, optional
        For "improvability": what a perfect answer scores.
    n_bootstrap : int
        Resamples of the tasks; 0 for no intervals. For Elo all ratings are fitted again in each.
    seed : int
    level : float
        Of the interval.
    prior_draws : float
        For "elo".

    Returns
    -------
    list of Standing
        Those without a value last.

    Raises
    ------
    InputError, UnknownNameError

    Notes
    -----
    The interval is the percentile interval over `n_bootstrap` resamples of the T tasks with replacement, stretched about the
    estimate by :math:`\sqrt{T / (T - 1)}\, t_{T-1} / z`, and cut to the statistic's range. Unstretched ones are too short for few
    tasks: of five, they cover 95 % means in about 82 % of cases (Hesterberg 2015, doi:10.1080/00031305.2015.1089789, section 4.3,
    stretches the quantiles' levels by the same amount, which needs far more resamples).
    """
    kind = _kind(statistic)
    if not 0 < level < 1 or n_bootstrap < 0:
        raise InputError(f"expected a level between 0 and 1 and 0 or more resamples, got {level} and {n_bootstrap}")
    imputed = grid if isinstance(grid, Imputed) else None
    table = grid.grid if isinstance(grid, Imputed) else grid
    scale = _Scale(baseline=baseline, reference=reference, ends=ends, perfect=perfect)
    computed = _compute(table, kind, scale, prior_draws)
    low, high = _intervals(computed, kind, n_bootstrap, seed, level)
    shares = imputed.shares() if imputed is not None else np.zeros(len(table.methods))
    places = _places(computed.values, kind)
    cautions = () if np.isnan(low).all() else few_tasks(computed.n_all_tasks)
    found = [
        Standing(
            method=method,
            value=_number(computed.values[i]),
            low=_number(low[i]),
            high=_number(high[i]),
            place=_number(places[i]),
            n_tasks=int(computed.n_tasks[i]),
            imputed_share=float(shares[i]),
            notes=(*computed.notes, *cautions, *_own_notes(table, i, int(computed.n_tasks[i]))),
        )
        for i, method in enumerate(table.methods)
    ]
    return sorted(found, key=lambda s: (s.place is None, s.place or 0.0, s.method))


def few_tasks(n_tasks: int) -> tuple[str, ...]:
    """Return what must be said of intervals over so few tasks, if anything."""
    if n_tasks >= FEW_TASKS:
        return ()
    return (
        f"caution: over {n_tasks} tasks intervals say little; a value may be an end of its own, and that two lie apart shows nothing",
    )


def _kind(statistic: str) -> Statistic:
    if statistic not in _BY_NAME:
        raise InputError(f"unknown statistic {statistic!r}{suggest(statistic, STATISTICS)}")
    return _BY_NAME[statistic]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _own_notes(grid: ScoreGrid, row: int, n_tasks: int) -> tuple[str, ...]:
    """Say why a method has fewer tasks than there are."""
    if n_tasks == len(grid.tasks):
        return ()
    declined = int((grid.states[row] == State.DECLINED).any(axis=1).sum())
    what = f"{n_tasks}/{len(grid.tasks)} tasks"
    return (f"{what}, {declined} declined" if declined else what,)


@dataclass(frozen=True, slots=True)
class _Scale:
    baseline: str | None
    reference: str | None
    ends: Mapping[str, tuple[float, float]] | None
    perfect: Mapping[str, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Computed:
    """Values (M,), and how to compute those of resampled tasks: (B, T) weights in, (B, M) values out."""

    values: FloatArray
    n_tasks: FloatArray
    n_all_tasks: int
    resample: Callable[[FloatArray], FloatArray]
    notes: tuple[str, ...] = ()


def _compute(grid: ScoreGrid, kind: Statistic, scale: _Scale, prior_draws: float) -> _Computed:
    scores = grid.task_scores()
    if kind.name in ("norm", "improvability", "mrr"):
        values, notes = _task_values(grid, scores, kind.name, scale)
        return _mean_over_tasks(values, notes)
    counts = PairCounts(scores)
    n_tasks = (~np.isnan(scores)).sum(axis=1).astype(np.float64)
    everything = np.ones((1, len(grid.tasks)))
    if kind.name == "elo":
        return _elo(counts, everything, n_tasks, prior_draws)
    if counts.is_complete:
        # then the mean rank is the mean of the ranks, and no pair need be looked at
        ranks = tied_ranks(scores)
        if kind.name == "winrate":
            ranks = (len(ranks) - ranks) / max(len(ranks) - 1, 1) if len(ranks) > 1 else np.full(ranks.shape, np.nan)
        return _mean_over_tasks(ranks, ())

    def pairwise(weights: FloatArray) -> FloatArray:
        beaten, n_others = counts.beaten(weights)
        values = 1.0 + n_others - beaten if kind.name == "rank" else beaten / np.maximum(n_others, 1)
        here = weights @ (~np.isnan(scores)).T.astype(np.float64) > 0
        return np.where(here & (n_others > 0 if kind.name == "winrate" else here), values, np.nan)

    return _Computed(pairwise(everything)[0], n_tasks, len(grid.tasks), pairwise)


def _mean_over_tasks(values: FloatArray, notes: tuple[str, ...]) -> _Computed:
    """Return the mean of the (M, T) values over the tasks that have one."""
    present = (~np.isnan(values)).astype(np.float64)
    filled = np.where(present > 0, values, 0.0)

    def resample(weights: FloatArray) -> FloatArray:
        n = weights @ present.T
        return np.where(n > 0, (weights @ filled.T) / np.maximum(n, 1e-300), np.nan)

    return _Computed(mean_over_units(values), present.sum(axis=1), values.shape[1], resample, notes)


def _elo(counts: PairCounts, everything: FloatArray, n_tasks: FloatArray, prior_draws: float) -> _Computed:
    wins = counts.wins(everything)[0]
    met = (wins + wins.T).sum(axis=1) > 0
    start = bradley_terry(wins, prior_draws=prior_draws)

    def resample(weights: FloatArray) -> FloatArray:
        # a resample may leave a method with nothing but wins, even where the tasks themselves do not
        return elo(counts.wins(weights), prior_draws=max(prior_draws, LEAST_PRIOR_DRAWS), start=start)

    values = np.where(met, MEAN_RATING + start * POINTS_PER_UNIT, np.nan)
    return _Computed(values, n_tasks, counts.scores.shape[1], resample)


# imagined draws in resamples where the ratings themselves are plain maximum likelihood
LEAST_PRIOR_DRAWS = 0.01
# (resamples, M, M) numbers at once, of which there are some five at a time
_PAIRS_AT_ONCE = 20_000_000


def task_ranks(grid: ScoreGrid | Imputed) -> FloatArray:
    """Return the (M, T) ranks on each task among the methods that have a score there; 1 is best, ties share their mean rank."""
    return tied_ranks((grid.grid if isinstance(grid, Imputed) else grid).task_scores())


def task_values(
    grid: ScoreGrid | Imputed,
    statistic: str,
    *,
    baseline: str | None = None,
    reference: str | None = None,
    ends: Mapping[str, tuple[float, float]] | None = None,
    perfect: Mapping[str, float] | None = None,
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return what a statistic makes of each task, (M, T), for heat maps and paired tests, and notes.

    "elo" has no value of a single task; the points on a task ("winrate") stand for it.
    """
    kind = _kind(statistic)
    table = grid.grid if isinstance(grid, Imputed) else grid
    scores = table.task_scores()
    if kind.name in ("winrate", "elo"):
        n = (~np.isnan(scores)).sum(axis=0)
        return np.where(n > 1, (n - tied_ranks(scores)) / np.maximum(n - 1, 1), np.nan), ()
    if kind.name == "rank":
        return tied_ranks(scores), ()
    return _task_values(table, scores, kind.name, _Scale(baseline, reference, ends, perfect))


def _task_values(grid: ScoreGrid, scores: FloatArray, name: str, scale: _Scale) -> tuple[FloatArray, tuple[str, ...]]:
    if name == "mrr":
        return 1.0 / tied_ranks(scores), ()
    if name == "norm":
        return normalised_scores(grid, baseline=scale.baseline, reference=scale.reference, ends=scale.ends)
    return improvability(grid, perfect=scale.perfect)


def task_weights(n_tasks: int, n_bootstrap: int, seed: int) -> FloatArray:
    """Return the (B, T) numbers of times that each task is drawn in each resample."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_tasks, np.full(n_tasks, 1.0 / n_tasks), size=n_bootstrap).astype(np.float64)


def _intervals(
    computed: _Computed, kind: Statistic, n_bootstrap: int, seed: int, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ends (M,) of the stretched percentile intervals; NaN where there are fewer than two tasks."""
    nothing = np.full(computed.values.shape, np.nan)
    known = (computed.n_tasks >= 2) & ~np.isnan(computed.values)
    if n_bootstrap < 2 or not known.any():
        return nothing, nothing
    weights = task_weights(computed.n_all_tasks, n_bootstrap, seed)
    at_once = max(1, _PAIRS_AT_ONCE // len(computed.values) ** 2)
    drawn = np.concatenate([computed.resample(weights[i : i + at_once]) for i in range(0, n_bootstrap, at_once)])
    tail = (1.0 - level) / 2.0
    ends = np.full((2, len(computed.values)), np.nan)
    # the k-th of B resamples estimates the quantile k / (B + 1)
    ends[:, known] = np.nanquantile(drawn[:, known], [tail, 1.0 - tail], axis=0, method="weibull")
    normal = _normal_quantile(1.0 - tail)
    stretch = [
        math.sqrt(n / (n - 1)) * t_quantile(n - 1, 1.0 - tail) / normal if n >= 2 else math.nan
        for n in (int(count) for count in computed.n_tasks)
    ]
    low, high = computed.values + (ends - computed.values) * np.array(stretch)
    # nobody is placed below the last of all methods that have a place
    highest = float((~np.isnan(computed.values)).sum()) if kind.name == "rank" else kind.highest
    return np.clip(low, kind.lowest, highest), np.clip(high, kind.lowest, highest)


def _normal_quantile(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(level)


def _places(values: FloatArray, kind: Statistic) -> FloatArray:
    # sums in another order differ in the last digits, which must not break a tie
    rounded = np.round(values, 9)
    return tied_ranks((rounded if kind.higher_is_better else -rounded)[:, None])[:, 0]
