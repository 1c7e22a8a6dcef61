"""Grid search: all combinations of a few values per parameter, in random order.

As compared with random search in Bergstra & Bengio 2012, JMLR 13. A number has as many points, from
end to end of its scale, as let the grid fit the budget; a category has all its choices. What a
condition makes inactive has no values, so that no configuration is evaluated twice. Evaluations
that the budget has beyond the grid are not used.

Where even two points per number are more than the budget, a random part of that smallest grid is
evaluated: an optimiser learns of the budget only once it has accepted the problem. Spaces whose
smallest grid is hopeless are declined (`max_points`).
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, ProblemInfo, Suggestion

__all__ = ["GridSearch"]


class GridSearch(HPOAdapter):
    """A full-factorial grid of the budget's size, in random order, at full fidelity.

    Parameters
    ----------
    max_points : int
        Spaces whose grid with two points per number is larger are declined.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="grid",
        track="hpo",
        title="Grid search",
        summary="Evaluates all combinations of a few values a parameter.",
        paper="Bergstra & Bengio 2012, JMLR",
        url="https://www.jmlr.org/papers/v13/bergstra12a.html",
        year=2012,
        differs="as many points per number as fit the budget; a random part of the grid where two are too many",
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, max_points: int = 1000) -> None:
        self.max_points = max_points

    def supports(self, problem: ProblemInfo) -> str | None:
        from benchbench.methods.hpo._grids import n_points

        if n_points(problem.space, 2, self.max_points) > self.max_points:
            return f"a grid with only two points a number has more than {self.max_points} points"
        return super().supports(problem)

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._grids import configurations, resolution

        super().setup(problem, budget=budget, context=context)
        grid = list(configurations(problem.space, resolution(problem.space, round(budget.evaluations))))
        self._waiting = [grid[i] for i in context.rng("grid").permutation(len(grid))]

    def ask(self) -> Suggestion | None:
        return Suggestion(self._waiting.pop()) if self._waiting else None
