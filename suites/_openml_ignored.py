"""Which columns of a data set are no features: those that identify rows, or that are to be ignored.

OpenML says so in two files, and both count: description.xml lists names, in many spellings, and
features.xml marks columns. A listed name that is no column is an error: a column that should be
ignored may hold the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchbench.errors import InputError
from benchbench.suites._openml_files import xml_records, xml_texts

__all__ = ["ignored_columns"]

LISTS = ("row_id_attribute", "ignore_attribute")
MARKS = ("is_row_identifier", "is_ignore")
MOST_SHOWN = 30

# a quoted name, or anything up to the next comma
_PIECE = re.compile(r"""(\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(?=,|$)|[^,]*)(?:,|$)""")
_QUOTED = re.compile(r"""\s*(["'])(.*)\1\s*""", re.DOTALL)


class _UnknownColumn(Exception):
    """A name that is no column, or may be several."""


def ignored_columns(files: Mapping[str, Path], names: Sequence[str], headed: Sequence[str], where: str) -> set[str]:
    """Return the names of the columns that are no features.

    Parameters
    ----------
    files : mapping of str to Path
        The data set's, by OpenML's names.
    names : sequence of str
        Of the columns, by features.xml.
    headed : sequence of str
        Their names by the table's own header, which may be quoted in another way.
    where : str
        What errors call the data set.

    Raises
    ------
    InputError
        If description.xml lists a name that is none of the columns.
    """
    known = dict(zip(headed, names, strict=True)) | {name: name for name in names}
    found = set()
    for element in LISTS:
        for text in xml_texts(files["description.xml"], element):
            try:
                found |= _columns(text, known)
            except _UnknownColumn as error:
                shown = ", ".join(map(repr, names[:MOST_SHOWN])) + (", ..." if len(names) > MOST_SHOWN else "")
                raise InputError(
                    f"{element} of {where} is {text!r}: {error}. Its {len(names)} columns are {shown}. It may say which"
                    " column gives the answer away, so leave the task out, or correct description.xml in a copy of its"
                    " files under $BENCHBENCH_DATA/openml"
                ) from error
    records = xml_records(files["features.xml"], "feature")
    return found | {record["name"] for record in records if any(_is_true(record.get(mark, "")) for mark in MARKS)}


def _is_true(text: str) -> bool:
    return text.strip().lower() in ("true", "1")


def _columns(text: str, known: Mapping[str, str]) -> set[str]:
    """Return the columns that a text lists; raises `_UnknownColumn`."""
    if text in known:
        return {known[text]}
    pieces = _PIECE.findall(text)
    longest = 1 + max(name.count(",") for name in known)
    folded: dict[str, set[str]] = {}
    for name, column in known.items():
        folded.setdefault(_folded(name), set()).add(column)
    found, start = set[str](), 0
    while start < len(pieces):
        if not pieces[start].strip():
            start += 1
            continue
        # names may hold commas
        runs = {end: ",".join(pieces[start:end]) for end in range(min(start + longest, len(pieces)), start, -1)}
        columns, start = _first(runs, known, folded)
        found |= columns
    return found


def _first(runs: Mapping[int, str], known: Mapping[str, str], folded: Mapping[str, set[str]]) -> tuple[set[str], int]:
    """Return the columns that the first pieces name, as exactly as possible, and where they end."""
    spelt = [(end, spelling) for end, text in runs.items() for spelling in _spellings(text)]
    for end, spelling in spelt:
        if spelling in known:
            return {known[spelling]}, end
    for end, spelling in spelt:
        columns = folded.get(_folded(spelling), set())
        if len(columns) > 1:
            raise _UnknownColumn(f"{spelling!r} may be any of {', '.join(map(repr, sorted(columns)))}")
        if columns:
            return columns, end
    end, text = list(runs.items())[-1]
    quoted = _QUOTED.fullmatch(text)
    if quoted and "," in quoted[2]:
        # quotes around a whole list
        return _columns(quoted[2], known), end
    raise _UnknownColumn(f"{text.strip()!r} is no column of it")


def _spellings(text: str) -> list[str]:
    """Return what the name may be: as it stands, stripped, without quotes and their backslashes."""
    found, quoted = [text, text.strip()], _QUOTED.fullmatch(text)
    if quoted:
        inner = re.sub(r"\\(.)", r"\1", quoted[2])
        found += [quoted[2], inner, inner.strip()]
    return found


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
