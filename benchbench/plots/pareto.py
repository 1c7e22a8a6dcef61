"""Scores against cost, the best trade-offs joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from benchbench.plots._canvas import (
    DOMINATED,
    FRONT,
    STYLE,
    canvas,
    draw_point,
    finish,
    readable,
    scale_scores,
    set_score_limits,
    settle,
    shown,
)
from benchbench.plots.label_placement import Box, place_labels
from benchbench.stats.labels import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchbench.stats.frontier import CostPanel, CostPoint

__all__ = ["pareto_figure"]


def pareto_figure(panels: Sequence[CostPanel], *, title: str, caption: Sequence[str], mixes_hardware: bool) -> Figure:
    """Draw scores against timed seconds, with the best trade-offs joined.

    There is one panel per task and one for the suite.

    Parameters
    ----------
    panels : sequence of CostPanel
    title, caption, mixes_hardware
        As in `curves_figure`.
    """
    with mpl.rc_context(STYLE):
        figure, axes, below = canvas(len(panels), title, caption, mixes_hardware, legend_rows=1, most_columns=2)
        for ax, panel in zip(axes, panels, strict=True):
            scale_scores(ax, panel.metric, [p.score for p in panel.points])
            _draw_costs(ax, panel.points)
            label = _seconds_label(panel) if panel.task is None else "timed seconds (meta-training and test)"
            finish(ax, panel.name, readable(panel.metric), label, mixes_hardware)
            _make_room(ax)
        points = [p for panel in panels for p in panel.points]
        below.legend(
            handles=_cost_handles(points), loc="upper center", ncols=3, frameon=False, fontsize=9, handlelength=2.5
        )
        # labels are placed in pixels: only when nothing moves any more
        settle(figure)
        for ax, panel in zip(axes, panels, strict=True):
            _label_points(figure, ax, panel.points)
    return figure


def _seconds_label(panel: CostPanel) -> str:
    return (
        f"timed seconds, {plural(len(panel.tasks), 'common task')}" if panel.is_common else "timed seconds, all tasks"
    )


def _draw_costs(ax: Axes, points: Sequence[CostPoint]) -> None:
    best = sorted((p for p in points if p.is_on_front), key=lambda p: p.seconds)
    if best:
        ax.plot(
            [p.seconds for p in best],
            [shown(ax, p.score) for p in best],
            drawstyle="steps-post",
            color=FRONT,
            linewidth=1.4,
            alpha=0.75,
            zorder=2,
        )
    for p in points:
        colour = FRONT if p.is_on_front else DOMINATED
        size = 5.5 if p.is_on_front else 4.5
        draw_point(
            ax,
            (p.seconds, p.score),
            p.ci95,
            colour,
            is_hollow=not p.is_comparable or p.n_failed_tasks > 0,
            marker="o",
            markersize=size,
            label=p.label,
        )


def _cost_handles(points: Sequence[CostPoint]) -> list[Line2D]:
    dot: dict[str, Any] = {"marker": "o", "markersize": 6, "markeredgecolor": "white"}
    handles = [
        Line2D([], [], color=FRONT, linewidth=1.4, label="not dominated", **dot),
        Line2D(
            [],
            [],
            color=DOMINATED,
            linestyle="none",
            label="dominated: another costs no more and scores no less",
            **dot,
        ),
    ]
    if not all(p.is_comparable and not p.n_failed_tasks for p in points):
        hollow = dot | {"markeredgecolor": DOMINATED, "markerfacecolor": "white"}
        handles.append(
            Line2D(
                [],
                [],
                color=DOMINATED,
                linestyle="none",
                label="lacks tasks, or failed on some: outside the front",
                **hollow,
            )
        )
    return handles


def _make_room(ax: Axes) -> None:
    """Widen the axes, for the labels."""
    low, high = (math.log10(v) for v in ax.get_xlim())
    extra = max(0.22 * (high - low), 0.15)
    ax.set_xlim(10 ** (low - extra), 10 ** (high + extra))
    set_score_limits(ax, *ax.get_ylim(), margin=0.1)


def _label_points(figure: Figure, ax: Axes, points: Sequence[CostPoint]) -> None:
    """Write each method beside its point, with a thin line to it where the label stands away."""
    if not points:
        return
    unit = figure.dpi / 72
    texts = [
        ax.text(
            p.seconds,
            shown(ax, p.score),
            p.marked_label,
            fontsize=8.4,
            fontweight="bold" if p.is_on_front else "normal",
            color=FRONT if p.is_on_front else DOMINATED,
            ha="center",
            va="center",
            zorder=5,
            path_effects=[withStroke(linewidth=2.2, foreground="white", alpha=0.85)],
        )
        for p in points
    ]
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    extents = [text.get_window_extent(renderer) for text in texts]
    places = [_pixel(ax, p.seconds, p.score) for p in points]
    frame = ax.get_window_extent(renderer)
    boxes = place_labels(
        places,
        [(e.width + 3 * unit, e.height) for e in extents],
        Box(frame.x0, frame.y0, frame.x1, frame.y1),
        _obstacles(ax, points, unit),
        first=[p.is_on_front for p in points],
        gap=4 * unit,
    )
    inverse = ax.transData.inverted()
    for text, box, (x, y) in zip(texts, boxes, places, strict=True):
        text.set_position(tuple(inverse.transform(((box.left + box.right) / 2, (box.bottom + box.top) / 2))))
        edge = (min(max(x, box.left), box.right), min(max(y, box.bottom), box.top))
        if math.dist((x, y), edge) > 7 * unit:
            (x0, y0), (x1, y1) = inverse.transform([(x, y), edge])
            ax.plot([x0, x1], [y0, y1], color=text.get_color(), linewidth=0.6, alpha=0.7, zorder=1)


def _pixel(ax: Axes, seconds: float, score: float) -> tuple[float, float]:
    x, y = ax.transData.transform((seconds, shown(ax, score)))
    return float(x), float(y)


def _obstacles(ax: Axes, points: Sequence[CostPoint], unit: float) -> list[Box]:
    """Return what labels must not hide: markers, intervals and steps of the front, in pixels."""
    found = []
    half = 3.5 * unit
    for p in points:
        (x, low), (_, high) = (_pixel(ax, p.seconds, p.score + sign * (p.ci95 or 0.0)) for sign in (-1, 1))
        found.append(Box(x - half, low - half, x + half, high + half))
    best = sorted((p for p in points if p.is_on_front), key=lambda p: p.seconds)
    for one, other in pairwise(best):
        (x0, y0), (x1, y1) = (_pixel(ax, p.seconds, p.score) for p in (one, other))
        found += [Box(x0, y0 - unit, x1, y0 + unit), Box(x1 - unit, y0, x1 + unit, y1)]
    return found
