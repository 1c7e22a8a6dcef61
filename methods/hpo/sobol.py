"""Sobol's points: they fill the unit cube more evenly than independent ones do.

Sobol 1967, doi:10.1016/0041-5553(67)90144-9.

Scrambled as in Owen 1998, doi:10.1006/jcom.1998.0487, by `scipy.stats.qmc`: each seed has points of
its own, as even as the others. Categories are parts of the unit interval.

What differs: the number of points is the budget, which need not be a power of two; points that a
space forbids are left out, and what a condition makes inactive is dropped, so that points which
differ there only are evaluated twice.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, ProblemInfo, Suggestion

__all__ = ["SobolSearch"]


class SobolSearch(HPOAdapter):
    """Scrambled Sobol points, in their order, at full fidelity."""

    card: ClassVar[MethodCard] = MethodCard(
        name="sobol",
        track="hpo",
        title="Sobol sequence",
        summary="Evaluates points that fill the space evenly.",
        paper="Sobol 1967, USSR Computational Mathematics and Mathematical Physics",
        url="https://doi.org/10.1016/0041-5553(67)90144-9",
        year=1967,
        differs="scrambled (Owen 1998); the number of points need not be a power of two",
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from scipy.stats import qmc

        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        self._sequence = qmc.Sobol(len(problem.space), scramble=True, seed=context.rng("sobol"))
        self._sampler = Sampler(problem.space, context.derive("sobol"))

    def ask(self) -> Suggestion:
        from benchbench.methods.hpo._spaces import first_allowed

        config, _ = first_allowed(self.problem.space, lambda: self._sequence.random(1)[0], self._sampler)
        return Suggestion(config)
