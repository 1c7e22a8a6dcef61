"""Do the intervals hold? A thousand suites are drawn of a population of tasks whose true values are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchbench.stats.statistics import Options, statistic_values
from benchbench.stats.table import ScoreTable

METHODS = tuple("abcde")
ADVANTAGES = np.array([0.0, 0.1, 0.2, 0.3, 0.6])
N_DRAWS = 1000


def draw(rng: np.random.Generator, n_tasks: int) -> ScoreTable:
    """Draw tasks of different difficulty, on which each method does better or worse than its wont; accuracies."""
    difficulty = rng.beta(4, 2, size=n_tasks)
    logits = np.log(difficulty / (1 - difficulty)) + ADVANTAGES[:, None] + 0.4 * rng.normal(size=(5, n_tasks))
    scores = (1 / (1 + np.exp(-logits)))[:, :, None]
    tasks = tuple(str(i) for i in range(n_tasks))
    return ScoreTable(METHODS, tasks, (0,), scores, np.zeros(scores.shape, np.int8))


# normalised: 0 = chance, 1 = perfect, the same for all tasks, so that drawn tasks need no ends of their own
def options(statistic: str, table: ScoreTable) -> Options:
    return Options(ends=dict.fromkeys(table.tasks, (0.2, 1.0)) if statistic == "norm" else {})


@pytest.fixture(scope="module")
def population() -> ScoreTable:
    """Return so many tasks that their means are the truth."""
    return draw(np.random.default_rng(20_000), 200_000)


# win rates are mean ranks on another scale
@pytest.mark.parametrize("statistic", ["rank", "norm", "improvability"])
@pytest.mark.parametrize("n_tasks", [10, 30])
def test_the_interval_covers_the_truth(population: ScoreTable, statistic: str, n_tasks: int) -> None:
    known = statistic_values(population, statistic, options(statistic, population), n_bootstrap=0)
    truth = {s.method: s.value or 0.0 for s in known}
    covered = dict.fromkeys(METHODS, 0)
    for i in range(N_DRAWS):
        table = draw(np.random.default_rng([i, n_tasks]), n_tasks)
        for s in statistic_values(table, statistic, options(statistic, table), seed=i):
            covered[s.method] += (s.low or 0.0) <= truth[s.method] <= (s.high or 0.0)
    assert all(0.90 * N_DRAWS <= n <= 0.99 * N_DRAWS for n in covered.values()), covered


@pytest.mark.slow
def test_ratings_intervals_cover_the_truth(population: ScoreTable) -> None:
    # in a finite suite the imagined draw pulls ratings inwards a little; their own limit has no such pull
    truth = {s.method: s.value or 0.0 for s in statistic_values(population, "elo", n_bootstrap=0)}
    covered = dict.fromkeys(METHODS, 0)
    for i in range(N_DRAWS):
        for s in statistic_values(draw(np.random.default_rng([i, 30]), 30), "elo", seed=i):
            covered[s.method] += (s.low or 0.0) <= truth[s.method] <= (s.high or 0.0)
    assert all(0.90 * N_DRAWS <= n <= 0.99 * N_DRAWS for n in covered.values()), covered
