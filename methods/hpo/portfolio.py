"""A portfolio: a list of configurations, learnt on related problems, that is tried from its top.

Built greedily, as in Wistuba, Schilling & Schmidt-Thieme 2015, "Sequential model-free
hyperparameter tuning", and in Feurer et al. 2022, "Auto-Sklearn 2.0" (algorithm 1): the next
configuration is the one that lowers the mean regret of the list over the related problems the most.
Nothing of the problem's own data set is used.

What differs: losses are scaled by the best and the median one of each problem. With few related
problems a list soon holds the best of each; then another list is started among the configurations
that are left, and so on. After the portfolio comes random search.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, ProblemInfo, Suggestion
from benchbench.methods.hpo._histories import decline_without

__all__ = ["Portfolio"]


class Portfolio(HPOAdapter):
    """Configurations that are good on related problems, then random ones, at full fidelity.

    Parameters
    ----------
    size : int
        Configurations of the portfolio.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="portfolio",
        track="hpo",
        title="Portfolio",
        summary="Tries a list of configurations that together are good on related problems, then random ones.",
        paper="Wistuba, Schilling & Schmidt-Thieme 2015, DSAA",
        url="https://doi.org/10.1109/DSAA.2015.7344817",
        year=2015,
        differs="losses scaled by best and median; a new list starts once the best of each problem is in; then random search",
        family="meta-learned",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, size: int = 32) -> None:
        self.size = size

    def supports(self, problem: ProblemInfo) -> str | None:
        from benchbench.methods.hpo._histories import shared_regrets

        reason = super().supports(problem) or decline_without(problem)
        if reason is None and not len(shared_regrets(problem.histories())[0]):
            reason = "no configuration was evaluated on every related problem"
        return reason

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._histories import greedy_portfolio, shared_regrets
        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        vectors, regrets = shared_regrets(problem.histories())
        self._waiting = [vectors[i] for i in reversed(greedy_portfolio(regrets, self.size))]
        self._sampler = Sampler(problem.space, context.derive("portfolio"))

    def ask(self) -> Suggestion:
        from benchbench.methods.hpo._spaces import from_vector

        if self._waiting:
            return Suggestion(from_vector(self.problem.space, self._waiting.pop()))
        return Suggestion(self._sampler.sample())
