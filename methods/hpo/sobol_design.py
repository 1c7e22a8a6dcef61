"""A part of a scrambled Sobol design, at every fidelity: what tables of evaluations are made of.

Sobol 1967; Owen 1998, scrambling.

It is one design whatever the seed of the trial, so that parts of it, evaluated by different trials,
fit together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, ProblemInfo, Suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SobolDesign"]

SCRAMBLING_SEED = 0


class SobolDesign(HPOAdapter):
    """Configurations `first` to `first + n` of the design, each at all fidelities, ascending.

    Parameters
    ----------
    first, n : int
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="sobol_design",
        track="hpo",
        title="Sobol design",
        summary="Evaluates a part of a scrambled Sobol design at every fidelity; for tables, not for boards.",
        paper="Owen 1998, Journal of Complexity",
        url="https://doi.org/10.1006/jcom.1998.0487",
        year=1998,
        family="design",
        tasks=KINDS,
        devices=("cpu",),
    )
    records_evaluations = True

    def __init__(self, *, first: int = 0, n: int = 64) -> None:
        self.first = first
        self.n = n

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        super().setup(problem, budget=budget, context=context)
        self._suggestions = self._all()

    def ask(self) -> Suggestion | None:
        return next(self._suggestions, None)

    def _all(self) -> Iterator[Suggestion]:
        from scipy.stats.qmc import Sobol

        from benchbench.methods.hpo._spaces import from_unit

        points = Sobol(len(self.problem.space), scramble=True, rng=SCRAMBLING_SEED)
        if self.first:
            points.fast_forward(self.first)
        for point in points.random(self.n):
            config = from_unit(self.problem.space, point)
            for fidelity in self.problem.fidelities:
                yield Suggestion(config, fidelity)
