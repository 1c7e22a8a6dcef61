"""Batch norm and ReLU of many tasks at once, and their second derivatives.

Shapes as in `_backbones`.

Written out as mean, variance and reciprocal root, because a second-order `torch.func.grad` inside
`vmap` through `nn.BatchNorm2d` is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchbench.methods.fewshot._convolution import blocks

__all__ = ["NormaliseReLU"]

BATCH_NORM_EPSILON = 1e-5
# on a CPU, values passed over at once: they stay in a core's cache (1 MiB)
PIECE_VALUES = 128_000


class NormaliseReLU(torch.autograd.Function):
    """Batch norm and ReLU, twice differentiable, in half of autograd's passes over memory.

    With x the normalised rows, r the reciprocal deviation, m the mean over rows, and y = relu(s x +
    h): dx_j/dz_i = r (1[i = j] - 1/n - x_i x_j / n), dr/dz_i = -r^2 x_i / n, dmean/dz_i = 1/n.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        normal, rectified = z, torch.empty_like(z)  # nothing else keeps z: it is overwritten
        mean = z.new_zeros(z.shape[0], 1, z.shape[2])
        root = torch.zeros_like(mean)
        for b, pieces in _pieces(z):
            for r in pieces:
                mean[b] += z[b, r].sum(1, keepdim=True) / z.shape[1]
            for r in pieces:
                centred = normal[b, r].sub_(mean[b])
                root[b] += (centred * centred).sum(1, keepdim=True) / z.shape[1]
            root[b] = (root[b] + BATCH_NORM_EPSILON).rsqrt_()
            for r in pieces:
                normal[b, r].mul_(root[b])
                torch.addcmul(shift[b, None], normal[b, r], scale[b, None], out=rectified[b, r]).clamp_(min=0)
        ctx.mark_dirty(z)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(normal, root, scale, rectified)
        return rectified, normal, mean, root

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        normal, root, scale, rectified = ctx.saved_tensors
        g, g_normal, g_mean, g_root = grads
        if g is None:
            g = torch.zeros_like(rectified)
        dz, d_scale, d_shift = _NormaliseReLUGradient.apply(g, normal, root, scale, rectified, g_normal, g_root)
        return dz if g_mean is None else dz + g_mean / normal.shape[1], d_scale, d_shift


class _NormaliseReLUGradient(torch.autograd.Function):
    """The gradient of `NormaliseReLU` by z, scale and shift, and its own gradient, written out.

    With u the gradient behind the ReLU: dz = r s (u - m(u) - x m(u x)), ds = n m(u x), dh = n m(u).
    Gradients by x and r, which come of second derivatives and of moments handed to queries, add to
    dz.
    """

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        normal: Tensor,
        root: Tensor,
        scale: Tensor,
        rectified: Tensor,
        g_normal: Tensor | None,
        g_root: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n = normal.shape[1]
        size = root * scale.unsqueeze(1)
        dz = torch.empty_like(normal)
        u = torch.empty_like(normal) if any(ctx.needs_input_grad) else dz
        d_shift, d_scale = torch.zeros_like(root), torch.zeros_like(root)
        for b, pieces in _pieces(normal):
            level, along = torch.zeros_like(root[b]), torch.zeros_like(root[b])
            for r in pieces:
                torch.ops.aten.threshold_backward(g[b, r], rectified[b, r], 0, grad_input=u[b, r])
                d_shift[b] += u[b, r].sum(1, keepdim=True)
                d_scale[b] += (u[b, r] * normal[b, r]).sum(1, keepdim=True)
                if g_normal is not None:
                    level += g_normal[b, r].sum(1, keepdim=True)
                    along += (g_normal[b, r] * normal[b, r]).sum(1, keepdim=True)
            if g_root is not None:
                along += g_root[b] * root[b]
            level = (size[b] * d_shift[b] + root[b] * level) / -n
            along = (size[b] * d_scale[b] + root[b] * along) / -n
            for r in pieces:
                part = torch.addcmul(level, u[b, r], size[b], out=dz[b, r]).addcmul_(normal[b, r], along)
                if g_normal is not None:
                    part.addcmul_(g_normal[b, r], root[b])
        ctx.is_final = g_normal is not None or g_root is not None
        ctx.save_for_backward(u, normal, root, scale, rectified, d_scale / n, d_shift / n)
        return dz, d_scale.squeeze(1), d_shift.squeeze(1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.is_final:
            raise NotImplementedError("batch norm here has no third derivatives")
        u, normal, root, scale, rectified, mean_ux, mean_u = ctx.saved_tensors
        v, p, q = grads[0], grads[1].unsqueeze(1), grads[2].unsqueeze(1)
        size = root * scale.unsqueeze(1)
        n = u.shape[1]
        by_g, by_normal = torch.empty_like(u), torch.empty_like(u)
        sum_v, sum_vx, sum_vu = (torch.zeros_like(root) for _ in range(3))
        for b, pieces in _pieces(u):
            for r in pieces:
                sum_v[b] += v[b, r].sum(1, keepdim=True)
                sum_vx[b] += (v[b, r] * normal[b, r]).sum(1, keepdim=True)
                sum_vu[b] += (v[b, r] * u[b, r]).sum(1, keepdim=True)
            level, along = q[b] - size[b] * sum_v[b] / n, p[b] - size[b] * sum_vx[b] / n
            across = -size[b] * mean_ux[b]
            for r in pieces:
                by_u = torch.addcmul(level, v[b, r], size[b]).addcmul_(normal[b, r], along)
                torch.ops.aten.threshold_backward(by_u, rectified[b, r], 0, grad_input=by_g[b, r])
                torch.mul(u[b, r], along, out=by_normal[b, r]).addcmul_(v[b, r], across)
        sums = sum_vu - sum_v * mean_u - sum_vx * mean_ux
        return by_g, by_normal, sums * scale.unsqueeze(1), (sums * root).squeeze(1), None, None, None


def _pieces(x: Tensor) -> Iterator[tuple[slice, list[slice]]]:
    """Yield slices of tasks, and of their rows, small enough to stay in the cache."""
    n = x.shape[1] if x.device.type != "cpu" else max(1, PIECE_VALUES // x.shape[2])
    for block in blocks(x, 0 if x.device.type != "cpu" else x[0].numel(), PIECE_VALUES):
        yield block, [slice(first, first + n) for first in range(0, x.shape[1], n)]
