"""Probes for hyper-parameter optimisers: each runs in a child process on a small problem.

The problem has several fidelities.

This module is also the runner that the child executes instead of the protocol; the trial's task
names the probe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchbench.conformance.base import CheckFailed, NotApplicable
from benchbench.contracts.hpo import Evaluation, HPOAdapter, HPOBudget, Problem
from benchbench.errors import ProtocolViolation
from benchbench.protocols import hpo as protocol
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult
from benchbench.registry import create_method, get_loader, get_method

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration

    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = ["ITERATIONS", "PROBES", "PROTOCOL_VERSION", "TASKS", "TIMED_PHASES", "run"]

PROTOCOL_VERSION = protocol.PROTOCOL_VERSION
TIMED_PHASES: tuple[str, ...] = ()
ITERATIONS = 15
"""Evaluations per trial or probe: more than the usual initial designs of small spaces."""

# kind of problem -> (loader, options)
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "continuous": ("synthetic", {"function": "hartmann3", "fidelity_levels": 3, "relatives": 3}),
    "mixed": (
        "synthetic",
        {"function": "ackley", "dimension": 4, "categories": 2, "fidelity_levels": 3, "relatives": 3},
    ),
}
FIRST_FAILURES = 5


def run(spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
    """Run the probe that the trial's task names."""
    problem: Problem = get_loader(spec.loader).load(spec.task, spec.options)
    reason = create_method(spec.method, spec.params).supports(problem.info)
    if reason is not None:
        raise Declined(reason)
    PROBES[spec.task](Subject(spec, problem, harness))
    return ProtocolResult(metric="passed", unit="check", unit_scores=[1.0])


@dataclass(frozen=True, slots=True)
class Seen:
    """An evaluation as the problem received it."""

    config: Configuration
    fidelity: float
    loss: float | None


@dataclass
class Watched(Problem):
    """A problem that records its evaluations and may change their results."""

    problem: Problem
    change: Callable[[int, Evaluation], Evaluation] = lambda number, found: found
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.info = self.problem.info

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        """See the base class."""
        found = self.change(len(self.seen), self.problem.evaluate(config, fidelity, rng))
        self.seen.append(Seen(config, fidelity, found.loss))
        return found


@dataclass(frozen=True, slots=True)
class Subject:
    """An optimiser's name and parameters, and the problem to probe it on."""

    spec: TrialSpec
    problem: Problem
    harness: TrialHarness

    @property
    def is_deterministic(self) -> bool:
        """Whether the card declares it deterministic."""
        return get_method(self.spec.method).card.deterministic

    def optimise(
        self,
        change: Callable[[int, Evaluation], Evaluation] = lambda number, found: found,
        *,
        evaluations: int = ITERATIONS,
        workers: int = 1,
    ) -> list[Seen]:
        """Let a new optimiser spend a budget; return its evaluations in order."""
        watched = Watched(self.problem, change)
        budget = HPOBudget(evaluations=evaluations, workers=workers)
        adapter: HPOAdapter = create_method(self.spec.method, self.spec.params)
        adapter.setup(watched.info, budget=budget, context=self.harness.context)
        protocol.optimise(adapter, watched, budget, self.harness, PhaseClock())
        return watched.seen


def _keys(seen: list[Seen]) -> list[tuple[tuple[float, ...], float]]:
    """Return the suggestions in comparable form (an inactive parameter is -1)."""
    return [(tuple(-1.0 if v != v else float(v) for v in s.config.get_array()), s.fidelity) for s in seen]


def check_suggestions_are_legal(subject: Subject) -> None:
    """There are suggestions, and every configuration is legal in the problem's space."""
    try:
        seen = subject.optimise()
    except ProtocolViolation as error:
        raise CheckFailed(f"an illegal configuration was suggested: {error}") from error
    if not seen:
        raise CheckFailed("nothing was suggested")


def check_failed_evaluations_break_nothing(subject: Subject) -> None:
    """Failed evaluations at the start, in the middle or throughout are handled."""

    def some(number: int, found: Evaluation) -> Evaluation:
        failed = number < FIRST_FAILURES or number % 3 == 0
        return replace(found, loss=None, reason="a probe") if failed else found

    if len(subject.optimise(some)) <= FIRST_FAILURES:
        raise CheckFailed(f"after {FIRST_FAILURES} failures at the start nothing more was suggested")
    subject.optimise(lambda number, found: replace(found, loss=None, reason="a probe"))


def check_pending_suggestions_break_nothing(subject: Subject) -> None:
    """Several suggestions may be pending, and end in another order than suggested."""

    def late(number: int, found: Evaluation) -> Evaluation:
        return replace(found, seconds=found.seconds * (1 + (7 * number) % 5))

    seen = subject.optimise(late, workers=4)
    if len(seen) < 2:
        raise CheckFailed(f"with 4 workers only {len(seen)} evaluations were suggested")


def _scaled(scale: float) -> Callable[[int, Evaluation], Evaluation]:
    return lambda number, found: replace(found, loss=scale * (found.loss or 0.0))


def check_any_losses_are_taken(subject: Subject) -> None:
    """Losses that are all equal, huge or tiny are handled."""
    for scale in (0.0, 1e-12, 1e12):
        subject.optimise(_scaled(scale))


def check_small_budgets_are_kept(subject: Subject) -> None:
    """A budget of one or two evaluations is kept."""
    for evaluations in (1, 2):
        spent = sum(one.fidelity for one in subject.optimise(evaluations=evaluations))
        if spent > evaluations + 1e-6:
            raise CheckFailed(f"{spent} evaluations were spent of {evaluations}")


def check_space_is_left_alone(subject: Subject) -> None:
    """Neither the space nor its random state changes, since other methods share it."""
    space = subject.problem.info.space

    def state() -> tuple[str, str]:
        return repr(space.to_serialized_dict()), repr(space.random.get_state())

    before = state()
    subject.optimise()
    after = state()
    if before[0] != after[0]:
        raise CheckFailed("the space was changed")
    if before[1] != after[1]:
        raise CheckFailed(
            "the space's own random state was used: draw from the context (a copy of the space may be seeded)"
        )


def check_global_random_state_does_not_matter(subject: Subject) -> None:
    """Random numbers drawn elsewhere in the process change no suggestion."""
    import random

    import numpy as np

    if not subject.is_deterministic:
        raise NotApplicable("declared not deterministic")
    first = _keys(subject.optimise())
    random.seed(12345)
    np.random.seed(54321)
    second = _keys(subject.optimise())
    if first != second:
        n = sum(a != b for a, b in zip(first, second, strict=False))
        raise CheckFailed(
            f"{n} of {len(first)} suggestions depend on the global random state, or on an earlier optimisation"
        )


PROBES: dict[str, Callable[[Subject], None]] = {
    f.__name__: f
    for f in (
        check_suggestions_are_legal,
        check_failed_evaluations_break_nothing,
        check_pending_suggestions_break_nothing,
        check_any_losses_are_taken,
        check_small_budgets_are_kept,
        check_space_is_left_alone,
        check_global_random_state_does_not_matter,
    )
}
"""Probes by name, in the order that they run."""
