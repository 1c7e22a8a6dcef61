"""Space-filling, evolutionary and multi-fidelity optimisers: their steps by hand, and what each must bear."""

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
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    GreaterThanCondition,
    Integer,
    OrdinalHyperparameter,
)

from benchbench.contracts.hpo import Evaluation, HPOAdapter, HPOBudget, Observation, Problem, ProblemInfo, Suggestion
from benchbench.errors import InputError
from benchbench.execution.harness import TrialHarness
from benchbench.methods.hpo._brackets import Bracket, ladder, rung_sizes
from benchbench.methods.hpo._density import Density
from benchbench.methods.hpo._differential import Population, trial_vector
from benchbench.methods.hpo._grids import configurations, n_points
from benchbench.methods.hpo._spaces import from_unit, to_unit
from benchbench.methods.hpo.learning_rate_search import learning_rate_of
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.hpo import optimise
from benchbench.registry import create_method

THIRDS = (1 / 27, 1 / 9, 1 / 3, 1.0)
FULL = ("sobol", "grid", "learning_rate_search", "regularised_evolution", "differential_evolution")
CHEAP = ("successive_halving", "hyperband", "asha", "bohb", "dehb")
Make = Callable[..., TrialHarness]


def mixed_space() -> ConfigurationSpace:
    """Every sort of parameter, conditions on two levels, and something forbidden."""
    space = ConfigurationSpace(seed=0)
    kind = Categorical("kind", ["sgd", "adam", "none"])
    momentum = Float("momentum", (0.0, 1.0))
    layers = Integer("layers", (1, 4))
    width = Integer("width", (8, 512), log=True)
    size = OrdinalHyperparameter("size", ["s", "m", "l"])
    nesterov = Categorical("nesterov", [True, False])
    space.add(kind, momentum, layers, width, size, nesterov, Float("lr", (1e-5, 1.0), log=True), Constant("epochs", 3))
    space.add(EqualsCondition(momentum, kind, "sgd"))
    space.add(GreaterThanCondition(width, layers, 2))
    space.add(AndConjunction(EqualsCondition(nesterov, kind, "sgd"), GreaterThanCondition(nesterov, momentum, 0.4)))
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "none"), ForbiddenEqualsClause(size, "l")))
    return space


def plain_space(n: int = 2) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=0)
    space.add(Float("learning_rate", (0.0, 1.0)), *[Float(f"x{i}", (0.0, 1.0)) for i in range(1, n)])
    return space


class Bowl(Problem):
    """A bowl with its bottom at 0.3; a small fidelity adds an error that is each configuration's own, and costs as little."""

    def __init__(
        self,
        space: ConfigurationSpace,
        fidelities: tuple[float, ...] = THIRDS,
        fails: Callable[[int], bool] = lambda number: False,
        seconds: Callable[[int], float] = lambda number: 1.0,
        error: float = 0.05,
    ) -> None:
        self.info = ProblemInfo(name="bowl", space=space, fidelities=fidelities, fidelity_name="epochs")
        self._fails, self._seconds, self._error = fails, seconds, error
        self.seen: list[tuple[Any, float]] = []

    def evaluate(self, config: Any, fidelity: float, rng: np.random.Generator) -> Evaluation:
        config.check_valid_configuration()
        number = len(self.seen)
        self.seen.append((config, fidelity))
        seconds = fidelity * self._seconds(number)
        if self._fails(number):
            return Evaluation(None, seconds, reason="on purpose")
        x = np.nan_to_num(np.array(config.get_array()), nan=0.3)
        error = self._error * (1 - fidelity) * math.sin(1e4 * float(x.sum()))
        return Evaluation(float(((x - 0.3) ** 2).sum()) + error, seconds)

    @property
    def keys(self) -> list[tuple[tuple[float, ...], float]]:
        return [(tuple(-1.0 if v != v else float(v) for v in c.get_array()), f) for c, f in self.seen]


def start(
    name: str, problem: Problem, harness: TrialHarness, *, evaluations: float = 30, workers: int = 1
) -> HPOAdapter:
    adapter: HPOAdapter = create_method(name, {})
    assert adapter.supports(problem.info) is None
    adapter.setup(problem.info, budget=HPOBudget(evaluations=evaluations, workers=workers), context=harness.context)
    return adapter


