"""Regret and rank of optimisers over the budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.lines import Line2D

from benchbench.plots._canvas import STYLE, Look, canvas, finish, looks_of, settle
from benchbench.stats.anytime import band_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchbench.stats.anytime import AnytimeTable
    from benchbench.stats.intervals import Estimate

__all__ = ["anytime_figure"]

# smaller regrets are drawn here, since a logarithmic axis has no 0
LOWEST_REGRET = 1e-4


def anytime_figure(found: AnytimeTable, *, title: str, caption: Sequence[str]) -> Figure:
    """Draw mean normalised regret and mean rank against evaluations.

    The regret has two logarithmic axes. The rank has one, the axis of evaluations.

    Parameters
    ----------
    found : AnytimeTable
    title : str
    caption : sequence of str
        Sentences that stand below the figure.
    """
    order = [row.label for row in found.rows]
    looks = looks_of(order)
    n_columns = max(1, min(4, int(105 / (max(map(len, order), default=1) + 10))))
    with mpl.rc_context(STYLE):
        figure, (left, right), below = canvas(
            2, title, caption, False, legend_rows=-(-len(order) // n_columns), most_columns=2
        )
        band = 0.15 if len(order) <= 8 else 0.07
        for row in found.rows:
            spent = [b.spent for b in row.curve]
            regrets, places = [b.regret for b in row.curve], [b.rank for b in row.curve]
            # a regret above 1 counts as 1 in the curve, and nobody ranks below the last
            _draw(left, spent, regrets, looks[row.label], band=band, lowest=LOWEST_REGRET, highest=1.0)
            _draw(right, spent, places, looks[row.label], band=band, lowest=1.0, highest=float(len(order)))
        left.set_yscale("log")
        right.set_ylim(len(order) + 0.2, 0.8)
        for ax, name in ((left, "normalised regret"), (right, "rank (1 = best)")):
            finish(ax, f"mean {name}", f"mean {name}", "evaluations (weighted by fidelity)", False)
        left.set_ylabel("mean normalised regret (at most 1), log axis")
        handles = [
            Line2D([], [], color=look.colour, linestyle=look.dash, marker=look.marker, markersize=5, label=label)
            for label, look in ((label, looks[label]) for label in order)
        ]
        below.legend(handles=handles, loc="upper center", ncols=n_columns, frameon=False, fontsize=9, handlelength=3.2)
        settle(figure)
    return figure


def _draw(
    ax: Axes,
    spent: Sequence[float],
    values: Sequence[Estimate],
    look: Look,
    *,
    band: float,
    lowest: float,
    highest: float,
) -> None:
    """Draw a curve and its band, both cut to where the value can be."""
    middle = [max(v.mean, lowest) for v in values]
    every = max(1, len(spent) // 8)
    ax.plot(
        spent,
        middle,
        color=look.colour,
        linestyle=look.dash,
        linewidth=1.6,
        marker=look.marker,
        markersize=3.6,
        markevery=every,
    )
    ends = band_ends(values, lowest, highest)
    if ends is not None:
        ax.fill_between(spent, *ends, color=look.colour, alpha=band, linewidth=0)
