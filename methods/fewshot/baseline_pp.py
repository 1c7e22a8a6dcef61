"""Baseline++: as Baseline, with cosine classifiers, which pull the features of a class together.

Chen, Liu, Kira, Wang & Huang 2019, arXiv:1904.04232. Both the classifier of all training classes
and the one trained on each support set give a scaled cosine between feature and class vector, times
a learnt norm of each class (weight normalisation). As in the authors' code the scale is 2, and 10
for more than 200 classes.

What differs is the same as in `baseline_linear`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot.baseline_linear import Baseline

if TYPE_CHECKING:
    from torch import nn

    from benchbench.methods.fewshot._heads import Heads

__all__ = ["BaselinePlusPlus"]

FEW_CLASSES, SCALE_OF_FEW, SCALE_OF_MANY = 200, 2.0, 10.0


class BaselinePlusPlus(Baseline):
    """Baseline++ of "A closer look at few-shot classification"; parameters as `Baseline`."""

    card: ClassVar[MethodCard] = MethodCard(
        name="baseline_pp",
        track="fewshot",
        title="Baseline++ (cosine)",
        summary="Trains a cosine classifier of all training classes, then a new cosine layer on each support set.",
        paper="Chen, Liu, Kira, Wang & Huang 2019, ICLR",
        url="https://arxiv.org/abs/1904.04232",
        year=2019,
        differs=Baseline.card.differs,
        family="baseline",
        tasks=("classification",),
        batched=True,
        iterations={"quick": 1200, "standard": 20000, "paper": 50000},
    )

    def head(self, n_features: int, n_labels: int) -> nn.Module:
        from benchbench.methods.fewshot._heads import CosineHead

        return CosineHead(n_features, n_labels, scale=_scale(n_labels))

    def support_heads(self, n_way: int) -> Heads:
        from benchbench.methods.fewshot._heads import CosineHeads

        return CosineHeads(_scale(n_way))


def _scale(n_classes: int) -> float:
    return SCALE_OF_FEW if n_classes <= FEW_CLASSES else SCALE_OF_MANY
