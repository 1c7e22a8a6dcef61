"""What all figures share: size, style, axes, marks, files.

Figures are 10 inches wide, with text that is legible at 1,000 pixels. Colours are those of Okabe
and Ito (2008), which colour-blind readers can distinguish. Beyond eight methods the markers and
dashes differ as well.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from benchbench.errors import InputError
from benchbench.paths import nearest_above
from benchbench.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


__all__ = [
    "DOMINATED",
    "ENDINGS",
    "FLAT_DASHES",
    "FRONT",
    "INK",
    "STYLE",
    "WIDTH_INCHES",
    "Look",
    "canvas",
    "check_target",
    "draw_point",
    "figure_bytes",
    "finish",
    "looks_of",
    "page",
    "readable",
    "scale_scores",
    "set_score_limits",
    "settle",
    "shown",
    "write_figure",
]

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
STYLE: Any = {
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
    # a "$" in a name is no formula
    "text.parse_math": False,
    # so that the same data give the same bytes
    "svg.hashsalt": "benchbench",
    "svg.fonttype": "path",
}


@dataclass(frozen=True, slots=True)
class Look:
    colour: str
    marker: str
    dash: Any


def check_target(path: Path) -> Path:
    """Return `path` if a figure can be written there, before anything is computed.

    Raises
    ------
    InputError
        If the ending is none of `ENDINGS`, or `path` is a folder or lies below a file. A missing
        folder is no error, as `write_figure` creates it.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"cannot write a figure to {str(path)!r}: its name must end in {', '.join(ENDINGS)}")
    if path.is_dir():
        raise InputError(f"cannot write a figure to {path}: it is a folder")
    above = nearest_above(path)
    if not above.is_dir():
        raise InputError(f"cannot write a figure to {path}: {above} is not a folder")
    return path


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return the figure as "png", "svg" or "pdf"; equal figures give equal bytes."""
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    image = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(image, format=kind, dpi=DOTS_PER_INCH, metadata=undated)
    return image.getvalue()


def write_figure(figure: Figure, path: Path) -> None:
    """Write the figure in the form that the file's ending names; equal figures give equal bytes.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    image = figure_bytes(figure, check_target(path).suffix.lower().removeprefix("."))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    except OSError as error:
        raise InputError(f"cannot write a figure to {path}: {error.strerror or error}") from error


def looks_of(labels: Sequence[str]) -> dict[str, Look]:
    """Give each label a look.

    Labels are sorted by name, so that a method looks the same whatever its rank.
    """
    return {
        label: Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], DASHES[i // len(COLOURS) % len(DASHES)])
        for i, label in enumerate(sorted(labels))
    }


def canvas(
    n_panels: int, title: str, caption: Sequence[str], mixes_hardware: bool, *, legend_rows: int, most_columns: int
) -> tuple[Figure, list[Axes], Any]:
    """Return the figure, one axes per panel, and the part below them for the legend.

    The caption is already drawn.
    """
    n_columns = min(n_panels, most_columns if n_panels > 4 else 2)
    n_rows = -(-n_panels // n_columns)
    lines = [part for sentence in caption for part in textwrap.wrap(printable(sentence), 148, subsequent_indent="   ")]
    panel_height = {1: 4.2, 2: 3.5, 3: 2.8}[n_columns]
    heights = (n_rows * panel_height + 0.45, 0.19 * legend_rows + 0.14, 0.165 * len(lines) + 0.12)
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained", dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=heights)[:, 0]
    top.suptitle(printable(title), fontsize=11.5, fontweight="bold", x=0.012, ha="left")
    grid = top.subplots(n_rows, n_columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[n_panels:]:
        spare.remove()
    bottom.text(0.012, 0.98, "\n".join(lines), fontsize=8.2, va="top", ha="left", linespacing=1.35)
    return figure, axes[:n_panels], middle


def page(height: float, title: str, caption: Sequence[str]) -> tuple[Figure, Any]:
    """Return a figure with title and caption, and the part between them.

    That part is `height` inches high and takes axes in any arrangement.
    """
    lines = [part for sentence in caption for part in textwrap.wrap(printable(sentence), 148, subsequent_indent="   ")]
    heights = (0.36, height, 0.165 * len(lines) + 0.16)
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained", dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=heights)[:, 0]
    top.text(0.012, 0.5, printable(title), fontsize=11.5, fontweight="bold", va="center", ha="left")
    bottom.text(0.012, 0.98, "\n".join(lines), fontsize=8.2, va="top", ha="left", linespacing=1.35)
    return figure, middle


def settle(figure: Figure) -> None:
    """Lay the figure out, once; rounded, since the solver's last bits differ from call to call."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for part in figure.subfigs:
        part.bbox_relative.set_points(part.bbox_relative.get_points().round(5))
    for ax in figure.axes:
        ax.set_position(Bbox(ax.get_position().get_points().round(5)))


def scale_scores(ax: Axes, metric: str, scores: Sequence[float | None]) -> None:
    if metric.endswith("accuracy") and max((s for s in scores if s is not None), default=0.0) > LOGIT_FROM:
        ax.set_yscale("logit")
        ax.yaxis.set_major_locator(FixedLocator(LOGIT_TICKS))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_formatter(NullFormatter())


def set_score_limits(ax: Axes, low: float, high: float, *, margin: float) -> None:
    # in the units of the axis, which may be logits
    forward = ax.yaxis.get_transform()
    bottom, top = forward.transform([low, high])
    extra = margin * (top - bottom) or 0.05
    ax.set_ylim(*forward.inverted().transform([bottom - extra, top + extra]))


def shown(ax: Axes, value: float) -> float:
    """Return the value, within what the axis can show."""
    return value if ax.get_yscale() == "linear" else min(max(value, LOGIT_ENDS[0]), LOGIT_ENDS[1])


def draw_point(
    ax: Axes, place: tuple[float, float], ci95: float | None, colour: str, *, is_hollow: bool = False, **style: Any
) -> None:
    x, y = place[0], shown(ax, place[1])
    if ci95 is not None:
        low, high = y - shown(ax, place[1] - ci95), shown(ax, place[1] + ci95) - y
        ax.errorbar([x], [y], yerr=[[low], [high]], fmt="none", ecolor=colour, elinewidth=1.3, capsize=2.5, zorder=4)
    face, edge = ("white", colour) if is_hollow else (colour, "white")
    ax.plot(
        [x], [y], linestyle="none", markerfacecolor=face, markeredgecolor=edge, markeredgewidth=0.7, zorder=4.5, **style
    )


def finish(ax: Axes, title: str, y_label: str, x_label: str, mixes_hardware: bool) -> None:
    ax.set_title(printable(title), loc="left")
    ax.set_ylabel(printable(y_label) + ("" if ax.get_yscale() == "linear" else ", logit axis"))
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


def readable(metric: str) -> str:
    return metric.replace("neg_mse", "minus mean squared error").replace("_", " ")
