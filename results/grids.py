"""The counted trials of a board, unit by unit, as the arrays that statistics are computed of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchbench.stats.labels import method_label, published_source
from benchbench.stats.scales import PERFECT_SCORES
from benchbench.stats.table import ScoreGrid, State

if TYPE_CHECKING:
    import duckdb

    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Board, Group, SuiteFacts

__all__ = ["frozen_baselines", "frozen_ends", "numbered", "perfect_scores", "score_grid"]

_HERE = "suite = $1 AND preset = $2 AND threads = $3 AND device = $4"

# The same rule as `counted.py`, for one group only. Which attempt counts where a cell has several is decided below: the window
# over a million trial ids took longer than all the rest.
_SOURCES = f"""
SELECT method, params_json, arg_max(adapter_source_hash, started_at) FROM attempts
WHERE {_HERE} AND outcome <> 'infra' GROUP BY ALL
"""

_BUDGETS = """
SELECT budget_json, coalesce(CAST(json_extract(budget_json, '$.test_units') AS BIGINT), 0)
FROM (SELECT DISTINCT budget_json FROM attempts WHERE suite = $1)
"""

# text as codes of enumerations: an array of a million strings is slow to fetch and to compare
_CODED = ("method", "params_json", "task", "task_fingerprint", "adapter_source_hash", "outcome")
_ROWS = f"""
SELECT {", ".join(f"enum_code(CAST({name} AS grid_{name})) AS {name}" for name in _CODED)},
    seed, score, seconds, started_at, attempt_key
FROM attempts WHERE {_HERE} AND suite_version = $5 AND protocol_version = $6
    AND budget_json IN (SELECT unnest(CAST($7 AS VARCHAR[])))
"""


def score_grid(results: Readable, suite: str, board: Board) -> ScoreGrid:
    """Return the counted trials of a board: its methods (by label), tasks and data, one unit a seed.

    Parameters
    ----------
    results : Readable
    suite : str
        Name of the board's suite.
    board : Board
        Says which group, methods, tasks and fingerprints; its imputation does not matter here.

    Returns
    -------
    ScoreGrid
        In the board's order. Trials of which only lost (`infra`) attempts exist are `ABSENT`. Empty for an empty board.
    """
    pairs = dict.fromkeys((r.method, r.params) for r in board.rows)
    methods = {pair: method_label(*pair) for pair in pairs}
    tasks = dict.fromkeys(r.task for r in board.rows if r.task is not None)
    if board.group is None or not tasks:
        return ScoreGrid((), (), (), np.zeros((0, 0, 0)), np.zeros((0, 0, 0), dtype=np.int8))
    with results.reading() as con:
        columns, texts = _fetch(con, suite, board.group)
        sources = {(m, p): source for m, p, source in con.execute(_SOURCES, _where(suite, board.group)[:4]).fetchall()}
    if published_source(board.group.protocol_version) is not None:
        # of published results 0 seconds means that nobody said
        columns["seconds"] = np.where(columns["seconds"] > 0, columns["seconds"], np.nan)
    rows = _lookup(texts, ("method", "params_json"), {pair: i for i, pair in enumerate(methods)})
    data = {(task, board.fingerprints.get(task, "")): i for i, task in enumerate(tasks)}
    places = _lookup(texts, ("task", "task_fingerprint"), data)
    m = rows[columns["method"], columns["params_json"]]
    t = places[columns["task"], columns["task_fingerprint"]]
    is_counted = (m >= 0) & (t >= 0) & _is_newest(columns, texts, m, list(methods), sources)
    if not is_counted.all():
        columns, m, t = {name: values[is_counted] for name, values in columns.items()}, m[is_counted], t[is_counted]
    units, u = numbered(columns["seed"])
    shape = (len(methods), len(tasks), len(units))
    cell = (m * shape[1] + t) * shape[2] + u
    order = _newest_last(columns, cell, texts["outcome"])
    return _filled(columns, cell, order, texts["outcome"], shape, tuple(methods.values()), tuple(tasks), units)


def numbered(seeds: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the different seeds in order, and the position of each attempt's among them."""
    low, high = int(seeds.min(initial=0)), int(seeds.max(initial=0))
    if high - low > len(seeds):
        units, positions = np.unique(seeds, return_inverse=True)
        return units, positions
    # small numbers, as seeds mostly are, need no sorting
    is_met = np.bincount(seeds - low, minlength=high - low + 1) > 0
    return np.nonzero(is_met)[0] + low, (np.cumsum(is_met) - 1)[seeds - low]


def _where(suite: str, group: Group) -> list[Any]:
    return [suite, group.preset, group.threads, group.device, group.suite_version, group.protocol_version]


