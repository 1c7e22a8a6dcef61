"""Figures of leaderboards: what is drawn of their trials, with the captions they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError
from benchbench.reports.leaderboard import anchor_facts, imputation_facts, splits_line, too_few_methods
from benchbench.reports.text import sentence
from benchbench.stats.labels import listed
from benchbench.stats.statistics import N_BOOTSTRAP, STATISTICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchbench.stats.frontier import CostPanel
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.stats.trials import Conditions
    from benchbench.suite_files import SuiteSpec

__all__ = [
    "BOARD_KINDS",
    "MOST_PANELS",
    "Drawing",
    "board_drawing",
    "cost_panels_of",
    "drawn_panels",
    "facts_of",
    "marks_of",
    "most_cost_panels",
    "over",
    "splits_of",
]

MOST_PANELS = 13
"""Of one figure: the whole suite and a dozen tasks."""

MOST_POINTS = 320
"""Of score against cost, in all panels: their labels take most of the time and memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure that can be drawn, its title and caption, and the numbers in it as plain data."""

    kind: str
    title: str
    caption: Sequence[str]
    data: dict[str, Any]
    draw: Callable[[], Figure]


def board_drawing(kind: str, suite: SuiteSpec, board: Leaderboard, *, statistic: str | None = None) -> Drawing:
    """Return the figure of a leaderboard: one of `BOARD_KINDS`.

    Parameters
    ----------
    statistic : str, optional
        For "heatmap": "norm" or "rank".

    Raises
    ------
    InputError
        If it cannot be drawn of these results.
    """
    return BOARD_KINDS[kind](suite, board, statistic)


def _cd(suite: SuiteSpec, board: Leaderboard, _: str | None) -> Drawing:
    from benchbench.plots.critical_difference import critical_difference, critical_difference_figure

    found = critical_difference(board.imputed.ranked(), alpha=board.alpha)
    title = f"{suite.title}: critical differences"
    caption = [*_head(suite, board), *found.sentences(), *_tail(suite, board)]
    return Drawing(
        kind="cd",
        title=title,
        caption=caption,
        data=found.to_dict(),
        draw=lambda: critical_difference_figure(found, title=title, caption=caption),
    )


def _heatmap(suite: SuiteSpec, board: Leaderboard, statistic: str | None) -> Drawing:
    from benchbench.plots.heatmap import heatmap, heatmap_figure

    found = heatmap(board.imputed, statistic, board.suite.ends(), board.methods)
    title = f"{suite.title}: methods and tasks"
    what = "Ranks on each task, 1 = best."
    if found.what == "norm":
        what = (
            f"Normalised scores, 0 = {suite.scores.baseline}, 1 = {suite.scores.reference}, frozen in the suite file; colours end at"
            " 0 and 1, the numbers do not."
        )
    caption = [*_head(suite, board), f"{what} Methods by mean rank.", *found.sentences(), *_tail(suite, board)]
    return Drawing(
        kind="heatmap",
        title=title,
        caption=caption,
        data=found.to_dict(),
        draw=lambda: heatmap_figure(found, title=title, caption=caption),
    )


def _by_statistic(suite: SuiteSpec, board: Leaderboard, statistic: str) -> Drawing:
    from benchbench.plots.ratings import goes_beyond, values_figure, win_rate_figure
    from benchbench.stats.elo import MEAN_RATING
    from benchbench.stats.pairwise import verdict_on
    from benchbench.stats.wins import win_matrix

    kind = STATISTICS[statistic]
    found = board.values(statistic)
    shown = {v.method: v.n_tasks for v in found if v.value is not None}
    if too_few := too_few_methods(kind, found):
        raise InputError(too_few)
    n_tasks = len(board.imputed.table.tasks)
    caption = [
        *_head(suite, board),
        f"{kind.help}; {kind.direction}. {verdict_on(board, statistic).sentence} "
        f"Intervals: 95 %, {N_BOOTSTRAP} bootstrap resamples of the tasks, widened for their small number."
        + (
            " Hollow points: no interval can be had, with fewer than two tasks."
            if any(s.low is None for s in found)
            else ""
        )
        + (" Arrows: the interval goes on beyond the axis." if statistic == "elo" and goes_beyond(found) else ""),
    ]
    few = [f"{m} ({n}/{n_tasks})" for m, n in shown.items() if n < n_tasks]
    if few:
        caption.append(f"On fewer tasks than there are: {listed(few)}.")
    without = [s.method for s in found if s.value is None]
    if without:
        caption.append(f"Without a value: {listed(without)}.")
    if any(s.imputed_share for s in found):
        caption.append("(i): share of a method's scores that are imputed.")
    caption += _tail(suite, board)
    title = f"{suite.title}: {kind.title}"
    data: dict[str, Any] = {"values": [v.to_dict() for v in found]}
    if statistic == "winrate":
        matrix = win_matrix(board.imputed.ranked().select(methods=list(shown)))
        data |= {"methods": list(matrix.methods)}
        data |= {name: getattr(matrix, name).tolist() for name in ("wins", "ties", "losses")}
        return Drawing(
            kind=statistic,
            title=title,
            caption=caption,
            data=data,
            draw=lambda: win_rate_figure(found, matrix, title=title, caption=caption),
        )
    centre = None
    if statistic == "elo":
        centre = MEAN_RATING if board.anchor is None else board.anchor[1]
        data |= anchor_facts(board)
        if board.anchor is not None:
            caption.append(sentence(found[0].notes[0]))
    return Drawing(
        kind=statistic,
        title=title,
        caption=caption,
        data=data,
        draw=lambda: values_figure(found, name=kind.title, title=title, caption=caption, centre=centre),
    )


def _elo(suite: SuiteSpec, board: Leaderboard, _: str | None) -> Drawing:
    return _by_statistic(suite, board, "elo")


def _win_rate(suite: SuiteSpec, board: Leaderboard, _: str | None) -> Drawing:
    return _by_statistic(suite, board, "winrate")


def _pareto(suite: SuiteSpec, board: Leaderboard, _: str | None) -> Drawing:
    from benchbench.plots.pareto import pareto_figure

    panels, caption = cost_panels_of(suite, board)
    if not panels:
        raise InputError("no trial that succeeded has seconds")
    data = {"panels": [p.to_dict() for p in panels]}
    if len(panels) > most_cost_panels(panels):
        panels = [p for p in panels if p.task is None]
        if not panels:
            raise InputError("too many tasks for a panel each, and they share no scale: name some with --task")
        caption.append("Too many tasks for a panel each: `bench plot pareto --task` draws those that are named.")
    caption = [*caption, *map(sentence, board.notes)]
    title = f"{suite.title}: score against cost"
    return Drawing(
        kind="pareto",
        title=title,
        caption=caption,
        data=data,
        draw=lambda: pareto_figure(panels, title=title, caption=caption, mixes_hardware=len(board.hardware) > 1),
    )


BOARD_KINDS: dict[str, Callable[[SuiteSpec, Leaderboard, str | None], Drawing]] = {
    "cd": _cd,
    "heatmap": _heatmap,
    "elo": _elo,
    "winrate": _win_rate,
    "pareto": _pareto,
}


def _head(suite: SuiteSpec, board: Leaderboard) -> list[str]:
    if board.conditions is None:
        return []
    facts = imputation_facts(board)
    n_methods, n_tasks, _ = board.imputed.table.shape
    n_seeds = sorted(
        {int(n) for n in (board.imputed.table.scores == board.imputed.table.scores).sum(axis=2).ravel() if n}
    )
    trials = "" if not n_seeds else f"{n_seeds[0]}" + (f" to {n_seeds[-1]}" if len(n_seeds) > 1 else "")
    return [
        facts_of(suite, board.conditions),
        f"n = {n_methods} methods, {n_tasks} task{'' if n_tasks == 1 else 's'}, "
        f"{trials or 'no'} trial{'' if trials == '1' else 's'} of each. "
        f"Imputation {facts['imputation']}: {facts['imputed']}. Left out: {board.n_left_out} trial{'' if board.n_left_out == 1 else 's'}.",
    ]


def _tail(suite: SuiteSpec, board: Leaderboard) -> list[str]:
    return [*splits_of(suite, board), *map(sentence, board.notes)]


def cost_panels_of(suite: SuiteSpec, board: Leaderboard) -> tuple[Sequence[CostPanel], list[str]]:
    """Return the panels of score against cost, and what must be said of them."""
    from benchbench.stats.frontier import cost_panels

    if board.conditions is None:
        return [], []
    panels = cost_panels(board)
    points = [p for panel in panels for p in panel.points]
    of_tasks = {(p.unit, p.n) for panel in panels if panel.task is not None for p in panel.points}
    caption = [
        facts_of(suite, board.conditions),
        f"Bars: 95 % intervals over {over(of_tasks)}."
        + (
            " Points without a bar: a part of the score is imputed, or no interval is known."
            if any(p.ci95 is None for p in points)
            else ""
        ),
    ]
    whole = next((p for p in panels if p.task is None), None)
    if whole is not None:
        scale = ""
        if "normalised" in whole.metric:
            scale = f", 0 = {suite.scores.baseline}, 1 = {suite.scores.reference}"
        caption.append(
            f"Whole suite: {whole.metric.replace('_', ' ')} over tasks{scale}, against the tasks' seconds together."
        )
        common = next((p for p in panels if p.is_common), None)
        if common is not None:
            caption.append(
                f"Common tasks: the {len(common.tasks)} of {len(whole.tasks)} tasks on which every method has a score."
            )
    elif len(panels) > 1:
        caption.append("No panel of the whole suite: its tasks have different metrics and no frozen ends.")
    caption += marks_of(points, in_labels=True)
    if any(p.n_failed_tasks for p in points):
        caption.append(
            "A method with a task on which every trial failed is never on the front: what those trials would have cost is not"
            " known."
        )
    without = dict.fromkeys(
        line for panel in panels if panel.task is None or len(panels) == 1 for line in panel.left_out
    )
    if without:
        caption.append(f"Not drawn: {listed(list(without), separator='; ')}.")
    return panels, [*caption, *splits_of(suite, board)]


def most_cost_panels(panels: Sequence[Any]) -> int:
    """Return how many panels of score against cost one figure can hold; at least one."""
    return max(1, min(MOST_PANELS, MOST_POINTS // max((len(p.points) for p in panels), default=1)))


def drawn_panels(kind: str, panels: Sequence[Any], *, most: int = MOST_PANELS) -> tuple[Sequence[Any], list[str]]:
    """Return the panels that one figure can hold, at most `most`, and a sentence on the others."""
    if len(panels) <= most:
        return panels, []
    drawn = panels[:most]
    n_drawn, n_all = (sum(p.task is not None for p in some) for some in (drawn, panels))
    return drawn, [
        f"Drawn: the first {n_drawn} of {n_all:,} tasks; `bench plot {kind} --task` draws those that are named."
    ]


def over(counts: set[tuple[str, int]]) -> str:
    """Return what intervals were taken over: "200 episodes", "3 to 5 seeds"."""
    parts = []
    for unit in sorted({u for u, _ in counts if u and u != "mixed"}):
        own = sorted(n for u, n in counts if u == unit)
        number = f"{own[0]:,}" if own[0] == own[-1] else f"{own[0]:,} to {own[-1]:,}"
        parts.append(f"{number} {unit}{'' if own[-1] == 1 else 's'}")
    return " or ".join(parts) or "nothing"


def facts_of(suite: SuiteSpec, group: Conditions) -> str:
    """Return what all results of a leaderboard have in common, as a sentence."""
    return f"Suite {suite.name} {group.suite_version}, {group.in_words()}."


def marks_of(shown: Sequence[Any], *, in_labels: bool) -> list[str]:
    """Say which methods bear a mark: in their labels, or here by name."""
    texts = {
        "is_transductive": ("t", "transductive"),
        "is_shared": ("s", "seconds hold training that was done once, in another trial"),
        "is_imputed": (
            "i",
            "share of the score that is imputed, since trials failed"
            if in_labels
            else "some seeds failed, and their scores are imputed",
        ),
    }
    found = []
    for name, (mark, text) in texts.items():
        labels = sorted({x.label for x in shown if getattr(x, name)})
        if labels:
            found.append(f"({mark}) {text}" if in_labels else f"{text[:1].upper()}{text[1:]}: {listed(labels)}")
    return [". ".join(found) + "."] if found else []


def splits_of(suite: SuiteSpec, board: Leaderboard) -> list[str]:
    """Say as a sentence which splits were generated by this project."""
    line = splits_line(suite, board)
    return [f"{line[0].upper()}{line[1:]}."] if line else []
