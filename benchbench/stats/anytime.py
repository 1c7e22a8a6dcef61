r"""Any-time statistics of optimisers: regret and rank over the budget.

The *incumbent* is the best configuration so far. The *normalised regret* of a loss is 0 at the best
known loss of the problem and 1 at the median final loss of random search, both frozen with the
suite. Budgets are evaluations weighted by fidelity.

Trials are paired by problem and seed. Before its first incumbent an optimiser has no regret: the
worst regret of the compared optimisers is imputed, and it ranks last. `first` is the budget from
which on nothing is imputed.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchbench.stats.intervals import Estimate, estimate, estimate_of_trials, share
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.ties import differences as rounded_differences

__all__ = [
    "AnytimeRow",
    "AnytimeTable",
    "Band",
    "Difference",
    "Incumbents",
    "anytime_table",
    "band_ends",
    "budgets",
    "log_difference",
    "measured_ends",
]

# smaller regrets count as equal: the optimum up to rounding
SMALLEST = 1e-8
N_BUDGETS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbents:
    """The incumbents of one trial.

    Parameters
    ----------
    task : str
    label : str
        The method with its parameters.
    seed : int
    budget : float
        Evaluations that the trial could spend.
    spent, seconds, losses : tuple of float
        When each incumbent was found, in evaluations and on the problem's clock, and its loss; in
        order of time.
    """

    task: str
    label: str
    seed: int
    budget: float
    spent: tuple[float, ...]
    seconds: tuple[float, ...]
    losses: tuple[float, ...]

    def loss_at(self, spent: float) -> float | None:
        """Return the incumbent's loss after `spent` evaluations, or None before the first."""
        i = bisect_right(self.spent, spent + 1e-9)
        return self.losses[i - 1] if i else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Regret (clipped at 1) and rank at one budget: means over problems, intervals over seeds."""

    spent: float
    regret: Estimate
    rank: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class AnytimeRow:
    """An optimiser over the compared problems.

    Values are means over problems with 95 % intervals over paired seeds, for these fixed problems.
    If all seeds give the same value there is no interval: the agreement of a few does not make it
    certain.

    Parameters
    ----------
    regret : Estimate
        Normalised regret at the end of the budget, where the curve ends; clipped at 1.
    area : Estimate
        Mean normalised regret over all evaluations of the budget; clipped at 1, since early regrets
        are a thousand times as large on some problems.
    rank : Estimate
        Mean rank at the end of the budget, 1 = best.
    wins : Estimate or None
        Share of paired trials with a lower final loss than the baseline, ties counted by half; None
        for the baseline itself.
    log_regret_difference : Estimate or None
        Mean of log10 regret minus that of the baseline, paired; below 0 is better.
    reached : float
        Share of trials that reached the target.
    running_time : float or None
        Expected evaluations to reach the target (Hansen et al. 2009): evaluations of all trials
        until they reached it or ended, divided by the number of trials that reached it; None if
        none did.
    first : float
        Budget from which on all trials have an incumbent.
    curve : tuple of Band
    """

    label: str
    n_seeds: int
    n_tasks: int
    regret: Estimate
    area: Estimate
    rank: Estimate
    wins: Estimate | None
    log_regret_difference: Estimate | None
    reached: float
    running_time: float | None
    first: float
    curve: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnytimeTable:
    """Optimisers on the problems and seeds that all of them have; `left_out` names the others."""

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: float
    target: float
    rows: tuple[AnytimeRow, ...]
    left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A paired difference of log10 regrets over `n` seeds."""

    first: str
    second: str
    task: str
    estimate: Estimate

    @property
    def is_clear(self) -> bool:
        """Whether the 95 % interval excludes 0."""
        return self.estimate.ci95 is not None and abs(self.estimate.mean) > self.estimate.ci95


def band_ends(values: Sequence[Estimate], lowest: float, highest: float) -> tuple[list[float], list[float]] | None:
    """Return the ends of a curve's intervals, clipped to [lowest, highest]; None if it has none.

    Where all seeds agree there is no interval, and the band has width 0.

    Parameters
    ----------
    values : sequence of Estimate
        Regrets or ranks of a curve.
    lowest, highest : float
    """
    if all(v.ci95 is None for v in values):
        return None

    def cut(value: float) -> float:
        return min(max(value, lowest), highest)

    return [cut(v.mean - (v.ci95 or 0.0)) for v in values], [cut(v.mean + (v.ci95 or 0.0)) for v in values]


