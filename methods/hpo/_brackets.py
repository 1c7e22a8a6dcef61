"""Successive halving: its ladder of fidelities, its rungs, and an adapter that runs brackets of it.

Importing this is light.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchbench.contracts.context import Context
from benchbench.contracts.hpo import HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion

if TYPE_CHECKING:
    from ConfigSpace import Configuration

__all__ = ["Bracket", "BracketAdapter", "decline", "ladder", "rung_sizes"]

# powers of 1/3 are those of the problem only up to rounding
TINY = 1e-9


def ladder(fidelities: tuple[float, ...], eta: int) -> tuple[float, ...]:
    """Return the fidelities of the rungs, ascending: 1, 1/eta, 1/eta**2, ...

    As far down as the problem has them.

    Each is the nearest of the problem's on a logarithmic scale; there are
    ``floor(log(1 / smallest) / log(eta)) + 1`` at most.
    """
    n = int(math.log(fidelities[-1] / fidelities[0]) / math.log(eta) + TINY) + 1
    wanted = [fidelities[-1] * float(eta) ** -k for k in range(n)]
    return tuple(sorted({min(fidelities, key=lambda f: abs(math.log(f / w))) for w in wanted}))


def rung_sizes(s_max: int, s: int, eta: int) -> tuple[int, ...]:
    """Return how many configurations the rungs of bracket s have: Li et al. 2018, algorithm 1.

    ``n = ceil((s_max + 1) * eta**s / (s + 1))`` (B = (s_max + 1) R), then ``floor(n / eta**i)`` on
    rung i.
    """
    n = -(-(s_max + 1) * eta**s // (s + 1))
    return tuple(n // eta**i for i in range(s + 1))


def decline(problem: ProblemInfo, eta: int) -> str | None:
    """Return why there is nothing to halve on a problem, or None."""
    if len(problem.fidelities) < 2:
        return "the problem has only its full fidelity"
    if eta >= 2 and len(ladder(problem.fidelities, eta)) < 2:
        return f"the smallest fidelity, {problem.fidelities[0]:g}, is more than 1/{eta} of the full one"
    return None


class Bracket:
    """One run of successive halving: a rung begins when all evaluations of the one below ended.

    Failed evaluations are never promoted; the next rung is smaller if too few succeeded, and there
    is none if all failed.

    Parameters
    ----------
    number : int
        Brackets are counted from 0 through a whole optimisation.
    sizes : tuple of int
        Of the rungs.
    fidelities : tuple of float
        Of the rungs.
    """

    def __init__(self, number: int, sizes: tuple[int, ...], fidelities: tuple[float, ...]) -> None:
        self.number, self.fidelities = number, fidelities
        self._sizes = list(sizes)
        self.rung = 0
        self.promoted: list[Configuration] = []
        """What the present rung evaluates, the best first; empty on the lowest, whose
        configurations are new.
        """
        self._n_taken = 0
        self._results: list[tuple[float, int, Configuration]] = []

    @property
    def is_done(self) -> bool:
        """Whether there is no further rung."""
        return self.rung == len(self._sizes)

    @property
    def has_work(self) -> bool:
        """Whether an evaluation can be taken now."""
        return not self.is_done and self._n_taken < self._sizes[self.rung]

    def take(self) -> int:
        """Take an evaluation of the present rung; return its place there."""
        self._n_taken += 1
        return self._n_taken - 1

    def report(self, place: int, config: Configuration, loss: float | None) -> None:
        """Record the result of the evaluation taken at a position."""
        self._results.append((math.inf if loss is None else loss, place, config))
        if len(self._results) < self._sizes[self.rung]:
            return
        # equal losses go by the place, since configurations have no order
        ranked = sorted((r for r in self._results if math.isfinite(r[0])), key=lambda r: r[:2])
        self.rung, self._n_taken, self._results = self.rung + 1, 0, []
        if not self.is_done:
            self.promoted = [config for _, _, config in ranked[: self._sizes[self.rung]]]
            self._sizes[self.rung] = len(self.promoted)
            if not self.promoted:
                self.rung = len(self._sizes)


class BracketAdapter(HPOAdapter):
    """Runs brackets one after the other; a worker that would have to wait for one begins the next.

    Parameters
    ----------
    eta : int
        One in this many configurations is promoted; 2 at least.
    """

    def __init__(self, *, eta: int = 3) -> None:
        self.eta = eta

    def supports(self, problem: ProblemInfo) -> str | None:
        return decline(problem, self.eta) or super().supports(problem)

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.errors import InputError
        from benchbench.methods.hpo._spaces import Sampler

        if self.eta < 2:
            raise InputError(f"{self.card.name}: eta is {self.eta}, expected 2 at least")
        super().setup(problem, budget=budget, context=context)
        self.ladder = ladder(problem.fidelities, self.eta)
        self.sampler = Sampler(problem.space, context.derive(self.card.name))
        self._open: dict[int, Bracket] = {}
        self._n_brackets = 0

    def bracket_index(self, number: int) -> int:
        """Return s of the bracket started as number `number`: it has s + 1 rungs."""
        s_max = len(self.ladder) - 1
        return s_max - number % (s_max + 1)

    def propose(self, bracket: Bracket, place: int) -> tuple[Configuration, object]:
        """Return what to evaluate at a position of the present rung, and a tag to get back."""
        config = bracket.promoted[place] if bracket.rung else self.new_configuration()
        return config, None

    def new_configuration(self) -> Configuration:
        """Return a configuration for the lowest rung."""
        return self.sampler.sample()

    def ask(self) -> Suggestion:
        bracket = next((b for b in self._open.values() if b.has_work), None) or self._begin()
        place = bracket.take()
        config, extra = self.propose(bracket, place)
        return Suggestion(config, bracket.fidelities[bracket.rung], (bracket.number, place, extra))

    def tell(self, observation: Observation) -> None:
        number, place, _ = observation.suggestion.tag
        self._open[number].report(place, observation.suggestion.config, observation.loss)
        if self._open[number].is_done:
            del self._open[number]

    def _begin(self) -> Bracket:
        number, self._n_brackets = self._n_brackets, self._n_brackets + 1
        s_max, s = len(self.ladder) - 1, self.bracket_index(number)
        self._open[number] = Bracket(number, rung_sizes(s_max, s, self.eta), self.ladder[s_max - s :])
        return self._open[number]
