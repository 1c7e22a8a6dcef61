"""How many tasks or seeds would tell two methods apart: by simulating what the power calculation promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.stability import tasks_to_separate
from benchbench.stats.table import ScoreTable, TrialState


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


def test_two_seeds_are_enough_to_know_how_much_seeds_scatter() -> None:
    scores = np.array([[[0.5, 0.9], [0.1, 0.4], [0.7, 0.2]], [[0.2, 0.3], [0.3, 0.2], [0.5, 0.4]]])
    paired = scores[0] - scores[1]
    found = tasks_to_separate(table_of(scores), "a", "b")
    assert found.n_seeds == 2
    assert found.sd_seeds == pytest.approx(math.sqrt(paired.var(axis=1, ddof=1).mean()))
    assert found.sd_tasks == pytest.approx(paired.mean(axis=1).std(ddof=1))


def test_what_to_add_is_the_need_less_what_there_is_and_never_negative() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(0.0, 1.0, size=(2, 30, 4))
    scores[0] += 0.3
    found = tasks_to_separate(table_of(scores), "a", "b")
    assert found.seeds_needed is not None
    assert found.seeds_needed > 4
    assert found.more_seeds == found.seeds_needed - 4
    scores[0] += 3.0
    enough = tasks_to_separate(table_of(scores), "a", "b")
    assert (enough.seeds_needed, enough.more_seeds, enough.more_tasks) == (4, 0, 0)


def test_tasks_that_one_method_lacks_do_not_count() -> None:
    scores = np.random.default_rng(3).normal(0.0, 1.0, size=(2, 6, 2))
    states = np.zeros(scores.shape, np.int8)
    scores[0, 1], scores[1, 4] = np.nan, np.nan
    states[np.isnan(scores)] = TrialState.DECLINED
    table = ScoreTable(("a", "b"), tuple(f"t{i}" for i in range(6)), (0, 1), scores, states)
    found = tasks_to_separate(table, "a", "b")
    assert found == tasks_to_separate(table.select(tasks=["t0", "t2", "t3", "t5"]), "a", "b")
    assert found.n_tasks == 4


@pytest.mark.parametrize(("alpha", "power"), [(0.0, 0.8), (1.0, 0.8), (0.05, 0.0), (0.05, 1.0)])
def test_levels_lie_between_0_and_1(alpha: float, power: float) -> None:
    table = table_of(np.random.default_rng(3).random((2, 3, 1)))
    with pytest.raises(InputError, match="alpha and power between 0 and 1"):
        tasks_to_separate(table, "a", "b", alpha=alpha, power=power)
