"""Two methods of a board, trial by trial and unit by unit."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from benchbench.results.counted import IN_GROUP, select_counted

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Board

__all__ = ["UnitScores", "unit_scores"]

# of one method
_SCORES = f"""
SELECT task, task_fingerprint, seed, unit, coalesce(scores, [])
FROM counted LEFT JOIN unit_scores USING (attempt_key)
WHERE outcome = 'ok' AND {IN_GROUP}
    AND method = $7 AND params_json = $8
ORDER BY task, seed
"""


@dataclass(frozen=True, slots=True)
class UnitScores:
    """Scores of one trial by unit (episode, fold, row group), in the task's order; empty if none were recorded."""

    unit: str
    scores: tuple[float, ...]


def unit_scores(
    results: Readable, suite: str, board: Board, method: str, params: str
) -> dict[tuple[str, int], UnitScores]:
    """Return the counted trials of a board's method that ended well, by task and seed.

    Parameters
    ----------
    params : str
        Canonical JSON, as in `Row.params`.
    """
    if board.group is None:
        return {}
    with results.reading() as con:
        select_counted(con, suite)
        rows = con.execute(_SCORES, [*astuple(board.group), method, params]).fetchall()
    return {
        (task, seed): UnitScores(unit, tuple(scores))
        for task, fingerprint, seed, unit, scores in rows
        if board.fingerprints.get(task) == fingerprint
    }
