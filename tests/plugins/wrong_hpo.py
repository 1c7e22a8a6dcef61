"""Optimisers of hyper-parameters (2026, for tests) that each break one promise; the conformance checks must name it."""

from __future__ import annotations

from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import KINDS, HPOAdapter, Observation, Suggestion


def hpo_card(name: str, **more: Any) -> MethodCard:
    values: dict[str, Any] = {
        "name": name,
        "track": "hpo",
        "title": name,
        "summary": "An optimiser for tests.",
        "paper": "none",
        "url": "https://example.invalid",
        "year": 2026,
        "tasks": KINDS,
        "devices": ("cpu",),
    }
    return MethodCard(**{**values, **more})


class HonestSearch(HPOAdapter):
    """Random search."""

    card: ClassVar[MethodCard] = hpo_card("honest_search")

    def setup(self, problem: Any, *, budget: Any, context: Any) -> None:
        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        self.sampler = Sampler(problem.space, context.derive("honest"))
        self.losses: list[float] = []

    def ask(self) -> Suggestion | None:
        return Suggestion(self.sampler.sample())


class IllegalConfigurations(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("illegal_configurations")

    def ask(self) -> Suggestion | None:
        import numpy as np
        from ConfigSpace import Configuration

        vector = np.array(self.sampler.sample().get_array())
        vector[0] = 1.5
        return Suggestion(Configuration(self.problem.space, vector=vector))


class FailuresAreNumbers(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("failures_are_numbers")

    def tell(self, observation: Observation) -> None:
        self.losses.append(observation.loss + 0.0)  # type: ignore[operator]


class GivesUp(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("gives_up")

    def setup(self, problem: Any, *, budget: Any, context: Any) -> None:
        super().setup(problem, budget=budget, context=context)
        self.failed = False

    def ask(self) -> Suggestion | None:
        return None if self.failed else super().ask()

    def tell(self, observation: Observation) -> None:
        self.failed = self.failed or observation.failed


class OneAtATime(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("one_at_a_time")

    def setup(self, problem: Any, *, budget: Any, context: Any) -> None:
        super().setup(problem, budget=budget, context=context)
        self.pending = False

    def ask(self) -> Suggestion | None:
        if self.pending:
            raise RuntimeError("tell me first")
        self.pending = True
        return super().ask()

    def tell(self, observation: Observation) -> None:
        self.pending = False


class NeedsSpread(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("needs_spread")

    def tell(self, observation: Observation) -> None:
        if observation.loss is not None:
            self.losses.append(observation.loss)
            if len(self.losses) > 3:
                1 / (max(self.losses) - min(self.losses))


class NeedsThree(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("needs_three")

    def setup(self, problem: Any, *, budget: Any, context: Any) -> None:
        super().setup(problem, budget=budget, context=context)
        if budget.evaluations < 3:
            raise ValueError("needs 3 evaluations")


class SeedsTheSpace(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("seeds_the_space")

    def ask(self) -> Suggestion | None:
        return Suggestion(self.problem.space.sample_configuration())


class GlobalRandomSearch(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("global_random_search")

    def ask(self) -> Suggestion | None:
        import numpy as np

        from benchbench.methods.hpo._spaces import from_unit

        return Suggestion(from_unit(self.problem.space, np.random.random(len(self.problem.space))))


class OtherSpace(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("other_space")

    def ask(self) -> Suggestion | None:
        import copy

        return Suggestion(copy.deepcopy(self.problem.space).get_default_configuration())


class LowFidelityOnly(HonestSearch):
    """It never has an incumbent, since those are of full fidelity."""

    card: ClassVar[MethodCard] = hpo_card("low_fidelity_only")

    def ask(self) -> Suggestion | None:
        return Suggestion(self.sampler.sample(), fidelity=self.problem.fidelities[0])


class OddFidelity(HonestSearch):
    card: ClassVar[MethodCard] = hpo_card("odd_fidelity")

    def ask(self) -> Suggestion | None:
        return Suggestion(self.sampler.sample(), fidelity=0.123)
