"""From recorded attempts to what boards and comparisons are computed of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple
from typing import TYPE_CHECKING

from benchbench.results.grids import frozen_baselines, frozen_ends, perfect_scores, score_grid
from benchbench.stats.anytime import Incumbents
from benchbench.stats.board import Cell, Group, SuiteFacts, TaskFacts
from benchbench.stats.compare import Side
from benchbench.stats.curves import CurveValue, SeedCurve
from benchbench.stats.labels import method_label
from benchbench.stats.orderings import Trial

if TYPE_CHECKING:
    from benchbench.results.queries import Readable
    from benchbench.stats.board import Board
    from benchbench.suite_files import SuiteSpec

__all__ = [
    "COUNTED",
    "IN_GROUP",
    "board_cells",
    "compare_sides",
    "evaluations",
    "frozen_baselines",
    "frozen_ends",
    "incumbents",
    "ordering_trials",
    "perfect_scores",
    "score_grid",
    "seed_curves",
    "suite_facts",
]

# Of each trial one attempt counts: the newest that is not infra (infra only if there is no other), of the newest source that its
# method was measured with under these conditions: no row of a board mixes two sources, and a quick run with a new source does
# not empty the board of a longer preset. A changed suite file or data give other trials, which group apart.
COUNTED = """
CREATE TEMP TABLE counted AS
WITH newest AS (
    SELECT suite, preset, threads, device, method, params_json, arg_max(adapter_source_hash, started_at) AS source
    FROM attempts WHERE ($1 IS NULL OR suite = $1) AND outcome <> 'infra' GROUP BY ALL
)
SELECT attempt_key FROM attempts LEFT JOIN newest USING (suite, preset, threads, device, method, params_json)
WHERE ($1 IS NULL OR suite = $1) AND (source IS NULL OR adapter_source_hash = source)
QUALIFY row_number() OVER (
    PARTITION BY trial_id, task_fingerprint, protocol_version
    ORDER BY outcome = 'infra', started_at DESC, attempt_key
) = 1
"""

# Parameters 1 to 6 are the fields of `Group`, in their order.
IN_GROUP = """
    suite_version = $1 AND protocol_version = $2 AND preset = $3
    AND coalesce(CAST(json_extract(budget_json, '$.test_units') AS BIGINT), 0) = $4 AND threads = $5 AND device = $6
"""

# histograms, since DISTINCT aggregates made the query a third slower
_CELLS = """
WITH budgets AS (
    SELECT budget_json, CAST(json_extract(budget_json, '$.test_units') AS BIGINT) AS test_units,
        CAST(json_extract(budget_json, '$.iterations') AS BIGINT) AS iterations
    FROM (SELECT DISTINCT budget_json FROM attempts)
)
SELECT suite_version, protocol_version, preset, test_units, threads, device,
    task, task_fingerprint, method, params_json,
    bool_or(transductive), max(metric), max(unit),
    coalesce(list(score ORDER BY seed) FILTER (outcome = 'ok'), []),
    coalesce(list(score_sd ORDER BY seed) FILTER (outcome = 'ok'), []),
    coalesce(list(n_units ORDER BY seed) FILTER (outcome = 'ok'), []),
    count(*) FILTER (outcome NOT IN ('ok', 'declined', 'infra')),
    count(*) FILTER (outcome = 'declined'),
    count(*) FILTER (outcome = 'infra'),
    avg(seconds) FILTER (outcome = 'ok' AND (seconds > 0 OR NOT starts_with(protocol_version, 'published: '))),
    map_keys(histogram(hardware_class) FILTER (outcome = 'ok')),
    coalesce(cardinality(histogram(environment_hash) FILTER (outcome = 'ok')), 0),
    max(started_at),
    count(shared) FILTER (outcome = 'ok'),
    coalesce(avg(coalesce(shared, 0)) FILTER (outcome = 'ok'), 0),
    coalesce(max(iterations), 0)
FROM attempts SEMI JOIN counted USING (attempt_key) JOIN budgets USING (budget_json)
LEFT JOIN (
    SELECT attempt_key, value AS shared FROM metrics WHERE kind = 'metric' AND name = 'shared_seconds' AND value > 0
) USING (attempt_key)
GROUP BY ALL
"""

# only of the data, suite and protocol that a method met last on a task: what is older stands in the way of no comparison
_SIDES = """
WITH dated AS (
    SELECT *, max(started_at) OVER (
        PARTITION BY suite, suite_version, protocol_version, task, task_fingerprint, method, params_json, preset, threads, device
    ) AS newest
    FROM attempts SEMI JOIN counted USING (attempt_key)
)
SELECT suite, suite_version, task, task_fingerprint, protocol_version, method, params_json, preset, threads, device, seed,
    outcome, metric, score, seconds, error_message, unit, coalesce(scores, [])
