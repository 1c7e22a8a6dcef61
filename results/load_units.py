"""Loads single counted trials with their scores per unit, for paired comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from benchbench.results.counted import IN_CONDITIONS, select_counted
from benchbench.results.finite import with_finite_units
from benchbench.stats.orderings import OrderedTrial
from benchbench.stats.regression import Side

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.trials import Conditions

__all__ = ["UnitScores", "compare_sides", "ordering_trials", "unit_scores"]

# only trials of a method's latest data, suite and protocol on a task: older ones must not prevent a
# comparison
_SIDES = f"""
WITH dated AS (
    SELECT *, max(started_at) OVER (
        PARTITION BY suite, suite_version, protocol_version, task, task_fingerprint, method, params_json, preset, threads, device
    ) AS newest
    FROM counted
)
SELECT suite, suite_version, task, task_fingerprint, protocol_version, method, params_json, preset, threads, device, seed,
    outcome, metric, score, seconds, error_message, unit, scores
FROM ({with_finite_units("dated")})
QUALIFY rank() OVER (PARTITION BY suite, task, method, params_json, preset, threads, device ORDER BY newest DESC) = 1
ORDER BY suite, task, method, params_json, preset, seed
"""

# orderings are of methods with default parameters
_ORDERED = f"""
SELECT task, task_fingerprint, method, seed, outcome, error_message, coalesce(metric, ''), unit, scores
FROM ({with_finite_units("counted")})
WHERE params_json = '{{}}' AND {IN_CONDITIONS}
    AND list_contains(CAST($7 AS VARCHAR[]), method)
ORDER BY task, method, seed, started_at
"""

# scores of one method
_UNIT_SCORES = f"""
SELECT task, task_fingerprint, seed, unit, scores
FROM ({with_finite_units("counted")})
WHERE outcome = 'ok' AND {IN_CONDITIONS}
    AND method = $7 AND params_json = $8
ORDER BY task, seed
"""


@dataclass(frozen=True, slots=True)
class UnitScores:
    """Scores of one trial per unit (episode, fold, row group), in the task's order.

    Empty if none were recorded.
    """

    unit: str
    scores: tuple[float, ...]


def unit_scores(
    results: Readable,
    suite: str,
    conditions: Conditions | None,
    fingerprints: dict[str, str],
    method: str,
    params: str,
) -> dict[tuple[str, int], UnitScores]:
    """Return a method's successful counted trials under some conditions, by task and seed.

    Parameters
    ----------
    fingerprints : mapping of task to fingerprint
        Fingerprints of the data to use.
    params : str
        Canonical JSON.
    """
    if conditions is None:
        return {}
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_UNIT_SCORES, [*astuple(conditions), method, params]).fetchall()
    return {
        (task, seed): UnitScores(unit, tuple(scores))
        for task, fingerprint, seed, unit, scores in rows
        if fingerprints.get(task) == fingerprint
    }


def ordering_trials(
    results: Readable, suite: str, conditions: Conditions, methods: Iterable[str]
) -> list[OrderedTrial]:
    """Return the counted trials of methods with default parameters under some conditions."""
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_ORDERED, [*astuple(conditions), sorted(set(methods))]).fetchall()
    names = OrderedTrial.__dataclass_fields__
    return [OrderedTrial(**dict(zip(names, (*r[:-1], tuple(r[-1])), strict=True))) for r in rows]


def compare_sides(results: Readable, suite: str | None = None) -> list[Side]:
    """Return the counted trials with their scores per unit, for a comparison."""
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_SIDES).fetchall()
    names = Side.__dataclass_fields__
    return [Side(**dict(zip(names, (*r[:-1], tuple(r[-1])), strict=True))) for r in rows]
