"""Reads dense ARFF files as text: quoting, escapes and missing values as Weka reads them.

Reading is tolerant where published files are careless (tabs in declarations, a status in capitals,
values outside their declared categories): what a value means is for the caller to check. Sparse
files of OpenML are read by its own loader.

References
----------
https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchbench.errors import InputError

__all__ = ["ArffAttribute", "arff_attributes", "arff_rows"]

# a value is quoted whole or not at all; a quote inside an unquoted value is a plain character
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_VALUE = re.compile(rf"\s*({_QUOTED}|[^,]*?)\s*(?:,|$)")
_DECLARATION = re.compile(rf"@attribute\s+({_QUOTED}|[^\s{{]+)\s*(\S.*)", re.IGNORECASE)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class ArffAttribute:
    """A declared column.

    Parameters
    ----------
    name : str
    kind : str
        The declared type in lower case ("numeric", "string", ...), or "nominal".
    categories : tuple of str
        Declared values of a nominal attribute.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()


def arff_attributes(path: Path) -> list[ArffAttribute]:
    """Return the declared columns of a file.

    Raises
    ------
    InputError
        If the file cannot be read, or is not ARFF.
    """
    return [one for _, one in _declarations(path)]


def arff_rows(path: Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield the rows of a file, each with its place ("FILE, line 7"); a missing value is None.

    Raises
    ------
    InputError
        If the file cannot be read, is not dense ARFF, or has a row of another length.
    """
    names = [one.name for _, one in _declarations(path)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: more than one column is named {', '.join(twice)}")
    is_data = False
    for i, text in _lines(path):
        if not is_data:
            is_data = text.lower().startswith("@data")
            continue
        where = f"{path}, line {i}"
        if text.startswith("{"):
            raise InputError(f"{where}: a sparse row, expected {len(names)} values")
        values = _values(text, where)
        if len(values) != len(names):
            raise InputError(f"{where}: {len(values)} values, expected {len(names)} as declared attributes")
        yield where, dict(zip(names, values, strict=True))


def _declarations(path: Path) -> Iterator[tuple[int, ArffAttribute]]:
    for i, text in _lines(path):
        lower = text.lower()
        if lower.startswith("@attribute"):
            match = _DECLARATION.match(text)
            if match is None:
                raise InputError(f"{path}, line {i}: not a declaration of an attribute: {text[:80]}")
            yield i, _attribute(match.group(1), match.group(2), f"{path}, line {i}")
        elif lower.startswith("@data"):
            return
        elif not lower.startswith("@relation"):
            raise InputError(f"{path}, line {i}: not ARFF: {text[:80]}")
    raise InputError(f"{path} is not an ARFF file: it has no @DATA")


def _attribute(name: str, kind: str, where: str) -> ArffAttribute:
    if not kind.startswith("{"):
        return ArffAttribute(_unquoted(name), kind.split()[0].lower())
    inside = kind[1 : kind.rindex("}")] if "}" in kind else kind[1:]
    return ArffAttribute(_unquoted(name), "nominal", tuple(v for v in _values(inside, where) if v is not None))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines without blank ones and comments."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for i, line in enumerate(file, 1):
                text = line.strip()
                if text and not text.startswith("%"):
                    yield i, text
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as ARFF: {error}") from error


def _values(text: str, where: str) -> Sequence[str | None]:
    if "'" not in text and '"' not in text and "\\" not in text:
        return [None if value in ("?", "") else value for value in map(str.strip, text.split(","))]
    values: list[str | None] = []
    at = 0
    while True:
        match = _VALUE.match(text, at)
        if match is None:
            raise InputError(f"{where}: not a list of values from {text[at : at + 40]!r}; is a quote unbalanced?")
        raw = match.group(1)
        if raw[:1] in ("'", '"') and not re.fullmatch(_QUOTED, raw):
            raise InputError(f"{where}: the quote at {text[at : at + 40]!r} is unbalanced")
        values.append(None if raw in ("?", "") else _unquoted(raw))
        at = match.end()
        if match.group(0)[-1:] != ",":
            return values


def _unquoted(raw: str) -> str:
    if raw[:1] not in ("'", '"') or raw[-1:] != raw[:1] or len(raw) == 1:
        return raw
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(1)), raw[1:-1])
