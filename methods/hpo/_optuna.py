"""Optuna's samplers as adapters.

Akiba et al. 2019, "Optuna: a next-generation hyper-parameter optimization framework".

Parameters are suggested define-by-run, parents first, so that the sampler sees only those that are
active. Categories go by their index, since a choice may be anything; an ordered parameter is a
whole number, its place. Constants are not suggested. Importing this is light.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchbench.contracts.context import Context
from benchbench.contracts.hpo import HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion
from benchbench.contracts.hpo_spaces import is_constant

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray
    from optuna import Trial
    from optuna.samplers import BaseSampler

__all__ = ["OptunaAdapter", "SpaceSuggester"]

# a sampler that knows nothing of forbidden clauses gets this many tries at a legal configuration,
# then it is given a random one
N_TRIES = 10


class OptunaAdapter(HPOAdapter):
    """A study in memory, with the sampler that a subclass makes.

    Failed evaluations are trials with the state FAIL.
    """

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        import optuna

        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            # that an option is experimental is for the card to say
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(sampler=self.sampler(context.derive(self.card.name)))
        self._fail = optuna.trial.TrialState.FAIL
        self._suggester = SpaceSuggester(problem.space)
        self._random = Sampler(problem.space, context.derive(self.card.name, "random"))

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """Make the sampler; `problem` and `budget` are known."""

    def ask(self) -> Suggestion:
        from benchbench.methods.hpo._spaces import from_vector

        for _ in range(N_TRIES):
            trial = self._study.ask()
            vector = self._suggester.suggest(trial)
            if not self._suggester.is_forbidden(vector):
                return Suggestion(from_vector(self.problem.space, vector), tag=trial)
            self._study.tell(trial, state=self._fail)
        config = self._random.sample()
        self._study.enqueue_trial(self._suggester.to_params(config.get_array()))
        trial = self._study.ask()
        self._suggester.suggest(trial)
        return Suggestion(config, tag=trial)

    def tell(self, observation: Observation) -> None:
        trial = observation.suggestion.tag
        if observation.loss is None:
            self._study.tell(trial, state=self._fail)
        else:
            self._study.tell(trial, observation.loss)


class SpaceSuggester:
    """Suggests the active parameters of a space, one after the other.

    Parameters
    ----------
    space : ConfigurationSpace
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        self._forbidden = tuple(space.forbidden_clauses)
        # a space lists parents before their children
        self._parts = [
            (name, parameter, _suggest_call(name, parameter), tuple(space.parent_conditions_of[name]))
            for name, parameter in space.items()
        ]

    def suggest(self, trial: Trial) -> NDArray[np.float64]:
        """Return the vector (n_parameters,) that the trial suggests; NaN where inactive."""
        import numpy as np

        vector = np.full(len(self._parts), np.nan)
        for i, (_, _, call, conditions) in enumerate(self._parts):
            if not conditions or all(c.satisfied_by_vector(vector) for c in conditions):
                vector[i] = call(trial)
        return vector

    def is_forbidden(self, vector: NDArray[np.float64]) -> bool:
        """Return whether a forbidden clause holds."""
        return bool(self._forbidden) and any(clause.is_forbidden_vector(vector) for clause in self._forbidden)

    def to_params(self, vector: NDArray[np.float64]) -> dict[str, Any]:
        """Return what Optuna calls the active parameters of a configuration."""
        return {
            name: int(place) if _is_listed(parameter) else parameter.to_value(place)
            for (name, parameter, _, _), place in zip(self._parts, vector, strict=True)
            if place == place and not is_constant(parameter)
        }


def _is_listed(parameter: Any) -> bool:
    return hasattr(parameter, "choices") or hasattr(parameter, "sequence")


def _suggest_call(name: str, parameter: Any) -> Callable[[Trial], float]:
    """Return how a trial suggests a parameter, as the space's own number for it."""
    from ConfigSpace import UniformFloatHyperparameter
    from ConfigSpace.hyperparameters import IntegerHyperparameter

    if is_constant(parameter):
        only = float(parameter.to_vector(parameter.value))
        return lambda trial: only
    if hasattr(parameter, "choices"):
        places = range(len(parameter.choices))
        return lambda trial: trial.suggest_categorical(name, places)
    if hasattr(parameter, "sequence"):
        last = len(parameter.sequence) - 1
        return lambda trial: trial.suggest_int(name, 0, last)
    low, high, to_vector = parameter.lower, parameter.upper, parameter.to_vector
    is_log = getattr(parameter, "log", False)
    if isinstance(parameter, IntegerHyperparameter):
        low, high = int(low), int(high)
        return lambda trial: to_vector(trial.suggest_int(name, low, high, log=is_log))
    low, high = float(low), float(high)
    if isinstance(parameter, UniformFloatHyperparameter) and not is_log:
        # the same figures as to_vector in a tenth of its time
        width = high - low
        return lambda trial: (trial.suggest_float(name, low, high) - low) / width
    return lambda trial: min(max(to_vector(trial.suggest_float(name, low, high, log=is_log)), 0.0), 1.0)
