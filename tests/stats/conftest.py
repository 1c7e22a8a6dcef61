"""Counted trials and leaderboards, described cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from benchbench.stats.facts import SuiteFacts
from benchbench.stats.leaderboard import Leaderboard, make_leaderboard
from benchbench.stats.table import TrialState
from benchbench.stats.trials import Cell, Conditions, CountedTrials

CONDITIONS = Conditions(
    suite_version="1", protocol_version="p/1", preset="quick", test_units=100, threads=1, device="cpu"
)


def trials_of(cells: Iterable[Mapping[str, Any]]) -> CountedTrials:
    """Return counted trials, given cell by cell.

    A cell names `method`, `task` and `scores`, one per seed, None of a trial that failed; then whatever differs from the
    usual: `seeds`, `deviations`, `n_units` and `seconds` by trial (or one value for all), trials more that failed,
    declined or were lost (`n_failed`, `n_declined`, `n_lost`), and fields of `Cell`.
    """
    made, columns = [], []
    for number, given in enumerate(cells):
        one = dict(given)
        scores = list(one.pop("scores", ()))
        states = [TrialState.FAILED if s is None else TrialState.OK for s in scores]
        states += [TrialState.FAILED] * one.pop("n_failed", 0)
        states += [TrialState.DECLINED] * one.pop("n_declined", 0) + [TrialState.ABSENT] * one.pop("n_lost", 0)
        n, n_ok = len(states), states.count(TrialState.OK)
        scores += [None] * (n - len(scores))
        seeds = one.pop("seeds", range(n))
        of_trials = {name: one.pop(name, usual) for name, usual in USUAL.items()}
        by_trial = {
            name: [value] * n if np.isscalar(value) or value is None else [*value, *[None] * (n - len(value))]
            for name, value in of_trials.items()
        }
        for i, state in enumerate(states):
            is_ok = state == TrialState.OK
            numbers = [by_trial[name][i] if is_ok else None for name in ("deviations", "n_units", "seconds")]
            columns.append((number, seeds[i], state, scores[i], *numbers))
        values: dict[str, Any] = {
            "conditions": CONDITIONS,
            "fingerprint": f"data of {one['task']}",
            "params": "{}",
            "transductive": False,
            "metric": "accuracy",
            "unit": "episode",
            "n_ok": n_ok,
            "n_failed": states.count(TrialState.FAILED),
            "n_declined": states.count(TrialState.DECLINED),
            "n_lost": states.count(TrialState.ABSENT),
            "hardware": ("one",),
            "n_environments": 1,
            "newest": 1.0,
        }
        made.append(Cell(**{**values, **one}))
    cell, seed, state, score, deviation, n_units, seconds = zip(*columns, strict=True) if columns else ((),) * 7
    return CountedTrials(
        cells=tuple(made),
        cell=np.array(cell, dtype=np.int64),
        seed=np.array(seed, dtype=np.int64),
        state=np.array(state, dtype=np.int8),
        score=np.array(score, dtype=np.float64),
        deviation=np.array(deviation, dtype=np.float64),
        n_units=np.array([n or 0 for n in n_units], dtype=np.int64),
        seconds=np.array(seconds, dtype=np.float64),
    )


USUAL: dict[str, Any] = {"deviations": 0.1, "n_units": 100, "seconds": 2.0}


def board_of(cells: Iterable[Mapping[str, Any]], suite: SuiteFacts, **options: Any) -> Leaderboard:
    """Return the leaderboard of such cells."""
    return make_leaderboard(trials_of(cells), suite, **options)


@pytest.fixture(scope="session")
def make_trials() -> Callable[..., CountedTrials]:
    return trials_of


@pytest.fixture(scope="session")
def make_board() -> Callable[..., Leaderboard]:
    return board_of
