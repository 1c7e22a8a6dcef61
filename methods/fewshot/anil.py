"""ANIL, almost no inner loop: MAML whose inner steps move the head alone.

Raghu, Raghu, Bengio & Vinyals 2020, arXiv:1909.09157. The body is meta-learnt and does not change
during adaptation, so features of the support set are computed once, however many steps there are.
Transductive, as `maml`.

The paper's rates are MAML's. The differences from that paper, also those at the quick and standard
presets, are described in `maml`.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot._learned_init import LearnedInitialisation

__all__ = ["ANIL"]


class ANIL(LearnedInitialisation):
    """MAML that adapts only the last layer."""

    card: ClassVar[MethodCard] = MethodCard(
        name="anil",
        track="fewshot",
        title="ANIL",
        summary="MAML whose inner steps adapt the last layer alone.",
        paper="Raghu, Raghu, Bengio & Vinyals 2020, ICLR",
        url="https://arxiv.org/abs/1909.09157",
        year=2020,
        differs="head on all positions, from zero; quick: 2 tasks, one inner step in training; quick and standard: five of 0.1 at test",
        family="gradient",
        tasks=("classification", "regression"),
        transductive=True,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
        published={
            "omniglot-maml-20w1s": 0.962,
            "omniglot-maml-20w5s": 0.98,
            "miniimagenet-5w1s": 0.467,
            "miniimagenet-5w5s": 0.615,
        },
    )
    head_only = True

    @classmethod
    def cost(cls, n_steps: int) -> float:
        return n_steps / 1.5
