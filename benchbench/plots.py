"""Figures of results: data in, a matplotlib figure out. Nothing here reads a database or knows a method.

Figures are 10 inches wide, with text that is legible at 1,000 pixels. Colours are those of Okabe and Ito (2008), which differ
for colour-blind readers; beyond eight methods the markers and dashes differ as well.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from benchbench.errors import InputError
from benchbench.label_placement import Box, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchbench.stats.curves import CurvePanel, Line
    from benchbench.stats.frontier import CostPanel, CostPoint

__all__ = ["ENDINGS", "check_target", "curves_figure", "pareto_figure", "write_figure"]

ENDINGS = (".png", ".svg", ".pdf")
WIDTH_INCHES = 10.0
DOTS_PER_INCH = 160
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C6D1F")
# 8 colours and 9 markers repeat together only after 72 methods
MARKERS = ("o", "s", "^", "D", "v", "p", "<", ">", "h")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.2)), (0, (1.5, 1)), (0, (5, 1, 1, 1)))
FLAT_DASHES = (0, (2, 2))
FRONT, DOMINATED, INK = "#0072B2", "#6E6E6E", "#333333"
# above it, accuracies are drawn on a logit axis: 0.97 and 0.99 differ as much as 0.5 and 0.75
LOGIT_FROM = 0.9
LOGIT_TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
# what lies beyond is drawn here, since a logit axis has no 0 and no 1
LOGIT_ENDS = (0.01, 0.9993)
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # so that the same data give the same bytes
    "svg.hashsalt": "benchbench",
    "svg.fonttype": "path",
}


@dataclass(frozen=True, slots=True)
class _Look:
    colour: str
    marker: str
    dash: Any


def check_target(path: Path) -> Path:
    """Return `path` if a figure can be written there, before anything is computed.

    Raises
    ------
    InputError
        On an ending that is none of `ENDINGS`, or a folder that is not there.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"cannot write a figure to {str(path)!r}: its name must end in {', '.join(ENDINGS)}")
    if path.is_dir():
        raise InputError(f"cannot write a figure to {path}: it is a folder")
    if not path.parent.is_dir():
        raise InputError(f"cannot write a figure to {path}: the folder {path.parent} does not exist")
    return path


