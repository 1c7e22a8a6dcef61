"""Loads the counted trials of a suite: the only way from rows to scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchbench.results.columns import grouped
from benchbench.results.counted import Counting, count_attempts
from benchbench.results.reader import failed_preparations
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.labels import published_source
from benchbench.stats.table import TrialState
from benchbench.stats.trials import Cell, Conditions, CountedTrials, UnpreparedTask

if TYPE_CHECKING:
    import duckdb

    from benchbench.results.columns import AttemptColumns, Coded
    from benchbench.results.reader import Readable
    from benchbench.suite_files import SuiteSpec

__all__ = ["counted_trials", "suite_facts"]

M_MMAP_THRESHOLD = -3
LARGEST_KEPT = 2**25
_STATES = {"ok": TrialState.OK, "declined": TrialState.DECLINED, "infra": TrialState.ABSENT}

_SHARED = """
SELECT attempt_key, value FROM metrics
WHERE kind = 'metric' AND name = 'shared_seconds' AND value > 0 ORDER BY attempt_key
"""

_REMARKED = "SELECT attempt_key FROM attempts WHERE remarks_json <> '[]' ORDER BY attempt_key"


def suite_facts(suite: SuiteSpec) -> SuiteFacts:
    """Return the facts of a suite that a leaderboard needs."""
    return SuiteFacts(
        name=suite.name,
        version=suite.version,
        baseline=suite.scores.baseline,
        reference=suite.scores.reference,
        tasks=tuple(
            TaskEnds(name=t.name, baseline_score=t.baseline_score, reference_score=t.reference_score)
            for t in suite.tasks
        ),
    )


def counted_trials(results: Readable, suite: str) -> CountedTrials:
    """Return the counted trials of a suite under all conditions; none without results."""
    if not results.exists():
        return _nothing()
    with _memory_returned(), results.reading() as con:
        found = count_attempts(con, suite)
        return replace(_trials(found) if found.columns.n else _nothing(), unprepared=_unprepared(con, suite))


def _unprepared(con: duckdb.DuckDBPyConnection, suite: str) -> tuple[UnpreparedTask, ...]:
    return tuple(
        UnpreparedTask(
            task=row["task"],
            suite_version=row["suite_version"],
            run_id=row["run_id"],
            reason=f"{row['error_type']}: {row['error_message']}",
        )
        for row in failed_preparations(con, suite)
    )


@contextmanager
def _memory_returned() -> Iterator[None]:
    """Return columns of a megabyte or more to the system as soon as they are freed.

    By default glibc keeps blocks of up to 32 MiB once it has freed one of that size: some 60 MiB of
    unused memory for a million attempts. Afterwards it does again: statistics use the same memory
    over and over, and asking for it each time takes longer.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, 2**20)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)


def _nothing() -> CountedTrials:
    numbers, integers = np.zeros(0), np.zeros(0, dtype=np.int64)
    return CountedTrials(
        cells=(),
        cell=integers,
        seed=integers,
        state=np.zeros(0, dtype=np.int8),
        score=numbers,
        deviation=numbers,
        n_units=integers,
        seconds=numbers,
    )


def _trials(counting: Counting) -> CountedTrials:
    columns = counting.columns
    kept = slice(None) if counting.counts.all() else np.flatnonzero(counting.counts)
    # keep only cells with a counted attempt, renumbered
    cell, rows = grouped([counting.cell[kept]], [len(counting.cell_rows)])
    rows = counting.cell_rows[counting.cell[kept][rows]] if len(rows) else rows
    outcome = columns.coded("outcome")
    states = np.array([_STATES.get(text, TrialState.FAILED) for text in outcome.texts], dtype=np.int8)
    state = states[outcome.codes[kept]]
    score = columns.numbers("score")[kept]
    is_ok = state == TrialState.OK
    score = _where(is_ok, score)
    deviation = _where(is_ok, columns.numbers("score_sd")[kept])
    n_units = columns.integers("n_units")[kept]
    seconds = _seconds(columns, counting)[kept]
    cells = _cells(counting, kept, cell, rows, state)
    return CountedTrials(
        cells=cells,
        cell=cell,
        seed=counting.seed[kept],
        state=state,
        score=score,
        deviation=deviation,
        n_units=n_units,
        seconds=_where(is_ok, seconds),
        superseded=counting.superseded,
    )


