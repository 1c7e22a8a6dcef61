"""Leaderboards: methods ranked over the tasks of a suite and on each task, from a score table.

Shapes: M methods, T tasks, U units (seeds or folds).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.cell_numbers import CellNumbers
from benchbench.stats.comparability import Comparable, choose
from benchbench.stats.facts import SuiteFacts
from benchbench.stats.imputation import AMLB_PREFIX, BASELINE_PREFIX, ImputedTable, check_policy, impute
from benchbench.stats.labels import listed, method_label, params_of, plural
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.scales import frozen_ends, normalise
from benchbench.stats.significance import ALPHA
from benchbench.stats.statistics import (
    N_BOOTSTRAP,
    NOT_RANKED,
    Options,
    StatisticValue,
    statistic_values,
)
from benchbench.stats.table import ScoreTable
from benchbench.stats.trials import FOLD, Cell, Conditions, CountedTrials

__all__ = ["Leaderboard", "Row", "make_leaderboard", "rank_comparable"]


@dataclass(slots=True, kw_only=True)
class Row:
    """One line of a leaderboard: a method on a task, or on the whole suite (`task` is None).

    `ci95` is the half-width of the 95 % interval of `score` over `n` values of `unit`. If tasks
    have different units, the suite's `unit` is "mixed" and `n_by_unit` has the number of each. On
    the suite's rows `score` is the mean normalised score (0 = baseline, 1 = reference) and `rank`
    the rank by `mean_rank`, whose 95 % interval over tasks is [`mean_rank_low`, `mean_rank_high`].
    A task is scored if it has a score, imputed or not, and ok if a trial of it succeeded.
    `shared_seconds` is the part of `seconds` that other trials spent on training reused by
    `n_shared` of its trials.
    """

    method: str
    params: str
    task: str | None
    rank: float | None = None
    mean_rank: float | None = None
    mean_rank_low: float | None = None
    mean_rank_high: float | None = None
    score: float | None = None
    ci95: float | None = None
    unit: str = ""
    n: int = 0
    n_by_unit: dict[str, int] = field(default_factory=dict)
    n_units: int = 0
    n_seeds: int = 0
    n_ok: int = 0
    n_failed: int = 0
    n_declined: int = 0
    n_lost: int = 0
    n_remarked: int = 0
    n_imputed: int = 0
    imputed_share: float = 0.0
    n_tasks: int = 1
    n_tasks_ok: int = 0
    n_tasks_scored: int = 0
    seconds: float | None = None
    n_shared: int = 0
    shared_seconds: float = 0.0
    iterations: int = 0
    metric: str = ""
    transductive: bool = False
    preset: str = ""
    device: str = ""
    threads: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The method with its parameters, for people."""
        return method_label(self.method, self.params)

    @property
    def n_in_words(self) -> str:
        """The sample size of the interval, as in "400 episodes, 3 seeds"."""
        return ", ".join(plural(n, unit) for unit, n in self.n_by_unit.items())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {
            "params": params_of(self.params),
            "n_by_unit": dict(self.n_by_unit),
            "notes": list(self.notes),
        }


