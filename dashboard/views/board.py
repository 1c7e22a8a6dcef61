"""The leaderboard: methods by one statistic, with intervals, what was imputed, and what each number rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.dashboard.markup import Cell, Column, Table, badge, interval_bar, link, strip
from benchbench.dashboard.theme import styled
from benchbench.dashboard.views.common import duration, metric_label, number, percent
from benchbench.reports.standings import board_standings, task_standings
from benchbench.stats.labels import params_of, plural
from benchbench.stats.statistics import task_ranks, win_matrix
from benchbench.stats.table import State

if TYPE_CHECKING:
    from benchbench.cards import MethodCard
    from benchbench.dashboard.data import BoardData, Filters
    from benchbench.dashboard.queries import Provenance
    from benchbench.stats.imputation import Imputed
    from benchbench.stats.leaderboard import Row
    from benchbench.stats.statistics import Standing

__all__ = [
    "STATISTIC_HELP",
    "STATISTIC_LABELS",
    "View",
    "board_records",
    "make_view",
    "standings_table",
    "statistic_text",
    "task_heatmap",
    "task_table",
    "verified",
    "win_heatmap",
]

STATISTIC_LABELS = {
    "rank": "Mean rank",
    "elo": "Elo rating",
    "winrate": "Win rate",
    "norm": "Normalised score",
    "improvability": "Improvability",
    "mrr": "Mean reciprocal rank",
}
STATISTIC_HELP = {
    "rank": "Mean over tasks of the rank, 1 = best. Lower is better.",
    "elo": "Bradley-Terry strength from wins on tasks; mean 1000, 400 points are odds of ten to one. Higher is better.",
    "winrate": "Share of comparisons with the other methods that are won, ties by half. Higher is better.",
    "norm": "Score with 0 = the suite's baseline and 1 = its reference, mean over tasks. Higher is better.",
    "improvability": "By how much the error could fall to be the best one's, mean over tasks. Lower is better.",
    "mrr": "Mean over tasks of 1 / rank. Higher is better.",
}
# bars a task are too thin to see beyond
MOST_STRIP_TASKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A board as the reader's choices show it: the methods that pass the filters, ranked among themselves."""

    data: BoardData
    statistic: str
    imputed: Imputed
    standings: list[Standing]
    labels: list[str]


def make_view(data: BoardData, statistic: str, filters: Filters, known: Mapping[str, MethodCard]) -> View:
    """Return what the filters leave of a board, by one statistic, with intervals.

    Raises
    ------
    InputError
        If the statistic cannot be had of this suite.
    """
    labels = data.labels(filters, known)
    imputed = data.imputed(labels, filters.tasks)
    found = board_standings(imputed, data.suite.spec, data.board, statistic) if labels and imputed.grid.tasks else []
    return View(data=data, statistic=statistic, imputed=imputed, standings=found, labels=labels)


def statistic_text(statistic: str, value: float | None) -> str:
    """Return a value of the statistic as it is written: ratings whole, shares in per cent, ranks with two decimals."""
    if statistic == "elo":
        return number(value, 0)
    if statistic in ("winrate", "improvability"):
        return percent(value, 1)
    return number(value, 2 if statistic == "rank" else 3)


def verified(source: Provenance | None, current: str | None, is_current_suite: bool) -> tuple[bool, str]:
    """Return whether a row may bear the badge "verified", and why (not).

    It says where the numbers come from, not that they are right: every counted trial ran code of a known commit without
    uncommitted changes, with the adapter's source as it is installed here now, on the suite's present version.
    """
    if source is None or not source.n_trials:
        return False, "no trial that counts"
    reasons = []
    if source.n_clean < source.n_trials:
        reasons.append(
            f"{plural(source.n_trials - source.n_clean, 'trial')} of {source.n_trials} ran uncommitted or unknown code"
        )
    if current is None:
        reasons.append("the method is not installed here, so that its source cannot be compared")
    elif source.sources != (current,):
        reasons.append("the adapter's source has changed since")
    if not is_current_suite:
        reasons.append("the suite has a newer version")
    if reasons:
        return False, "not verified: " + "; ".join(reasons)
    return True, "verified: committed code, the adapter's present source, the suite's present version"


