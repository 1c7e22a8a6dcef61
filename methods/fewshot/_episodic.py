"""Training by episodes, for methods that embed each image alone and compare it with a support set.

Importing this is light; the networks are in `_embedding`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.fewshot import EmbeddingAdapter, EpisodeSource, TaskInfo
from benchbench.methods.fewshot._image_settings import too_small, validation_queries
from benchbench.methods.fewshot._network_state import NetworkState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.contracts.context import Budget, Context
    from benchbench.methods.fewshot._embedding import EpisodicNetwork

__all__ = ["EpisodeShape", "EpisodicAdapter"]

# images embedded at once at test: their activations stay in the cache (docs/tuning/kernels.md)
CHUNK_IMAGES = 128
# support and query rows classified at once
CHUNK_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeShape:
    """Shape of the training episodes; `n_tasks` is per iteration."""

    n_way: int
    k_shot: int
    n_query_per_class: int
    n_tasks: int = 1


class EpisodicAdapter(NetworkState, EmbeddingAdapter):
    """Trains an `EpisodicNetwork` by episodes with Adam; keeps the best on validation episodes.

    Subclasses store `learning_rate` in their constructor.
    """

    n_reports: ClassVar[int] = 8
    """Validations, evenly spaced over training: points of the curve, and candidates to be kept."""
    halve_after: ClassVar[int | None] = None
    """Iterations after which the learning rate is halved, again and again."""
    clip_norm: ClassVar[float | None] = None
    """Largest norm of the gradient."""
    shuffles: ClassVar[bool] = False
    """Whether support rows are put in random order in training, as they are at test: for methods
    that see a sequence.
    """
    learning_rate: float
    _network: EpisodicNetwork

    @abstractmethod
    def build(self, task: TaskInfo) -> EpisodicNetwork:
        """Make the network; torch's generator is seeded and `self.context` is set."""

    @abstractmethod
    def episode_shape(self, task: TaskInfo) -> EpisodeShape:
        """Return the shape of training episodes; more ways than there are classes are capped."""

    def parameters(self) -> Iterable[Any]:
        """Return what Adam trains, as parameters or groups of them."""
        return self._network.parameters()

    def training_key(self, task: TaskInfo) -> Mapping[str, Any] | None:
        return {"way": task.n_way, "shot": task.k_shot, "validation_queries": validation_queries(task)}

    def supports(self, task: TaskInfo) -> str | None:
        return super().supports(task) or too_small(task)

    def setup(self, task: TaskInfo, context: Context) -> None:
        import torch

        super().setup(task, context)
        torch.manual_seed(context.derive(self.card.name, "init"))
        self._network = self.build(task).to(context.device)

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._meta_training import MetaTraining
        from benchbench.methods.fewshot._supply import Supply, shuffled

        rng, shape = context.rng(self.card.name, "episodes"), self.episode_shape(self.task)
        n_way = min(shape.n_way, episodes.n_classes)
        supply = Supply(episodes, context.device)
        optimiser = torch.optim.Adam(self.parameters(), lr=self.learning_rate)
        step = self.halve_after or budget.iterations + 1
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, step, gamma=0.5)
        training = MetaTraining(
            self,
            validation,
            budget=budget,
            rng=rng,
            parts=[self._network, optimiser, schedule],
            selects=self._network,
            n_reports=self.n_reports,
        )
        for iteration in training.iterations():
            support_x, support_y, query_x, query_y = supply.sample(
                rng, n_way=n_way, k_shot=shape.k_shot, n_query_per_class=shape.n_query_per_class, n_tasks=shape.n_tasks
            )
            if self.shuffles:
                support_x, support_y = shuffled(rng, support_x, support_y)
            self._network.train()
            # one forward pass: batch norm sees support and queries together
            embedded = self._network.embed(torch.cat([support_x, query_x], 1).flatten(0, 1))
            embedded = embedded.unflatten(0, (shape.n_tasks, -1))
            n = support_y.shape[1]
            logits = self._network.logits(embedded[:, :n], support_y, embedded[:, n:], n_way)
            loss = self._network.loss(logits, query_y)
            optimiser.zero_grad()
            loss.backward()
            if self.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self._network.parameters(), self.clip_norm)
            optimiser.step()
            schedule.step()
            training.after(iteration, loss.item())
        training.finish()

    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        self._network.eval()
        with torch.no_grad():
            images = torch.as_tensor(x, device=self.context.device)
            embedded: NDArray[np.float32] = (
                torch.cat([self._network.embed(part) for part in images.split(CHUNK_IMAGES)]).cpu().numpy()
            )
        return embedded

    def classify(
        self, support_z: NDArray[np.float32], support_y: NDArray[Any], query_z: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        import torch

        self._network.eval()
        device, n_way = self.context.device, self.task.n_way
        size = max(1, CHUNK_ROWS // (support_z.shape[1] + query_z.shape[1]))
        found = []
        with torch.no_grad():
            for first in range(0, len(support_y), size):
                z, y, q = (
                    torch.as_tensor(a[first : first + size], device=device) for a in (support_z, support_y, query_z)
                )
                found.append(self._network.logits(z, y, q, n_way).softmax(-1))
            probabilities: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return probabilities
