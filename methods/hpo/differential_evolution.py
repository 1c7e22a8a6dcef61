"""Differential evolution: the difference of two members of a population is the step of a third.

Storn & Price 1997, doi:10.1023/A:1008202821328: DE/rand/1/bin. Everything happens in the unit cube,
categories being parts of an interval, and coordinates that leave the cube are drawn again, as in
Awad, Mallik & Hutter 2021, arXiv:2105.09821, whose settings these are (a population of 20, F = CR =
0.5).

What differs: a trial that is as good replaces its target at once and not with its generation, so
that several evaluations may be pending (the asynchronous form of Awad et al.).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion
from benchbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DifferentialEvolution"]


class DifferentialEvolution(HPOAdapter):
    """DE/rand/1/bin at full fidelity.

    Parameters
    ----------
    population_size : int
        At least 4.
    scale : float
        Of the difference of two members (F).
    crossover : float
        How likely a coordinate is the mutant's (CR).
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="differential_evolution",
        track="hpo",
        title="Differential evolution",
        summary="Adds the difference of two members of a population to a third, and keeps what is better.",
        paper="Storn & Price 1997, Journal of Global Optimization",
        url="https://doi.org/10.1023/A:1008202821328",
        year=1997,
        differs="categories as parts of the unit interval; selection at once, not by generations; settings of Awad et al. 2021",
        family="evolutionary",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, population_size: int = 20, scale: float = 0.5, crossover: float = 0.5) -> None:
        self.population_size = population_size
        self.scale = scale
        self.crossover = crossover

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._differential import Population
        from benchbench.methods.hpo._spaces import Sampler

        if self.population_size < 4:
            raise InputError(
                f"differential_evolution: population_size is {self.population_size}, expected 4 at least (a target, and three others)"
            )
        super().setup(problem, budget=budget, context=context)
        self._rng = context.rng("differential_evolution")
        self._sampler = Sampler(problem.space, context.derive("differential_evolution"))
        self._population = Population(self._rng, self.population_size, len(problem.space))

    def ask(self) -> Suggestion:
        import numpy as np

        from benchbench.methods.hpo._differential import trial_vector
        from benchbench.methods.hpo._spaces import first_allowed

        member, is_first = self._population.next_member()
        units = self._population.units
        others = np.delete(units, member, axis=0)

        def draw() -> NDArray[np.float64]:
            if is_first:
                return self._rng.random(len(units[member]))
            return trial_vector(self._rng, units[member], others, scale=self.scale, crossover=self.crossover)

        config, unit = first_allowed(self.problem.space, draw, self._sampler)
        if is_first:
            units[member] = unit
        return Suggestion(config, tag=(member, unit))

    def tell(self, observation: Observation) -> None:
        member, unit = observation.suggestion.tag
        self._population.select(member, unit, observation.loss)
