"""The attempts of a suite as columns: numbers unchanged, text as integer codes.

Columns are read one at a time, so that a million attempts are never in memory twice. DuckDB keeps
the order of rows of a query that only filters and unites tables (its manual, "Order Preservation").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchbench.results.spellings import params_expression

if TYPE_CHECKING:
    import duckdb

__all__ = ["AttemptColumns", "Coded", "grouped"]

# up to this many possible combinations are counted in a table, more are sorted
_MOST_COUNTED = 16_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of text: the sorted distinct texts and each row's index into them."""

    codes: NDArray[np.integer]
    texts: tuple[str, ...]

    def code(self, text: str) -> int:
        """Return the code of a text; -1 if no row has it."""
        return self.texts.index(text) if text in self.texts else -1


class AttemptColumns:
    """Columns of the table `attempts`, all in the same row order.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Connection of `Readable.reading`.
    suite : str or None
        None: attempts of all suites.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, suite: str | None) -> None:
        self.con, self._suite = con, suite
        self.params = params_expression(con, suite)
        """SQL for the normal spelling of parameters: attempts of one method have one."""
        self._where = "" if suite is None else " WHERE suite = $1"
        self._coded: dict[str, Coded] = {}
        # columns are copied to numpy arrays; DuckDB need not keep memory for later queries
        con.execute("SET allocator_flush_threshold = '1MB'")
        con.execute("SET allocator_bulk_deallocation_flush_threshold = '1MB'")
        self.n = int(self._query("SELECT count(*) FROM attempts")[0][0])

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        return self.con.execute(query + self._where, [] if self._suite is None else [self._suite]).fetchall()

    def coded(self, name: str) -> Coded:
        """Return a column of text."""
        if name not in self._coded:
            self._coded[name] = self._read_coded(name)
        return self._coded[name]

    def _read_coded(self, name: str) -> Coded:
        expression = self.params if name == "params_json" else name
        texts = tuple(sorted(row[0] for row in self._query(f"SELECT DISTINCT {expression} FROM attempts")))
        if len(texts) < 2:
            # all rows share one element
            return Coded(np.broadcast_to(np.zeros((), dtype=np.uint8), (self.n,)), texts)
        # CREATE TYPE takes no parameters
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE column_texts AS SELECT unnest(CAST($1 AS VARCHAR[])) AS t", [list(texts)]
        )
        self.con.execute(f"DROP TYPE IF EXISTS text_{name}")
        self.con.execute(f"CREATE TYPE text_{name} AS ENUM (SELECT t FROM column_texts)")
        return Coded(self._read(f"enum_code(CAST({expression} AS text_{name}))"), texts)

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a column of numbers; NaN where it is NULL."""
        return self._read(name)

    def integers(self, name: str) -> NDArray[Any]:
        """Return a column of integers, as int32 if they fit; read-only if all are equal."""
        low, high = self._query(f"SELECT min({name})::BIGINT, max({name})::BIGINT FROM attempts")[0]
        if low is None or low == high:
            return np.broadcast_to(np.asarray(low or 0), (self.n,))
        return self._read(f"CAST({name} AS INTEGER)" if low >= -(2**31) and high < 2**31 else name)

    def _read(self, expression: str) -> NDArray[Any]:
        found = self.con.execute(
            f"SELECT {expression} AS c FROM attempts{self._where}", [] if self._suite is None else [self._suite]
        ).fetchnumpy()["c"]
        if not np.ma.isMaskedArray(found):
            return np.asarray(found)
        if found.mask is not np.ma.nomask:
            found.data[found.mask] = np.nan
        return np.asarray(found.data)

    def mapped(self, name: str, value_of: dict[str, int]) -> tuple[NDArray[np.int64], tuple[int, ...]]:
        """Return a column of text mapped by `value_of`, as codes, and the value of each code."""
        column = self.coded(name)
        values = sorted({value_of[text] for text in column.texts})
        table = np.array([values.index(value_of[text]) for text in column.texts], dtype=np.int64)
        return table[column.codes] if len(table) else np.zeros(0, dtype=np.int64), tuple(values)


def grouped(codes: Sequence[NDArray[np.integer]], sizes: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the distinct combinations of several columns of codes.

    Parameters
    ----------
    codes : sequence of (N,) int
    sizes : sequence of int
        Exclusive upper bound of each column's codes.

    Returns
    -------
    (N,) int32
        The number of each row's combination; combinations are numbered in the order of codes.
    (G,) int
        A row of each combination.
    """
    n = len(codes[0])
    key, size = np.zeros(n, dtype=np.int64), 1
    for column, n_codes in zip(codes, sizes, strict=True):
        if n_codes <= 1:
            continue
        if size > 2**62 // n_codes:
            number, rows = _numbered(key, size)
            key, size = number.astype(np.int64), len(rows)
        key *= n_codes
        key += column
        size *= n_codes
    return _numbered(key, size)


def _numbered(key: NDArray[np.int64], size: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    if size > max(_MOST_COUNTED, 4 * len(key)):
        _, rows, number = np.unique(key, return_index=True, return_inverse=True)
        return number.astype(np.int32), rows
    number_of = np.full(size, -1, dtype=np.int32)
    # keep the first row of each key
    number_of[key[::-1]] = np.arange(len(key) - 1, -1, -1, dtype=np.int32)
    met = np.flatnonzero(number_of >= 0)
    rows = number_of[met].astype(np.intp)
    number_of[met] = np.arange(len(met), dtype=np.int32)
    return number_of[key], rows
