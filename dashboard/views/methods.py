"""A method: its card, its parameters, how it did everywhere, what failed, and how it changed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable, link
from benchbench.dashboard.theme import marks, rgba, styled
from benchbench.dashboard.views.common import (
    OUTCOME_MARKS,
    OUTCOME_WORDS,
    clock,
    duration,
    mebibytes,
    metric_label,
    number,
    ran_on,
)
from benchbench.stats.labels import method_label
from benchbench.text import escape_html

if TYPE_CHECKING:
    from benchbench.cards import MethodCard

__all__ = [
    "card_table",
    "failure_title",
    "history_figure",
    "history_table",
    "paper_line",
    "parameters_table",
    "results_table",
]


def card_table(card: MethodCard) -> HtmlTable:
    """Return what the card says, line by line."""
    rows = [
        ("Track", card.track),
        ("Family", card.family),
        ("Task kinds", ", ".join(card.tasks)),
        ("Devices", ", ".join(card.devices)),
        ("Transductive", "yes: a prediction uses the episode's other queries" if card.transductive else "no"),
        ("Repeatable", "same seed, same scores on a CPU" if card.deterministic else "no: the wrapped library is not"),
        ("Differs from the paper", card.differs or "nothing known"),
    ]
    if card.iterations:
        rows.append(("Training iterations", ", ".join(f"{k} {v:,}" for k, v in card.iterations.items())))
    if card.published:
        rows.append(("Published accuracy", ", ".join(f"{k} {100 * v:.1f} %" for k, v in card.published.items())))
    if card.requirements:
        rows.append(("Environment", f"one of its own, from {card.requirements}"))
    return HtmlTable(
        caption=f"Card of {card.name}",
        columns=[HtmlColumn("Property"), HtmlColumn("Value")],
        rows=[[HtmlCell(name), HtmlCell(value)] for name, value in rows],
    )


def paper_line(card: MethodCard) -> str:
    """Return the paper and its address as HTML."""
    address = escape_html(card.url)
    link_ = (
        f'<a href="{address}" rel="noopener noreferrer">{address}</a>' if card.url.startswith("https://") else address
    )
    return f'<p class="bb-text">{escape_html(card.paper)}. {link_}</p>'


def parameters_table(cls: type[Any]) -> HtmlTable | None:
    """Return the parameters of a method's constructor with their defaults; None if it has none."""
    if cls.__init__ is object.__init__:
        return None
    found = list(inspect.signature(cls).parameters.values())
    if not found:
        return None
    rows = [
        [
            HtmlCell(p.name),
            HtmlCell("required" if p.default is inspect.Parameter.empty else repr(p.default)),
            HtmlCell("" if p.annotation is inspect.Parameter.empty else str(p.annotation)),
        ]
        for p in found
    ]
    return HtmlTable(
        caption="Parameters: change them as in bench run --method 'name(parameter=value)'",
        columns=[HtmlColumn("Parameter"), HtmlColumn("Default"), HtmlColumn("Type", is_wide=True)],
        rows=rows,
    )


def results_table(rows: Sequence[Mapping[str, Any]]) -> HtmlTable:
    """Return the scores of the method on each task, under each preset."""
    table = HtmlTable(
        caption="Counted trials by suite, task and preset; scores are means over the trials that succeeded, nothing is imputed",
        columns=[
            HtmlColumn("Suite"),
            HtmlColumn("Task"),
            HtmlColumn("Parameters", is_wide=True),
            HtmlColumn("Preset", is_wide=True),
            HtmlColumn("Metric", is_wide=True),
            HtmlColumn("Score", is_number=True),
            HtmlColumn("SD of seeds", is_number=True, help="Standard deviation of the score over seeds or folds"),
            HtmlColumn("Trials", is_number=True, help="Succeeded, of those run"),
            HtmlColumn("Time", is_number=True, is_wide=True, help="Timed seconds, mean per trial"),
            HtmlColumn("Memory", is_number=True, is_wide=True, help="Highest of the trials"),
        ],
        heading=1,
    )
    for r in rows:
        n = r["n_ok"] + r["n_failed"]
        trials = "declined" if r["n_declined"] and not n else f"{r['n_ok']}/{n}"
        table.rows.append(
            [
                link(r["suite"], "", suite=r["suite"], preset=r["preset"]),
                link(r["task"], "task", suite=r["suite"], task=r["task"], preset=r["preset"]),
                HtmlCell(_params(r["params"])),
                HtmlCell(", ".join((r["preset"], *ran_on(r["device"], r["threads"])))),
                HtmlCell(metric_label(r["metric"] or "")),
                HtmlCell(number(r["score"], 4)),
                HtmlCell(number(r["seed_sd"], 4)),
                HtmlCell(trials),
                HtmlCell(duration(r["seconds"])),
                HtmlCell(mebibytes(r["peak_memory_mib"])),
            ]
        )
    return table