def _fetch(
    con: duckdb.DuckDBPyConnection, suite: str, group: Group
) -> tuple[dict[str, NDArray[Any]], dict[str, list[str]]]:
    """Return the group's attempts as columns, and what the codes in them stand for."""
    texts = {}
    for name in _CODED:
        found = con.execute(f"SELECT DISTINCT {name} FROM attempts WHERE suite = $1 ORDER BY 1", [suite]).fetchall()
        texts[name] = [row[0] for row in found] or [""]
        # a statement that makes a type takes no parameters
        con.execute(
            "CREATE OR REPLACE TEMP TABLE grid_texts AS SELECT unnest(CAST($1 AS VARCHAR[])) AS t", [texts[name]]
        )
        con.execute(f"CREATE TYPE grid_{name} AS ENUM (SELECT t FROM grid_texts)")
    budgets = [text for text, n in con.execute(_BUDGETS, [suite]).fetchall() if n == group.test_units]
    columns = con.execute(_ROWS, [*_where(suite, group), budgets]).fetchnumpy()
    return {name: _plain(values) for name, values in columns.items()}, texts


def _plain(values: Any) -> NDArray[Any]:
    """Return a fetched column with NaN where it was NULL."""
    return np.asarray(values.filled(np.nan) if np.ma.isMaskedArray(values) else values)


def _lookup(
    texts: dict[str, list[str]], names: tuple[str, str], wanted: dict[tuple[str, str], int]
) -> NDArray[np.int64]:
    """Return a table from two codes to an index, -1 where the pair of texts is not wanted."""
    first, second = (texts[name] for name in names)
    table = np.full((len(first), len(second)), -1, dtype=np.int64)
    for (a, b), index in wanted.items():
        if a in first and b in second:
            table[first.index(a), second.index(b)] = index
    return table


def _is_newest(
    columns: dict[str, NDArray[Any]],
    texts: dict[str, list[str]],
    rows: NDArray[np.int64],
    methods: list[tuple[str, str]],
    sources: dict[tuple[str, str], str],
) -> NDArray[np.bool_]:
    """Whether an attempt is of the newest source of its method; any source fits where only lost attempts exist."""
    code = {text: i for i, text in enumerate(texts["adapter_source_hash"])}
    newest = np.array([code[sources[pair]] if pair in sources else -1 for pair in methods])[rows]
    return np.asarray((newest < 0) | (newest == columns["adapter_source_hash"]))


def _newest_last(
    columns: dict[str, NDArray[Any]], cell: NDArray[np.int64], outcomes: list[str]
) -> NDArray[np.int64] | None:
    """Return an order in which the attempt that counts is the last of its cell; None if no cell has several."""
    if not len(cell) or np.bincount(cell).max() == 1:
        return None
    infra = outcomes.index("infra") if "infra" in outcomes else -1
    key = columns["attempt_key"]
    return np.lexsort((key.max() - key, columns["started_at"], columns["outcome"] != infra))


def _filled(
    columns: dict[str, NDArray[Any]],
    cell: NDArray[np.int64],
    order: NDArray[np.int64] | None,
    outcomes: list[str],
    shape: tuple[int, int, int],
    methods: tuple[str, ...],
    tasks: tuple[str, ...],
    units: NDArray[Any],
) -> ScoreGrid:
    state_of = {"ok": State.OK, "declined": State.DECLINED, "infra": State.ABSENT}
    codes = np.array([state_of.get(text, State.FAILED) for text in outcomes], dtype=np.int8)
    own = codes[columns["outcome"]]
    score = np.where(own == State.OK, columns["score"], np.nan)
    # a score that is no number is a failure, whatever the outcome says
    own = np.where((own == State.OK) & ~np.isfinite(score), np.int8(State.FAILED), own)
    score = np.where(own == State.OK, score, np.nan)
    seconds = np.where(own == State.OK, columns["seconds"], np.nan)
    if order is not None:
        cell, own, score, seconds = cell[order], own[order], score[order], seconds[order]
    states = np.full(shape, State.ABSENT, dtype=np.int8)
    scores, times = np.full(shape, np.nan), np.full(shape, np.nan)
    states.flat[cell], scores.flat[cell], times.flat[cell] = own, score, seconds
    return ScoreGrid(methods, tasks, tuple(int(u) for u in units), scores, states, times)


def frozen_ends(suite: SuiteFacts) -> dict[str, tuple[float, float]]:
    """Return the frozen ends of the normalised score, of the tasks that have both."""
    return {
        t.name: (t.baseline_score, t.reference_score)
        for t in suite.tasks
        if t.baseline_score is not None and t.reference_score is not None
    }


def frozen_baselines(suite: SuiteFacts) -> dict[str, float]:
    """Return the frozen baseline scores, of the tasks that have one: what `impute` takes as `fills`."""
    return {t.name: t.baseline_score for t in suite.tasks if t.baseline_score is not None}


def perfect_scores(board: Board, suite: SuiteFacts) -> dict[str, float]:
    """Return what a perfect answer scores, of the tasks where that is known: by metric, or the best known score of a problem."""
    from benchbench.suite_files import BEST_KNOWN

    found = {r.task: PERFECT_SCORES[r.metric] for r in board.rows if r.task and r.metric in PERFECT_SCORES}
    if suite.reference == BEST_KNOWN:
        best = {t.name: t.reference_score for t in suite.tasks}
        found |= {task: score for task, score in best.items() if score is not None and math.isfinite(score)}
    return found
