"""Checks orderings known from the literature on trials."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchbench.stats.intervals import Estimate, estimate, t_quantile
from benchbench.stats.ties import differences

if TYPE_CHECKING:
    from benchbench.suite_files import OrderingSpec

__all__ = ["VERDICTS", "Finding", "OrderedTrial", "Paired", "check_orderings", "over_tasks", "paired"]

VERDICTS = ("violated", "not shown", "missing", "declined", "holds")
"""Verdicts, the most important ones first."""


@dataclass(frozen=True, slots=True)
class OrderedTrial:
    """One counted trial; fields in the order of the query in `benchbench.results.load_units`."""

    task: str
    fingerprint: str
    method: str
    seed: int
    outcome: str
    error_message: str
    metric: str
    unit: str
    unit_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A difference measured per unit and seed.

    Parameters
    ----------
    units : Estimate
        Over units, each averaged over the seeds, for these fixed trainings.
    seeds : Estimate
        Over the seeds' mean differences; without an interval for a single seed.
    n_won : int
        Seeds with a mean difference above 0.
    by_seed : tuple of float
        Mean difference per seed.
    """

    units: Estimate
    seeds: Estimate
    n_won: int
    by_seed: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One ordering of two methods on one task or over several, and its verdict.

    `difference` is `above`'s score minus `below`'s, over the seeds that both have. The verdict uses
    `ci95`, the half-width of its interval over `n` paired units; `seed_ci95` is that over the mean
    differences of `n_seeds` seeds, `by_seed`. `was_not_run`: the verdict is missing only because
    one method or both were not run. Over several tasks `task` is None and `over` names them.
    """

    above: str
    below: str
    task: str | None
    at_least: bool
    why: str
    verdict: str = ""
    reason: str = ""
    above_score: float | None = None
    below_score: float | None = None
    difference: float | None = None
    ci95: float | None = None
    unit: str = ""
    n: int = 0
    seed_ci95: float | None = None
    seeds_won: int = 0
    n_seeds: int = 0
    was_not_run: bool = False
    metric: str = ""
    by_seed: Mapping[int, float] = field(default_factory=dict)
    over: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The ordering for people."""
        return f"{self.above} {'≥' if self.at_least else '>'} {self.below}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def paired(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> Paired:
    """Return the mean difference of two methods and its intervals.

    Parameters
    ----------
    above, below : (n_seeds, n_units) scores
        The same seeds and units in the same order.

    Raises
    ------
    ValueError
        If there are no scores, or their numbers differ.
    """
    table = [[a - b for a, b in zip(*rows, strict=True)] for rows in zip(above, below, strict=True)]
    by_unit = [math.fsum(column) / len(column) for column in zip(*table, strict=True)]
    by_seed = [math.fsum(row) / len(row) for row in table]
    # binary rounding makes no win of a tie
    n_won = int((differences([math.fsum(a) for a in above], [math.fsum(b) for b in below]) > 0).sum())
    return Paired(units=estimate(by_unit), seeds=estimate(by_seed), n_won=n_won, by_seed=tuple(by_seed))


def check_orderings(
    orderings: Iterable[OrderingSpec], trials: Iterable[OrderedTrial], tasks: Sequence[str]
) -> list[Finding]:
    """Check every pair of methods of every ordering on each of its tasks.

    Parameters
    ----------
    orderings : iterable of OrderingSpec
    trials : iterable of OrderedTrial
        Comparable trials: equal fingerprint per task, protocol, budget, threads and device. Of
        several with the same task, method and seed the last one counts.
    tasks : sequence of str
        Tasks of an ordering that names none.

    Returns
    -------
    list of Finding
        One per pair and task, with or without results, in the orderings' order. A strict ordering
        "holds" if the interval over units is above 0, is "violated" if it is below 0, and else "not
        shown"; `at_least` holds unless violated. "missing": no common seed with a successful trial
        of both; "declined": one of the two declines the task.
    """
    by_key: dict[tuple[str, str], dict[int, OrderedTrial]] = defaultdict(dict)
    for trial in trials:
        by_key[trial.task, trial.method][trial.seed] = trial
    return [
        _find(
            Finding(above=above, below=below, task=task, at_least=ordering.at_least, why=ordering.why),
            by_key.get((task, above), {}),
            by_key.get((task, below), {}),
        )
        for ordering in orderings
        for above in ordering.above
        for below in ordering.below
        for task in ordering.tasks or tasks
    ]


