"""Published results as readers return them, and the checks that all readers share."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchbench.errors import InputError, suggest
from benchbench.records import OUTCOMES, CurvePoint
from benchbench.text import clean_name

__all__ = [
    "NOTHING",
    "REPEATED",
    "STATUSES",
    "PublishedResult",
    "PublishedSuite",
    "blanked",
    "csv_rows",
    "mixed_scales",
    "number",
    "status_of",
    "text_of",
    "without_repeats",
]

STATUSES = tuple(o for o in OUTCOMES if o != "infra")
REPEATED = ("newest", "first")
NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null"})
"""Usual words for a missing value, in lower case."""
_SHOWN = 3
# metrics within 0 and 1, which some tables give in per cent
_SHARES = frozenset(
    {"accuracy", "acc", "balanced_accuracy", "predictive_accuracy", "auc", "auc_ovr", "auc_ovo", "f1", "pr_auc"}
    | {"precision", "recall", "roc_auc", "top1", "top-1", "top1_accuracy"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedResult:
    """One published score or failure.

    Parameters
    ----------
    method, task : str
    unit : int
        Fold or seed.
    status : str
        One of `STATUSES`; only "ok" has a score.
    score : float or None
        Higher is better.
    metric : str
    where : str
        File and line, for messages.
    seconds : float
    message : str
        The published reason of a failure.
    unit_name : str
        "fold", "seed" or "episode": what `unit` or `n_units` counts.
    sd, n_units
        Standard deviation over `n_units`, if the score is a mean.
    metrics : dict
        Further metrics by name.
    when : str
        ISO time of the result, by which the newest of repeated ones is found.
    curve : tuple of CurvePoint
        Incumbents of an optimiser over its evaluations.
    budget : float, optional
        Evaluations that an optimiser was allowed.
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
    when: str = ""
    curve: tuple[CurvePoint, ...] = ()
    budget: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSuite:
    """All results of one published table.

    Parameters
    ----------
    name : str
        Name of the suite in the database.
    track : str
    results : sequence of PublishedResult
    notes : tuple of str
        Remarks for people on how the file was read.

    Raises
    ------
    InputError
        If there are no results, or a (method, task, unit) occurs twice.
    """

    name: str
    track: str
    results: Sequence[PublishedResult]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.results:
            raise InputError(f"no results to import into suite {self.name}: the file has none")
        if repeats := _repeats(self.results):
            named = "; ".join(
                f"{one.where}: {one.method} on {one.task}, {one.unit_name} {one.unit}, is already in {first.where}"
                for first, one in repeats[:_SHOWN]
            )
            more = f"; and {len(repeats) - _SHOWN} more" if len(repeats) > _SHOWN else ""
            raise InputError(
                f"{named}{more}; expected one result per method, task and unit, and {len(repeats)} of"
                f" {len(self.results)} are repeated: choose with --repeated {' or '.join(REPEATED)}"
            )


def _repeats(results: Sequence[PublishedResult]) -> list[tuple[PublishedResult, PublishedResult]]:
    """Return results whose method, task and unit came before, each after the first one."""
    seen: dict[tuple[str, str, int], PublishedResult] = {}
    found = []
    for one in results:
        first = seen.setdefault((one.method, one.task, one.unit), one)
        if first is not one:
            found.append((first, one))
    return found


def without_repeats(
    results: Sequence[PublishedResult], repeated: str | None
) -> tuple[Sequence[PublishedResult], tuple[str, ...]]:
    """Return one result per method, task and unit, and notes on those left out.

    Parameters
    ----------
    results : sequence of PublishedResult
    repeated : str or None
        "newest" keeps the one of the latest `when`, else the last; "first" the first; None keeps
        all.

    Raises
    ------
    InputError
        If `repeated` is unknown.
    """
    if repeated is None:
        return results, ()
    if repeated not in REPEATED:
        raise InputError(f"unknown choice {repeated!r} of repeated results; expected {' or '.join(REPEATED)}")
    kept: dict[tuple[str, str, int], PublishedResult] = {}
    for one in results:
        key = (one.method, one.task, one.unit)
        if key not in kept or (repeated == "newest" and one.when >= kept[key].when):
            kept[key] = one
    n_less = len(results) - len(kept)
    notes = (f"{n_less} of {len(results)} results are repeated; the {repeated} counts",) if n_less else ()
    return list(kept.values()), notes


