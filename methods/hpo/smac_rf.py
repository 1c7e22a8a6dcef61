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
from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion
from benchbench.contracts.hpo_spaces import SpaceRules
from benchbench.methods.hpo._spaces import Sampler, first_allowed, from_vector, is_drawn_otherwise, sampling_space

if TYPE_CHECKING:
    from smac import Scenario
    from smac.initial_design import AbstractInitialDesign

__all__ = ["SMAC"]

# suggestions in a row that are not legal, before a configuration is drawn from the space instead
N_TRIES = 20


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
        self._rules = SpaceRules(problem.space)
        self._sampler = Sampler(problem.space, context.derive(self.card.name, "legal"))
        is_uneven = is_drawn_otherwise(problem.space)
        # SMAC seeds the space that it is given, and draws from it
        self._space = sampling_space(problem.space) if is_uneven else copy.deepcopy(problem.space)
        scenario = Scenario(
            self._space,
            output_directory=context.scratch / "smac",
            deterministic=True,
            n_trials=math.ceil(budget.evaluations),
            seed=context.derive(self.card.name),
        )
        with warnings.catch_warnings():
            # SMAC reads its initial design by a call that ConfigSpace has deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            self._smac = Facade(
                scenario,
                initial_design=(self._design if is_uneven else Facade.get_initial_design)(
                    scenario, max_ratio=self.initial_share
                ),
                # by default crashes go into the forest, at an unknown cost
                runhistory_encoder=RunHistoryLogScaledEncoder(scenario, considered_states=[StatusType.SUCCESS]),
                config_selector=Facade.get_config_selector(scenario, retrain_after=self.retrain_after),
                logging_level=False,
                overwrite=True,
            )
        self._ended = (StopIteration, ConfigurationSpaceExhaustedException)

    def ask(self) -> Suggestion | None:
        from smac.runhistory import StatusType, TrialInfo, TrialValue

        for _ in range(N_TRIES):
            try:
                with warnings.catch_warnings():
                    # SMAC logs the mean time of a local search, even of none
                    warnings.filterwarnings("ignore", "Mean of empty slice|invalid value", RuntimeWarning)
                    trial = self._smac.ask()
            except self._ended:
                # every configuration of a finite space was suggested
                return None
            config = from_vector(self.problem.space, trial.config.get_array().copy())
            if self._rules.violation(config) is None:
                return Suggestion(config, tag=trial)
            # ConfigSpace's neighbours may break nested conditions
            self._smac.tell(trial, TrialValue(cost=math.inf, status=StatusType.CRASHED), save=False)
        config = self._sampler.sample()
        own = from_vector(self._space, config.get_array().copy())
        return Suggestion(config, tag=TrialInfo(own, seed=trial.seed))

    def _design(self, scenario: Scenario, max_ratio: float) -> AbstractInitialDesign:
        """Return SMAC's initial design, with the points as `_spaces` maps them.

        Forbidden ones are left out, as in SMAC.
        """
        from scipy.stats.qmc import Sobol
        from smac.initial_design import SobolInitialDesign

        n_parameters = len(self._space)
        n = int(max(1, min(10 * n_parameters, max_ratio * scenario.n_trials)))
        points = Sobol(n_parameters, scramble=True, rng=self.context.derive(self.card.name, "design"))
        found = [first_allowed(self._space, lambda: points.random(1)[0], self._sampler)[0] for _ in range(n)]
        configs = [from_vector(self._space, config.get_array()) for config in found]
        return SobolInitialDesign(scenario, n_configs=0, additional_configs=configs)

    def tell(self, observation: Observation) -> None:
        from smac.runhistory import StatusType, TrialValue

        if observation.loss is None:
            value = TrialValue(cost=math.inf, time=observation.seconds, status=StatusType.CRASHED)
        else:
            value = TrialValue(cost=observation.loss, time=observation.seconds, status=StatusType.SUCCESS)
        self._smac.tell(observation.suggestion.tag, value, save=False)
