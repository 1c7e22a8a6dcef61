"""Scores against training time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.lines import Line2D

from benchbench.plots._canvas import (
    FLAT_DASHES,
    STYLE,
    Look,
    canvas,
    draw_point,
    finish,
    looks_of,
    readable,
    scale_scores,
    set_score_limits,
    settle,
    shown,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchbench.stats.curves import CurvePanel, Line

__all__ = ["curves_figure"]


def curves_figure(panels: Sequence[CurvePanel], *, title: str, caption: Sequence[str], mixes_hardware: bool) -> Figure:
    """Draw validation scores against seconds of meta-training, one panel per task.

    A method without meta-training is a dashed level line. The test score is a marker with its
    interval at the end of a curve.

    Parameters
    ----------
    panels : sequence of CurvePanel
    title : str
    caption : sequence of str
        Sentences that stand below the figure.
    mixes_hardware : bool
        Whether the seconds come from different machines; the axis says so.
    """
    order = list(dict.fromkeys(line.label for p in panels for line in p.lines))
    looks = looks_of(order)
    # wide labels need wide columns
    n_columns = max(1, min(4, int(105 / (max(map(len, order), default=1) + 10))))
    with mpl.rc_context(STYLE):
        figure, axes, below = canvas(
            len(panels), title, caption, mixes_hardware, legend_rows=-(-len(order) // n_columns), most_columns=3
        )
        drawn: dict[str, bool] = {}
        for ax, panel in zip(axes, panels, strict=True):
            scale_scores(ax, panel.metric, [line.score for line in panel.lines])
            for line in panel.lines:
                _draw_line(ax, line, looks[line.label], band=0.12 if len(panel.lines) <= 8 else 0.07)
                drawn[line.label] = drawn.get(line.label, False) or line.is_trained
            _fit_scores(ax, panel.lines)
            finish(ax, panel.task, f"{readable(panel.metric)} (validation)", "seconds of meta-training", mixes_hardware)
            if not any(line.is_trained for line in panel.lines):
                ax.set_xticks([])
        handles = [_handle(looks[label], label, drawn[label]) for label in order]
        below.legend(handles=handles, loc="upper center", ncols=n_columns, frameon=False, fontsize=9, handlelength=3.2)
        settle(figure)
    return figure


def _fit_scores(ax: Axes, lines: Sequence[Line]) -> None:
    """Let the axis hold curves and test scores; a wide band may leave it."""
    values = [p.value for line in lines for p in line.points]
    values += [x.score + sign * (x.score_ci95 or 0.0) for x in lines if x.score is not None for sign in (-1, 1)]
    if len(values) > 1:
        set_score_limits(ax, min(shown(ax, v) for v in values), max(shown(ax, v) for v in values), margin=0.06)


def _draw_line(ax: Axes, line: Line, look: Look, *, band: float) -> None:
    if not line.is_trained:
        if line.score is not None:
            ax.axhline(shown(ax, line.score), color=look.colour, linestyle=FLAT_DASHES, linewidth=1.5, label=line.label)
            if line.score_ci95:
                low, high = (shown(ax, line.score + sign * line.score_ci95) for sign in (-1, 1))
                ax.axhspan(low, high, color=look.colour, alpha=band, linewidth=0)
        return
    if line.points:
        x = [p.seconds for p in line.points]
        y = [shown(ax, p.value) for p in line.points]
        style: dict[str, Any] = {"color": look.colour, "linestyle": look.dash, "linewidth": 1.6}
        ax.plot(x, y, marker=look.marker, markersize=3.2, label=line.label, **style)
        if any(p.ci95 is not None for p in line.points):
            lower, upper = (
                [math.nan if p.ci95 is None else shown(ax, p.value + sign * p.ci95) for p in line.points]
                for sign in (-1, 1)
            )
            ax.fill_between(x, lower, upper, color=look.colour, alpha=band, linewidth=0)
    end = line.fit_seconds if line.fit_seconds is not None else line.points[-1].seconds if line.points else None
    if line.score is not None and end is not None:
        draw_point(ax, (end, line.score), line.score_ci95, look.colour, marker=look.marker, markersize=7.5)


def _handle(look: Look, label: str, is_trained: bool) -> Line2D:
    if not is_trained:
        return Line2D([], [], color=look.colour, linestyle=FLAT_DASHES, linewidth=1.5, label=label)
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.dash,
        linewidth=1.6,
        marker=look.marker,
        markersize=6,
        markeredgecolor="white",
        markeredgewidth=0.6,
        label=label,
    )