def write_figure(figure: Figure, path: Path) -> None:
    """Write the figure in the form that the file's ending names; equal figures give equal bytes.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    kind = check_target(path).suffix.lower().removeprefix(".")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    image = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(image, format=kind, dpi=DOTS_PER_INCH, metadata=undated)
    try:
        path.write_bytes(image.getvalue())
    except OSError as error:
        raise InputError(f"cannot write a figure to {path}: {error.strerror or error}") from error


def curves_figure(panels: Sequence[CurvePanel], *, title: str, caption: Sequence[str], mixes_hardware: bool) -> Figure:
    """Draw validation scores against seconds of meta-training, one panel a task.

    A method without meta-training is a dashed level line; the test score is a marker with its interval at the end of a curve.

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
    looks = _looks(order)
    # wide labels need wide columns
    n_columns = max(1, min(4, int(105 / (max(map(len, order), default=1) + 10))))
    with mpl.rc_context(_STYLE):
        figure, axes, below = _canvas(
            len(panels), title, caption, mixes_hardware, legend_rows=-(-len(order) // n_columns), most_columns=3
        )
        drawn: dict[str, bool] = {}
        for ax, panel in zip(axes, panels, strict=True):
            _scale_scores(ax, panel.metric, [line.score for line in panel.lines])
            for line in panel.lines:
                _draw_line(ax, line, looks[line.label], band=0.12 if len(panel.lines) <= 8 else 0.07)
                drawn[line.label] = drawn.get(line.label, False) or line.is_trained
            _fit_scores(ax, panel.lines)
            _finish(
                ax, panel.task, f"{_readable(panel.metric)} (validation)", "seconds of meta-training", mixes_hardware
            )
            if not any(line.is_trained for line in panel.lines):
                ax.set_xticks([])
        handles = [_handle(looks[label], label, drawn[label]) for label in order]
        below.legend(handles=handles, loc="upper center", ncols=n_columns, frameon=False, fontsize=9, handlelength=3.2)
        _settle(figure)
    return figure


def pareto_figure(panels: Sequence[CostPanel], *, title: str, caption: Sequence[str], mixes_hardware: bool) -> Figure:
    """Draw scores against timed seconds, one panel a task (and one for the suite), the best trade-offs joined.

    Parameters
    ----------
    panels : sequence of CostPanel
    title, caption, mixes_hardware
        As in `curves_figure`.
    """
    with mpl.rc_context(_STYLE):
        figure, axes, below = _canvas(len(panels), title, caption, mixes_hardware, legend_rows=1, most_columns=2)
        for ax, panel in zip(axes, panels, strict=True):
            _scale_scores(ax, panel.metric, [p.score for p in panel.points])
            _draw_costs(ax, panel.points)
            label = "timed seconds, all tasks" if panel.task is None else "timed seconds (meta-training and test)"
            _finish(ax, panel.task or "whole suite", _readable(panel.metric), label, mixes_hardware)
            _make_room(ax)
        points = [p for panel in panels for p in panel.points]
        below.legend(
            handles=_cost_handles(points), loc="upper center", ncols=3, frameon=False, fontsize=9, handlelength=2.5
        )
        # labels are placed in pixels: only when nothing moves any more
        _settle(figure)
        for ax, panel in zip(axes, panels, strict=True):
            _label_points(figure, ax, panel.points)
    return figure


def _looks(labels: Sequence[str]) -> dict[str, _Look]:
    """Give each label a look; by name, so that a method looks the same whatever its place on the board."""
    return {
        label: _Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], DASHES[i // len(COLOURS) % len(DASHES)])
        for i, label in enumerate(sorted(labels))
    }


def _canvas(
    n_panels: int, title: str, caption: Sequence[str], mixes_hardware: bool, *, legend_rows: int, most_columns: int
) -> tuple[Figure, list[Axes], Any]:
    """Return the figure, one axes a panel, and the part below them for the legend; the caption is written."""
    n_columns = min(n_panels, most_columns if n_panels > 4 else 2)
    n_rows = -(-n_panels // n_columns)
    lines = [part for sentence in caption for part in textwrap.wrap(sentence, 148, subsequent_indent="   ")]
    panel_height = {1: 4.2, 2: 3.5, 3: 2.8}[n_columns]
    heights = (n_rows * panel_height + 0.45, 0.19 * legend_rows + 0.14, 0.165 * len(lines) + 0.12)
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained", dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=heights)[:, 0]
    top.suptitle(title, fontsize=11.5, fontweight="bold", x=0.012, ha="left")
    grid = top.subplots(n_rows, n_columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[n_panels:]:
        spare.remove()
    bottom.text(0.012, 0.98, "\n".join(lines), fontsize=8.2, va="top", ha="left", linespacing=1.35)
    return figure, axes[:n_panels], middle


def _settle(figure: Figure) -> None:
    """Lay the figure out, once; rounded, since the solver's last bits differ from call to call."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for part in figure.subfigs:
        part.bbox_relative.set_points(part.bbox_relative.get_points().round(5))
    for ax in figure.axes:
        ax.set_position(Bbox(ax.get_position().get_points().round(5)))


def _scale_scores(ax: Axes, metric: str, scores: Sequence[float | None]) -> None:
    if metric.endswith("accuracy") and max((s for s in scores if s is not None), default=0.0) > LOGIT_FROM:
        ax.set_yscale("logit")
        ax.yaxis.set_major_locator(FixedLocator(LOGIT_TICKS))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_formatter(NullFormatter())


def _fit_scores(ax: Axes, lines: Sequence[Line]) -> None:
    """Let the axis hold curves and test scores; a wide band may leave it."""
    values = [p.value for line in lines for p in line.points]
    values += [x.score + sign * (x.score_ci95 or 0.0) for x in lines if x.score is not None for sign in (-1, 1)]
    if len(values) > 1:
        _set_score_limits(ax, min(_shown(ax, v) for v in values), max(_shown(ax, v) for v in values), margin=0.06)


def _set_score_limits(ax: Axes, low: float, high: float, *, margin: float) -> None:
    # in the units of the axis, which may be logits
    forward = ax.yaxis.get_transform()
    bottom, top = forward.transform([low, high])
    extra = margin * (top - bottom) or 0.05
    ax.set_ylim(*forward.inverted().transform([bottom - extra, top + extra]))


def _shown(ax: Axes, value: float) -> float:
    """Return the value, within what the axis can show."""
    return value if ax.get_yscale() == "linear" else min(max(value, LOGIT_ENDS[0]), LOGIT_ENDS[1])


def _draw_line(ax: Axes, line: Line, look: _Look, *, band: float) -> None:
    if not line.is_trained:
        if line.score is not None:
            ax.axhline(
                _shown(ax, line.score), color=look.colour, linestyle=FLAT_DASHES, linewidth=1.5, label=line.label
            )
            if line.score_ci95:
                low, high = (_shown(ax, line.score + sign * line.score_ci95) for sign in (-1, 1))
                ax.axhspan(low, high, color=look.colour, alpha=band, linewidth=0)
        return
    if line.points:
        x = [p.seconds for p in line.points]
        y = [_shown(ax, p.value) for p in line.points]
        style: dict[str, Any] = {"color": look.colour, "linestyle": look.dash, "linewidth": 1.6}
        ax.plot(x, y, marker=look.marker, markersize=3.2, label=line.label, **style)
        if any(p.ci95 is not None for p in line.points):
            lower, upper = (
                [math.nan if p.ci95 is None else _shown(ax, p.value + sign * p.ci95) for p in line.points]
                for sign in (-1, 1)
            )
            ax.fill_between(x, lower, upper, color=look.colour, alpha=band, linewidth=0)
    end = line.fit_seconds if line.fit_seconds is not None else line.points[-1].seconds if line.points else None
    if line.score is not None and end is not None:
        _draw_point(ax, (end, line.score), line.score_ci95, look.colour, marker=look.marker, markersize=7.5)


def _draw_point(
    ax: Axes, place: tuple[float, float], ci95: float | None, colour: str, *, is_hollow: bool = False, **style: Any
) -> None:
    x, y = place[0], _shown(ax, place[1])
    if ci95 is not None:
        low, high = y - _shown(ax, place[1] - ci95), _shown(ax, place[1] + ci95) - y
        ax.errorbar([x], [y], yerr=[[low], [high]], fmt="none", ecolor=colour, elinewidth=1.3, capsize=2.5, zorder=4)
    face, edge = ("white", colour) if is_hollow else (colour, "white")
    ax.plot(
        [x], [y], linestyle="none", markerfacecolor=face, markeredgecolor=edge, markeredgewidth=0.7, zorder=4.5, **style
    )


def _handle(look: _Look, label: str, is_trained: bool) -> Line2D:
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


def _finish(ax: Axes, title: str, y_label: str, x_label: str, mixes_hardware: bool) -> None:
    ax.set_title(title, loc="left")
    ax.set_ylabel(y_label + ("" if ax.get_yscale() == "linear" else ", logit axis"))
    ax.set_xlabel(x_label + (" (hardware mixed: do not compare)" if mixes_hardware else ""))
    if mixes_hardware:
        ax.xaxis.label.set_color("#B00020")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    decades = math.log10(high / low)
    within = ((0.8, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)), (1.8, (1.0, 2.0, 5.0)), (3.5, (1.0, 3.0)))
    steps: tuple[float, ...] = next((s for limit, s in within if decades < limit), (1.0,))
    ax.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _readable(metric: str) -> str:
    return metric.replace("neg_mse", "minus mean squared error").replace("_", " ")


def _draw_costs(ax: Axes, points: Sequence[CostPoint]) -> None:
    best = sorted((p for p in points if p.is_on_front), key=lambda p: p.seconds)
    if best:
        ax.plot(
            [p.seconds for p in best],
            [_shown(ax, p.score) for p in best],
            drawstyle="steps-post",
            color=FRONT,
            linewidth=1.4,
            alpha=0.75,
            zorder=2,
        )
    for p in points:
        colour = FRONT if p.is_on_front else DOMINATED
        size = 5.5 if p.is_on_front else 4.5
        _draw_point(
            ax,
            (p.seconds, p.score),
            p.ci95,
            colour,
            is_hollow=not p.is_comparable,
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
    if not all(p.is_comparable for p in points):
        hollow = dot | {"markeredgecolor": DOMINATED, "markerfacecolor": "white"}
        handles.append(
            Line2D([], [], color=DOMINATED, linestyle="none", label="lacks tasks: outside the front", **hollow)
        )
    return handles


def _make_room(ax: Axes) -> None:
    """Widen the axes, for the labels."""
    low, high = (math.log10(v) for v in ax.get_xlim())
    extra = max(0.22 * (high - low), 0.15)
    ax.set_xlim(10 ** (low - extra), 10 ** (high + extra))
    _set_score_limits(ax, *ax.get_ylim(), margin=0.1)


def _label_points(figure: Figure, ax: Axes, points: Sequence[CostPoint]) -> None:
    """Write each method beside its point, with a thin line to it where the label stands away."""
    if not points:
        return
    unit = figure.dpi / 72
    texts = [
        ax.text(
            p.seconds,
            _shown(ax, p.score),
            _marked(p),
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
    x, y = ax.transData.transform((seconds, _shown(ax, score)))
    return float(x), float(y)


def _obstacles(ax: Axes, points: Sequence[CostPoint], unit: float) -> list[Box]:
    """Return what labels must not hide: markers, intervals and the steps of the front, in pixels."""
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


def _marked(point: CostPoint) -> str:
    marks = [("t", point.is_transductive), ("s", point.is_shared), ("i", point.is_imputed)]
    shown = ", ".join(mark for mark, is_set in marks if is_set)
    return f"{point.label} ({shown})" if shown else point.label