@dataclass(slots=True, kw_only=True)
class Leaderboard:
    """Rows (the suite's by rank, then task by task), their conditions, and what was left out.

    Parameters
    ----------
    suite : SuiteFacts
    conditions : Conditions or None
        None: the leaderboard is empty.
    rows : list of Row
    imputed : ImputedTable
        Scores behind the rows, without the tasks that "drop-task" removes.
    measured : ScoreTable
        The same scores before imputation, with all tasks.
    imputation : str
    all_tasks : tuple of str
        Requested tasks of the suite, with or without results.
    metrics : mapping of task to metric
    trial_units : mapping of task to str
        Unit of a trial: "seed" or "fold".
    fingerprints : mapping of task to fingerprint
    hardware : list of str
        Hardware classes behind the seconds.
    left_out, notes : list of str
    n_left_out : int
        Number of trials in `left_out` that other options would show.
    scale : tuple of str, optional
        Labels of the methods at 0 and 1 of normalised scores, in place of frozen ends.
    unprepared : list of str
        The tasks whose data could not be prepared; `left_out` says why.
    anchor : (method, rating), optional
        Label of a method and its Elo rating; None: the mean rating is 1000.
    alpha : float
        Level of tests.
    """

    suite: SuiteFacts
    conditions: Conditions | None
    rows: list[Row]
    imputed: ImputedTable
    measured: ScoreTable
    imputation: str
    all_tasks: tuple[str, ...] = ()
    metrics: dict[str, str] = field(default_factory=dict)
    trial_units: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    hardware: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_left_out: int = 0
    scale: tuple[str, str] | None = None
    unprepared: list[str] = field(default_factory=list)
    anchor: tuple[str, float] | None = None
    alpha: float = ALPHA
    _values: dict[tuple[str, int], list[StatisticValue]] = field(default_factory=dict)
    _by_task: dict[str | None, list[Row]] = field(default_factory=dict)

    @property
    def dropped_tasks(self) -> tuple[str, ...]:
        """Tasks that "drop-task" removes from the suite's rows."""
        return self.imputed.dropped_tasks

    @property
    def fills(self) -> Mapping[str, float | None]:
        """Score imputed for a failed trial per task (None: nothing is imputed)."""
        return self.imputed.fills

    @property
    def overall(self) -> list[Row]:
        """The rows of the whole suite, by rank."""
        return self._rows(None)

    @property
    def tasks(self) -> list[str]:
        """Tasks with rows, in the suite's order, including dropped ones."""
        self._rows(None)
        return [task for task in self._by_task if task is not None]

    def rows_of(self, task: str) -> list[Row]:
        """Return the rows of a task, by rank."""
        return self._rows(task)

    def _rows(self, task: str | None) -> list[Row]:
        if not self._by_task:
            for r in self.rows:
                self._by_task.setdefault(r.task, []).append(r)
        return self._by_task.get(task, [])

    @property
    def methods(self) -> list[str]:
        """Labels by rank over all tasks, those without a rank last."""
        return [r.label for r in self.overall]

    def row_of(self, label: str, task: str | None = None) -> Row | None:
        """Return the row of a method on a task, or on the whole suite; None if there is none."""
        return next((r for r in self._rows(task) if r.label == label), None)

    def options(self) -> Options:
        """Return the statistics' options: frozen ends and perfect scores.

        Ends are frozen unless `scale` names methods: measured ones change the scale with every run.
        """
        if self.scale is not None:
            zero, one = self.scale
            return Options(
                baseline=zero, reference=one, perfect=self.suite.perfect_scores(self.metrics), anchor=self.anchor
            )
        return Options(ends=self.suite.ends(), perfect=self.suite.perfect_scores(self.metrics), anchor=self.anchor)

    def values(self, statistic: str, *, n_bootstrap: int = N_BOOTSTRAP) -> list[StatisticValue]:
        """Return the methods by a statistic over all tasks, best first.

        Raises
        ------
        InputError
            If no task is left.
        """
        key = statistic, n_bootstrap
        if key not in self._values:
            self.check_tasks()
            self._values[key] = statistic_values(self.imputed, statistic, self.options(), n_bootstrap=n_bootstrap)
        return self._values[key]

    def task_values(self, statistic: str, tasks: Sequence[str] | None = None) -> dict[str, list[StatisticValue]]:
        """Return the methods with trials by a statistic per task, without intervals.

        All tasks if `tasks` is None.
        """
        self.check_tasks()
        found = {}
        for task in self.imputed.table.tasks:
            if tasks is None or task in tasks:
                values = statistic_values(self.imputed.select(tasks=[task]), statistic, self.options(), n_bootstrap=0)
                shown = {row.label for row in self.rows_of(task)}
                found[task] = [v for v in values if v.method in shown]
        return found

    def check_tasks(self) -> None:
        """Raise if no task is left.

        Raises
        ------
        InputError
        """
        if not self.imputed.table.tasks:
            raise InputError(
                f"no task of suite {self.suite.name} is left to compare methods on"
                + (": trials failed on each; choose another --impute" if self.dropped_tasks else "")
            )