def mixed_scales(suite: PublishedSuite, stored: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Return questions on shares and percentages side by side as one metric.

    Parameters
    ----------
    suite : PublishedSuite
    stored : mapping of metric to (least, greatest score)
        What the database has of this suite.
    """
    found: dict[str, list[PublishedResult]] = {}
    for one in suite.results:
        if one.score is not None and one.metric.lower() in _SHARES:
            found.setdefault(one.metric, []).append(one)
    notes = []
    for metric, results in found.items():
        shares = [r for r in results if r.score is not None and 0 < r.score <= 1]
        percents = [r for r in results if r.score is not None and 1 < r.score <= 100]
        low, high = stored.get(metric, (0.0, 0.0))
        if shares and percents:
            one, other = percents[0], shares[0]
            notes.append(
                f"{metric}: {len(shares)} scores within 0 to 1 ({other.where}: {other.score:g}) stand beside {len(percents)} of"
                f" up to 100 ({one.where}: {one.score:g}); are some per cent? Imported as published"
            )
        elif (percents and 0 < high <= 1) or (shares and not percents and low > 1):
            one = (percents or shares)[0]
            notes.append(
                f"{metric}: {one.score:g} ({one.where}), but the suite has scores from {low:g} to {high:g}; are some per"
                " cent? Imported as published"
            )
    return tuple(notes)


def blanked(row: Mapping[str, Any], na: Collection[str]) -> Mapping[str, Any]:
    """Return a row with the given words for a missing value (in any case) as empty cells."""
    if not na:
        return row
    words = {word.strip().lower() for word in na}
    return {name: "" if str(value).strip().lower() in words else value for name, value in row.items()}


def csv_rows(path: Path, required: Sequence[str], na: Collection[str] = ()) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file, each with its file and line.

    Raises
    ------
    InputError
        If the file cannot be read, has no header, lacks a required column, or has a row of another
        length.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if not any(header):
                raise InputError(f"{path} is empty, expected a header with the columns {', '.join(required)}")
            check_columns(path, header, required)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(header):
                    raise InputError(f"{where}: {len(row)} values, expected {len(header)} as in the header")
                yield where, dict(blanked(dict(zip(header, row, strict=True)), na))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error


def check_columns(path: Path, have: Sequence[str], required: Sequence[str]) -> None:
    """Check that the required columns exist and none occurs twice.

    Raises
    ------
    InputError
    """
    twice = sorted({name for name in have if name and list(have).count(name) > 1})
    if twice:
        raise InputError(f"{path}: more than one column is named {', '.join(twice)}")
    for name in required:
        if name not in have:
            raise InputError(
                f"{path} has no column {name!r}{suggest(name, have)}; it has {', '.join(filter(None, have)) or 'none'}"
            )


def number(text: object, what: str, where: str) -> float | None:
    """Return the finite number in a cell; None if it is empty.

    Raises
    ------
    InputError
        For anything else, including NaN and infinity.
    """
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    try:
        if isinstance(text, bool):
            raise ValueError
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{where}: {what} {text!r} is not a number") from None
    if not math.isfinite(value):
        raise InputError(
            f"{where}: {what} is {value}, expected a finite number, or an empty cell and a status"
            " (--na WORD names a word for missing values)"
        )
    return value


def whole_number(text: object, what: str, where: str) -> int:
    """Return the whole number in a cell.

    Raises
    ------
    InputError
    """
    value = number(text, what, where)
    if value is None or value != int(value) or abs(value) >= 2**53:
        raise InputError(f"{where}: {what} {text!r} is not a whole number")
    return int(value)


def text_of(text: object, what: str, where: str) -> str:
    """Return the text of a non-empty cell, cleaned as a name is (`benchbench.text.clean_name`).

    Raises
    ------
    InputError
    """
    value = clean_name(str(text)) if text is not None else ""
    if not value:
        raise InputError(f"{where}: {what} is empty")
    return value


def status_of(text: object, score: float | None, where: str) -> str:
    """Return the status of a result; a score without a status is ok.

    Raises
    ------
    InputError
        If the status is unknown, or contradicts the presence or absence of a score.
    """
    status = str(text).strip().lower() if text is not None else ""
    if not status:
        if score is None:
            raise InputError(f"{where}: no score and no status, expected a score or one of {', '.join(STATUSES)}")
        return "ok"
    if status not in STATUSES:
        raise InputError(f"{where}: unknown status {status!r}{suggest(status, STATUSES)}")
    if (status == "ok") != (score is not None):
        has = "no score" if score is None else f"the score {score:g}"
        raise InputError(f"{where}: status {status!r}, but {has}; only status ok has a score")
    return status
