"""Reinforcement learning for hyper-parameters: updates by hand, legal configurations, and that it learns."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ConfigSpace import (
    AndConjunction,
    Categorical,
    Configuration,
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
from scipy import stats

from benchbench.contracts.context import Context
from benchbench.contracts.hpo import Evaluation, HPOAdapter, HPOBudget, Observation, Problem, ProblemInfo, Suggestion
from benchbench.execution.harness import TrialHarness
from benchbench.methods.hpo._controller import Controller
from benchbench.methods.hpo._discrete import INACTIVE, Grid, Ranks
from benchbench.methods.hpo.ppo_controller import PPOController, clipped_objective
from benchbench.methods.hpo.q_learning import QLearning, QTable
from benchbench.methods.hpo.random_search import RandomSearch
from benchbench.methods.hpo.reinforce import Reinforce, reinforce_loss
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.hpo import optimise

METHODS = (QLearning, Reinforce, PPOController)
MakeContext = Callable[..., Context]
MakeHarness = Callable[..., TrialHarness]


def numbers() -> ConfigurationSpace:
    return ConfigurationSpace({"x": (0.0, 1.0), "y": (-5.0, 5.0)})


def conditional() -> ConfigurationSpace:
    """Every kind of parameter, chained and joint conditions, a forbidden pair."""
    space = ConfigurationSpace()
    kind = Categorical("kind", ["tree", "net", "none"])
    rate = Float("rate", (1e-5, 1.0), log=True)
    depth, layers, width = Integer("depth", (1, 4)), Integer("layers", (1, 3)), Integer("width", (8, 512), log=True)
    size = OrdinalHyperparameter("size", ["s", "m", "l"])
    extra = Categorical("extra", ["yes", "no"])
    space.add(kind, rate, depth, layers, width, size, extra, Constant("fixed", 3))
    space.add(EqualsCondition(depth, kind, "tree"), EqualsCondition(layers, kind, "net"))
    space.add(GreaterThanCondition(width, layers, 1))
    space.add(AndConjunction(EqualsCondition(extra, kind, "net"), EqualsCondition(extra, size, "l")))
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "none"), ForbiddenEqualsClause(size, "s")))
    return space


class Additive(Problem):
    """Eight categories of five: the loss is a sum of a value for each, the least possible is 0."""

    def __init__(self, seed: int) -> None:
        self._values = np.random.default_rng(seed).random((8, 5))
        self._values -= self._values.min(1, keepdims=True)
        space = ConfigurationSpace({f"c{i}": Categorical(f"c{i}", list("abcde")) for i in range(8)})
        self.info = ProblemInfo(name="additive", space=space)

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        return Evaluation(float(self._values[np.arange(8), config.get_array().astype(int)].sum()), 1.0)


class Called(Problem):
    """A function of the configuration; None is a failure. Evaluations take different times."""

    def __init__(self, space: ConfigurationSpace, loss: Callable[[Configuration], float | None], workers: int = 1):
        self.info, self._loss, self.workers = ProblemInfo(name="called", space=space), loss, workers
        self.seen: list[Configuration] = []

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        config.check_valid_configuration()
        self.seen.append(config)
        return Evaluation(self._loss(config), 1.0 + float(rng.random()))


@pytest.fixture
def solve(make_harness: MakeHarness) -> Callable[..., float]:
    def run(adapter: HPOAdapter, problem: Problem, evaluations: int, seed: int = 0) -> float:
        budget, harness = HPOBudget(evaluations=evaluations, workers=problem.workers), make_harness(seed)
        adapter.setup(problem.info, budget=budget, context=harness.context)
        found = optimise(adapter, problem, budget, harness, PhaseClock())
        assert found.n_evaluations == evaluations
        return found.steps[-1].true_loss if found.steps else math.inf

    return run


# levels and ranks


def test_levels_of_numbers_are_on_their_own_scale() -> None:
    space = ConfigurationSpace()
    space.add(Float("f", (1e-4, 1.0), log=True), Integer("many", (0, 99)), Integer("few", (2, 4)), Constant("k", "v"))
    grid = Grid(space, 4, np.random.default_rng(0))
    assert dict(zip(space, grid.n_levels, strict=True)) == {"f": 4, "many": 4, "few": 3, "k": 1}
    place = {name: i for i, name in enumerate(space)}
    for level in range(4):
        drawn = [space["f"].to_value(grid.coordinate(place["f"], level)) for _ in range(50)]
        assert 10.0 ** (level - 4) <= min(drawn) < max(drawn) <= 10.0 ** (level - 3)
        assert len(set(drawn)) == 50
        whole = [space["many"].to_value(grid.coordinate(place["many"], level)) for _ in range(50)]
        assert 25 * level - 1 <= min(whole) <= max(whole) <= 25 * level + 25
    assert [space["few"].to_value(grid.coordinate(place["few"], k)) for k in range(3)] == [2, 3, 4]
    for i, n in enumerate(grid.n_levels):
        if space.at[i] != "many":
            assert [grid.level(i, grid.coordinate(i, k)) for k in range(n)] == list(range(n))
    assert grid.level(0, math.nan) == INACTIVE


def test_ranks_by_hand() -> None:
    ranks = Ranks()
    assert (ranks.share(3.0), ranks.share(None)) == (0.5, 1.0)
    for loss in (4.0, 1.0, None, 2.0, 2.0):
        ranks.add(loss)
    # among 1, 2, 2, 4: equal ones count half
    assert [ranks.share(v) for v in (0.0, 1.0, 2.0, 3.0, 4.0, 9.0)] == [0.0, 0.125, 0.5, 0.75, 0.875, 1.0]


# Q-learning


def test_q_updates_by_hand() -> None:
    """Watkins & Dayan 1992, equation (1); two categories of 2 and 3, alpha 0.5, gamma 0.8."""
    table = QTable([2, 3], [False, False])

    def move(before: list[int], parameter: int, level: int, reward: float) -> float:
        after = list(before)
        after[parameter] = level
        entry = (parameter, before[parameter], level)
        table.update(entry, reward, table.best(np.array(after)), alpha=0.5, gamma=0.8)
        return float(table.values[entry])

    assert move([0, 0], 0, 1, 1.0) == pytest.approx(0.5)  # 0 + 0.5 (1 + 0.8 * 0 - 0)
    assert move([1, 0], 1, 2, -0.4) == pytest.approx(-0.2)  # what follows is all 0
    assert move([1, 2], 0, 0, 0.2) == pytest.approx(0.1 + 0.4 * 0.5)  # from (0, 2), moving the first is worth 0.5
    assert move([0, 0], 0, 1, 1.0) == pytest.approx(0.5 + 0.5 * (1 + 0.8 * 0.3 - 0.5))  # back is worth 0.3 now
    assert move([0, 1], 1, 0, 0.0) == pytest.approx(0.4 * 0.87)  # another configuration: the same entry serves
    assert table.values[0, 0, 1] == pytest.approx(0.87)
    assert np.isneginf(table.values[0, :, 2]).all()  # the first has no third level
    assert np.isneginf(table.values[1].diagonal()).all()


def test_q_of_inactive_parameters_is_never_chosen() -> None:
    table = QTable([2, 3], [True, False])
    table.values[1, 2, 0] = 9.0
    assert table.best(np.array([0, 2])) == 9.0
    assert table.best(np.array([0, INACTIVE])) == 0.0
    assert np.isneginf(table.of(np.array([0, INACTIVE]))[1]).all()
    assert QTable([1], [False]).best(np.array([0])) == 0.0


def test_q_learning_learns_what_it_is_told(make_context: MakeContext) -> None:
    """One parameter with three choices: the updates of two moves, from the ranks of two losses and of a failure."""
    problem = ProblemInfo(name="coin", space=ConfigurationSpace({"c": ["a", "b", "c"]}))
    adapter = QLearning(alpha=0.5, gamma=0.8, epsilon=0.0, epsilon_end=0.0, starts=1)
    adapter.setup(problem, budget=HPOBudget(evaluations=9), context=make_context())
    first = adapter.ask()
    adapter.tell(Observation(first, 2.0, 1.0))
    second = adapter.ask()
    assert second.config["c"] != first.config["c"]
    adapter.tell(Observation(second, 1.0, 1.0))
    # shares of smaller losses: 3/4 for the first, 1/4 for the second
    assert adapter._table.values[second.tag.entry] == pytest.approx(0.5 * (0.75 - 0.25))
    third = adapter.ask()
    assert third.config["c"] not in {first.config["c"], second.config["c"]}
    adapter.tell(Observation(third, None, 1.0, "no"))
    # the start still has 1/4 behind it, a failure has 1, and nothing comes after it
    assert adapter._table.values[third.tag.entry] == pytest.approx(0.5 * (0.25 - 1.0))


def test_pending_moves_are_not_asked_for_again(make_context: MakeContext) -> None:
    problem = ProblemInfo(name="coins", space=ConfigurationSpace({"c": list("abcdef")}))
    adapter = QLearning(starts=1)
    adapter.setup(problem, budget=HPOBudget(evaluations=9, workers=5), context=make_context())
    first = adapter.ask()
    adapter.tell(Observation(first, 0.0, 1.0))
    asked = [adapter.ask().config["c"] for _ in range(5)]
    assert {*asked, first.config["c"]} == set("abcdef")


# the controller


def small_controller(n_levels: list[int], scale: float = 8.0) -> Controller:
    generator = torch.Generator().manual_seed(0)
    made = Controller(n_levels, units=4, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        for weights in made.parameters:
            weights.mul_(scale)
    return made


def test_all_steps_at_once_equal_steps_one_by_one() -> None:
    """An inactive parameter takes no step and has neither probability nor entropy."""
    controller = small_controller([3, 2, 4, 1])
    levels = torch.tensor([[0, 1, 3, 0], [2, INACTIVE, 1, 0], [INACTIVE, INACTIVE, 2, INACTIVE]])
    log_probs, entropies = controller.evaluate(levels)
    for episode in range(3):
        rows, hidden, cell = controller.start(1)
        for i, level in enumerate(levels[episode].tolist()):
            if level == INACTIVE:
                assert log_probs[episode, i].item() == entropies[episode, i].item() == 0
                continue
            hidden, cell = controller.step(rows, hidden, cell)
            expected = controller.log_softmax(i, hidden)[0]
            torch.testing.assert_close(log_probs[episode, i], expected[level])
            torch.testing.assert_close(entropies[episode, i], -(expected.exp() * expected).sum())
            rows = torch.tensor([1 + controller.offsets[i] + level])


def test_entropy_by_hand() -> None:
    controller = small_controller([2, 4], scale=0.0)
    _, entropies = controller.evaluate(torch.tensor([[0, 3]]))
    assert entropies[0].tolist() == pytest.approx([math.log(2), math.log(4)])
    with torch.no_grad():
        controller.head_bias[:2] = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)
    log_probs, entropies = controller.evaluate(torch.tensor([[0, 3]]))
    assert log_probs[0].tolist() == pytest.approx([math.log(3 / 4), math.log(1 / 4)])
    assert entropies[0, 0].item() == pytest.approx(-(3 / 4 * math.log(3 / 4) + 1 / 4 * math.log(1 / 4)))


def test_reinforce_gradient_by_hand() -> None:
    """One parameter, two choices: the gradient of log softmax is one-hot minus probabilities, times the advantage."""
    controller = small_controller([2], scale=0.0)
    with torch.no_grad():
        controller.head_bias[:] = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)  # probabilities 3/4, 1/4
    log_probs, _ = controller.evaluate(torch.tensor([[0], [1], [0]]))
    reinforce_loss(log_probs, torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)).backward()
    expected = np.mean([[0.25 * 1.0, -0.25 * 1.0], [-0.75 * -0.5, 0.75 * -0.5], [0.25 * 2.0, -0.25 * 2.0]], axis=0)
    assert controller.head_bias.grad is not None
    assert (-controller.head_bias.grad).tolist() == pytest.approx(expected.tolist(), rel=1e-12)


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_reinforce_climbs_the_expected_reward(baseline: float) -> None:
    """Over all configurations of a small conditional space, weighted as likely as they are, against finite differences."""
    controller = small_controller([2, 3, 2])
    # the second parameter is active if the first is at level 1
    every = [[0, INACTIVE, c] for c in range(2)] + [[1, b, c] for b, c in itertools.product(range(3), range(2))]
    levels, rewards = torch.tensor(every), torch.linspace(-1, 2, len(every), dtype=torch.float64).sin()

    def expected() -> torch.Tensor:
        return (controller.evaluate(levels)[0].sum(1).exp() * rewards).sum()

    log_probs, _ = controller.evaluate(levels)
    likely = log_probs.detach().sum(1).exp()
    assert likely.sum().item() == pytest.approx(1.0)
    # the mean over draws is the sum over configurations times their probabilities
    reinforce_loss(log_probs, len(every) * likely * (rewards - baseline)).backward()
    for weights in controller.parameters:
        assert weights.grad is not None
        flat, gradient = weights.detach().view(-1), -weights.grad.view(-1)
        for k in range(0, len(flat), 5):
            kept, h = flat[k].item(), 1e-5
            values = []
            for moved in (kept + h, kept - h):
                flat[k] = moved
                values.append(expected().item())
            flat[k] = kept
            assert gradient[k].item() == pytest.approx((values[0] - values[1]) / (2 * h), abs=1e-8)


def test_clipped_objective_by_hand() -> None:
    """Schulman 2017, equation (7), e = 0.2: ratios 1.5 and 0.5, each with advantage 2 and -2, and an inactive choice."""
    new = torch.tensor([[1.5, 0.5], [1.5, 0.5], [1.1, 1.0]], dtype=torch.float64).log().requires_grad_()
    old, active = torch.zeros(3, 2, dtype=torch.float64), torch.tensor([[True, True], [True, True], [True, False]])
    found = clipped_objective(new, old, torch.tensor([2.0, -2.0, 3.0], dtype=torch.float64), active, 0.2)
    # 1.5 is cut to 1.2 where more would gain; 0.5 is raised to 0.8 where less would gain; what loses is never cut
    parts = [1.2 * 2, 0.5 * 2, 1.5 * -2, 0.8 * -2, 1.1 * 3]
    assert found.item() == pytest.approx(sum(parts) / 5)
    found.backward()
    assert new.grad is not None
    # the clipped branch has no gradient; elsewhere it is ratio times advantage
    assert new.grad.flatten().tolist() == pytest.approx([0, 1 / 5, -3 / 5, 0, 3.3 / 5, 0])


def test_first_epoch_of_ppo_is_reinforce_a_choice() -> None:
    """At ratio 1 the objective's gradient is that of the log-probabilities times the advantage."""
    new = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    advantages = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    active = torch.ones(4, 3, dtype=torch.bool)
    (gradient,) = torch.autograd.grad(clipped_objective(new, new.detach(), advantages, active, 0.2), new)
    (expected,) = torch.autograd.grad(-reinforce_loss(new, advantages) / 3, new)
    torch.testing.assert_close(gradient, expected)


