"""Summaries of cells equal those computed one cell at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchbench.stats.cell_numbers import CellNumbers
from benchbench.stats.intervals import agree, estimate, estimate_of_summary
from benchbench.stats.table import ScoreTable, TrialState


def messy_table(seed: int, shape: tuple[int, int, int] = (5, 4, 3)) -> ScoreTable:
    """Return a table with all states, imputed scores and equal seeds."""
    rng = np.random.default_rng(seed)
    states = rng.choice([0, 0, 0, 1, 2, 3], size=shape).astype(np.int8)
    scores = np.where(states == TrialState.OK, rng.normal(size=shape), np.nan)
    scores = np.where((states == TrialState.FAILED) & (rng.random(shape) < 0.5), 0.25, scores)
    scores[0] = np.where(states[0] == TrialState.OK, 0.5, scores[0])
    return ScoreTable(
        tuple(f"m{i}" for i in range(shape[0])),
        tuple(f"t{i}" for i in range(shape[1])),
        tuple(range(shape[2])),
        scores,
        states,
        seconds=np.where(states == TrialState.OK, rng.random(shape), np.nan),
        deviations=np.where(rng.random(shape) < 0.8, rng.random(shape), np.nan),
        n_units=rng.integers(0, 5, size=shape).astype(np.int32),
    )


@pytest.mark.parametrize("at_once", [1, 24, 200_000])
@pytest.mark.parametrize("seed", range(6))
def test_a_summary_is_that_of_the_cell(seed: int, at_once: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("benchbench.stats.cell_numbers._CELLS_AT_ONCE", at_once)
    table = messy_table(seed)
    assert table.deviations is not None
    assert table.n_units is not None
    assert table.seconds is not None
    found = CellNumbers.of(table)
    for cell in np.ndindex(table.shape[:2]):
        is_ok = table.states[cell] == TrialState.OK
        scores, known = table.scores[cell], table.scores[cell][~np.isnan(table.scores[cell])]
        own = scores[is_ok].tolist()
        n_imputed = len(known) - len(own)
        assert (found.n_ok[cell], found.n_imputed[cell]) == (len(own), n_imputed)
        assert found.means[cell] == pytest.approx(known.mean() if len(known) else math.nan, nan_ok=True)
        assert found.n_units[cell] == table.n_units[cell][is_ok].sum()
        seconds = table.seconds[cell][is_ok]
        assert found.seconds[cell] == pytest.approx(seconds.mean() if len(seconds) else math.nan, nan_ok=True)
        assert found.agree[cell] == agree(own)
        if not own:
            assert (found.n[cell], math.isnan(found.ci95[cell])) == (0, True)
            continue
        first = int(np.argmax(is_ok))
        within = estimate_of_summary(own[0], table.deviations[cell][first], int(table.n_units[cell][first]))
        is_over_trials = len(own) > 1 and not agree(own)
        expected = estimate(own).ci95 if is_over_trials else within.ci95
        is_over_trials = is_over_trials or n_imputed > 0 or (agree(own) and expected is None)
        if n_imputed:
            expected = None
        assert found.ci95[cell] == pytest.approx(math.nan if expected is None else expected, nan_ok=True)
        assert found.is_over_trials[cell] == is_over_trials
        assert found.n[cell] == (len(known) if is_over_trials else within.n)


def test_a_table_of_scores_alone_has_no_seconds_and_no_units() -> None:
    scores = np.array([[[0.5], [0.7]]])
    found = CellNumbers.of(ScoreTable(("m",), ("a", "b"), (0,), scores, np.zeros(scores.shape, np.int8)))
    assert found.means.tolist() == [[0.5, 0.7]]
    assert np.isnan(found.ci95).all()
    assert np.isnan(found.seconds).all()
    assert found.n_units.tolist() == found.n.tolist() == [[0, 0]]
    empty = CellNumbers.of(ScoreTable(("m",), ("a",), (), np.zeros((1, 1, 0)), np.zeros((1, 1, 0), np.int8)))
    assert np.isnan(empty.means).all()
