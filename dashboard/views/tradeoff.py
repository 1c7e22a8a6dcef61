"""Trade-off: score against cost, and the methods that no other one beats on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable, badge, link
from benchbench.dashboard.theme import ACCENT, log_axis, styled
from benchbench.dashboard.views.common import duration, first_up, imputed_text, metric_label, number
from benchbench.reports.costs import front_words

if TYPE_CHECKING:
    from benchbench.stats.frontier import CostPanel, CostPoint

__all__ = ["cost_figure", "cost_table"]


def cost_figure(panel: CostPanel, labels: Sequence[str], *, log_x: bool, mixes_hardware: bool) -> Any:
    """Draw score against timed seconds; the front is joined by steps, names stand at the points."""
    import plotly.graph_objects as go

    points = [p for p in panel.points if p.label in labels]
    figure = go.Figure()
    front = sorted((p for p in points if p.is_on_front), key=lambda p: p.seconds)
    if front:
        figure.add_scatter(
            x=[p.seconds for p in front],
            y=[p.score for p in front],
            mode="lines",
            line={"color": ACCENT, "width": 2, "shape": "hv"},
            name="front",
            hoverinfo="skip",
            showlegend=False,
        )
    place = {p.label: str(i) for i, p in enumerate(points, 1)}
    for name, own, colour, symbol in (
        (
            "beaten by another one on both",
            [p for p in points if not p.is_on_front and _is_fair(p)],
            "#6b6b6b",
            "circle",
        ),
        (
            "lacks tasks, or failed on some: never on the front",
            [p for p in points if not _is_fair(p)],
            "#6b6b6b",
            "square",
        ),
        ("on the front", front, ACCENT, "circle"),
    ):
        if own:
            figure.add_scatter(
                x=[p.seconds for p in own],
                y=[p.score for p in own],
                error_y={"type": "data", "array": [p.ci95 or 0.0 for p in own], "color": colour, "thickness": 1.2},
                mode="markers+text",
                text=[place[p.label] for p in own],
                textposition="middle center",
                textfont={"size": 11, "color": "white"},
                cliponaxis=False,
                marker={"color": colour, "symbol": symbol, "size": 19, "line": {"width": 1, "color": "white"}},
                name=name,
                customdata=[p.marked_label for p in own],
                hovertemplate="%{text}. %{customdata}<br>%{x:.3g} s, score %{y:.4f}<extra></extra>",
            )
    for p in front:
        # only the front has names: the others crowd at the expensive end, and the table has them
        figure.add_annotation(
            x=math.log10(max(p.seconds, 1e-9)) if log_x else p.seconds,
            y=p.score,
            text=p.marked_label,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            xshift=8,
            yshift=8,
            font={"size": 12},
        )
    metric = metric_label(panel.metric)
    cost = "timed seconds, training and test" + (" (MIXED HARDWARE: not to be compared)" if mixes_hardware else "")
    figure = styled(figure, height=520, x=cost, y=f"{metric}, higher is better")
    costs = [p.seconds for p in points] or [1.0]
    figure.update_xaxes(**(log_axis(min(costs), max(costs), " s") if log_x else {"type": "linear", "ticksuffix": " s"}))
    return figure.update_layout(margin={"r": 60})


def _is_fair(point: CostPoint) -> bool:
    return point.is_comparable and not point.n_failed_tasks


def cost_table(panel: CostPanel, labels: Sequence[str]) -> HtmlTable:
    """Return the points, best score first."""
    table = HtmlTable(
        caption=f"{panel.name}: score and cost",
        columns=[
            HtmlColumn("#", is_number=True, help="The number in the figure"),
            HtmlColumn("Method"),
            HtmlColumn(
                first_up(metric_label(panel.metric)),
                is_number=True,
                help="± is the half-width of a 95 % interval; none where a part of the score is imputed",
            ),
            HtmlColumn("Imputed", is_number=True, help="Share of the scores behind the number that stand for failures"),
            HtmlColumn("Time", is_number=True, help="Timed seconds, training and test"),
            HtmlColumn("Front"),
        ],
        heading=1,
    )
    for place, p in enumerate((p for p in panel.points if p.label in labels), 1):
        extra = badge("transductive") if p.is_transductive else ""
        extra += badge("training shared") if p.is_shared else ""
        table.rows.append(
            [
                HtmlCell(str(place)),
                HtmlCell(p.label, link(p.label, "method", method=p.method).html + extra),
                HtmlCell(number(p.score, 4) + ("" if p.ci95 is None else f" ± {number(p.ci95, 4)}")),
                HtmlCell(imputed_text(p.imputed_share)),
                HtmlCell(duration(p.seconds)),
                HtmlCell(front_words(p)),
            ]
        )
    return table