def _params(text: str) -> str:
    values = json.loads(text) if text else {}
    return ", ".join(f"{k}={v!r}" for k, v in values.items()) or "defaults"


def failure_title(row: Mapping[str, Any]) -> str:
    """Return one line that says what failed where, and why."""
    lines = f"{row['error_type']}: {row['error_message']}".removeprefix(": ").strip().splitlines()
    what = OUTCOME_WORDS.get(row["outcome"], row["outcome"])
    return f"{OUTCOME_MARKS.get(row['outcome'], '')} {row['task']}, seed {row['seed']}: {what} · {lines[0] if lines else 'no message'}"


def history_table(rows: Sequence[Mapping[str, Any]]) -> HtmlTable:
    """Return one line per state of the adapter's source, the newest first."""
    sources: dict[str, list[Mapping[str, Any]]] = {}
    for r in rows:
        sources.setdefault(r["source"], []).append(r)
    table = HtmlTable(
        caption="States of the adapter's source that were measured, the newest first",
        columns=[
            HtmlColumn("Source"),
            HtmlColumn("First"),
            HtmlColumn("Newest", is_wide=True),
            HtmlColumn("benchbench", is_wide=True),
            HtmlColumn("Commit", is_wide=True),
            HtmlColumn("Attempts", is_number=True),
            HtmlColumn("Succeeded", is_number=True),
            HtmlColumn("Suites", is_wide=True),
        ],
    )
    for source, own in sorted(sources.items(), key=lambda item: -max(r["newest"] for r in item[1])):
        last = max(own, key=lambda r: r["newest"])
        commit = (last["git_commit"] or "")[:10]
        table.rows.append(
            [
                HtmlCell(source[:12] or "unknown"),
                HtmlCell(clock(min(r["first"] for r in own))),
                HtmlCell(clock(last["newest"])),
                HtmlCell(", ".join(sorted({v for r in own for v in r["versions"] if v}))),
                HtmlCell(f"{commit}{' and uncommitted changes' if last['is_dirty'] else ''}" if commit else "unknown"),
                HtmlCell(f"{sum(r['n_attempts'] for r in own):,}"),
                HtmlCell(f"{sum(r['n_ok'] for r in own):,}"),
                HtmlCell(", ".join(sorted({r["suite"] for r in own}))),
            ]
        )
    return table


def history_figure(rows: Sequence[Mapping[str, Any]], suite: str) -> Any | None:
    """Draw the mean score per task over the states of the source; None with fewer than two."""
    import plotly.graph_objects as go

    own = [r for r in rows if r["suite"] == suite and r["score"] is not None]
    states = list(dict.fromkeys(r["source"] for r in sorted(own, key=lambda r: r["first"])))
    if len(states) < 2:
        return None
    figure = go.Figure()
    names = [f"{r['task']} · {r['preset']} · {method_label('', r['params']) or 'defaults'}" for r in own]
    mark = marks(names)
    for name in dict.fromkeys(names):
        line = sorted(
            (r for r, n in zip(own, names, strict=True) if n == name), key=lambda r: states.index(r["source"])
        )
        figure.add_scatter(
            x=[r["source"][:8] for r in line],
            y=[r["score"] for r in line],
            error_y={
                "type": "data",
                "array": [r["score_sd"] or 0.0 for r in line],
                "color": rgba(mark[name].colour, 0.6),
            },
            name=name,
            mode="lines+markers",
            line={"color": mark[name].colour, "dash": mark[name].dash},
            marker={"symbol": mark[name].symbol, "size": 9},
        )
    return styled(figure, height=380, x="source of the adapter, oldest first", y="mean score (bars: SD of seeds)")
