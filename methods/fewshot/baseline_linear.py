"""Baseline: a linear classifier trained on each support set, on frozen features.

Chen, Liu, Kira, Wang & Huang 2019, arXiv:1904.04232. A Conv-4 and a linear softmax layer are
trained on all training classes with Adam at 1e-3. The final parameters are used, without
validation. At test a new linear layer is trained on the support set alone by SGD (rate 0.01,
dampened momentum 0.9, weight decay 0.001), 100 times over it in batches of 4.

What differs:

- Each step takes the whole support set, and there are as many steps as the paper has batches. So
  nothing depends on the order of the support set, and all test episodes train side by side.
- Every episode starts from the same random layer.
- Pre-training has batches of 32 rather than 16, no augmentation, and bfloat16 convolutions where
  the CPU has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.methods.fewshot._pretraining import PretrainedAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from benchbench.methods.fewshot._heads import Heads

__all__ = ["Baseline"]

SUPPORT_EPOCHS, SUPPORT_BATCH = 100, 4
SGD = {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.001}
# values of the support sets trained on at once
CHUNK_VALUES = 2**22


class Baseline(PretrainedAdapter):
    """The baseline of "A closer look at few-shot classification".

    Parameters
    ----------
    learning_rate, batch_size
        Of the pre-training.
    support_epochs : int
        Passes over the support set, in as many steps as there are batches of 4.
    precision : str, optional
        None means bfloat16 where the CPU has it, float32 elsewhere.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="baseline_linear",
        track="fewshot",
        title="Baseline (linear)",
        summary="Trains a classifier of all training classes, then a new linear layer on each support set.",
        paper="Chen, Liu, Kira, Wang & Huang 2019, ICLR",
        url="https://arxiv.org/abs/1904.04232",
        year=2019,
        differs="steps on the whole support set rather than batches of 4, as many of them; pre-training in batches of 32 without"
        " augmentation; bfloat16 convolutions where the CPU has them",
        family="baseline",
        tasks=("classification",),
        batched=True,
        iterations={"quick": 1200, "standard": 20000, "paper": 50000},
    )

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        support_epochs: int = SUPPORT_EPOCHS,
        precision: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.support_epochs = support_epochs
        self.precision = precision

    def head(self, n_features: int, n_labels: int) -> nn.Module:
        from torch import nn

        head = nn.Linear(n_features, n_labels)
        nn.init.zeros_(head.bias)
        return head

    def support_heads(self, n_way: int) -> Heads:
        """Return the kind of head that is trained on support sets."""
        from benchbench.methods.fewshot._heads import LinearHeads

        return LinearHeads()

    def classify(
        self, support_z: NDArray[np.float32], support_y: NDArray[Any], query_z: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        import torch

        from benchbench.methods.fewshot._heads import train_heads

        device, n_way = self.context.device, int(support_y.max()) + 1
        heads = self.support_heads(n_way)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.context.derive(self.card.name, "support head"))
            start = [p.to(device) for p in heads.start(support_z.shape[2], n_way)]
        n_steps = self.support_epochs * -(-support_z.shape[1] // SUPPORT_BATCH)
        size = max(1, CHUNK_VALUES // support_z[0].size)
        found = []
        with torch.no_grad():
            for first in range(0, len(support_y), size):
                z, y, q = (
                    torch.as_tensor(a[first : first + size], device=device) for a in (support_z, support_y, query_z)
                )
                params = train_heads(heads, start, heads.features(z), y, n_steps=n_steps, **SGD)
                found.append(heads.logits(params, heads.features(q)).softmax(-1))
        array: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return array
