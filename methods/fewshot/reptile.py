"""Reptile: the initialisation moves towards the parameters that training on each task ends with.

Nichol, Achiam & Schulman 2018, arXiv:1803.02999; the loop and the paper's settings are in
`_reptile`. Batch norm uses all queries of an episode together (transductive: the paper's better
figures; `reptile_inductive` has the others).

What differs:

- Adam's second moments carry over from iteration to iteration, not from task to task.
- Every step at test sees the whole support set, so its order does not matter: 50 steps up to 2
  shots; with more 15, beyond 10 ways 10. The paper's 50 mini-batches pass 10 and 5 times over 5
  shots on Omniglot, 30 times on miniImageNet.
- The head starts at zero. Adam's epsilon is 1e-5, on mean gradients; in the paper's code 1e-8, on
  their sum over a mini-batch.
- The paper's code tests with one query per class, and the published figures with transduction are
  of such small batches; the suites here have K or 15 per class.
- Photographs are pooled to 5x5 positions (there 6x6).
- At the quick preset an iteration has 2 tasks, and Adam's rate on drawings is 3e-3.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot import _reptile

__all__ = ["Reptile"]


class Reptile(_reptile.ReptileBase):
    """Reptile with transduction."""

    card: ClassVar[MethodCard] = MethodCard(
        name="reptile",
        track="fewshot",
        title="Reptile",
        summary="Moves an initialisation towards what training on each task makes of it.",
        paper="Nichol, Achiam & Schulman 2018",
        url="https://arxiv.org/abs/1803.02999",
        year=2018,
        differs=(
            "Adam's moments go on by iterations, not tasks; whole support sets at test; zero head; quick: 2 tasks, on drawings rate 3e-3"
        ),
        family="gradient",
        tasks=("classification", "regression"),
        transductive=True,
        batched=True,
        iterations={"quick": 360, "standard": 3600, "paper": 100000},
        published={
            "omniglot-maml-5w1s": 0.9768,
            "omniglot-maml-5w5s": 0.9948,
            "omniglot-maml-20w1s": 0.8943,
            "omniglot-maml-20w5s": 0.9712,
            "miniimagenet-5w1s": 0.4997,
            "miniimagenet-5w5s": 0.6599,
        },
    )
