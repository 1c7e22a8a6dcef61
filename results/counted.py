"""Which attempts count: one per trial. All others are history.

Per trial, the newest attempt that is not `infra` counts (`infra` only if there is no other), among
attempts of the newest source of its method under the same conditions. So no row of a leaderboard
mixes two sources, and a quick run with a new source does not empty the leaderboard of a longer
preset.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchbench.results.columns import AttemptColumns, grouped
from benchbench.results.ingest import quoted
from benchbench.stats.labels import PUBLISHED

if TYPE_CHECKING:
    import duckdb

__all__ = ["IN_CONDITIONS", "IS_TIMED", "Counting", "count_attempts", "select_counted"]

# Parameters 1 to 6 are the fields of `Conditions`, in their order.
IN_CONDITIONS = """
    suite_version = $1 AND protocol_version = $2 AND preset = $3
    AND coalesce(CAST(json_extract(budget_json, '$.test_units') AS BIGINT), 0) = $4 AND threads = $5 AND device = $6
"""

# Published results with 0 seconds have unknown times.
IS_TIMED = f"(seconds > 0 OR NOT starts_with(protocol_version, {quoted(PUBLISHED)}))"

CONDITIONS = ("suite_version", "protocol_version", "preset", "test_units", "threads", "device")
CELL = ("suite", *CONDITIONS, "task", "task_fingerprint", "method", "params_json")
"""What the trials of a cell have in common; within a cell, a seed identifies a trial."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Counting:
    """Which attempts count, and the cell of each.

    Parameters
    ----------
    columns : AttemptColumns
    counts : (N,) bool
    cell : (N,) int32
        Number of the attempt's cell.
    cell_rows : (C,) int
        A row of each cell.
    test_units, iterations : mapping of budget (canonical JSON) to int
    seed : (N,) int
    superseded : tuple of (method, number of trials)
        Trials with only attempts of an older source of their adapter.
    """

    columns: AttemptColumns
    counts: NDArray[np.bool_]
    cell: NDArray[np.int32]
    cell_rows: NDArray[np.intp]
    test_units: dict[str, int]
    iterations: dict[str, int]
    seed: NDArray[np.integer]
    superseded: tuple[tuple[str, int], ...]


def count_attempts(con: duckdb.DuckDBPyConnection, suite: str | None) -> Counting:
    """Return which attempts of a suite count; None: of all suites."""
    columns = AttemptColumns(con, suite)
    budgets = {text: json.loads(text) for text in columns.coded("budget_json").texts}
    test_units = {text: int(budget.get("test_units") or 0) for text, budget in budgets.items()}
    codes, sizes = _codes(columns, test_units)
    cell, cell_rows = grouped([codes[name] for name in CELL], [sizes[name] for name in CELL])
    seed = columns.integers("seed")
    is_lost = columns.coded("outcome").codes == columns.coded("outcome").code("infra")
    is_old = _older_source(columns, codes, sizes, is_lost)
    counts = ~is_old
    trial, _ = _trials(cell, len(cell_rows), seed)
    if np.bincount(trial[counts], minlength=1).max(initial=0) > 1:
        counts &= ~_repeated(columns, trial, counts, is_lost)
    return Counting(
        columns=columns,
        counts=counts,
        cell=cell,
        cell_rows=cell_rows,
        test_units=test_units,
        iterations={text: int(budget.get("iterations") or 0) for text, budget in budgets.items()},
        seed=seed,
        superseded=_superseded(columns, codes, sizes, seed, counts, is_old & ~is_lost) if is_old.any() else (),
    )


def _codes(
    columns: AttemptColumns, test_units: dict[str, int]
) -> tuple[dict[str, NDArray[np.integer]], dict[str, int]]:
    codes: dict[str, NDArray[np.integer]] = {}
    sizes: dict[str, int] = {}
    for name in CELL:
        if name == "threads":
            codes[name] = threads = columns.integers("threads")
            sizes[name] = int(threads.max(initial=0)) + 1
        elif name == "test_units":
            codes[name], values = columns.mapped("budget_json", test_units)
            sizes[name] = len(values)
        else:
            column = columns.coded(name)
            codes[name], sizes[name] = column.codes, len(column.texts)
    return codes, sizes


