"""The neutral form of a leaderboard.

It has tables with typed columns, the facts that they share, and the notes below them. Every printed
form (table, Markdown, LaTeX, HTML) takes its cells from `Sheet.cells`, so that no two forms differ
in a digit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchbench.stats.labels import number_text, share_text

__all__ = ["Column", "Report", "Sheet", "number", "seconds_text"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sheet.

    Parameters
    ----------
    key : str
        Of the value in a row.
    title : str
        As people read it.
    kind : str
        "text", "number" (`digits` after the point), "count", "rank", "share" (shown in per cent)
        or "seconds".
    expendable : int
        In which order a narrow terminal goes without it, 1 first; 0: never.
    """

    key: str
    title: str
    kind: str = "text"
    digits: int = 0
    expendable: int = 0

    @property
    def is_number(self) -> bool:
        """Whether it is flushed right and sorted by value."""
        return self.kind != "text"

    def text(self, value: Any) -> str:
        """Return a value as it is shown; the same in every form."""
        if value is None:
            return "-" if self.kind == "rank" else ""
        if self.kind == "number":
            return number(value, self.digits)
        if self.kind == "share":
            return share_text(value) if value else ""
        if self.kind == "seconds":
            return seconds_text(value)
        return f"{value:g}" if self.kind == "rank" else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table.

    Parameters
    ----------
    title : str
    task : str or None
        None: of the whole suite.
    columns : sequence of Column
    rows : sequence of mapping
        Column key to value; None where there is none.
    best : tuple of int
        Rows that are set in bold: the best one, if the difference to the next is real.
    best_rule : str
        How that was decided.
    notes : sequence of str
        Of this table alone.
    """

    title: str
    task: str | None
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    best: tuple[int, ...] = ()
    best_rule: str = ""
    notes: Sequence[str] = ()

    def cells(self) -> list[list[str]]:
        """Return the rows as text, in the order of the columns."""
        return [[c.text(row.get(c.key)) for c in self.columns] for row in self.rows]

    def shown(self) -> Sheet:
        """Return the sheet without the columns that say nothing: empty or 0 in every row."""
        cells = self.cells()
        kept = [c for i, c in enumerate(self.columns) if any(row[i] not in ("", "0") for row in cells)]
        return Sheet(
            title=self.title,
            task=self.task,
            columns=kept,
            rows=self.rows,
            best=self.best,
            best_rule=self.best_rule,
            notes=self.notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tables of one suite (or track) with what they have in common.

    Parameters
    ----------
    title : str
    verdict : str
        Who leads, and who cannot be told from the first.
    line : str
        What results must have in common to be compared, in one line.
    facts : mapping of str to str
        What holds for every number: suite and version, protocol, preset, test units, threads,
        device, imputation, ...
    splits : str
        Which splits were made here; empty if none.
    sheets : sequence of Sheet
    notes : sequence of str
        What the numbers are.
    left_out : sequence of str
    make_records : callable
        Returns the same numbers, unrounded and flat, for CSV and JSON.
    """

    title: str
    line: str
    verdict: str = ""
    facts: Mapping[str, str]
    splits: str = ""
    sheets: Sequence[Sheet]
    notes: Sequence[str]
    left_out: Sequence[str] = ()
    make_records: Callable[[], Sequence[Mapping[str, Any]]] = tuple

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        """The numbers of the tables, unrounded and flat."""
        return self.make_records()

    def facts_line(self) -> str:
        """Return every fact, in one line."""
        return "; ".join(f"{name}: {value}" for name, value in self.facts.items())

    def lines(self) -> list[str]:
        """Return all that stands below the tables."""
        own = [note for sheet in self.sheets for note in sheet.notes]
        return [*dict.fromkeys((*own, *self.notes)), *(f"left out: {line}" for line in self.left_out)]


def number(value: float | None, digits: int) -> str:
    """Return a number with so many digits after the point; empty for None."""
    return "" if value is None else number_text(value, digits)


def seconds_text(value: float | None) -> str:
    """Return seconds, never as "0.0", which a reader takes for nothing."""
    if value is None or value >= 0.95:
        return number(value, 1)
    return "<0.01" if value < 0.01 else f"{value:.2f}"
