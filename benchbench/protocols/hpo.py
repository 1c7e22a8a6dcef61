"""The protocol of hyper-parameter optimisation: evaluate suggestions on the problem's clock.

The problem sets the seconds of each evaluation: recorded ones for tables, drawn ones for synthetic
functions, measured ones for live problems. `workers` evaluations run at once, and the optimiser is
told of them in the order in which they end. The optimiser's own time is measured separately and
does not advance this clock, so that a trial repeats exactly.

The incumbent is the best configuration evaluated at full fidelity, by the losses that the optimiser
observed. The score is minus its true loss at the end of the budget; the curve has a point wherever
the incumbent changed.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchbench.contracts.hpo import Evaluation, HPOAdapter, HPOBudget, Observation, Problem, Suggestion
from benchbench.contracts.hpo_spaces import SpaceRules
from benchbench.errors import ProtocolViolation
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, checked_loader
from benchbench.registry import create_method
from benchbench.seeding import generator

if TYPE_CHECKING:
    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = [
    "CARDS_STATE_ITERATIONS",
    "CURVES_OF_INCUMBENTS",
    "EXTRA",
    "PACKAGES",
    "PRELOAD",
    "PROTOCOL_VERSION",
    "RECORDS_EVALUATIONS",
    "TIMED_PHASES",
    "UNUSED_BUDGET",
    "Step",
    "budget_iterations",
    "optimise",
    "run",
    "task_facts",
]

PROTOCOL_VERSION = "hpo/1"
TIMED_PHASES = ("suggest",)
UNUSED_BUDGET = ("test_units", "fit_seconds")
CARDS_STATE_ITERATIONS = False
CURVES_OF_INCUMBENTS = True
RECORDS_EVALUATIONS = True
# imports of many optimisers and tables: they take up to two seconds, a trial often a tenth
EXTRA = "hpo"
PACKAGES = ("ConfigSpace", "sklearn")
PRELOAD = ("numpy", "scipy.stats", "ConfigSpace", "optuna", "torch", "torch._dynamo", "pandas", "pyarrow.parquet")

# fidelities are shares like 1/27, whose sums are equal only up to rounding
TINY = 1e-9


def budget_iterations(cls: type[HPOAdapter], preset: str, task: str, loader: str, options: dict[str, Any]) -> int:
    """Return the evaluations of a preset where the suite does not set them: 100."""
    return cls.card.iterations.get(preset, 100)


def task_facts(task: str, loader: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return nothing: the options hold all facts."""
    return {}


