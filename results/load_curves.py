"""Loads the curves of counted trials: validation curves, incumbents, evaluations."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import TYPE_CHECKING

from benchbench.results.counted import IN_CONDITIONS, select_counted
from benchbench.stats.anytime import Incumbents
from benchbench.stats.curves import CurveValue, SeedCurve
from benchbench.stats.labels import method_label

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.stats.trials import Conditions

__all__ = ["evaluations", "incumbents", "seed_curves"]

_TRIALS = f"""
SELECT attempt_key, task, task_fingerprint, method, params_json, seed, counted.metric, m.value
FROM counted
LEFT JOIN (SELECT attempt_key, value FROM metrics WHERE kind = 'phase' AND name = 'meta_fit') AS m USING (attempt_key)
WHERE outcome = 'ok' AND {IN_CONDITIONS}
ORDER BY task, method, params_json, seed
"""

_POINTS = """
SELECT attempt_key, step, seconds, metric, value FROM curves
WHERE starts_with(metric, 'val_') AND attempt_key IN (SELECT unnest(CAST($1 AS UBIGINT[]))) ORDER BY attempt_key, position
"""

# every step has both metrics
_INCUMBENTS = f"""
SELECT task, task_fingerprint, method, params_json, seed, CAST(json_extract(budget_json, '$.iterations') AS DOUBLE),
    list(curves.value ORDER BY position) FILTER (curves.metric = 'spent_evaluations'),
    list(curves.seconds ORDER BY position) FILTER (curves.metric = 'incumbent_loss'),
    list(curves.value ORDER BY position) FILTER (curves.metric = 'incumbent_loss')
FROM counted LEFT JOIN curves USING (attempt_key)
WHERE outcome = 'ok' AND {IN_CONDITIONS}
GROUP BY ALL ORDER BY task, method, params_json, seed
"""

_EVALUATIONS = """
SELECT params_json, step, map_from_entries(list((curves.metric, curves.value)))
FROM counted JOIN curves USING (attempt_key)
WHERE outcome = 'ok' AND method = $1 AND task = $2 AND task_fingerprint = $3
GROUP BY ALL
"""


def seed_curves(results: Readable, suite: str, conditions: Conditions) -> list[SeedCurve]:
    """Return the successful counted trials under some conditions with their validation curves."""
    with results.reading() as con:
        select_counted(con, suite)
        trials = con.execute(_TRIALS, list(astuple(conditions))).fetchall()
        rows = con.execute(_POINTS, [[t[0] for t in trials]]).fetchall()
    reported: dict[int, dict[str, dict[int, tuple[float, float]]]] = {}
    for key, step, seconds, metric, value in rows:
        # of a step that is reported twice the last value counts
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


def incumbents(results: Readable, suite: str, board: Leaderboard) -> list[Incumbents]:
    """Return the successful counted trials of a leaderboard with their incumbents."""
    if board.conditions is None:
        return []
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_INCUMBENTS, list(astuple(board.conditions))).fetchall()
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
    """Return a design's record of each evaluation of a problem.

    Keys are the design's parameters (canonical JSON) and the evaluation's number.
    """
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_EVALUATIONS, [method, task, fingerprint]).fetchall()
    return {(r[0], r[1]): r[2] for r in rows}
