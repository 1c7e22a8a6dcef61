"""Max-pooling of many tasks at once, and its second derivatives. Shapes as in `_backbones`.

What is pooled is known by its places, so that derivatives of any order only put values there or
take them from there. No two windows overlap: nothing is added up, and results repeat on any device.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MaxPool"]


class MaxPool(torch.autograd.Function):
    """Max-pooling of 2x2 positions, twice differentiable.

    From x (n_tasks, n, h, w, c) to (n_tasks, n, h // 2, w // 2, c).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), 2, return_indices=True)
        pooled, places = (a.permute(0, 2, 3, 1).unflatten(0, x.shape[:2]) for a in (pooled, places))
        ctx.save_for_backward(places)
        ctx.shape = x.shape
        return pooled.contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        found: Tensor = _MaxPoolGradient.apply(grads[0], *ctx.saved_tensors, ctx.shape)
        return found


class _MaxPoolGradient(torch.autograd.Function):
    """The gradient of `MaxPool`, and its own gradient."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, places: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(places)
        h, w = shape[2:4]
        out = g.new_zeros(shape)
        out.view(*shape[:2], h * w, -1).scatter_(2, places.flatten(2, 3), g.flatten(2, 3))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        taken = grads[0].flatten(2, 3).gather(2, places.flatten(2, 3))
        return taken.view(places.shape), None, None
