"""Training independent of ways and shots: by default of a classifier of all training classes.

Importing this is light; heads and losses are in `_heads` and `_comparisons`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.fewshot import EmbeddingAdapter, EpisodeSource, TaskInfo
from benchbench.methods.fewshot._episodic import CHUNK_IMAGES
from benchbench.methods.fewshot._image_settings import too_small
from benchbench.methods.fewshot._network_state import NetworkState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from benchbench.contracts.context import Budget, Context
    from benchbench.methods.fewshot._embedding import Conv4

__all__ = ["Objective", "PretrainedAdapter"]

Objective = tuple[Callable[["np.random.Generator"], "Tensor"], Iterable["nn.Parameter"]]
"""The loss of one batch drawn by the generator, and the parameters that are trained besides the
embedding's.
"""

# validation episodes, the same for every task, since the tasks share the training
VALIDATION_WAY, VALIDATION_SHOT = 5, 1


class PretrainedAdapter(NetworkState, EmbeddingAdapter):
    """Trains a Conv4 embedding with Adam once for all tasks on the same data.

    Subclasses classify with what it embeds.

    Subclasses store `learning_rate`, `batch_size` and `precision` in their constructor.
    """

    n_reports: ClassVar[int] = 8
    """Validations, evenly spaced over training."""
    keeps_best: ClassVar[bool] = False
    """Whether the parameters that do best on validation episodes are kept, rather than the last."""
    learning_rate: float
    batch_size: int
    precision: str | None
    _network: Conv4

    def head(self, n_features: int, n_labels: int) -> nn.Module:
        """Make the classifier (n, n_features) -> logits (n, n_labels) for pre-training.

        It is trained with the embedding, and then dropped.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither a head nor an objective of its own")

    def objective(self, episodes: EpisodeSource) -> Objective:
        """Return what is minimised; by default the cross-entropy of `head` over all classes.

        Raises
        ------
        ValueError
            If the source has no labels to classify.
        """
        from torch.nn.functional import cross_entropy

        from benchbench.methods.fewshot._supply import Supply

        if episodes.n_labels == 0:
            raise ValueError(f"{self.card.title} pre-trains a classifier, and {type(episodes).__name__} has no classes")
        head = self.head(self._n_features(), episodes.n_labels).to(self.context.device)
        supply = Supply(episodes, self.context.device)

        def loss(rng: np.random.Generator) -> Tensor:
            x, y = supply.sample_images(rng, self.batch_size)
            return cross_entropy(head(self._network(x)), y)

        return loss, head.parameters()

    def calibrate(self, episodes: EpisodeSource) -> None:
        """Learn what else predictions need of the training images; called once, after training."""

    def training_key(self, task: TaskInfo) -> Mapping[str, Any] | None:
        return {}

    def supports(self, task: TaskInfo) -> str | None:
        return super().supports(task) or too_small(task)

    def setup(self, task: TaskInfo, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._embedding import Conv4, choose_precision

        super().setup(task, context)
        torch.manual_seed(context.derive(self.card.name, "init"))
        precision = self.precision or choose_precision(context.device)
        self._network = Conv4(task.input_shape[0], precision=precision).to(context.device)

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._meta_training import MetaTraining

        rng = context.rng(self.card.name, "images")
        loss_of, more = self.objective(episodes)
        more = list(more)
        optimiser = torch.optim.Adam([*self._network.parameters(), *more], lr=self.learning_rate)
        training = MetaTraining(
            self,
            validation,
            budget=budget,
            rng=rng,
            parts=[self._network, *more, optimiser],
            selects=self._network if self.keeps_best else None,
            n_reports=self.n_reports,
            n_way=VALIDATION_WAY,
            k_shot=VALIDATION_SHOT,
        )
        for iteration in training.iterations():
            self._network.train()
            loss = loss_of(rng)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            training.after(iteration, loss.item())
        training.finish()
        self.calibrate(episodes)

    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        self._network.eval()
        with torch.no_grad():
            images = torch.as_tensor(x, device=self.context.device)
            parts = [self._network(part) for part in images.split(CHUNK_IMAGES)]
            embedded: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return embedded

    def _n_features(self) -> int:
        """Return the length of an embedding."""
        height, width = (side // 16 for side in self.task.input_shape[1:])
        return 64 * height * width