def _older_source(
    columns: AttemptColumns,
    codes: dict[str, NDArray[np.integer]],
    sizes: dict[str, int],
    is_lost: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which attempts are of an older source of their method under their conditions."""
    source = columns.coded("adapter_source_hash")
    if len(source.texts) < 2:
        return np.zeros(columns.n, dtype=np.bool_)
    names = ("suite", "preset", "threads", "device", "method", "params_json")
    group, rows = grouped([codes[name] for name in names], [sizes[name] for name in names])
    ran = np.flatnonzero(~is_lost)
    # the last of each group is its newest attempt; of equally new ones the first recorded one
    ran = ran[np.lexsort((-ran, columns.numbers("started_at")[ran], group[ran]))]
    newest = np.full(len(rows), -1, dtype=np.int64)
    newest[group[ran]] = source.codes[ran]
    # if only lost attempts exist, any source will do
    return np.asarray((newest[group] >= 0) & (newest[group] != source.codes))


def _trials(cell: NDArray[np.int32], n_cells: int, seed: NDArray[np.integer]) -> tuple[NDArray[np.int32], int]:
    """Return the number of each attempt's trial, and the number of trials."""
    low = int(seed.min(initial=0))
    span = int(seed.max(initial=0)) - low + 1
    if span > 2**62 // max(n_cells, 1):
        seed, low = np.unique(seed, return_inverse=True)[1], 0
        span = int(seed.max(initial=0)) + 1
    trial, rows = grouped([cell, seed - low], [max(n_cells, 1), span])
    return trial, len(rows)


def _repeated(
    columns: AttemptColumns, trial: NDArray[np.int32], counts: NDArray[np.bool_], is_lost: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which attempts are superseded by another attempt of the same trial."""
    several = np.flatnonzero(counts & (np.bincount(trial[counts], minlength=int(trial.max()) + 1) > 1)[trial])
    started, key = columns.numbers("started_at")[several], columns.numbers("attempt_key")[several]
    order = np.lexsort((key, -started, is_lost[several], trial[several]))
    ordered = several[order]
    found = np.zeros(columns.n, dtype=np.bool_)
    found[ordered[1:][trial[ordered[1:]] == trial[ordered[:-1]]]] = True
    return found


def _superseded(
    columns: AttemptColumns,
    codes: dict[str, NDArray[np.integer]],
    sizes: dict[str, int],
    seed: NDArray[np.integer],
    counts: NDArray[np.bool_],
    is_old: NDArray[np.bool_],
) -> tuple[tuple[str, int], ...]:
    # which data and which protocol an attempt met is no part of what a trial is
    names = [name for name in CELL if name not in ("protocol_version", "task_fingerprint")]
    place, rows = grouped([codes[name] for name in names], [sizes[name] for name in names])
    trial, n_trials = _trials(place, len(rows), seed)
    counted = np.zeros(n_trials, dtype=np.bool_)
    counted[trial[counts]] = True
    left = np.flatnonzero(is_old & ~counted[trial])
    # one attempt per trial
    left = left[np.unique(trial[left], return_index=True)[1]]
    method = columns.coded("method")
    counted_by = np.bincount(method.codes[left], minlength=len(method.texts)).tolist()
    return tuple((name, n) for name, n in zip(method.texts, counted_by, strict=True) if n)


def select_counted(con: duckdb.DuckDBPyConnection, suite: str | None) -> None:
    """Create the view `counted` of the counted attempts of a suite (None: of all suites).

    It has all columns of `attempts`, with parameters in their normal spelling.
    """
    found = count_attempts(con, suite)
    params = found.columns.params
    chosen = "*" if params == "params_json" else f"* REPLACE ({params} AS params_json)"
    where = "" if suite is None else f" WHERE suite = {quoted(suite)}"
    if found.counts.all():
        con.execute(f"CREATE TEMP VIEW counted AS SELECT {chosen} FROM attempts{where}")
        return
    history = {"attempt_key": found.columns.numbers("attempt_key")[~found.counts]}
    con.register("history_keys", history)
    con.execute("CREATE TEMP TABLE history AS SELECT attempt_key FROM history_keys")
    con.unregister("history_keys")
    con.execute(
        f"CREATE TEMP VIEW counted AS SELECT {chosen} FROM attempts ANTI JOIN history USING (attempt_key){where}"
    )
