"""REINFORCE: a recurrent controller chooses levels; choices of good configurations become likelier.

Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement
learning", Machine Learning 8: the gradient of the expected reward is the mean over episodes of (r -
b) times the gradient of the log-probability of the choices (his equation 11 with the same
reinforcement for all of them). The controller and the moving average b: `_controller`, after Zoph &
Le 2017, arXiv:1611.01578. The mean entropy of the choices is added with a weight (Williams & Peng
1991, Connection Science 3), so that the controller does not settle at once.

What differs from Zoph & Le: hyper-parameters instead of architectures, within hundreds of
evaluations instead of thousands: one layer of 32 units, Adam at a rate fifty times theirs (0.0006),
rewards by ranks, an entropy bonus, no distributed training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import KINDS
from benchbench.methods.hpo._controller import ControllerSearch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Reinforce", "reinforce_loss"]


class Reinforce(ControllerSearch):
    """REINFORCE with a recurrent controller; parameters as in `ControllerSearch`."""

    card: ClassVar[MethodCard] = MethodCard(
        name="reinforce",
        track="hpo",
        title="REINFORCE",
        summary="A recurrent controller chooses each parameter in turn; choices of good configurations become likelier.",
        paper="Williams 1992, Machine Learning; controller of Zoph & Le 2017, ICLR",
        url="https://doi.org/10.1007/BF00992696",
        year=1992,
        differs="one layer of 32 units; Adam at 0.03; rewards by ranks; an entropy bonus",
        family="rl",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(
        self,
        *,
        learning_rate: float = 0.03,
        batch_size: int = 8,
        entropy: float = 0.05,
        baseline_decay: float = 0.8,
        units: int = 32,
        levels: int = 8,
    ) -> None:
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.entropy = entropy
        self.baseline_decay = baseline_decay
        self.units = units
        self.levels = levels

    def learn(self, levels: Tensor, log_probs: Tensor, advantages: Tensor) -> None:
        found, entropies = self._controller.evaluate(levels)
        self.descend(reinforce_loss(found, advantages) - self.entropy * entropies.sum(1).mean())


def reinforce_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return what has minus REINFORCE's estimate as its gradient.

    Parameters
    ----------
    log_probs : (b, n)
        Of the choices; 0 for inactive parameters.
    advantages : (b,)
    """
    return -(log_probs.sum(1) * advantages).mean()
