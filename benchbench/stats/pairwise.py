"""Pairwise comparisons of methods, and the verdict on a leaderboard.

Comparisons are paired: on the seeds (folds) that both methods have on a task, and on the tasks that
both have. All others are left out and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.errors import InputError
from benchbench.stats.intervals import FEW_TASKS, estimate
from benchbench.stats.labels import listed, number_text, plural
from benchbench.stats.leaderboard import Leaderboard
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.significance import (
    ALPHA,
    PosteriorProbabilities,
    TwoComparison,
    bayesian_signed_rank,
    compare_scores,
    holm,
    least_p,
    p_text,
    rank_biserial,
    wilcoxon,
)
from benchbench.stats.stability import Separation, tasks_to_separate
from benchbench.stats.statistics import STATISTICS, StatisticValue
from benchbench.stats.table import FloatArray, ScoreTable, TrialState
from benchbench.stats.ties import differences as rounded_differences

__all__ = ["NORMALISED", "MethodComparison", "TaskPair", "Verdict", "compare_methods", "default_rope", "verdict_on"]

NORMALISED, RANK = "normalised score", "rank"
# default half-widths of the region of practical equivalence: 0.01 of a normalised score (Benavoli
# et al. 2017, JMLR 18(77), use 0.01 of accuracy), and half a rank
ROPES = {NORMALISED: 0.01, RANK: 0.5}
DECIDED = 0.95
"""Posterior probability from which on a comparison is decided."""
MOST_TESTED = 50
"""Number of methods, by rank, that a verdict tests against the first."""

UnitScores = Mapping[tuple[str, int], Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPair:
    """The difference of two methods, a minus b, on one task.

    Parameters
    ----------
    a, b : float or None
        Mean scores over the seeds (folds) that both have; None if one has none.
    difference, ci95 : float or None
        Mean over the pairs and half-width of its 95 % interval by Student's t; no interval for one
        pair, nor with imputed scores.
    n, unit : int, str
        Number of pairs, and what is paired: seeds or folds, or with a single one its units
        (episodes).
    n_imputed : int
        Pairs of seeds (folds) with one or two imputed scores.
    scaled : float or None
        The difference on the scale of the overall comparison.
    better : str
        Label of the method whose lead exceeds both the interval and the region of practical
        equivalence; else empty.
    note : str
        What is missing, imputed or left out, and why.
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
    better: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodComparison:
    """The comparison of two methods; differences above 0 favour a.

    Parameters
    ----------
    scale : str
        Scale on which scores of different tasks are combined: "normalised score", a metric that all
        tasks have, or "rank" (minus the rank among all methods of the leaderboard).
    rope : float
        Half-width of the region of practical equivalence on that scale.
    tasks : tuple of TaskPair
    overall, bayes, separation
        None without a common task or if all pairs are imputed; the latter two also with a single
        task.
    n_pairs, n_imputed : int
        Common seeds (folds) over all tasks, and how many of them have an imputed score.
    left_out : tuple of str
        Seeds and tasks that only one of the two has.
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
    left_out: tuple[str, ...] = ()

    @property
    def better(self) -> str:
        """Label of the method that is decided to be better, "equivalent", or "" if undecided."""
        if self.bayes is None:
            return self.tasks[0].better if self.overall is not None and self.overall.n_tasks == 1 else ""
        chances = {self.a: self.bayes.p_right, self.b: self.bayes.p_left, "equivalent": self.bayes.p_rope}
        best = max(chances, key=lambda name: chances[name])
        return best if chances[best] >= DECIDED else ""

    def sentence(self) -> str:
        """Return the result in words that claim no more than the numbers."""
        if self.n_pairs and self.n_imputed == self.n_pairs:
            return "Nothing is compared: all pairs are imputed."
        if self.overall is None:
            return "Nothing is compared: the two methods have no task with a common seed."
        return " ".join([self._verdict(), self._wins(), *self._cautions()])

    def _verdict(self) -> str:
        if self.bayes is None:
            task = next(p for p in self.tasks if p.difference is not None)
            if task.better:
                return f"On the one common task {task.better} scores higher, beyond its 95 % interval."
            return "Not decided: on the one common task neither method is better beyond its 95 % interval."
        chances = {
            f"{self.a} is better": self.bayes.p_right,
            f"{self.b} is better": self.bayes.p_left,
            "the two are practically equivalent": self.bayes.p_rope,
        }
        best = max(chances, key=lambda name: chances[name])
        chance = "> 0.999" if chances[best] > 0.9995 else f"= {chances[best]:.3f}"
        if self.better:
            return f"Decided: {best} (P {chance})."
        return f"Not decided: most probably {best} (P {chance})."

    def _wins(self) -> str:
        found = self.overall
        if found is None:
            return ""
        return (
            f"{self.a} scores higher on {found.wins} of {plural(found.n_tasks, 'task')}, lower on {found.losses}, equal on"
            f" {found.ties}."
        )

    def _cautions(self) -> list[str]:
        lines = []
        n_tasks = 0 if self.overall is None else self.overall.n_tasks
        if 1 < n_tasks < FEW_TASKS:
            lines.append(f"With only {n_tasks} tasks, interval and posterior are unreliable.")
        if self.n_imputed:
            lines.append(f"{self.n_imputed} of {self.n_pairs} pairs are imputed and treated as measured.")
        if self.left_out:
            lines.append(f"Left out, because only one method has them: {listed(self.left_out, separator='; ')}.")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"better": self.better, "verdict": self.sentence()}


def compare_methods(
    board: Leaderboard,
    a: str,
    b: str,
    *,
    units: tuple[UnitScores, UnitScores] = ({}, {}),
    unit_names: Mapping[str, str] | None = None,
    rope: float | None = None,
) -> MethodComparison:
    """Compare two methods of a leaderboard.

    Parameters
    ----------
    a, b : str
        Labels of the methods.
    units : pair of mappings of (task, seed) to scores by unit
        Of a and b; with a single common seed its units are paired.
    unit_names : mapping of task to str
        Name of a unit within a trial ("episode").
    rope : float, optional
        Half-width of the region of practical equivalence on the scale of the comparison.

    Raises
    ------
    InputError
        If both are the same method, or `rope` is below 0.
    """
    if a == b:
        raise InputError(f"compare two different methods; both are {a!r}")
    if rope is not None and not rope >= 0:
        raise InputError(f"--rope must be 0 or more, got {rope}")
    paired = _Paired.of(board, a, b)
    if rope is None:
        rope = _usual_rope(paired.scale)
    pairs = [_task_pair(board, paired, t, units, unit_names or {}, rope) for t in range(len(paired.table.tasks))]
    n_pairs, n_imputed = int(paired.common.sum()), sum(p.n_imputed for p in pairs)
    nothing = MethodComparison(
        a=a,
        b=b,
        scale=paired.scale,
        rope=rope,
        tasks=tuple(pairs),
        overall=None,
        bayes=None,
        separation=None,
        n_pairs=n_pairs,
        n_imputed=n_imputed,
        left_out=_left_out(board, paired),
    )
    # imputed scores alone show nothing
    if not paired.has_task.any() or n_imputed == n_pairs:
        return nothing
    first, second = paired.first, paired.second
    has_several = paired.has_task.sum() > 1
    return replace(
        nothing,
        overall=compare_scores(first, second),
        # of one task nobody knows how much tasks differ
        bayes=_posterior(rounded_differences(first, second), rope, is_turned=a > b) if has_several else None,
        separation=tasks_to_separate(paired.scaled, a, b, alpha=board.alpha) if has_several else None,
    )


def _posterior(differences: FloatArray, rope: float, *, is_turned: bool) -> PosteriorProbabilities:
    """Return the posterior of a against b.

    It is always drawn in the same order of the two, so that b against a is its mirror image.
    """
    if not is_turned:
        return bayesian_signed_rank(differences, rope=rope)
    found = bayesian_signed_rank(-differences, rope=rope)
    return replace(found, p_left=found.p_right, p_right=found.p_left)


def default_rope(board: Leaderboard, a: str, b: str) -> float:
    """Return the default half-width of the region of practical equivalence."""
    return _usual_rope(_Paired.of(board, a, b).scale)


def _usual_rope(scale: str) -> float:
    return ROPES.get(scale, 0.01 if "accuracy" in scale or "auc" in scale else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Paired:
    """Two methods on common units and on a scale common to all tasks.

    `rows` are their rows of `table`; `common` (T, U) the units that both have; `scaled` the table
    of these on `scale`; `first` and `second` (T,) their means in it; `has_task` (T,) where both
    have a mean.
    """

    table: ScoreTable
    imputed: NDArray[np.bool_]
    rows: tuple[int, int]
    common: NDArray[np.bool_]
    scale: str
    scaled: ScoreTable
    first: FloatArray
    second: FloatArray
    has_task: NDArray[np.bool_]

    @classmethod
    def of(cls, board: Leaderboard, a: str, b: str) -> _Paired:
        table = board.imputed.table
        rows = (table.methods.index(a), table.methods.index(b))
        common = np.asarray(~np.isnan(table.scores[list(rows)]).any(axis=0))
        scale, scaled = _scaled(board, table, rows, common)
        first, second = scaled.task_scores()[[scaled.methods.index(a), scaled.methods.index(b)]]
        return cls(
            table=table,
            imputed=board.imputed.imputed,
            rows=rows,
            common=common,
            scale=scale,
            scaled=scaled,
            first=first,
            second=second,
            has_task=~np.isnan(first) & ~np.isnan(second),
        )


def _scaled(
    board: Leaderboard, table: ScoreTable, rows: tuple[int, int], common: NDArray[np.bool_]
) -> tuple[str, ScoreTable]:
    """Return the scale of the common tasks and the table of common units on it.

    Higher is better.
    """
    from benchbench.stats.scales import frozen_ends, normalise

    tasks = [task for task, is_common in zip(table.tasks, np.asarray(common.any(axis=1)), strict=True) if is_common]
    ends = board.suite.ends()
    metrics = {board.metrics.get(task, "") for task in tasks}
    is_normalised = bool(tasks) and all(task in ends for task in tasks)
    # a unit that only one of the two has must not affect its mean
    if is_normalised or (len(metrics) == 1 and metrics != {""}):
        pair = table.select(methods=[table.methods[row] for row in rows])
        scores = np.where(common[None], pair.scores, np.nan)
        if is_normalised:
            zero, one = frozen_ends(table.tasks, ends)
            scores = normalise(scores, zero[None, :, None], one[None, :, None])
            return NORMALISED, replace(pair, scores=scores, states=_states(scores, pair))
        return metrics.pop(), replace(pair, scores=scores, states=_states(scores, pair))
    scores = np.where(common[None], table.scores, np.nan)
    plain = replace(table, scores=scores, states=_states(scores, table))
    ranks = -tied_ranks(plain.task_scores())[:, :, None]
    states = np.where(np.isnan(ranks), TrialState.ABSENT, TrialState.OK).astype(np.int8)
    return RANK, ScoreTable(table.methods, table.tasks, (0,), ranks, states)


def _states(scores: FloatArray, table: ScoreTable) -> NDArray[np.int8]:
    """Return states without a score where one was removed."""
    return np.where(np.isnan(scores) & (table.states == TrialState.OK), np.int8(TrialState.ABSENT), table.states)


def _task_pair(
    board: Leaderboard,
    paired: _Paired,
    t: int,
    units: tuple[UnitScores, UnitScores],
    unit_names: Mapping[str, str],
    rope: float,
) -> TaskPair:
    table, is_common = paired.table, paired.common[t]
    task = table.tasks[t]
    own = table.scores[list(paired.rows), t]
    trial_unit = board.trial_units.get(task, "seed")
    plain = TaskPair(task=task, metric=board.metrics.get(task, ""))
    if not is_common.any():
        lacking = [table.methods[row] for row, scores in zip(paired.rows, own, strict=True) if np.isnan(scores).all()]
        return replace(plain, note=f"no score of {' and '.join(lacking)}" if lacking else f"no common {trial_unit}")
    first, second = own[:, is_common]
    n_imputed = int(paired.imputed[list(paired.rows), t][:, is_common].any(axis=0).sum())
    notes = [f"{n_imputed} of {len(first)} pairs imputed"] if n_imputed else []
    notes += [f"left out: {text}" for text in _alone(board, paired, t)]
    differences, unit = [float(d) for d in rounded_differences(first, second)], trial_unit
    if len(differences) == 1 and not n_imputed:
        seed = table.units[int(np.flatnonzero(is_common)[0])]
        within = [side.get((task, seed), ()) for side in units]
        if len(within[0]) == len(within[1]) > 1:
            differences = rounded_differences(*within).tolist()
            unit = unit_names.get(task, "unit")
    found = estimate(differences)
    pair = replace(
        plain,
        a=float(first.mean()),
        b=float(second.mean()),
        difference=float(rounded_differences(first.mean(), second.mean())),
        ci95=None if n_imputed else found.ci95,
        n=found.n,
        unit=unit,
        n_imputed=n_imputed,
        scaled=float(rounded_differences(paired.first[t], paired.second[t])) if paired.has_task[t] else None,
        note=", ".join(notes),
    )
    return replace(pair, better=_better(pair, table.methods[paired.rows[0]], table.methods[paired.rows[1]], rope))


def _better(pair: TaskPair, a: str, b: str, rope: float) -> str:
    if pair.difference is None or pair.ci95 is None or abs(pair.difference) <= pair.ci95:
        return ""
    if pair.scaled is None or abs(pair.scaled) <= rope:
        return ""
    return a if pair.difference > 0 else b


def _alone(board: Leaderboard, paired: _Paired, t: int) -> list[str]:
    """Name the units of a task that only one of the two has, if both have common ones."""
    table, task = paired.table, paired.table.tasks[t]
    word = board.trial_units.get(task, "seed")
    found = []
    for row in paired.rows:
        left = np.flatnonzero(~np.isnan(table.scores[row, t]) & ~paired.common[t])
        if len(left):
            numbers = ", ".join(str(table.units[u]) for u in left[:8]) + (", ..." if len(left) > 8 else "")
            found.append(f"{word}{'s' if len(left) > 1 else ''} {numbers} of {table.methods[row]}")
    return found


def _left_out(board: Leaderboard, paired: _Paired) -> tuple[str, ...]:
    """Name what only one of the two has: seeds, grouped over tasks, then tasks."""
    table = paired.table
    seeds: dict[str, list[str]] = {}
    for t in np.flatnonzero(paired.common.any(axis=1)):
        for text in _alone(board, paired, int(t)):
            seeds.setdefault(text, []).append(table.tasks[t])
    found = [f"{text} on {_named(tasks)}" for text, tasks in seeds.items()]
    has_score = np.asarray(~np.isnan(table.scores[list(paired.rows)]).all(axis=2))
    for side, other in ((0, 1), (1, 0)):
        only = [table.tasks[t] for t in np.flatnonzero(has_score[side] & ~has_score[other])]
        if only:
            found.append(f"{_named(only)} of {table.methods[paired.rows[side]]}")
    return tuple(found)


def _named(tasks: Sequence[str]) -> str:
    return listed(tasks) + (" tasks" if len(tasks) > 5 else "")


# --------------------------------------------------------------------------------------------------
# which methods are not distinguishable from the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which methods lead a leaderboard, and which are not distinguishable from the first.

    Parameters
    ----------
    statistic : str
    leaders : tuple of str
        Labels of rank 1; several if they are tied.
    alike : tuple of str
        Labels of the methods that are not distinguishable from the first leader, by rank.
    ahead : tuple of str
        Labels of the methods that score significantly higher than the first leader. That can
        happen, since a leaderboard averages over all seeds, while the test pairs common ones, and a
        mean rank ignores the size of differences.
    p : mapping of label to float or None
        Two-sided p-values against the first leader, Holm-corrected; None where no test was
        possible.
    test : str
        Name of the test.
    sentence : str
        The verdict in words.
    """

    statistic: str
    leaders: tuple[str, ...]
    alike: tuple[str, ...]
    ahead: tuple[str, ...] = ()
    p: Mapping[str, float | None] = field(default_factory=dict)
    test: str = ""
    sentence: str = ""

    @property
    def group(self) -> frozenset[str]:
        """The leaders and the methods that are not distinguishable from them."""
        return frozenset((*self.leaders, *self.alike))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def verdict_on(board: Leaderboard, statistic: str, values: Sequence[StatisticValue] | None = None) -> Verdict:
    """Return the leaders by a statistic and the methods not distinguishable from the first.

    Parameters
    ----------
    values : sequence of StatisticValue, optional
        Values of the shown methods; None: all methods.

    Notes
    -----
    The first is tested against each other method by Wilcoxon's signed-rank test over the tasks that
    both have, paired and scaled as in `compare_methods`, or on a single task by the paired t-test
    over common seeds (folds). P-values are corrected by Holm's procedure, and compared with the
    leaderboard's `alpha`.
    """
    kind = STATISTICS[statistic]
    found = board.values(statistic) if values is None else values
    ranked = [v for v in found if v.rank is not None]
    if not ranked:
        return Verdict(statistic=statistic, leaders=(), alike=(), sentence="No method has a value.")
    best = ranked[0].rank
    leaders = tuple(v.method for v in ranked if v.rank == best)
    value = ranked[0].value
    shown = "" if value is None else f" ({number_text(value, kind.digits)})"
    leads = f"{_and(leaders)} lead{'s' if len(leaders) == 1 else ''} by {kind.title}{shown}"
    others = [v.method for v in ranked if v.method not in leaders]
    if not others:
        return Verdict(statistic=statistic, leaders=leaders, alike=(), sentence=f"{leads}; no other method is ranked.")
    tested = others[:MOST_TESTED]
    pairs = [_Paired.of(board, leaders[0], other) for other in tested]
    p_values, n_tasks, test = _tests(board, tested, pairs)
    alike = tuple(m for m in tested if (p := p_values[m]) is None or p >= board.alpha)
    most = f" of the first {MOST_TESTED} behind it" if len(others) > len(tested) else ""
    if not alike:
        largest = max((p for p in p_values.values() if p is not None), default=0.0)
        rest = f"every other method{most} is distinguishable from it ({test}: largest p {p_text(largest)})."
    elif len(alike) == len(tested) and len(tested) > 3:
        rest = f"none of the other {len(tested)} methods{most} is distinguishable from it ({_lowest(test, p_values)})."
    else:
        rest = f"not distinguishable from it: {_with_p(alike, p_values)} ({test})."
    if board.alpha != ALPHA:
        rest += f" Level of the tests: {board.alpha:g}."
    if alike and least_p(n_tasks) >= board.alpha and n_tasks > 1:
        rest += f" With only {n_tasks} tasks this test cannot give p < {board.alpha:g}, whatever the scores."
    ahead = tuple(m for m, pair in zip(tested, pairs, strict=True) if m not in alike and _is_behind(pair))
    turned = _reversed(board, leaders[0], tested, pairs)
    if ahead and not turned:
        turned = (
            f" Compared pair by pair, {_and(ahead)} score{'s' if len(ahead) == 1 else ''} higher than {leaders[0]}."
        )
    return Verdict(
        statistic=statistic,
        leaders=leaders,
        alike=alike,
        ahead=ahead,
        p=p_values,
        test=test,
        sentence=f"{leads}; {rest}{turned}",
    )


