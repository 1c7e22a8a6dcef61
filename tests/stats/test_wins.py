"""Sparse boards, compared pair by pair, by the definitions written out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from benchbench.stats.elo import MEAN_RATING, POINTS_PER_UNIT, bradley_terry, chord_of
from benchbench.stats.statistics import statistic_values, task_weights
from benchbench.stats.table import ScoreTable, TrialState
from benchbench.stats.wins import PairCounts

Floats = NDArray[np.float64]

# the last shape is large and empty enough that only pairs that meet are compared
SHAPES = [(5, 8, 0.5), (12, 30, 0.2), (260, 200, 0.05)]


def gappy(n_methods: int, n_tasks: int, filled: float) -> Floats:
    """Return (M, T) scores of two digits, which tie often, with gaps; 0.3 is spelled in two ways."""
    rng = np.random.default_rng(n_methods)
    scores = np.round(rng.normal(size=(n_methods, 1)) + rng.normal(size=(n_methods, n_tasks)), 1)
    scores[scores == 0.3] = np.where(rng.random((scores == 0.3).sum()) < 0.5, 0.1 + 0.2, 0.3)
    scores[rng.random(scores.shape) > filled] = np.nan
    scores[np.arange(n_methods), rng.integers(0, n_tasks, n_methods)] = 0.0  # no method is without tasks
    return scores


def table_of(scores: Floats) -> ScoreTable:
    states = np.where(np.isnan(scores), TrialState.ABSENT, TrialState.OK).astype(np.int8)
    names = tuple(f"m{i}" for i in range(len(scores))), tuple(f"t{i}" for i in range(scores.shape[1]))
    return ScoreTable(*names, (0,), scores[:, :, None], states[:, :, None])


def meetings(scores: Floats) -> Iterator[tuple[int, int, int, float]]:
    """Yield task, the two methods, and the points of the first, for each task that both have."""
    exact = [{a: round(float(column[a]), 9) for a in np.flatnonzero(~np.isnan(column))} for column in scores.T]
    for t, column in enumerate(exact):
        for a, own in column.items():
            for b, other in column.items():
                if a != b:
                    yield t, int(a), int(b), 1.0 if own > other else 0.5 if own == other else 0.0


def written_out(scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return (M, M) wins and the (M,) sums of shares of common tasks won, of one weighting of tasks."""
    n_methods = len(scores)
    wins, common = np.zeros((n_methods, n_methods)), np.zeros((n_methods, n_methods))
    for t, a, b, points in meetings(scores):
        wins[a, b] += weights[t] * points
        common[a, b] += weights[t]
    beaten = [
        sum(wins[a, b] / common[a, b] if common[a, b] else 0.5 for b in range(n_methods) if b != a)
        for a in range(n_methods)
    ]
    return wins, np.array(beaten)


@pytest.mark.parametrize("shape", SHAPES)
def test_boards_with_gaps_and_ties_are_as_defined(shape: tuple[int, int, float]) -> None:
    scores = gappy(*shape)
    n_methods, n_tasks = scores.shape
    table = table_of(scores)
    wins, beaten = written_out(scores, np.ones(n_tasks))
    ranks = {v.method: v.value for v in statistic_values(table, "rank", n_bootstrap=0)}
    rates = {v.method: v.value for v in statistic_values(table, "winrate", n_bootstrap=0)}
    ratings = {v.method: v.value for v in statistic_values(table, "elo", n_bootstrap=0)}
    assert [ranks[m] for m in table.methods] == pytest.approx(n_methods - beaten, rel=1e-12)
    assert [rates[m] for m in table.methods] == pytest.approx(beaten / (n_methods - 1), rel=1e-12)
    known = np.array([ratings[m] if ratings[m] is not None else np.nan for m in table.methods], dtype=np.float64)
    expected = MEAN_RATING + POINTS_PER_UNIT * bradley_terry(wins, prior_draws=1.0)
    met = (wins + wins.T).sum(axis=1) > 0
    assert known[met] == pytest.approx(expected[met], rel=1e-9)
    assert np.isnan(known[~met]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_resamples_are_as_defined(shape: tuple[int, int, float]) -> None:
    scores = table_of(gappy(*shape)).task_scores()
    weights = task_weights(scores.shape[1], 3, 0)
    counts = PairCounts(scores)
    wins, (beaten, _) = counts.wins(weights), counts.beaten(weights)
    for b, own in enumerate(weights):
        expected_wins, expected = written_out(scores, own)
        assert np.array_equal(wins[b], expected_wins)
        assert beaten[b] == pytest.approx(expected, rel=1e-12)


def test_fits_by_the_inverse_of_the_whole_are_maxima() -> None:
    scores = table_of(gappy(*SHAPES[-1])).task_scores()
    counts = PairCounts(scores)
    whole = counts.wins(np.ones((1, scores.shape[1])))[0]
    start = bradley_terry(whole, prior_draws=1.0)
    chord = chord_of(whole, start, prior_draws=1.0)
    assert chord is not None
    wins = counts.wins(task_weights(scores.shape[1], 4, 0))
    found = bradley_terry(wins, prior_draws=1.0, start=start, chord=chord)
    assert np.abs(found - start).max() > 0.1  # the resamples differ
    assert found == pytest.approx(bradley_terry(wins, prior_draws=1.0), abs=1e-6)
    # an inverse that does not fit is given up
    far = bradley_terry(wins, prior_draws=1.0, start=start, chord=100.0 * chord)
    assert far == pytest.approx(found, abs=1e-6)
