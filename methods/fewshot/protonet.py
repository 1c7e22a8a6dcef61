"""Prototypical networks: a query belongs to the class whose mean support embedding is nearest.

Snell, Swersky & Zemel 2017, arXiv:1703.05175. Conv4-64 with max-pooling, squared Euclidean distance, trained with more ways
than it is tested with: 60 ways and 5 queries a class, Adam at 1e-3, halved every 2,000 episodes. As in the paper's code,
batch norm uses its running statistics at test, so a query's prediction doesn't depend on the others (inductive), and the
parameters that do best on validation episodes are kept.

What differs: convolutions in bfloat16 where the CPU has instructions for it (`precision`), which cost no accuracy that could
be measured; with it scores repeat exactly on one kind of CPU only. Validation uses few episodes. The paper trains on
training and validation classes together at the end; here on training classes alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import EpisodeSource, FewShotAdapter, Predictor, Support, TaskInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["ProtoNet"]

HALVE_AFTER = 2000
N_REPORTS = 8
# four poolings of 2 leave nothing of a smaller image
SMALLEST_IMAGE = 16
# images embedded at once at test: their activations stay in the cache (0.15 ms an image against 0.33 for 1,280 at once)
CHUNK_IMAGES = 128


class ProtoNet(FewShotAdapter):
    """Prototypical networks; `precision` None means bfloat16 where the CPU has it, float32 elsewhere."""

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
    )

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        train_way: int = 60,
        train_queries: int = 5,
        precision: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.train_way = train_way
        self.train_queries = train_queries
        self.precision = precision

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        n = super().iterations(preset, task)
        # an episode costs as many times more as it has more images; the quick preset has to end in half a minute
        return max(1, n * 6 // (5 + task.k_shot)) if preset == "quick" else n

    def supports(self, task: TaskInfo) -> str | None:
        if task.kind != "classification":
            return "ProtoNet votes for classes: it has no regression form"
        if len(task.input_shape) != 3 or min(task.input_shape[1:]) < SMALLEST_IMAGE:
            return f"needs images of at least {SMALLEST_IMAGE} pixels a side, got inputs of shape {task.input_shape}"
        return None

    def setup(self, task: TaskInfo, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._embedding import Conv4, choose_precision

        super().setup(task, context)
        torch.manual_seed(context.derive("protonet", "init"))
        precision = self.precision or choose_precision(context.device)
        self._network = Conv4(task.input_shape[0], precision=precision).to(context.device)

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch
        from torch.nn.functional import cross_entropy

        from benchbench.methods.fewshot._embedding import distance_logits, prototypes
        from benchbench.methods.fewshot._gradient import as_tensors
        from benchbench.methods.fewshot._reporting import Reporter

        rng = context.rng("protonet", "episodes")
        shape = {"n_way": min(self.train_way, episodes.n_classes), "k_shot": self.task.k_shot}
        reporter = Reporter(self, validation, n_reports=N_REPORTS, budget=budget)
        optimiser = torch.optim.Adam(self._network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, HALVE_AFTER, gamma=0.5)
        best, kept = float("-inf"), None
        for iteration in range(1, budget.iterations + 1):
            batch = episodes.sample(rng, n_query=self.train_queries, **shape)
            support_x, support_y, query_x, query_y = (part[0] for part in as_tensors(batch, context.device))
            self._network.train()
            # one forward pass: batch norm sees support and queries together, as in the paper's code
            embedded = self._network(torch.cat([support_x, query_x]))[None]
            n = len(support_y)
            centres = prototypes(embedded[:, :n], support_y[None], shape["n_way"])
            loss = cross_entropy(distance_logits(centres, embedded[:, n:])[0], query_y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            score = reporter.after(iteration, loss.item())
            # later wins ties: validation accuracy saturates near 1 on Omniglot
            if score is not None and score >= best:
                best, kept = score, copy.deepcopy(self._network.state_dict())
        if kept is not None:
            self._network.load_state_dict(kept)

    def adapt(self, support: Support) -> Predictor:
        import torch

        from benchbench.methods.fewshot._embedding import prototypes

        y = torch.as_tensor(support.y, device=self.context.device)
        return _Adapted(self, prototypes(self._embed(support.x[None]), y[None], support.n_way))

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        import torch

        from benchbench.methods.fewshot._embedding import prototypes

        y = torch.as_tensor(support_y, device=self.context.device)
        return self._probabilities(prototypes(self._embed(support_x), y, self.task.n_way), query_x)

    def _embed(self, x: NDArray[np.float32]) -> Tensor:
        """Embed test images (n_tasks, n, *input) with the running statistics: (n_tasks, n, n_features)."""
        import torch

        self._network.eval()
        with torch.no_grad():
            images = torch.as_tensor(x, device=self.context.device).flatten(0, 1)
            embedded = torch.cat([self._network(part) for part in images.split(CHUNK_IMAGES)])
        return embedded.unflatten(0, x.shape[:2])

    def _probabilities(self, centres: Tensor, query_x: NDArray[np.float32]) -> NDArray[np.float32]:
        from benchbench.methods.fewshot._embedding import distance_logits

        array: NDArray[np.float32] = distance_logits(centres, self._embed(query_x)).softmax(-1).cpu().numpy()
        return array


@dataclass(frozen=True, slots=True)
class _Adapted(Predictor):
    method: ProtoNet
    centres: Tensor

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        return self.method._probabilities(self.centres, query_x[None])[0]