def make_leaderboard(
    trials: CountedTrials,
    suite: SuiteFacts,
    *,
    preset: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    tasks: Iterable[str] = (),
    methods: Iterable[str] = (),
    imputation: str = "baseline",
    keep: Callable[[Cell], bool] | None = None,
    conditions: Conditions | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
) -> Leaderboard:
    """Return the leaderboard under the requested conditions, by default the newest results'.

    Parameters
    ----------
    trials : CountedTrials
        Trials of the suite, under any conditions.
    preset, device, threads, tasks, methods, keep, conditions : optional
        See `comparability.choose`.
    imputation : str
        See `imputation.impute`; "baseline=NAME" names a method of this leaderboard.
    n_bootstrap : int
        Resamples of the tasks behind the interval of a mean rank.

    Raises
    ------
    InputError
        If the imputation is unknown.
    UnknownNameError
        If the baseline method has no results on this leaderboard.
    """
    check_policy(imputation)
    found = choose(
        trials,
        suite,
        preset=preset,
        device=device,
        threads=threads,
        tasks=tasks,
        methods=methods,
        keep=keep,
        conditions=conditions,
    )
    return rank_comparable(found, suite, imputation=imputation, n_bootstrap=n_bootstrap)


def rank_comparable(
    found: Comparable, suite: SuiteFacts, *, imputation: str = "baseline", n_bootstrap: int = N_BOOTSTRAP
) -> Leaderboard:
    """Return the leaderboard of comparable results; parameters as for `make_leaderboard`."""
    check_policy(imputation)
    imputed = _imputed(found, suite, imputation)
    board = Leaderboard(
        suite=suite,
        conditions=found.conditions,
        rows=[],
        imputed=imputed,
        measured=found.table,
        imputation=imputation,
        all_tasks=found.tasks,
        fingerprints=dict(found.fingerprints),
        hardware=list(found.hardware),
        left_out=list(found.left_out),
        notes=[*found.notes, *imputed.notes],
        n_left_out=found.n_left_out,
        unprepared=list(found.unprepared),
    )
    if found.conditions is None:
        return board
    for (_, task), cell in found.cells.items():
        if cell.metric:
            board.metrics.setdefault(task, cell.metric)
        if cell.unit == FOLD:
            board.trial_units[task] = FOLD
    numbers = CellNumbers.of(found.table if imputed.dropped_tasks else imputed.table)
    task_rows = _task_rows(found, numbers, imputed.unranked)
    board.notes += _all_failed(imputed)
    board.notes += _dropped(found, imputed.dropped_tasks)
    board.rows = [*_suite_rows(board, numbers, task_rows, n_bootstrap), *(r for own in task_rows.values() for r in own)]
    return board


def _imputed(found: Comparable, suite: SuiteFacts, imputation: str) -> ImputedTable:
    return impute(
        found.table,
        imputation,
        everyone=found.everyone,
        frozen=suite.baselines(),
        baselines=_baselines(found, suite, imputation),
    )


def _baselines(found: Comparable, suite: SuiteFacts, imputation: str) -> list[str]:
    """Return the labels of the method whose scores are imputed, default parameters first."""
    cells = {c.label: c for c in found.everyones_cells.values() if c.n_ok}
    if imputation == "baseline":
        own = sorted(label for label, c in cells.items() if c.method == suite.baseline)
        return sorted(own, key=lambda label: label != suite.baseline)
    if not imputation.startswith((BASELINE_PREFIX, AMLB_PREFIX)) or found.conditions is None:
        return []
    name = imputation.partition("=")[2].strip()
    named = sorted(label for label, c in cells.items() if name in (label, c.method))
    if not named:
        raise UnknownNameError("method to impute with:", name, cells)
    if name in named:
        return [name]
    if len(named) > 1:
        raise InputError(f"{name!r} is on this leaderboard more than once; name one of {named}")
    return named