FROM dated LEFT JOIN unit_scores USING (attempt_key)
QUALIFY rank() OVER (PARTITION BY suite, task, method, params_json, preset, threads, device ORDER BY newest DESC) = 1
ORDER BY suite, task, method, params_json, preset, seed
"""

_TRIALS = f"""
SELECT attempt_key, task, task_fingerprint, method, params_json, seed, attempts.metric, m.value
FROM attempts SEMI JOIN counted USING (attempt_key)
LEFT JOIN (SELECT attempt_key, value FROM metrics WHERE kind = 'phase' AND name = 'meta_fit') AS m USING (attempt_key)
WHERE outcome = 'ok' AND {IN_GROUP}
ORDER BY task, method, params_json, seed
"""

_POINTS = """
SELECT attempt_key, step, seconds, metric, value FROM curves
WHERE starts_with(metric, 'val_') AND attempt_key IN (SELECT unnest(CAST($1 AS UBIGINT[]))) ORDER BY attempt_key, position
"""

# a step has both metrics
_INCUMBENTS = f"""
SELECT task, task_fingerprint, method, params_json, seed, CAST(json_extract(budget_json, '$.iterations') AS DOUBLE),
    list(curves.value ORDER BY position) FILTER (curves.metric = 'spent_evaluations'),
    list(curves.seconds ORDER BY position) FILTER (curves.metric = 'incumbent_loss'),
    list(curves.value ORDER BY position) FILTER (curves.metric = 'incumbent_loss')
FROM attempts SEMI JOIN counted USING (attempt_key) LEFT JOIN curves USING (attempt_key)
WHERE outcome = 'ok' AND {IN_GROUP}
GROUP BY ALL ORDER BY task, method, params_json, seed
"""

_EVALUATIONS = """
SELECT params_json, step, map_from_entries(list((curves.metric, curves.value)))
FROM attempts SEMI JOIN counted USING (attempt_key) JOIN curves USING (attempt_key)
WHERE outcome = 'ok' AND method = $1 AND task = $2 AND task_fingerprint = $3
GROUP BY ALL
"""

# orderings are of methods with default parameters
_ORDERED = f"""
SELECT task, task_fingerprint, method, seed, outcome, error_message, unit, coalesce(scores, [])
FROM attempts SEMI JOIN counted USING (attempt_key) LEFT JOIN unit_scores USING (attempt_key)
WHERE params_json = '{{}}' AND {IN_GROUP}
    AND list_contains(CAST($7 AS VARCHAR[]), method)
