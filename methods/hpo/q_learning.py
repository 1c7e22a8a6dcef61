"""Tabular Q-learning: the value of moving one parameter to another level, learnt from moves.

Watkins & Dayan 1992, Machine Learning 8. After a move a from state s to s' with reward r, their
equation (1): Q(s, a) <- Q(s, a) + alpha (r + gamma max_b Q(s', b) - Q(s, a)). Every Q begins at 0.

**State and actions.** The state is the configuration as levels (`_discrete.Grid`). An action takes
one active parameter to another level, or draws a number afresh within its own bin. Everything else
stays as it is; parameters that a condition activates are drawn at random. An action's entry in the
table sees only the level of the parameter that it changes (state aggregation), so what was learnt
in one configuration serves in all: exact where the loss is a sum over parameters, an approximation
elsewhere. A failure ends its episode.

**Reward.** It is by ranks: the decrease of the share of the losses so far that are better than the
configuration. A failure ranks behind every loss. So does a configuration that a forbidden clause
rules out, which is never evaluated.

**Moves.** The first `starts` configurations are drawn from the space. After that every move starts
at the best known one, which Q-learning may do since it learns the same from any behaviour. Moves
are epsilon-greedy, and epsilon falls linearly over the budget. A move to a configuration that was
evaluated before is learnt from without evaluating it again.

What differs: the update is the paper's, but the table is aggregated, alpha is constant, and the
paper has no configurations. What moves and table each contribute is measured in docs/tuning/hpo.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Move", "QLearning", "QTable"]

MAX_TRIES = 30
"""Moves in a row that are known already or not allowed, before a configuration is drawn from the
space instead.
"""


class QLearning(HPOAdapter):
    """Q-learning over moves of one parameter.

    Parameters
    ----------
    alpha : float
        Step of the update, in (0, 1].
    gamma : float
        Discount, in [0, 1].
    epsilon, epsilon_end : float
        Chance of a random move, at the start and at the end of the budget.
    levels : int
        Bins of a number.
    starts : int
        Configurations drawn from the space before the first move.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="q_learning",
        track="hpo",
        title="Q-learning",
        summary="Learns what moving a parameter from one level to another brings, and moves from the best configuration.",
        paper="Watkins & Dayan 1992, Machine Learning",
        url="https://doi.org/10.1007/BF00992698",
        year=1992,
        differs="states aggregated by the parameter moved; constant step; rewards by ranks; moves start at the best known",
        family="rl",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(
        self,
        *,
        alpha: float = 0.5,
        gamma: float = 0.5,
        epsilon: float = 0.3,
        epsilon_end: float = 0.05,
        levels: int = 8,
        starts: int = 10,
    ) -> None:
        self.alpha = alpha
        self.gamma = gamma
        self.epsilon = epsilon
        self.epsilon_end = epsilon_end
        self.levels = levels
        self.starts = starts

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        from benchbench.methods.hpo._discrete import Grid, Ranks
        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        self._rng = context.rng("q_learning", "moves")
        self._sampler = Sampler(problem.space, context.derive("q_learning", "starts"))
        self._grid = Grid(problem.space, self.levels, context.rng("q_learning", "bins"))
        self._table = QTable(self._grid.n_levels, self._grid.is_binned)
        self._ranks = Ranks()
        self._best: tuple[NDArray[np.float64], float] | None = None
        self._known: dict[bytes, float | None] = {}
        self._pending: list[tuple[int, int, int]] = []
        self._n_asked = self._n_told = 0

    def ask(self) -> Suggestion:
        share = min(1.0, self._n_asked / max(1.0, self.budget.evaluations))
        epsilon = self.epsilon + share * (self.epsilon_end - self.epsilon)
        self._n_asked += 1
        for _ in range(MAX_TRIES):
            move = self._move(epsilon)
            if move is None:
                break
            key = move.end.tobytes()
            if key in self._known:
                self._learn(move, self._known[key])
                continue
            config = self._grid.configuration(move.end)
            if config is None:
                self._learn(move, None)
                continue
            self._pending.append(move.entry)
            return Suggestion(config, tag=move)
        return Suggestion(self._sampler.sample())

    def tell(self, observation: Observation) -> None:
        import numpy as np

        suggestion, loss = observation.suggestion, observation.loss
        self._n_told += 1
        self._ranks.add(loss)
        vector = np.array(suggestion.config.get_array(), np.float64)
        self._known[vector.tobytes()] = loss
        if suggestion.tag is not None:
            self._pending.remove(suggestion.tag.entry)
            self._learn(suggestion.tag, loss)
        if loss is not None and (self._best is None or loss < self._best[1]):
            self._best = vector, loss

    def _move(self, epsilon: float) -> Move | None:
        """Return an epsilon-greedy move from the best configuration, or None without one."""
        import numpy as np

        if self._best is None or self._n_told < self.starts:
            return None
        start, loss = self._best
        levels = self._grid.levels(start)
        values = self._table.of(levels)
        for parameter, before, after in self._pending:
            if levels[parameter] == before:
                values[parameter, after] = -np.inf
        allowed = np.isfinite(values)
        if not allowed.any():
            return None
        if self._rng.random() >= epsilon:
            allowed &= values == values.max()
        parameter, level = (int(k) for k in self._rng.choice(np.argwhere(allowed)))

        def choose(i: int) -> float:
            if i == parameter:
                return self._grid.coordinate(i, level)
            if np.isnan(start[i]):
                return self._grid.coordinate(i, int(self._rng.integers(self._grid.n_levels[i])))
            return float(start[i])

        return Move(self._grid.build(choose), (parameter, int(levels[parameter]), level), loss)

    def _learn(self, move: Move, loss: float | None) -> None:
        reward = self._ranks.share(move.start_loss) - self._ranks.share(loss)
        future = 0.0 if loss is None else self._table.best(self._grid.levels(move.end))
        self._table.update(move.entry, reward, future, alpha=self.alpha, gamma=self.gamma)