def _find(plain: Finding, above: Mapping[int, OrderedTrial], below: Mapping[int, OrderedTrial]) -> Finding:
    sides = {plain.above: above, plain.below: below}
    reasons = {name: found for name, own in sides.items() if (found := _absent(name, own))}
    if reasons:
        is_declined = any(_is_declined(sides[name]) for name in reasons)
        return replace(
            plain,
            verdict="declined" if is_declined else "missing",
            reason="; ".join(reasons.values()),
            was_not_run=not any(sides[name] for name in reasons),
        )
    ended = [{seed: t for seed, t in own.items() if t.outcome == "ok"} for own in (above, below)]
    seeds = sorted(set(ended[0]) & set(ended[1]))
    if not seeds:
        return replace(plain, verdict="missing", reason="no seed on which both succeeded")
    scores = [[own[seed].unit_scores for seed in seeds] for own in ended]
    lengths = [{len(row) for row in side} for side in scores]
    if lengths[0] != lengths[1] or len(lengths[0]) != 1 or lengths[0] == {0}:
        counts = " and ".join("/".join(map(str, sorted(found))) for found in lengths)
        return replace(plain, verdict="missing", reason=f"cannot be paired: {counts} scores by unit")
    result = paired(*scores)
    means = [math.fsum(math.fsum(row) / len(row) for row in side) / len(side) for side in scores]
    left = sorted({*above, *below} - set(seeds))
    reason = f"without seed{'s' if len(left) > 1 else ''} {', '.join(map(str, left))}: not of both" if left else ""
    return replace(
        plain,
        verdict=_verdict(result.units, at_least=plain.at_least),
        reason=reason,
        above_score=means[0],
        below_score=means[1],
        difference=result.units.mean,
        ci95=result.units.ci95,
        unit=ended[0][seeds[0]].unit,
        n=result.units.n,
        seed_ci95=result.seeds.ci95,
        seeds_won=result.n_won,
        n_seeds=len(seeds),
        metric=ended[0][seeds[0]].metric,
        by_seed=dict(zip(seeds, result.by_seed, strict=True)),
    )


def over_tasks(findings: Iterable[Finding]) -> list[Finding]:
    """Return one more finding per ordering measured on several tasks of one metric: the mean.

    Units of different tasks are independent, so the variances of the tasks' differences add;
    degrees of freedom are Welch and Satterthwaite's. Tasks have equal weights. Tasks with one unit
    are left out.
    """
    groups: dict[tuple[str, str, bool, str, str], list[Finding]] = defaultdict(list)
    for f in findings:
        if f.difference is not None and f.ci95 is not None:
            groups[f.above, f.below, f.at_least, f.why, f.metric].append(f)
    return [_mean_of(found) for found in groups.values() if len(found) > 1]


def _mean_of(found: Sequence[Finding]) -> Finding:
    k = len(found)
    # variance of each task's difference
    variances = [((f.ci95 or 0.0) / t_quantile(f.n - 1)) ** 2 for f in found]
    total = math.fsum(variances)
    degrees = math.fsum(v**2 / (f.n - 1) for v, f in zip(variances, found, strict=True))
    ci95 = t_quantile(total**2 / degrees) * math.sqrt(total) / k if degrees else 0.0
    units = Estimate(math.fsum(f.difference or 0.0 for f in found) / k, ci95, sum(f.n for f in found))
    shared = sorted(set.intersection(*(set(f.by_seed) for f in found)))
    by_seed = {seed: math.fsum(f.by_seed[seed] for f in found) / k for seed in shared}
    seeds = estimate(list(by_seed.values())) if shared else None
    left = sorted({seed for f in found for seed in f.by_seed} - set(shared))
    return replace(
        found[0],
        task=None,
        over=tuple(f.task for f in found if f.task is not None),
        verdict=_verdict(units, at_least=found[0].at_least),
        reason=f"seeds {', '.join(map(str, left))} not on all tasks" if left else "",
        above_score=math.fsum(f.above_score or 0.0 for f in found) / k,
        below_score=math.fsum(f.below_score or 0.0 for f in found) / k,
        difference=units.mean,
        ci95=units.ci95,
        n=units.n,
        seed_ci95=seeds.ci95 if seeds is not None else None,
        seeds_won=sum(value > 0 for value in by_seed.values()),
        n_seeds=len(shared),
        by_seed=by_seed,
    )


def _verdict(found: Estimate, *, at_least: bool) -> str:
    if found.ci95 is None:  # one unit has no variance
        return "not shown"
    if found.mean + found.ci95 < 0:
        return "violated"
    return "holds" if at_least or found.mean - found.ci95 > 0 else "not shown"


def _is_declined(own: Mapping[int, OrderedTrial]) -> bool:
    return any(t.outcome == "declined" for t in own.values())


def _absent(name: str, own: Mapping[int, OrderedTrial]) -> str:
    """Return why a method has no score; empty if it has one."""
    if any(t.outcome == "ok" for t in own.values()):
        return ""
    if not own:
        return f"no result of {name}"
    if _is_declined(own):
        return f"{name} declines the task"
    # infra counts only if there is no other outcome
    trial = next((t for t in own.values() if t.outcome != "infra"), None)
    if trial is None:
        return f"{name} was lost with its workers: run it again"
    message = " ".join(trial.error_message.split())[:200]
    return f"{name}: {trial.outcome}: {message}" if message else f"{name}: {trial.outcome}"
