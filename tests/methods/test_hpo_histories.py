"""Optimisers that learn from related problems: similarity, turns, and greedy portfolios on cases counted by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Float
from numpy.typing import ArrayLike

from benchbench.contracts.context import Context
from benchbench.contracts.hpo import History, HPOBudget, Observation, ProblemInfo
from benchbench.execution.harness import TrialHarness
from benchbench.methods.hpo._histories import by_similarity, greedy_portfolio, in_turns, shared_regrets
from benchbench.registry import create_method, get_loader

NAN = float("nan")


def history(name: str, losses: ArrayLike, *, vectors: ArrayLike | None = None, **meta_features: float) -> History:
    losses = np.asarray(losses, float)
    points = np.arange(len(losses))[:, None] / 10 if vectors is None else np.asarray(vectors, float)
    return History(problem=name, meta_features=meta_features, vectors=points, losses=losses)


def problem(histories: Sequence[History], **meta_features: float) -> ProblemInfo:
    space = ConfigurationSpace(space=[Float("a", (0.0, 1.0))])
    return ProblemInfo(name="t", space=space, meta_features=meta_features, histories=lambda: histories)


def context(tmp_path: Path, seed: int = 0) -> Context:
    deadline = time.monotonic() + 600
    return TrialHarness(seed=seed, device="cpu", threads=1, scratch=tmp_path, deadline=deadline).context


def test_similarity_is_the_sum_of_differences_over_each_features_range() -> None:
    near = history("near", [0.0], rows=10.0, classes=3.0, extra=1.0)
    far = history("far", [0.0], rows=1000.0, classes=2.0)
    # rows: ranges over 990, distances 90/990 and 900/990; classes: ranges over 1, distances 1 and 0; extra: not known of all
    found = by_similarity(problem([far, near], rows=100.0, classes=2.0, constant=5.0))
    assert [h.problem for h in found] == ["far", "near"]
    found = by_similarity(problem([far, near], rows=100.0, classes=3.0))
    assert [h.problem for h in found] == ["near", "far"]


def test_problems_that_nothing_is_known_of_keep_their_order() -> None:
    assert [h.problem for h in by_similarity(problem([history("b", [0.0]), history("a", [0.0])]))] == ["b", "a"]


def test_turns_go_over_the_problems_and_repeat_nothing() -> None:
    first = history("first", [3.0, 1.0, 2.0, NAN])
    second = history("second", [9.0, 5.0, NAN, 7.0])
    # by loss: first 1, 2, 0; second 1, 3, 0
    places = [round(float(v[0]) * 10) for v in in_turns([first, second])]
    assert places == [1, 2, 3, 0]


def test_regrets_are_of_what_was_evaluated_on_every_problem() -> None:
    one = history("one", [4.0, 0.0, 2.0, NAN], vectors=[[0.1], [0.2], [0.3], [0.4]])
    two = history("two", [10.0, 30.0, 20.0], vectors=[[0.3], [0.2], [0.4]])
    vectors, regrets = shared_regrets([one, two])
    assert vectors[:, 0].tolist() == [0.2, 0.3, 0.4]
    # one: best 0, median 2; two: best 10, median 20; what is worse than the median, or failed, counts 1
    np.testing.assert_allclose(regrets, [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def test_a_portfolio_takes_what_lowers_the_mean_most_and_then_begins_anew() -> None:
    regrets = np.array([[0.0, 1.0], [0.4, 0.4], [1.0, 0.0], [0.5, 0.5], [0.9, 0.9]])
    # 0.4 on average; then with row 0: (0 + 0.4) / 2, with row 2 the same: the first; then row 2: 0. Anew: 0.5, and 0.9 helps nothing
    assert greedy_portfolio(regrets, 3) == [1, 0, 2]
    assert greedy_portfolio(regrets, 10) == [1, 0, 2, 3, 4]


def test_the_portfolio_comes_first_then_random_search(tmp_path: Path) -> None:
    adapter = create_method("portfolio", {"size": 2})
    info = problem([history("one", [3.0, 1.0, 2.0]), history("two", [1.0, 2.0, 3.0])])
    assert adapter.supports(info) is None
    adapter.setup(info, budget=HPOBudget(evaluations=4), context=context(tmp_path))
    asked = [float(adapter.ask().config.get_array()[0]) for _ in range(4)]
    # best of both together: place 1 (regrets 0 and 1) and place 0 (1 and 0) are level: the first; then the other one
    np.testing.assert_allclose(asked[:2], [0.0, 0.1])
    assert len(set(asked)) == 4


@pytest.mark.parametrize("name", ["portfolio", "warm_start_tpe"])
def test_without_related_problems_they_decline(name: str) -> None:
    assert "related" in (create_method(name, {}).supports(problem([])) or "")


def test_a_portfolio_needs_configurations_in_common() -> None:
    apart = [history("one", [1.0], vectors=[[0.1]]), history("two", [1.0], vectors=[[0.2]])]
    assert "every related problem" in (create_method("portfolio", {}).supports(problem(apart)) or "")


def test_a_warm_start_is_the_best_of_the_nearest_first(tmp_path: Path) -> None:
    loader = get_loader("synthetic")
    options = {"function": "ackley", "dimension": 4, "categories": 2, "relatives": 3}
    found = loader.load("t", options)
    adapter = create_method("warm_start_tpe", {"n_initial": 4, "n_startup": 4})
    adapter.setup(found.info, budget=HPOBudget(evaluations=8), context=context(tmp_path))
    expected = [h.vectors[h.losses.argmin()] for h in by_similarity(found.info)]
    asked = []
    for _ in range(8):
        suggestion = adapter.ask()
        asked.append(suggestion.config.get_array())
        loss = found.evaluate(suggestion.config, 1.0, np.random.default_rng(0)).loss
        adapter.tell(Observation(suggestion, loss, 1.0))
    distinct = list({v.tobytes(): v for v in expected}.values())
    np.testing.assert_allclose(asked[: len(distinct)], distinct)


def test_moved_copies_help_on_the_function_itself(tmp_path: Path) -> None:
    """Both find better configurations of a function in 10 evaluations than random search does, whose best is counted over 20 seeds."""
    found = get_loader("synthetic").load("t", {"function": "hartmann6", "relatives": 5})

    def best(name: str, seed: int) -> float:
        adapter = create_method(name, {})
        adapter.setup(found.info, budget=HPOBudget(evaluations=10), context=context(tmp_path, seed))
        losses = []
        for _ in range(10):
            suggestion = adapter.ask()
            loss = found.evaluate(suggestion.config, 1.0, np.random.default_rng(0)).loss
            adapter.tell(Observation(suggestion, loss, 1.0))
            losses.append(loss)
        return min(losses)

    random = np.mean([best("random_search", seed) for seed in range(20)])
    assert best("portfolio", 0) < random
    assert best("warm_start_tpe", 0) < random


def test_histories_are_of_copies_and_the_problem_itself_has_not_moved() -> None:
    loader = get_loader("synthetic")
    info = loader.info("t", {"function": "branin", "relatives": 2})
    histories = info.histories()
    assert len(histories) == 2
    assert set(info.meta_features.values()) == {0.0}
    assert not np.allclose(histories[0].losses, histories[1].losses)
    assert replace(info, name="u").histories() is histories
    assert loader.fingerprint({"function": "branin", "relatives": 2}) != loader.fingerprint({"function": "branin"})
