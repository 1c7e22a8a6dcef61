"""Random search: every configuration drawn independently.

Bergstra & Bengio 2012, "Random search for hyper-parameter optimization".
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, ProblemInfo, Suggestion

__all__ = ["RandomSearch"]


class RandomSearch(HPOAdapter):
    """Draws from the space, uniformly or on a logarithmic scale as it says, at full fidelity."""

    card: ClassVar[MethodCard] = MethodCard(
        name="random_search",
        track="hpo",
        title="Random search",
        summary="Draws every configuration independently.",
        paper="Bergstra & Bengio 2012, JMLR",
        url="https://www.jmlr.org/papers/v13/bergstra12a.html",
        year=2012,
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        self._sampler = Sampler(problem.space, context.derive("random_search"))

    def ask(self) -> Suggestion:
        return Suggestion(self._sampler.sample())