def spend(name: str, problem: Problem, harness: TrialHarness, *, evaluations: float = 30, workers: int = 1) -> Any:
    adapter = start(name, problem, harness, evaluations=evaluations, workers=workers)
    return optimise(adapter, problem, HPOBudget(evaluations=evaluations, workers=workers), harness, PhaseClock())


def say(adapter: HPOAdapter, suggestion: Suggestion, loss: float | None) -> None:
    adapter.tell(Observation(suggestion, loss, 1.0))


def ask(adapter: HPOAdapter) -> Suggestion:
    suggestion = adapter.ask()
    assert suggestion is not None
    return suggestion


# what every method must bear


@pytest.mark.parametrize("name", FULL + CHEAP)
@pytest.mark.parametrize("workers", [1, 5])
def test_failures_and_late_results_are_borne_in_a_mixed_space(make_harness: Make, name: str, workers: int) -> None:
    def seconds(number: int) -> float:
        return 1.0 + (7 * number) % 5

    problem = Bowl(mixed_space(), fails=lambda number: number < 6 or number % 5 == 0, seconds=seconds)
    found = spend(name, problem, make_harness(), workers=workers)
    assert found.spent > 27
    assert found.n_failed >= 6
    assert found.steps


@pytest.mark.parametrize("name", FULL + CHEAP)
def test_nothing_but_failures_ends(make_harness: Make, name: str) -> None:
    found = spend(name, Bowl(mixed_space(), fails=lambda number: True), make_harness(), evaluations=8, workers=3)
    assert found.n_failed == found.n_evaluations > 7


@pytest.mark.parametrize("name", FULL + CHEAP)
def test_the_seed_and_nothing_else_decides(make_harness: Make, name: str) -> None:
    runs = []
    for seed in (3, 3, 4):
        np.random.seed(seed * 7 + len(runs))
        problem = Bowl(mixed_space())
        spend(name, problem, make_harness(seed), workers=3)
        runs.append(problem.keys)
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("name", FULL + CHEAP)
def test_many_may_be_pending_and_told_in_any_order(make_harness: Make, name: str) -> None:
    adapter = start(name, Bowl(mixed_space()), make_harness(), evaluations=600)
    rng = np.random.default_rng(0)
    pending: list[Suggestion] = []
    for number in range(120):
        pending.append(ask(adapter))
        if number >= 40:
            chosen = pending.pop(int(rng.integers(len(pending))))
            say(adapter, chosen, None if number % 5 == 0 else float(rng.random()))
    assert len(pending) == 40


# spaces


