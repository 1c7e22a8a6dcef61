"""Adaptation by gradient steps, and the gradient through it, over many tasks at once.

Shapes as in `_backbones`: parameters `(n_tasks, ...)`, inputs `(n_tasks, n, *input)`, targets `(n_tasks, n)` integer labels or
`(n_tasks, n, n_outputs)` values. Tasks meet only in the sum of their losses, so each task's gradient is its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchbench.methods.fewshot._backbones import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.contracts.fewshot import EpisodeBatch

__all__ = ["adapt", "as_tensors", "chunks", "expand", "meta_gradient", "task_losses"]

# input values of the support sets differentiated at once; activations of about 40 images of 28x28 still fit into a core's
# second-level cache, which was 10 to 15 % faster than 160 images at a time
CPU_CHUNK_VALUES = 40 * 784
CUDA_CHUNK_VALUES = 4096 * 784


def as_tensors(batch: EpisodeBatch, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return support_x, support_y, query_x, query_y of the batch as tensors on the device."""

    def tensor(array: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(array, device=device)

    return tensor(batch.support_x), tensor(batch.support_y), tensor(batch.query_x), tensor(batch.query_y)


def chunks(x: Tensor) -> Iterator[slice]:
    """Yield slices of tasks whose inputs `x` (n_tasks, n, *input) are together small enough to be fast."""
    limit = CUDA_CHUNK_VALUES if x.is_cuda else CPU_CHUNK_VALUES
    size = max(1, limit // max(1, x[0].numel()))
    for first in range(0, x.shape[0], size):
        yield slice(first, first + size)


def expand(params: Sequence[Tensor], n_tasks: int) -> list[Tensor]:
    """Give every task a view of the same parameters."""
    return [p.expand(n_tasks, *p.shape) for p in params]


def task_losses(outputs: Tensor, y: Tensor) -> Tensor:
    """Return each task's mean cross-entropy (integer targets) or mean squared error: (n_tasks,)."""
    if y.is_floating_point():
        return (outputs - y).square().mean((1, 2))
    return F.cross_entropy(outputs.transpose(1, 2), y, reduction="none").mean(1)


def adapt(
    network: Network,
    params: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    *,
    rate: float,
    n_steps: int,
    mode: str,
) -> list[Tensor]:
    """Take `n_steps` gradient steps on each task's own loss.

    Parameters
    ----------
    params : tensors (n_tasks, ...)
    mode : str
        "second_order": the result is differentiable through the steps; "first_order": differentiable with the inner gradients
        taken as constants; "detached": not differentiable, and no graph grows.
    """
    fast = [p.detach() if mode == "detached" else p for p in params]
    for _ in range(n_steps):
        leaves = [p.detach().requires_grad_() for p in fast] if mode != "second_order" else fast
        losses = task_losses(network.forward(leaves, x)[0], y)
        grads = torch.autograd.grad(losses.sum(), leaves, create_graph=mode == "second_order")
        fast = [p - rate * g for p, g in zip(fast, grads, strict=True)]
    return fast


def meta_gradient(
    network: Network, params: Sequence[Tensor], episodes: Sequence[Tensor], **inner: Any
) -> tuple[list[Tensor], float]:
    """Return the gradient of the mean query loss after adaptation with respect to `params`, and that loss.

    Parameters
    ----------
    params : tensors without a task dimension
    episodes : support_x, support_y, query_x, query_y
    **inner
        Passed to `adapt`: `rate`, `n_steps`, `mode` ("second_order" or "first_order").
    """
    n_tasks = episodes[0].shape[0]
    total = [torch.zeros_like(p) for p in params]
    loss = 0.0
    for part in chunks(episodes[0]):
        support_x, support_y, query_x, query_y = (e[part] for e in episodes)
        roots = [p.detach().requires_grad_() for p in params]
        fast = adapt(network, expand(roots, support_x.shape[0]), support_x, support_y, **inner)
        part_loss = task_losses(network.forward(fast, query_x)[0], query_y).sum() / n_tasks
        for accumulated, grad in zip(total, torch.autograd.grad(part_loss, roots), strict=True):
            accumulated += grad
        loss += float(part_loss.detach())
    return total, loss
