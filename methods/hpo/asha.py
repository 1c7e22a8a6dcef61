"""ASHA: successive halving that promotes a configuration once it is in the best third so far.

Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht & Talwalkar 2020, arXiv:1810.05934, algorithm 2,
with s = 0: new configurations begin at the problem's smallest fidelity. A worker that is free
promotes the best configuration that is among the top 1/eta of its rung and was not promoted yet,
looking from the top rung down; where there is none, it begins a new one.

What differs: fidelities are the nearest that the problem has. A promoted configuration is evaluated
from the start, and costs its whole fidelity. A failed evaluation counts as the worst of its rung
and is never promoted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion
from benchbench.errors import InputError
from benchbench.methods.hpo._brackets import decline, ladder

if TYPE_CHECKING:
    from ConfigSpace import Configuration

__all__ = ["ASHA"]


class ASHA(HPOAdapter):
    """Asynchronous successive halving from the smallest fidelity up.

    Parameters
    ----------
    eta : int
        One in this many configurations is promoted.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="asha",
        track="hpo",
        title="ASHA",
        summary="Successive halving that promotes without waiting for the others of a rung.",
        paper="Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht & Talwalkar 2020, MLSys",
        url="https://arxiv.org/abs/1810.05934",
        year=2020,
        differs="eta = 3, the paper 4; promoted configurations are evaluated from the start; failed evaluations count as the worst",
        family="bandit",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, eta: int = 3) -> None:
        self.eta = eta

    def supports(self, problem: ProblemInfo) -> str | None:
        return decline(problem, self.eta) or super().supports(problem)

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._spaces import Sampler

        if self.eta < 2:
            raise InputError(f"asha: eta is {self.eta}, expected 2 at least")
        super().setup(problem, budget=budget, context=context)
        self._sampler = Sampler(problem.space, context.derive("asha"))
        self._ladder = ladder(problem.fidelities, self.eta)
        self._configs: list[Configuration] = []
        # of each rung: the loss and the number of each configuration whose evaluation ended; the
        # numbers of those promoted
        self._rungs: list[list[tuple[float, int]]] = [[] for _ in self._ladder]
        self._promoted: list[set[int]] = [set() for _ in self._ladder]

    def ask(self) -> Suggestion:
        for rung in reversed(range(len(self._ladder) - 1)):
            number = self._promotable(rung)
            if number is not None:
                self._promoted[rung].add(number)
                return Suggestion(self._configs[number], self._ladder[rung + 1], (rung + 1, number))
        self._configs.append(self._sampler.sample())
        return Suggestion(self._configs[-1], self._ladder[0], (0, len(self._configs) - 1))

    def tell(self, observation: Observation) -> None:
        rung, number = observation.suggestion.tag
        self._rungs[rung].append((math.inf if observation.loss is None else observation.loss, number))

    def _promotable(self, rung: int) -> int | None:
        """Return the best of the top 1/eta of a rung that was not promoted, or None."""
        ended = self._rungs[rung]
        top = sorted(ended)[: len(ended) // self.eta]
        return next((n for loss, n in top if math.isfinite(loss) and n not in self._promoted[rung]), None)
