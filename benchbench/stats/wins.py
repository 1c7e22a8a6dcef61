"""Wins, ties and losses of all pairs of methods, over the tasks that both have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchbench.stats.table import FloatArray, ScoreTable

__all__ = ["PairCounts", "WinMatrix", "win_matrix"]

# (T, block, M) comparisons at once; bounds memory to some 100 MB
_COMPARISONS_AT_ONCE = 12_000_000
# added to counts, it changes none but 0
_NOTHING = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class WinMatrix:
    """How often each method won, tied and lost against each other, over common tasks.

    Parameters
    ----------
    methods : tuple of str
    wins, ties, losses : (M, M) int64
        `wins[a, b]`: tasks on which a scored higher than b. The diagonals are 0.
    """

    methods: tuple[str, ...]
    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    losses: NDArray[np.int64]

    def rates(self) -> FloatArray:
        """Return the (M, M) shares of common tasks won, ties by half.

        NaN on the diagonal and without a common task.
        """
        n = self.wins + self.ties + self.losses
        return np.where(n > 0, (self.wins + 0.5 * self.ties) / np.maximum(n, 1), np.nan)


def win_matrix(table: ScoreTable) -> WinMatrix:
    """Return wins, ties and losses of every pair of methods, over the tasks that both have."""
    scores = table.task_scores()
    n = len(table.methods)
    wins, ties = np.zeros((n, n), dtype=np.int64), np.zeros((n, n), dtype=np.int64)
    for row in range(n):
        wins[row] = (scores[row] > scores).sum(axis=1)
        ties[row] = (scores[row] == scores).sum(axis=1)
        ties[row, row] = 0
    return WinMatrix(table.methods, wins, ties, wins.T.copy())


class PairCounts:
    """Comparisons of all pairs of methods on the tasks that both have.

    Parameters
    ----------
    scores : (M, T)
        NaN where missing.
    """

    def __init__(self, scores: FloatArray) -> None:
        self.scores = scores
        self.present = ~np.isnan(scores)
        self.is_complete = bool(self.present.all())

    def wins(self, weights: FloatArray) -> FloatArray:
        """Return (B, M, M) weighted wins, ties by half; the diagonal is 0."""
        n_methods, n_tasks = self.scores.shape
        if self._is_sparse:
            product = np.ascontiguousarray((self._won_pairs @ weights.T).T)
            return product.reshape(len(weights), n_methods, n_methods)
        found = np.empty((len(weights), n_methods, n_methods))
        weights32 = weights.astype(np.float32)
        block = max(1, _COMPARISONS_AT_ONCE // max(1, n_methods * n_tasks))
        for first in range(0, n_methods, block):
            points = self._points(slice(first, first + block))
            n_rows = points.shape[1]
            product = weights32 @ points.reshape(n_tasks, n_rows * n_methods)
            found[:, first : first + block] = product.reshape(len(weights), n_rows, n_methods)
        return found

    @cached_property
    def _is_sparse(self) -> bool:
        """Whether the table is so large and has so many gaps that only met pairs are compared."""
        n_methods, n_tasks = self.scores.shape
        met = int((self.present.sum(axis=0, dtype=np.int64) ** 2).sum())
        return bool(met <= _COMPARISONS_AT_ONCE < n_methods**2 * n_tasks)

    @cached_property
    def _won_pairs(self) -> Any:
        """Return the sparse (M * M, T) points of the first of each pair on each task."""
        from scipy.sparse import csr_array

        n_methods, n_tasks = self.scores.shape
        pairs, points, tasks = [], [], []
        for t in range(n_tasks):
            here = np.flatnonzero(self.present[:, t])
            own = self.scores[here, t]
            won = (own[:, None] > own).astype(np.float64) + 0.5 * (own[:, None] == own)
            np.fill_diagonal(won, 0.0)
            first, second = np.nonzero(won)
            pairs.append((here[first] * n_methods + here[second]).astype(np.int32))
            points.append(won[first, second])
            tasks.append(np.full(len(first), t, dtype=np.int32))
        place = np.concatenate(pairs), np.concatenate(tasks)
        return csr_array((np.concatenate(points), place), shape=(n_methods**2, n_tasks))

    def _points(self, rows: slice) -> NDArray[np.float32]:
        """Return (T, block, M) points of these methods against all: win 1, tie 1/2, else 0."""
        own, others = self.scores[rows].T[:, :, None], self.scores.T[:, None, :]
        points = (own > others).astype(np.float32)
        points += np.float32(0.5) * (own == others)
        diagonal = np.arange(points.shape[1])
        points[:, diagonal, diagonal + rows.start] = 0.0
        return points

    def beaten(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (B, M) sums over other methods of the share of common tasks won, and their
        numbers.

        A pair without a common task counts as tied.
        """
        wins = self.wins(weights)
        has_any = np.asarray(self.present.any(axis=1))
        beaten = np.empty(wins.shape[:2])
        common = np.empty(wins.shape[1:])
        # one at a time, which stay in the processor's cache
        for i, share in enumerate(wins):
            # every common task gives the two methods one point in all; without any, 0 / 0 is 1/2
            np.add(share, share.T, out=common)
            common += _NOTHING
            share += 0.5 * _NOTHING
            share /= common
            np.fill_diagonal(share, 0.0)
            if not has_any.all():
                share *= has_any
            beaten[i] = share.sum(axis=1)
        beaten[beaten < 1e-200] = 0.0
        n_others = np.broadcast_to(has_any.sum() - has_any[None, :], beaten.shape).astype(np.float64)
        return beaten, n_others
