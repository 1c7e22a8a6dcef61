"""Methods that adapt to many episodes at once, and to one as a batch of one.

Importing this is light.

Shape glossary::

    n_tasks     episodes side by side
    n_support   examples of a support set
    *input      (channels, height, width) for images, (n_features,) otherwise
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.fewshot import FewShotAdapter, Predictor, Support, TaskInfo
from benchbench.methods.fewshot._image_settings import is_colour, validation_queries

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from benchbench.contracts.context import Context
    from benchbench.methods.fewshot._backbones import Network

__all__ = ["MAX_FEW_WAYS", "InitialisationAdapter", "SideBySideAdapter"]

# up to how many ways a paper's settings for few ways hold
MAX_FEW_WAYS = 10


class SideBySideAdapter(FewShotAdapter):
    """Learns from support sets and answers queries as tensors with a task dimension."""

    @abstractmethod
    def learn(self, x: Tensor, y: Tensor) -> Any:
        """Adapt to support sets.

        Parameters
        ----------
        x : (n_tasks, n_support, *input)
        y : (n_tasks, n_support) int64, or (n_tasks, n_support, n_outputs)

        Returns
        -------
        What `outputs` needs; no gradient flows through it.
        """

    @abstractmethod
    def outputs(self, learnt: Any, x: Tensor) -> Tensor:
        """Return logits or values (n_tasks, n_query, n_outputs) of queries.

        Queries are (n_tasks, n_query, *input). Called without gradients.
        """

    def slices(self, support_x: NDArray[np.float32], query_x: NDArray[np.float32]) -> Iterable[slice]:
        """Yield slices of tasks that are fast, and fit into memory, side by side."""
        from benchbench.methods.fewshot._gradient import chunks

        return chunks(query_x.shape, self.context.device)

    def training_key(self, task: TaskInfo) -> Mapping[str, Any] | None:
        key = {"way": task.n_way, "shot": task.k_shot, "validation_queries": validation_queries(task)}
        return key if task.kind == "classification" else None

    def adapt(self, support: Support) -> Predictor:
        return _Adapted(self, self._learn(support.x[None], support.y[None]))

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        import numpy as np

        parts = self.slices(support_x, query_x)
        return np.concatenate(
            [self._predict(self._learn(support_x[part], support_y[part]), query_x[part]) for part in parts]
        )

    def _learn(self, support_x: NDArray[np.float32], support_y: NDArray[Any]) -> Any:
        import torch

        return self.learn(*(torch.as_tensor(a, device=self.context.device) for a in (support_x, support_y)))

    def _predict(self, learnt: Any, query_x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities or values (n_tasks, n_query, n_outputs)."""
        import torch

        with torch.no_grad():
            outputs = self.outputs(learnt, torch.as_tensor(query_x, device=self.context.device))
            if self.task.kind == "classification":
                outputs = outputs.softmax(-1)
            array: NDArray[np.float32] = outputs.cpu().numpy()
        return array


@dataclass(frozen=True, slots=True)
class _Adapted(Predictor):
    method: SideBySideAdapter
    learnt: Any

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        return self.method._predict(self.learnt, query_x[None])[0]


class InitialisationAdapter(SideBySideAdapter):
    """Learns initial parameters of a network, from which gradient steps on a support set do well.

    What `learn` returns are the adapted parameters and the support inputs, whose moments normalise
    the queries of methods without transduction.
    """

    few_ways: ClassVar[Mapping[str, Any]]
    """The paper's settings up to `MAX_FEW_WAYS`, and so on."""
    many_ways: ClassVar[Mapping[str, Any]]
    colour: ClassVar[Mapping[str, Any]]
    regression: ClassVar[Mapping[str, Any]]
    averages: bool = False
    _network: Network
    _params: list[Tensor]

    def setup(self, task: TaskInfo, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._backbones import make_network

        super().setup(task, context)
        self._settings = self.settings(task)
        self._network = make_network(task, averages=self.averages)
        self.initialise(torch.Generator().manual_seed(context.derive(self.card.name, "init")))

    def initialise(self, generator: Generator) -> None:
        """Draw what is learnt."""
        self._params = [p.to(self.context.device) for p in self._network.init(generator)]

    @classmethod
    def settings(cls, task: TaskInfo) -> dict[str, Any]:
        """Return what parameters that were not given are, by name."""
        if task.kind == "regression":
            return dict(cls.regression)
        if is_colour(task):
            return dict(cls.colour)
        return dict(cls.few_ways if task.n_way <= MAX_FEW_WAYS else cls.many_ways)

    def value(self, name: str) -> Any:
        """Return the parameter as given, or else its setting for this task."""
        given = getattr(self, name)
        return self._settings[name] if given is None else given

    def outputs(self, learnt: Any, x: Tensor) -> Tensor:
        from benchbench.methods.fewshot._gradient import query_outputs

        fast, support = learnt
        return query_outputs(self._network, fast, support, x, is_inductive=not self.card.transductive)