# all methods


@pytest.mark.parametrize("method", METHODS)
def test_parameters_are_plain_and_kept(method: type[Any]) -> None:
    names = method.__init__.__kwdefaults__
    assert {k: getattr(method(), k) for k in names} == names == json.loads(json.dumps(names))
    assert method.card.name in method.__module__


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", [numbers, conditional])
def test_same_seed_same_suggestions(
    method: type[HPOAdapter], space: Callable[[], ConfigurationSpace], solve: Callable[..., float]
) -> None:
    seen = []
    for seed in (0, 0, 1):
        problem = Called(space(), lambda c: float(np.nansum(c.get_array())), workers=3)
        solve(method(), problem, 30, seed)
        seen.append([dict(c) for c in problem.seen])
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("workers", [1, 4])
def test_conditional_space(method: type[HPOAdapter], workers: int, solve: Callable[..., float]) -> None:
    """`Called` checks every configuration; failures are told out of order as well."""
    fails = itertools.cycle([False, True, False, False])

    def loss(config: Configuration) -> float | None:
        return None if next(fails) else float({"tree": 1, "net": 0, "none": 2}[config["kind"]] + config["rate"])

    problem = Called(conditional(), loss, workers)
    assert solve(method(), problem, 80) < 1.0
    assert {c["kind"] for c in problem.seen} == {"tree", "net", "none"}
    assert len({tuple(np.isnan(c.get_array())) for c in problem.seen}) > 3


