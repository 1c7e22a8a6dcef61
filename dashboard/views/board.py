"""The leaderboard: methods by one statistic, with intervals.

It shows what was imputed, and what each number is computed from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable, badge, interval_bar, link, strip
from benchbench.dashboard.theme import styled
from benchbench.dashboard.views.common import duration, first_up, imputed_text, metric_label, number, percent
from benchbench.reports.leaderboard import value_records
from benchbench.stats.labels import plural
from benchbench.stats.pairwise import verdict_on
from benchbench.stats.statistics import NOT_RANKED, STATISTICS, task_values
from benchbench.stats.wins import win_matrix

if TYPE_CHECKING:
    from benchbench.cards import MethodCard
    from benchbench.dashboard.data import BoardData, Filters
    from benchbench.dashboard.queries import Provenance
    from benchbench.stats.leaderboard import Leaderboard, Row
    from benchbench.stats.pairwise import Verdict
    from benchbench.stats.statistics import StatisticValue

__all__ = [
    "View",
    "board_records",
    "leaderboard_table",
    "make_view",
    "statistic_text",
    "task_heatmap",
    "task_table",
    "verified",
    "win_heatmap",
]

# with more tasks than these, one bar per task is too thin to see
MOST_STRIP_TASKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A leaderboard as the reader's choices show it.

    It has the methods that pass the filters, ranked among themselves.
    """

    data: BoardData
    statistic: str
    board: Leaderboard
    values: list[StatisticValue]
    labels: list[str]
    verdict: Verdict | None


def make_view(data: BoardData, statistic: str, filters: Filters, known: Mapping[str, MethodCard]) -> View:
    """Return what the filters leave of a leaderboard, by one statistic, with intervals.

    Raises
    ------
    InputError
        If the statistic cannot be had of this suite.
    """
    labels = data.labels(filters, known)
    board = data.part(labels, filters.tasks)
    if not labels or not board.imputed.table.tasks:
        return View(data=data, statistic=statistic, board=board, values=[], labels=labels, verdict=None)
    values = board.values(statistic)
    verdict = verdict_on(board, statistic)
    return View(data=data, statistic=statistic, board=board, values=values, labels=labels, verdict=verdict)


def statistic_text(statistic: str, value: float | None) -> str:
    """Return a value of the statistic as pages write it: shares in per cent."""
    kind = STATISTICS[statistic]
    return percent(value, 1) if kind.is_share else number(value, kind.digits)


def verified(source: Provenance | None, current: str | None, is_current_suite: bool) -> tuple[bool, str]:
    """Return whether a row may bear the badge "verified", and why (not).

    The badge says where the numbers come from, not that they are right. Every counted trial ran
    code of a known commit without uncommitted changes, on the suite's present version. The
    adapter's source was the one that is installed here now.
    """
    if source is None or not source.n_trials:
        return False, "no counted trial"
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


