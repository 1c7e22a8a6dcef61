"""A task: what is known of it, how hard it is, and how well it distinguishes methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable
from benchbench.dashboard.theme import ACCENT, GREY, marks, styled
from benchbench.dashboard.views.common import clock, metric_label, number
from benchbench.stats.labels import plural
from benchbench.stats.ranks import tied_ranks
from benchbench.stats.table import TrialState

if TYPE_CHECKING:
    from benchbench.dashboard.data import BoardData

__all__ = ["Difficulty", "data_table", "difficulty", "difficulty_rows", "facts_table", "score_figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """How hard a task is for the methods of the leaderboard, and how well it distinguishes them.

    Parameters
    ----------
    n_methods : int
        With a score.
    best, median : float or None
        Scores, means over seeds.
    spread : float
        Standard deviation of the scores between methods.
    noise : float or None
        Median over methods of the standard deviation between seeds; None with one seed.
    above_baseline : float or None
        Share of the methods that score above the frozen baseline.
    agreement : float or None
        Kendall's tau between the order of the methods here and by their mean rank on the other
        tasks. None with fewer than three methods or two tasks.
    failed : float
        Share of trials that failed, of those that were not declined.
    """

    n_methods: int
    best: float | None
    median: float | None
    spread: float | None
    noise: float | None
    above_baseline: float | None
    agreement: float | None
    failed: float


def difficulty(data: BoardData, task: str) -> Difficulty:
    """Return how hard the task is; of what was measured alone, nothing imputed."""
    table = data.table
    t = table.tasks.index(task)
    means = table.task_scores()
    own = means[:, t]
    present = own[~np.isnan(own)]
    units = table.scores[:, t]
    several = (~np.isnan(units)).sum(axis=1) > 1
    noise = [float(np.nanstd(row, ddof=1)) for row in units[several]]
    frozen = next((s.baseline_score for s in data.suite.spec.tasks if s.name == task), None)
    states = table.states[:, t]
    n_run = int(((states == TrialState.OK) | (states == TrialState.FAILED)).sum())
    return Difficulty(
        n_methods=len(present),
        best=float(present.max()) if len(present) else None,
        median=float(np.median(present)) if len(present) else None,
        spread=float(present.std(ddof=1)) if len(present) > 1 else None,
        noise=float(np.median(noise)) if noise else None,
        above_baseline=float((present > frozen).mean()) if frozen is not None and len(present) else None,
        agreement=_agreement(means, t),
        failed=int((states == TrialState.FAILED).sum()) / n_run if n_run else 0.0,
    )


def _agreement(means: Any, t: int) -> float | None:
    from scipy.stats import kendalltau

    others = np.delete(means, t, axis=1)
    both = ~np.isnan(means[:, t]) & (~np.isnan(others)).any(axis=1)
    if both.sum() < 3 or others.shape[1] < 1:
        return None
    ranks = tied_ranks(others[both])
    overall = np.nanmean(ranks, axis=1)
    here = tied_ranks(means[both, t][:, None])[:, 0]
    if len(set(here)) < 2 or len(set(overall)) < 2:
        return None
    return float(kendalltau(here, overall).statistic)


def difficulty_rows(found: Difficulty) -> list[tuple[str, str, str]]:
    """Return label, value and explanation of each figure, for the page's tiles."""
    ratio = found.spread / found.noise if found.spread is not None and found.noise else None
    return [
        (
            "Best score",
            number(found.best, 4),
            f"Of {plural(found.n_methods, 'method')}; median {number(found.median, 4)}",
        ),
        (
            "Above the baseline",
            "—" if found.above_baseline is None else f"{100 * found.above_baseline:.0f} %",
            "Share of the methods that score above the suite's frozen baseline",
        ),
        (
            "Spread / noise",
            "—" if ratio is None else f"{ratio:.1f}",
            f"Standard deviation between methods ({number(found.spread, 4)}) over the median one between seeds"
            f" ({number(found.noise, 4)}): the higher, the better the task distinguishes methods",
        ),
        (
            "Agreement",
            number(found.agreement, 2),
            "Kendall's tau between the order of the methods here and on the suite's other tasks: 1 same, 0 unrelated",
        ),
        ("Failed", f"{100 * found.failed:.0f} %", "Share of trials that failed, declined ones not counted"),
    ]