@pytest.mark.parametrize("method", METHODS)
def test_failures_from_the_start(method: type[HPOAdapter], solve: Callable[..., float]) -> None:
    count = itertools.count()
    problem = Called(numbers(), lambda c: None if next(count) < 15 else c["x"])
    assert solve(method(), problem, 60) < 0.5
    assert solve(method(), Called(numbers(), lambda c: None), 40) == math.inf


@pytest.mark.parametrize("method", METHODS)
def test_tells_in_any_order(method: type[HPOAdapter], make_context: MakeContext) -> None:
    problem = ProblemInfo(name="numbers", space=numbers())
    adapter = method()
    adapter.setup(problem, budget=HPOBudget(evaluations=60, workers=10), context=make_context())
    rng, pending = np.random.default_rng(0), list[Suggestion]()
    for _ in range(60):
        while len(pending) < 10:
            suggestion = adapter.ask()
            assert suggestion is not None
            pending.append(suggestion)
        suggestion = pending.pop(int(rng.integers(10)))
        adapter.tell(Observation(suggestion, None if rng.random() < 0.2 else suggestion.config["x"], 1.0))


@pytest.mark.parametrize("method", METHODS)
def test_a_space_smaller_than_the_budget(method: type[HPOAdapter], solve: Callable[..., float]) -> None:
    """Also one of constants alone: there is nothing to move, and suggestions go on."""
    problem = Called(ConfigurationSpace({"a": ["u", "v"], "b": (1, 2)}), lambda c: float(c["b"]))
    assert solve(method(), problem, 40) == 1.0
    assert solve(method(), Called(ConfigurationSpace({"k": Constant("k", 1)}), lambda c: 1.0), 12) == 1.0


@pytest.mark.parametrize(
    ("method", "evaluations", "n_seeds"),
    [
        (QLearning, 60, 20),
        (Reinforce, 200, 10),
        pytest.param(PPOController, 200, 10, marks=pytest.mark.slow),
    ],
)
def test_better_than_random_where_it_should_be(
    method: type[HPOAdapter], evaluations: int, n_seeds: int, solve: Callable[..., float]
) -> None:
    """A sum over eight categories: 95 % interval of the paired difference in loss; every seed has values of its own."""
    seeds = range(n_seeds)
    drawn = [solve(RandomSearch(), Additive(s), evaluations, s) for s in seeds]
    learnt = [solve(method(), Additive(s), evaluations, s) for s in seeds]
    difference = np.subtract(learnt, drawn)
    half = stats.t.ppf(0.975, n_seeds - 1) * difference.std(ddof=1) / math.sqrt(n_seeds)
    assert difference.mean() + half < 0