def _is_behind(pair: _Paired) -> bool:
    """Return whether the first of two scores lower in the paired test."""
    if len(pair.table.tasks) > 1:
        return rank_biserial(rounded_differences(pair.first, pair.second)[pair.has_task]) < 0
    return bool(rounded_differences(pair.first, pair.second)[0] < 0)


def _reversed(board: Leaderboard, first: str, others: Sequence[str], pairs: Sequence[_Paired]) -> str:
    """Return a sentence on a lower-ranked method that is ahead on common seeds, if any.

    Leaderboards average over all seeds of each method.
    """
    for other, pair in zip(others, pairs, strict=True):
        differences = rounded_differences(pair.first, pair.second)[pair.has_task]
        if len(differences) and differences.mean() < 0 and any(_alone(board, pair, t) for t in range(len(pair.common))):
            n = plural(len(differences), "task")
            return (
                f" The methods have different seeds: on those that both have, {other} scores higher than {first} on"
                f" {int((differences < 0).sum())} of {n}."
            )
    return ""


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _with_p(labels: Sequence[str], p_values: Mapping[str, float | None]) -> str:
    shown = [f"{m} (p {p_text(p)})" if (p := p_values[m]) is not None else f"{m} (not tested)" for m in labels[:6]]
    return ", ".join(shown) + (f" and {len(labels) - 6} more" if len(labels) > 6 else "")


