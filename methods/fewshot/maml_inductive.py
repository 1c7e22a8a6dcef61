"""MAML without transduction: batch norm takes its moments from the support set.

Queries are predicted one by one.

Finn, Abbeel & Levine 2017, arXiv:1703.03400, with the evaluation that Nichol, Achiam & Schulman
2018, arXiv:1803.02999, call fair: the paper's own code lets batch norm see all queries of an
episode together. Everything else is `maml`. In training, too, queries are normalised by the support
set.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot._learned_init import LearnedInitialisation

__all__ = ["InductiveMAML"]


class InductiveMAML(LearnedInitialisation):
    """MAML whose queries do not see each other."""

    card: ClassVar[MethodCard] = MethodCard(
        name="maml_inductive",
        track="fewshot",
        title="MAML, inductive",
        summary="MAML whose batch norm at test uses the support set alone.",
        paper="Finn, Abbeel & Levine 2017, ICML; Nichol et al. 2018",
        url="https://arxiv.org/abs/1803.02999",
        year=2018,
        differs="as maml; queries normalised by the support set, not by support and one query",
        family="gradient",
        tasks=("classification", "regression"),
        transductive=False,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
    )