def standings_table(view: View, current_sources: Mapping[str, str]) -> Table:
    """Return the board; `current_sources` are the source hashes of the installed adapters, by method."""
    data, name = view.data, STATISTIC_LABELS[view.statistic]
    known = [v for s in view.standings for v in (s.value, s.low, s.high) if v is not None]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    pad = (ends[1] - ends[0]) * 0.04 or 0.5
    ends = (ends[0] - pad, ends[1] + pad)
    heights, titles = _strips(view)
    facts = _facts(view)
    n_tasks = len(view.imputed.grid.tasks)
    table = Table(
        caption=f"{plural(len(view.standings), 'method')} by {_in_words(name)}, best first",
        columns=[
            Column("#", is_number=True, help="Place; equal values share their mean place"),
            Column("Method"),
            Column(name, is_number=True, help=STATISTIC_HELP[view.statistic]),
            Column(
                "95 % interval", help=f"Bootstrap over {plural(n_tasks, 'task')}: how far it would move on other tasks"
            ),
            Column("Low to high", is_number=True, is_wide=True),
            Column("Tasks", is_number=True, help="Tasks with a score, of those shown"),
            Column("Rank by task", is_wide=True, help="One bar a task, the higher the better; a dotted line: no score"),
            Column("Failed", is_number=True, is_wide=True, help="Trials that failed, crashed or hit a limit"),
            Column("Imputed", is_number=True, help="Share of the scores behind the number that stand for failures"),
            Column("Time", is_number=True, is_wide=True, help="Timed seconds, mean over seeds, summed over tasks"),
        ],
        heading=1,
    )
    for s in view.standings:
        method, params = data.keys[s.method]
        own = facts[s.method]
        text = f"{name} {statistic_text(view.statistic, s.value)}"
        span = "—"
        if s.low is not None and s.high is not None:
            span = f"{statistic_text(view.statistic, s.low)} to {statistic_text(view.statistic, s.high)}"
            text += f", 95 % interval {span}"
        table.rows.append(
            [
                Cell("—" if s.place is None else f"{s.place:g}"),
                _method_cell(data, s.method, method, params, current_sources),
                Cell(statistic_text(view.statistic, s.value)),
                Cell("", interval_bar(s.value, s.low, s.high, ends, text)),
                Cell(span),
                Cell(f"{s.n_tasks}/{n_tasks}"),
                Cell("", strip(heights[s.method], titles, _strip_text(heights[s.method])) if titles else ""),
                Cell(str(own["n_failed"])),
                Cell(percent(s.imputed_share) if s.imputed_share else "0 %"),
                Cell(duration(own["seconds"])),
            ]
        )
    return table


def _in_words(title: str) -> str:
    """Return a title as it stands in a sentence: "Elo" keeps its capital."""
    return title if title.startswith("Elo") else f"{title[:1].lower()}{title[1:]}"


def _method_cell(data: BoardData, label: str, method: str, params: str, current_sources: Mapping[str, str]) -> Cell:
    group = data.board.group
    is_ok, why = verified(
        data.sources.get((method, params)),
        current_sources.get(method),
        data.suite.is_known and group is not None and group.suite_version == data.suite.spec.version,
    )
    base = link(label, "method", method=method)
    extra = badge("✓ verified", "good", why) if is_ok else ""
    if label in data.transductive:
        extra += badge("transductive", "", "A query's prediction uses the episode's other queries")
    return Cell(label, base.html + extra)