def leaderboard_table(view: View, current_sources: Mapping[str, str]) -> HtmlTable:
    """Return the leaderboard.

    `current_sources` has the source hash of the installed adapter per method.
    """
    data, kind = view.data, STATISTICS[view.statistic]
    name = kind.heading
    known = [v for s in view.values for v in (s.value, s.low, s.high) if v is not None]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    pad = (ends[1] - ends[0]) * 0.04 or 0.5
    ends = (ends[0] - pad, ends[1] + pad)
    heights = _strips(view)
    rows = {r.label: r for r in view.board.overall}
    n_tasks = len(view.board.imputed.table.tasks)
    table = HtmlTable(
        caption=f"{plural(len(view.values), 'method')} by {kind.title}, best first",
        columns=[
            HtmlColumn("#", is_number=True, help="Rank; equal values share their mean rank"),
            HtmlColumn("Method"),
            HtmlColumn(name, is_number=True, help=f"{kind.help}. {first_up(kind.direction)}."),
            HtmlColumn(
                "95 % interval", help=f"Bootstrap over {plural(n_tasks, 'task')}: how far it would move on other tasks"
            ),
            HtmlColumn("Low to high", is_number=True, is_wide=True),
            HtmlColumn("Tasks", is_number=True, help="Tasks with a score, of those shown"),
            HtmlColumn(
                "Rank by task", is_wide=True, help="One bar per task, the higher the better; a dotted line: no score"
            ),
            HtmlColumn("Failed", is_number=True, is_wide=True, help="Trials that failed, crashed or hit a limit"),
            HtmlColumn("Imputed", is_number=True, help="Share of the scores behind the number that stand for failures"),
            HtmlColumn("Time", is_number=True, is_wide=True, help="Timed seconds, mean over seeds, summed over tasks"),
        ],
        heading=1,
    )
    for s in view.values:
        method, params = data.keys[s.method]
        own = rows[s.method]
        text = f"{name} {statistic_text(view.statistic, s.value)}"
        span = "—"
        if s.low is not None and s.high is not None:
            span = f"{statistic_text(view.statistic, s.low)} to {statistic_text(view.statistic, s.high)}"
            text += f", 95 % interval {span}"
        table.rows.append(
            [
                HtmlCell("—" if s.rank is None else f"{s.rank:g}"),
                _method_cell(view, s.method, method, params, current_sources),
                HtmlCell(statistic_text(view.statistic, s.value)),
                HtmlCell("", interval_bar(s.value, s.low, s.high, ends, text)),
                HtmlCell(span),
                HtmlCell(f"{s.n_tasks}/{n_tasks}"),
                HtmlCell("", strip(*heights[s.method]) if s.method in heights else ""),
                HtmlCell(str(own.n_failed)),
                HtmlCell(imputed_text(s.imputed_share)),
                HtmlCell(duration(own.seconds)),
            ]
        )
    return table


def _method_cell(view: View, label: str, method: str, params: str, current_sources: Mapping[str, str]) -> HtmlCell:
    data, group = view.data, view.data.board.conditions
    is_ok, why = verified(
        data.sources.get((method, params)),
        current_sources.get(method),
        data.suite.is_known and group is not None and group.suite_version == data.suite.spec.version,
    )
    base = link(label, "method", method=method)
    extra = badge("✓ verified", "good", why) if is_ok else ""
    if view.verdict is not None and view.verdict.alike and label in view.verdict.group:
        extra += badge("≈ first", "", "Not distinguishable from the first")
    if any(v.method == label and NOT_RANKED in v.notes for v in view.values):
        extra += badge("not ranked", "bad", "Every trial failed: there is nothing to rank but imputed scores")
    if label in data.transductive:
        extra += badge("transductive", "", "A query's prediction uses the episode's other queries")
    return HtmlCell(label, base.html + extra)


_Strip = tuple[list[float | None], list[str], str]


def _strips(view: View) -> dict[str, _Strip]:
    """Return the bars of each method: their heights, their titles and a text.

    There is one bar per task, and 1 is the first rank. The text says the same in words. Nothing is
    returned for very many tasks.
    """
    table = view.board.imputed.table
    if not 2 <= len(table.tasks) <= MOST_STRIP_TASKS:
        return {}
    ranks = task_values(view.board.imputed, "rank")[0]
    is_imputed = np.asarray(view.board.imputed.imputed.any(axis=2))
    most = np.nanmax(ranks, axis=0, initial=1.0)
    found: dict[str, _Strip] = {}
    for i, method in enumerate(table.methods):
        heights = [None if np.isnan(r) else float(1.0 - (r - 1.0) / m) for r, m in zip(ranks[i], most, strict=True)]
        titles = [
            f"{task}: {'no score' if np.isnan(r) else f'rank {r:g}'}{', imputed' if made_up else ''}"
            for task, r, made_up in zip(table.tasks, ranks[i], is_imputed[i], strict=True)
        ]
        found[method] = (heights, titles, _strip_text(heights))
    return found


def _strip_text(heights: Sequence[float | None]) -> str:
    first = sum(h is not None and h > 0.999 for h in heights)
    return f"ranks first on {first} of {plural(len(heights), 'task')}"


