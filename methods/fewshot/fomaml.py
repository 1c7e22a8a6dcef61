"""First-order MAML: MAML with the inner gradients taken as constants.

Finn, Abbeel & Levine 2017, arXiv:1703.03400, section 5.2. The meta-gradient is that of the query loss at the adapted parameters;
no second derivatives, hence cheaper. Transductive, as `maml`; what differs from the paper is said there.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot._learned_init import LearnedInitialisation

__all__ = ["FirstOrderMAML"]


class FirstOrderMAML(LearnedInitialisation):
    """MAML without second derivatives."""

    card: ClassVar[MethodCard] = MethodCard(
        name="fomaml",
        track="fewshot",
        title="First-order MAML",
        summary="MAML whose meta-gradient leaves second derivatives out.",
        paper="Finn, Abbeel & Levine 2017, ICML",
        url="https://arxiv.org/abs/1703.03400",
        year=2017,
        differs="head on all positions, from zero; batch norm's scale and shift adapted too; quick: meta-batches of 2",
        family="gradient",
        tasks=("classification", "regression"),
        transductive=True,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
        published={
            "omniglot-maml-5w1s": 0.983,
            "omniglot-maml-5w5s": 0.992,
            "omniglot-maml-20w1s": 0.894,
            "omniglot-maml-20w5s": 0.979,
            "miniimagenet-5w1s": 0.4807,
            "miniimagenet-5w5s": 0.6315,
        },
    )
    mode = "first_order"
    speed = 2.0
