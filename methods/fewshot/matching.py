"""Matching networks: a query takes the labels of the support examples, each weighted by attention.

Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra 2016, arXiv:1606.04080. Conv4-64 embeddings.
Attention is a softmax over the support set of the cosine between query and support embedding, and
the prediction is the sum of attention times one-hot label. The parameters that do best on
validation episodes are kept.

What differs:

- Cosines are multiplied by `scale` before the softmax, since their own range of 2 leaves it nearly
  flat (docs/tuning/metric-methods.md).
- Training episodes of drawings have 60 ways and 5 queries per class, as ProtoNet's, whatever the
  test episodes. The paper's have the test's ways, as those of photographs have here, with 15
  queries.
- Full context embeddings (an LSTM over the support set) are left out: the paper's Omniglot figures
  are without.
- Adam at 1e-3, halved every 2,000 episodes (the paper does not say). Convolutions are in bfloat16
  where the CPU has it (`precision`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._episodic import EpisodeShape, EpisodicAdapter
from benchbench.methods.fewshot._image_settings import GREY_QUERIES, GREY_WAYS, is_colour, quick_episodes

if TYPE_CHECKING:
    from benchbench.methods.fewshot._embedding import EpisodicNetwork

__all__ = ["MatchingNet"]

COLOUR_QUERIES = 15
"""Of a training episode on miniImageNet, as Ravi & Larochelle have it."""


class MatchingNet(EpisodicAdapter):
    """Matching networks without full context embeddings.

    Parameters
    ----------
    learning_rate : float
    scale : float
        What cosines are multiplied by before the softmax; 1 is the paper's.
    train_way, train_queries : int, optional
        Ways, and queries per class, of training episodes; see above.
    precision : str, optional
        None means bfloat16 where the CPU has it, float32 elsewhere.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="matching",
        track="fewshot",
        title="Matching networks",
        summary="Learns an embedding; a query takes the support labels, weighted by a softmax of cosines.",
        paper="Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra 2016, NeurIPS",
        url="https://arxiv.org/abs/1606.04080",
        year=2016,
        differs="cosines scaled before the softmax; 60-way training episodes of drawings; no full context embeddings; bfloat16 convolutions"
        " where the CPU has them",
        family="metric",
        tasks=("classification",),
        batched=True,
        iterations={"quick": 90, "standard": 1500, "paper": 20000},
        published={
            "omniglot-vinyals-5w1s": 0.981,
            "omniglot-vinyals-5w5s": 0.989,
            "omniglot-vinyals-20w1s": 0.938,
            "omniglot-vinyals-20w5s": 0.985,
            # without full context embeddings, as Ravi & Larochelle 2017 measured
            "miniimagenet-5w1s": 0.434,
            "miniimagenet-5w5s": 0.5109,
        },
    )

    halve_after = 2000

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        scale: float = 30.0,
        train_way: int | None = None,
        train_queries: int | None = None,
        precision: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.scale = scale
        self.train_way = train_way
        self.train_queries = train_queries
        self.precision = precision

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        n = super().iterations(preset, task)
        return quick_episodes(n, task) if preset == "quick" else n

    def build(self, task: TaskInfo) -> EpisodicNetwork:
        from benchbench.methods.fewshot._comparisons import CosineAttention
        from benchbench.methods.fewshot._embedding import choose_precision

        precision = self.precision or choose_precision(self.context.device)
        return CosineAttention(task.input_shape[0], scale=self.scale, precision=precision)

    def episode_shape(self, task: TaskInfo) -> EpisodeShape:
        way, n_query_per_class = (task.n_way, COLOUR_QUERIES) if is_colour(task) else (GREY_WAYS, GREY_QUERIES)
        return EpisodeShape(
            n_way=self.train_way or way, k_shot=task.k_shot, n_query_per_class=self.train_queries or n_query_per_class
        )
