"""First-order MAML: MAML with the inner gradients taken as constants.

Finn, Abbeel & Levine 2017, arXiv:1703.03400, section 5.2. The meta-gradient is that of the query
loss at the adapted parameters, without second derivatives, so it is cheaper. Transductive, as
`maml`.

What differs on drawings:

- Up to 10 ways there are three inner steps of 0.1 in place of one of 0.4: after one long step the
  first-order gradient says little.
- At the quick preset meta-training takes two steps of 0.2 with any number of ways.
- At the quick and standard presets there are five steps of 0.1 at test.

The other differences are described in `maml`; measurements are in docs/tuning/gradient-methods.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot._learned_init import FEW_WAYS, QUICK, LearnedInitialisation

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
        differs=(
            "three inner steps of 0.1, not one of 0.4; head on all positions, from zero; quick: 2 tasks, two steps of 0.2 in training;"
            " quick and standard: five of 0.1 at test"
        ),
        family="gradient",
        tasks=("classification", "regression"),
        transductive=True,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
        # of Nichol, Achiam & Schulman 2018 on Omniglot, with transduction
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
    few_ways: ClassVar[Mapping[str, Any]] = {**FEW_WAYS, "inner_rate": 0.1, "train_steps": 3}
    quick: ClassVar[Mapping[str, Any]] = {**QUICK, "train_steps": 2, "train_rate": 0.2}

    @classmethod
    def cost(cls, n_steps: int) -> float:
        # a step costs what the queries do; MAML's costs three times that, for what is
        # differentiated twice
        return (n_steps + 1) / 4
