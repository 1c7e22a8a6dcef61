"""Reptile's training and adaptation, for the adapter with transduction and the one without.

Importing this is light.

Nichol, Achiam & Schulman 2018, arXiv:1803.02999. For each of a few tasks, some steps of Adam
(without momentum) on mini-batches lead from theta to phi; then theta <- theta + epsilon * mean(phi
- theta), with epsilon falling linearly to zero. No queries and no second derivatives. All tasks of
an iteration, and many test episodes, train side by side.

As in the paper's code, Adam's second moments are not part of theta: they carry over from task to
task, and each test episode begins with those that meta-training ended with. There tasks come one
after the other; here those of an iteration begin with the same moments, and what each adds to them
is summed. With moments that start afresh on each task Reptile learns less
(docs/tuning/gradient-methods.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.context import Budget, Context, base_preset
from benchbench.contracts.fewshot import EpisodeSource, TaskInfo
from benchbench.methods.fewshot._image_settings import is_colour, size_factor
from benchbench.methods.fewshot._side_by_side import MAX_FEW_WAYS, InitialisationAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

__all__ = ["Adam", "ReptileBase", "inner_adam"]

# the commands in the paper's code: up to 10 ways, more ways, and its sinusoid (plain steps of 0.02
# there)
FEW_WAYS: Mapping[str, Any] = {
    "inner_rate": 1e-3,
    "inner_batch": 10,
    "train_steps": 5,
    "test_steps": 50,
    "train_shots": 10,
    "meta_batch": 5,
}
MANY_WAYS: Mapping[str, Any] = {**FEW_WAYS, "inner_rate": 5e-4, "inner_batch": 20, "train_steps": 10}
COLOUR: Mapping[str, Any] = {**FEW_WAYS, "train_steps": 8, "train_shots": 15}
REGRESSION: Mapping[str, Any] = {**FEW_WAYS, "inner_rate": 1e-2, "test_steps": 32}
# at test every step sees the whole support set. The paper's 50 mini-batches have 5 images on
# Omniglot, 10 with 20 ways, 15 on miniImageNet, and so pass 10, 5 and 30 times over 5 shots; but
# steps count as well as passes, and each takes time
MANY_SHOTS_STEPS, MANY_WAYS_AND_SHOTS_STEPS = 15, 10
MAX_FEW_SHOTS = 2
BETA2 = 0.999
# with the usual 1e-8, parameters whose gradient is nothing but rounding move as fast as all others:
# predictions then depended on the order of the support set
EPSILON = 1e-5
# 50 steps on one episode cost as much as several iterations
N_REPORTS = 5
VALIDATION_EPISODES = 10
# at the quick preset, on drawings: many small steps with few tasks do better than few of the
# paper's (docs/tuning/gradient-methods.md)
QUICK: Mapping[str, Any] = {"meta_batch": 2, "inner_rate": 3e-3}
# on photographs nothing is learnt with that rate
QUICK_COLOUR: Mapping[str, Any] = {"meta_batch": 2}
# images trained on, over all tasks and steps
QUICK_WORK, STANDARD_WORK = 60_000, 900_000


class ReptileBase(InitialisationAdapter):
    """Moves an initialisation towards what training on each task makes of it.

    None means the paper's value.

    Parameters
    ----------
    meta_step : float
        First epsilon; it falls to zero.
    meta_batch : int, optional
        Tasks per iteration.
    inner_rate : float, optional
        Adam's rate on a task.
    inner_batch : int, optional
        Images a mini-batch of meta-training.
    train_steps, test_steps : int, optional
        Mini-batches of a training task; steps on the whole support set at test.
    train_shots : int, optional
        Images a class of a training task.
    """

    few_ways: ClassVar[Mapping[str, Any]] = FEW_WAYS
    many_ways: ClassVar[Mapping[str, Any]] = MANY_WAYS
    colour: ClassVar[Mapping[str, Any]] = COLOUR
    regression: ClassVar[Mapping[str, Any]] = REGRESSION

    def __init__(
        self,
        *,
        meta_step: float = 1.0,
        meta_batch: int | None = None,
        inner_rate: float | None = None,
        inner_batch: int | None = None,
        train_steps: int | None = None,
        test_steps: int | None = None,
        train_shots: int | None = None,
    ) -> None:
        self.meta_step = meta_step
        self.meta_batch = meta_batch
        self.inner_rate = inner_rate
        self.inner_batch = inner_batch
        self.train_steps = train_steps
        self.test_steps = test_steps
        self.train_shots = train_shots

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        if task.kind == "regression":
            return {"quick": 3000, "standard": 20_000}.get(preset, 60_000)
        paper = super().iterations("paper", task) * (2 if task.n_way > MAX_FEW_WAYS else 1)
        work = {"quick": QUICK_WORK, "standard": STANDARD_WORK}.get(preset)
        if work is None:
            return paper
        known = cls.settings_at(preset, task)
        n = work // (known["meta_batch"] * known["inner_batch"] * known["train_steps"])
        return max(1, n // size_factor(preset, task))

    @classmethod
    def settings(cls, task: TaskInfo) -> dict[str, Any]:
        found = super().settings(task)
        if task.kind == "classification" and task.k_shot > MAX_FEW_SHOTS:
            found["test_steps"] = MANY_SHOTS_STEPS if task.n_way <= MAX_FEW_WAYS else MANY_WAYS_AND_SHOTS_STEPS
        return found

    @classmethod
    def settings_at(cls, preset: str, task: TaskInfo) -> dict[str, Any]:
        """Return the settings of a preset: the paper's, with less work on images at `quick`."""
        found = cls.settings(task)
        if base_preset(preset) == "quick" and task.kind == "classification":
            found |= QUICK_COLOUR if is_colour(task) else QUICK
        return found

    def initialise(self, generator: Generator) -> None:
        import torch

        super().initialise(generator)
        self._adam = Adam([torch.zeros_like(p) for p in self._params])

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._gradient import chunks, expand
        from benchbench.methods.fewshot._meta_training import MetaTraining
        from benchbench.methods.fewshot._supply import Supply, shuffled

        self._settings = self.settings_at(budget.preset, self.task)
        task, rng = self.task, context.rng(self.card.name, "episodes")
        rate, size, n_steps = self.value("inner_rate"), self.value("inner_batch"), self.value("train_steps")
        n_shots, n_tasks = self.value("train_shots"), self.value("meta_batch")
        supply = Supply(episodes, context.device)
        training = MetaTraining(
            self,
            validation,
            budget=budget,
            rng=rng,
            parts=[*self._params, *self._adam.squares, self._adam.steps],
            n_reports=N_REPORTS,
            max_episodes=VALIDATION_EPISODES,
        )
        for iteration in training.iterations():
            # the contract wants a query: it is one of the shots
            support_x, support_y, query_x, query_y = supply.sample(
                rng, n_way=task.n_way, k_shot=n_shots - 1, n_query_per_class=1, n_tasks=n_tasks
            )
            x, y = shuffled(rng, torch.cat([support_x, query_x], 1), torch.cat([support_y, query_y], 1))
            # mini-batches go through the images in order, round and round
            rows = torch.arange(n_steps * size, device=x.device).view(n_steps, size) % y.shape[1]
            loss, total, added = 0.0, *([torch.zeros_like(p) for p in self._params] for _ in range(2))
            for part in chunks(x[:, :size].shape, x.device):
                batches = [(x[part][:, row], y[part][:, row]) for row in rows]
                phi, last, squares = inner_adam(
                    self._network, expand(self._params, len(batches[0][0])), batches, rate, self._adam
                )
                for summed, p in zip(total, phi, strict=True):
                    summed += p.sum(0)
                for summed, after, before in zip(added, squares, self._adam.squares, strict=True):
                    summed += (after - before).sum(0)
                loss += float(last.sum()) / n_tasks
            self._adam.go_on(added, n_tasks * n_steps)
            epsilon = self.meta_step * (1 - (iteration - 1) / budget.iterations)
            for param, summed in zip(self._params, total, strict=True):
                param.lerp_(summed / n_tasks, epsilon)
            training.after(iteration, loss)

    def state(self) -> dict[str, NDArray[Any]]:
        import numpy as np

        # the rate at test is that of training, which the preset may have chosen
        state: dict[str, NDArray[Any]] = {"inner_rate": np.array(self.value("inner_rate"))}
        state["adam_steps"] = self._adam.steps.cpu().numpy().copy()
        state |= {f"adam_square_{i}": v.cpu().numpy().copy() for i, v in enumerate(self._adam.squares)}
        return state | {str(i): p.cpu().numpy().copy() for i, p in enumerate(self._params)}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        import torch

        self._settings["inner_rate"] = float(state["inner_rate"])
        device, n = self.context.device, len(self._params)
        self._params = [torch.tensor(state[str(i)], device=device) for i in range(n)]
        self._adam = Adam([torch.tensor(state[f"adam_square_{i}"], device=device) for i in range(n)])
        self._adam.steps += int(state["adam_steps"])

    def slices(self, support_x: NDArray[np.float32], query_x: NDArray[np.float32]) -> Iterable[slice]:
        return super().slices(query_x, support_x)

    def learn(self, x: Tensor, y: Tensor) -> Any:
        from benchbench.methods.fewshot._gradient import expand

        batches = [_in_one_order(x, y)] * self.value("test_steps")
        rate = self.value("inner_rate")
        fast, _, _ = inner_adam(self._network, expand(self._params, len(x)), batches, rate, self._adam)
        return fast, x