@dataclass(frozen=True, slots=True)
class Move:
    """A move from one configuration to another.

    Parameters
    ----------
    end : (n_parameters,) float64
        The space's own vector of where it leads.
    entry : tuple of int
        The parameter, its level before, its level after.
    start_loss : float
        Loss of where it starts.
    """

    end: NDArray[np.float64]
    entry: tuple[int, int, int]
    start_loss: float


class QTable:
    """Values (n_parameters, level before, level after) of moves.

    Minus infinity where there is none.

    Parameters
    ----------
    n_levels : list of int
    is_binned : list of bool
        Whether a parameter may be drawn afresh within its own level.
    """

    def __init__(self, n_levels: list[int], is_binned: list[bool]) -> None:
        import numpy as np

        widest = max(n_levels, default=1)
        self.values = np.full((len(n_levels), widest, widest), -np.inf)
        for table, n, binned in zip(self.values, n_levels, is_binned, strict=True):
            table[:n, :n] = 0.0
            if not binned:
                np.fill_diagonal(table, -np.inf)

    def of(self, levels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a copy of the values (n_parameters, level after) of moves from given levels.

        The levels are (n_parameters,).
        """
        import numpy as np

        found = self.values[np.arange(len(levels)), levels].copy()
        found[levels < 0] = -np.inf
        return found

    def best(self, levels: NDArray[np.int64]) -> float:
        """Return the value of the best move from levels (n_parameters,); 0 if there is none."""
        import numpy as np

        best = float(self.of(levels).max(initial=-np.inf))
        return best if np.isfinite(best) else 0.0

    def update(self, entry: tuple[int, int, int], reward: float, future: float, *, alpha: float, gamma: float) -> None:
        """Apply Watkins & Dayan's equation (1).

        `future` is the value of the best move from where this one led.
        """
        self.values[entry] += alpha * (reward + gamma * future - self.values[entry])