ORDER BY task, method, seed, started_at
"""

_OLDER = """
SELECT method, count(DISTINCT trial_id) FROM attempts WHERE suite = $1 AND outcome <> 'infra'
AND trial_id NOT IN (SELECT trial_id FROM attempts SEMI JOIN counted USING (attempt_key)) GROUP BY method ORDER BY method
"""


def suite_facts(suite: SuiteSpec) -> SuiteFacts:
    """Return what a board needs to know of a suite."""
    return SuiteFacts(
        name=suite.name,
        version=suite.version,
        baseline=suite.scores.baseline,
        reference=suite.scores.reference,
        tasks=tuple(
            TaskFacts(name=t.name, baseline_score=t.baseline_score, reference_score=t.reference_score)
            for t in suite.tasks
        ),
    )


def board_cells(results: Readable, suite: str) -> tuple[list[Cell], list[str]]:
    """Return the counted trials of a suite, summed up by method and task, and what an older adapter source left behind."""
    if not results.exists():
        return [], []
    with results.reading() as con:
        con.execute(COUNTED, [suite])
        rows = con.execute(_CELLS).fetchall()
        older = con.execute(_OLDER, [suite]).fetchall()
    cells = [
        Cell(
            group=Group(
                suite_version=r[0], protocol_version=r[1], preset=r[2], test_units=r[3] or 0, threads=r[4], device=r[5]
            ),
            task=r[6],
            fingerprint=r[7],
            method=r[8],
            params=r[9],
            transductive=bool(r[10]),
            metric=r[11],
            unit=r[12],
            seed_scores=tuple(r[13]),
            seed_deviations=tuple(r[14]),
            seed_units=tuple(r[15]),
            n_failed=r[16],
            n_declined=r[17],
            n_lost=r[18],
            seconds=r[19],
            hardware=tuple(sorted(h for h in r[20] or () if h)),
            n_environments=r[21],
            newest=r[22],
            n_shared=r[23],
            shared_seconds=r[24],
            iterations=r[25],
        )
        for r in rows
    ]
    left = [f"{n} trial{'' if n == 1 else 's'} of {method} from an older source of the adapter" for method, n in older]
    return cells, left


def seed_curves(results: Readable, suite: str, group: Group) -> list[SeedCurve]:
    """Return the counted trials of a board's group that ended well, each with its curve of the task's metric in validation."""
    with results.reading() as con:
        con.execute(COUNTED, [suite])
        trials = con.execute(_TRIALS, list(astuple(group))).fetchall()
        rows = con.execute(_POINTS, [[t[0] for t in trials]]).fetchall()
    reported: dict[int, dict[str, dict[int, tuple[float, float]]]] = {}
    for key, step, seconds, metric, value in rows:
        # a step that is reported twice counts as it was reported last
        if value is not None and math.isfinite(value):
            reported.setdefault(key, {}).setdefault(metric, {})[step] = (seconds, value)
    curves = []
    for key, task, fingerprint, method, params, seed, metric, fit_seconds in trials:
        own = reported.get(key, {})
        widths = own.get(f"val_{metric}_ci95", {})
        points = [
            CurveValue(step, seconds, value, widths[step][1] if step in widths else None)
            for step, (seconds, value) in sorted(own.get(f"val_{metric}", {}).items())
        ]
        curves.append(
            SeedCurve(
                task=task,
                fingerprint=fingerprint,
                method=method,
                params=params,
                seed=seed,
                fit_seconds=fit_seconds,
                points=tuple(points),
            )
        )
    return curves


def incumbents(results: Readable, suite: str, board: Board) -> list[Incumbents]:
    """Return the counted trials of an optimisers' board that ended well, each with its incumbents."""
    if board.group is None:
        return []
    with results.reading() as con:
        con.execute(COUNTED, [suite])
        rows = con.execute(_INCUMBENTS, list(astuple(board.group))).fetchall()
    shown = {(r.task, r.method, r.params) for r in board.rows}
    return [
        Incumbents(
            task=r[0],
            label=method_label(r[2], r[3]),
            seed=r[4],
            budget=r[5],
            spent=tuple(r[6] or ()),
            seconds=tuple(r[7] or ()),
            losses=tuple(r[8] or ()),
        )
        for r in rows
        if board.fingerprints.get(r[0]) == r[1] and (r[0], r[2], r[3]) in shown
    ]


def evaluations(
    results: Readable, suite: str, *, method: str, task: str, fingerprint: str
) -> dict[tuple[str, int], dict[str, float]]:
    """Return what a design recorded of each evaluation of a problem, by parameters (canonical JSON) and number."""
    with results.reading() as con:
        con.execute(COUNTED, [suite])
        rows = con.execute(_EVALUATIONS, [method, task, fingerprint]).fetchall()
    return {(r[0], r[1]): r[2] for r in rows}


def ordering_trials(results: Readable, suite: str, group: Group, methods: Iterable[str]) -> list[Trial]:
    """Return the counted trials of those methods, with default parameters, within a board's group."""
    with results.reading() as con:
        con.execute(COUNTED, [suite])
        rows = con.execute(_ORDERED, [*astuple(group), sorted(set(methods))]).fetchall()
    names = Trial.__dataclass_fields__
    return [Trial(**dict(zip(names, (*r[:-1], tuple(r[-1])), strict=True))) for r in rows]


def compare_sides(results: Readable, suite: str | None = None) -> list[Side]:
    """Return the counted trials, each with its scores by unit, for a comparison."""
    with results.reading() as con:
        con.execute(COUNTED, [suite])
        rows = con.execute(_SIDES).fetchall()
    names = Side.__dataclass_fields__
    return [Side(**dict(zip(names, (*r[:-1], tuple(r[-1])), strict=True))) for r in rows]
