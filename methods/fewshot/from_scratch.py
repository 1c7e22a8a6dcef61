"""Training from scratch: a fresh network is trained on each support set alone.

The baseline that any meta-learner must beat.

The network is that of Finn, Abbeel & Levine 2017, arXiv:1703.03400 (see `_backbones`), with Adam on
the whole support set for a fixed number of steps. All test episodes train side by side, each on its
own. Every episode starts from the same random parameters, drawn from the trial's seed, so an
episode's predictions do not depend on its neighbours. Batch norm takes its moments from the support
set in training and at test, so queries are predicted one by one (inductive).
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

# chosen on episodes of the training classes of glyphs and on sinusoids of the training stream
# (docs/tuning/gradient-methods.md)
IMAGE_STEPS, IMAGE_RATE = 6, 5e-3
VECTOR_STEPS, VECTOR_RATE = 500, 3e-2

# with Adam's own 1e-8 parameters of zero gradient move by rounding errors, so that predictions
# depend on the order of the support set (docs/tuning/gradient-methods.md)
ADAM_EPSILON = 1e-3


class FromScratch(FewShotAdapter):
    """Adam from random parameters on the support set.

    None means what was chosen for images and for vectors.

    Parameters
    ----------
    n_steps : int, optional
    learning_rate : float, optional
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="from_scratch",
        track="fewshot",
        title="Training from scratch",
        summary="Trains a fresh network on each support set; learns nothing from other tasks.",
        paper="Finn, Abbeel & Levine 2017, ICML (network)",
        url="https://arxiv.org/abs/1703.03400",
        year=2017,
        differs="a baseline of this project: the paper has the network, not the method",
        family="baseline",
        tasks=("classification", "regression"),
        batched=True,
        iterations={"quick": 0, "standard": 0, "paper": 0},
    )

    def __init__(self, *, n_steps: int | None = None, learning_rate: float | None = None) -> None:
        self.n_steps = n_steps
        self.learning_rate = learning_rate

    def setup(self, task: TaskInfo, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._backbones import make_network

        super().setup(task, context)
        self._network = make_network(task)
        generator = torch.Generator().manual_seed(context.derive("from_scratch", "init"))
        # hundreds of steps on a perceptron blow float32's rounding up to 1 % of a prediction, so
        # that it would depend on which episodes train side by side; at this size float64 costs
        # nothing
        dtype = torch.float32 if len(task.input_shape) == 3 else torch.float64
        self._start = [p.to(context.device) for p in self._network.init(generator, dtype)]

    def adapt(self, support: Support) -> Predictor:
        return _Trained(self._network, *self._train(support.x[None], support.y[None]), self.task.kind)

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        import numpy as np

        from benchbench.methods.fewshot._gradient import chunks

        found = []
        for part in chunks(support_x.shape, self.context.device):
            params, moments = self._train(support_x[part], support_y[part])
            found.append(_outputs(self._network, params, moments, query_x[part], self.task.kind))
        return np.concatenate(found)

    def _train(self, support_x: NDArray[np.float32], support_y: NDArray[Any]) -> tuple[list[Tensor], Moments]:
        """Return each episode's trained parameters and its support set's moments under them."""
        import torch

        from benchbench.methods.fewshot._gradient import task_losses

        x, y = (torch.as_tensor(a, device=self.context.device) for a in (support_x, support_y))
        dtype = self._start[0].dtype
        x, y = x.to(dtype), y.to(dtype) if y.is_floating_point() else y
        is_image = len(self.task.input_shape) == 3
        rate = self.learning_rate or (IMAGE_RATE if is_image else VECTOR_RATE)
        params = [p.expand(len(x), *p.shape).clone().requires_grad_() for p in self._start]
        optimiser = torch.optim.Adam(params, lr=rate, eps=ADAM_EPSILON)
        for _ in range(self.n_steps or (IMAGE_STEPS if is_image else VECTOR_STEPS)):
            # Adam works element by element, so the sum over episodes trains each as if it were
            # alone
            grads = torch.autograd.grad(task_losses(self._network.forward(params, x)[0], y).sum(), params)
            for param, grad in zip(params, grads, strict=True):
                param.grad = grad
            optimiser.step()
        with torch.no_grad():
            return [p.detach() for p in params], self._network.forward(params, x)[1]


@dataclass(frozen=True, slots=True)
class _Trained(Predictor):
    network: Network
    params: list[Tensor]
    moments: Moments
    kind: str

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        return _outputs(self.network, self.params, self.moments, query_x[None], self.kind)[0]


def _outputs(
    network: Network, params: list[Tensor], moments: Moments, query_x: NDArray[np.float32], kind: str
) -> NDArray[np.float32]:
    """Return probabilities or values (n_tasks, n_query, n_outputs)."""
    import torch

    with torch.no_grad():
        x = torch.as_tensor(query_x, device=params[0].device, dtype=params[0].dtype)
        outputs, _ = network.forward(params, x, moments)
        if kind == "classification":
            outputs = outputs.softmax(-1)
        array: NDArray[np.float32] = outputs.cpu().numpy()
    return array
