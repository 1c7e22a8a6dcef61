"""Score against cost as tables and records: what the figure shows, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchbench.reports.report import Column, Sheet
from benchbench.stats.labels import params_of, plural

if TYPE_CHECKING:
    from benchbench.stats.frontier import CostPanel, CostPoint

__all__ = ["cost_records", "cost_sheet", "front_words"]

COLUMNS = (
    Column("name", "method"),
    Column("score", "score", "number", 4),
    Column("ci95", "± 95 %", "number", 4),
    Column("seconds", "seconds", "seconds"),
    Column("front", "front"),
    Column("imputed_share", "imputed", "share"),
)


def front_words(point: CostPoint) -> str:
    """Return where a point stands: on the front, beaten, or outside it and why."""
    if not point.is_comparable:
        return "lacks tasks"
    if point.n_failed_tasks:
        return f"failed on {plural(point.n_failed_tasks, 'task')}"
    return "on the front" if point.is_on_front else "beaten"


def cost_sheet(panel: CostPanel) -> Sheet:
    """Return the points of a panel as a table, best score first."""
    return Sheet(
        title=f"{panel.name}: {panel.metric.replace('_', ' ')} and cost",
        task=panel.task,
        columns=COLUMNS,
        rows=[
            {
                "name": p.marked_label,
                "label": p.label,
                "method": p.method,
                "score": p.score,
                "ci95": p.ci95,
                "seconds": p.seconds,
                "front": front_words(p),
                "imputed_share": p.imputed_share,
            }
            for p in panel.points
        ],
        notes=[f"not drawn: {line}" for line in panel.left_out],
    )


def cost_records(panels: Sequence[CostPanel]) -> list[dict[str, Any]]:
    """Return all points of all panels as plain data, unrounded."""
    return [
        {
            "panel": panel.name,
            "task": panel.task,
            "metric": panel.metric,
            "method": p.method,
            "params": params_of(p.params),
            "label": p.label,
            "score": p.score,
            "ci95": p.ci95,
            "interval_over": p.unit,
            "n": p.n,
            "seconds": p.seconds,
            "on_front": p.is_on_front,
            "comparable": p.is_comparable,
            "n_failed_tasks": p.n_failed_tasks,
            "imputed_share": p.imputed_share,
        }
        for panel in panels
        for p in panel.points
    ]