def _task_rows(found: Comparable, numbers: CellNumbers, unranked: Collection[str]) -> dict[str, list[Row]]:
    """Return the rows of each task, by rank."""
    row_of = {m: i for i, m in enumerate(numbers.methods)}
    column_of = {t: i for i, t in enumerate(numbers.tasks)}
    means = numbers.means.copy()
    means[[row_of[m] for m in unranked]] = np.nan
    place = ([row_of[label] for label, _ in found.cells], [column_of[task] for _, task in found.cells])
    of_cells = [
        values[place].tolist()
        for values in (
            numbers.means,
            numbers.ci95,
            numbers.n,
            numbers.is_over_trials,
            numbers.agree,
            numbers.n_imputed,
            numbers.n_units,
            numbers.seconds,
            tied_ranks(means),
        )
    ]
    by_task: dict[str, list[Row]] = {task: [] for task in numbers.tasks}
    for cell, *own in zip(found.cells.values(), *of_cells, strict=True):
        by_task[cell.task].append(_task_row(cell, *own))
    for rows in by_task.values():
        rows.sort(key=lambda r: (r.rank is None, r.rank or 0.0, r.label))
    return by_task


def _task_row(
    cell: Cell,
    mean: float,
    ci95: float,
    n: int,
    is_over_trials: bool,
    agree: bool,
    n_imputed: int,
    n_units: int,
    seconds: float,
    rank: float,
) -> Row:
    trial_unit = FOLD if cell.unit == FOLD else "seed"
    row = Row(
        method=cell.method,
        params=cell.params,
        task=cell.task,
        rank=_known(rank),
        n_ok=cell.n_ok,
        n_failed=cell.n_failed,
        n_declined=cell.n_declined,
        n_lost=cell.n_lost,
        n_remarked=cell.n_remarked,
        n_seeds=cell.n_ok + cell.n_failed,
        n_units=n_units,
        seconds=_known(seconds),
        n_shared=cell.n_shared,
        shared_seconds=cell.shared_seconds,
        iterations=cell.iterations,
        metric=cell.metric,
        transductive=cell.transductive,
        preset=cell.conditions.preset,
        device=cell.conditions.device,
        threads=cell.conditions.threads,
    )
    n_ok = cell.n_ok
    n_scores = n_ok + n_imputed
    if not n_scores:
        return row
    row.score, row.ci95 = mean, _known(ci95)
    row.n_tasks_ok, row.n_tasks_scored = int(n_ok > 0), 1
    row.n_imputed, row.imputed_share = n_imputed, n_imputed / n_scores
    if n_ok:
        row.unit, row.n = trial_unit if is_over_trials else cell.unit, n
        if row.unit:
            row.n_by_unit = {row.unit: n}
    if n_imputed:
        row.notes.append(f"{n_imputed} of {n_scores} {trial_unit}s failed and are imputed")
    elif n_ok == 1 and cell.unit != FOLD:
        row.notes.append("interval given this training: one seed")
    elif agree:
        row.notes.append(f"all {n_ok} {trial_unit}s give the same")
    return row


def _known(value: float) -> float | None:
    return None if value != value else value


def _suite_rows(
    board: Leaderboard, numbers: CellNumbers, task_rows: Mapping[str, Sequence[Row]], n_bootstrap: int
) -> list[Row]:
    names = board.imputed.table.tasks
    columns = [numbers.tasks.index(t) for t in names]
    zero, one = frozen_ends(names, board.suite.ends())
    scores = normalise(numbers.means[:, columns], zero, one)
    widths = numbers.ci95[:, columns] / (one - zero)
    by_method: dict[str, list[Row]] = {m: [] for m in numbers.methods}
    for task in names:
        for r in task_rows[task]:
            by_method[r.label].append(r)
    values = {v.method: v for v in board.values("rank", n_bootstrap=n_bootstrap)} if names else {}
    n_tasks = len(board.all_tasks) - len(board.dropped_tasks)
    # a suite file without ends has a reason; a published table cannot have any
    has_one_metric = not board.suite.baseline and len({board.metrics.get(t) for t in names}) == 1
    rows = []
    for i, label in enumerate(numbers.methods):
        own = by_method[label]
        if not own:
            continue
        row = _suite_row(
            own,
            dict(zip(names, zip(scores[i].tolist(), widths[i].tolist(), strict=True), strict=True)),
            n_tasks,
            has_one_metric=has_one_metric,
        )
        value = values.get(label)
        if value is not None:
            row.mean_rank, row.rank = value.value, value.rank
            row.mean_rank_low, row.mean_rank_high = value.low, value.high
            row.notes += [NOT_RANKED] if NOT_RANKED in value.notes else []
        rows.append(row)
    return sorted(rows, key=lambda r: (r.rank is None, r.rank or 0.0, r.label))


