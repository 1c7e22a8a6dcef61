"""Reptile without transduction: batch norm takes its moments from the support set.

Queries are predicted one by one.

Nichol, Achiam & Schulman 2018, arXiv:1803.02999, table 2.

What differs: the paper normalises each query together with the support set; here queries are
normalised by the support set alone. Everything else is `reptile`.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot import _reptile

__all__ = ["InductiveReptile"]


class InductiveReptile(_reptile.ReptileBase):
    """Reptile whose queries do not see each other."""

    card: ClassVar[MethodCard] = MethodCard(
        name="reptile_inductive",
        track="fewshot",
        title="Reptile, inductive",
        summary="Reptile whose batch norm at test uses the support set alone.",
        paper="Nichol, Achiam & Schulman 2018",
        url="https://arxiv.org/abs/1803.02999",
        year=2018,
        differs="as reptile; queries normalised by the support set, not by support and one query",
        family="gradient",
        tasks=("classification", "regression"),
        transductive=False,
        batched=True,
        iterations={"quick": 360, "standard": 3600, "paper": 100000},
        published={
            "omniglot-maml-5w1s": 0.9539,
            "omniglot-maml-5w5s": 0.989,
            "omniglot-maml-20w1s": 0.8814,
            "omniglot-maml-20w5s": 0.9665,
            "miniimagenet-5w1s": 0.4707,
            "miniimagenet-5w5s": 0.6274,
        },
    )
