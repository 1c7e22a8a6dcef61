"""Tables and lines of text that fit into a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Container, Iterable, Sequence

__all__ = ["columns_that_fit", "markdown_table", "print_lines", "terminal_width"]


def terminal_width() -> int | None:
    """Return the columns of the terminal, or None if standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def columns_that_fit(
    headers: Sequence[str], rows: Sequence[Sequence[str]], expendable: Iterable[str], width: int | None
) -> list[int]:
    """Return the columns to show: those that say something, without the expendable ones that a terminal has no room for.

    Parameters
    ----------
    headers, rows : the table
    expendable : iterable of str
        Headers of the columns that may go, the first to go first.
    width : int or None
        Columns of the terminal; None for no limit.
    """
    shown = [i for i in range(len(headers)) if any(row[i] not in ("", "0") for row in rows)]
    widths = [max(len(line[i]) for line in (headers, *rows)) for i in range(len(headers))]
    for name in expendable:
        if width is None or sum(widths[i] + 2 for i in shown) - 2 <= width:
            break
        shown = [i for i in shown if headers[i] != name]
    return shown


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int]) -> str:
    """Return a table as Markdown; columns in `right` are flushed right."""
    rule = "|".join("---:" if i in right else "---" for i in range(len(headers)))
    lines = [f"| {' | '.join(row)} |\n".replace("_", "\\_") for row in rows]
    return f"| {' | '.join(headers)} |\n|{rule}|\n{''.join(lines)}"


def print_lines(lines: Iterable[str], mark: str = "- ") -> None:
    """Print sentences as a list, broken at the terminal's width; in a file or a pipe each is one line."""
    width = terminal_width()
    for line in lines:
        parts = [line]
        if width is not None:
            parts = textwrap.wrap(line, width - len(mark), break_long_words=False, break_on_hyphens=False)
        sys.stdout.write(mark + f"\n{' ' * len(mark)}".join(parts) + "\n")