def _suite_row(
    own: Sequence[Row], normalised: Mapping[str, tuple[float, float]], n_tasks: int, *, has_one_metric: bool
) -> Row:
    row = Row(method=own[0].method, params=own[0].params, task=None, n_tasks=n_tasks)
    summed = ("n_ok", "n_failed", "n_declined", "n_lost", "n_remarked", "n_units", "n_imputed", "n_seeds", "n_shared")
    for name in summed:
        setattr(row, name, sum(getattr(r, name) for r in own))
    row.n_tasks_ok = sum(r.n_tasks_ok for r in own)
    row.n_tasks_scored = sum(r.score is not None for r in own)
    seconds = [r.seconds for r in own if r.seconds is not None]
    row.seconds = math.fsum(seconds) if seconds else None
    row.shared_seconds = math.fsum(r.shared_seconds for r in own)
    row.iterations = sum(r.iterations for r in own)
    row.imputed_share = row.n_imputed / row.n_seeds if row.n_seeds else 0.0
    row.transductive = any(r.transductive for r in own)
    row.preset, row.device, row.threads = own[0].preset, own[0].device, own[0].threads
    scored = [(r, normalised[r.task or ""]) for r in own if not math.isnan(normalised[r.task or ""][0])]
    if scored:
        row.metric = "normalised score"
        row.score = math.fsum(score for _, (score, _) in scored) / len(scored)
        # tasks are fixed, not sampled: the tasks' own intervals are propagated
        width = math.sqrt(math.fsum(half * half for _, (_, half) in scored)) / len(scored)
        row.ci95 = _known(width)
        counts: Counter[str] = Counter()
        for r, _ in scored:
            counts.update(r.n_by_unit)
        row.n_by_unit = dict(sorted(counts.items()))
        row.unit = next(iter(counts)) if len(counts) == 1 else "mixed" if counts else ""
        row.n = counts.total()
    elif has_one_metric and row.n_tasks_scored == n_tasks:
        # without ends there is no common scale; one metric on all tasks is one
        row.metric = own[0].metric
        row.score = math.fsum(r.score for r in own if r.score is not None) / n_tasks
        halves = [r.ci95 for r in own if r.ci95 is not None]
        row.ci95 = math.sqrt(math.fsum(h * h for h in halves)) / n_tasks if len(halves) == n_tasks else None
    if row.n_declined:
        row.notes.append(f"{row.n_tasks_scored}/{n_tasks} tasks, the others declined")
    elif row.n_tasks_scored < n_tasks:
        row.notes.append(f"{row.n_tasks_scored}/{n_tasks} tasks")
    if row.n_imputed:
        row.notes.append(f"{row.imputed_share:.0%} imputed")
    return row


def _all_failed(imputed: ImputedTable) -> list[str]:
    names = sorted(imputed.unranked)
    return [f"not ranked, since every trial failed: {listed(names)}"] if names else []


def _dropped(found: Comparable, dropped: Sequence[str]) -> list[str]:
    failed: dict[str, set[str]] = {task: set() for task in dropped}
    for (label, task), cell in found.cells.items():
        if cell.n_failed and task in failed:
            failed[task].add(label)
    return [
        f"drop-task: {task} is not part of the whole suite's numbers, since trials of these failed there: "
        + listed(sorted(methods))
        for task, methods in failed.items()
    ]
