"""Methods against tasks: every number of a leaderboard in one figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.patches import Rectangle

from benchbench.errors import InputError
from benchbench.plots._canvas import STYLE, WIDTH_INCHES, page, settle
from benchbench.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchbench.stats.imputation import ImputedTable

__all__ = ["Heatmap", "heatmap", "heatmap_figure"]

# differs for every kind of colour blindness, and in grey (Nunez et al. 2018, PLoS ONE 13(7))
COLOURS = "cividis"
MARKS = {"failed": "F", "declined": "D", "absent": "-"}
HATCHES = {"failed": "xxx", "declined": "...", "absent": ""}
IMPUTED = "i"
# inches; in a narrower cell no number can be read
LEAST_WIDTHS = {"norm": 0.27, "rank": 0.17}
MOST_WIDTH = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """What the figure shows.

    Parameters
    ----------
    values : (n_methods, n_tasks)
        By `what`: "norm" (0 = baseline, 1 = reference) or "rank" (1 = best). None if missing.
    states : (n_methods, n_tasks)
        "ok", "imputed" (wholly or in part), "failed", "declined" or "absent".
    """

    what: str
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    states: tuple[tuple[str, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """Return what must stand below the figure."""
        seen = {s for row in self.states for s in row}
        words = {"failed": "F and crosses: failed", "declined": "D and dots: declined", "absent": "-: not run"}
        marks = [text for state, text in words.items() if state in seen]
        if "imputed" in seen:
            marks.append(f"{IMPUTED} and stripes: imputed, wholly or in part")
        found = [f"{'; '.join(marks)}."] if marks else ["Every method has every task."]
        if _cell_width(len(self.tasks), self.methods) < LEAST_WIDTHS[self.what]:
            found.append("Too many tasks for numbers in the cells: --format json has them.")
        return found


def heatmap(
    imputed: ImputedTable, what: str | None, ends: Mapping[str, tuple[float, float]], order: Sequence[str]
) -> Heatmap:
    """Return the cells of a leaderboard.

    Parameters
    ----------
    what : str or None
        "norm", "rank", or None: normalised scores if every task has both ends, else ranks.
    ends : mapping of task to (baseline's score, reference's)
    order : sequence of str
        Of the methods.

    Raises
    ------
    InputError
        If nothing is left to show, or normalised scores are asked for and no task has both ends.
    """
    from benchbench.stats.statistics import Options, task_values
    from benchbench.stats.table import TrialState

    table = imputed.table
    if not table.methods or not table.tasks:
        raise InputError("there is nothing to draw: no task is left; see --impute and --task")
    rows = [table.methods.index(m) for m in order if m in table.methods]
    scores = table.task_scores()
    has_ends = [t in ends for t in table.tasks]
    if what is None:
        what = "norm" if all(has_ends) else "rank"
    if what == "norm":
        if not any(has_ends):
            raise InputError("no task has frozen ends, which normalised scores need; try --stat rank")
        values, _ = task_values(table, "norm", Options(ends=ends))
    else:
        values, _ = task_values(imputed, "rank")
    failed, declined = table.count(TrialState.FAILED), table.count(TrialState.DECLINED)
    filled = imputed.imputed.sum(axis=2)

    def state(i: int, j: int) -> str:
        if filled[i, j]:
            return "imputed"
        if not math.isnan(scores[i, j]):
            return "ok"
        return "failed" if failed[i, j] else "declined" if declined[i, j] else "absent"

    n_tasks = len(table.tasks)
    return Heatmap(
        what=what,
        methods=tuple(table.methods[i] for i in rows),
        tasks=table.tasks,
        values=tuple(tuple(None if math.isnan(v) else float(v) for v in values[i]) for i in rows),
        states=tuple(tuple(state(i, j) for j in range(n_tasks)) for i in rows),
    )


def _cell_width(n_tasks: int, methods: Sequence[str]) -> float:
    widest = min(max((len(m) for m in methods), default=0), 44)
    return (WIDTH_INCHES - 1.3 - 0.075 * widest) / max(n_tasks, 1)


def heatmap_figure(found: Heatmap, *, title: str, caption: Sequence[str]) -> Figure:
    """Draw methods against tasks.

    Missing and imputed values are marked by letter and hatching, not by colour alone.
    """
    width = _cell_width(len(found.tasks), found.methods)
    longest = max(len(_short(t, 28)) for t in found.tasks)
    height = max(1.6, 0.27 * len(found.methods) + 0.05 * longest + 0.45)
    lowest, highest = (0.0, 1.0) if found.what == "norm" else (1.0, max(2.0, float(len(found.methods))))
    with mpl.rc_context({**STYLE, "axes.grid": False, "hatch.linewidth": 0.6, "hatch.color": "#8a8a8a"}):
        figure, body = page(height, title, caption)
        used = len(found.tasks) * min(width, MOST_WIDTH)
        spare = len(found.tasks) * width - used
        if spare > 0.5:
            ax, rest = body.subplots(1, 2, gridspec_kw={"width_ratios": (used, spare)})
            rest.remove()
        else:
            ax = body.subplots()
        # light is better: for ranks the map is turned round
        colours = mpl.colormaps[COLOURS if found.what == "norm" else f"{COLOURS}_r"]
        scale = mpl.colors.Normalize(lowest, highest, clip=True)
        for i, (values, states) in enumerate(zip(found.values, found.states, strict=True)):
            for j, (value, state) in enumerate(zip(values, states, strict=True)):
                _draw_cell(
                    ax, (j, i), value, state, colours(scale(value)) if value is not None else None, width, found.what
                )
        ax.set_xlim(-0.5, len(found.tasks) - 0.5)
        ax.set_ylim(len(found.methods) - 0.5, -0.5)
        ax.set_xticks(
            range(len(found.tasks)),
            [_short(t, 28) for t in found.tasks],
            rotation=38,
            ha="left",
            rotation_mode="anchor",
        )
        ax.set_yticks(range(len(found.methods)), [_short(m, 44) for m in found.methods])
        ax.xaxis.tick_top()
        ax.tick_params(length=0, labelsize=8.6 if width > 0.3 else 7)
        for spine in ax.spines.values():
            spine.set_visible(False)
        label = "normalised score" if found.what == "norm" else "rank (1 = best)"
        shade = mpl.cm.ScalarMappable(norm=scale, cmap=colours)
        bar = body.colorbar(
            shade,
            ax=ax,
            label=label,
            extend="both" if found.what == "norm" else "neither",
            aspect=28,
            pad=0.015,
            fraction=0.04,
        )
        if found.what == "rank":
            bar.ax.invert_yaxis()
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=2, labelsize=8)
        settle(figure)
    return figure


def _draw_cell(
    ax: Axes, place: tuple[int, int], value: float | None, state: str, colour: Any, width: float, what: str
) -> None:
    x, y = place
    face = "#F4F4F4" if colour is None else colour
    hatch = "////" if state == "imputed" else HATCHES.get(state, "")
    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", linewidth=1.0))
    if hatch:
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch=hatch, linewidth=0, edgecolor="#8a8a8a"))
    text = MARKS.get(state, "")
    if value is not None:
        text = (_rank_text(value) if what == "rank" else _number_text(value)) + (
            f" {IMPUTED}" if state == "imputed" else ""
        )
    if width < LEAST_WIDTHS[what]:
        text = text if value is None else IMPUTED if state == "imputed" else ""
    if not text:
        return
    # where black and white are equally far from the colour (WCAG 2)
    ink = "black" if colour is None or _luminance(colour) > 0.18 else "white"
    size = min(8.6, 72 * width / (0.66 * max(len(text), 3 if what == "rank" else 4)))
    # a plate behind the letters, so that the hatching does not run through them
    plate = {"boxstyle": "round,pad=0.12", "facecolor": face, "edgecolor": "none"} if hatch else None
    ax.text(x, y, text, ha="center", va="center", fontsize=size, color=ink, bbox=plate)


def _rank_text(value: float) -> str:
    return f"{value:g}"


def _number_text(value: float) -> str:
    if abs(value) >= 9.995:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.2f}".replace("-0.00", "0.00")


def _luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def _short(text: str, longest: int) -> str:
    text = printable(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
