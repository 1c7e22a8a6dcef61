"""Score against cost: the methods that no other method dominates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchbench.stats.labels import params_of, share_text
from benchbench.stats.leaderboard import Leaderboard, Row
from benchbench.stats.scales import normalise_one

__all__ = ["COMMON_TASKS", "CostPanel", "CostPoint", "cost_panels", "front"]

COMMON_TASKS = "common tasks"
"""Name of the panel over the tasks on which every method has a score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """A method's score, the half-width of its 95 % interval, and its timed seconds.

    Seconds are of meta-training and test. `is_comparable` is False if the method lacks tasks that
    others have. `n_failed_tasks` counts the tasks on which every trial failed: their score is
    imputed and their cost unknown. Such points are never on the front.
    """

    method: str
    params: str
    label: str
    seconds: float
    score: float
    ci95: float | None
    unit: str
    n: int
    is_on_front: bool
    is_comparable: bool = True
    n_failed_tasks: int = 0
    imputed_share: float = 0.0
    is_transductive: bool = False
    is_shared: bool = False

    @property
    def is_imputed(self) -> bool:
        """Whether part of the score is imputed."""
        return self.imputed_share > 0

    @property
    def marked_label(self) -> str:
        """The label with its marks: (t) transductive, (s) training shared, (i 33%) imputed."""
        marks = ["t"] if self.is_transductive else []
        marks += ["s"] if self.is_shared else []
        marks += [f"i {share_text(self.imputed_share)}"] if self.is_imputed else []
        return f"{self.label} ({', '.join(marks)})" if marks else self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPanel:
    """The methods of one task, of the whole suite or of the common tasks, by score.

    `task` is None unless the panel is of one task. `tasks` are those behind scores and seconds;
    `left_out` names the methods without a point, with reasons.
    """

    task: str | None
    metric: str
    points: tuple[CostPoint, ...]
    tasks: tuple[str, ...] = ()
    is_common: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the panel's task or tasks."""
        return self.task or (COMMON_TASKS if self.is_common else "whole suite")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        points = [asdict(one) | {"params": params_of(one.params), "is_imputed": one.is_imputed} for one in self.points]
        return asdict(self) | {"name": self.name, "points": points}


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the non-dominated points (cost, score), by rising cost.

    A point dominates another if it is no worse in cost and in score, and better in one of them.
    """
    found: list[int] = []
    best = -math.inf
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        cost, score = points[i]
        if score > best or (found and (cost, score) == points[found[-1]]):
            found.append(i)
            best = score
    return found


def cost_panels(board: Leaderboard) -> list[CostPanel]:
    """Return the panels of the whole suite and of the common tasks, if any, then one per task.

    Scores are those of the leaderboard, imputed ones included. Methods without seconds have no
    point.
    """
    panels = []
    for name in board.imputed.table.tasks:
        own = [r for r in board.rows_of(name) if r.score is not None]
        timed = [r for r in own if r.seconds is not None]
        if timed:
            metric = board.metrics.get(name, "")
            panels.append(
                _panel(
                    [(r, r.score or 0.0, r.ci95, r.seconds or 0.0, True, 0, r.imputed_share) for r in timed],
                    task=name,
                    metric=metric,
                    tasks=(name,),
                    left_out=_without_seconds(own),
                )
            )
    return [*_over_tasks(board), *panels]


_Measured = tuple[Row, float, float | None, float, bool, int, float]


def _panel(
    measured: Sequence[_Measured],
    *,
    task: str | None,
    metric: str,
    tasks: tuple[str, ...],
    left_out: tuple[str, ...],
    is_common: bool = False,
) -> CostPanel:
    fair = [m for m in measured if m[4] and not m[5]]
    best = {id(fair[i][0]) for i in front([(seconds, score) for _, score, _, seconds, *_ in fair])}
    points = [
        CostPoint(
            method=row.method,
            params=row.params,
            label=row.label,
            seconds=seconds,
            score=score,
            ci95=ci95,
            unit=row.unit,
            n=row.n,
            is_on_front=id(row) in best,
            is_comparable=is_comparable,
            n_failed_tasks=n_failed,
            imputed_share=imputed_share,
            is_transductive=row.transductive,
            is_shared=row.n_shared > 0,
        )
        for row, score, ci95, seconds, is_comparable, n_failed, imputed_share in measured
    ]
    return CostPanel(
        task=task,
        metric=metric,
        points=tuple(sorted(points, key=lambda p: (-p.score, p.label))),
        tasks=tasks,
        is_common=is_common,
        left_out=left_out,
    )


def _without_seconds(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(f"{r.label}: {_why_no_cost([r])}" for r in rows if r.seconds is None)


def _why_no_cost(rows: Sequence[Row]) -> str:
    """Return why a method with these rows that have a score has no seconds."""
    if any(r.n_ok for r in rows):
        return "no seconds were recorded"
    return f"{'every trial failed' if rows else 'no score'}, its cost is unknown"


def _over_tasks(board: Leaderboard) -> list[CostPanel]:
    """Return the panels of mean scores over tasks against total seconds of the tasks.

    Means are of normalised scores, or of plain ones if all tasks have the same metric. There is no
    panel for a single task, nor for tasks with different metrics and no frozen ends.
    """
    names = board.imputed.table.tasks
    ends = board.suite.ends()
    rows: dict[tuple[str, str | None], Row] = {
        (r.label, r.task): r for r in board.rows if r.task in names and r.score is not None
    }
    with_rows = {task for _, task in rows}
    met = [t for t in names if t in with_rows]
    metrics = {board.metrics.get(t, "") for t in met}
    is_normalised = all(t in ends for t in met)
    if len(met) < 2 or not (is_normalised or len(metrics) == 1):
        return []
    metric = "mean normalised score" if is_normalised else f"mean {metrics.pop()}"
    scale = ends if is_normalised else {}
    found = [_whole(board, rows, met, scale, metric, is_common=False)]
    labels = [r.label for r in board.overall]
    common = [t for t in met if all((label, t) in rows for label in labels)]
    if len(common) < len(met) and common:
        found.append(_whole(board, rows, common, scale, metric, is_common=True))
    return [p for p in found if p.points]


def _whole(
    board: Leaderboard,
    rows: dict[tuple[str, str | None], Row],
    tasks: Sequence[str],
    ends: dict[str, tuple[float, float]],
    metric: str,
    *,
    is_common: bool,
) -> CostPanel:
    measured: list[_Measured] = []
    left_out = []
    for row in board.overall:
        own = [rows[row.label, t] for t in tasks if (row.label, t) in rows]
        seconds = [r.seconds for r in own if r.seconds is not None]
        if not seconds:
            left_out.append(f"{row.label}: {_why_no_cost(own)}")
            continue
        parts = [normalise_one(r.score or 0.0, r.ci95, ends.get(r.task or "")) for r in own]
        widths = [w for _, w in parts if w is not None]
        # tasks are fixed, not sampled: the tasks' own intervals are propagated
        ci95 = math.hypot(*widths) / len(parts) if len(widths) == len(parts) else None
        score = math.fsum(s for s, _ in parts) / len(parts)
        n_failed = sum(not r.n_ok for r in own)
        n_imputed, n_scores = sum(r.n_imputed for r in own), sum(r.n_ok + r.n_imputed for r in own)
        is_whole = len(own) == len(tasks)
        measured.append((row, score, ci95, math.fsum(seconds), is_whole, n_failed, n_imputed / max(n_scores, 1)))
    return _panel(measured, task=None, metric=metric, tasks=tuple(tasks), left_out=tuple(left_out), is_common=is_common)
