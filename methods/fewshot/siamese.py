"""Siamese networks: an embedding in which images of one class are close, others a margin apart.

Koch, Zemel & Salakhutdinov 2015 (ICML deep learning workshop): learn from pairs to verify that two
images are of one class, then classify by verification. The loss is that of Hadsell, Chopra & LeCun
2006, doi:10.1109/CVPR.2006.100, without their factor 1/2: d^2 for pairs of one class, max(0, margin
- d)^2 for others, d the Euclidean distance of the embeddings. The parameters that do best on 5-way
1-shot validation episodes are kept.

What differs from Koch:

- Conv4-64 in place of their larger network; convolutions are in bfloat16 where the CPU has it.
- The contrastive loss in place of a logistic output on weighted absolute differences.
- No distortions of the images.
- All pairs across two drawings each of `batch_size` / 2 classes are used, and both kinds of pairs
  weigh one half: the expected loss of half same, half different pairs drawn at random, with less
  noise.
- A query takes the class of its nearest support image; probabilities are a softmax of -`sharpness`
  x distance to each class's nearest image.

Margin and nearest image were chosen on validation letters (docs/tuning/metric-methods.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import EpisodeSource
from benchbench.methods.fewshot._pretraining import Objective, PretrainedAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Siamese"]

# episodes compared at once
CHUNK_TASKS = 8


class Siamese(PretrainedAdapter):
    """Siamese networks with the contrastive loss.

    Parameters
    ----------
    learning_rate : float
    batch_size : int
        Images an iteration, two of each class.
    margin : float
        Distance beyond which pairs of different classes cost nothing.
    sharpness : float
        What distances are multiplied by before the softmax.
    precision : str, optional
        None means bfloat16 where the CPU has it, float32 elsewhere.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="siamese",
        track="fewshot",
        title="Siamese networks",
        summary="Learns from pairs which images are of one class; a query takes the class with the nearest support.",
        paper="Koch, Zemel & Salakhutdinov 2015, ICML workshop",
        url="https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf",
        year=2015,
        differs="Conv4 and Hadsell's contrastive loss in place of a larger network with a logistic output; no image distortions;"
        " no fine-tuning at test; bfloat16 convolutions where the CPU has them",
        family="metric",
        tasks=("classification",),
        batched=True,
        iterations={"quick": 350, "standard": 6000, "paper": 50000},
        # of Vinyals et al. 2016, table 1, without fine-tuning on the support set; with it 0.973,
        # 0.984, 0.881 and 0.97, which later papers quote
        published={
            "omniglot-vinyals-5w1s": 0.967,
            "omniglot-vinyals-5w5s": 0.984,
            "omniglot-vinyals-20w1s": 0.88,
            "omniglot-vinyals-20w5s": 0.965,
        },
    )
    keeps_best = True

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        batch_size: int = 120,
        margin: float = 15.0,
        sharpness: float = 0.7,
        precision: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.margin = margin
        self.sharpness = sharpness
        self.precision = precision

    def objective(self, episodes: EpisodeSource) -> Objective:
        import torch

        from benchbench.methods.fewshot._comparisons import contrastive_loss, support_distances
        from benchbench.methods.fewshot._supply import Supply

        n_way = min(self.batch_size // 2, episodes.n_classes)
        is_same = torch.eye(n_way, dtype=torch.bool, device=self.context.device)
        supply = Supply(episodes, self.context.device)

        def loss(rng: np.random.Generator) -> Tensor:
            x, _, other, _ = supply.sample(rng, n_way=n_way, k_shot=1, n_query_per_class=1)
            z, w = self._network(torch.cat([x[0], other[0]])).split(n_way)
            losses = contrastive_loss(support_distances(z[None], w[None])[0], is_same, margin=self.margin)
            return (losses[is_same].mean() + losses[~is_same].mean()) / 2

        return loss, []

    def classify(
        self, support_z: NDArray[np.float32], support_y: NDArray[Any], query_z: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        import torch

        from benchbench.methods.fewshot._comparisons import support_distances

        z, y, q = (torch.as_tensor(a) for a in (support_z, support_y, query_z))
        n_way = int(y.max()) + 1
        # differences of all pairs: 20 ways and 5 shots take 2.6 MB an episode
        d = torch.cat(
            [support_distances(a, b) for a, b in zip(z.split(CHUNK_TASKS), q.split(CHUNK_TASKS), strict=True)]
        )
        member = torch.nn.functional.one_hot(y, n_way)
        nearest = d.unsqueeze(-1).masked_fill(member.unsqueeze(1) == 0, float("inf")).amin(2)
        array: NDArray[np.float32] = (-self.sharpness * nearest).softmax(-1).numpy()
        return array
