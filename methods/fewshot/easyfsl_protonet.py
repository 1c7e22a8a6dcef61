"""Prototypical networks of easyfsl: an independent implementation to compare `protonet` with.

Snell, Swersky & Zemel 2017, arXiv:1703.05175; the library is
https://github.com/sicara/easy-few-shot-learning.

The library's `PrototypicalNetworks` uses the embedding of `protonet`, with the same initial values,
training episodes, settings, iterations and choice of the best parameters by validation.

What differs comes from the library: its scores are minus Euclidean distances, not their squares as
in the paper, and batch norm sees support and queries one after the other in training.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import EpisodeSource, FewShotAdapter, Predictor, Support, TaskInfo
from benchbench.methods.fewshot._image_settings import too_small
from benchbench.methods.fewshot._peers import skip_init
from benchbench.methods.fewshot.protonet import ProtoNet, training_shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EasyFSLProtoNet"]


class EasyFSLProtoNet(FewShotAdapter):
    """Prototypical networks by easyfsl; parameters as those of `protonet`."""

    card: ClassVar[MethodCard] = MethodCard(
        name="easyfsl_protonet",
        track="fewshot",
        title="Prototypical networks (easyfsl)",
        summary="easyfsl's prototypical networks with the embedding, settings and episodes of this package's own.",
        paper="Snell, Swersky & Zemel 2017, NeurIPS",
        url="https://arxiv.org/abs/1703.05175",
        year=2017,
        differs="The library, version 1.5: distances are not squared. Embedding, initial values and episodes are those of protonet.",
        family="metric",
        tasks=("classification",),
        batched=True,
        iterations=dict(ProtoNet.card.iterations),
        requirements="requirements/easyfsl.txt",
    )

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        train_way: int | None = None,
        train_queries: int | None = None,
        precision: str | None = None,
    ) -> None:
        self.learning_rate, self.train_way = learning_rate, train_way
        self.train_queries, self.precision = train_queries, precision

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        return ProtoNet.iterations(preset, task)

    def supports(self, task: TaskInfo) -> str | None:
        return super().supports(task) or too_small(task)

    def setup(self, task: TaskInfo, context: Context) -> None:
        skip_init("easyfsl.methods")
        import torch
        from easyfsl.methods.prototypical_networks import PrototypicalNetworks

        from benchbench.methods.fewshot._embedding import Conv4, choose_precision

        super().setup(task, context)
        torch.manual_seed(context.derive(ProtoNet.card.name, "init"))
        embedding = Conv4(task.input_shape[0], precision=self.precision or choose_precision(context.device))
        self.model: Any = PrototypicalNetworks(embedding).to(context.device)

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch
        import torch.nn.functional as F

        from benchbench.methods.fewshot._meta_training import MetaTraining
        from benchbench.methods.fewshot._supply import Supply

        rng = context.rng(ProtoNet.card.name, "episodes")
        shape = training_shape(self.task, self.train_way, self.train_queries)
        supply = Supply(episodes, context.device)
        optimiser = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, ProtoNet.halve_after or 1, gamma=0.5)
        training = MetaTraining(
            self,
            validation,
            budget=budget,
            rng=rng,
            parts=[self.model, optimiser, schedule],
            selects=self.model,
            n_reports=ProtoNet.n_reports,
        )
        for iteration in training.iterations():
            support_x, support_y, query_x, query_y = supply.sample(
                rng,
                n_way=min(shape.n_way, episodes.n_classes),
                k_shot=shape.k_shot,
                n_query_per_class=shape.n_query_per_class,
            )
            self.model.train()
            self.model.process_support_set(support_x[0], support_y[0])
            loss = F.cross_entropy(self.model(query_x[0]), query_y[0])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            training.after(iteration, loss.item())
        training.finish()

    def adapt(self, support: Support) -> Predictor:
        import torch

        # the library keeps a support set's prototypes in the model itself: each episode has a copy,
        # with the same weights
        model = copy.copy(self.model).eval()
        x, y = (torch.as_tensor(a, device=self.context.device) for a in (support.x, support.y))
        with torch.no_grad():
            model.process_support_set(x, y)
        return _Adapted(model, self.context.device)

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        import numpy as np

        episodes = zip(support_x, support_y, query_x, strict=True)
        return np.stack([self.adapt(Support(x, y, self.task.n_way)).predict(query) for x, y, query in episodes])


class _Adapted(Predictor):
    """The model with one episode's prototypes."""

    def __init__(self, model: Any, device: str) -> None:
        self.model, self.device = model, device

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        import torch

        with torch.no_grad():
            found: NDArray[np.float32] = (
                self.model(torch.as_tensor(query_x, device=self.device)).softmax(-1).cpu().numpy()
            )
        return found
