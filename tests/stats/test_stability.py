"""How many tasks or seeds would tell two methods apart: by simulating what the power calculation promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.stability import tasks_to_separate
from benchbench.stats.table import ScoreTable


def table_of(scores: np.ndarray) -> ScoreTable:
    m, t, u = scores.shape
    return ScoreTable(
        tuple("abcdefgh"[:m]),
        tuple(f"t{i}" for i in range(t)),
        tuple(range(u)),
        scores,
        np.zeros(scores.shape, np.int8),
    )


def test_as_many_tasks_as_the_calculation_says_have_the_power_it_says() -> None:
    rng = np.random.default_rng(7)
    scores = rng.normal(0.0, 1.0, size=(2, 40, 1))
    scores[0] += 0.5
    found = tasks_to_separate(table_of(scores), "a", "b", power=0.8)
    assert found.tasks_needed is not None
    assert found.seeds_needed is None
    n = found.tasks_needed
    draws = rng.normal(found.difference, found.sd_tasks, size=(4000, n))
    z = draws.mean(axis=1) / (found.sd_tasks / math.sqrt(n))
    assert (np.abs(z) > stats.norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.03)
    more = tasks_to_separate(table_of(scores), "a", "b", power=0.95)
    assert (more.tasks_needed or 0) > n
    assert found.more_tasks == max(0, n - 40)
    assert tasks_to_separate(table_of(scores), "b", "a").tasks_needed == n


def test_more_seeds_help_where_seeds_are_what_scatters() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(0.0, 1.0, size=(2, 30, 4))
    scores[0] += 0.3
    found = tasks_to_separate(table_of(scores), "a", "b")
    assert found.n_seeds == 4
    assert found.sd_seeds == pytest.approx(math.sqrt(2), rel=0.1)
    assert found.seeds_needed is not None
    between = max(0.0, found.sd_tasks**2 - (found.sd_seeds or 0) ** 2 / 4)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    variance = between + (found.sd_seeds or 0) ** 2 / found.seeds_needed
    assert 30 * (found.difference / z) ** 2 >= variance - 1e-9
    one_less = between + (found.sd_seeds or 0) ** 2 / max(1, found.seeds_needed - 1)
    assert found.seeds_needed == 4 or 30 * (found.difference / z) ** 2 < one_less


def test_no_number_of_seeds_helps_where_tasks_are_what_scatters() -> None:
    rng = np.random.default_rng(3)
    scores = np.repeat(rng.normal(0.0, 1.0, size=(2, 12, 1)), 3, axis=2) + rng.normal(0.0, 0.01, size=(2, 12, 3))
    scores[0] += 0.05
    found = tasks_to_separate(table_of(scores), "a", "b")
    assert found.seeds_needed is None
    assert found.more_seeds is None
    assert (found.more_tasks or 0) > 0


def test_equal_methods_and_bad_input() -> None:
    table = table_of(np.ones((2, 3, 2)))
    assert tasks_to_separate(table, "a", "b").tasks_needed is None
    with pytest.raises(UnknownNameError):
        tasks_to_separate(table, "a", "z")
    with pytest.raises(InputError, match="1 task in common"):
        tasks_to_separate(table.select(tasks=["t0"]), "a", "b")
    with pytest.raises(InputError, match="power"):
        tasks_to_separate(table, "a", "b", power=1.0)


def test_a_separation_as_plain_data_has_what_to_add() -> None:
    scores = np.random.default_rng(7).normal(0.0, 1.0, size=(2, 10, 2))
    scores[0] += 0.1
    found = tasks_to_separate(table_of(scores), "a", "b")
    assert found.more_tasks is not None
    assert found.more_tasks > 0
    plain = found.to_dict()
    assert plain["tasks_needed"] == plain["n_tasks"] + plain["more_tasks"]
    assert (plain["a"], plain["more_seeds"]) == ("a", found.more_seeds)
