"""Synthetic problems: values and optima from the literature, noise, categories, fidelities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import get_loader
from benchbench.suites.synthetic import FUNCTIONS

LOADER = get_loader("synthetic")
OPTIMA = {
    "branin": [(-np.pi, 12.275), (np.pi, 2.275), (9.42477796076938, 2.475)],
    "hartmann3": [(0.114614, 0.555649, 0.852547)],
    "hartmann6": [(0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)],
    "ackley": [(0.0,) * 5],
    "rosenbrock": [(1.0,) * 5],
    "levy": [(1.0,) * 5],
}


def evaluate(problem: Any, vector: Any, fidelity: float = 1.0, seed: int = 0) -> Any:
    config = Configuration(problem.info.space, vector=np.asarray(vector, np.float64))
    return problem.evaluate(config, fidelity, np.random.default_rng(seed))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_published_optimum_is_the_minimum(name: str) -> None:
    function = FUNCTIONS[name]
    for point in OPTIMA[name]:
        assert function.call(np.array([point]))[0] == pytest.approx(function.minimum, abs=1e-4)
    low, high = (np.broadcast_to(np.asarray(b, float), len(OPTIMA[name][0])) for b in (function.low, function.high))
    points = low + np.random.default_rng(0).random((20_000, len(low))) * (high - low)
    assert function.call(points).min() >= function.minimum - 1e-12


def test_values_at_other_points() -> None:
    # by hand
    assert FUNCTIONS["rosenbrock"].call(np.array([[0.0, 0.0, 0.0]]))[0] == 2.0
    assert FUNCTIONS["rosenbrock"].call(np.array([[-1.0, 2.0]]))[0] == 104.0
    assert FUNCTIONS["ackley"].call(np.array([[1.0, 1.0]]))[0] == pytest.approx(20 * (1 - np.exp(-0.2)))
    assert FUNCTIONS["levy"].call(np.array([[-3.0, 1.0]]))[0] == pytest.approx(
        1 + 0.0 - 1 + 1 * (1 + 10 * np.sin(1) ** 2)
    )
    assert FUNCTIONS["branin"].call(np.array([[0.0, 0.0]]))[0] == pytest.approx(36 + 10 * (1 - 1 / (8 * np.pi)) + 10)


def test_configurations_are_points_of_the_domain() -> None:
    problem = LOADER.load("t", {"function": "branin"})
    assert evaluate(problem, [0.0, 0.0]).loss == pytest.approx(FUNCTIONS["branin"].call(np.array([[-5.0, 0.0]]))[0])
    assert dict(Configuration(problem.info.space, vector=np.array([1.0, 0.5]))) == {"x0": 10.0, "x1": 7.5}


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["ackley", "rosenbrock", "levy"]), st.integers(2, 12), st.integers(0, 2))
def test_the_space_has_the_dimensions_asked_for(name: str, dimension: int, categories: int) -> None:
    options = {"function": name, "dimension": dimension, "categories": categories, "levels": 3}
    info = LOADER.info("t", options)
    assert len(info.space) == dimension
    assert info.kind == ("mixed" if categories else "continuous")
    # in the order of the dimensions
    assert [p.name for p in info.space.values()] == sorted(p.name for p in info.space.values())


def test_noise_is_seen_but_not_scored_and_repeats() -> None:
    problem = LOADER.load("t", {"function": "branin", "noise_percent": 10})
    clean = evaluate(LOADER.load("t", {"function": "branin"}), [0.3, 0.6])
    found = [evaluate(problem, [0.3, 0.6], seed=s) for s in range(500)]
    assert {f.true_loss for f in found} == {clean.loss}
    assert evaluate(problem, [0.3, 0.6], seed=7).loss == found[7].loss
    losses = np.array([f.loss for f in found])
    # Branin's standard deviation over its domain is 51.3
    assert losses.std() == pytest.approx(5.13, rel=0.1)
    assert losses.mean() == pytest.approx(clean.loss, abs=0.8)


def test_categories_have_an_order_without_meaning_and_reach_the_optimum() -> None:
    problem = LOADER.load("t", {"function": "ackley", "dimension": 3, "categories": 1, "levels": 5})
    losses = [evaluate(problem, [0.5, 0.5, level]).loss for level in range(5)]
    assert min(losses) == pytest.approx(0.0, abs=1e-12)
    assert sorted(losses) != losses
    assert losses == [evaluate(LOADER.load("u", problem_options()), [0.5, 0.5, level]).loss for level in range(5)]


def problem_options() -> dict[str, Any]:
    return {"function": "ackley", "dimension": 3, "categories": 1, "levels": 5}


def test_low_fidelities_cost_less_and_say_less() -> None:
    problem = LOADER.load("t", {"function": "hartmann6", "fidelity_levels": 4})
    assert problem.info.fidelities == pytest.approx((1 / 27, 1 / 9, 1 / 3, 1.0))
    points = np.random.default_rng(0).random((400, 6))
    losses = {z: np.array([evaluate(problem, p, z).loss for p in points]) for z in problem.info.fidelities}
    full = losses[1.0]
    agreement = [float(np.corrcoef(losses[z], full)[0, 1]) for z in problem.info.fidelities]
    assert agreement == sorted(agreement)
    assert 0.3 < agreement[0] < agreement[2] < 1.0
    assert evaluate(problem, points[0], 1 / 3).seconds == 1 / 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"function": "brannin"}, UnknownNameError, "branin"),
        ({"function": "branin", "dimension": 3}, InputError, "has 2 dimensions"),
        ({"function": "levy"}, InputError, "dimension"),
        ({"function": "branin", "categories": 3}, InputError, "categories"),
        ({"function": "branin", "fidelity_levels": 0}, InputError, "fidelity_levels"),
        ({"function": "branin", "noise": 3}, InputError, "noise_percent"),
        ({}, InputError, "function"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LOADER.check(options)


def test_fingerprints_tell_problems_apart() -> None:
    options: list[dict[str, Any]] = [
        {"function": "branin"},
        {"function": "branin", "noise_percent": 1},
        {"function": "levy", "dimension": 4},
        {"function": "levy", "dimension": 5},
    ]
    found = {LOADER.fingerprint(o) for o in options}
    assert len(found) == 4
    assert LOADER.fingerprint({"function": "branin", "workers": 1}) in found
