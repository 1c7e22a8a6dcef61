"""SimpleShot: nearest class mean on the normalised features of an ordinary classifier.

Wang, Chao, Weinberger & van der Maaten 2019, arXiv:1911.04623. A Conv-4 and a linear softmax layer
are trained on all training classes at once; the layer is dropped. At test, features are centred by
the mean feature of the training images and divided by their length (the paper's CL2N), and a query
takes the class with the nearest mean. The parameters that do best on 5-way 1-shot validation
episodes are kept; they are scored without centring, as in the authors' code.

What differs:

- Adam at 1e-3 with batches of 32 in place of SGD with steps over 90 epochs, for short budgets.
- The mean is taken over 2,000 training images rather than all.
- No augmentation; bfloat16 convolutions where the CPU has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.fewshot import EpisodeSource, TaskInfo
from benchbench.methods.fewshot._pretraining import PretrainedAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["SimpleShot"]

MEAN_IMAGES = 2000


class SimpleShot(PretrainedAdapter):
    """SimpleShot with CL2N features.

    `precision` None means bfloat16 where the CPU has it, float32 elsewhere.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="simpleshot",
        track="fewshot",
        title="SimpleShot (CL2N)",
        summary="Trains a classifier of all training classes; a query takes the nearest class mean of normalised features.",
        paper="Wang, Chao, Weinberger & van der Maaten 2019",
        url="https://arxiv.org/abs/1911.04623",
        year=2019,
        differs="Adam with small batches in place of stepped SGD; no augmentation; mean feature of 2,000 training images;"
        " bfloat16 convolutions where the CPU has them",
        family="baseline",
        tasks=("classification",),
        batched=True,
        iterations={"quick": 1200, "standard": 20000, "paper": 50000},
        published={"miniimagenet-5w1s": 0.4969, "miniimagenet-5w5s": 0.6692},
    )
    keeps_best = True

    def __init__(self, *, learning_rate: float = 1e-3, batch_size: int = 32, precision: str | None = None) -> None:
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.precision = precision

    def head(self, n_features: int, n_labels: int) -> nn.Module:
        from torch import nn

        return nn.Linear(n_features, n_labels)

    def setup(self, task: TaskInfo, context: Context) -> None:
        import numpy as np

        super().setup(task, context)
        self._mean = np.zeros(self._n_features(), np.float32)

    def calibrate(self, episodes: EpisodeSource) -> None:
        x, _ = episodes.sample_images(self.context.rng(self.card.name, "mean"), MEAN_IMAGES)
        self._mean = self.embed(x).mean(0)

    def state(self) -> dict[str, NDArray[Any]]:
        return {**super().state(), "mean": self._mean}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        super().load_state({name: value for name, value in state.items() if name != "mean"})
        self._mean = state["mean"]

    def classify(
        self, support_z: NDArray[np.float32], support_y: NDArray[Any], query_z: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        import torch

        from benchbench.methods.fewshot._embedding import distance_logits, prototypes

        support, y, query = (torch.as_tensor(a) for a in (support_z, support_y, query_z))
        centres = prototypes(self._normalised(support), y, int(y.max()) + 1)
        array: NDArray[np.float32] = distance_logits(centres, self._normalised(query)).softmax(-1).numpy()
        return array

    def _normalised(self, z: Tensor) -> Tensor:
        """Centre and divide by the length: (T, n, n_features)."""
        import torch
        from torch.nn.functional import normalize

        return normalize(z - torch.as_tensor(self._mean), dim=-1)
