"""Proto-MAML: MAML whose head starts from the prototypes of the support set.

Triantafillou et al. 2020 (Meta-Dataset), arXiv:1903.03096, section 3. A linear layer with weights 2
c_k and biases -|c_k|^2 classifies as a prototypical network does; inner steps then adapt it
together with the body. The meta-gradient flows through the initial head as well. Any number of ways
works, since no head is meta-learnt. Transductive, as `maml`.

What differs:

- MAML's network for small images in place of a residual network.
- Distances are divided by the root of the number of features, so that the softmax is not saturated
  at the start.
- The inner rate is 0.01, also in meta-training of many ways with one step
  (docs/tuning/gradient-methods.md).

The other differences are described in `maml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot._learned_init import COLOUR, FEW_WAYS, MANY_WAYS, LearnedInitialisation

__all__ = ["ProtoMAML"]


class ProtoMAML(LearnedInitialisation):
    """MAML with a head made of prototypes."""

    card: ClassVar[MethodCard] = MethodCard(
        name="proto_maml",
        track="fewshot",
        title="Proto-MAML",
        summary="MAML whose last layer starts as a nearest-prototype classifier.",
        paper="Triantafillou et al. 2020, ICLR",
        url="https://arxiv.org/abs/1903.03096",
        year=2020,
        differs="small network; scaled distances; quick: meta-batches of 2",
        family="gradient",
        tasks=("classification",),
        transductive=True,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
    )
    prototype_head = True
    colour: ClassVar[Mapping[str, Any]] = {**COLOUR, "inner_rate": 0.01}
    few_ways: ClassVar[Mapping[str, Any]] = {**FEW_WAYS, "inner_rate": 0.01}
    many_ways: ClassVar[Mapping[str, Any]] = {**MANY_WAYS, "inner_rate": 0.01, "train_steps": 1}
    quick: ClassVar[Mapping[str, Any]] = {}
    standard: ClassVar[Mapping[str, Any]] = {}
