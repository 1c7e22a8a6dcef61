"""TPE that starts from what was best on similar data sets.

Feurer, Springenberg & Hutter 2015, AAAI, algorithm 2 (MI-SMBO).

The related problems are put in the order of the distance of their meta-features to the problem's
own; the first configurations are the best ones of the nearest, then the optimiser goes on as it
would after any other initial design.

What differs: the paper starts from the best configuration of each of up to 25 data sets; here few
related problems are known, so they give several each: all their best ones, nearest problem first,
then all their second best, and so on. The meta-features are 13 of the paper's kinds in place of 46,
and the optimiser is TPE in place of Spearmint and SMAC.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOBudget, ProblemInfo
from benchbench.methods.hpo._histories import decline_without
from benchbench.methods.hpo._optuna import OptunaAdapter

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["WarmStartTPE"]


class WarmStartTPE(OptunaAdapter):
    """Optuna's TPE after an initial design from the most similar problems.

    Parameters
    ----------
    n_initial : int
        Configurations of the initial design.
    n_nearest : int
        Related problems that they are taken of.
    n_startup : int
        Evaluations that have to succeed before anything is modelled; beyond the initial design
        configurations are random until then.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="warm_start_tpe",
        track="hpo",
        title="TPE, warm start",
        summary="Starts from the best configurations of the data sets with the most similar meta-features, then TPE.",
        paper="Feurer, Springenberg & Hutter 2015, AAAI",
        url="https://doi.org/10.1609/aaai.v29i1.9354",
        year=2015,
        differs="several configurations of each of few related problems; 13 meta-features; TPE in place of Spearmint and SMAC",
        family="meta-learned",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, n_initial: int = 10, n_nearest: int = 5, n_startup: int = 10) -> None:
        self.n_initial = n_initial
        self.n_nearest = n_nearest
        self.n_startup = n_startup

    def supports(self, problem: ProblemInfo) -> str | None:
        return super().supports(problem) or decline_without(problem)

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._histories import by_similarity, in_turns

        super().setup(problem, budget=budget, context=context)
        nearest = by_similarity(problem)[: self.n_nearest]
        for vector in islice(in_turns(nearest), self.n_initial):
            self._study.enqueue_trial(self._suggester.to_params(vector))

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(
            seed=seed, multivariate=True, n_startup_trials=self.n_startup, constant_liar=self.budget.workers > 1
        )