def _strips(view: View) -> tuple[dict[str, list[float | None]], list[str]]:
    """Return, by method, the height of each task's bar (1 = first place), and the tasks' names; nothing of very many tasks."""
    grid = view.imputed.grid
    if not 2 <= len(grid.tasks) <= MOST_STRIP_TASKS:
        return {method: [] for method in grid.methods}, []
    ranks = task_ranks(view.imputed)
    most = np.nanmax(ranks, axis=0, initial=1.0)
    heights: dict[str, list[float | None]] = {}
    for i, method in enumerate(grid.methods):
        heights[method] = [
            None if np.isnan(r) else float(1.0 - (r - 1.0) / m) for r, m in zip(ranks[i], most, strict=True)
        ]
    return heights, list(grid.tasks)


def _strip_text(heights: Sequence[float | None]) -> str:
    first = sum(h is not None and h > 0.999 for h in heights)
    return f"first place on {first} of {plural(len(heights), 'task')}"


def _facts(view: View) -> dict[str, dict[str, Any]]:
    grid = view.imputed.grid
    failed = grid.count(State.FAILED).sum(axis=1)
    declined = (grid.count(State.DECLINED) > 0).sum(axis=1)
    n_ok = grid.count(State.OK)
    seconds = grid.task_seconds()
    totals = np.full(len(grid.methods), np.nan)
    if seconds is not None:
        # of published results nobody may have said how long they took; that is not no time at all
        totals = np.where(np.isnan(seconds).all(axis=1), np.nan, np.nansum(seconds, axis=1))
    return {
        method: {
            "n_failed": int(failed[i]),
            "n_tasks_declined": int(declined[i]),
            "n_ok": int(n_ok[i].sum()),
            "n_tasks_ok": int((n_ok[i] > 0).sum()),
            "seconds": None if np.isnan(totals[i]) else float(totals[i]),
        }
        for i, method in enumerate(grid.methods)
    }


def board_records(view: View) -> list[dict[str, Any]]:
    """Return the board as plain data, for a download; one record a method, with what it has in common with the others."""
    data, group = view.data, view.data.board.group
    facts = _facts(view)
    common: dict[str, Any] = {"suite": data.suite.spec.name}
    if group is not None:
        common |= {
            "suite_version": group.suite_version,
            "protocol_version": group.protocol_version,
            "preset": group.preset,
            "test_units": group.test_units,
            "threads": group.threads,
            "device": group.device,
        }
    records = []
    for s in view.standings:
        method, params = data.keys[s.method]
        records.append(
            common
            | {
                "statistic": view.statistic,
                "imputation": data.board.imputation,
                "method": method,
                "params": params_of(params),
                "place": s.place,
                "value": s.value,
                "low": s.low,
                "high": s.high,
                "n_tasks": s.n_tasks,
                "n_tasks_shown": len(view.imputed.grid.tasks),
                "imputed_share": s.imputed_share,
                "transductive": s.method in data.transductive,
            }
            | facts[s.method]
            | {"notes": list(s.notes)}
        )
    return records


def task_table(data: BoardData, task: str, labels: Sequence[str] | None = None) -> Table:
    """Return all methods on one task, best first, as the command line shows them."""
    rows = [r for r in data.board.rows if r.task == task and (labels is None or r.label in labels)]
    known = [v for r in rows if r.score is not None for v in (r.score - (r.ci95 or 0.0), r.score + (r.ci95 or 0.0))]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    pad = (ends[1] - ends[0]) * 0.04 or 0.5
    metric = metric_label(data.metrics.get(task, ""))
    table = Table(
        caption=f"{task}: {metric} (higher is better)",
        columns=[
            Column("#", is_number=True),
            Column("Method"),
            Column("Score", is_number=True, help=metric),
            Column("± 95 %", is_number=True, help="Half-width of Student's t interval"),
            Column("95 % interval"),
            Column("n", is_number=True, is_wide=True, help="What the interval was taken over"),
            Column("Failed", is_number=True, is_wide=True),
            Column("Imputed", is_number=True),
            Column("Time", is_number=True, is_wide=True, help="Timed seconds a trial"),
        ],
        heading=1,
    )
    table.rows = [_task_row(row, (ends[0] - pad, ends[1] + pad)) for row in rows]
    return table