def _lowest(test: str, p_values: Mapping[str, float | None]) -> str:
    known = [p for p in p_values.values() if p is not None]
    return f"{test}: smallest p {p_text(min(known))}" if known else f"{test}: no test was possible"


def _tests(
    board: Leaderboard, others: Sequence[str], pairs: Sequence[_Paired]
) -> tuple[dict[str, float | None], int, str]:
    """Return Holm-corrected p-values of the first against each, the most tasks of one, the test."""
    table = board.imputed.table
    n_tasks = max((int(p.has_task.sum()) for p in pairs), default=0)
    if len(table.tasks) > 1:
        raw = wilcoxon(np.stack([np.where(p.has_task, rounded_differences(p.first, p.second), np.nan) for p in pairs]))
        known = [float(p) if pair.has_task.sum() > 1 else None for p, pair in zip(raw, pairs, strict=True)]
        test = f"Wilcoxon signed-rank test over {plural(n_tasks, 'task')}, Holm-corrected"
    else:
        word = board.trial_units.get(table.tasks[0], "seed") if table.tasks else "seed"
        known = [_p_of_trials(pair) for pair in pairs]
        test = f"paired t-test over common {word}s, Holm-corrected"
        if all(p is None for p in known):
            known = [_p_of_units(pair) for pair in pairs]
            test = f"Welch's test over the units of one {word}, Holm-corrected"
    corrected = iter(holm([p for p in known if p is not None]))
    return {m: None if p is None else next(corrected) for m, p in zip(others, known, strict=True)}, n_tasks, test


def _p_of_trials(pair: _Paired) -> float | None:
    """Return the p-value of the paired t-test over common seeds (folds) of the one task."""
    from benchbench.stats.significance import paired_t

    own = pair.table.scores[list(pair.rows), 0][:, pair.common[0]]
    is_imputed = pair.imputed[list(pair.rows), 0][:, pair.common[0]].any()
    if own.shape[1] < 2 or is_imputed:
        return None
    return paired_t(rounded_differences(own[0], own[1]).tolist()).p


def _p_of_units(pair: _Paired) -> float | None:
    """Return the p-value of Welch's test over the units (episodes) of the one common seed."""
    from benchbench.stats.significance import welch

    table, rows, common = pair.table, list(pair.rows), np.flatnonzero(pair.common[0])
    if len(common) != 1 or table.deviations is None or table.n_units is None:
        return None
    if pair.imputed[rows, 0, common[0]].any():
        return None
    means, deviations = table.scores[rows, 0, common[0]], table.deviations[rows, 0, common[0]]
    return welch(means.tolist(), deviations.tolist(), table.n_units[rows, 0, common[0]].tolist())
