"""Two methods over the tasks that both have: paired, with what tests and a posterior say of the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchbench.dashboard.markup import Cell, Column, Table, interval_bar, link
from benchbench.dashboard.theme import GREY, marks, rgba, styled
from benchbench.dashboard.views.common import metric_label, number, percent
from benchbench.results.boards import suite_facts
from benchbench.results.grids import frozen_ends, perfect_scores
from benchbench.stats.intervals import estimate
from benchbench.stats.labels import plural
from benchbench.stats.significance import bayesian_signed_rank, compare_two
from benchbench.stats.statistics import task_values

if TYPE_CHECKING:
    from benchbench.dashboard.data import BoardData
    from benchbench.stats.significance import PosteriorProbabilities, TwoComparison

__all__ = [
    "Comparison",
    "TaskDifference",
    "compare",
    "difference_figure",
    "pair_records",
    "pair_table",
    "probability_figure",
    "scale_of",
    "sentence",
]

SCALES = {
    "normalised": "normalised score",
    "score": "score",
    "points": "share of the other methods beaten",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDifference:
    """One task: both scores, and the difference a minus b with its interval over paired seeds, on the comparison's scale."""

    task: str
    metric: str
    score_a: float
    score_b: float
    difference: float
    ci95: float | None
    n_seeds: int
    is_imputed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Method a against method b; differences above 0 speak for a."""

    a: str
    b: str
    scale: str
    rope: float
    tasks: list[TaskDifference]
    summary: TwoComparison
    posterior: PosteriorProbabilities
    only_one: list[str]


def scale_of(data: BoardData) -> str:
    """Return on which scale tasks can be added up: normalised scores; scores, if all tasks have one metric; else points."""
    ends = frozen_ends(suite_facts(data.suite.spec))
    if all(t in ends and ends[t][1] > ends[t][0] for t in data.grid.tasks):
        return "normalised"
    return "score" if len(set(data.metrics.values())) == 1 else "points"


def compare(data: BoardData, a: str, b: str, rope: float) -> Comparison:
    """Compare two methods of a board, by label.

    Parameters
    ----------
    rope : float
        Half-width of the region of practical equivalence, in units of the scale.

    Raises
    ------
    InputError
        If they share no task.
    """
    scale = scale_of(data)
    imputed = data.imputed()
    grid = imputed.grid
    i, j = grid.methods.index(a), grid.methods.index(b)
    scores = grid.task_scores()
    facts = suite_facts(data.suite.spec)
    ends = frozen_ends(facts)
    if scale == "normalised":
        values, _ = task_values(imputed, "norm", ends=ends, perfect=perfect_scores(data.board, facts))
    else:
        values = scores if scale == "score" else task_values(imputed, "winrate")[0]
    tasks, only_one = [], []
    for t, task in enumerate(grid.tasks):
        if np.isnan(values[i, t]) or np.isnan(values[j, t]):
            if not (np.isnan(values[i, t]) and np.isnan(values[j, t])):
                only_one.append(task)
            continue
        width = 1.0 if scale == "score" else ends[task][1] - ends[task][0] if scale == "normalised" else None
        pairs = grid.scores[i, t] - grid.scores[j, t]
        pairs = pairs[~np.isnan(pairs)]
        is_imputed = bool(imputed.imputed[i, t].any() or imputed.imputed[j, t].any())
        # an interval over seeds of which some are made up would pretend to know
        found = estimate([float(d) / width for d in pairs]) if width and len(pairs) > 1 and not is_imputed else None
        tasks.append(
            TaskDifference(
                task=task,
                metric=data.metrics.get(task, ""),
                score_a=float(scores[i, t]),
                score_b=float(scores[j, t]),
                difference=float(values[i, t] - values[j, t]),
                ci95=None if found is None else found.ci95,
                n_seeds=len(pairs),
                is_imputed=is_imputed,
            )
        )
    kept = [grid.tasks.index(one.task) for one in tasks]
    return Comparison(
        a=a,
        b=b,
        scale=scale,
        rope=rope,
        tasks=sorted(tasks, key=lambda one: -one.difference),
        summary=compare_two(values[i, kept], values[j, kept]),
        posterior=bayesian_signed_rank([one.difference for one in tasks], rope=rope),
        only_one=only_one,
    )


def sentence(found: Comparison) -> str:
    """Return what the comparison comes to, in one sentence that claims no more than the numbers do."""
    s, p = found.summary, found.posterior
    better, chance = max(
        ((f"{found.a} is better", p.p_right), (f"{found.b} is better", p.p_left), ("the two are alike", p.p_rope)),
        key=lambda one: one[1],
    )
    if chance >= 0.95:
        verdict = f"Decided: {better} (probability {percent(chance, 1) if chance < 0.9995 else '> 99.9 %'})"
    else:
        verdict = f"Not decided: most probable is that {better} ({percent(chance, 0)})"
    return (
        f"{verdict}. {found.a} scores higher on {s.wins} of {plural(s.n_tasks, 'task')}, lower on {s.losses}, "
        f"equal on {s.ties}."
    )


def pair_table(found: Comparison) -> Table:
    """Return both scores and their difference, task by task, the largest difference first."""
    spans = [(d.difference - (d.ci95 or 0.0), d.difference + (d.ci95 or 0.0)) for d in found.tasks]
    most = max((abs(x) for span in spans for x in span), default=1.0) * 1.05 or 1.0
    table = Table(
        caption=f"{found.a} minus {found.b} by task, in units of {SCALES[found.scale]}",
        columns=[
            Column("Task"),
            Column("Metric", is_wide=True),
            Column(found.a, is_number=True, help="Mean score over seeds"),
            Column(found.b, is_number=True, help="Mean score over seeds"),
            Column(
                "Difference", is_number=True, help=f"In units of {SCALES[found.scale]}; above 0 speaks for {found.a}"
            ),
            Column("± 95 %", is_number=True, is_wide=True, help="Student's t over paired seeds"),
            Column("Interval", is_wide=True),
            Column("Seeds", is_number=True, is_wide=True),
            Column("Better"),
        ],
    )
    for d in found.tasks:
        low, high = (None, None) if d.ci95 is None else (d.difference - d.ci95, d.difference + d.ci95)
        better = "equal" if d.difference == 0 else found.a if d.difference > 0 else found.b
        table.rows.append(
            [
                link(d.task, "task", task=d.task),
                Cell(metric_label(d.metric)),
                Cell(number(d.score_a, 4)),
                Cell(number(d.score_b, 4)),
                Cell(f"{number(d.difference, 3)}{' (imputed)' if d.is_imputed else ''}"),
                Cell(number(d.ci95, 3)),
                Cell("", interval_bar(d.difference, low, high, (-most, most), f"difference {number(d.difference, 3)}")),
                Cell(str(d.n_seeds)),
                Cell(better),
            ]
        )
    return table


def pair_records(found: Comparison) -> list[dict[str, Any]]:
    """Return the table as plain data, for a download."""
    return [
        {
            "task": d.task,
            "metric": d.metric,
            "method_a": found.a,
            "method_b": found.b,
            "score_a": d.score_a,
            "score_b": d.score_b,
            "scale": found.scale,
            "difference": d.difference,
            "ci95": d.ci95,
            "n_seeds": d.n_seeds,
            "imputed": d.is_imputed,
        }
        for d in found.tasks
    ]


def difference_figure(found: Comparison) -> Any:
    """Draw the differences by task with their intervals over seeds, the region of practical equivalence behind them."""
    import plotly.graph_objects as go

    mark = marks([found.a, found.b])
    figure = go.Figure()
    if found.rope > 0:
        figure.add_vrect(-found.rope, found.rope, fillcolor=GREY, opacity=0.18, line_width=0)
    for name, sign in ((found.a, 1), (found.b, -1)):
        own = [d for d in found.tasks if d.difference * sign > 0 or (d.difference == 0 and sign == 1)]
        figure.add_scatter(
            x=[d.difference for d in own],
            y=[d.task for d in own],
            error_x={
                "type": "data",
                "array": [d.ci95 or 0.0 for d in own],
                "color": rgba(mark[name].colour, 0.8),
                "thickness": 1.5,
                "width": 4,
            },
            mode="markers",
            marker={
                "color": mark[name].colour,
                "symbol": mark[name].symbol,
                "size": 11,
                "line": {"width": 1, "color": "white"},
            },
            name=f"{name} scores higher",
            hovertemplate="%{y}<br>difference %{x:.3f}<extra></extra>",
        )
    figure.add_vline(0, line_width=1, line_color=GREY)
    figure.update_yaxes(categoryorder="array", categoryarray=[d.task for d in reversed(found.tasks)])
    figure = styled(
        figure,
        height=170 + 30 * max(len(found.tasks), 2),
        x=f"difference in {SCALES[found.scale]}",
    )
    return figure.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin={"t": 44})


def probability_figure(found: Comparison) -> Any:
    """Draw the posterior probabilities as one bar: b better, alike, a better."""
    import plotly.graph_objects as go

    p = found.posterior
    mark = marks([found.a, found.b])
    parts = (
        (f"{found.b} better", p.p_left, mark[found.b].colour, "/"),
        (f"alike (within ± {found.rope:g})", p.p_rope, GREY, ""),
        (f"{found.a} better", p.p_right, mark[found.a].colour, ""),
    )
    figure = go.Figure()
    for name, value, colour, pattern in parts:
        figure.add_bar(
            x=[100 * value],
            y=[""],
            orientation="h",
            name=f"{name}: {percent(value, 1)}",
            marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.3}},
            text=percent(value, 0) if value >= 0.08 else "",
            textposition="inside",
            insidetextfont={"color": "white"},
            hovertemplate=f"{name}: {percent(value, 1)}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.1)
    figure = styled(figure, height=170)
    figure.update_xaxes(range=[0, 100], ticksuffix=" %", title={"text": "posterior probability", "standoff": 4})
    return figure.update_layout(legend={"y": 1.05, "yanchor": "bottom"}, margin={"t": 50})