def _task_row(row: Row, ends: tuple[float, float]) -> list[Cell]:
    low = None if row.ci95 is None or row.score is None else row.score - row.ci95
    high = None if row.ci95 is None or row.score is None else row.score + row.ci95
    name = link(row.label, "method", method=row.method)
    marks = ""
    if row.n_declined and not row.n_ok:
        marks += badge("declined", "", "The method has no form for this task; that is no failure")
    if row.n_lost:
        marks += badge(f"{row.n_lost} lost", "bad", "Lost with their workers; run again by the same command")
    if row.n_shared:
        marks += badge("training shared", "", "The seconds hold meta-training that was done once, in another trial")
    return [
        Cell("—" if row.rank is None else f"{row.rank:g}"),
        Cell(row.label, name.html + marks),
        Cell(number(row.score, 4)),
        Cell(number(row.ci95, 4)),
        Cell("", interval_bar(row.score, low, high, ends, f"score {number(row.score, 4)} ± {number(row.ci95, 4)}")),
        Cell(row.n_in_words),
        Cell(str(row.n_failed)),
        Cell(percent(row.imputed_share) if row.n_imputed else "0 %"),
        Cell(duration(row.seconds)),
    ]


def win_heatmap(view: View) -> Any:
    """Draw which share of common tasks the method of the row wins against that of the column."""
    import plotly.graph_objects as go

    order = [s.method for s in view.standings]
    matrix = win_matrix(view.imputed)
    place = {m: i for i, m in enumerate(matrix.methods)}
    index = [place[m] for m in order]
    rates = matrix.rates()[np.ix_(index, index)]
    counts = np.stack([m[np.ix_(index, index)] for m in (matrix.wins, matrix.ties, matrix.losses)], axis=-1)
    show_text = len(order) <= 16
    figure = go.Figure(
        go.Heatmap(
            z=100 * rates,
            x=order,
            y=order,
            customdata=counts,
            zmin=0,
            zmax=100,
            zmid=50,
            colorscale=[[0, "#d55e00"], [0.5, "#f5f5f5"], [1, "#0072b2"]],
            texttemplate="%{z:.0f}" if show_text else None,
            colorbar={"title": {"text": "% won", "side": "right"}, "thickness": 12},
            hovertemplate="%{y} against %{x}<br>%{customdata[0]} won, %{customdata[1]} tied, %{customdata[2]} lost<extra></extra>",
            hoverongaps=False,
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickangle=-45, side="bottom")
    return styled(figure, height=140 + 30 * max(len(order), 4), legend=False)


def task_heatmap(view: View) -> Any:
    """Draw the rank of each method on each task."""
    import plotly.graph_objects as go

    order = [s.method for s in view.standings]
    grid = view.imputed.grid
    place = {m: i for i, m in enumerate(grid.methods)}
    index = [place[m] for m in order]
    ranks = task_ranks(view.imputed)[index]
    scores = grid.task_scores()[index]
    show_text = ranks.size <= 400
    figure = go.Figure(
        go.Heatmap(
            z=ranks,
            x=list(grid.tasks),
            y=order,
            customdata=scores,
            colorscale=[[0, "#0072b2"], [1, "#f5f5f5"]],
            texttemplate="%{z:.3~g}" if show_text else None,
            colorbar={"title": {"text": "rank", "side": "right"}, "thickness": 12},
            hovertemplate="%{y} on %{x}<br>rank %{z:.3~g}, score %{customdata:.4g}<extra></extra>",
            hoverongaps=False,
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickangle=-45)
    return styled(figure, height=150 + 28 * max(len(order), 4), legend=False)


def task_places(view: View, statistic: str) -> dict[str, list[Standing]]:
    """Return the methods by the statistic on each task alone."""
    return task_standings(view.imputed, view.data.suite.spec, view.data.board, statistic)