def _in_one_order(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each task's support examples (n_tasks, n, *input) by content: their order cannot matter.

    It should not anyway, but dozens of steps blow up the rounding of sums in another order, to
    0.016 of a probability.
    """
    import torch

    order = x.flatten(2).sum(-1, dtype=torch.float64).argsort(stable=True, dim=1)
    rows = torch.arange(len(x), device=x.device)[:, None]
    return x[rows, order], y[rows, order]


class Adam:
    """Adam's state before a task: second moments of the gradient, after a number of steps.

    The moments have the shapes of the parameters.
    """

    def __init__(self, squares: list[Tensor]) -> None:
        import torch

        self.squares = squares
        self.steps = torch.zeros((), dtype=torch.int64)

    def go_on(self, added: list[Tensor], n_steps: int) -> None:
        """Add what tasks side by side have added to the moments, in this many steps together."""
        for square, more in zip(self.squares, added, strict=True):
            square += more
        self.steps += n_steps


def inner_adam(
    network: Any, params: list[Tensor], batches: list[tuple[Tensor, Tensor]], rate: float, adam: Adam
) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """Take a step of Adam without momentum on each batch, every task on its own.

    The state itself stays as it is.

    Parameters
    ----------
    network : Network
    params : tensors (n_tasks, ...)
    batches : pairs of (n_tasks, n, *input) and (n_tasks, n, ...)
    rate : float
    adam : Adam
        Where each task begins.

    Returns
    -------
    list of tensors (n_tasks, ...), the losses (n_tasks,) of the last batch, and the moments
    (n_tasks, ...) after it
    """
    import torch

    from benchbench.methods.fewshot._gradient import task_losses

    fast = [p.clone() for p in params]
    squares = [square.expand_as(p).clone() for square, p in zip(adam.squares, fast, strict=True)]
    losses = fast[0].new_zeros(len(fast[0]))
    for step, (x, y) in enumerate(batches, 1 + int(adam.steps)):
        leaves = [p.requires_grad_() for p in fast]
        losses = task_losses(network.forward(leaves, x)[0], y)
        grads = torch.autograd.grad(losses.sum(), leaves)
        correction = 1 - BETA2**step
        fast = [p.detach() for p in leaves]
        for p, square, grad in zip(fast, squares, grads, strict=True):
            square.mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
            p.addcdiv_(grad, (square / correction).sqrt_().add_(EPSILON), value=-rate)
    return fast, losses.detach(), squares