def _where(is_ok: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Set the values of unsuccessful trials to NaN, in place if possible."""
    if is_ok.all():
        return values
    values = values if values.flags.writeable else values.copy()
    values[~is_ok] = np.nan
    return values


def _seconds(columns: AttemptColumns, counting: Counting) -> NDArray[np.float64]:
    seconds = columns.numbers("seconds")
    protocol = columns.coded("protocol_version")
    is_published = np.array([published_source(text) is not None for text in protocol.texts], dtype=np.bool_)
    if is_published.any():
        # published results with 0 seconds have unknown times
        seconds[is_published[protocol.codes] & ~(seconds > 0)] = np.nan
    return seconds


_Kept = slice | NDArray[np.intp]


def _cells(
    counting: Counting, kept: _Kept, cell: NDArray[np.int32], rows: NDArray[np.intp], state: NDArray[np.int8]
) -> tuple[Cell, ...]:
    """Summarise the counted trials per cell; `rows` has one attempt of each cell."""
    columns, n = counting.columns, len(rows)
    counts = np.bincount(cell.astype(np.int64) * len(TrialState) + state, minlength=n * len(TrialState)).reshape(
        n, len(TrialState)
    )
    is_ok = state == TrialState.OK
    threads = columns.integers("threads")[rows].tolist()
    texts = {name: _texts(columns.coded(name), rows) for name in _OF_A_CELL}
    budgets = columns.coded("budget_json")
    iterations = np.array([counting.iterations[text] for text in budgets.texts], dtype=np.int64)
    shared = _shared_seconds(counting, kept, is_ok)
    n_shared = np.bincount(cell[shared > 0], minlength=n) if shared is not None else np.zeros(n, dtype=np.int64)
    all_shared = np.bincount(cell, weights=shared, minlength=n) if shared is not None else np.zeros(n)
    n_ok = counts[:, TrialState.OK]
    conditions = [
        _conditions_of(*one)
        for one in zip(
            texts["suite_version"],
            texts["protocol_version"],
            texts["preset"],
            [counting.test_units[text] for text in texts["budget_json"]],
            threads,
            texts["device"],
            strict=True,
        )
    ]
    return tuple(
        Cell(
            conditions=under,
            task=task,
            fingerprint=fingerprint,
            method=method,
            params=params,
            transductive=bool(transductive),
            metric=metric,
            unit=unit,
            n_ok=numbers[TrialState.OK],
            n_failed=numbers[TrialState.FAILED],
            n_declined=numbers[TrialState.DECLINED],
            n_lost=numbers[TrialState.ABSENT],
            hardware=hardware,
            n_environments=len(environments),
            newest=newest,
            n_shared=of_shared,
            shared_seconds=shared_seconds,
            iterations=n_iterations,
            n_remarked=n_remarked,
        )
        for (
            under,
            task,
            fingerprint,
            method,
            params,
            transductive,
            metric,
            unit,
            numbers,
            hardware,
            environments,
            newest,
            of_shared,
            shared_seconds,
            n_iterations,
            n_remarked,
        ) in zip(
            conditions,
            texts["task"],
            texts["task_fingerprint"],
            texts["method"],
            texts["params_json"],
            _greatest(columns.integers("transductive")[kept], cell, n).tolist(),
            _greatest_text(columns.coded("metric"), kept, cell, n),
            _greatest_text(columns.coded("unit"), kept, cell, n),
            counts.tolist(),
            _sets_of(columns.coded("hardware_class"), kept, cell, n, is_ok),
            _sets_of(columns.coded("environment_hash"), kept, cell, n, is_ok),
            _greatest(columns.numbers("started_at")[kept], cell, n).tolist(),
            n_shared.tolist(),
            (all_shared / np.maximum(n_ok, 1)).tolist(),
            _greatest(iterations[budgets.codes[kept]], cell, n).tolist(),
            _remarked(counting, kept, cell, n).tolist(),
            strict=True,
        )
    )


@lru_cache(maxsize=1024)
def _conditions_of(*values: Any) -> Conditions:
    """Return the conditions of a cell; thousands of cells share one object."""
    return Conditions(**dict(zip(Conditions.__dataclass_fields__, values, strict=True)))


_OF_A_CELL = (
    "suite_version",
    "protocol_version",
    "preset",
    "budget_json",
    "device",
    "task",
    "task_fingerprint",
    "method",
    "params_json",
)


def _texts(column: Coded, rows: NDArray[np.intp]) -> list[str]:
    return [column.texts[code] for code in column.codes[rows].tolist()]


def _greatest(values: NDArray[Any], cell: NDArray[np.int32], n: int) -> NDArray[Any]:
    found = np.zeros(n, dtype=values.dtype)
    if not len(values):
        return found
    if values.strides == (0,):  # a constant
        found[:] = values[0]
        return found
    found[cell] = values  # an arbitrary value of the cell; the greatest is found below
    np.maximum.at(found, cell, values)
    return found


def _greatest_text(column: Coded, kept: _Kept, cell: NDArray[np.int32], n: int) -> list[str]:
    """Return the alphabetically last text per cell: failed trials have the empty one."""
    if len(column.texts) == 1:
        return [column.texts[0]] * n
    return [column.texts[code] for code in _greatest(column.codes[kept].astype(np.int64), cell, n).tolist()]


def _sets_of(
    column: Coded, kept: _Kept, cell: NDArray[np.int32], n: int, is_ok: NDArray[np.bool_]
) -> list[tuple[str, ...]]:
    """Return the sorted distinct texts of the successful trials per cell."""
    if len(column.texts) == 1:
        has_any = np.bincount(cell[is_ok], minlength=n) > 0
        named = tuple(text for text in column.texts if text)
        return [named if one else () for one in has_any.tolist()]
    codes = column.codes[kept][is_ok].astype(np.int64)
    pairs = np.unique(cell[is_ok].astype(np.int64) * len(column.texts) + codes)
    found: list[list[str]] = [[] for _ in range(n)]
    for i, code in zip((pairs // len(column.texts)).tolist(), (pairs % len(column.texts)).tolist(), strict=True):
        if column.texts[code]:
            found[i].append(column.texts[code])
    return [tuple(one) for one in found]


def _remarked(counting: Counting, kept: _Kept, cell: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Return the number of trials with remarks per cell."""
    known = counting.columns.con.execute(_REMARKED).fetchnumpy()["attempt_key"]
    if not len(known):
        return np.zeros(n, dtype=np.int64)
    keys = counting.columns.numbers("attempt_key")[kept]
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.bincount(cell[known[place] == keys], minlength=n)


def _shared_seconds(counting: Counting, kept: _Kept, is_ok: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the seconds of reused training per successful trial; None if there are none."""
    rows = counting.columns.con.execute(_SHARED).fetchnumpy()
    known, seconds = rows["attempt_key"], rows["value"]
    if not len(known):
        return None
    keys = counting.columns.numbers("attempt_key")[kept]
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(is_ok & (known[place] == keys), np.asarray(seconds)[place], 0.0)
