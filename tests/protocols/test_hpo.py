"""The loop around optimisers: budgets, the clock, workers, failures, incumbents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    Categorical,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    Integer,
)

from benchbench.contracts.hpo import Evaluation, HPOAdapter, HPOBudget, Observation, Problem, ProblemInfo, Suggestion
from benchbench.contracts.hpo_spaces import SpaceRules
from benchbench.errors import ProtocolViolation
from benchbench.execution.harness import TrialHarness
from benchbench.execution.supervisor import execute
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.hpo import Optimised, optimise

Answer = Callable[[int, float], Evaluation]
SPACE = ConfigurationSpace(space=[Float("x", (0.0, 1.0))])


class Scripted(Problem):
    """Answers the n-th evaluation by a function of n and the fidelity."""

    def __init__(self, answer: Answer, fidelities: tuple[float, ...] = (1.0,)) -> None:
        self.info = ProblemInfo(name="scripted", space=SPACE, fidelities=fidelities)
        self.answer, self.n = answer, 0
        self.noise: list[float] = []

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        self.n += 1
        self.noise.append(float(rng.random()))
        return self.answer(self.n - 1, fidelity)


class Script(HPOAdapter):
    """Asks for the fidelities it is given, in turn (None: waits), and remembers what it is told."""

    def __init__(self, fidelities: list[float | None]) -> None:
        self.fidelities = fidelities
        self.told: list[Observation] = []
        self.asked = 0

    def ask(self) -> Suggestion | None:
        if self.asked == len(self.fidelities):
            return None
        fidelity = self.fidelities[self.asked]
        if fidelity is None:
            if len(self.told) < sum(f is not None for f in self.fidelities[: self.asked]):
                return None
            self.asked += 1
            return self.ask()
        self.asked += 1
        return Suggestion(SPACE.get_default_configuration(), fidelity, tag=self.asked - 1)

    def tell(self, observation: Observation) -> None:
        self.told.append(observation)


def spend(
    problem: Scripted, script: Script, make_harness: Any, points: list[Any] | None = None, **budget: Any
) -> Optimised:
    harness: TrialHarness = make_harness()
    with harness.recorded() as reported:
        found = optimise(script, problem, HPOBudget(**budget), harness, PhaseClock())
    if points is not None:
        points += reported
    return found


def test_incumbents_and_their_curve(make_harness: Any) -> None:
    losses = [3.0, 5.0, 2.0, 2.0, 1.0]
    points: list[Any] = []
    found = spend(
        Scripted(lambda n, z: Evaluation(losses[n], 0.5)), Script([1.0] * 9), make_harness, points, evaluations=5
    )
    assert [(s.n_evaluations, s.seconds, s.true_loss) for s in found.steps] == [
        (1, 0.5, 3.0),
        (3, 1.5, 2.0),
        (5, 2.5, 1.0),
    ]
    assert [p for p in points if p[2] == "incumbent_loss"] == [
        (1, 0.5, "incumbent_loss", 3.0),
        (3, 1.5, "incumbent_loss", 2.0),
        (5, 2.5, "incumbent_loss", 1.0),
    ]
    assert (found.n_evaluations, found.spent, found.seconds) == (5, 5.0, 2.5)


def test_failures_are_told_as_such_and_are_no_incumbents(make_harness: Any) -> None:
    def answer(n: int, z: float) -> Evaluation:
        if n == 0:
            raise ValueError("singular")
        return Evaluation([math.nan, math.inf, None, 4.0][n - 1], 1.0, reason="")

    script = Script([1.0] * 5)
    found = spend(Scripted(answer), script, make_harness, evaluations=5)
    assert [o.loss for o in script.told] == [None, None, None, None, 4.0]
    assert [o.failed for o in script.told] == [True] * 4 + [False]
    assert script.told[0].reason == "ValueError: singular"
    assert "nan" in script.told[1].reason
    assert found.n_failed == 4
    assert [s.true_loss for s in found.steps] == [4.0]


def test_workers_are_told_in_the_order_in_which_evaluations_end(make_harness: Any) -> None:
    seconds = [5.0, 1.0, 3.0, 1.0]
    script = Script([1.0] * 4)
    found = spend(
        Scripted(lambda n, z: Evaluation(float(n), seconds[n])), script, make_harness, evaluations=4, workers=2
    )
    # 0 ends at 5; 1 at 1, then 2 runs from 1 to 4, then 3 from 4 to 5, behind 0 which was asked for earlier
    assert [o.suggestion.tag for o in script.told] == [1, 2, 0, 3]
    assert found.seconds == 5.0


def test_an_optimiser_that_waits_is_asked_again_when_something_ended(make_harness: Any) -> None:
    script = Script([1.0, 1.0, None, 1.0])
    found = spend(Scripted(lambda n, z: Evaluation(0.0, 1.0 + n)), script, make_harness, evaluations=9, workers=3)
    assert [o.suggestion.tag for o in script.told] == [0, 1, 3]
    assert found.seconds == 2.0 + 3.0


def test_the_budget_counts_fidelities_and_is_never_exceeded(make_harness: Any) -> None:
    third = 1 / 3
    script = Script([third, third, third, 1.0, third, third, 1.0])
    found = spend(Scripted(lambda n, z: Evaluation(-z, z), (third, 1.0)), script, make_harness, evaluations=2.5)
    # the second full evaluation finds only 2.5 - 2 - 2/3 < 0 left: two thirds are asked for, of which one fits
    assert found.spent == pytest.approx(2 + third)
    assert found.spent <= 2.5
    assert [s.n_evaluations for s in found.steps] == [4]


def test_low_fidelities_are_no_incumbents(make_harness: Any) -> None:
    found = spend(
        Scripted(lambda n, z: Evaluation(-10.0 if z < 1 else 1.0, z), (0.5, 1.0)),
        Script([0.5, 1.0]),
        make_harness,
        evaluations=2,
    )
    assert [s.true_loss for s in found.steps] == [1.0]


def test_what_ends_after_the_problems_last_second_does_not_count(make_harness: Any) -> None:
    script = Script([1.0] * 9)
    found = spend(Scripted(lambda n, z: Evaluation(-float(n), 1.0)), script, make_harness, evaluations=9, seconds=3.5)
    assert found.n_evaluations == 3
    assert found.steps[-1].true_loss == -2.0


def test_noise_depends_on_the_seed_and_the_number_of_the_evaluation_alone(make_harness: Any) -> None:
    problems = [Scripted(lambda n, z: Evaluation(0.0, 1.0)) for _ in range(3)]
    for problem, workers in zip(problems, (1, 3, 1), strict=True):
        spend(problem, Script([1.0] * 4), make_harness, evaluations=4, workers=workers)
    assert problems[0].noise == problems[1].noise == problems[2].noise
    assert len(set(problems[0].noise)) == 4


def test_the_score_is_without_noise_and_the_incumbent_is_chosen_with_it(make_harness: Any) -> None:
    true, seen = [1.0, 0.0], [-5.0, 0.5]
    found = spend(
        Scripted(lambda n, z: Evaluation(seen[n], 1.0, true_loss=true[n])),
        Script([1.0] * 2),
        make_harness,
        evaluations=2,
    )
    assert [s.true_loss for s in found.steps] == [1.0]


@pytest.mark.parametrize(
    ("suggestion", "message"),
    [
        (0.5, "ask returned float"),
        (Suggestion(SPACE.get_default_configuration(), 0.5), "fidelity 0.5"),
        (Suggestion(ConfigurationSpace({"x": (0.0, 1.0)}).get_default_configuration()), "another space"),
    ],
)
def test_what_is_no_suggestion_of_this_problem_is_refused(suggestion: Any, message: str, make_harness: Any) -> None:
    script = Script([1.0])
    script.ask = lambda: suggestion  # type: ignore[method-assign]
    with pytest.raises(ProtocolViolation, match=message):
        spend(Scripted(lambda n, z: Evaluation(0.0, 1.0)), script, make_harness, evaluations=1)


@pytest.mark.usefixtures("zygotes")
def test_a_trial_in_its_child(make_request: Any) -> None:
    request = make_request("random_search", loader="synthetic", options={"function": "branin"}, iterations=6)
    first, second = execute(request), execute(request)
    assert first.outcome == "ok", first
    assert first.unit_scores == second.unit_scores
    assert first.metric == "neg_loss"
    assert first.unit == "seed"
    assert first.score < -0.397
    assert first.metrics["evaluations"] == 6
    assert first.metrics["problem_seconds"] == 6.0


@pytest.mark.usefixtures("zygotes")
def test_a_trial_without_an_incumbent_says_why(make_request: Any) -> None:
    options = {"function": "branin", "fidelity_levels": 3}
    found = execute(make_request("low_fidelity_only", loader="synthetic", options=options, iterations=6))
    assert found.outcome == "failed"
    assert "none of 54 evaluations gave a loss at full fidelity" in found.error_message


def _narrow() -> ConfigurationSpace:
    space = ConfigurationSpace()
    kind, x = Categorical("kind", ["a", "b", "c"]), Float("x", (0.0, 5.0))
    space.add(kind, x, Integer("k", (1, 64), log=True), Integer("n", (0, 4)), Constant("one", "v"))
    space.add(child := Float("y", (0.0, 1.0)))
    space.add(EqualsCondition(child, kind, "a"))
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kind, "c"), ForbiddenEqualsClause(space["n"], 0)))
    return space


NARROW = _narrow()
LEGAL = {"kind": 0.0, "x": 0.5, "k": 0.0, "n": 0.25, "one": 1.0, "y": 0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": 3.0}, "parameter 'x' is 3.0 in the space's own vector, expected 0 to 1"),
        ({"x": 1 + 1e-6}, "parameter 'x' is 1.000001"),
        ({"x": -0.001}, "parameter 'x'"),
        ({"x": math.inf}, "parameter 'x' is inf"),
        ({"x": math.nan}, "parameter 'x' has no value"),
        ({"k": 1.5}, "parameter 'k' is 1.5"),
        ({"k": 0.05}, "parameter 'k' is 0.05 .* between two of its values"),
        ({"n": 0.3}, "parameter 'n' is 0.3 .* between two of its values"),
        ({"kind": 3.0, "y": math.nan}, "parameter 'kind' is 3.0 .* expected 0 to 2"),
        ({"kind": 0.5, "y": math.nan}, "parameter 'kind' is 0.5 .* between two"),
        ({"kind": 1.0}, "parameter 'y' has a value and is inactive"),
        ({"y": math.nan}, "parameter 'y' is active and has no value"),
        ({"y": 1.25}, "parameter 'y' is 1.25"),
        ({"kind": 2.0, "n": 0.0, "y": math.nan}, "it is forbidden"),
        ({"one": 2.0}, "parameter 'one'"),
    ],
)
def test_a_configuration_outside_the_space_is_refused(
    changes: dict[str, float], message: str, make_harness: Any
) -> None:
    """ConfigSpace takes any vector, and its own check passes unconditional numbers of any size."""
    vector = np.array([(LEGAL | changes)[name] for name in NARROW])
    script = Script([1.0])
    script.ask = lambda: Suggestion(Configuration(NARROW, vector=vector))  # type: ignore[method-assign]
    problem = Scripted(lambda n, z: Evaluation(0.0, 1.0))
    problem.info = replace(problem.info, space=NARROW)
    with pytest.raises(ProtocolViolation, match=f"^a configuration outside the space was suggested: .*{message}"):
        spend(problem, script, make_harness, evaluations=1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"x": 1.0, "k": 1.0, "n": 0.0},
        # rounding: ConfigSpace keeps 13 decimals of a value, and puts it back
        {"x": 1 + 1e-12},
        {"x": -1e-12},
        {"kind": 1.0, "y": math.nan},
        {"k": math.log(63) / math.log(64)},
        # what SMAC's design gives constants
        {"one": 0.0},
    ],
)
def test_a_legal_configuration_is_none_of_these(changes: dict[str, float]) -> None:
    vector = np.array([(LEGAL | changes)[name] for name in NARROW])
    assert SpaceRules(NARROW).violation(Configuration(NARROW, vector=vector)) is None


def test_a_configuration_of_another_kind_is_refused(make_harness: Any) -> None:
    script = Script([1.0])
    script.ask = lambda: Suggestion({"x": 0.5})  # type: ignore[method-assign, arg-type]
    with pytest.raises(ProtocolViolation, match="dict was suggested as a configuration"):
        spend(Scripted(lambda n, z: Evaluation(0.0, 1.0)), script, make_harness, evaluations=1)