def run(spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
    """Execute one trial in this process.

    Raises
    ------
    Declined
        If the method declines the problem.
    ClusterError
        If the problem here differs from the planned one.
    ProtocolViolation
        If a suggestion is invalid, or no evaluation at full fidelity succeeded.
    """
    with clock.phase("load"):
        problem: Problem = checked_loader(spec, fingerprint).load(spec.task, spec.options)
    with clock.phase("import"):
        adapter: HPOAdapter = create_method(spec.method, spec.params)
        reason = adapter.supports(problem.info)
    if reason is not None:
        raise Declined(reason)
    budget = HPOBudget(evaluations=spec.budget.iterations, seconds=problem.seconds, workers=problem.workers)
    with clock.phase("import"):
        adapter.setup(problem.info, budget=budget, context=harness.context)
    found = optimise(adapter, problem, budget, harness, clock)
    if not found.steps:
        raise ProtocolViolation(
            f"none of {found.n_evaluations} evaluations gave a loss at full fidelity ({found.n_failed} failed); "
            f"the last reason: {found.last_reason or 'none failed'}"
        )
    best = found.steps[-1]
    metrics = {
        "evaluations": float(found.n_evaluations),
        "failed_evaluations": float(found.n_failed),
        "spent_evaluations": found.spent,
        "problem_seconds": found.seconds,
        "overhead_ms": 1000 * clock.seconds.get("suggest", 0.0) / max(1, found.n_evaluations),
    }
    if best.test_loss is not None:
        metrics["test_loss"] = best.test_loss
    return ProtocolResult(metric="neg_loss", unit="seed", unit_scores=[-best.true_loss], metrics=metrics)


@dataclass(frozen=True, slots=True)
class Step:
    """A new incumbent.

    Parameters
    ----------
    n_evaluations : int
        Number of evaluations that had ended.
    spent : float
        Sum of their fidelities.
    seconds : float
        On the problem's clock.
    loss, true_loss, test_loss
        As in `Evaluation`.
    """

    n_evaluations: int
    spent: float
    seconds: float
    loss: float
    true_loss: float
    test_loss: float | None


@dataclass(slots=True)
class Optimised:
    """The result of an optimisation."""

    steps: list[Step]
    n_evaluations: int = 0
    n_failed: int = 0
    spent: float = 0.0
    seconds: float = 0.0
    last_reason: str = ""


def optimise(
    adapter: HPOAdapter, problem: Problem, budget: HPOBudget, harness: TrialHarness, clock: PhaseClock
) -> Optimised:
    """Let the optimiser spend the budget; report each new incumbent."""
    found = Optimised([])
    rules = SpaceRules(problem.info.space)
    pending: list[tuple[float, int, Suggestion, Evaluation]] = []
    asked, n_asked, suggest_seconds = 0.0, 0, 0.0
    try:
        while True:
            while len(pending) < budget.workers and asked < budget.evaluations - TINY:
                started = perf_counter()
                suggestion = adapter.ask()
                suggest_seconds += perf_counter() - started
                if suggestion is None:
                    break
                _check(suggestion, problem, rules)
                if asked + suggestion.fidelity > budget.evaluations + TINY:
                    # the first suggestion that exceeds the budget ends the optimisation
                    asked = budget.evaluations
                    break
                asked += suggestion.fidelity
                with clock.phase("evaluate"):
                    evaluation = _evaluate(problem, suggestion, harness.context.seed, n_asked)
                heapq.heappush(pending, (found.seconds + evaluation.seconds, n_asked, suggestion, evaluation))
                n_asked += 1
            if not pending or (budget.seconds is not None and pending[0][0] > budget.seconds):
                break
            found.seconds, number, suggestion, evaluation = heapq.heappop(pending)
            _end(found, suggestion, evaluation, harness)
            by_clock = found.seconds / budget.seconds if budget.seconds else 0.0
            harness.progress(max(found.spent / budget.evaluations, by_clock), 1.0)
            if adapter.records_evaluations:
                _record(number, suggestion, evaluation, harness)
            started = perf_counter()
            adapter.tell(Observation(suggestion, evaluation.loss, evaluation.seconds, evaluation.reason))
            suggest_seconds += perf_counter() - started
    finally:
        clock.seconds["suggest"] = clock.seconds.get("suggest", 0.0) + suggest_seconds
    return found


def _check(suggestion: Suggestion, problem: Problem, rules: SpaceRules) -> None:
    from ConfigSpace import Configuration

    if not isinstance(suggestion, Suggestion):
        raise ProtocolViolation(f"ask returned {type(suggestion).__name__}, expected a Suggestion or None")
    if suggestion.fidelity not in problem.info.fidelities:
        raise ProtocolViolation(
            f"fidelity {suggestion.fidelity!r} was suggested;"
            f" this problem has {', '.join(map(str, problem.info.fidelities))}"
        )
    config = suggestion.config
    if not isinstance(config, Configuration):
        raise ProtocolViolation(
            f"{type(config).__name__} was suggested as a configuration; create a ConfigSpace Configuration in the problem's space"
        )
    if config.config_space is not problem.info.space:
        raise ProtocolViolation("a configuration of another space was suggested; create it in the problem's space")
    violation = rules.violation(config)
    if violation is not None:
        raise ProtocolViolation(f"a configuration outside the space was suggested: {violation}")


def _evaluate(problem: Problem, suggestion: Suggestion, seed: int, number: int) -> Evaluation:
    """Evaluate; an exception or a loss that is not finite is a failed evaluation."""
    started = perf_counter()
    try:
        found = problem.evaluate(suggestion.config, suggestion.fidelity, generator(seed, "evaluation", number))
    # whatever a problem raises is a failed observation with its reason
    except Exception as error:
        return Evaluation(None, perf_counter() - started, reason=f"{type(error).__name__}: {error}")
    if found.loss is not None and not math.isfinite(found.loss):
        return Evaluation(None, found.seconds, reason=found.reason or f"the loss is {found.loss}")
    return found


def _end(found: Optimised, suggestion: Suggestion, evaluation: Evaluation, harness: TrialHarness) -> None:
    found.n_evaluations += 1
    found.spent += suggestion.fidelity
    if evaluation.loss is None:
        found.n_failed += 1
        found.last_reason = evaluation.reason
        return
    if suggestion.fidelity < 1.0 or (found.steps and evaluation.loss >= found.steps[-1].loss):
        return
    true_loss = evaluation.loss if evaluation.true_loss is None else evaluation.true_loss
    step = Step(found.n_evaluations, found.spent, found.seconds, evaluation.loss, true_loss, evaluation.test_loss)
    found.steps.append(step)
    points = [("incumbent_loss", true_loss), ("spent_evaluations", found.spent)]
    harness.replay((step.n_evaluations, found.seconds, name, value) for name, value in points)


def _record(number: int, suggestion: Suggestion, evaluation: Evaluation, harness: TrialHarness) -> None:
    """Report an evaluation as points of one step: configuration and result, if it has one."""
    found = {"fidelity": suggestion.fidelity, "evaluation_seconds": evaluation.seconds}
    for name in ("loss", "true_loss", "test_loss"):
        value = getattr(evaluation, name)
        if value is not None:
            found[name] = value
    for i, coordinate in enumerate(suggestion.config.get_array()):
        # an inactive parameter has no value
        if coordinate == coordinate:
            found[f"vector_{i}"] = float(coordinate)
    harness.replay((number, evaluation.seconds, name, value) for name, value in found.items())
