"""From recorded attempts to what boards and comparisons are computed of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple
from typing import TYPE_CHECKING

from benchbench.results.cells import board_cells
from benchbench.results.counted import IN_GROUP, select_counted
from benchbench.results.grids import frozen_baselines, frozen_ends, perfect_scores, score_grid
from benchbench.stats.anytime import Incumbents
from benchbench.stats.curves import CurveValue, SeedCurve
from benchbench.stats.labels import method_label
from benchbench.stats.leaderboard import SuiteFacts, TaskFacts
from benchbench.stats.orderings import Trial
from benchbench.stats.regression import Side

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Board, Group
    from benchbench.suite_files import SuiteSpec

__all__ = [
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

# only of the data, suite and protocol that a method met last on a task: what is older stands in the way of no comparison
_SIDES = """
WITH dated AS (
    SELECT *, max(started_at) OVER (
        PARTITION BY suite, suite_version, protocol_version, task, task_fingerprint, method, params_json, preset, threads, device
    ) AS newest
    FROM counted
)
SELECT suite, suite_version, task, task_fingerprint, protocol_version, method, params_json, preset, threads, device, seed,
    outcome, metric, score, seconds, error_message, unit, coalesce(scores, [])
FROM dated LEFT JOIN unit_scores USING (attempt_key)
QUALIFY rank() OVER (PARTITION BY suite, task, method, params_json, preset, threads, device ORDER BY newest DESC) = 1
ORDER BY suite, task, method, params_json, preset, seed
"""

_TRIALS = f"""
SELECT attempt_key, task, task_fingerprint, method, params_json, seed, counted.metric, m.value
FROM counted
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
FROM counted LEFT JOIN curves USING (attempt_key)
WHERE outcome = 'ok' AND {IN_GROUP}
GROUP BY ALL ORDER BY task, method, params_json, seed
"""

_EVALUATIONS = """
SELECT params_json, step, map_from_entries(list((curves.metric, curves.value)))
FROM counted JOIN curves USING (attempt_key)
WHERE outcome = 'ok' AND method = $1 AND task = $2 AND task_fingerprint = $3
GROUP BY ALL
"""

# orderings are of methods with default parameters
_ORDERED = f"""
SELECT task, task_fingerprint, method, seed, outcome, error_message, coalesce(metric, ''), unit, coalesce(scores, [])
FROM counted LEFT JOIN unit_scores USING (attempt_key)
WHERE params_json = '{{}}' AND {IN_GROUP}
    AND list_contains(CAST($7 AS VARCHAR[]), method)
ORDER BY task, method, seed, started_at
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


def seed_curves(results: Readable, suite: str, group: Group) -> list[SeedCurve]:
    """Return the counted trials of a board's group that ended well, each with its curve of the task's metric in validation."""
    with results.reading() as con:
        select_counted(con, suite)
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
        select_counted(con, suite)
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
        select_counted(con, suite)
        rows = con.execute(_EVALUATIONS, [method, task, fingerprint]).fetchall()
    return {(r[0], r[1]): r[2] for r in rows}


def ordering_trials(results: Readable, suite: str, group: Group, methods: Iterable[str]) -> list[Trial]:
    """Return the counted trials of those methods, with default parameters, within a board's group."""
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_ORDERED, [*astuple(group), sorted(set(methods))]).fetchall()
    names = Trial.__dataclass_fields__
    return [Trial(**dict(zip(names, (*r[:-1], tuple(r[-1])), strict=True))) for r in rows]


def compare_sides(results: Readable, suite: str | None = None) -> list[Side]:
    """Return the counted trials, each with its scores by unit, for a comparison."""
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_SIDES).fetchall()
    names = Side.__dataclass_fields__
    return [Side(**dict(zip(names, (*r[:-1], tuple(r[-1])), strict=True))) for r in rows]
