"""The counted trials of a suite, summed up by method and task: what boards are computed of."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchbench.results.counted import IS_TIMED, select_counted, superseded_trials
from benchbench.results.grids import numbered
from benchbench.stats.leaderboard import Cell, Group

if TYPE_CHECKING:
    import duckdb

    from benchbench.results.reader import Readable

__all__ = ["board_cells"]

_KEY = "suite_version, protocol_version, preset, threads, device, task, task_fingerprint, method, params_json"

# In two steps: what is text is looked at only once for many trials that are alike.
_PARTS = f"""
CREATE TEMP TABLE parts AS
SELECT {_KEY}, budget_json, outcome, metric, unit, hardware_class, environment_hash,
    count(*) AS n, bool_or(transductive) AS transductive, max(started_at) AS newest,
    sum(seconds) FILTER (is_timed) AS seconds, count(*) FILTER (is_timed) AS n_timed,
    sum(shared) AS shared, count(shared) AS n_shared
FROM (SELECT *, {IS_TIMED} AS is_timed FROM counted)
LEFT JOIN (
    SELECT attempt_key, value AS shared FROM metrics WHERE kind = 'metric' AND name = 'shared_seconds' AND value > 0
) USING (attempt_key)
GROUP BY ALL
"""

_BUDGETS = """
CREATE TEMP TABLE budgets AS
SELECT budget_json, coalesce(CAST(json_extract(budget_json, '$.test_units') AS BIGINT), 0) AS test_units,
    coalesce(CAST(json_extract(budget_json, '$.iterations') AS BIGINT), 0) AS iterations
FROM (SELECT DISTINCT budget_json FROM parts)
"""

_CELLS = f"""
CREATE TEMP TABLE cells AS
SELECT row_number() OVER () - 1 AS cell, * FROM (
    SELECT {_KEY}, test_units,
        bool_or(transductive), max(metric), max(unit),
        sum(n) FILTER (outcome NOT IN ('ok', 'declined', 'infra')),
        sum(n) FILTER (outcome = 'declined'),
        sum(n) FILTER (outcome = 'infra'),
        sum(seconds) FILTER (outcome = 'ok') / sum(n_timed) FILTER (outcome = 'ok'),
        map_keys(histogram(hardware_class) FILTER (outcome = 'ok')),
        cardinality(histogram(environment_hash) FILTER (outcome = 'ok')),
        max(newest),
        sum(n_shared) FILTER (outcome = 'ok'),
        sum(shared) FILTER (outcome = 'ok') / sum(n) FILTER (outcome = 'ok'),
        max(iterations)
    FROM parts JOIN budgets USING (budget_json) GROUP BY ALL
)
"""

_SEEDS = f"""
SELECT cell, seed, score, score_sd, n_units
FROM counted JOIN budgets USING (budget_json) JOIN cells USING ({_KEY}, test_units) WHERE outcome = 'ok'
"""

_SEED_COLUMNS = ("score", "score_sd", "n_units")


def board_cells(results: Readable, suite: str) -> tuple[list[Cell], list[str]]:
    """Return the counted trials of a suite, summed up by method and task, and what an older adapter source left behind."""
    if not results.exists():
        return [], []
    with results.reading() as con:
        select_counted(con, suite)
        for statement in (_PARTS, _BUDGETS, _CELLS):
            con.execute(statement)
        rows = con.execute("SELECT * FROM cells ORDER BY cell").fetchall()
        by_seed = _by_seed(con, len(rows))
        older = superseded_trials(con)
    cells = [_cell(row, *of_seeds) for row, *of_seeds in zip(rows, *by_seed, strict=True)]
    left = [f"{n} trial{'' if n == 1 else 's'} of {method} from an older source of the adapter" for method, n in older]
    return cells, left


def _by_seed(con: duckdb.DuckDBPyConnection, n_cells: int) -> list[list[tuple[Any, ...]]]:
    """Return scores, deviations and numbers of units of each cell's trials that ended well, by seed."""
    columns = con.execute(_SEEDS).fetchnumpy()
    # sorted here, and not in lists by the database, which sorted each column anew; one number sorts faster than two
    seeds, position = numbered(columns["seed"])
    order = np.argsort(columns["cell"] * len(seeds) + position)
    ends = np.searchsorted(columns["cell"][order], np.arange(n_cells + 1)).tolist()
    found = []
    for name in _SEED_COLUMNS:
        values = _listed(columns[name], order)
        found.append([tuple(values[a:b]) for a, b in pairwise(ends)])
    return found


def _listed(values: NDArray[Any], order: NDArray[np.int64]) -> list[Any]:
    """Return a fetched column in that order, with None where it was NULL."""
    # a masked array takes ten times as long to become a list
    plain = values if np.ma.is_masked(values) else np.asarray(values)
    listed: list[Any] = plain[order].tolist()
    return listed


@lru_cache(maxsize=1024)
def _group(*values: Any) -> Group:
    """Return the group of a cell: one object for all its cells, of which there are thousands."""
    return Group(**dict(zip(Group.__dataclass_fields__, values, strict=True)))


def _cell(
    row: tuple[Any, ...],
    scores: tuple[float, ...],
    deviations: tuple[float | None, ...],
    units: tuple[int, ...],
) -> Cell:
    """Make a cell of a row of the table `cells`."""
    version, protocol, preset, threads, device, task, fingerprint, method, params, test_units = row[1:11]
    transductive, metric, unit, n_failed, n_declined, n_lost, seconds, hardware, n_environments = row[11:20]
    newest, n_shared, shared_seconds, iterations = row[20:]
    return Cell(
        group=_group(version, protocol, preset, test_units, threads, device),
        task=task,
        fingerprint=fingerprint,
        method=method,
        params=params,
        transductive=bool(transductive),
        metric=metric,
        unit=unit,
        seed_scores=scores,
        seed_deviations=deviations,
        seed_units=units,
        n_failed=n_failed or 0,
        n_declined=n_declined or 0,
        n_lost=n_lost or 0,
        seconds=seconds,
        hardware=tuple(sorted(h for h in hardware or () if h)),
        n_environments=n_environments or 0,
        newest=newest,
        n_shared=n_shared or 0,
        shared_seconds=shared_seconds or 0.0,
        iterations=iterations,
    )
