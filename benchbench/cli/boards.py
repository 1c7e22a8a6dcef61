"""Reports on the terminal and in every other output format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchbench.cli.terminal import print_lines, print_that_fits

if TYPE_CHECKING:
    from benchbench.reports.report import Report, Sheet

__all__ = ["print_sheet", "write_reports"]


def write_reports(reports: Sequence[Report], format_: str) -> None:
    """Write reports to standard output, in one of `FORMATS`.

    JSON and CSV hold the records of all reports.
    """
    from benchbench.reports import text
    from benchbench.reports.html import as_html

    if format_ in ("json", "csv"):
        records = [record for report in reports for record in report.records]
        sys.stdout.write(text.as_json(records) if format_ == "json" else text.as_csv(records))
    elif format_ == "html":
        sys.stdout.write(as_html(reports))
    elif format_ in ("markdown", "latex"):
        write = text.as_markdown if format_ == "markdown" else text.as_latex
        sys.stdout.write("\n".join(write(report) for report in reports))
    else:
        for i, report in enumerate(reports):
            if i:
                sys.stdout.write("\n\n")
            _print(report)


def _print(report: Report) -> None:
    sys.stdout.write(f"{report.title}\n{report.line}\n")
    if report.verdict:
        print_lines([report.verdict], mark="")
    if report.splits:
        sys.stdout.write(f"{report.splits}\n")
    for sheet in report.sheets:
        sys.stdout.write(f"\n{sheet.title}\n")
        print_sheet(sheet)
    lines = report.lines()
    sys.stdout.write("\n")
    print_lines([*lines, *_imputation(report)])


def _imputation(report: Report) -> list[str]:
    names = ("imputation", "imputed", "left out")
    found = [f"{name}: {report.facts[name]}" for name in names if name in report.facts]
    return ["; ".join(found)] if found else []


def print_sheet(sheet: Sheet, formats: str = "csv") -> None:
    """Print a sheet in the width of the terminal; `formats` names a format with every column."""
    order = sorted((c for c in sheet.columns if c.expendable), key=lambda c: c.expendable)
    print_that_fits(
        [c.title for c in sheet.columns],
        sheet.cells(),
        right={i for i, c in enumerate(sheet.columns) if c.is_number},
        expendable=[c.title for c in order],
        formats=formats,
    )
