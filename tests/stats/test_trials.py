"""Counted trials in columns become a score table, each trial in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbench.stats.table import TrialState
from benchbench.stats.trials import Conditions, positions


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(-3, 9), st.integers(-(10**9), 10**9)), max_size=12))
def test_positions_are_those_among_the_distinct_values(values: list[int]) -> None:
    own = np.array(values, dtype=np.int64)
    distinct, place = positions(own)
    assert distinct.tolist() == sorted(set(values))
    assert distinct[place].tolist() == values


def test_each_trial_is_in_its_place_and_a_lost_one_is_absent(make_trials: Any) -> None:
    trials = make_trials(
        [
            {"method": "n", "task": "a", "scores": [0.5, None], "seeds": [7, 2], "seconds": 3.0, "n_declined": 0},
            {"method": "left out", "task": "a", "scores": [0.1], "seeds": [0]},
            {"method": "m", "task": "b", "scores": [0.4], "seeds": [2, 7, 9], "n_declined": 1, "n_lost": 1},
        ]
    )
    table = trials.table([0, 2], ["b", "a", "c"])
    assert (table.methods, table.tasks, table.units) == (("m", "n"), ("b", "a", "c"), (2, 7))
    assert np.isnan(table.scores).sum() == 12 - 2
    assert (table.scores[1, 1, 1], table.scores[0, 0, 0]) == (0.5, 0.4)
    expected = np.full((2, 3, 2), TrialState.ABSENT)
    expected[1, 1] = TrialState.FAILED, TrialState.OK
    expected[0, 0] = TrialState.OK, TrialState.DECLINED
    assert table.states.tolist() == expected.tolist()
    assert table.seconds is not None
    assert (table.seconds[1, 1, 1], table.seconds[0, 0, 0], np.isnan(table.seconds).sum()) == (3.0, 2.0, 10)
    assert table.n_units is not None
    assert (table.n_units[1, 1, 1], table.n_units.sum()) == (100, 200)
    assert table.deviations is not None
    assert table.deviations[0, 0, 0] == 0.1
    assert trials.table([], ()).shape == (0, 0, 0)


@pytest.mark.parametrize(
    ("test_units", "threads", "text"),
    [
        (300, 1, "protocol p/2, preset quick, 300 test units, 1 thread, cpu"),
        (1, 4, "protocol p/2, preset quick, 1 test unit, 4 threads, cpu"),
        (0, 0, "protocol p/2, preset quick"),
    ],
)
def test_conditions_in_words(test_units: int, threads: int, text: str) -> None:
    found = Conditions(
        suite_version="1",
        protocol_version="p/2",
        preset="quick",
        test_units=test_units,
        threads=threads,
        device="cpu" if threads else "",
    )
    assert found.in_words() == text
