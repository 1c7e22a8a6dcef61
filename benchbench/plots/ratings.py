"""Values of a statistic as points with their intervals, and who beats whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl

from benchbench.plots._canvas import DOMINATED, FRONT, INK, STYLE, page, settle
from benchbench.stats.labels import share_text
from benchbench.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchbench.stats.statistics import StatisticValue
    from benchbench.stats.wins import WinMatrix

__all__ = ["goes_beyond", "values_figure", "win_rate_figure"]

# blue above one half, orange below, white in the middle: safe for all kinds of colour blindness
DIVERGING = ((0.90, 0.38, 0.0), (1.0, 1.0, 1.0), (0.0, 0.45, 0.70))


def values_figure(
    found: Sequence[StatisticValue], *, name: str, title: str, caption: Sequence[str], centre: float | None = None
) -> Figure:
    """Draw the value of each method with its interval, best on top.

    Parameters
    ----------
    found : sequence of StatisticValue
        Those without a value are left out.
    name : str
        Of the statistic, on the axis.
    centre : float, optional
        A value that is marked by a line.
    """
    shown = [s for s in found if s.value is not None]
    with mpl.rc_context(STYLE):
        figure, body = page(max(1.5, 0.27 * len(shown) + 0.7), title, caption)
        ax = body.subplots()
        if centre is not None:
            ax.axvline(centre, color="#999999", linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        _draw_points(ax, shown, digits=0 if name == "Elo" else 2)
        if goes_beyond(shown):
            _cut(ax, shown)
        ax.set_yticks(range(len(shown)), [_marked(s) for s in shown])
        ax.set_ylim(len(shown) - 0.4, -0.6)
        ax.set_xlabel(name)
        ax.tick_params(axis="y", length=0)
        settle(figure)
    return figure


def win_rate_figure(
    found: Sequence[StatisticValue], matrix: WinMatrix, *, title: str, caption: Sequence[str]
) -> Figure:
    """Draw the share of common tasks on which the row's method beats the column's.

    Each method's mean is drawn with its interval.
    """
    shown = [s for s in found if s.value is not None]
    order = [matrix.methods.index(s.method) for s in shown]
    rates = matrix.rates()[order][:, order]
    n = len(shown)
    colours = mpl.colors.LinearSegmentedColormap.from_list("wins", DIVERGING).with_extremes(bad="#E4E4E4")
    with mpl.rc_context(STYLE):
        figure, body = page(max(2.2, 0.27 * n + 1.5), title, caption)
        left, right = body.subplots(1, 2, gridspec_kw={"width_ratios": (2.1, 1)})
        left.grid(False)
        left.imshow(rates, cmap=colours, vmin=0.0, vmax=1.0, aspect="auto")
        for i in range(n):
            for j in range(n):
                own = rates[i, j]
                if i == j or (n > 26 and not math.isnan(own)):
                    continue
                text = "-" if math.isnan(own) else f"{100 * own:.0f}"
                ink = "white" if own > 0.85 else INK
                left.text(j, i, text, ha="center", va="center", fontsize=8 if n <= 14 else 6.4, color=ink)
        left.set_xticks(range(n), [_short(s.method) for s in shown], rotation=40, ha="left", rotation_mode="anchor")
        left.set_yticks(range(n), [_marked(s) for s in shown])
        left.xaxis.tick_top()
        left.tick_params(length=0, labelsize=8.4 if n <= 20 else 7)
        for spine in left.spines.values():
            spine.set_visible(False)
        left.set_xlabel("tasks won by the row against the column, per cent, ties by half", fontsize=8.4)
        right.axvline(0.5, color="#999999", linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        _draw_points(right, shown, digits=2)
        right.set_yticks(range(n), [""] * n)
        right.tick_params(axis="y", length=0)
        right.set_ylim(n - 0.5, -0.5)
        right.set_xlim(-0.03, 1.03)
        right.set_xlabel("mean win rate, 95 % interval over tasks", fontsize=8.4)
        settle(figure)
    return figure


def _axis_ends(found: Sequence[StatisticValue]) -> tuple[float, float]:
    """Return what the axis shows at most: the values, and on both sides as much again."""
    values = [s.value for s in found if s.value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    room = 1.2 * (high - low) or 1.0
    return low - room, high + room


def goes_beyond(found: Sequence[StatisticValue]) -> bool:
    """Whether intervals are so wide that the values would shrink to a point beside them.

    Such intervals are cut.
    """
    low, high = _axis_ends(found)
    return any((s.low is not None and s.low < low) or (s.high is not None and s.high > high) for s in found)


def _cut(ax: Axes, shown: Sequence[StatisticValue]) -> None:
    low, high = _axis_ends(shown)
    ax.set_xlim(low, high)
    for i, s in enumerate(shown):
        for end, edge, marker in ((s.low, low, "<"), (s.high, high, ">")):
            if end is not None and (end < low if marker == "<" else end > high):
                ax.plot([edge], [i], marker=marker, markersize=6, color=FRONT, clip_on=False, zorder=4)


def _draw_points(ax: Axes, shown: Sequence[StatisticValue], *, digits: int) -> None:
    for i, s in enumerate(shown):
        value = s.value or 0.0
        has_interval = s.low is not None and s.high is not None
        if s.low is not None and s.high is not None:
            ax.plot([s.low, s.high], [i, i], color=FRONT, linewidth=1.6, solid_capstyle="butt", zorder=2)
        face, edge = (FRONT, "white") if has_interval else ("white", DOMINATED)
        ax.plot([value], [i], marker="o", markersize=6, color=face, markeredgecolor=edge, markeredgewidth=0.9, zorder=3)
        ax.annotate(
            f"{value:.{digits}f}",
            (value, i),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.8,
            color=INK,
        )


def _marked(standing: StatisticValue) -> str:
    name = _short(standing.method)
    return f"{name} (i {share_text(standing.imputed_share)})" if standing.imputed_share else name


def _short(text: str, longest: int = 38) -> str:
    text = printable(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
