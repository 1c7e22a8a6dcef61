"""Draws from spaces: one prior for all methods, and nothing outside the space."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenGreaterThanRelation,
    ForbiddenLessThanRelation,
    GreaterThanCondition,
    Integer,
    NotEqualsCondition,
    OrdinalHyperparameter,
)
from scipy.stats import chisquare

from benchbench.contracts.hpo import HPOAdapter, HPOBudget, Observation, ProblemInfo
from benchbench.contracts.hpo_spaces import SpaceRules
from benchbench.errors import InputError
from benchbench.methods.hpo._discrete import Grid
from benchbench.methods.hpo._grids import configurations
from benchbench.methods.hpo._spaces import Axis, Sampler, from_unit, from_vector, sampling_space, to_unit
from benchbench.registry import create_method

THIRDS = (1 / 27, 1 / 9, 1 / 3, 1.0)

# what draws at random, with parameters that make it draw and not model
RANDOM: dict[str, dict[str, Any]] = {
    "random_search": {},
    "sobol": {},
    "sobol_design": {"n": 1024},
    "successive_halving": {},
    "hyperband": {},
    "asha": {},
    "bohb": {"random_share": 1.0},
    "dehb": {},
    "differential_evolution": {"population_size": 1024},
    "regularised_evolution": {"population_size": 1024},
    "q_learning": {"starts": 1024},
    "tpe": {"n_startup": 1024},
    "gp": {"n_startup": 1024},
    "botorch_logei": {"n_initial": 1024},
    "smac_rf": {"initial_share": 1.0},
}

METHODS = [pytest.param(name, marks=pytest.mark.slow) if name == "smac_rf" else name for name in RANDOM]


def numbers() -> ConfigurationSpace:
    """Whole numbers on both scales, a choice and an order."""
    space = ConfigurationSpace()
    space.add(
        Integer("leaf", (1, 64), log=True),
        Integer("few", (1, 3), log=True),
        Integer("layers", (-1, 4)),
        Categorical("kind", ["a", "b", "c"]),
        OrdinalHyperparameter("size", ["s", "m", "l", "xl"]),
        Float("rate", (1e-4, 1.0), log=True),
    )
    return space


def shares(low: int, high: int, *, log: bool) -> list[float]:
    """Return the share of each whole number: the width of its cell on its scale."""
    cells = [math.log((k + 0.5) / (k - 0.5)) if log else 1.0 for k in range(low, high + 1)]
    return [cell / sum(cells) for cell in cells]


PRIOR = {
    "leaf": dict(zip(range(1, 65), shares(1, 64, log=True), strict=True)),
    "few": dict(zip(range(1, 4), shares(1, 3, log=True), strict=True)),
    "layers": dict(zip(range(-1, 5), shares(-1, 4, log=False), strict=True)),
    "kind": dict.fromkeys(["a", "b", "c"], 1 / 3),
    "size": dict.fromkeys(["s", "m", "l", "xl"], 1 / 4),
}


def surprise(values: list[Any], expected: dict[Any, float]) -> float:
    """Return the p-value of a chi-square test; rare values are taken together."""
    rare = [k for k, share in expected.items() if share * len(values) < 5]
    counts = [values.count(k) for k in expected if k not in rare]
    wanted = [share * len(values) for k, share in expected.items() if k not in rare]
    if rare:
        counts.append(sum(values.count(k) for k in rare))
        wanted.append(sum(expected[k] for k in rare) * len(values))
    return float(chisquare(counts, wanted).pvalue)


def drawn(
    name: str, space: ConfigurationSpace, context: Any, n: int, params: dict[str, Any] | None = None
) -> list[Any]:
    """Return the first n new configurations of a method; halving and designs repeat theirs."""
    adapter: HPOAdapter = create_method(name, RANDOM[name] if params is None else params)
    info = ProblemInfo(name="test", space=space, fidelities=THIRDS, fidelity_name="epochs")
    if reason := adapter.supports(info):
        pytest.skip(reason)
    adapter.setup(info, budget=HPOBudget(evaluations=float(n)), context=context)
    found: dict[bytes, Any] = {}
    while len(found) < n:
        suggestion = adapter.ask()
        assert suggestion is not None
        found.setdefault(suggestion.config.get_array().tobytes(), suggestion.config)
        adapter.tell(Observation(suggestion, float(len(found)), 1.0))
    return list(found.values())


@pytest.mark.parametrize("name", METHODS)
def test_all_methods_draw_from_one_prior(name: str, make_context: Callable[..., Any]) -> None:
    """Of Integer(1, 64, log) random search drew 1 in 16.6 %, an even design in 9.7 %, TPE in 22.6 %."""
    # these draw at random only at first
    n, n_seeds = {"dehb": (27, 20), "smac_rf": (40, 6)}.get(name, (500, 1))
    space = numbers()
    configs = [c for seed in range(n_seeds) for c in drawn(name, space, make_context(seed), n)]
    rules = SpaceRules(space)
    assert [rules.violation(c) for c in configs] == [None] * len(configs)
    found = {key: surprise([c[key] for c in configs], expected) for key, expected in PRIOR.items()}
    assert min(found.values()) > 1e-4, found


def test_levels_and_a_librarys_own_draws_have_the_prior() -> None:
    space = numbers()
    own = sampling_space(space)
    own.seed(3)
    rng = np.random.default_rng(0)
    grid = Grid(space, 8, rng)
    draws = {"library": [c["leaf"] for c in own.sample_configuration(2000)]}
    place = list(space).index("leaf")
    by_level = [grid.coordinate(place, int(level)) for level in rng.integers(8, size=2000)]
    draws["levels"] = [space["leaf"].to_value(v) for v in by_level]
    assert {key: p for key, v in draws.items() if (p := surprise(v, PRIOR["leaf"])) < 1e-4} == {}
    # the library's other draw, of one, is the same
    assert surprise([own.sample_configuration()["few"] for _ in range(300)], PRIOR["few"]) > 1e-4
    assert space.sample_configuration() is not None


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 64), (3, 4), (8, 512), (1, 10**6), (999_990, 10**6)])
@pytest.mark.parametrize("log", [True, False])
def test_whole_numbers_go_both_ways(low: int, high: int, *, log: bool) -> None:
    space = ConfigurationSpace()
    space.add(Integer("k", (low, high), log=log))
    axis, rules = Axis(space["k"]), SpaceRules(space)
    values = np.unique(np.linspace(low, high, 200).round())
    middles = axis.units(space["k"].to_vector(values))
    assert (np.diff(middles) > 0).all()
    assert (middles > 0).all()
    assert (middles < 1).all()
    for k, unit in zip(values, middles, strict=True):
        config = from_unit(space, np.array([unit]))
        assert config["k"] == k
        assert rules.violation(config) is None
        np.testing.assert_allclose(to_unit(config), unit, rtol=0, atol=1e-9)
    assert [from_unit(space, np.array([u]))["k"] for u in (0.0, 1.0)] == [low, high]


def nested() -> ConfigurationSpace:
    """Conditions on three levels: in ConfigSpace 1.2.2 every tenth of its own draws is illegal."""
    space = ConfigurationSpace(seed=0)
    z, y, x, w, v = Categorical("z", ["on", "off"]), *(Float(name, (0.0, 1.0)) for name in "yxwv")
    space.add(z, y, x, w, v)
    space.add(
        EqualsCondition(y, z, "on"),
        GreaterThanCondition(x, y, 0.4),
        AndConjunction(EqualsCondition(w, z, "on"), GreaterThanCondition(w, x, 0.5)),
        # holds in ConfigSpace also where the parent is inactive
        NotEqualsCondition(v, x, 0.25),
    )
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(z, "off"), ForbiddenEqualsClause(v, 0.5)))
    return space


@pytest.mark.parametrize("name", METHODS)
def test_nested_conditions_are_kept(name: str, make_context: Callable[..., Any]) -> None:
    space = nested()
    rules = SpaceRules(space)
    # of these it models some
    params, n = ({"initial_share": 0.3}, 24) if name == "smac_rf" else (RANDOM[name], 300)
    configs = drawn(name, space, make_context(), n, params)
    assert [rules.violation(c) for c in configs] == [None] * len(configs)
    for config in configs:
        config.check_valid_configuration()
    assert len({tuple(np.isnan(c.get_array()).tolist()) for c in configs}) >= 3


def test_a_grid_keeps_nested_conditions() -> None:
    space = nested()
    rules = SpaceRules(space)
    grid = list(configurations(space, 3))
    assert [rules.violation(c) for c in grid] == [None] * len(grid)
    # on: y in {0, 0.5, 1}; x for two of them, w for one of x; v for all; off: v, of which one is forbidden
    assert len(grid) == (1 + 2 * (2 + 3)) * 3 + 2


def test_draws_repeat_and_leave_the_space_alone() -> None:
    space = nested()
    before = space.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    runs = [[Sampler(space, seed).sample() for _ in range(1)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert space.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]


def test_a_space_without_a_legal_configuration_says_so(make_context: Callable[..., Any]) -> None:
    space = ConfigurationSpace()
    x, y = Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0))
    space.add(x, y)
    # only equal numbers are legal, as the defaults are
    space.add(ForbiddenGreaterThanRelation(x, y), ForbiddenLessThanRelation(x, y))
    for name in ("random_search", "sobol", "hyperband"):
        with pytest.raises(
            InputError, match=r"none of 200,\d+ configurations drawn from the space is legal; its 2 forb"
        ):
            drawn(name, space, make_context(), 1, {})


def test_rounding_at_a_bound_is_put_back_and_nothing_else() -> None:
    space = ConfigurationSpace()
    space.add(Float("x", (0.0, 1.0)), Categorical("k", ["a", "b", "c"]))
    for given, kept in ((1 + 1e-12, 1.0), (-1e-12, 0.0), (0.5, 0.5), (3.0, 3.0), (-0.5, -0.5), (1.001, 1.001)):
        assert from_vector(space, np.array([given, 2.0])).get_array().tolist() == [kept, 2.0]
