"""Prototypical networks: a query belongs to the class whose mean support embedding is nearest.

Snell, Swersky & Zemel 2017, arXiv:1703.05175. Conv4-64 with max-pooling and squared Euclidean
distance, trained with more ways than it is tested with: 60 ways and 5 queries per class, on
photographs 30 ways (20 with 5 shots) and 15 queries. Adam at 1e-3, halved every 2,000 episodes. As
in the paper's code, batch norm uses its running statistics at test, so a query's prediction does
not depend on the others (inductive). The parameters that do best on validation episodes are kept.

What differs:

- Convolutions are in bfloat16 where the CPU has instructions for it (`precision`), which cost no
  accuracy that could be measured. With it, scores repeat exactly on one kind of CPU only.
- Validation uses few episodes.
- The paper trains on training and validation classes together at the end; here on training classes
  alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._episodic import EpisodeShape, EpisodicAdapter
from benchbench.methods.fewshot._image_settings import GREY_QUERIES, GREY_WAYS, is_colour, quick_episodes

if TYPE_CHECKING:
    from benchbench.methods.fewshot._embedding import EpisodicNetwork

__all__ = ["ProtoNet", "training_shape"]

# of training episodes on miniImageNet, by shots (section 3.2)
COLOUR_WAYS, OTHER_COLOUR_WAYS, COLOUR_QUERIES = {1: 30, 5: 20}, 20, 15


class ProtoNet(EpisodicAdapter):
    """Prototypical networks.

    `precision` None means bfloat16 where the CPU has it, float32 elsewhere.

    Ways of training episodes and queries per class are the paper's unless given.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="protonet",
        track="fewshot",
        title="Prototypical networks",
        summary="Learns an embedding; a query takes the class with the nearest mean support embedding.",
        paper="Snell, Swersky & Zemel 2017, NeurIPS",
        url="https://arxiv.org/abs/1703.05175",
        year=2017,
        differs="bfloat16 convolutions where the CPU has them; few validation episodes; no retraining on validation classes",
        family="metric",
        tasks=("classification",),
        batched=True,
        iterations={"quick": 90, "standard": 1500, "paper": 20000},
        published={
            "omniglot-vinyals-5w1s": 0.988,
            "omniglot-vinyals-5w5s": 0.997,
            "omniglot-vinyals-20w1s": 0.96,
            "omniglot-vinyals-20w5s": 0.989,
            "miniimagenet-5w1s": 0.4942,
            "miniimagenet-5w5s": 0.682,
        },
    )
    halve_after = 2000

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
        return quick_episodes(n, task) if preset == "quick" else n

    def build(self, task: TaskInfo) -> EpisodicNetwork:
        from benchbench.methods.fewshot._embedding import Prototypes, choose_precision

        return Prototypes(task.input_shape[0], precision=self.precision or choose_precision(self.context.device))

    def episode_shape(self, task: TaskInfo) -> EpisodeShape:
        return training_shape(task, self.train_way, self.train_queries)


def training_shape(task: TaskInfo, way: int | None, queries: int | None) -> EpisodeShape:
    """Return the shape of training episodes, the paper's except for what is given."""
    if is_colour(task):
        ways, n_query_per_class = COLOUR_WAYS.get(task.k_shot, OTHER_COLOUR_WAYS), COLOUR_QUERIES
    else:
        ways, n_query_per_class = GREY_WAYS, GREY_QUERIES
    return EpisodeShape(n_way=way or ways, k_shot=task.k_shot, n_query_per_class=queries or n_query_per_class)
