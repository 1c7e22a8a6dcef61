"""SNAIL: temporal convolutions and attention over the support set, with the query as last element.

Mishra, Rohaninejad, Chen & Abbeel 2018, arXiv:1707.03141. Embeddings of Conv4 and a fully connected
layer of 64, each with its label (none for the query), go through attention (64 keys, 32 values),
dense causal convolutions of 128 filters with gated activations, attention (256, 128), convolutions,
attention (512, 256) and a linear head, as in the paper for Omniglot. The support set is in random
order, and predictions depend on it. Every query ends a sequence of its own (inductive); the common
part is computed once.

What differs:

- The first attention starts by comparing embeddings and reading labels, and the head by passing
  those on, so training starts from a matching network (docs/tuning/recurrent-methods.md).
- Dilations are 1, 2, 4, ..., where the paper writes 2, 4, 8, ...: every earlier position can be
  reached.
- An iteration has 8 tasks of several queries per class, not 32 of one query. Adam's rate is 1e-3.
- The embedding is Conv4 for miniImageNet too, where the paper has a residual network: its published
  figures there are of that one.
- Convolutions are in bfloat16 where the CPU has them (`precision`). The best state on validation
  episodes is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._episodic import EpisodeShape, EpisodicAdapter

if TYPE_CHECKING:
    from benchbench.methods.fewshot._embedding import EpisodicNetwork

__all__ = ["SNAIL"]

# queries of an episode over all classes: 3 a class for 5 ways; more tasks with fewer queries did no
# better
TRAIN_QUERIES = 15
# images embedded in training at the quick and standard presets
IMAGES = {"quick": 32_000, "standard": 400_000}


class SNAIL(EpisodicAdapter):
    """Simple neural attentive learner.

    `precision` None means bfloat16 where the CPU has it, float32 elsewhere.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="snail",
        track="fewshot",
        title="SNAIL",
        summary="Causal convolutions and attention over the sequence of labelled support images and the query.",
        paper="Mishra, Rohaninejad, Chen & Abbeel 2018, ICLR",
        url="https://arxiv.org/abs/1707.03141",
        year=2018,
        differs="starts as a matching network; dilations from 1; 8 tasks of several queries; Conv4 for miniImageNet too",
        family="recurrent",
        tasks=("classification",),
        batched=True,
        ordered=True,
        iterations={"quick": 200, "standard": 2500, "paper": 80000},
        published={
            "omniglot-maml-5w1s": 0.9907,
            "omniglot-maml-5w5s": 0.9978,
            "omniglot-maml-20w1s": 0.9764,
            "omniglot-maml-20w5s": 0.9936,
            "miniimagenet-5w1s": 0.5571,
            "miniimagenet-5w5s": 0.6888,
        },
    )
    shuffles = True

    def __init__(self, *, learning_rate: float = 1e-3, meta_batch: int = 8, precision: str | None = None) -> None:
        self.learning_rate = learning_rate
        self.meta_batch = meta_batch
        self.precision = precision

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        if preset not in IMAGES:
            return super().iterations(preset, task)
        n_images = task.n_way * (task.k_shot + _queries(task))
        return max(1, min(IMAGES[preset] // (8 * n_images), cls.card.iterations["paper"]))

    def supports(self, task: TaskInfo) -> str | None:
        if task.kind != "classification":
            return "SNAIL reads labels as classes here: it has no regression form"
        return super().supports(task)

    def build(self, task: TaskInfo) -> EpisodicNetwork:
        from benchbench.methods.fewshot._embedding import choose_precision
        from benchbench.methods.fewshot._snail import Snail

        precision = self.precision or choose_precision(self.context.device)
        channels, height, width = task.input_shape
        n_features = 64 * (height // 16) * (width // 16)
        return Snail(channels, n_features, n_way=task.n_way, k_shot=task.k_shot, precision=precision)

    def episode_shape(self, task: TaskInfo) -> EpisodeShape:
        return EpisodeShape(
            n_way=task.n_way, k_shot=task.k_shot, n_query_per_class=_queries(task), n_tasks=self.meta_batch
        )


def _queries(task: TaskInfo) -> int:
    """Return the queries per class of a training episode."""
    return max(1, TRAIN_QUERIES // task.n_way)
