"""Curves over time or budget.

Validation score against time of training, or regret and rank of optimisers over the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable, link
from benchbench.dashboard.theme import GREY, log_axis, marks, rgba, styled
from benchbench.dashboard.views.common import metric_label, number, percent
from benchbench.errors import InputError
from benchbench.stats.anytime import AnytimeTable, Incumbents, anytime_table, band_ends
from benchbench.stats.labels import params_of

if TYPE_CHECKING:
    from benchbench.dashboard.data import BoardData
    from benchbench.stats.curves import CurvePanel
    from benchbench.stats.intervals import Estimate

__all__ = [
    "anytime",
    "anytime_figure",
    "anytime_records",
    "anytime_rows",
    "curve_figure",
    "curve_records",
    "has_curves",
]


def has_curves(panels: Sequence[CurvePanel]) -> bool:
    """Whether any method reported scores while it trained."""
    return any(line.points for panel in panels for line in panel.lines)


def curve_figure(panel: CurvePanel, labels: Sequence[str], *, log_x: bool, everybody: Sequence[str]) -> Any:
    """Draw the validation score with its band against seconds of meta-training.

    Each method's test score is at the end of its curve.

    Parameters
    ----------
    panel : CurvePanel
    labels : sequence of str
        Methods to draw.
    log_x : bool
    everybody : sequence of str
        All methods of the leaderboard, which fix the marks.
    """
    import plotly.graph_objects as go

    mark = marks(everybody)
    figure = go.Figure()
    lines = [line for line in panel.lines if line.label in labels]
    last = max((p.seconds for line in lines for p in line.points), default=1.0)
    first = min((p.seconds for line in lines for p in line.points if p.seconds > 0), default=last / 10)
    for line in lines:
        own = mark[line.label]
        if not line.points:
            if line.score is not None:
                _level(figure, line.label, line.score, line.score_ci95, first, last, own.colour)
            continue
        x, y = [p.seconds for p in line.points], [p.value for p in line.points]
        if line.unit:
            _band(figure, x, y, [p.ci95 or 0.0 for p in line.points], own.colour, line.label)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            name=line.label,
            legendgroup=line.label,
            line={"color": own.colour, "dash": own.dash, "width": 2},
            marker={"symbol": own.symbol, "size": 6},
            hovertemplate="%{fullData.name}<br>%{x:.1f} s: %{y:.4f} in validation<extra></extra>",
        )
        if line.score is not None:
            figure.add_scatter(
                x=[line.fit_seconds if line.fit_seconds is not None else x[-1]],
                y=[line.score],
                error_y={"type": "data", "array": [line.score_ci95 or 0.0], "color": own.colour, "thickness": 1.5},
                mode="markers",
                name=line.label,
                legendgroup=line.label,
                showlegend=False,
                marker={
                    "color": own.colour,
                    "symbol": own.symbol,
                    "size": 13,
                    "line": {"width": 1.5, "color": "white"},
                },
                hovertemplate="%{fullData.name}<br>test score %{y:.4f}<extra></extra>",
            )
    figure = styled(
        figure, height=460, x="seconds of meta-training", y=f"{metric_label(panel.metric)}, higher is better"
    )
    figure.update_xaxes(**(log_axis(first, last, " s") if log_x else {"type": "linear", "ticksuffix": " s"}))
    return figure


def _level(figure: Any, label: str, score: float, ci95: float | None, first: float, last: float, colour: str) -> None:
    text = number(score, 4) + ("" if ci95 is None else f" ± {number(ci95, 4)}")
    figure.add_scatter(
        x=[first, last],
        y=[score, score],
        mode="lines",
        name=f"{label} (no training)",
        line={"color": colour, "dash": "longdash", "width": 1.5},
        hovertemplate=f"%{{fullData.name}}: {text}<extra></extra>",
    )


def _band(figure: Any, x: Sequence[float], y: Sequence[float], half: Sequence[float], colour: str, group: str) -> None:
    upper = [v + h for v, h in zip(y, half, strict=True)]
    lower = [v - h for v, h in zip(y, half, strict=True)]
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*upper, *reversed(lower)],
        fill="toself",
        fillcolor=rgba(colour, 0.16),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=group,
        mode="lines",
    )


def curve_records(panels: Sequence[CurvePanel]) -> list[dict[str, Any]]:
    """Return every point of every curve, for a download."""
    return [
        {
            "task": panel.task,
            "metric": f"val_{panel.metric}",
            "method": line.method,
            "params": params_of(line.params),
            "step": p.step,
            "seconds": p.seconds,
            "value": p.value,
            "ci95": p.ci95,
            "interval_over": line.unit,
            "n_seeds": line.n_seeds,
        }
        for panel in panels
        for line in panel.lines
        for p in line.points
    ]


def anytime(
    data: BoardData, trials: Sequence[Incumbents], labels: Sequence[str], tasks: Sequence[str] = ()
) -> AnytimeTable:
    """Return the any-time comparison of the optimisers named.

    It covers the problems and seeds that all of them have.

    Raises
    ------
    InputError
        If nothing can be compared.
    """
    anchors = {
        t.name: (-t.reference_score, -t.baseline_score)
        for t in data.suite.spec.tasks
        if t.reference_score is not None and t.baseline_score is not None
    }
    own = [t for t in trials if t.label in labels and (not tasks or t.task in tasks)]
    try:
        return anytime_table(own, anchors, baseline=data.suite.spec.scores.baseline)
    except ValueError as error:
        raise InputError(f"nothing to compare: {error}") from error


def anytime_figure(found: AnytimeTable, what: str, *, log_x: bool, log_y: bool, everybody: Sequence[str]) -> Any:
    """Draw regret ("regret") or rank ("rank") over the budget, with bands over seeds."""
    import plotly.graph_objects as go

    mark = marks(everybody)
    figure = go.Figure()
    floor = 1e-8 if what == "regret" and log_y else None
    lowest, highest = (1.0, float(len(found.rows))) if what == "rank" else (floor or 0.0, 1.0)
    for row in found.rows:
        own = mark[row.label]
        x = [b.spent for b in row.curve]
        values: list[Estimate] = [getattr(b, what) for b in row.curve]
        y = [v.mean for v in values]
        if floor is not None:
            y = [max(v, floor) for v in y]
        ends = band_ends(values, lowest, highest)
        if ends is not None:
            lower, upper = ends
            if floor is not None:
                # a band may not reach below what a logarithmic axis can show
                lower = [max(low, v * 0.05) for low, v in zip(lower, y, strict=True)]
            figure.add_scatter(
                x=[*x, *reversed(x)],
                y=[*upper, *reversed(lower)],
                fill="toself",
                fillcolor=rgba(own.colour, 0.14),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=row.label,
                mode="lines",
            )
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            name=row.label,
            legendgroup=row.label,
            line={"color": own.colour, "dash": own.dash, "width": 2},
            marker={"symbol": own.symbol, "size": 6, "maxdisplayed": 12},
            hovertemplate="%{fullData.name}<br>%{x:g} evaluations: %{y:.3g}<extra></extra>",
        )
    is_rank = what == "rank"
    if is_rank:
        figure.add_hline((len(found.rows) + 1) / 2, line_width=1, line_dash="dot", line_color=GREY)
    figure = styled(
        figure,
        height=460,
        x="evaluations, weighted by fidelity",
        y="mean rank (1 = best)" if is_rank else "mean normalised regret (lower is better)",
    )
    figure.update_xaxes(**(log_axis(1.0, found.budget) if log_x else {"type": "linear"}))
    if is_rank:
        figure.update_yaxes(autorange="reversed")
    else:
        means = [b.regret.mean for row in found.rows for b in row.curve if b.regret.mean > 0]
        axis = log_axis(min(means, default=0.1) / 3, max(means, default=1.0)) if log_y else {"type": "linear"}
        figure.update_yaxes(**axis)
    return figure


def anytime_rows(found: AnytimeTable) -> HtmlTable:
    """Return the optimisers at the end of the budget."""

    def text(value: Estimate | None, digits: int) -> str:
        if value is None:
            return "—"
        return number(value.mean, digits) + ("" if value.ci95 is None else f" ± {number(value.ci95, digits)}")

    table = HtmlTable(
        caption=f"After {found.budget:g} evaluations, over {len(found.tasks)} problems and {len(found.seeds)} paired seeds",
        columns=[
            HtmlColumn("#", is_number=True),
            HtmlColumn("Method"),
            HtmlColumn("Mean rank", is_number=True),
            HtmlColumn("Regret", is_number=True, help="0 = best known loss, 1 = the baseline's median at the end"),
            HtmlColumn("Area", is_number=True, is_wide=True, help="Mean regret over the budget, at most 1"),
            HtmlColumn(
                "Wins", is_number=True, is_wide=True, help="Share of paired trials that end below the baseline's"
            ),
            HtmlColumn(
                "Reached", is_number=True, is_wide=True, help=f"Share of trials that reached regret {found.target:g}"
            ),
        ],
        heading=1,
    )
    for place, row in enumerate(found.rows, 1):
        table.rows.append(
            [
                HtmlCell(str(place)),
                link(row.label, "method", method=row.label.split("(")[0]),
                HtmlCell(text(row.rank, 2)),
                HtmlCell(text(row.regret, 3)),
                HtmlCell(text(row.area, 3)),
                HtmlCell(text(row.wins, 2)),
                HtmlCell(percent(row.reached)),
            ]
        )
    return table


def anytime_records(found: AnytimeTable) -> list[dict[str, Any]]:
    """Return every point of every curve, for a download."""
    return [
        {
            "method": row.label,
            "evaluations": b.spent,
            "regret": b.regret.mean,
            "regret_ci95": b.regret.ci95,
            "rank": b.rank.mean,
            "rank_ci95": b.rank.ci95,
            "n_seeds": row.n_seeds,
            "n_tasks": row.n_tasks,
        }
        for row in found.rows
        for b in row.curve
    ]
