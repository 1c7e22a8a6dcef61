"""Score against cost: which methods no other one beats on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchbench.stats.labels import params_of
from benchbench.stats.leaderboard import Board, Row, SuiteFacts, TaskFacts

__all__ = ["CostPanel", "CostPoint", "cost_panels", "front"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """A method's score with the half-width of its 95 % interval, and its timed seconds (meta-training and test).

    `is_comparable` is false where it lacks tasks that others have; such a point is never on the front.
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
    is_transductive: bool = False
    is_shared: bool = False
    is_imputed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPanel:
    """The methods of one task, or of the whole suite (`task` is None), by score."""

    task: str | None
    metric: str
    points: tuple[CostPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"points": [asdict(one) | {"params": params_of(one.params)} for one in self.points]}


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points (cost, score) that no other one dominates, by rising cost.

    A point dominates another if it costs no more, scores no less, and is better in one of the two.
    """
    found: list[int] = []
    best = -math.inf
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        cost, score = points[i]
        if score > best or (found and (cost, score) == points[found[-1]]):
            found.append(i)
            best = score
    return found


def cost_panels(board: Board, suite: SuiteFacts) -> list[CostPanel]:
    """Return the panel of the whole suite, if it has one, and then one a task."""
    rows = [r for r in board.rows if r.task is not None and r.score is not None and r.seconds is not None]
    names = list(dict.fromkeys(r.task for r in rows))
    panels = []
    for name in names:
        own = [r for r in rows if r.task == name]
        panels.append(_panel(name, own[0].metric, [(r, r.score, r.ci95, True) for r in own]))
    whole = _whole_suite(board, rows, suite)
    return [whole, *panels] if whole is not None else panels


_Measured = tuple[Row, float | None, float | None, bool]


def _panel(task: str | None, metric: str, measured: Sequence[_Measured]) -> CostPanel:
    fair = [m for m in measured if m[3]]
    best = {id(fair[i][0]) for i in front([(row.seconds or 0.0, score or 0.0) for row, score, _, _ in fair])}
    points = [
        CostPoint(
            method=row.method,
            params=row.params,
            label=row.label,
            seconds=row.seconds or 0.0,
            score=score or 0.0,
            ci95=ci95,
            unit=row.unit,
            n=row.n,
            is_on_front=id(row) in best,
            is_comparable=is_comparable,
            is_transductive=row.transductive,
            is_shared=row.n_shared > 0,
            is_imputed=row.n_imputed > 0,
        )
        for row, score, ci95, is_comparable in measured
    ]
    return CostPanel(task=task, metric=metric, points=tuple(sorted(points, key=lambda p: (-p.score, p.label))))


def _whole_suite(board: Board, rows: Sequence[Row], suite: SuiteFacts) -> CostPanel | None:
    """Return the mean over tasks against all seconds: of normalised scores, or of the plain ones where all have one metric.

    There is none of a single task, nor where tasks have different metrics and no frozen ends.
    """
    names = {r.task for r in rows}
    facts = {t.name: t for t in suite.tasks if t.name in names}
    metrics = {r.metric for r in rows}
    is_normalised = all(t.width for t in facts.values())
    if len(names) < 2 or not (is_normalised or len(metrics) == 1):
        return None
    measured: list[_Measured] = []
    for row in (r for r in board.rows if r.task is None and r.seconds is not None):
        own = [r for r in rows if (r.method, r.params) == (row.method, row.params)]
        if not own:
            continue
        parts = [_scaled(r, facts[r.task or ""] if is_normalised else None) for r in own]
        widths = [w for _, w in parts if w is not None]
        score = math.fsum(s for s, _ in parts) / len(parts)
        # tasks are fixed, not sampled: the interval is the tasks' own, propagated
        ci95 = math.hypot(*widths) / len(parts) if len(widths) == len(parts) else None
        measured.append((row, score, ci95, len(own) == len(names)))
    metric = "mean normalised score" if is_normalised else f"mean {metrics.pop()}"
    return _panel(None, metric, measured)


def _scaled(row: Row, task: TaskFacts | None) -> tuple[float, float | None]:
    """Return score and half-width, on the scale from baseline to reference if `task` gives one."""
    plain = row.score or 0.0, row.ci95
    return plain if task is None else task.normalised(*plain) or plain
