"""Regularised evolution: parents are the best of a random sample; the oldest member dies.

Real, Aggarwal, Huang & Le 2019, arXiv:1802.01548, algorithm 1. The population is filled with random
configurations; then, again and again, the best of a sample of the population is copied with one
active parameter changed, and the child takes the place of the oldest member, however good that one
is.

What differs: a population of 20 and samples of 5 in place of 100 and 25, since budgets here are of
about a hundred evaluations, where the paper's are of 20,000. Numbers are changed by drawing them
anew from their range; the paper has categories only. A failed evaluation never enters the
population, so nothing dies for it. With several workers members enter as their evaluations end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion

if TYPE_CHECKING:
    from ConfigSpace import Configuration
    from numpy.typing import NDArray

__all__ = ["RegularisedEvolution"]

# a change that leaves the configuration as it was (an integer drawn again) is tried again so often
N_TRIES = 100


class RegularisedEvolution(HPOAdapter):
    """Aging evolution with tournament selection and mutation of one parameter, at full fidelity.

    Parameters
    ----------
    population_size : int
    sample_size : int
        Members drawn for a tournament, with replacement as in the paper.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="regularised_evolution",
        track="hpo",
        title="Regularised evolution",
        summary="Changes one parameter of the best of a random sample; the oldest of the population dies.",
        paper="Real, Aggarwal, Huang & Le 2019, AAAI",
        url="https://arxiv.org/abs/1802.01548",
        year=2019,
        differs="a population of 20 and samples of 5; numbers are drawn again from their range; failed evaluations do not enter",
        family="evolutionary",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, population_size: int = 20, sample_size: int = 5) -> None:
        self.population_size = population_size
        self.sample_size = sample_size

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        self._rng = context.rng("regularised_evolution")
        self._sampler = Sampler(problem.space, context.derive("regularised_evolution"))
        self._population: deque[tuple[float, Configuration]] = deque(maxlen=self.population_size)
        self._n_founders = 0

    def ask(self) -> Suggestion:
        if self._n_founders < self.population_size or not self._population:
            self._n_founders += 1
            return Suggestion(self._sampler.sample(), tag="founder")
        drawn = self._rng.integers(len(self._population), size=self.sample_size)
        _, parent = min((self._population[int(i)] for i in drawn), key=lambda member: member[0])
        return Suggestion(self._mutated(parent))

    def tell(self, observation: Observation) -> None:
        if observation.loss is not None:
            # the deque lets go of the oldest where it is full
            self._population.append((observation.loss, observation.suggestion.config))
        elif observation.suggestion.tag == "founder":
            self._n_founders -= 1

    def _mutated(self, parent: Configuration) -> Configuration:
        """Return a copy with one active parameter changed.

        What that makes active is drawn at random.
        """
        import numpy as np

        from benchbench.methods.hpo._spaces import first_allowed, to_unit

        space = self.problem.space
        is_active = ~np.isnan(parent.get_array())
        can_change = np.flatnonzero(is_active & np.array([p.size > 1 for p in space.values()]))
        if not len(can_change):
            return self._sampler.sample()
        start = to_unit(parent)

        def draw() -> NDArray[np.float64]:
            unit = np.where(is_active, start, self._rng.random(len(start)))
            unit[self._rng.choice(can_change)] = self._rng.random()
            return unit

        for _ in range(N_TRIES):
            child, _ = first_allowed(space, draw, self._sampler)
            if child != parent:
                return child
        return self._sampler.sample()