def test_points_and_configurations_go_both_ways() -> None:
    space = mixed_space()
    for config in space.sample_configuration(50):
        unit = to_unit(config)
        assert ((unit >= 0) & (unit <= 1)).all()
        again = from_unit(space, unit)
        for name, value in config.items():
            assert again[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_all_integers_are_parts_of_the_same_width() -> None:
    space = ConfigurationSpace()
    space.add(Integer("layers", (1, 4)))
    found = [from_unit(space, np.array([(i + 0.5) / 400]))["layers"] for i in range(400)]
    assert [found.count(k) for k in (1, 2, 3, 4)] == [100] * 4


# Sobol, grid, learning rate


def test_sobol_fills_the_cube_evenly(make_harness: Make) -> None:
    problem = Bowl(plain_space(2))
    spend("sobol", problem, make_harness(), evaluations=64)
    points = np.array([key for key, _ in problem.keys])
    # a net in base 2: of 64 scrambled points every cell of an 8 by 8 grid has one
    assert len({tuple(cell) for cell in (points * 8).astype(int).tolist()}) == 64


def test_grid_visits_every_point_once(make_harness: Make) -> None:
    problem = Bowl(plain_space(2))
    found = spend("grid", problem, make_harness(), evaluations=26)
    fifths = [i / 4 for i in range(5)]
    assert sorted(key for key, _ in problem.keys) == sorted((a, b) for a in fifths for b in fifths)
    assert found.n_evaluations == 25
    assert problem.keys != sorted(problem.keys)


def test_grid_knows_conditions_and_what_is_forbidden() -> None:
    space = mixed_space()
    grid = list(configurations(space, 2))
    assert len(grid) == len({tuple(map(str, dict(c).items())) for c in grid}) == n_points(space, 2, 10_000)
    # sgd: momentum 0, or 1 with either nesterov, and three sizes; adam: three sizes; none: two.
    # times lr's two, and layers 1, or 4 with two widths
    assert len(grid) == (3 * 3 + 3 + 2) * 2 * 3
    for config in grid:
        config.check_valid_configuration()


def test_grid_is_cut_off_where_two_points_are_too_many(make_harness: Make) -> None:
    problem = Bowl(plain_space(6))
    assert spend("grid", problem, make_harness(), evaluations=20).n_evaluations == 20
    assert len(set(problem.keys)) == 20


def test_grid_declines_where_there_is_no_hope() -> None:
    info = ProblemInfo(name="wide", space=plain_space(30))
    assert "more than 1000 points" in (create_method("grid", {}).supports(info) or "")


def test_grid_takes_integers_once(make_harness: Make) -> None:
    space = ConfigurationSpace()
    space.add(Integer("layers", (1, 4)), Categorical("kind", ["a", "b"]))
    problem = Bowl(space)
    spend("grid", problem, make_harness(), evaluations=1000)
    assert len(problem.keys) == len(set(problem.keys)) == 8


def test_learning_rate_search_moves_nothing_else(make_harness: Make) -> None:
    space = mixed_space()
    problem = Bowl(space)
    spend("learning_rate_search", problem, make_harness(), evaluations=40)
    default = dict(space.get_default_configuration())
    assert all({**config, "lr": 0} == {**default, "lr": 0} for config, _ in problem.seen)
    rates = [config["lr"] for config, _ in problem.seen]
    # on a logarithmic scale about half are below the middle, 10**-2.5
    assert 10 < sum(rate < 10**-2.5 for rate in rates) < 30


@pytest.mark.parametrize("name", ["lr", "eta0", "learning_rate_init", "optimizer:learning_rate", "SGD.lr"])
def test_learning_rate_is_found_by_its_name(name: str) -> None:
    space = ConfigurationSpace()
    space.add(Float(name, (0.0, 1.0)), Float("x", (0.0, 1.0)))
    assert learning_rate_of(space) == name


def test_learning_rate_has_to_be_a_number_in_use() -> None:
    space = ConfigurationSpace()
    kind = Categorical("kind", ["tree", "net"])
    rate = Float("lr", (0.0, 1.0))
    # scikit-learn's `learning_rate` is the name of a schedule
    space.add(kind, rate, Categorical("learning_rate", ["constant", "adaptive"]))
    space.add(EqualsCondition(rate, kind, "net"))
    assert learning_rate_of(space) is None
    assert create_method("learning_rate_search", {}).supports(ProblemInfo(name="tree", space=space)) is not None


# evolution


def test_regularised_evolution_drops_the_oldest_however_good(make_harness: Make) -> None:
    adapter: Any = create_method("regularised_evolution", {"population_size": 3, "sample_size": 50})
    adapter.setup(Bowl(plain_space(2)).info, budget=HPOBudget(evaluations=9), context=make_harness().context)
    founders = [ask(adapter) for _ in range(3)]
    for founder, loss in zip(founders, (0.0, 1.0, 2.0), strict=True):
        say(adapter, founder, loss)
    child = ask(adapter)
    # a tournament of 50 has the best of three in it: one parameter of the first founder is changed
    parent = founders[0].config
    assert sum(child.config[name] != parent[name] for name in parent) == 1
    say(adapter, child, 5.0)
    assert [loss for loss, _ in adapter._population] == [1.0, 2.0, 5.0]
    say(adapter, ask(adapter), None)
    assert [loss for loss, _ in adapter._population] == [1.0, 2.0, 5.0]


def test_regularised_evolution_replaces_founders_that_fail(make_harness: Make) -> None:
    adapter: Any = create_method("regularised_evolution", {"population_size": 3})
    adapter.setup(Bowl(plain_space(2)).info, budget=HPOBudget(evaluations=9), context=make_harness().context)
    for loss in (None, 1.0, None, 2.0):
        say(adapter, ask(adapter), loss)
    last = ask(adapter)
    assert last.tag == "founder"
    say(adapter, last, 3.0)
    assert ask(adapter).tag is None


class Dice:
    """A generator whose numbers are known."""

    def __init__(self, *numbers: Any) -> None:
        self._numbers = list(numbers)

    def choice(self, n: int, size: int, replace: bool) -> Any:
        return np.array(self._numbers.pop(0))

    def random(self, size: int) -> Any:
        return np.array(self._numbers.pop(0))

    def integers(self, high: int) -> int:
        return int(self._numbers.pop(0))


def test_trial_vector_by_hand() -> None:
    parents = np.array([[0.1, 0.2, 0.3, 0.9], [0.9, 0.8, 0.5, 0.9], [0.5, 0.4, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0]])
    target = np.array([0.6, 0.6, 0.6, 0.6])
    # parents 0, 1, 2: 0.1 + 0.5 * 0.4, 0.2 + 0.5 * 0.4, 0.3 + 0.5 * 0.4, and 0.9 + 0.5 * 0.8, which is outside and drawn anew
    dice: Any = Dice([0, 1, 2], [0.11, 0.22, 0.33, 0.44], [0.4, 0.6, 0.9, 0.1], 2)
    found = trial_vector(dice, target, parents, scale=0.5, crossover=0.5)
    # the second coordinate is not crossed, the third only because one always is
    assert found == pytest.approx([0.3, 0.6, 0.5, 0.44])


def test_selection_does_not_mind_the_order() -> None:
    population = Population(np.random.default_rng(0), 4, 2)
    own, trial = population.units[1].copy(), np.array([0.25, 0.75])
    population.select(1, trial, 0.5)
    population.select(1, own, 0.7)
    population.select(1, own, None)
    assert population.losses[1] == 0.5
    assert (population.units[1] == trial).all()
    population.select(1, own, 0.5)
    assert (population.units[1] == own).all()


def test_differential_evolution_wants_three_others(make_harness: Make) -> None:
    adapter = create_method("differential_evolution", {"population_size": 3})
    with pytest.raises(InputError, match="expected 4 at least"):
        adapter.setup(Bowl(plain_space(2)).info, budget=HPOBudget(evaluations=9), context=make_harness().context)


# successive halving


def test_rung_sizes_are_those_of_the_paper() -> None:
    # Li et al. 2018, table 1: R = 81, eta = 3
    table = {4: (81, 27, 9, 3, 1), 3: (34, 11, 3, 1), 2: (15, 5, 1), 1: (8, 2), 0: (5,)}
    assert {s: rung_sizes(4, s, 3) for s in range(5)} == table
    # algorithm 1 for R = 27
    assert {s: rung_sizes(3, s, 3) for s in range(4)} == {3: (27, 9, 3, 1), 2: (12, 4, 1), 1: (6, 2), 0: (4,)}


def test_the_ladder_takes_the_nearest_fidelities() -> None:
    assert ladder(THIRDS, 3) == THIRDS
    epochs = tuple(i / 52 for i in range(1, 53))
    assert ladder(epochs, 3) == (2 / 52, 6 / 52, 17 / 52, 1.0)
    assert ladder((0.1, 0.5, 1.0), 10) == (0.1, 1.0)
    assert ladder((0.4, 1.0), 3) == (1.0,)


@pytest.mark.parametrize("name", CHEAP)
def test_nothing_to_halve_is_declined(name: str) -> None:
    adapter = create_method(name, {})
    assert "only its full fidelity" in (adapter.supports(ProblemInfo(name="one", space=plain_space())) or "")
    info = ProblemInfo(name="two", space=plain_space(), fidelities=(0.5, 1.0))
    assert "0.5" in (adapter.supports(info) or "")
    assert create_method(name, {"eta": 2}).supports(info) is None
    with pytest.raises(InputError, match="expected 2 at least"):
        wrong = create_method(name, {"eta": 1})
        wrong.setup(Bowl(plain_space()).info, budget=HPOBudget(evaluations=4), context=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["hyperband", "bohb", "dehb"])
def test_hyperband_runs_its_brackets_in_order(make_harness: Make, name: str) -> None:
    problem = Bowl(plain_space(2))
    # four evaluations for the first bracket, 10/3 + 1 for the others of two rungs and more, and four at full fidelity
    spend(name, problem, make_harness(), evaluations=4 + (12 / 9 + 4 / 3 + 1) + (6 / 3 + 2) + 4)
    runs: list[list[float]] = []
    for _, fidelity in problem.seen:
        if not runs or runs[-1][0] != fidelity:
            runs.append([fidelity, 0])
        runs[-1][1] += 1
    a, b, c, d = THIRDS
    # the second bracket's rung of one is followed by none at the same fidelity; the last of the third by the fourth
    assert runs == [[a, 27], [b, 9], [c, 3], [d, 1], [b, 12], [c, 4], [d, 1], [c, 6], [d, 2 + 4]]


def test_successive_halving_promotes_the_best(make_harness: Make) -> None:
    adapter = start("successive_halving", Bowl(plain_space(2)), make_harness())
    losses = np.random.default_rng(0).permutation(27).astype(float)
    asked = [ask(adapter) for _ in range(27)]
    for i in reversed(range(27)):
        say(adapter, asked[i], losses[i] if losses[i] != 2 else None)
    promoted = [ask(adapter) for _ in range(9)]
    assert {s.fidelity for s in promoted} == {1 / 9}
    best = [asked[i].config for i in np.argsort(losses) if losses[i] != 2][:9]
    assert [s.config for s in promoted] == best
    # the rung is not over: a further worker begins the next run
    assert ask(adapter).fidelity == 1 / 27


def test_a_rung_shrinks_where_too_few_ended_well() -> None:
    space = plain_space(1)
    configs = space.sample_configuration(9)
    bracket = Bracket(0, (9, 3, 1), (1 / 9, 1 / 3, 1.0))
    for i, config in enumerate(configs):
        assert bracket.take() == i
        bracket.report(i, config, 0.5 if i in (4, 7) else None)
    assert not bracket.is_done
    # equal losses go by their places
    assert bracket.promoted == [configs[4], configs[7]]
    for place in (0, 1):
        bracket.take()
        bracket.report(place, bracket.promoted[place], None)
    assert bracket.is_done


def test_asha_promotes_as_in_algorithm_2(make_harness: Make) -> None:
    problem = Bowl(plain_space(2), fidelities=(1 / 9, 1 / 3, 1.0))
    adapter = start("asha", problem, make_harness())

    def new(loss: float | None) -> Suggestion:
        suggestion = ask(adapter)
        assert suggestion.fidelity == 1 / 9
        say(adapter, suggestion, loss)
        return suggestion

    a, b, c = new(0.5), new(0.2), new(0.9)
    first = ask(adapter)
    # one in three: b, which pends while others begin
    assert (first.config, first.fidelity) == (b.config, 1 / 3)
    d = new(0.1)
    # of four the best one is d now, which was not promoted
    second = ask(adapter)
    assert (second.config, second.fidelity) == (d.config, 1 / 3)
    e, f = new(None), new(0.95)
    # of six the two best, d and b, were promoted
    g, h, i = new(0.6), new(0.7), new(0.8)
    third = ask(adapter)
    # of nine the three best: d, b, a
    assert (third.config, third.fidelity) == (a.config, 1 / 3)
    say(adapter, third, 0.3)
    say(adapter, first, 0.25)
    # two ended on the second rung: none is among the top third yet
    late = [ask(adapter) for _ in range(3)]
    assert {s.fidelity for s in late} == {1 / 9}
    for suggestion in late:
        say(adapter, suggestion, 0.99)
    say(adapter, second, 0.4)
    # b can go up from the second rung, and g, the fourth of twelve, from the first: higher rungs come first
    top, next_best = ask(adapter), ask(adapter)
    assert (top.config, top.fidelity) == (b.config, 1.0)
    assert (next_best.config, next_best.fidelity) == (g.config, 1 / 3)
    assert ask(adapter).fidelity == 1 / 9
    assert len({id(s.config) for s in (a, b, c, d, e, f, g, h, i)}) == 9


def test_asha_never_promotes_a_failure(make_harness: Make) -> None:
    adapter = start("asha", Bowl(plain_space(2)), make_harness())
    for _ in range(9):
        suggestion = ask(adapter)
        assert suggestion.fidelity == 1 / 27
        say(adapter, suggestion, None)


# models


def test_density_is_one_and_draws_as_it_says() -> None:
    rng = np.random.default_rng(0)
    points = np.column_stack([0.45 + 0.1 * rng.random(40), (rng.integers(2, size=40) + 0.5) / 4])
    density = Density(points, np.array([0, 4]))
    cells = np.array([[(i + 0.5) / 400, (k + 0.5) / 4] for i in range(400) for k in range(4)])
    assert np.exp(density.log_density(cells)).sum() / 400 == pytest.approx(1.0, abs=1e-6)
    drawn = density.sample(rng, 4000, 1.0)
    mass = np.exp(density.log_density(cells)).reshape(400, 4).sum(0) / 400
    counts = [(drawn[:, 1] == (k + 0.5) / 4).mean() for k in range(4)]
    assert counts == pytest.approx(mass, abs=0.03)
    assert drawn[:, 0].std() == pytest.approx(math.hypot(points[:, 0].std(), density._widths[0]), rel=0.1)


def test_bohb_samples_where_the_good_ones_are(make_harness: Make) -> None:
    adapter: Any = create_method("bohb", {"random_share": 0.0})
    adapter.setup(Bowl(plain_space(2)).info, budget=HPOBudget(evaluations=99), context=make_harness().context)
    asked = [ask(adapter) for _ in range(27)]
    for suggestion in asked:
        x = suggestion.config["x1"]
        say(adapter, suggestion, (x - 0.8) ** 2)
    drawn = np.array([adapter.new_configuration()["x1"] for _ in range(50)])
    assert np.abs(drawn - 0.8).mean() < 0.15
    uniform = np.array([s.config["x1"] for s in asked])
    assert np.abs(uniform - 0.8).mean() > 0.25


def test_dehb_has_populations_as_large_as_the_largest_rungs(make_harness: Make) -> None:
    adapter: Any = start("dehb", Bowl(plain_space(2)), make_harness())
    assert [len(p.units) for p in adapter._populations.values()] == [27, 12, 6, 4]


def test_dehb_promotes_first_and_evolves_later(make_harness: Make) -> None:
    problem = Bowl(plain_space(3), error=0.0)
    spend("dehb", problem, make_harness(), evaluations=4 + (12 / 9 + 4 / 3 + 1) + (6 / 3 + 2) + 4 + 4)
    configs = [key for key, _ in problem.keys]
    first, second = configs[:40], configs[40 + 17 + 8 + 4 :]
    assert len(set(first)) == 27
    # the rungs of the second and of the third bracket above their lowest
    assert set(configs[52:57]) <= set(configs[:52])
    assert set(configs[63:65]) <= set(configs[:63])
    assert len(second) == len(set(second)) == 40


# what they are for


def best_losses(name: str, make_harness: Make, n_seeds: int) -> Any:
    """Return the best loss at full fidelity of each seed, for 24 evaluations."""
    found = []
    for seed in range(n_seeds):
        problem = Bowl(plain_space(4), error=0.03)
        found.append(spend(name, problem, make_harness(seed), evaluations=24).steps[-1].loss)
    return np.array(found)


def test_small_fidelities_beat_random_search_at_equal_cost(make_harness: Make) -> None:
    random = best_losses("random_search", make_harness, 20)
    for name in CHEAP:
        found = best_losses(name, make_harness, 20)
        # by chance alone in 2 % of cases
        assert (found < random).sum() >= 15, name
        assert np.median(found) < np.median(random), name


def test_evolution_beats_random_search(make_harness: Make) -> None:
    def best(name: str) -> float:
        bowls = [Bowl(plain_space(4), fidelities=(1.0,)) for _ in range(5)]
        return float(
            np.median([spend(name, b, make_harness(s), evaluations=150).steps[-1].loss for s, b in enumerate(bowls)])
        )

    random = best("random_search")
    assert best("regularised_evolution") < 0.7 * random
    assert best("differential_evolution") < 0.7 * random
