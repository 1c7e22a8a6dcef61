"""The contract of hyper-parameter optimisation: ask for a configuration, tell its result.

Losses are minimised. A failed evaluation is a status, never a number. The harness owns evaluation,
clock and workers: several suggestions may be pending at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "Evaluation",
    "HPOAdapter",
    "HPOBudget",
    "History",
    "Observation",
    "Problem",
    "ProblemInfo",
    "Suggestion",
]

KINDS = ("continuous", "mixed")
"""Kinds of problems on cards: only unconditional numeric parameters, or also categories or
conditions.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HPOBudget:
    """What an optimiser may spend on one problem.

    Parameters
    ----------
    evaluations : float
        Number of evaluations, each weighted by its fidelity: one at a third of the full fidelity
        counts a third.
    seconds : float, optional
        On the problem's clock (simulated where evaluations are looked up); what ends later does not
        count.
    workers : int
        Evaluations that may be pending at once.
    """

    evaluations: float
    seconds: float | None = None
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Evaluations at full fidelity of another problem with the same space, on another data set.

    Parameters
    ----------
    problem : str
        Its name.
    meta_features : mapping of str to float
        Description of its data set, as in `ProblemInfo`.
    vectors : (n, n_parameters) array
        Configurations as the space's own vectors: NaN where inactive.
    losses : (n,) array
        NaN where the evaluation failed. Losses of different problems are on different scales.
    """

    problem: str
    meta_features: Mapping[str, float]
    vectors: NDArray[np.float64]
    losses: NDArray[np.float64]


def _no_histories() -> Sequence[History]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemInfo:
    """The description of a problem, known before any evaluation.

    Parameters
    ----------
    name : str
    space : ConfigurationSpace
        Do not use its random state; draw from the context.
    fidelities : tuple of float
        Available fidelities, in ascending shares of the full one; the last is 1.
    fidelity_name : str
        Meaning of the fidelity ("epochs"); empty if there is only the full one.
    data_set : str
        What the losses are measured on; empty for functions. The histories of a problem never
        include problems on its own data set.
    meta_features : mapping of str to float
        Description of the data set by its training rows alone; empty if there is none.
    histories : callable
        Returns the histories of related problems; reads them at the first call.
    """

    name: str
    space: ConfigurationSpace
    fidelities: tuple[float, ...] = (1.0,)
    fidelity_name: str = ""
    data_set: str = ""
    meta_features: Mapping[str, float] = field(default_factory=dict)
    histories: Callable[[], Sequence[History]] = _no_histories

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        from ConfigSpace.hyperparameters import NumericalHyperparameter

        space = self.space
        numeric = all(isinstance(p, NumericalHyperparameter) for p in space.values())
        return "continuous" if numeric and not space.conditions and not space.forbidden_clauses else "mixed"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A configuration to evaluate.

    Parameters
    ----------
    config : Configuration
        Of the problem's space.
    fidelity : float
        One of the problem's fidelities.
    tag : object
        Any object that the optimiser wants back with the observation.
    """

    config: Configuration
    fidelity: float = 1.0
    tag: Any = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a problem returns for a configuration.

    Parameters
    ----------
    loss : float, optional
        Observed by the optimiser; None if the evaluation failed.
    seconds : float
        On the problem's clock.
    true_loss : float, optional
        Loss without noise, where it differs from the observed one.
    test_loss : float, optional
        Loss on data that no optimiser ever sees.
    reason : str
        Why it failed.
    """

    loss: float | None
    seconds: float
    true_loss: float | None = None
    test_loss: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of a suggestion.

    Parameters
    ----------
    suggestion : Suggestion
    loss : float, optional
        Finite; None if the evaluation failed.
    seconds : float
        On the problem's clock.
    reason : str
        Why it failed.
    """

    suggestion: Suggestion
    loss: float | None
    seconds: float
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no loss."""
        return self.loss is None


class Problem(ABC):
    """A loaded problem."""

    info: ProblemInfo
    seconds: float | None = None
    """The budget of its clock, where it has one."""
    workers: int = 1

    @abstractmethod
    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        """Evaluate a configuration; any exception becomes a failed evaluation.

        Parameters
        ----------
        config : Configuration
        fidelity : float
        rng : numpy Generator
            For noise; derived from the trial's seed and the number of the evaluation.
        """


class HPOAdapter(ABC):
    """An optimiser.

    The harness calls `supports`, `setup`, then `ask` and `tell` until the budget is spent.

    The constructor takes JSON-able keyword arguments and only stores them under their own names.
    """

    card: ClassVar[MethodCard]
    records_evaluations: ClassVar[bool] = False
    """Whether every evaluation is recorded, not only incumbents: for designs that become tables."""
    problem: ProblemInfo
    budget: HPOBudget
    context: Context

    def supports(self, problem: ProblemInfo) -> str | None:
        """Return the reason to decline the problem, or None."""
        if problem.kind not in self.card.tasks:
            return f"{self.card.title} has no form for {problem.kind} spaces"
        return None

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        """Receive the problem; untimed, so import and build models here."""
        self.problem, self.budget, self.context = problem, budget, context

    @abstractmethod
    def ask(self) -> Suggestion | None:
        """Return what to evaluate next, or None to wait for pending evaluations (if there are none:
        to end).
        """

    def tell(self, observation: Observation) -> None:  # noqa: B027
        """Receive the result of a suggestion; called in the order in which evaluations end."""
