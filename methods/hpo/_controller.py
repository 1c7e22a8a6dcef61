"""A recurrent controller that chooses a level for each parameter in turn, and its training.

Importing this is light.

Zoph & Le 2017, "Neural architecture search with reinforcement learning", arXiv:1611.01578: an LSTM
reads an embedding of the choice before and gives a softmax over the levels of the next parameter;
it is trained by policy gradient with the reward of the finished configuration, less an exponential
moving average of earlier rewards. Weights begin uniform in [-0.08, 0.08] as there.

An inactive parameter is skipped: nothing is chosen, the LSTM takes no step, and it is in no
probability. A configuration that a forbidden clause rules out is drawn again, which the
probabilities do not account for. Rewards are ranks: 1 for a loss below all so far, -1 for one above
them, the same for a failure; the mean of all is 0, where the moving average begins.

Shapes: b episodes, n parameters, k levels of a parameter, u units.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.contracts.context import Context
from benchbench.contracts.hpo import HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Controller", "ControllerSearch", "Episode"]

MAX_TRIES = 20
"""Episodes in a row that give a forbidden configuration, before one is drawn from the space
instead.
"""
INITIAL_RANGE = 0.08
MASKED = -1e9
"""Instead of a logit that belongs to another parameter: its probability is exactly 0, and so is its
part of an entropy.
"""


@dataclass(frozen=True, slots=True)
class Episode:
    """The choices that made a configuration.

    Parameters
    ----------
    levels : list of int
        One per parameter, -1 for inactive ones.
    log_probs : list of float
        Of each choice when it was made; 0 for inactive ones.
    """

    levels: list[int]
    log_probs: list[float]


class Controller:
    """An LSTM with an embedding and a softmax layer for each parameter's levels.

    Parameters
    ----------
    n_levels : list of int
    units : int
    generator : torch Generator
        For the weights.
    dtype : torch dtype, optional
    """

    def __init__(
        self, n_levels: list[int], *, units: int, generator: torch.Generator, dtype: torch.dtype | None = None
    ) -> None:
        import torch

        def weights(*shape: int) -> Tensor:
            drawn = torch.rand(*shape, generator=generator, dtype=dtype or torch.float32)
            return (INITIAL_RANGE * (2 * drawn - 1)).requires_grad_()

        self.units = units
        total = sum(n_levels)
        self.offsets = [sum(n_levels[:i]) for i in range(len(n_levels) + 1)]
        # row 0 is the beginning, row 1 + offset + level for a choice
        self.embedding = weights(1 + total, units)
        self.input_weight, self.hidden_weight = weights(4 * units, units), weights(4 * units, units)
        self.bias, self.no_bias = weights(4 * units), torch.zeros(4 * units, dtype=dtype)
        self.head, self.head_bias = weights(total, units), weights(total)
        self.owners = torch.repeat_interleave(torch.tensor(n_levels))
        self.parameters = [
            self.embedding,
            self.input_weight,
            self.hidden_weight,
            self.bias,
            self.head,
            self.head_bias,
        ]

    def start(self, b: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the input before the first choice: embedding rows (b,) and LSTM states (b, u)."""
        import torch

        zeros = self.head.new_zeros(b, self.units)
        return torch.zeros(b, dtype=torch.long), zeros, zeros

    def step(self, rows: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Return the LSTM's states (b, u) after it has read rows (b,) of the embedding."""
        import torch

        found: tuple[Tensor, Tensor] = torch.lstm_cell(
            self.embedding[rows], (hidden, cell), self.input_weight, self.hidden_weight, self.bias, self.no_bias
        )
        return found

    def log_softmax(self, parameter: int, hidden: Tensor) -> Tensor:
        """Return log-probabilities (b, k) of a parameter's levels."""
        import torch

        part = slice(self.offsets[parameter], self.offsets[parameter + 1])
        return torch.log_softmax(hidden @ self.head[part].T + self.head_bias[part], dim=-1)

    def evaluate(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities of choices, and the entropies they were made with.

        All steps at once: in every episode the active parameters move to the front, in their order,
        and what is behind them counts for nothing.

        Parameters
        ----------
        levels : (b, n) int64
            -1 for inactive parameters.

        Returns
        -------
        log_probs, entropies : (b, n)
            0 for inactive parameters.
        """
        import torch

        active = levels >= 0
        order = torch.argsort((~active).int(), dim=1, stable=True)
        choices = torch.tensor(self.offsets)[order] + levels.clamp(min=0).gather(1, order)
        rows, hidden, cell = self.start(len(levels))
        read = self.embedding[torch.cat([rows[:, None], 1 + choices[:, :-1]], 1)]
        weights = [self.input_weight, self.hidden_weight, self.bias, self.no_bias]
        states = torch.lstm(read, (hidden[None], cell[None]), weights, True, 1, 0.0, True, False, True)[0]
        logits = states @ self.head.T + self.head_bias
        log_probs = torch.log_softmax(logits.masked_fill(self.owners != order[..., None], MASKED), dim=-1)
        entropies = -(log_probs.exp() * log_probs).sum(-1)
        chosen = log_probs.gather(2, choices[..., None])[..., 0]
        back = order.argsort(1)
        return chosen.gather(1, back) * active, entropies.gather(1, back) * active


class ControllerSearch(HPOAdapter):
    """Draws configurations from the controller, which learns from every `batch_size` results.

    Parameters
    ----------
    learning_rate : float
        Of Adam.
    batch_size : int
        Episodes per update.
    entropy : float
        Weight of the entropy bonus.
    baseline_decay : float
        Of the moving average of rewards, per batch.
    units : int
        Of the LSTM and its embeddings.
    levels : int
        Bins of a number; a value is drawn uniformly within its bin.
    """

    learning_rate: float
    batch_size: int
    entropy: float
    baseline_decay: float
    units: int
    levels: int

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        import torch

        from benchbench.methods.hpo._discrete import Grid, Ranks
        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        name = self.card.name
        self._rng = context.rng(name, "choices")
        self._sampler = Sampler(problem.space, context.derive(name, "space"))
        self._grid = Grid(problem.space, self.levels, context.rng(name, "bins"))
        generator = torch.Generator().manual_seed(context.derive(name, "weights"))
        self._controller = Controller(self._grid.n_levels, units=self.units, generator=generator)
        self._optimiser = torch.optim.Adam(self._controller.parameters, lr=self.learning_rate)
        self._ranks = Ranks()
        self._baseline = 0.0
        self._batch: list[tuple[Episode, float | None]] = []

    @abstractmethod
    def learn(self, levels: Tensor, log_probs: Tensor, advantages: Tensor) -> None:
        """Train the controller on a batch of episodes.

        Parameters
        ----------
        levels : (b, n) int64
        log_probs : (b, n) float32
            Of the choices when they were made.
        advantages : (b,) float32
        """

    def descend(self, loss: Tensor) -> None:
        """Take one step of Adam."""
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()

    def ask(self) -> Suggestion:
        import torch

        for _ in range(MAX_TRIES):
            with torch.no_grad():
                suggestion = self._draw()
            if suggestion is not None:
                return suggestion
        return Suggestion(self._sampler.sample())

    def tell(self, observation: Observation) -> None:
        self._ranks.add(observation.loss)
        if observation.suggestion.tag is None:
            return
        self._batch.append((observation.suggestion.tag, observation.loss))
        if len(self._batch) >= self.batch_size:
            self._train()
            self._batch = []

    def _draw(self) -> Suggestion | None:
        """Draw an episode; None if its configuration is forbidden."""
        import numpy as np

        controller, n = self._controller, len(self._grid.n_levels)
        levels, log_probs = [-1] * n, [0.0] * n
        rows, hidden, cell = controller.start(1)

        def choose(i: int) -> float:
            nonlocal hidden, cell
            hidden, cell = controller.step(rows, hidden, cell)
            found = controller.log_softmax(i, hidden)[0].numpy()
            up_to = np.cumsum(np.exp(found, dtype=np.float64))
            level = min(int(np.searchsorted(up_to, self._rng.random() * up_to[-1], side="right")), len(found) - 1)
            levels[i], log_probs[i] = level, float(found[level])
            rows[0] = 1 + controller.offsets[i] + level
            return self._grid.coordinate(i, level)

        config = self._grid.configuration(self._grid.build(choose))
        return None if config is None else Suggestion(config, tag=Episode(levels, log_probs))

    def _train(self) -> None:
        import torch

        rewards = torch.tensor([1 - 2 * self._ranks.share(loss) for _, loss in self._batch])
        levels = torch.tensor([episode.levels for episode, _ in self._batch])
        log_probs = torch.tensor([episode.log_probs for episode, _ in self._batch])
        self.learn(levels, log_probs, rewards - self._baseline)
        decay = self.baseline_decay
        self._baseline = decay * self._baseline + (1 - decay) * float(rewards.mean())