def board_records(view: View) -> list[dict[str, Any]]:
    """Return the leaderboard as plain data for a download, as `bench leaderboard --format json`."""
    return value_records(view.data.suite.spec, view.board, view.statistic, view.values, verdict=view.verdict)


def task_table(board: Leaderboard, task: str) -> HtmlTable:
    """Return all methods on one task, best first, as the command line shows them."""
    rows = board.rows_of(task)
    known = [v for r in rows if r.score is not None for v in (r.score - (r.ci95 or 0.0), r.score + (r.ci95 or 0.0))]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    pad = (ends[1] - ends[0]) * 0.04 or 0.5
    metric = metric_label(board.metrics.get(task, ""))
    table = HtmlTable(
        caption=f"{task}: {metric} (higher is better)",
        columns=[
            HtmlColumn("#", is_number=True),
            HtmlColumn("Method"),
            HtmlColumn("Score", is_number=True, help=metric),
            HtmlColumn("± 95 %", is_number=True, help="Half-width of Student's t interval"),
            HtmlColumn("95 % interval"),
            HtmlColumn("n", is_number=True, is_wide=True, help="What the interval was taken over"),
            HtmlColumn("Failed", is_number=True, is_wide=True),
            HtmlColumn("Imputed", is_number=True),
            HtmlColumn("Time", is_number=True, is_wide=True, help="Timed seconds per trial"),
        ],
        heading=1,
    )
    table.rows = [_task_row(row, (ends[0] - pad, ends[1] + pad)) for row in rows]
    return table


def _task_row(row: Row, ends: tuple[float, float]) -> list[HtmlCell]:
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
        HtmlCell("—" if row.rank is None else f"{row.rank:g}"),
        HtmlCell(row.label, name.html + marks),
        HtmlCell(number(row.score, 4)),
        HtmlCell(number(row.ci95, 4)),
        HtmlCell("", interval_bar(row.score, low, high, ends, f"score {number(row.score, 4)} ± {number(row.ci95, 4)}")),
        HtmlCell(row.n_in_words),
        HtmlCell(str(row.n_failed)),
        HtmlCell(imputed_text(row.imputed_share)),
        HtmlCell(duration(row.seconds)),
    ]


def win_heatmap(view: View) -> Any:
    """Draw which share of common tasks the method of the row wins against that of the column."""
    import plotly.graph_objects as go

    order = [s.method for s in view.values if s.rank is not None]
    matrix = win_matrix(view.board.imputed.ranked())
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
    """Draw the rank of each method on each task; what is imputed bears an "i"."""
    import plotly.graph_objects as go

    order = [s.method for s in view.values]
    table = view.board.imputed.table
    place = {m: i for i, m in enumerate(table.methods)}
    index = [place[m] for m in order]
    ranks = task_values(view.board.imputed, "rank")[0][index]
    scores = table.task_means()[index]
    is_imputed = view.board.imputed.imputed[index].any(axis=2)
    show_text = ranks.size <= 400
    texts = np.array([["" if np.isnan(r) else f"{r:g}" for r in row] for row in ranks], dtype=object)
    texts = np.where(is_imputed, texts + " i", texts)
    says = np.where(is_imputed, ", imputed", "")
    figure = go.Figure(
        go.Heatmap(
            z=ranks,
            x=list(table.tasks),
            y=order,
            text=texts,
            customdata=np.stack([scores.astype(object), says.astype(object)], axis=-1),
            colorscale=[[0, "#0072b2"], [1, "#f5f5f5"]],
            texttemplate="%{text}" if show_text else None,
            colorbar={"title": {"text": "rank", "side": "right"}, "thickness": 12},
            hovertemplate="%{y} on %{x}<br>rank %{text}, score %{customdata[0]:.4g}%{customdata[1]}<extra></extra>",
            hoverongaps=False,
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickangle=-45)
    return styled(figure, height=150 + 28 * max(len(order), 4), legend=False)