def budgets(most: float) -> list[float]:
    """Return up to `N_BUDGETS` integer budgets from 1 to `most`, evenly spaced in log scale."""
    last = max(1, math.floor(most + 1e-9))
    found = {round(last ** (i / (N_BUDGETS - 1))) for i in range(N_BUDGETS)}
    return [float(n) for n in sorted(found | {1, last})]


def anytime_table(
    trials: Sequence[Incumbents],
    anchors: Mapping[str, tuple[float, float]],
    *,
    baseline: str,
    target: float = 0.1,
) -> AnytimeTable:
    """Compare optimisers over the budget.

    Parameters
    ----------
    trials : sequence of Incumbents
        One per problem, optimiser and seed.
    anchors : mapping of task to (best loss known, random search's median loss)
        Problems without anchors are left out.
    baseline : str
        Label of the optimiser to compare the others with.
    target : float
        Normalised regret to reach.

    Raises
    ------
    ValueError
        If no problem and seed is common to all optimisers.
    """
    known = [t for t in trials if t.task in anchors]
    labels = list(dict.fromkeys(t.label for t in known))
    by_key = {(t.task, t.seed, t.label): t for t in known}
    pairs = sorted({(t.task, t.seed) for t in known})
    # seeds that every optimiser has on every problem that all of them have
    tasks = [
        k for k in dict.fromkeys(t for t, _ in pairs) if all(any((k, s, m) in by_key for _, s in pairs) for m in labels)
    ]
    seeds = sorted({s for _, s in pairs if all((t, s, m) in by_key for t in tasks for m in labels)})
    if not tasks or not seeds:
        raise ValueError("no problem and seed is common to all optimisers")
    left_out = [f"problem {t}: without frozen ends" for t in sorted({t.task for t in trials} - set(anchors))]
    left_out += [
        f"problem {t}: not every optimiser has it" for t in dict.fromkeys(t for t, _ in pairs) if t not in tasks
    ]
    lost = sorted({s for _, s in pairs} - set(seeds))
    if lost:
        left_out.append(f"seeds {', '.join(map(str, lost))}: not every optimiser has them")
    budget = min(t.budget for t in known)
    grid = budgets(budget)
    regret_of = {
        (task, seed, label): _regrets(by_key[task, seed, label], anchors[task], grid)
        for task in tasks
        for seed in seeds
        for label in labels
    }
    filled, ranked = _filled(regret_of, tasks, seeds, labels, len(grid))
    rows = [
        _row(
            label, by_key, anchors, filled, ranked, tasks, seeds, grid, baseline if baseline in labels else None, target
        )
        for label in labels
    ]
    rows.sort(key=lambda r: (r.rank.mean, r.regret.mean, r.label))
    return AnytimeTable(
        tasks=tuple(tasks), seeds=tuple(seeds), budget=budget, target=target, rows=tuple(rows), left_out=tuple(left_out)
    )


def measured_ends(trials: Sequence[Incumbents]) -> dict[str, tuple[float, float]]:
    """Return (least, greatest final) loss per problem, for curves without frozen ends.

    A problem on which all trials end with the least loss has no scale and is left out.
    """
    losses: dict[str, list[float]] = {}
    finals: dict[str, list[float]] = {}
    for one in trials:
        if one.losses:
            losses.setdefault(one.task, []).append(min(one.losses))
            finals.setdefault(one.task, []).append(one.losses[-1])
    return {task: (min(own), max(finals[task])) for task, own in losses.items() if max(finals[task]) > min(own)}


def log_difference(
    trials: Sequence[Incumbents], task: str, first: str, second: str, best: float, *, spent: float | None = None
) -> Difference:
    """Return the paired difference of log10 regrets on one problem, first minus second.

    A regret is the loss minus the best known loss.

    Raises
    ------
    ValueError
        If they share no seed.
    """
    own = {(t.label, t.seed): t for t in trials if t.task == task}
    seeds = sorted(s for label, s in own if label == first and (second, s) in own)
    found = []
    for seed in seeds:
        logs = []
        for label in (first, second):
            trial = own[label, seed]
            loss = trial.loss_at(trial.budget if spent is None else spent)
            if loss is None:
                raise ValueError(f"{label} has no incumbent on {task}, seed {seed}, after {spent} evaluations")
            logs.append(_log(float(rounded_differences(loss, best))))
        found.append(logs[0] - logs[1])
    if not found:
        raise ValueError(f"{first} and {second} share no seed on {task}")
    return Difference(first=first, second=second, task=task, estimate=estimate(found))


def _regrets(trial: Incumbents, ends: tuple[float, float], grid: Sequence[float]) -> list[float | None]:
    best, median = ends
    losses = [trial.loss_at(b) for b in grid]
    above = rounded_differences([math.nan if loss is None else loss for loss in losses], best).tolist()
    return [None if math.isnan(one) else max(0.0, one / (median - best)) for one in above]


