"""Two methods over the tasks that both have: what `stats.pairwise` finds, on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable, interval_bar, link
from benchbench.dashboard.theme import GREY, marks, rgba, styled
from benchbench.dashboard.views.common import metric_label, number, percent
from benchbench.stats.labels import plural
from benchbench.stats.pairwise import NORMALISED

if TYPE_CHECKING:
    from benchbench.stats.pairwise import MethodComparison, TaskPair

__all__ = ["difference_figure", "pair_table", "probability_figure"]


def pair_table(found: MethodComparison) -> HtmlTable:
    """Return both scores and their difference, task by task, the largest difference first."""
    pairs = sorted(found.tasks, key=lambda p: (p.difference is None, -(p.difference or 0.0)))
    ends = [
        at + side * (half or 0.0)
        for p in pairs
        for at, half in [_drawn(found, p)]
        if at is not None
        for side in (-1, 1)
    ]
    most = max(map(abs, ends), default=1.0) * 1.05 or 1.0
    table = HtmlTable(
        caption=f"{found.a} minus {found.b} by task",
        columns=[
            HtmlColumn("Task"),
            HtmlColumn("Metric", is_wide=True),
            HtmlColumn(found.a, is_number=True, help="Mean score over the seeds (folds) that both have"),
            HtmlColumn(found.b, is_number=True, help="Mean score over the seeds (folds) that both have"),
            HtmlColumn(
                "Difference",
                is_number=True,
                help=f"Above 0: {found.a} scores higher; ± is the half-width of the 95 % Student-t interval over the pairs",
            ),
            HtmlColumn("Interval", is_wide=True),
            HtmlColumn(
                "Pairs", is_number=True, is_wide=True, help="Seeds or folds that both have, or units of a single one"
            ),
            HtmlColumn(
                "Better",
                help=f"Where the interval excludes 0 and the difference exceeds ± {found.rope:g} ({found.scale}); else a dash",
            ),
            HtmlColumn("Notes", is_wide=True),
        ],
    )
    table.rows = [_row(found, p, most) for p in pairs]
    return table


def _drawn(found: MethodComparison, pair: TaskPair) -> tuple[float | None, float | None]:
    """Return difference and half-width as figures draw them.

    They are normalised if that is the comparison's scale, as plain losses of different problems
    share no axis.
    """
    if found.scale != NORMALISED or not pair.difference or pair.scaled is None:
        return pair.difference, pair.ci95
    return pair.scaled, None if pair.ci95 is None else pair.ci95 * abs(pair.scaled / pair.difference)


def _row(found: MethodComparison, pair: TaskPair, most: float) -> list[HtmlCell]:
    d, half = _drawn(found, pair)
    low, high = (None, None) if d is None or half is None else (d - half, d + half)
    return [
        link(pair.task, "task", task=pair.task),
        HtmlCell(metric_label(pair.metric)),
        HtmlCell(number(pair.a, 4)),
        HtmlCell(number(pair.b, 4)),
        HtmlCell(_with_interval(pair)),
        HtmlCell("", interval_bar(d, low, high, (-most, most), f"difference {_with_interval(pair)}")),
        HtmlCell(plural(pair.n, pair.unit) if pair.n else "—"),
        HtmlCell(pair.better or "—"),
        HtmlCell(pair.note),
    ]


def _with_interval(pair: TaskPair) -> str:
    """Return the difference with its interval, or with why it has none.

    The two must never be read apart.
    """
    if pair.difference is None:
        return "—"
    text = number(pair.difference, 4)
    if pair.ci95 is not None:
        return f"{text} ± {number(pair.ci95, 4)}"
    if pair.n_imputed:
        return f"{text} ({pair.n_imputed} of {plural(pair.n, 'pair')} imputed)"
    return f"{text} (no interval: {plural(pair.n, 'pair')})"


def difference_figure(found: MethodComparison) -> Any:
    """Draw the differences per task with their intervals over pairs.

    A marker is hollow if neither method is better.
    """
    import plotly.graph_objects as go

    mark = marks([found.a, found.b])
    figure = go.Figure()
    pairs = [p for p in found.tasks if p.difference is not None]
    for name, sign in ((found.a, 1), (found.b, -1)):
        own = [d for d in pairs if (d.difference or 0.0) * sign > 0 or (d.difference == 0 and sign == 1)]
        figure.add_scatter(
            x=[_drawn(found, d)[0] for d in own],
            y=[d.task for d in own],
            error_x={
                "type": "data",
                "array": [_drawn(found, d)[1] or 0.0 for d in own],
                "color": rgba(mark[name].colour, 0.8),
                "thickness": 1.5,
                "width": 4,
            },
            mode="markers",
            marker={
                "color": mark[name].colour,
                # hollow: not better beyond the interval and the region of practical equivalence
                "symbol": [mark[name].symbol + ("" if d.better else "-open") for d in own],
                "size": 11,
                "line": {"width": 1.5},
            },
            name=f"{name} scores higher",
            hovertemplate="%{y}<br>difference %{x:.3f}<extra></extra>",
        )
    figure.add_vline(0, line_width=1, line_color=GREY)
    figure.update_yaxes(categoryorder="array", categoryarray=[d.task for d in reversed(pairs)])
    figure = styled(
        figure,
        height=170 + 30 * max(len(pairs), 2),
        x=f"difference of {'normalised scores' if found.scale == NORMALISED else 'scores'}",
    )
    return figure.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin={"t": 44})


def probability_figure(found: MethodComparison) -> Any:
    """Draw the posterior probabilities as one bar: b better, equivalent, a better.

    None if there is no posterior.
    """
    import plotly.graph_objects as go

    p = found.bayes
    if p is None:
        return None
    mark = marks([found.a, found.b])
    parts = (
        (f"{found.b} better", p.p_left, mark[found.b].colour, "/"),
        (f"equivalent (within ± {found.rope:g})", p.p_rope, GREY, ""),
        (f"{found.a} better", p.p_right, mark[found.a].colour, ""),
    )
    figure = go.Figure()
    for name, value, colour, pattern in parts:
        figure.add_bar(
            x=[100 * value],
            y=[""],
            orientation="h",
            name=f"{name}: {percent(value, 1)}",
            marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.3}},
            text=percent(value, 0) if value >= 0.08 else "",
            textposition="inside",
            insidetextfont={"color": "white"},
            hovertemplate="%{fullData.name}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.1)
    figure = styled(figure, height=170)
    figure.update_xaxes(range=[0, 100], ticksuffix=" %", title={"text": "posterior probability", "standoff": 4})
    return figure.update_layout(legend={"y": 1.05, "yanchor": "bottom"}, margin={"t": 50})
