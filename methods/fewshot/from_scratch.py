"""Training from scratch: a fresh network learns each support set alone, and nothing passes from task to task.

The baseline that shows what meta-training is worth. Networks are those of MAML (`_backbones`), trained by Adam on the whole
support set for a fixed number of steps. All episodes start from the same random parameters. Batch norm uses the support set's
moments also for the queries, so predictions are inductive.

Rates and steps were chosen on tasks of the training classes (glyphs) and on training waves (sinusoid). On glyphs they hardly
matter, beyond fitting the support set: rates of 0.001 to 0.04 and 3 to 40 steps all reach 31 to 34 % at 5-way 1-shot and, from
0.003 on, 49 to 52 % at 5-way 5-shot (60 tasks); so the steps are few. On sinusoids (200 tasks) the mean squared error is 1.48 here,
1.62 at a rate of 0.01, 1.92 at 0.1, and 1.72 after 300 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.fewshot import FewShotAdapter, Predictor, Support, TaskInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from benchbench.methods.fewshot._backbones import Moments, Network

__all__ = ["FromScratch"]

IMAGES = {"rate": 0.02, "steps": 5}
VECTORS = {"rate": 0.03, "steps": 1000}
# input values of the support sets trained at once, and of the queries predicted at once: activations stay in the caches
SUPPORT_VALUES, QUERY_VALUES = 80 * 784, 40 * 784


class FromScratch(FewShotAdapter):
    """Adam on the support set from a random start.

    Parameters
    ----------
    rate : float or None
        Adam's rate; None means what was chosen for images or vectors.
    steps : int or None
        Full-batch steps; None means what was chosen for images or vectors.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="from_scratch",
        track="fewshot",
        title="From scratch",
        summary="Trains a fresh network on each support set alone.",
        paper="baseline of Vinyals et al. 2016 and Finn et al. 2017, without pretraining",
        url="https://arxiv.org/abs/1703.03400",
        year=2017,
        differs="steps and rate chosen on the training classes of glyphs and on sinusoids",
        family="baseline",
        tasks=("classification", "regression"),
        batched=True,
        iterations={"quick": 0, "standard": 0, "paper": 0},
    )

    def __init__(self, *, rate: float | None = None, steps: int | None = None) -> None:
        self.rate = rate
        self.steps = steps

    def setup(self, task: TaskInfo, context: Context) -> None:
        """See the base class."""
        import torch

        from benchbench.methods.fewshot._backbones import make_network

        super().setup(task, context)
        self._network = make_network(task)
        drawn = self._network.init(torch.Generator().manual_seed(context.derive("from_scratch", "init")))
        self._start = [p.to(context.device) for p in drawn]

    def adapt(self, support: Support) -> Predictor:
        """See the base class."""
        return self._train(support.x[None], support.y[None])

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        """See the base class."""
        import numpy as np

        chunk = max(1, SUPPORT_VALUES // support_x[0].size)
        parts = [slice(first, first + chunk) for first in range(0, len(support_x), chunk)]
        return np.concatenate([self._train(support_x[p], support_y[p]).predict_tasks(query_x[p]) for p in parts])

    def _train(self, support_x: NDArray[np.float32], support_y: NDArray[Any]) -> _Trained:
        """Train one network a task."""
        import torch

        from benchbench.methods.fewshot._gradient import task_losses

        chosen = IMAGES if len(self.task.input_shape) == 3 else VECTORS
        x, y = _tensor(support_x, self.context.device), _tensor(support_y, self.context.device)
        params = [p.repeat(len(x), *[1] * p.dim()).requires_grad_() for p in self._start]
        optimiser = torch.optim.Adam(params, lr=self.rate or chosen["rate"])
        for _ in range(self.steps or int(chosen["steps"])):
            # summed over tasks, so that each network's gradient is that of its own loss
            loss = task_losses(self._network.forward(params, x)[0], y).sum()
            for param, grad in zip(params, torch.autograd.grad(loss, params), strict=True):
                param.grad = grad
            optimiser.step()
        with torch.no_grad():
            _, moments = self._network.forward(params, x)
        return _Trained(self._network, [p.detach() for p in params], moments, self.task.kind)


@dataclass(frozen=True, slots=True)
class _Trained(Predictor):
    """Networks of `n_tasks` tasks, with the moments of their support sets."""

    network: Network
    params: list[Tensor]
    moments: Moments
    kind: str

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """See the base class."""
        return self.predict_tasks(query_x[None])[0]

    def predict_tasks(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Predict the queries (n_tasks, n_query, *input) of every task."""
        import torch

        x = _tensor(query_x, str(self.params[0].device))
        chunk = max(1, QUERY_VALUES // x[:, 0].numel())
        with torch.no_grad():
            outputs = torch.cat([self.network.forward(self.params, q, self.moments)[0] for q in x.split(chunk, 1)], 1)
        array: NDArray[np.float32] = (outputs if self.kind == "regression" else outputs.softmax(-1)).cpu().numpy()
        return array


def _tensor(array: NDArray[Any], device: str) -> Tensor:
    import numpy as np
    import torch

    return torch.as_tensor(np.ascontiguousarray(array), device=device)
