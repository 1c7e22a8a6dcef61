"""Critical-difference diagrams (Demsar 2006, JMLR 7).

Mean ranks are on an axis. Bars join methods that a test cannot tell apart.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg

from benchbench.errors import InputError
from benchbench.plots._canvas import FRONT, INK, STYLE, WIDTH_INCHES, page, settle
from benchbench.stats.labels import listed, plural
from benchbench.stats.significance import ALPHA, FriedmanResult, friedman_sentence, p_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchbench.stats.table import ScoreTable

__all__ = ["CriticalDifference", "critical_difference", "critical_difference_figure"]

ROW = 0.235  # inches a label
BAR = 0.13  # inches a level of group bars


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalDifference:
    """What a diagram shows.

    Parameters
    ----------
    mean_ranks : mapping of method to mean rank
        1 = best; only methods with a score on every task.
    cd : float
        Nemenyi's critical difference at level `alpha`.
    groups : sequence of tuples of methods
        Which the test cannot tell apart.
    friedman_p, iman_davenport_p : float
        Whether any method differs from the others.
    friedman : sequence of FriedmanResult
        The same test in full: corrected for ties, and not.
    incomplete : mapping of method to int
        Methods that are left out, with the number of tasks that they have.
    """

    mean_ranks: Mapping[str, float]
    cd: float
    alpha: float
    groups: Sequence[tuple[str, ...]]
    friedman_p: float
    iman_davenport_p: float
    n_tasks: int
    incomplete: Mapping[str, int]
    friedman: Sequence[FriedmanResult] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"friedman": [one.to_dict() for one in self.friedman]}

    def _tested(self) -> str:
        if self.friedman:
            return friedman_sentence(self.friedman)
        return (
            f"Friedman's test: p {p_text(self.friedman_p)} "
            f"(Iman and Davenport's correction: p {p_text(self.iman_davenport_p)})"
        )

    def sentences(self) -> list[str]:
        """Return what must stand below the diagram."""
        found = [
            f"Mean ranks of {len(self.mean_ranks)} methods over {self.n_tasks} tasks, 1 = best. "
            f"{self._tested()}. Nemenyi's critical difference at {self.alpha:g}: "
            f"{self.cd:.2f}; methods that a bar joins are not distinguishable."
        ]
        if self.friedman_p >= self.alpha:
            found.append("Friedman's test finds no difference between any of them: do not read the bars' gaps as one.")
        if self.incomplete:
            names = listed([f"{name} ({n}/{self.n_tasks})" for name, n in self.incomplete.items()])
            found.append(
                f"Left out, since the test needs every method on every task: {names}. The leaderboard compares these on the tasks that"
                " they share with each other method."
            )
        return found


def critical_difference(table: ScoreTable, *, alpha: float = ALPHA) -> CriticalDifference:
    """Return the diagram of a leaderboard's trials.

    Raises
    ------
    InputError
        With fewer than three methods that have every task, or fewer than two tasks.
    """
    import numpy as np

    from benchbench.stats.significance import complete_methods, critical_groups, friedman_both, nemenyi_cd

    # a task of which nobody has a score says nothing
    rows, scores = complete_methods(table.task_scores())
    whole, n_tasks = rows.tolist(), scores.shape[1]
    counts = (~np.isnan(scores)).sum(axis=1)
    if n_tasks < 2 or len(whole) < 3:
        raise InputError(
            f"a critical-difference diagram needs at least 3 methods with a score on each of at least 2 tasks; there are "
            f"{len(whole)} such methods on {plural(n_tasks, 'task')}. "
            "Choose methods or tasks with --method and --task, or impute failures with --impute"
        )
    both = friedman_both(scores)
    tested = both[0]
    ranks = {table.methods[i]: rank for i, rank in zip(whole, tested.mean_ranks, strict=True)}
    ranks = dict(sorted(ranks.items(), key=lambda item: (item[1], item[0])))
    cd = nemenyi_cd(len(whole), n_tasks, alpha)
    return CriticalDifference(
        mean_ranks=ranks,
        cd=cd,
        alpha=alpha,
        groups=critical_groups(ranks, cd),
        friedman_p=tested.p,
        iman_davenport_p=tested.iman_davenport_p,
        n_tasks=n_tasks,
        friedman=both,
        incomplete={table.methods[i]: int(counts[i]) for i in range(len(counts)) if i not in whole},
    )


def critical_difference_figure(found: CriticalDifference, *, title: str, caption: Sequence[str]) -> Figure:
    """Draw mean ranks on an axis, with the critical difference above it and the groups below.

    Each label has a row of its own, so that none hides another. The better half is on the left,
    the worse half on the right.
    """
    labels = {m: f"{textwrap.fill(m, 36, break_long_words=True)}  {rank:.2f}" for m, rank in found.mean_ranks.items()}
    left = list(labels)[: math.ceil(len(labels) / 2)]
    right = list(labels)[len(left) :][::-1]  # the worst has the first row: its line meets no other
    levels = _levels(found)
    heights = [_rows_height([labels[m] for m in side]) for side in (left, right)]
    bars = 0.16 + BAR * (max(levels, default=-1) + 1)
    height = 0.75 + bars + max(heights) + 0.12
    with mpl.rc_context(STYLE):
        figure, body = page(height, title, caption)
        ax = body.add_axes((0.0, 0.0, 1.0, 1.0))
        ax.set_xlim(0, WIDTH_INCHES)
        ax.set_ylim(height, 0)  # inches from the top
        ax.axis("off")
        margins = _margins(figure, ax, [labels[m] for m in left], [labels[m] for m in right])
        low, high = math.floor(min(found.mean_ranks.values())), math.ceil(max(found.mean_ranks.values()))
        if high - low < found.cd:
            high = math.ceil(low + found.cd)
        scale = _Scale(low, max(high, low + 1), margins[0], WIDTH_INCHES - margins[1])
        _draw_axis(ax, scale, found.cd, found.alpha)
        for group, level in zip(found.groups, levels, strict=True):
            ends = [scale.place(found.mean_ranks[m]) for m in (group[0], group[-1])]
            y = 0.75 + 0.12 + BAR * level
            ax.plot(
                [ends[0] - 0.05, ends[1] + 0.05], [y, y], color=INK, linewidth=3.6, solid_capstyle="round", zorder=3
            )
        for side, edge, align in ((left, margins[0] - 0.1, "right"), (right, WIDTH_INCHES - margins[1] + 0.1, "left")):
            top = 0.75 + bars
            for method in side:
                text = labels[method]
                y = top + _rows_height([text]) / 2
                x = scale.place(found.mean_ranks[method])
                ax.plot([x, x, edge], [0.75, y, y], color=FRONT, linewidth=1.0, zorder=2, solid_joinstyle="round")
                ax.plot(
                    [x],
                    [0.75],
                    marker="o",
                    markersize=4.2,
                    color=FRONT,
                    zorder=4,
                    markeredgecolor="white",
                    markeredgewidth=0.5,
                )
                ax.text(edge + (-0.05 if align == "right" else 0.05), y, text, ha=align, va="center", fontsize=9)
                top += _rows_height([text])
        settle(figure)
    return figure


def _rows_height(texts: Sequence[str]) -> float:
    return sum(ROW + 0.15 * text.count("\n") for text in texts)


def _levels(found: CriticalDifference) -> list[int]:
    """Return for each group the level of its bar, so that no two bars of a level meet."""
    ends: list[float] = []
    levels = []
    for group in found.groups:
        first, last = found.mean_ranks[group[0]], found.mean_ranks[group[-1]]
        level = next((i for i, end in enumerate(ends) if first > end), len(ends))
        ends[level : level + 1] = [last]
        levels.append(level)
    return levels


@dataclass(frozen=True, slots=True)
class _Scale:
    """From ranks to inches."""

    low: int
    high: int
    left: float
    right: float

    def place(self, rank: float) -> float:
        return self.left + (rank - self.low) / (self.high - self.low) * (self.right - self.left)


def _margins(figure: Figure, ax: Axes, left: Sequence[str], right: Sequence[str]) -> tuple[float, float]:
    """Return how many inches the labels need on both sides, at most a third of the width each."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    widths = []
    for texts in (left, right):
        drawn = [ax.text(0, 0, text, fontsize=9) for text in texts]
        widest = max((t.get_window_extent(renderer).width / figure.dpi for t in drawn), default=0.0)
        for text in drawn:
            text.remove()
        # rounded, since the last bits of a text's size differ between fonts' caches
        widths.append(min(round(widest, 2) + 0.35, 0.36 * WIDTH_INCHES))
    return widths[0], widths[1]


def _draw_axis(ax: Axes, scale: _Scale, cd: float, alpha: float) -> None:
    ax.plot([scale.left, scale.right], [0.75, 0.75], color=INK, linewidth=1.2, zorder=2)
    step = max(1, -(-(scale.high - scale.low) // 20))
    for rank in range(scale.low, scale.high + 1):
        is_major = (rank - scale.low) % step == 0
        x = scale.place(rank)
        ax.plot([x, x], [0.75 - (0.07 if is_major else 0.04), 0.75], color=INK, linewidth=1.0)
        if is_major:
            ax.text(x, 0.64, str(rank), ha="center", va="bottom", fontsize=8.5)
    start, end = scale.left, scale.left + cd * (scale.right - scale.left) / (scale.high - scale.low)
    ax.plot([start, end], [0.22, 0.22], color="#D55E00", linewidth=2.0)
    for x in (start, end):
        ax.plot([x, x], [0.17, 0.27], color="#D55E00", linewidth=2.0)
    ax.text(start, 0.12, f"critical difference {cd:.2f} (Nemenyi, {alpha:g})", va="bottom", ha="left", fontsize=8.5)
