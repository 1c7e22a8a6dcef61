"""Leaderboards as CSV, JSON, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from benchbench.reports.report import Report, Sheet
from benchbench.spec import canonical_json
from benchbench.text import csv_cell, escape_latex, escape_markdown, printable

__all__ = ["as_csv", "as_json", "as_latex", "as_markdown", "sentence"]


def as_json(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records as JSON, unrounded."""
    return json.dumps(list(records), indent=2, default=str, allow_nan=False) + "\n"


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records as CSV, unrounded; empty for none.

    Lists are joined by semicolons, and parameters are JSON.
    """
    text = io.StringIO()
    if records:
        names = list(dict.fromkeys(name for record in records for name in record))
        writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
        writer.writeheader()
        for record in records:
            writer.writerow({k: _plain(v) for k, v in record.items()})
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return canonical_json(value)
    return csv_cell("; ".join(map(str, value)) if isinstance(value, list | tuple) else value)


def sentence(text: str) -> str:
    """Return a note as a sentence: it begins with a capital letter and ends with one full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def as_markdown(report: Report) -> str:
    """Return a report as Markdown: one table a sheet, and what must be said below."""
    parts = [f"## {_heading(report.title)}\n\n{_heading(report.line)}\n"]
    if report.verdict:
        parts.append(f"\n**{_heading(report.verdict)}**\n")
    if report.splits:
        parts.append(f"\n{_heading(report.splits)}\n")
    for sheet in report.sheets:
        parts.append(f"\n### {_heading(sheet.title)}\n\n{_markdown_table(sheet.shown())}")
    lines = [*report.lines(), report.facts_line()]
    parts.append("\n" + "".join(f"- {_heading(line)}\n" for line in lines))
    return "".join(parts)


def _heading(text: str) -> str:
    # underscores within words are no markup there
    return escape_markdown(text).replace("\\_", "_")


def _markdown_table(sheet: Sheet) -> str:
    rule = "|".join("---:" if c.is_number else "---" for c in sheet.columns)
    head = " | ".join(escape_markdown(c.title) for c in sheet.columns)
    lines = [f"| {' | '.join(map(escape_markdown, row))} |\n" for row in sheet.cells()]
    return f"| {head} |\n|{rule}|\n{''.join(lines)}"


def as_latex(report: Report) -> str:
    """Return a report as LaTeX tables (packages booktabs, fontenc).

    The best is in bold only where the difference is real.
    """
    parts = [
        "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}\n",
        f"% {_comment(report.title)}; {_comment(report.facts_line())}\n",
    ]
    for sheet in report.sheets:
        parts.append(_latex_table(report, sheet.shown()))
    return "\n".join(parts)


def _comment(text: str) -> str:
    return " ".join(printable(text).split())


def _latex_table(report: Report, sheet: Sheet) -> str:
    form = "".join("r" if c.is_number else "l" for c in sheet.columns)
    rows = []
    for i, row in enumerate(sheet.cells()):
        cells = [escape_latex(cell) for cell in row]
        if i in sheet.best:
            cells = [
                rf"\textbf{{{cell}}}" if c.key in _IN_BOLD and cell else cell
                for c, cell in zip(sheet.columns, cells, strict=True)
            ]
        rows.append(" & ".join(cells) + r" \\")
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{report.facts.get('suite', 'board')} {sheet.task or 'whole'}").strip("-")
    said = [report.facts_line(), report.splits, *report.lines(), sheet.best_rule]
    # the verdict is a sentence already, and may begin with a method's name
    notes = " ".join(
        escape_latex(line) for line in (report.verdict, *(sentence(line) for line in said if line)) if line
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{escape_latex(f'{report.title}: {sheet.title}')}}}",
            rf"  \label{{tab:{name}}}",
            rf"  \begin{{tabular}}{{@{{}}{form}@{{}}}}",
            r"    \toprule",
            "    " + " & ".join(escape_latex(c.title) for c in sheet.columns) + r" \\",
            r"    \midrule",
            *(f"    {row}" for row in rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            "",
            r"  \medskip",
            rf"  \parbox{{\linewidth}}{{\footnotesize {notes}}}",
            r"\end{table}",
            "",
        ]
    )


_IN_BOLD = ("name", "score", "value", "mean_rank")
