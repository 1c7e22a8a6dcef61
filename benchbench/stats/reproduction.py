"""Measured accuracies compared with those that papers report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchbench.stats.leaderboard import Leaderboard, Row
from benchbench.stats.trials import Conditions

__all__ = ["Cited", "Comparison", "compare_with_papers", "largest_budgets"]


@dataclass(frozen=True, slots=True)
class Cited:
    """A method's paper and its reported accuracies in [0, 1], by task."""

    paper: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A method on a task: measured accuracy, its half-width, and the paper's accuracy.

    `difference_points` is measured minus published in percentage points; None if nothing was
    measured.
    """

    method: str
    task: str
    paper: str
    published: float
    score: float | None = None
    ci95: float | None = None
    difference_points: float | None = None
    unit: str = ""
    n: int = 0
    n_failed: int = 0
    is_transductive: bool = False
    is_shared: bool = False
    preset: str = ""
    iterations: int | None = None
    test_units: int | None = None
    seconds: float | None = None
    threads: int | None = None
    device: str = ""
    protocol_version: str = ""
    suite_version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def compare_with_papers(boards: Sequence[Leaderboard], cited: Mapping[str, Cited]) -> list[Comparison]:
    """Return one comparison per task and method with a published accuracy and any measurement.

    Parameters
    ----------
    boards : sequence of Leaderboard
        Without imputation. Give several, one per preset, to use the largest budget of each method
        and task.
    cited : mapping of method to Cited
        Published accuracies are for default parameters, so variants are never compared.
    """
    measured = largest_budgets(boards)
    tasks = list(dict.fromkeys(r.task for b in boards for r in b.rows if r.task is not None))
    met = {r.method for b in boards for r in b.rows if r.params == "{}"}
    found = []
    for method in (m for m in cited if m in met):
        for task in tasks:
            figure = cited[method].figures.get(task)
            if figure is not None:
                row, conditions = measured.get((method, task), (None, None))
                found.append(_comparison(method, task, cited[method].paper, figure, row, conditions))
    return found


def largest_budgets(boards: Sequence[Leaderboard]) -> dict[tuple[str, str], tuple[Row, Conditions]]:
    """Return the row with the most iterations, then test units, per method and task.

    Only default parameters count.
    """
    found: dict[tuple[str, str], tuple[Row, Conditions]] = {}
    for board in boards:
        for row in board.rows:
            if board.conditions is None or row.task is None or row.score is None or row.params != "{}":
                continue
            if row.metric != "accuracy":
                continue
            key = (row.method, row.task)
            if key not in found or _budget(row, board.conditions) > _budget(*found[key]):
                found[key] = (row, board.conditions)
    return found


def _budget(row: Row, conditions: Conditions) -> tuple[int, int]:
    return row.iterations, conditions.test_units


def _comparison(
    method: str, task: str, paper: str, figure: float, row: Row | None, conditions: Conditions | None
) -> Comparison:
    if row is None or row.score is None or conditions is None:
        return Comparison(method=method, task=task, paper=paper, published=figure)
    return Comparison(
        method=method,
        task=task,
        paper=paper,
        published=figure,
        score=row.score,
        ci95=row.ci95,
        difference_points=100 * (row.score - figure),
        unit=row.unit,
        n=row.n,
        n_failed=row.n_failed + row.n_lost,
        is_transductive=row.transductive,
        is_shared=row.n_shared > 0,
        preset=conditions.preset,
        iterations=row.iterations,
        test_units=conditions.test_units,
        seconds=row.seconds,
        threads=conditions.threads,
        device=conditions.device,
        protocol_version=conditions.protocol_version,
        suite_version=conditions.suite_version,
    )
