"""PPO: REINFORCE's recurrent controller, trained several times per batch in a clipped region.

Schulman, Wolski, Dhariwal, Radford & Klimov 2017, "Proximal policy optimization algorithms",
arXiv:1707.06347, equation (7): with the ratio of a choice's probability now to its probability when
it was made, the mean of min(ratio A, clip(ratio, 1 - e, 1 + e) A) is maximised, here over the
choices of active parameters. Entropy bonus as in their equation (9). Controller: `_controller`.

What differs: the advantage A is the reward of the finished configuration less a moving average, the
same for all its choices, instead of a learnt value function with generalised advantage estimation;
every epoch takes the whole batch in one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import KINDS
from benchbench.methods.hpo._controller import ControllerSearch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PPOController", "clipped_objective"]


class PPOController(ControllerSearch):
    """PPO with a recurrent controller; parameters as in `ControllerSearch`, and two more.

    Parameters
    ----------
    clip : float
        How far the ratio of probabilities may gain anything from 1.
    epochs : int
        Steps on each batch.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="ppo_controller",
        track="hpo",
        title="PPO controller",
        summary="A recurrent controller chooses each parameter in turn; trained by PPO's clipped objective.",
        paper="Schulman et al. 2017",
        url="https://arxiv.org/abs/1707.06347",
        year=2017,
        differs="a moving average instead of a value function; whole batches; rewards by ranks",
        family="rl",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(
        self,
        *,
        learning_rate: float = 0.02,
        batch_size: int = 8,
        clip: float = 0.2,
        epochs: int = 4,
        entropy: float = 0.15,
        baseline_decay: float = 0.8,
        units: int = 32,
        levels: int = 8,
    ) -> None:
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.clip = clip
        self.epochs = epochs
        self.entropy = entropy
        self.baseline_decay = baseline_decay
        self.units = units
        self.levels = levels

    def learn(self, levels: Tensor, log_probs: Tensor, advantages: Tensor) -> None:
        active = levels >= 0
        for _ in range(self.epochs):
            found, entropies = self._controller.evaluate(levels)
            objective = clipped_objective(found, log_probs, advantages, active, self.clip)
            bonus = (entropies * active).sum() / active.sum()
            self.descend(-objective - self.entropy * bonus)


def clipped_objective(new: Tensor, old: Tensor, advantages: Tensor, active: Tensor, clip: float) -> Tensor:
    """Return PPO's clipped objective, to be maximised.

    Parameters
    ----------
    new, old : (b, n)
        Log-probabilities of the choices, now and when they were made.
    advantages : (b,)
    active : (b, n) bool
        The mean is over these.
    clip : float
    """
    import torch

    ratio = (new - old).exp()
    gain = torch.minimum(ratio * advantages[:, None], ratio.clamp(1 - clip, 1 + clip) * advantages[:, None])
    return (gain * active).sum() / active.sum()
