"""Relation networks: a learnt score of the similarity between a query and a class.

Sung, Yang, Zhang, Xiang, Torr & Hospedales 2018, arXiv:1711.06025. An embedding of four convolution
blocks, of which only the first two pool, keeps its positions (5x5 for 28x28 images). A class is the
sum of its support embeddings. Class and query are concatenated, and two more blocks and two linear
layers score them between 0 and 1, trained by squared error against 1 for the true class and 0 for
others: Adam at 1e-3, halved every 100,000 episodes, with the authors' training episodes.

What differs:

- At test, batch norm uses running statistics, so queries are predicted alone. The authors' code
  uses those of the test batch, and so is transductive.
- The gradient is clipped to 0.5 over the whole network rather than over its two halves.
- Probabilities are scores divided by their sum.
- Linear layers are initialised as in torch. The last bias is set such that scores begin at one in
  n_way, since the squared error lingers where all scores are equal (docs/tuning/metric-methods.md).
- For larger images the paper's relation blocks do not pad; here they do.
- Convolutions are in bfloat16 where the CPU has it (`precision`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._episodic import EpisodeShape, EpisodicAdapter
from benchbench.methods.fewshot._image_settings import is_colour

if TYPE_CHECKING:
    from benchbench.methods.fewshot._embedding import EpisodicNetwork

__all__ = ["RelationNet"]

# (ways, shots) -> training queries per class, of the paper's experiments on Omniglot; and on
# miniImageNet, by shots
GREY_QUERIES = {(5, 1): 19, (5, 5): 15, (20, 1): 10, (20, 5): 5}
COLOUR_QUERIES = {1: 15, 5: 10}
OTHER_QUERIES = 10


class RelationNet(EpisodicAdapter):
    """Relation networks.

    Parameters
    ----------
    learning_rate : float
    train_way, train_queries : int, optional
        Ways, and queries per class, of training episodes; None means the test episodes' ways, and
        the paper's queries.
    precision : str, optional
        None means bfloat16 where the CPU has it, float32 elsewhere.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="relation",
        track="fewshot",
        title="Relation networks",
        summary="Learns an embedding and a network that scores how alike a query and a class are.",
        paper="Sung, Yang, Zhang, Xiang, Torr & Hospedales 2018, CVPR",
        url="https://arxiv.org/abs/1711.06025",
        year=2018,
        differs="batch norm with running statistics at test (the authors' code is transductive); one clip for all gradients;"
        " scores begin at one in n_way; padded relation blocks for large images; bfloat16 convolutions where the CPU has them",
        family="metric",
        tasks=("classification",),
        batched=True,
        iterations={"quick": 350, "standard": 6000, "paper": 1_000_000},
        published={
            "omniglot-maml-5w1s": 0.996,
            "omniglot-maml-5w5s": 0.998,
            "omniglot-maml-20w1s": 0.976,
            "omniglot-maml-20w5s": 0.991,
            "miniimagenet-5w1s": 0.5044,
            "miniimagenet-5w5s": 0.6532,
        },
    )
    halve_after = 100_000
    clip_norm = 0.5

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        train_way: int | None = None,
        train_queries: int | None = None,
        precision: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.train_way = train_way
        self.train_queries = train_queries
        self.precision = precision

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        n = super().iterations(preset, task)
        # an episode of 20 ways takes 2.5 times as long as one of 5; only the paper's budget is
        # counted in episodes alone
        return n if preset == "paper" else max(1, n * 10 // (5 + task.n_way))

    def build(self, task: TaskInfo) -> EpisodicNetwork:
        from benchbench.methods.fewshot._comparisons import Relation
        from benchbench.methods.fewshot._embedding import choose_precision

        precision = self.precision or choose_precision(self.context.device)
        return Relation(task.input_shape, n_way=self.episode_shape(task).n_way, precision=precision)

    def episode_shape(self, task: TaskInfo) -> EpisodeShape:
        way = self.train_way or task.n_way
        papers = COLOUR_QUERIES.get(task.k_shot) if is_colour(task) else GREY_QUERIES.get((way, task.k_shot))
        return EpisodeShape(
            n_way=way, k_shot=task.k_shot, n_query_per_class=self.train_queries or papers or OTHER_QUERIES
        )
