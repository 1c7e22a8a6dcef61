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
from benchbench.errors import InputError

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

__all__ = ["NAMES", "LearningRateSearch", "learning_rate_of"]

NAMES = ("learning_rate", "learning_rate_init", "lr", "eta0", "eta", "init_lr", "initial_lr", "initial_learning_rate")
"""What PyTorch, scikit-learn, XGBoost and the usual benchmarks call it; in the order of preference.
"""

N_TRIES = 10_000


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
        import numpy as np

        from benchbench.contracts.hpo_spaces import SpaceRules
        from benchbench.methods.hpo._spaces import Axis

        super().setup(problem, budget=budget, context=context)
        self._rng = context.rng("learning_rate_search")
        self._name = learning_rate_of(problem.space) or ""
        # of inactive parameters as well: the learning rate may make them active
        self._defaults = np.array([float(p.to_vector(p.default_value)) for p in problem.space.values()])
        self._place = list(problem.space).index(self._name)
        self._axis = Axis(problem.space[self._name])
        self._rules = SpaceRules(problem.space)

    def ask(self) -> Suggestion:
        from benchbench.methods.hpo._spaces import from_vector

        for _ in range(N_TRIES):
            vectors = self._defaults[None].copy()
            vectors[:, self._place] = self._axis.coordinates(self._rng.random(1))
            self._rules.deactivate(vectors)
            if not self._rules.is_forbidden(vectors)[0]:
                return Suggestion(from_vector(self.problem.space, vectors[0]))
        raise InputError(
            f"none of {N_TRIES:,} values of {self._name!r} is allowed with the other defaults, which the space forbids"
        )


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
