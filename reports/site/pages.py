"""The pages of a site as HTML; whatever came from a database or a card passes through `escape`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchbench.reports.comparison import others_sheet
from benchbench.reports.costs import cost_sheet
from benchbench.reports.html import definitions, listing, table
from benchbench.reports.leaderboard import method_name, span_text, task_notes
from benchbench.reports.report import Column, Sheet
from benchbench.reports.site.about import ABOUT
from benchbench.reports.site.names import slug
from benchbench.reports.text import sentence
from benchbench.stats.labels import plural
from benchbench.stats.statistics import STATISTICS
from benchbench.text import escape_html as escape

if TYPE_CHECKING:
    from benchbench.cards import MethodCard
    from benchbench.reports.site.build import Failure, SuitePage
    from benchbench.stats.leaderboard import Row
    from benchbench.stats.pairwise import Verdict

__all__ = ["Site", "render"]

FIGURES = {
    "cd": "Critical differences",
    "heatmap": "Methods and tasks",
    "pareto": "Score against cost",
    "elo": "Elo ratings",
    "winrate": "Who beats whom",
}
# only what this site itself holds, even if something had slipped through
POLICY = "; ".join(
    (
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "style-src 'self' file:",
        "script-src 'self' file:",
        "img-src 'self' file: data:",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything that the pages are made of.

    `newest` is when the newest attempt began, in seconds since the epoch.
    """

    suites: Sequence[SuitePage]
    cards: Mapping[str, MethodCard]
    failures: Sequence[Failure]
    newest: float | None


def render(site: Site) -> dict[str, str]:
    """Return every page by its path."""
    found = {"index.html": _index(site), "methods.html": _methods(site), "about.html": _about(site)}
    for page in site.suites:
        found[_suite_path(page)] = _suite(site, page)
        for sheet in page.report.sheets:
            if sheet.task is not None:
                found[_task_path(page.suite.name, sheet.task)] = _task(site, page, sheet)
    for method in _all_methods(site):
        found[_method_path(method)] = _method(site, method)
    return found


def _suite_path(page: SuitePage) -> str:
    return f"suites/{slug(page.suite.name)}.html"


def _task_path(suite: str, task: str) -> str:
    return f"tasks/{slug(suite)}--{slug(task)}.html"


def _method_path(method: str) -> str:
    return f"methods/{slug(method)}.html"


def _all_methods(site: Site) -> list[str]:
    return sorted({r.method for page in site.suites for r in page.board.rows})


def _shell(site: Site, title: str, body: str, *, depth: int, crumbs: str = "") -> str:
    up = "../" * depth
    stamp = "no attempt" if site.newest is None else _time(site.newest)
    trail = f'<p class="crumbs">{crumbs}</p>\n' if crumbs else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{up}style.css">