Regrets = dict[tuple[str, int, str], list[float]]


def _filled(
    regret_of: Mapping[tuple[str, int, str], Sequence[float | None]],
    tasks: Sequence[str],
    seeds: Sequence[int],
    labels: Sequence[str],
    n_budgets: int,
) -> tuple[Regrets, Regrets]:
    """Return ranks, and regrets with missing ones imputed.

    Where no optimiser has an incumbent yet, all get the regret of the first incumbent.
    """
    filled: Regrets = defaultdict(list)
    ranked: Regrets = defaultdict(list)
    for task in tasks:
        for seed in seeds:
            everything = [r for label in labels for r in regret_of[task, seed, label] if r is not None]
            worst_of_all = max(everything, default=1.0)
            for i in range(n_budgets):
                now = {label: regret_of[task, seed, label][i] for label in labels}
                worst = max((r for r in now.values() if r is not None), default=worst_of_all)
                # minus infinity: no optimiser is worse than one without an incumbent
                scores = [-math.inf if r is None else -max(r, SMALLEST) for r in now.values()]
                places = tied_ranks(np.array(scores)[:, None])[:, 0].tolist()
                for (label, r), place in zip(now.items(), places, strict=True):
                    filled[task, seed, label].append(worst if r is None else r)
                    ranked[task, seed, label].append(place)
    return filled, ranked


def _row(
    label: str,
    by_key: Mapping[tuple[str, int, str], Incumbents],
    anchors: Mapping[str, tuple[float, float]],
    filled: Regrets,
    ranked: Regrets,
    tasks: Sequence[str],
    seeds: Sequence[int],
    grid: Sequence[float],
    baseline: str | None,
    target: float,
) -> AnytimeRow:
    def over_seeds(value: Any) -> Estimate:
        """Return the mean over problems of `value(task, seed)`, with its interval over seeds."""
        return estimate_of_trials([math.fsum(value(t, s) for t in tasks) / len(tasks) for s in seeds])

    curve = tuple(
        Band(
            spent=b,
            regret=over_seeds(lambda t, s, i=i: min(filled[t, s, label][i], 1.0)),
            rank=over_seeds(lambda t, s, i=i: ranked[t, s, label][i]),
        )
        for i, b in enumerate(grid)
    )
    wins = differences = None
    if baseline is not None and baseline != label:
        won = {(t, s): _wins(filled[t, s, label][-1], filled[t, s, baseline][-1]) for t in tasks for s in seeds}
        wins = share([math.fsum(won[t, s] for t in tasks) / len(tasks) for s in seeds], len(won))
        differences = over_seeds(lambda t, s: _log(filled[t, s, label][-1]) - _log(filled[t, s, baseline][-1]))
    own = [(by_key[t, s, label], anchors[t]) for t in tasks for s in seeds]
    times = [_time_to(trial, ends, target) for trial, ends in own]
    n_reached = sum(t is not None for t in times)
    used = math.fsum(grid[-1] if t is None else t for t in times)
    return AnytimeRow(
        label=label,
        n_seeds=len(seeds),
        n_tasks=len(tasks),
        regret=curve[-1].regret,
        area=over_seeds(lambda t, s: _area([min(r, 1.0) for r in filled[t, s, label]], grid)),
        rank=curve[-1].rank,
        wins=wins,
        log_regret_difference=differences,
        reached=n_reached / len(times),
        running_time=used / n_reached if n_reached else None,
        first=max(trial.spent[0] if trial.spent else math.inf for trial, _ in own),
        curve=curve,
    )


def _wins(own: float, other: float) -> float:
    a, b = max(own, SMALLEST), max(other, SMALLEST)
    return 1.0 if a < b else 0.5 if a == b else 0.0


def _log(regret: float) -> float:
    return math.log10(max(regret, SMALLEST))


def _area(regrets: Sequence[float], grid: Sequence[float]) -> float:
    """Return the mean over evaluations 1, 2, ... of a curve, interpolated linearly."""
    if len(grid) == 1:
        return regrets[0]
    pieces = ((grid[i + 1] - grid[i]) * (regrets[i] + regrets[i + 1]) / 2 for i in range(len(grid) - 1))
    return math.fsum(pieces) / (grid[-1] - grid[0])


def _time_to(trial: Incumbents, ends: tuple[float, float], target: float) -> float | None:
    best, median = ends
    limit = best + target * (median - best)
    above = rounded_differences(trial.losses, limit).tolist()
    return next((s for s, one in zip(trial.spent, above, strict=True) if one <= 0), None)
