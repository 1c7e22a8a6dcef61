"""Leaderboards as HTML: a table for a page, or a page of its own that fetches nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from benchbench.reports.report import Report, Sheet
from benchbench.reports.text import sentence
from benchbench.text import escape_html as escape

__all__ = ["as_html", "definitions", "listing", "style", "table"]

Link = Callable[[Mapping[str, Any]], str | None]


def style() -> str:
    """Return the style sheet of all pages."""
    return files("benchbench.reports.site").joinpath("style.css").read_text(encoding="utf-8")


def table(sheet: Sheet, *, link: Link | None = None, is_sortable: bool = False, heading: str = "") -> str:
    """Return a sheet as a table; numbers carry their unrounded values, for sorting.

    Parameters
    ----------
    link : callable, optional
        Takes a row, gives the address of the method's page.
    heading : str
        What the table is, for those who do not see where it stands; the sheet's title by default.
    """
    sheet = sheet.shown()
    head = "".join(f'<th scope="col"{_class(c.is_number)}>{escape(c.title)}</th>' for c in sheet.columns)
    body = []
    for i, (row, cells) in enumerate(zip(sheet.rows, sheet.cells(), strict=True)):
        columns = []
        for c, cell in zip(sheet.columns, cells, strict=True):
            text = escape(cell)
            target = link(row) if link is not None and c.key == "name" else None
            if target:
                text = f'<a href="{escape(target)}">{text}</a>'
            if i in sheet.best and c.key in ("name", "score", "value", "mean_rank") and cell:
                text = f"<strong>{text}</strong>"
            if c.key == "name":
                columns.append(f'<th scope="row">{text}</th>')
                continue
            value = row.get(c.key)
            sort = f' data-value="{value!r}"' if isinstance(value, (int, float)) else ""
            columns.append(f"<td{_class(c.is_number)}{sort}>{text}</td>")
        body.append(f"<tr>{''.join(columns)}</tr>")
    rule = f'<p class="note">{escape(sentence(sheet.best_rule))}</p>' if sheet.best_rule else ""
    caption = f"<caption>{escape(heading or sheet.title)}</caption>"
    kind = ' class="sortable"' if is_sortable else ""
    rows = "\n".join(body)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(heading or sheet.title)}">'
        f"<table{kind}>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>\n{rule}"
    )


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def definitions(facts: Mapping[str, str]) -> str:
    """Return names and values as a list of definitions; nothing for empty values."""
    rows = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
    return f'<dl class="facts">{rows}</dl>'


def listing(lines: Sequence[str]) -> str:
    """Return sentences as a list; nothing for none."""
    items = "".join(f"<li>{escape(sentence(line))}</li>\n" for line in lines)
    return f'<ul class="notes">\n{items}</ul>' if lines else ""


def as_html(reports: Sequence[Report]) -> str:
    """Return one or more reports as a page of its own."""
    title = reports[0].title if len(reports) == 1 else "Leaderboards"
    parts = "\n".join(_section(report, level=1 if len(reports) == 1 else 2) for report in reports)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style()}</style>
</head>
<body>
<main>
{parts}
</main>
</body>
</html>
"""


def _section(report: Report, level: int) -> str:
    verdict = f'<p class="verdict">{escape(report.verdict)}</p>' if report.verdict else ""
    splits = f'<p class="warning">{escape(sentence(report.splits))}</p>' if report.splits else ""
    tables = "\n".join(f"<h{level + 1}>{escape(s.title)}</h{level + 1}>\n{table(s)}" for s in report.sheets)
    return f"""<section>
<h{level}>{escape(report.title)}</h{level}>
{verdict}
{definitions(report.facts)}
{splits}
{tables}
<h{level + 1}>About these numbers</h{level + 1}>
{listing(report.lines())}
</section>"""
