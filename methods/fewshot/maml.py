"""MAML: an initialisation from which a few gradient steps do well on the queries.

Finn, Abbeel & Levine 2017, arXiv:1703.03400. Second order, vectorised over the meta-batch. The
paper's network and rates are the defaults (`_backbones`, `_learned_init`). As in the paper's code,
batch norm always uses the examples present, also at test: predictions depend on which queries come
together (transductive; `maml_inductive` is the same without). In training there are as many queries
per class as shots. The final parameters are used, without selection by validation.

What differs:

- The head sees all positions of the last layer (256 features for 28x28) and starts at zero. The
  paper's code averages them (`averages`; 64 features) and draws the head at random.
- Inner steps go down the mean of the support set's cross-entropies. The paper's code sums over
  classes, so its steps are longer by the number of ways. On drawings the factor is left out, on
  photographs it is in the rate.
- Scale and shift of batch norm are adapted. The paper's code learns the shift without adapting it,
  and has no scale. Convolutions have no bias, which batch norm would cancel. Perceptrons are drawn
  uniformly.
- Photographs (three channels: miniImageNet, CIFAR-FS) get the settings of the paper's miniImageNet:
  32 filters, max-pooling in place of strides, five inner steps of 0.05 (0.01 times five ways), ten
  at test, 15 queries, unclipped meta-gradients. The paper's code tests miniImageNet with as many
  queries per class as shots; here there are 15.
- At the quick preset a meta-batch of images has 2 tasks, and on drawings meta-training takes the
  paper's one inner step of 0.4 for few ways also beyond 10 ways. At that preset and the standard
  one, the test on drawings takes the paper's five steps of 0.1 for many ways also up to 10 ways.

Measurements behind these choices are in docs/tuning/gradient-methods.md.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot._learned_init import LearnedInitialisation

__all__ = ["MAML"]


class MAML(LearnedInitialisation):
    """Model-agnostic meta-learning."""

    card: ClassVar[MethodCard] = MethodCard(
        name="maml",
        track="fewshot",
        title="MAML",
        summary="Meta-learns an initialisation that a few gradient steps adapt to a new task.",
        paper="Finn, Abbeel & Levine 2017, ICML",
        url="https://arxiv.org/abs/1703.03400",
        year=2017,
        differs=(
            "head on all positions, from zero; inner steps on the mean loss; batch norm's scale and shift adapted too; quick: 2 tasks,"
            " one inner step in training; quick and standard: five of 0.1 at test"
        ),
        family="gradient",
        tasks=("classification", "regression"),
        transductive=True,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
        published={
            "omniglot-maml-5w1s": 0.987,
            "omniglot-maml-5w5s": 0.999,
            "omniglot-maml-20w1s": 0.958,
            "omniglot-maml-20w5s": 0.989,
            "miniimagenet-5w1s": 0.487,
            "miniimagenet-5w5s": 0.6311,
        },
    )
