"""Adaptation by gradient steps, and the gradient through it, over many tasks at once.

Shapes as in `_backbones`: parameters `(n_tasks, ...)`, inputs `(n_tasks, n, *input)`, targets
`(n_tasks, n)` integer labels or `(n_tasks, n, n_outputs)` values. Tasks meet only in the sum of
their losses, so each task's gradient is its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchbench.methods.fewshot._backbones import Network

__all__ = ["adapt", "chunks", "expand", "meta_gradient", "prototype_weights", "query_outputs", "task_losses"]

# input values of the support sets differentiated at once, and of the queries: 80 images of 28x28
# (docs/tuning/kernels.md)
CPU_CHUNK_VALUES = 80 * 784
CUDA_CHUNK_VALUES = 4096 * 784


def chunks(shape: Sequence[int], device: torch.device | str) -> Iterator[slice]:
    """Yield slices of tasks whose inputs (n_tasks, n, *input) are small enough to be fast."""
    limit = CUDA_CHUNK_VALUES if torch.device(device).type == "cuda" else CPU_CHUNK_VALUES
    size = max(1, limit // max(1, math.prod(shape[1:])))
    for first in range(0, shape[0], size):
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
    n_steps: int,
    mode: str,
    rate: float = 0.0,
    rates: Sequence[Tensor] | None = None,
    head_only: bool = False,
    prototype_head: bool = False,
) -> list[Tensor]:
    """Take `n_steps` gradient steps on each task's own loss.

    Parameters
    ----------
    params : tensors (n_tasks, ...)
    mode : str
        "second_order": the result is differentiable through the steps; "first_order":
        differentiable with the inner gradients taken as constants; "detached": not differentiable,
        and no graph grows.
    rate : float
    rates : tensors (n_tasks, ...), optional
        A rate for every element of every parameter, in place of `rate` (Meta-SGD).
    head_only : bool
        Whether only the head's weight and bias are adapted (ANIL); the features are then computed
        once.
    prototype_head : bool
        Whether `params` come without a head, and it starts from the class means of the support set
        (Proto-MAML).
    """
    fast = [p.detach() if mode == "detached" else p for p in params]
    features = None
    if head_only or prototype_head:
        with torch.set_grad_enabled(mode != "detached"):
            features = network.features(fast, x)[0]
            if prototype_head:
                fast += prototype_weights(features, y)
    first = len(fast) - 2 if head_only else 0
    if features is not None and mode == "first_order":
        features = features.detach()
    for _ in range(n_steps):
        kept, moving = fast[:first], fast[first:]
        # views: a head made of prototypes comes from the body, but an inner step takes it for a
        # parameter of its own
        leaves = [p.view_as(p) if mode == "second_order" else p.detach().requires_grad_() for p in moving]
        outputs = (
            network.head(leaves, features) if head_only and features is not None else network.forward(leaves, x)[0]
        )
        grads = torch.autograd.grad(task_losses(outputs, y).sum(), leaves, create_graph=mode == "second_order")
        if rates is None:
            moved = [torch.add(p, g, alpha=-rate) for p, g in zip(moving, grads, strict=True)]
        else:
            moved = [torch.addcmul(p, r, g, value=-1) for p, r, g in zip(moving, rates[first:], grads, strict=True)]
        fast = [*kept, *moved]
    return fast


def prototype_weights(features: Tensor, y: Tensor) -> list[Tensor]:
    """Return a linear head that classifies by squared distance to class means.

    Distances are divided by the number of features.

    Minus the distance of a query f to mean c is 2 c f - |c|^2 - |f|^2, and the last term is the
    same for all classes. Weights (n_tasks, n_features, n_way) and biases (n_tasks, n_way); classes
    are those in `y` (n_tasks, n_support).
    """
    members = F.one_hot(y).to(features.dtype).transpose(1, 2)
    means = torch.bmm(members, features) / members.sum(-1, keepdim=True)
    scale = 1 / features.shape[-1] ** 0.5
    return [2 * scale * means.transpose(1, 2), -scale * means.square().sum(-1)]


def query_outputs(
    network: Network, fast: Sequence[Tensor], support_x: Tensor, query_x: Tensor, *, is_inductive: bool
) -> Tensor:
    """Return outputs (n_tasks, n_query, n_outputs) of adapted parameters.

    Batch norm takes the moments of the queries present; if `is_inductive` those of the support set,
    under the same parameters.
    """
    moments = network.features(fast, support_x)[1] if is_inductive else None
    return network.forward(fast, query_x, moments)[0]


def meta_gradient(
    network: Network,
    params: Sequence[Tensor],
    episodes: Sequence[Tensor],
    *,
    rates: Sequence[Tensor] | None = None,
    is_inductive: bool = False,
    **inner: Any,
) -> tuple[list[Tensor], float]:
    """Return the gradient of the mean query loss after adaptation, and that loss.

    The gradient is with respect to `params` and then `rates`.

    Parameters
    ----------
    params : tensors without a task dimension
    episodes : support_x, support_y, query_x, query_y
    rates : tensors like `params`, optional
        Learnt rates, see `adapt`.
    is_inductive : bool
        See `query_outputs`.
    **inner
        Passed to `adapt`: `rate`, `n_steps`, `mode` ("second_order" or "first_order"), ...
    """
    n_tasks = episodes[0].shape[0]
    learnt = [*params, *(rates or ())]
    total = [torch.zeros_like(p) for p in learnt]
    loss = 0.0
    for part in chunks(episodes[0].shape, episodes[0].device):
        support_x, support_y, query_x, query_y = (e[part] for e in episodes)
        roots = [p.detach().requires_grad_() for p in learnt]
        stacked = expand(roots, support_x.shape[0])
        if rates is not None:
            inner["rates"] = stacked[len(params) :]
        fast = adapt(network, stacked[: len(params)], support_x, support_y, **inner)
        # queries may be many more than the support: they go in slices of their own, whose graphs
        # are freed one by one
        by_fast: list[Sequence[Tensor]] = []
        for few in chunks(query_x.shape, query_x.device):
            leaves = [p.detach()[few].requires_grad_() for p in fast]
            outputs = query_outputs(network, leaves, support_x[few], query_x[few], is_inductive=is_inductive)
            few_loss = task_losses(outputs, query_y[few]).sum() / n_tasks
            by_fast.append(torch.autograd.grad(few_loss, leaves))
            loss += float(few_loss.detach())
        grads = by_fast[0] if len(by_fast) == 1 else [torch.cat(g) for g in zip(*by_fast, strict=True)]
        for accumulated, grad in zip(total, torch.autograd.grad(fast, roots, grads), strict=True):
            accumulated += grad
    return total, loss