def facts_table(data: BoardData, task: str) -> HtmlTable:
    """Return what the suite's file and the results say of the task."""
    spec = next((s for s in data.suite.spec.tasks if s.name == task), None)
    rows = [
        ("Suite", f"{data.suite.spec.title} ({data.suite.spec.name} {data.suite.spec.version})"),
        ("Metric", metric_label(data.metrics.get(task, ""))),
        ("Fingerprint of the data", data.board.fingerprints.get(task, "not on this leaderboard")),
    ]
    if spec is not None and spec.loader:
        rows.append(("Loader", spec.loader))
        rows += [(f"Option {name}", str(value)) for name, value in sorted(spec.options.items())]
        rows.append((f"Baseline ({data.suite.spec.scores.baseline})", number(spec.baseline_score, 4)))
        rows.append((f"Reference ({data.suite.spec.scores.reference})", number(spec.reference_score, 4)))
    return HtmlTable(
        caption=f"What is known of {task}",
        columns=[HtmlColumn("Property"), HtmlColumn("Value")],
        rows=[[HtmlCell(name), HtmlCell(value)] for name, value in rows],
    )


def data_table(rows: Sequence[Mapping[str, Any]], task: str) -> HtmlTable:
    """Return the data that results of the task were met with, the newest first."""
    table = HtmlTable(
        caption="Data and protocols with results; a leaderboard holds only equal ones",
        columns=[
            HtmlColumn("Fingerprint"),
            HtmlColumn("Suite version", is_wide=True),
            HtmlColumn("Protocol", is_wide=True),
            HtmlColumn("Attempts", is_number=True),
            HtmlColumn("Methods", is_number=True),
            HtmlColumn("First", is_wide=True),
            HtmlColumn("Newest"),
        ],
    )
    for r in rows:
        if r["task"] == task:
            table.rows.append(
                [
                    HtmlCell(r["task_fingerprint"] or "unknown"),
                    HtmlCell(r["suite_version"]),
                    HtmlCell(r["protocol_version"]),
                    HtmlCell(f"{r['n_attempts']:,}"),
                    HtmlCell(f"{r['n_methods']:,}"),
                    HtmlCell(clock(r["first"])),
                    HtmlCell(clock(r["newest"])),
                ]
            )
    return table


def score_figure(data: BoardData, task: str) -> Any:
    """Draw every seed's score of every method, with their means and the frozen ends."""
    import plotly.graph_objects as go

    table = data.table
    t = table.tasks.index(task)
    rows = [r for r in data.board.rows if r.task == task and r.n_ok]
    order = [r.label for r in rows]
    mark = marks(data.methods)
    figure = go.Figure()
    spec = next((s for s in data.suite.spec.tasks if s.name == task), None)
    ends = [] if spec is None else [("baseline", spec.baseline_score), ("reference", spec.reference_score)]
    known = sorted((value, name) for name, value in ends if value is not None)
    for side, (value, name) in zip(("top left", "top right"), known, strict=False):
        figure.add_vline(
            value,
            line_width=1,
            line_dash="dash",
            line_color=GREY,
            annotation_text=name,
            annotation_position=side,
            annotation_font_size=11,
        )
    for row in rows:
        values = table.scores[table.methods.index(row.label), t]
        kept = [(table.units[u], float(v)) for u, v in enumerate(values) if not np.isnan(v)]
        figure.add_scatter(
            x=[v for _, v in kept],
            y=[row.label] * len(kept),
            mode="markers",
            marker={"color": mark[row.label].colour, "symbol": "circle-open", "size": 8},
            customdata=[u for u, _ in kept],
            hovertemplate="%{y}<br>seed %{customdata}: %{x:.4f}<extra></extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[sum(v for _, v in kept) / len(kept)],
            y=[row.label],
            mode="markers",
            marker={"color": ACCENT, "symbol": "line-ns-open", "size": 18, "line": {"width": 3}},
            hovertemplate="%{y}<br>mean %{x:.4f}<extra></extra>",
            showlegend=False,
        )
    figure.update_yaxes(categoryorder="array", categoryarray=list(reversed(order)))
    return styled(
        figure,
        height=130 + 28 * max(len(order), 3),
        x=f"{metric_label(data.metrics.get(task, ''))}, higher is better",
        legend=False,
    )
