"""Reads the table of an ARFF file, dense or sparse, row by row, with liac-arff.

It is not read through openml-python, which for sparse tables refuses nominal and string columns,
rounds numbers to float32 and drops empty rows at the end; scipy reads neither sparse tables nor
strings. liac-arff itself cuts fractions of INTEGER attributes off, so they are read as REAL.

What a sparse row leaves out is 0 in a numeric column, the first declared category in a nominal one,
and missing in a column of strings, which has no first value.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from benchbench.errors import InputError
from benchbench.suites._openml_files import Damaged

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["read_arff"]

CELLS_AT_ONCE = 1_000_000
"""Cells that are held as Python objects, a hundred bytes each, before they become numbers."""
COPIES = 3
"""Times the bytes of a dense table that preparing it takes at its peak."""

_NAME = re.compile(r"(?i)^\s*@attribute\s+")
_INTEGER = re.compile(r"(?i)\binteger\s*$")

Kind = str | Sequence[str | None]
"""Of an attribute: "STRING", "REAL" or "NUMERIC", or the declared categories."""


class _Lines:
    """Lines of a file for liac-arff; counts them and keeps the last one."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.number, self.last, self.is_header = file, 0, "", True

    def __iter__(self) -> Iterator[str]:
        for line in self.file:
            self.number, self.last = self.number + 1, line
            yield self._declaration(line) if self.is_header else line

    def _declaration(self, line: str) -> str:
        start = line.lstrip()[:10].lower()
        if start.startswith("@relation"):
            # its name is not needed, and is not always what liac-arff expects
            return "@relation table\n"
        if start == "@attribute":
            # liac-arff expects a space where files have a tab
            return _INTEGER.sub("REAL", _NAME.sub("@attribute ", line.rstrip())) + "\n"
        self.is_header = not start.startswith("@data")
        return line


def read_arff(path: Path) -> pd.DataFrame:
    """Return all columns, with the names of the file: numbers float64, categories, strings.

    Numbers are the nearest float64 to what the file says. Missing values are NaN or None.

    Raises
    ------
    Damaged
        If the file cannot be read.
    InputError
        If the table is sparse, and too large for this machine's memory in dense form.
    """
    import arff
    import pandas as pd

    # some files begin with a byte order mark
    with path.open(encoding="utf-8-sig") as file:
        lines = _Lines(file)
        try:
            is_sparse = _is_sparse(file)
            file.seek(0)
            form = arff.LOD_GEN if is_sparse else arff.DENSE_GEN
            table = arff.ArffDecoder().decode(iter(lines), encode_nominal=True, return_type=form)
            with closing(table["data"]) as rows:
                read = _read_sparse if is_sparse else _read_dense
                columns = list(read(rows, [kind for _, kind in table["attributes"]], lines))
        except arff.ArffException as error:
            error.line = lines.number
            raise Damaged(f"{path}: {error}") from error
        except (ValueError, csv.Error) as error:
            raise Damaged(f"{path}, line {lines.number}: {error}") from error
    names = [name for name, _ in table["attributes"]]
    return pd.DataFrame(dict(zip(names, columns, strict=True)), copy=False)


def _is_sparse(file: IO[str]) -> bool:
    """Tell by the first row, since what OpenML calls a file's format is not always right."""
    for line in file:
        if line.lstrip()[:5].lower() == "@data":
            break
    first = next((row for line in file if (row := line.strip()) and not row.startswith("%")), "")
    return first.startswith("{")


def _read_dense(rows: Iterable[Sequence[Any]], kinds: Sequence[Kind], lines: _Lines) -> Iterator[Any]:
    import numpy as np

    found: list[list[Any]] = [[] for _ in kinds]
    n_rows = max(1, CELLS_AT_ONCE // len(kinds))
    remaining = iter(rows)
    while chunk := list(islice(remaining, n_rows)):
        for column, kind, values in zip(found, kinds, zip(*chunk, strict=True), strict=True):
            if kind == "STRING":
                column += values
            else:
                # None becomes NaN
                column.append(np.array(values, dtype=np.float64))
    for column, kind in zip(found, kinds, strict=True):
        yield _typed(column if kind == "STRING" else np.concatenate([np.empty(0), *column]), kind)


def _read_sparse(rows: Iterable[Mapping[int, Any]], kinds: Sequence[Kind], lines: _Lines) -> Iterator[Any]:
    import numpy as np

    # row and value of each number or category, by column; strings apart
    places, numbers = [array("q") for _ in kinds], [array("d") for _ in kinds]
    texts: list[list[Any]] = [[] for _ in kinds]
    n_rows = 0
    for row, values in enumerate(rows):
        n_rows = row + 1
        _check_row(values, len(kinds), lines.last)
        for column, value in values.items():
            places[column].append(row)
            if kinds[column] == "STRING":
                texts[column].append(value)
            else:
                numbers[column].append(float("nan") if value is None else value)
    _refuse_too_large(n_rows, len(kinds))
    for rows_of, values_of, texts_of, kind in zip(places, numbers, texts, kinds, strict=True):
        where = np.frombuffer(rows_of, np.int64) if rows_of else np.empty(0, np.int64)
        if kind == "STRING":
            given = dict(zip(where.tolist(), texts_of, strict=True))
            yield _typed([given.get(row) for row in range(n_rows)], kind)
        else:
            column_values = np.zeros(n_rows)
            column_values[where] = np.frombuffer(values_of) if values_of else ()
            yield _typed(column_values, kind)


def _check_row(values: Mapping[int, Any], n_columns: int, line: str) -> None:
    if values and max(values) >= n_columns:
        raise ValueError(f"the row names attribute {max(values)}, and the last one is {n_columns - 1}")
    # liac-arff keeps the last of several values of one attribute; a comma in quotes separates none
    pairs = line.strip().strip("{}").strip()
    if pairs and "'" not in pairs and '"' not in pairs and pairs.count(",") + 1 != len(values):
        raise ValueError("the row names an attribute twice")


def _refuse_too_large(n_rows: int, n_columns: int) -> None:
    needed, there = n_rows * n_columns * 8 * COPIES, available_bytes()
    if needed > there:
        raise InputError(
            f"the sparse table of {n_rows:,} rows x {n_columns:,} columns needs {needed / 2**30:,.1f} GiB of memory to be"
            f" prepared in dense form, and {there / 2**30:,.1f} GiB are available: use a machine with more memory, or"
            " leave the task out"
        )


def available_bytes() -> int:
    """Return the memory that is available on this machine, or at most that of its container."""
    info = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    found = int(info["MemAvailable"].split()[0]) * 1024
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if limit.is_file() and (most := limit.read_text().strip()).isdecimal():
            found = min(found, int(most))
    return found


def _typed(values: NDArray[np.float64] | list[Any], kind: Kind) -> Any:
    """Return the column; `values` are numbers, or places among the declared categories."""
    import numpy as np
    import pandas as pd

    if kind == "STRING":
        return pd.array(values, dtype="string")
    if isinstance(kind, str):
        return values
    # "?" is none, and some files declare a category twice
    categories = [label for label in dict.fromkeys(kind) if label is not None]
    known = {label: place for place, label in enumerate(categories)}
    codes = np.array([-1 if label is None else known[label] for label in kind] + [-1], np.int32)
    found = np.asarray(values)
    return pd.Categorical.from_codes(codes[np.where(np.isnan(found), len(kind), found).astype(np.int64)], categories)
