"""Random search over the learning rate alone, everything else at the space's default.

What is taught first: "the learning rate is perhaps the most important hyperparameter. If you have
time to tune only one hyperparameter, tune the learning rate" (Goodfellow, Bengio & Courville 2016,
Deep Learning, section 11.4.1). What the other optimisers gain over this is what the other
parameters are worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, ProblemInfo, Suggestion

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

__all__ = ["NAMES", "LearningRateSearch", "learning_rate_of"]

NAMES = ("learning_rate", "learning_rate_init", "lr", "eta0", "eta", "init_lr", "initial_lr", "initial_learning_rate")
"""What PyTorch, scikit-learn, XGBoost and the usual benchmarks call it; in the order of preference.
"""


class LearningRateSearch(HPOAdapter):
    """Draws the learning rate from its range, on its scale, at full fidelity."""

    card: ClassVar[MethodCard] = MethodCard(
        name="learning_rate_search",
        track="hpo",
        title="Learning-rate search",
        summary="Random search over the learning rate alone; everything else keeps its default.",
        paper="Goodfellow, Bengio & Courville 2016, Deep Learning, section 11.4",
        url="https://www.deeplearningbook.org/contents/guidelines.html",
        year=2016,
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )

    def supports(self, problem: ProblemInfo) -> str | None:
        if learning_rate_of(problem.space) is None:
            return f"no number that is active by default is called a learning rate ({', '.join(NAMES)})"
        return super().supports(problem)

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        super().setup(problem, budget=budget, context=context)
        self._rng = context.rng("learning_rate_search")
        self._name = learning_rate_of(problem.space) or ""
        self._default = dict(problem.space.get_default_configuration())

    def ask(self) -> Suggestion:
        from benchbench.methods.hpo._spaces import from_values

        space = self.problem.space
        value = space[self._name].to_value(self._rng.random())
        return Suggestion(from_values(space, {**self._default, self._name: value}))


def learning_rate_of(space: ConfigurationSpace) -> str | None:
    """Return the name of the parameter that is the learning rate.

    A prefix ("optimizer:lr") is no part of it.
    """
    from ConfigSpace.hyperparameters import NumericalHyperparameter

    active = space.get_default_configuration()
    called = {
        p.name.lower().replace(".", ":").rsplit(":", 1)[-1]: p.name
        for p in space.values()
        if isinstance(p, NumericalHyperparameter) and p.name in active
    }
    return next((called[name] for name in NAMES if name in called), None)
