"""What readers of published results give, and the checks that all of them share."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchbench.errors import InputError, suggest
from benchbench.records import OUTCOMES

__all__ = ["STATUSES", "PublishedResult", "PublishedSuite", "csv_rows", "number", "status_of", "text_of"]

STATUSES = tuple(o for o in OUTCOMES if o != "infra")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedResult:
    """One number that somebody published, or that they could not get.

    Parameters
    ----------
    method, task : str
    unit : int
        Fold or seed.
    status : str
        One of `STATUSES`; only what is "ok" has a score.
    score : float or None
        Higher is better.
    metric : str
    where : str
        File and line, for messages.
    seconds : float
    message : str
        Why it failed, as published.
    unit_name : str
        "fold", "seed" or "episode": what `unit`, or `n_units`, counts.
    sd, n_units
        Of scores that are means: the standard deviation over `n_units`.
    metrics : dict
        Further numbers.
    """

    method: str
    task: str
    unit: int
    status: str
    score: float | None
    metric: str
    where: str
    seconds: float = 0.0
    message: str = ""
    unit_name: str = "fold"
    sd: float | None = None
    n_units: int = 1
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSuite:
    """All results of one published table.

    Parameters
    ----------
    name : str
        What the suite is called in the database.
    track : str
    results : sequence of PublishedResult
    notes : tuple of str
        What a reader should know of how the file was read.

    Raises
    ------
    InputError
        If there is nothing, or a (method, task, unit) occurs twice.
    """

    name: str
    track: str
    results: Sequence[PublishedResult]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.results:
            raise InputError(f"no results to import into suite {self.name}: the file holds none")
        seen: dict[tuple[str, str, int], str] = {}
        for one in self.results:
            key = (one.method, one.task, one.unit)
            if key in seen:
                raise InputError(
                    f"{one.where}: {one.method} on {one.task}, {one.unit_name} {one.unit}, stands in {seen[key]} already;"
                    " one result of each method, task and unit is expected"
                )
            seen[key] = one.where


def csv_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the rows of a CSV file, each with where it stands.

    Raises
    ------
    InputError
        If the file cannot be read, has no header, lacks a required column, or has a row of another length.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if not any(header):
                raise InputError(f"{path} is empty; a header with the columns {', '.join(required)} is expected")
            check_columns(path, header, required)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(header):
                    raise InputError(f"{where}: {len(row)} values, the header has {len(header)} columns")
                yield where, dict(zip(header, row, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error


def check_columns(path: Path, have: Sequence[str], required: Sequence[str]) -> None:
    """Make sure that the required columns are there, and none twice.

    Raises
    ------
    InputError
    """
    twice = sorted({name for name in have if name and list(have).count(name) > 1})
    if twice:
        raise InputError(f"{path}: more than one column is named {', '.join(twice)}")
    for name in required:
        if name not in have:
            raise InputError(f"{path} has no column {name!r}{suggest(name, have)}")


def number(text: object, what: str, where: str) -> float | None:
    """Return the finite number that a cell holds; None if it is empty.

    Raises
    ------
    InputError
        On anything else, NaN and infinity included.
    """
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    try:
        if isinstance(text, bool):
            raise ValueError
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{where}: {what} {text!r} is no number") from None
    if not math.isfinite(value):
        raise InputError(
            f"{where}: {what} is {value}; a finite number is expected, or nothing and a status that says why"
        )
    return value


def whole_number(text: object, what: str, where: str) -> int:
    """Return the whole number that a cell holds.

    Raises
    ------
    InputError
    """
    value = number(text, what, where)
    if value is None or value != int(value) or abs(value) >= 2**53:
        raise InputError(f"{where}: {what} {text!r} is no whole number")
    return int(value)


def text_of(text: object, what: str, where: str) -> str:
    """Return the text of a cell that must not be empty, on one line.

    Raises
    ------
    InputError
    """
    value = " ".join(str(text).split()) if text is not None else ""
    if not value:
        raise InputError(f"{where}: {what} is empty")
    return value


def status_of(text: object, score: float | None, where: str) -> str:
    """Return the status of a result; what has a score and no status is ok.

    Raises
    ------
    InputError
        If the status is unknown, or does not go with having (or lacking) a score.
    """
    status = str(text).strip().lower() if text is not None else ""
    if not status:
        if score is None:
            raise InputError(f"{where}: no score and no status; one of them is expected ({', '.join(STATUSES)})")
        return "ok"
    if status not in STATUSES:
        raise InputError(f"{where}: unknown status {status!r}{suggest(status, STATUSES)}")
    if (status == "ok") != (score is not None):
        has = "no score" if score is None else f"the score {score:g}"
        raise InputError(f"{where}: status {status!r}, but {has}; only what is ok has a score")
    return status
