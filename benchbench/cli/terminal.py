"""Tables and lines of text that fit into a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Container, Iterable, Sequence

from benchbench.text import escape_markdown

__all__ = ["columns_that_fit", "markdown_table", "narrowed", "print_lines", "print_that_fits", "terminal_width"]

# a narrower column of words is hard to read
LEAST_WIDTH = 10


def terminal_width() -> int | None:
    """Return the columns of the terminal, or None if standard output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def columns_that_fit(
    headers: Sequence[str], rows: Sequence[Sequence[str]], expendable: Iterable[str], width: int | None
) -> list[int]:
    """Return the columns to show: those with content, without expendable ones that do not fit.

    Parameters
    ----------
    headers, rows : the table
    expendable : iterable of str
        Headers of the columns that may be omitted, the first one first.
    width : int or None
        Columns of the terminal; None for no limit.
    """
    says_something = [i for i in range(len(headers)) if any(row[i] not in ("", "0") for row in rows)]
    return narrowed(headers, rows, says_something, expendable, width)


def narrowed(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    shown: Iterable[int],
    expendable: Iterable[str],
    width: int | None,
) -> list[int]:
    """Return the columns of `shown`, without as many expendable ones as needed to fit."""
    found = list(shown)
    widths = {i: max(len(line[i]) for line in (headers, *rows)) for i in found}
    for name in expendable:
        if width is None or sum(widths[i] + 2 for i in found) - 2 <= width:
            break
        found = [i for i in found if headers[i] != name]
    return found


def print_that_fits(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Container[int] = (),
    expendable: Iterable[str] = (),
    formats: str = "json",
) -> None:
    """Print a table in the width of the terminal.

    Only expendable columns are omitted, and a line names them. If that is not enough, columns of
    words are wrapped, and finally every row is printed as a paragraph.

    Parameters
    ----------
    headers, rows : the table
    right : container of int
        Columns that are right-aligned.
    expendable : iterable of str
        Headers of the columns that may be omitted, the first one first.
    formats : str
        A format with every column.
    """
    width = terminal_width()
    everything = columns_that_fit(headers, rows, (), None)
    shown = columns_that_fit(headers, rows, expendable, width)
    names = [headers[i] for i in shown]
    cells = [[row[i] for i in shown] for row in rows]
    widths = _column_widths([names, *cells], [i not in right for i in shown], width)
    if widths is None:
        _print_paragraphs(names, cells, width or 0)
    else:
        _print_broken(names, cells, widths, [i in right for i in shown])
    left_out = [headers[i] for i in everything if i not in shown]
    if left_out:
        print_lines([f"omitted to fit {width} columns: {', '.join(left_out)}; --format {formats} shows all"], mark="")


def _column_widths(lines: Sequence[Sequence[str]], is_words: Sequence[bool], width: int | None) -> list[int] | None:
    """Return the widths of the columns, narrowing those of words; None if they cannot fit."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if width is None:
        return widths
    # a number is never broken; "300 episodes" and "mean rank" may be
    least = [
        LEAST_WIDTH if words else max(len(word) for text in column for word in text.split() or [""])
        for words, column in zip(is_words, zip(*lines, strict=True), strict=True)
    ]
    while (over := sum(w + 2 for w in widths) - 2 - width) > 0:
        spare = [w - low for w, low in zip(widths, least, strict=True)]
        # words first, the widest of them first
        i = max(range(len(widths)), key=lambda j: (spare[j] > 0, is_words[j], spare[j]))
        if spare[i] <= 0:
            return None
        others = [w for j, w in enumerate(spare) if is_words[j] == is_words[i] and j != i and w > 0]
        widths[i] -= max(1, min(over, spare[i] - max(others, default=0)))
    return widths


def _broken(text: str, width: int) -> list[str]:
    """Wrap a text, if possible at a space, after a comma or before a parenthesis."""
    lines = []
    while len(text) > width:
        at = max((i for i in range(1, width + 1) if text[i] in " (" or text[i - 1] in ",-_"), default=width)
        lines.append(text[:at].rstrip())
        text = text[at:].lstrip()
    return [*lines, text]


def _print_broken(
    headers: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], right: Sequence[bool]
) -> None:
    for row in (headers, ["-" * w for w in widths], *rows):
        parts = [_broken(text, w) for text, w in zip(row, widths, strict=True)]
        for i in range(max(map(len, parts))):
            line = [p[i] if i < len(p) else "" for p in parts]
            flushed = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True)]
            sys.stdout.write("  ".join(flushed).rstrip() + "\n")


def _print_paragraphs(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    """Print every row as "rank name: header value ± half-width; header value"."""
    n_names = 2 if headers[0] == "#" else 1
    for row in rows:
        parts: list[str] = []
        for header, cell in zip(headers[n_names:], row[n_names:], strict=True):
            if header.startswith("±") and parts:
                parts[-1] += f" ± {cell}" if cell else ""
            elif cell:
                parts.append(f"{header} {cell}")
        text = f"{' '.join(row[:n_names])}: {'; '.join(parts)}"
        lines = textwrap.wrap(text, max(width, 8), subsequent_indent="   ", break_on_hyphens=False)
        sys.stdout.write("\n".join(lines) + "\n")


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int]) -> str:
    """Return a table as Markdown; columns in `right` are right-aligned."""
    rule = "|".join("---:" if i in right else "---" for i in range(len(headers)))
    lines = [f"| {' | '.join(map(escape_markdown, row))} |\n" for row in (headers, *rows)]
    return f"{lines[0]}|{rule}|\n{''.join(lines[1:])}"


def print_lines(lines: Iterable[str], mark: str = "- ", *, is_markdown: bool = False) -> None:
    """Print sentences as a list, wrapped on a terminal; one line each in a file or pipe."""
    width = terminal_width()
    for line in map(escape_markdown, lines) if is_markdown else lines:
        parts = [line]
        if width is not None:
            parts = textwrap.wrap(line, width - len(mark), break_long_words=False, break_on_hyphens=False)
        sys.stdout.write(mark + f"\n{' ' * len(mark)}".join(parts) + "\n")