<script src="{up}site.js" defer></script>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header class="site">
<a class="name" href="{up}index.html">benchbench</a>
<nav aria-label="Site">
<a href="{up}index.html">Leaderboards</a>
<a href="{up}methods.html">Methods</a>
<a href="{up}about.html">About the numbers</a>
</nav>
</header>
<main id="content">
{trail}<h1>{escape(title)}</h1>
{body}
</main>
<footer>Made by <code>bench site</code> from results up to {stamp}.</footer>
</body>
</html>
"""


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _index(site: Site) -> str:
    columns = (
        Column("name", "suite"),
        Column("leader", "leads by mean rank"),
        Column("is_clear", "distinguishable"),
        Column("n_methods", "methods", "count"),
        Column("n_tasks", "tasks", "count"),
        Column("track", "track"),
        Column("preset", "preset"),
        Column("imputed", "imputed"),
        Column("n_left_out", "trials left out", "count"),
    )
    rows = []
    for page in site.suites:
        overall = page.board.overall
        rows.append(
            {
                "name": page.suite.title,
                "link": _suite_path(page),
                "track": page.suite.track,
                "n_methods": len(overall) or len({r.label for r in page.board.rows}),
                "n_tasks": len({r.task for r in page.board.rows if r.task is not None}),
                "preset": page.report.facts["preset"],
                "leader": "" if page.verdict is None else ", ".join(page.verdict.leaders),
                "is_clear": "" if page.verdict is None else _is_clear(page.verdict),
                "imputed": page.report.facts["imputed"],
                "n_left_out": page.board.n_left_out,
            }
        )
    sheet = Sheet(title="suites", task=None, columns=columns, rows=rows)
    body = (
        '<p class="lead">Which method that learns how to learn is better, on what, at what cost, and how sure are we?</p>\n'
        "<p>Each suite is a list of tasks with one protocol. A leaderboard holds only what may be compared; what was left out and"
        ' what was imputed stands beside the numbers. <a href="about.html">What the numbers mean</a>.</p>\n'
        f"{table(sheet, link=lambda row: row['link'], is_sortable=True)}"
    )
    return _shell(site, "Leaderboards", body, depth=0)


def _is_clear(verdict: Verdict) -> str:
    """Say whether the first is distinguishable from the others, in a few words."""
    if verdict.ahead:
        return f"yes, but behind {', '.join(verdict.ahead[:2])}"
    if verdict.alike:
        return f"no: ≈ {verdict.alike[0] if len(verdict.alike) == 1 else plural(len(verdict.alike), 'other')}"
    if len(verdict.leaders) > 1:
        return "no: tied"
    return "yes" if verdict.p else ""


def _methods(site: Site) -> str:
    columns = (
        Column("name", "method"),
        Column("title", "title"),
        Column("track", "track"),
        Column("family", "family"),
        Column("year", "year", "count"),
        Column("suites", "suites", "count"),
    )
    rows = []
    for method in _all_methods(site):
        card = site.cards.get(method)
        rows.append(
            {
                "name": method,
                "link": _method_path(method),
                "title": "" if card is None else card.title,
                "track": "" if card is None else card.track,
                "family": "" if card is None else card.family,
                "year": None if card is None else card.year,
                "suites": sum(any(r.method == method for r in page.board.rows) for page in site.suites),
            }
        )
    sheet = Sheet(title="methods", task=None, columns=columns, rows=rows)
    return _shell(site, "Methods", table(sheet, link=lambda row: row["link"], is_sortable=True), depth=0)


def _about(site: Site) -> str:
    titles = {name: kind.heading for name, kind in STATISTICS.items()}
    terms = "".join(
        f"<dt>{escape(titles.get(term, term))}</dt><dd>{escape(text)}</dd>\n" for term, text in ABOUT["statistics"]
    )
    sections = "".join(
        f"<h2>{escape(title)}</h2>\n" + "".join(f"<p>{escape(p)}</p>\n" for p in paragraphs)
        for title, paragraphs in ABOUT["sections"]
    )
    return _shell(site, "About the numbers", f'{sections}<h2>Statistics</h2>\n<dl class="terms">{terms}</dl>', depth=0)


# --------------------------------------------------------------------------------------------------
# suites and tasks


def _suite(site: Site, page: SuitePage) -> str:
    base = slug(page.suite.name)
    description = " ".join(page.suite.description.split())
    parts = [f'<p class="lead">{escape(description)}</p>'] if description else []
    parts += [_verdict(page.report.verdict), definitions(page.report.facts)]
    if page.report.splits:
        parts.append(f'<p class="warning">{escape(sentence(page.report.splits))}</p>')
    parts.append("<h2>Whole suite</h2>")
    if page.statistics:
        items = "".join(f'<li><a href="#by-{s}">{escape(STATISTICS[s].title)}</a></li>' for s in page.statistics)
        parts.append(f'<ul class="tabs" aria-label="Statistic">{items}</ul>')
    for statistic, report in page.statistics.items():
        shown = "".join(
            table(sheet, link=_link_up, is_sortable=True, heading=f"{page.suite.title}, {sheet.title}")
            for sheet in report.sheets
        )
        parts.append(
            f'<section id="by-{statistic}">\n<h3>By {escape(STATISTICS[statistic].title)}</h3>\n'
            f"{_verdict(report.verdict)}{shown}"
            f"{_downloads(f'{base}-{statistic}', STATISTICS[statistic].title)}\n{listing(_without_left_out(report.lines()))}</section>"
        )
    if not page.statistics:
        parts.append('<p class="warning">No task is left to compare methods on.</p>')
    if page.comparisons:
        parts.append(f"<h2>First against the others</h2>\n{_comparisons(page, base)}")
    parts.append(f"<h2>Figures</h2>\n{_figures(page, base)}")
    parts.append(f"<h2>Task by task</h2>\n{_task_list(page)}\n{_downloads(base, 'all tasks')}")
    for sheet in page.report.sheets:
        if sheet.task is not None:
            path = f"../{_task_path(page.suite.name, sheet.task)}"
            parts.append(
                f"<details><summary>{escape(sheet.title)}</summary>\n{table(sheet, link=_link_up, is_sortable=True)}\n"
                f'<p><a href="{escape(path)}">Page of this task</a></p></details>'
            )
    parts.append(f"<h2>What these numbers are</h2>\n{listing(_without_left_out(page.report.lines()))}")
    left_out = (
        listing(page.report.left_out) or "<p>Nothing: every recorded trial of this suite is on this leaderboard.</p>"
    )
    parts.append(f"<h2>Left out</h2>\n{left_out}")
    return _shell(
        site,
        page.suite.title,
        "\n".join(parts),
        depth=1,
        crumbs=f'<a href="../index.html">Leaderboards</a> / {escape(page.suite.name)}',
    )


def _verdict(text: str) -> str:
    return f'<p class="verdict">{escape(text)}</p>\n' if text else ""


def _comparisons(page: SuitePage, base: str) -> str:
    found = page.comparisons
    n_others = sum(r.rank is not None for r in page.board.overall) - 1
    which = f"each of the next {len(found)} of {n_others}" if len(found) < n_others else "each other method"
    sheet = others_sheet(found)
    return (
        f"<p>{escape(found[0].a)}, the first by mean rank, against {which}: paired on the tasks and on the seeds (folds) that both"
        " have. Above 0: the first is better. The interval is Student's t over tasks; P is the posterior probability that the first"
        " is better by more than the region of practical equivalence. <code>bench versus</code> says the same, task by"
        " task.</p>\n"
        f"{table(sheet, link=_link_up, is_sortable=True, heading=f'{page.suite.title}, {sheet.title}')}"
        f'<p class="downloads"><a href="../data/{base}-comparisons.json" download>comparisons: JSON</a></p>\n'
        f"{listing([f'Against {one.b}: {one.sentence()}' for one in found])}"
    )


def _costs(page: SuitePage, base: str) -> str:
    """Return the numbers of the figure of score against cost; tasks alone are in the download."""
    parts = []
    for panel in page.costs:
        if panel.task is None:
            sheet = cost_sheet(panel)
            parts.append(f"<h3>{escape(_heading(sheet.title))}</h3>")
            parts.append(table(sheet, link=_link_up, is_sortable=True, heading=f"{page.suite.title}, {sheet.title}"))
            parts.append(listing(sheet.notes))
    return "\n".join([*parts, _downloads(f"{base}-costs", "score against cost")]) if page.costs else ""


def _without_left_out(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith("left out: ")]


def _heading(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _link_up(row: Mapping[str, Any]) -> str | None:
    return f"../{_method_path(row['method'])}" if row.get("method") else None


def _downloads(base: str, what: str) -> str:
    links = "".join(
        f'<a href="../data/{base}.{kind}" download>{escape(what)}: {kind.upper()}</a>' for kind in ("csv", "json")
    )
    return f'<p class="downloads">{links}</p>'


def _figures(page: SuitePage, base: str) -> str:
    from benchbench.reports.figures import Drawing

    parts = []
    for kind, title in FIGURES.items():
        drawing = page.drawings.get(kind)
        if not isinstance(drawing, Drawing):
            if drawing:
                parts.append(f'<h3>{escape(title)}</h3>\n<p class="note">Not drawn: {escape(drawing)}.</p>')
            continue
        path = f"../figures/{base}-{kind}.svg"
        what = f"{drawing.title}. {' '.join(drawing.caption)}"
        parts.append(
            f'<figure>\n<div class="scroll" role="region" tabindex="0" aria-label="{escape(title)}">'
            f'<img src="{path}" alt="{escape(what)}" loading="lazy"></div>\n'
            f'<figcaption>{escape(title)}: <a href="{path}">the figure alone (SVG)</a></figcaption></figure>'
        )
        if kind == "pareto":
            parts.append(_costs(page, base))
    return "\n".join(parts)


def _task_list(page: SuitePage) -> str:
    columns = (
        Column("name", "task"),
        Column("metric", "metric"),
        Column("best", "best method"),
        Column("score", "score", "number", 4),
        Column("ci95", "± 95 %", "number", 4),
        Column("n", "n", "count"),
        Column("n_methods", "methods", "count"),
        Column("failed", "failed", "count"),
        Column("declined", "declined", "count"),
    )
    rows = []
    for sheet in page.report.sheets:
        if sheet.task is None:
            continue
        own = [r for r in page.board.rows if r.task == sheet.task]
        best = next((r for r in own if r.rank is not None), None)
        top = sheet.rows[0] if best is not None else {}
        rows.append(
            {
                "name": sheet.task,
                "link": f"../{_task_path(page.suite.name, sheet.task)}",
                "metric": next((r.metric for r in own if r.metric), ""),
                "best": "" if best is None else method_name(best),
                "score": top.get("score"),
                "ci95": top.get("ci95"),
                "n": top.get("n"),
                "n_methods": sum(r.score is not None for r in own),
                "failed": sum(r.n_failed + r.n_lost for r in own),
                "declined": sum(bool(r.n_declined) for r in own),
            }
        )
    return table(
        Sheet(title="tasks", task=None, columns=columns, rows=rows), link=lambda row: row["link"], is_sortable=True
    )


def _task(site: Site, page: SuitePage, sheet: Sheet) -> str:
    name = sheet.task or ""
    spec = next((t for t in page.suite.tasks if t.name == name), None)
    scores = sorted(r.score for r in page.board.rows if r.task == name and r.score is not None)
    facts = {
        "suite": page.report.facts["suite"],
        "metric": next((r.metric for r in page.board.rows if r.task == name and r.metric), ""),
        "best": f"{scores[-1]:.4g}" if scores else "",
        "median": f"{scores[len(scores) // 2]:.4g}" if scores else "",
        "lowest": f"{scores[0]:.4g}" if scores else "",
        "data fingerprint": page.board.fingerprints.get(name, ""),
        **{k: page.report.facts[k] for k in ("protocol", "preset", "test units", "threads", "device", "imputation")},
    }
    if spec is not None:
        facts |= {
            "loader": spec.loader,
            "options": ", ".join(f"{k} = {v}" for k, v in spec.options.items()),
            "0 of the normalised score": "" if spec.baseline_score is None else f"{spec.baseline_score:.6g}",
            "1 of the normalised score": "" if spec.reference_score is None else f"{spec.reference_score:.6g}",
        }
    body = [definitions(facts)]
    if page.report.splits:
        body.append(f'<p class="warning">{escape(sentence(page.report.splits))}</p>')
    body.append(table(sheet, link=_link_up, is_sortable=True))
    failures = [f for f in site.failures if (f.suite, f.task) == (page.suite.name, name)]
    if failures:
        body.append(f"<h2>Failures</h2>\n{_failures(failures)}")
    body.append(f"<h2>What these numbers are</h2>\n{listing(_without_left_out(page.report.lines()))}")
    up = f"../{_suite_path(page)}"
    return _shell(
        site,
        name,
        "\n".join(body),
        depth=1,
        crumbs=f'<a href="../index.html">Leaderboards</a> / <a href="{escape(up)}">{escape(page.suite.title)}</a>',
    )


# --------------------------------------------------------------------------------------------------
# methods


def _method(site: Site, method: str) -> str:
    card = site.cards.get(method)
    body = [_card(card)] if card is not None else ['<p class="note">No card of this method is known here.</p>']
    by_suite: dict[str, list[Row]] = defaultdict(list)
    for page in site.suites:
        rows = [r for r in page.board.rows if r.method == method]
        if not rows:
            continue
        by_suite[page.suite.name] = rows
        n_methods = len({r.label for r in page.board.rows})
        path = f"../{_suite_path(page)}"
        body.append(f'<h2><a href="{escape(path)}">{escape(page.suite.title)}</a></h2>')
        body.append(f'<p class="note">{escape(page.report.facts_line())}.</p>')
        overall = [r for r in rows if r.task is None]
        if overall:
            body.append(table(_method_overall(overall, n_methods)))
        body.append(
            table(
                _method_tasks([r for r in rows if r.task is not None], page),
                link=lambda row: row["link"],
                is_sortable=True,
            )
        )
    failures = [f for f in site.failures if f.method == method]
    body.append("<h2>Failures</h2>")
    body.append(_failures(failures) if failures else "<p>No trial failed.</p>")
    title = method if card is None else card.title
    return _shell(
        site,
        title,
        "\n".join(body),
        depth=1,
        crumbs=f'<a href="../methods.html">Methods</a> / {escape(method)}',
    )


def _card(card: MethodCard) -> str:
    parts = [f'<p class="lead">{escape(card.summary)}</p>']
    facts = {
        "name": card.name,
        "track": card.track,
        "family": card.family,
        "year": str(card.year),
        "tasks": ", ".join(card.tasks),
        "transductive": "yes" if card.transductive else "",
        "depends on the support's order": "yes" if card.ordered else "",
        "repeatable": "" if card.deterministic else "no",
        "devices": ", ".join(card.devices),
    }
    parts.append(definitions(facts))
    paper = escape(card.paper)
    # nothing but a web address becomes a link: a card may come from anybody's plug-in
    if card.url.startswith(("https://", "http://")):
        paper = f'<a href="{escape(card.url)}" rel="noopener noreferrer">{paper or escape(card.url)}</a>'
    if paper:
        parts.append(f"<p>{paper}</p>")
    if card.differs:
        parts.append(f"<p>Differs from its paper: {escape(card.differs)}</p>")
    return "\n".join(parts)


def _method_overall(rows: Sequence[Row], n_methods: int) -> Sheet:
    columns = (
        Column("name", "parameters"),
        Column("rank", f"rank of {n_methods}", "rank"),
        Column("mean_rank", "mean rank", "number", 2),
        Column("span", "95 %"),
        Column("score", "normalised score", "number", 3),
        Column("ci95", "± 95 %", "number", 3),
        Column("tasks", "tasks", "count"),
        Column("failed", "failed", "count"),
        Column("imputed", "imputed", "share"),
        Column("seconds", "seconds", "seconds"),
        Column("notes", "notes"),
    )
    cells = [
        {
            "name": method_name(r),
            "rank": r.rank,
            "mean_rank": r.mean_rank,
            "span": span_text("rank", r.mean_rank_low, r.mean_rank_high),
            "score": r.score,
            "ci95": r.ci95,
            "tasks": f"{r.n_tasks_scored}/{r.n_tasks}",
            "failed": r.n_failed + r.n_lost,
            "imputed": r.imputed_share,
            "seconds": r.seconds,
            "notes": ", ".join(n for n in r.notes if n.startswith("not ranked")),
        }
        for r in rows
    ]
    return Sheet(title="whole suite", task=None, columns=columns, rows=cells)


def _method_tasks(rows: Sequence[Row], page: SuitePage) -> Sheet:
    columns = (
        Column("name", "task"),
        Column("label", "parameters"),
        Column("rank", "rank", "rank"),
        Column("of", "of", "count"),
        Column("score", "score", "number", 4),
        Column("ci95", "± 95 %", "number", 4),
        Column("n", "n", "count"),
        Column("metric", "metric"),
        Column("seconds", "seconds", "seconds"),
        Column("notes", "notes"),
    )
    ranked: dict[str | None, int] = defaultdict(int)
    for r in page.board.rows:
        ranked[r.task] += r.rank is not None
    shown = {(s.task, row.get("label")): row for s in page.report.sheets for row in s.rows}
    many = len({r.label for r in rows}) > 1
    cells = [
        {
            "name": r.task,
            "link": f"../{_task_path(page.suite.name, r.task or '')}",
            "label": r.label if many else "",
            "rank": r.rank,
            "of": ranked[r.task],
            "score": r.score,
            "ci95": r.ci95,
            "n": shown.get((r.task, r.label), {}).get("n"),
            "metric": r.metric,
            "seconds": r.seconds,
            "notes": ", ".join(task_notes(r)),
        }
        for r in rows
    ]
    return Sheet(title="task by task", task=None, columns=columns, rows=cells)


def _failures(found: Sequence[Failure]) -> str:
    """Return the failures as a table.

    Tracebacks are left out, as they show paths of somebody's machine.
    """
    from benchbench.stats.labels import method_label

    rows = "\n".join(
        f"<tr><th scope='row'>{escape(f.task)}</th><td>{escape(method_label(f.method, f.params))}</td>"
        f"<td class='number'>{f.seed}</td><td>{escape(f.preset)}</td><td>{escape(f.outcome)}</td>"
        f"<td class='wrap'>{escape(_message(f))}</td></tr>"
        for f in found
    )
    head = "".join(
        f"<th scope='col'{kind}>{name}</th>"
        for name, kind in (
            ("task", ""),
            ("method", ""),
            ("seed", " class='number'"),
            ("preset", ""),
            ("outcome", ""),
            ("error", ""),
        )
    )
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="Failures"><table class="sortable"><caption>Failures</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _message(failure: Failure) -> str:
    text = " ".join(f"{failure.error_type}: {failure.error_message}".split()).strip(": ")
    return text if len(text) <= 240 else f"{text[:239]}…"
