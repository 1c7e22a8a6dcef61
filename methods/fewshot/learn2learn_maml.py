"""MAML of learn2learn: an independent implementation to compare `maml` with.

Arnold et al. 2020, arXiv:2008.12284.

The library's `MAML` clones and adapts a torch module, task by task. Everything else is as in
`maml`: network, initial values, settings of presets, iterations, episodes and optimiser.

What differs between the two is arithmetic: where both take the same steps, parameters agree up to
rounding (a test holds this).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import EpisodeSource, FewShotAdapter, Predictor, Support, TaskInfo
from benchbench.methods.fewshot._peers import skip_init
from benchbench.methods.fewshot.maml import MAML

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["Learn2LearnMAML"]

N_REPORTS = 8


class Learn2LearnMAML(FewShotAdapter):
    """Model-agnostic meta-learning by learn2learn; parameters as those of `maml`."""

    card: ClassVar[MethodCard] = MethodCard(
        name="learn2learn_maml",
        track="fewshot",
        title="MAML (learn2learn)",
        summary="learn2learn's MAML with the network, settings and episodes of this package's own.",
        paper="Arnold, Mahajan, Datta, Bunner & Zarkias 2020",
        url="https://arxiv.org/abs/2008.12284",
        year=2020,
        differs="The library, version 0.2; images only; network, initial values, settings and episodes are those of maml.",
        family="gradient",
        tasks=("classification",),
        transductive=True,
        batched=True,
        iterations=dict(MAML.card.iterations),
        requirements="requirements/learn2learn.txt",
    )

    def __init__(
        self,
        *,
        meta_rate: float = 1e-3,
        meta_batch: int | None = None,
        inner_rate: float | None = None,
        train_steps: int | None = None,
        test_steps: int | None = None,
        train_queries: int | None = None,
    ) -> None:
        self.meta_rate, self.meta_batch = meta_rate, meta_batch
        self.inner_rate = inner_rate
        self.train_steps, self.test_steps, self.train_queries = train_steps, test_steps, train_queries

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        return MAML.iterations(preset, task)

    def supports(self, task: TaskInfo) -> str | None:
        reason = super().supports(task)
        if reason is None and len(task.input_shape) != 3:
            reason = f"needs images, got inputs of shape {task.input_shape}"
        return reason

    def setup(self, task: TaskInfo, context: Context) -> None:
        skip_init("learn2learn")
        import torch
        from learn2learn.algorithms.maml import MAML as Library

        super().setup(task, context)
        self._settings = MAML.settings(task)
        generator = torch.Generator().manual_seed(context.derive(MAML.card.name, "init"))
        self.learner = Library(_network(task, generator), lr=self._value("inner_rate")).to(context.device)

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._meta_training import MetaTraining
        from benchbench.methods.fewshot._supply import Supply

        self._settings = MAML.settings_at(budget.preset, self.task)
        task, rng, n_tasks = self.task, context.rng(MAML.card.name, "episodes"), self._value("meta_batch")
        supply = Supply(episodes, context.device)
        optimiser = torch.optim.Adam(self.learner.parameters(), lr=self.meta_rate)
        parts = [self.learner, optimiser]
        training = MetaTraining(self, validation, budget=budget, rng=rng, parts=parts, n_reports=N_REPORTS)
        for iteration in training.iterations():
            batch = supply.sample(
                rng,
                n_way=task.n_way,
                k_shot=task.k_shot,
                n_query_per_class=self._value("train_queries"),
                n_tasks=n_tasks,
            )
            optimiser.zero_grad()
            total = 0.0
            for support_x, support_y, query_x, query_y in zip(*batch, strict=True):
                fast = self._adapted(support_x, support_y, "train_rate", "train_steps", first_order=False)
                loss = _loss(fast(query_x), query_y) / n_tasks
                # graphs of tasks are freed one by one
                loss.backward()
                total += loss.item()
            optimiser.step()
            training.after(iteration, total)

    def adapt(self, support: Support) -> Predictor:
        import torch

        x, y = (torch.as_tensor(a, device=self.context.device) for a in (support.x, support.y))
        # nothing is differentiated through these steps, so their second derivatives are not needed
        return _Adapted(self._adapted(x, y, "inner_rate", "test_steps", first_order=True), self.context.device)

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        import numpy as np

        episodes = zip(support_x, support_y, query_x, strict=True)
        return np.stack([self.adapt(Support(x, y, self.task.n_way)).predict(query) for x, y, query in episodes])

    def _adapted(self, x: Tensor, y: Tensor, rate: str, n_steps: str, *, first_order: bool) -> Any:
        fast = self.learner.clone(first_order=first_order)
        fast.lr = self._value(rate)
        for _ in range(self._value(n_steps)):
            fast.adapt(_loss(fast(x), y))
        return fast

    def _value(self, name: str) -> Any:
        # as in our own MAML, a rate that is given holds in training as well
        given = getattr(self, "inner_rate" if name == "train_rate" else name)
        return self._settings[name] if given is None else given


class _Adapted(Predictor):
    """A clone of the learner that has taken its steps."""

    def __init__(self, learner: Any, device: str) -> None:
        self.learner, self.device = learner, device

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        import torch

        with torch.no_grad():
            found: NDArray[np.float32] = (
                self.learner(torch.as_tensor(query_x, device=self.device)).softmax(-1).cpu().numpy()
            )
        return found


def _loss(logits: Tensor, y: Tensor) -> Tensor:
    import torch.nn.functional as F

    return F.cross_entropy(logits, y)


def _network(task: TaskInfo, generator: Any) -> nn.Module:
    """Return the network of `maml` as a torch module with the initial values that it draws.

    It is `_backbones.ConvNet`.
    """
    from torch import nn

    from benchbench.methods.fewshot._backbones import ConvNet, make_network

    channels = task.input_shape[0]
    model = make_network(task)
    assert isinstance(model, ConvNet)
    drawn = model.init(generator)
    layers: list[nn.Module] = []
    for i in range(model.n_layers):
        n_in, stride = model.n_filters if i else channels, 1 if model.pools else 2
        convolution = nn.Conv2d(n_in, model.n_filters, 3, stride=stride, padding=1, bias=False)
        # rows come in the order kernel row, kernel column, channel
        kernel = drawn[3 * i].view(3, 3, convolution.in_channels, model.n_filters)
        convolution.weight.data.copy_(kernel.permute(3, 2, 0, 1))
        # the moments of the examples present, also at test
        pooling: list[nn.Module] = [nn.MaxPool2d(2)] if model.pools else []
        layers += [convolution, nn.BatchNorm2d(model.n_filters, track_running_stats=False), nn.ReLU(), *pooling]
    head = nn.Linear(model.n_features, task.n_way)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, nn.Flatten(), head)
