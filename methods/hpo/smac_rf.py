"""SMAC: a random forest models the loss, expected improvement is searched locally and at random.

Hutter, Hoos & Leyton-Brown 2011, "Sequential model-based optimization for general algorithm
configuration"; the library is Lindauer et al. 2022, "SMAC3: a versatile Bayesian optimization
package for hyperparameter optimization", JMLR 23(54).
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import math
import warnings
from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion

__all__ = ["SMAC"]


class SMAC(HPOAdapter):
    """SMAC3's facade for hyper-parameter optimisation, asked and told.

    Every configuration is evaluated once.

    Parameters
    ----------
    initial_share : float
        The share of the budget that a Sobol design may take at first; it takes 10 evaluations for
        each parameter at most.
    retrain_after : int
        Suggestions that are taken from one maximisation before the forest is trained again.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="smac_rf",
        track="hpo",
        title="SMAC",
        summary="Models the loss with a random forest, and evaluates where the expected improvement is greatest.",
        paper="Hutter, Hoos & Leyton-Brown 2011, LION",
        url="https://doi.org/10.1007/978-3-642-25566-3_40",
        year=2011,
        differs=(
            "SMAC3's own facade: a Sobol design of a quarter of the budget at first, log of the scaled loss, the forest retrained "
            "after 8 suggestions, a fifth of them random; no intensification; failed evaluations are left out of the forest"
        ),
        family="bayesian",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, initial_share: float = 0.25, retrain_after: int = 8) -> None:
        self.initial_share = initial_share
        self.retrain_after = retrain_after

    def supports(self, problem: ProblemInfo) -> str | None:
        if importlib.util.find_spec("smac") is None:
            return "SMAC3 is not installed: pip install 'benchbench[hpo]'"
        return super().supports(problem)

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario
        from smac.main.exceptions import ConfigurationSpaceExhaustedException
        from smac.runhistory.encoder import RunHistoryLogScaledEncoder
        from smac.runhistory.enumerations import StatusType

        super().setup(problem, budget=budget, context=context)
        logging.getLogger("smac").setLevel(logging.CRITICAL)
        scenario = Scenario(
            # SMAC seeds the space that it is given, and draws from it
            copy.deepcopy(problem.space),
            output_directory=context.scratch / "smac",
            deterministic=True,
            n_trials=math.ceil(budget.evaluations),
            seed=context.derive(self.card.name),
        )
        self._smac = Facade(
            scenario,
            initial_design=Facade.get_initial_design(scenario, max_ratio=self.initial_share),
            # by default crashes go into the forest, at an unknown cost
            runhistory_encoder=RunHistoryLogScaledEncoder(scenario, considered_states=[StatusType.SUCCESS]),
            config_selector=Facade.get_config_selector(scenario, retrain_after=self.retrain_after),
            logging_level=False,
            overwrite=True,
        )
        self._ended = (StopIteration, ConfigurationSpaceExhaustedException)

    def ask(self) -> Suggestion | None:
        from ConfigSpace import Configuration

        try:
            with warnings.catch_warnings():
                # SMAC logs the mean time of a local search, even of none
                warnings.filterwarnings("ignore", "Mean of empty slice|invalid value", RuntimeWarning)
                trial = self._smac.ask()
        except self._ended:
            # every configuration of a finite space was suggested
            return None
        return Suggestion(Configuration(self.problem.space, vector=trial.config.get_array().copy()), tag=trial)

    def tell(self, observation: Observation) -> None:
        from smac.runhistory import StatusType, TrialValue

        if observation.loss is None:
            value = TrialValue(cost=math.inf, time=observation.seconds, status=StatusType.CRASHED)
        else:
            value = TrialValue(cost=observation.loss, time=observation.seconds, status=StatusType.SUCCESS)
        self._smac.tell(observation.suggestion.tag, value, save=False)
