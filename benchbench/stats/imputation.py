"""Imputation of failed trials: chosen when results are shown, never stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchbench.errors import InputError, UnknownNameError, suggest
from benchbench.stats.labels import listed
from benchbench.stats.table import FloatArray, ScoreTable, TrialState

__all__ = ["AMLB_PREFIX", "BASELINE_PREFIX", "POLICIES", "ImputedTable", "check_policy", "impute"]

POLICIES = ("baseline", "worst", "none", "drop-task")
BASELINE_PREFIX = "baseline="
"""Prefix of a policy that imputes the scores of the named method."""
AMLB_PREFIX = "amlb="
"""Prefix of AMLB's policy: the named method's score on the same fold, and nothing for a method
without any score on a task (Gijsbers et al. 2019, arXiv:1907.00909).
"""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ImputedTable:
    """A table of scores in which failures were imputed by a policy.

    Parameters
    ----------
    table : ScoreTable
        Imputed cells have a score and keep their state.
    imputed : (M, T, U) bool
        Which cells were imputed.
    dropped_tasks : tuple of str
        Tasks that the policy removed from the table.
    policy : str
    fills : mapping of task to float or None
        Score that stands for a failed trial of the task; None: nothing does.
    unranked : frozenset of str
        Labels of the methods whose every trial failed: with nothing but imputed scores they are not
        ranked, neither over tasks nor on one, and the others are ranked without them.
    notes : tuple of str
        Where the imputation differs from what the policy's name says.
    """

    table: ScoreTable
    imputed: NDArray[np.bool_]
    dropped_tasks: tuple[str, ...] = ()
    policy: str = "none"
    fills: Mapping[str, float | None] = field(default_factory=dict)
    unranked: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def shares(self) -> FloatArray:
        """Return the (M,) share of imputed scores per method; 0 for one without scores."""
        n_scores = (~np.isnan(self.table.scores)).sum(axis=(1, 2))
        return np.asarray(self.imputed.sum(axis=(1, 2)) / np.maximum(n_scores, 1), dtype=np.float64)

    def ranked(self) -> ScoreTable:
        """Return the table of the methods that are ranked."""
        if self.unranked.isdisjoint(self.table.methods):
            return self.table
        return self.table.select(methods=[m for m in self.table.methods if m not in self.unranked])

    def select(self, methods: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> ImputedTable:
        """Return the table of these methods and tasks, in that order; None: all.

        Raises
        ------
        UnknownNameError
        """
        part = self.table.select(methods, tasks)
        if part is self.table:
            return self
        imputed = self.imputed
        if methods is not None:
            row_of = {m: i for i, m in enumerate(self.table.methods)}
            imputed = imputed[[row_of[m] for m in part.methods]]
        if tasks is not None:
            column_of = {t: i for i, t in enumerate(self.table.tasks)}
            imputed = imputed[:, [column_of[t] for t in part.tasks]]
        return replace(self, table=part, imputed=imputed)


def check_policy(policy: str) -> None:
    """Raise unless `policy` is one of `POLICIES`, ``baseline=NAME`` or ``amlb=NAME``.

    Raises
    ------
    InputError
    """
    for prefix in (BASELINE_PREFIX, AMLB_PREFIX):
        if policy.startswith(prefix) and not policy.removeprefix(prefix).strip():
            raise InputError(f"--impute {prefix} names no method; expected {prefix}NAME")
    if policy not in POLICIES and not policy.startswith((BASELINE_PREFIX, AMLB_PREFIX)):
        raise InputError(
            f"unknown imputation {policy!r}; expected {', '.join(POLICIES)}, {BASELINE_PREFIX}NAME or"
            f" {AMLB_PREFIX}NAME{suggest(policy, POLICIES)}"
        )


def impute(
    table: ScoreTable,
    policy: str,
    *,
    everyone: ScoreTable | None = None,
    frozen: Mapping[str, float] | None = None,
    baselines: Sequence[str] = (),
    per_unit: bool = False,
    absent: bool = False,
    whole_tasks: bool = True,
) -> ImputedTable:
    """Impute the scores of failed trials, or drop their tasks.

    A successful trial is never changed, and a declined one never imputed.

    Parameters
    ----------
    table : ScoreTable
    policy : str
        "none": nothing is imputed. "worst": the lowest mean of any method on the task. "baseline":
        the frozen score of the task; where there is none, the mean of the baseline method on the
        task. "baseline=NAME": the mean of that method on the task. "drop-task": tasks on which any
        method failed are left out for all. "amlb=NAME": as "baseline=NAME", with `per_unit` and
        without `whole_tasks`. Where a baseline has no score on a task, the lowest mean
        is imputed, with a note.
    everyone : ScoreTable, optional
        All methods of the leaderboard, if `table` holds only some of them: imputed scores must not
        depend on which methods are shown.
    frozen : mapping of task to score, optional
        Baseline scores of the suite file.
    baselines : sequence of str
        Labels of the baseline method, the preferred one first; with "baseline=NAME" labels of that
        method.
    per_unit : bool
        Impute the baseline method's score on the same unit (fold) where it has one, as AMLB does,
        rather than its mean.
    absent : bool
        Also impute (or drop) units that were never run. A unit that no method has on a task stays
        absent.
    whole_tasks : bool
        Whether to impute also for a method without any score on a task; AMLB's tables of 2019 do
        not.

    Raises
    ------
    InputError
        If the policy is unknown.
    UnknownNameError
        If no method has a baseline's label.
    """
    check_policy(policy)
    if policy.startswith(AMLB_PREFIX):
        per_unit, whole_tasks, frozen = True, False, {}
    source = table if everyone is None else everyone
    for label in baselines:
        if label not in source.methods and not frozen:
            raise UnknownNameError("method to impute with:", label, source.methods)
    gaps = _gaps(table, absent=absent, whole_tasks=whole_tasks)
    nothing = np.zeros(table.shape, dtype=np.bool_)
    if policy == "none":
        return ImputedTable(table=table, imputed=nothing, policy=policy, fills=dict.fromkeys(table.tasks))
    if policy == "drop-task":
        hit = _on_tasks(gaps)
        kept = table.select(tasks=[t for t, is_hit in zip(table.tasks, hit, strict=True) if not is_hit])
        return ImputedTable(
            table=kept,
            imputed=np.zeros(kept.shape, dtype=np.bool_),
            dropped_tasks=tuple(t for t, is_hit in zip(table.tasks, hit, strict=True) if is_hit),
            policy=policy,
            fills=dict.fromkeys(table.tasks),
        )
    fills, reasons = _fills(source, policy, frozen or {}, [b for b in baselines if b in source.methods])
    column = dict(zip(source.tasks, fills.tolist(), strict=True))
    of_tasks = np.array([column.get(task, np.nan) for task in table.tasks])
    values = np.broadcast_to(of_tasks[None, :, None], table.shape)
    if per_unit and baselines and policy != "worst":
        values = _by_unit(table, baselines[0], frozen or {}, values)
    is_filled = gaps & ~np.isnan(values)
    if is_filled.any():
        table = replace(table, scores=np.where(is_filled, values, table.scores))
    told: dict[str, list[str]] = defaultdict(list)
    for task, is_hit in zip(table.tasks, _on_tasks(gaps), strict=True):
        if is_hit and task in reasons:
            told[reasons[task]].append(task)
    has_own = (~np.isnan(table.scores) & ~is_filled).any(axis=(1, 2))
    unranked = is_filled.any(axis=(1, 2)) & ~has_own
    return ImputedTable(
        table=table,
        imputed=is_filled,
        unranked=frozenset(m for m, one in zip(table.methods, unranked.tolist(), strict=True) if one),
        policy=policy,
        fills={t: None if np.isnan(fill) else float(fill) for t, fill in zip(table.tasks, of_tasks, strict=True)},
        notes=tuple(f"{reason} on {listed(tasks)}" for reason, tasks in told.items()),
    )


def _fills(
    source: ScoreTable, policy: str, frozen: Mapping[str, float], baselines: Sequence[str]
) -> tuple[FloatArray, dict[str, str]]:
    """Return the score to impute per (T,) task, and why where it differs from the policy's name."""
    means = source.task_means()
    lowest = np.fmin.reduce(means, axis=0, initial=np.nan)
    if policy == "worst":
        return lowest, {}
    rows = [source.methods.index(label) for label in baselines]
    own = np.full(len(source.tasks), np.nan)
    if rows:
        own = np.fmin.reduce(means[rows], axis=0)
        own = np.where(np.isnan(means[rows[0]]), own, means[rows[0]])
    reasons: dict[str, str] = {}
    is_named = policy.startswith((BASELINE_PREFIX, AMLB_PREFIX))
    known = np.array([np.nan if is_named else frozen.get(task, np.nan) for task in source.tasks])
    values = np.where(np.isnan(known), own, known)
    for task, from_file, value in zip(source.tasks, known, values, strict=True):
        if np.isnan(value) and is_named:
            reasons[task] = f"no score of {baselines[0]}: the lowest mean is imputed for failures"
        elif np.isnan(value):
            reasons[task] = "no baseline score: the lowest mean is imputed for failures"
        elif np.isnan(from_file) and not is_named:
            reasons[task] = f"no frozen baseline score: the mean of {baselines[0]} is imputed for failures"
    return np.where(np.isnan(values), lowest, values), reasons


def _by_unit(table: ScoreTable, baseline: str, frozen: Mapping[str, float], values: FloatArray) -> FloatArray:
    if baseline not in table.methods:
        return values
    own = table.scores[table.methods.index(baseline)][None]
    is_measured = ~np.isnan(own) & np.array([task not in frozen for task in table.tasks])[None, :, None]
    return np.where(is_measured, own, values)


def _gaps(table: ScoreTable, *, absent: bool, whole_tasks: bool) -> NDArray[np.bool_]:
    gaps: NDArray[np.bool_] = table.states == TrialState.FAILED
    if absent:
        is_run = (table.states != TrialState.ABSENT).any(axis=0)
        gaps = gaps | ((table.states == TrialState.ABSENT) & is_run)
    if not whole_tasks:
        has_score = np.asarray((~np.isnan(table.scores)).any(axis=2))
        gaps = gaps & has_score[:, :, None]
    return gaps & np.isnan(table.scores)


def _on_tasks(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cells.any(axis=(0, 2)))
