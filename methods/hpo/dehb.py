"""DEHB: Hyperband whose configurations come from differential evolution, per fidelity.

Awad, Mallik & Hutter 2021, arXiv:2105.09821. A fidelity's population is as large as Hyperband's
largest rung there. During the first round of brackets the lowest rung of each evolves its own
population, and higher rungs evaluate the best of the population below. After that higher rungs
evolve too: the parents are the best of the population below, crossed with the next member of the
rung's own population, which the trial replaces if it is as good. DE/rand/1/bin with F = CR = 0.5.

What differs: a member is first evaluated as it was drawn, and evolved from its second turn on, also
in the lowest rung of the first bracket, as the paper says (its released code evolves at once).
Parents that are too few (under three) are joined by random members of all populations, as there.
Hyperband's adaptations are those of `hyperband`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOBudget, Observation, ProblemInfo
from benchbench.methods.hpo._brackets import Bracket, BracketAdapter, rung_sizes

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration
    from numpy.typing import NDArray

__all__ = ["DEHB"]


class DEHB(BracketAdapter):
    """Hyperband with differential evolution across fidelities.

    Parameters
    ----------
    eta : int
        One in this many configurations is promoted.
    scale : float
        Of the difference of two members (F).
    crossover : float
        How likely a coordinate is the mutant's (CR).
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="dehb",
        track="hpo",
        title="DEHB",
        summary="Hyperband whose configurations come from differential evolution at each fidelity.",
        paper="Awad, Mallik & Hutter 2021, IJCAI",
        url="https://arxiv.org/abs/2105.09821",
        year=2021,
        differs="members are first evaluated as drawn; Hyperband as adapted here",
        family="bandit",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, eta: int = 3, scale: float = 0.5, crossover: float = 0.5) -> None:
        super().__init__(eta=eta)
        self.scale = scale
        self.crossover = crossover

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._differential import Population

        super().setup(problem, budget=budget, context=context)
        self._rng = context.rng("dehb", "evolution")
        s_max = len(self.ladder) - 1
        # the bracket that begins at a fidelity has its largest rung there
        sizes = [
            max(rung_sizes(s_max, s, self.eta)[s - low] for s in range(low, s_max + 1)) for low in range(s_max, -1, -1)
        ]
        n = len(problem.space)
        self._populations = {f: Population(self._rng, k, n) for f, k in zip(self.ladder, sizes, strict=True)}
        self._promoted: dict[float, set[bytes]] = {f: set() for f in self.ladder}

    def propose(self, bracket: Bracket, place: int) -> tuple[Configuration, object]:
        from benchbench.methods.hpo._differential import trial_vector
        from benchbench.methods.hpo._spaces import first_allowed, from_unit

        own = self._populations[bracket.fidelities[bracket.rung]]
        member, is_first = own.next_member()
        if bracket.rung and bracket.number < len(self.ladder):
            unit = self._best_below(bracket)
            return from_unit(self.problem.space, unit), (member, unit)

        def draw() -> NDArray[np.float64]:
            if is_first:
                return self._rng.random(len(own.units[member]))
            parents = self._parents(bracket, member)
            return trial_vector(self._rng, own.units[member], parents, scale=self.scale, crossover=self.crossover)

        config, unit = first_allowed(self.problem.space, draw, self.sampler)
        if is_first:
            own.units[member] = unit
        return config, (member, unit)

    def tell(self, observation: Observation) -> None:
        super().tell(observation)
        member, unit = observation.suggestion.tag[-1]
        self._populations[observation.suggestion.fidelity].select(member, unit, observation.loss)

    def _best_below(self, bracket: Bracket) -> NDArray[np.float64]:
        """Return the best unpromoted member of the population below (else the best of all)."""
        below = self._populations[bracket.fidelities[bracket.rung - 1]]
        promoted = self._promoted[bracket.fidelities[bracket.rung]]
        ranked = below.best(len(below.units))
        unit = next((u for u in ranked if u.tobytes() not in promoted), ranked[0])
        promoted.add(unit.tobytes())
        return unit

    def _parents(self, bracket: Bracket, member: int) -> NDArray[np.float64]:
        """Return at least three parents: from the lowest rung's population, or the best below."""
        import numpy as np

        if bracket.rung:
            parents = self._populations[bracket.fidelities[bracket.rung - 1]].best(len(bracket.promoted))
        else:
            parents = np.delete(self._populations[bracket.fidelities[0]].units, member, axis=0)
        everyone = np.concatenate([p.units for p in self._populations.values()])
        return np.concatenate([parents, self._rng.permutation(everyone)[: max(0, 3 - len(parents))]])
