"""A convolution of many tasks at once, and its second derivatives. Shapes as in `_backbones`.

It is a batched matrix product over patches, or with many images a task the library's own convolution, one task after the other; which
of the two depends on shapes alone, so that results repeat. Second derivatives are written out, because torch's own way through `conv2d`
takes a slower convolution, dilated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Convolution", "blocks"]

# on a CPU, values of the patches laid out at once: they stay in a core's cache (1 MiB)
BLOCK_VALUES = 300_000
# positions of a task's output, over all its images, from which the library's convolution is faster than laying patches out; for 20
# images a task 256 and 1,024 took 18 and 25 % longer on two threads, 6 % less and 3 % longer on one
DIRECT_ROWS = 512


class Convolution(torch.autograd.Function):
    """A 3x3 convolution of stride 2 and padding 1, twice differentiable.

    From x (n_tasks, n, h, w, c) and weight (n_tasks, 9 * c, n_filters) to (n_tasks, n * h' * w', n_filters). Patches are laid out
    again wherever they are needed: keeping them would take more than twice the memory of all that is kept now.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve([(x, weight)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        dx, dw = _ConvolutionGradient.apply(x, weight, grads[0], ctx.needs_input_grad[0])
        return dx, dw


class _ConvolutionGradient(torch.autograd.Function):
    """The gradient of `Convolution` by x, if that is wanted, and by the weight, and its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, g: Tensor, wants_x: bool) -> tuple[Tensor | None, Tensor]:
        ctx.save_for_backward(x, weight, g)
        ctx.set_materialize_grads(False)
        return _by_input(g, weight, x.shape) if wants_x else None, _by_weight(x, g)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, weight, g = ctx.saved_tensors
        v, q = grads
        pairs = [(a, b) for a, b in ((v, weight), (x, q)) if a is not None and b is not None]
        by_x = _by_input(g, q, x.shape) if q is not None and ctx.needs_input_grad[0] else None
        return by_x, None if v is None else _by_weight(v, g), _convolve(pairs), None


def blocks(x: Tensor, n_values: int, limit: int) -> Iterator[slice]:
    """Yield slices of tasks, of so many values each, that fit into a core's second-level cache; all at once on a GPU."""
    size = len(x) if x.is_cuda else max(1, limit // n_values)
    for first in range(0, len(x), size):
        yield slice(first, first + size)


def _n_patch_values(x: Tensor) -> int:
    """Count the values of a task's patches."""
    n, h, w, c = x.shape[1:]
    return 9 * c * n * ((h + 1) // 2) * ((w + 1) // 2)


def _is_direct(x: Tensor) -> bool:
    """Tell whether the library's convolution is chosen; with one channel it is slower for any number of images."""
    n, h, w, c = x.shape[1:]
    return not x.is_cuda and c > 1 and n * ((h + 1) // 2) * ((w + 1) // 2) >= DIRECT_ROWS


def _kernel(weight: Tensor) -> Tensor:
    """Turn a task's weight (9 * c, n_filters) into what the library wants: (n_filters, c, 3, 3), channels last."""
    return weight.unflatten(0, (3, 3, -1)).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _convolve(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Sum the convolutions of inputs by weights."""
    x, weight = pairs[0]
    t, n, h, w, _ = x.shape
    out = x.new_empty(t, n * ((h + 1) // 2) * ((w + 1) // 2), weight.shape[-1])
    if _is_direct(x):
        for task in range(t):
            parts = [F.conv2d(_channels_first(a[task]), _kernel(b[task]), stride=2, padding=1) for a, b in pairs]
            out[task] = sum(parts[1:], parts[0]).permute(0, 2, 3, 1).flatten(0, 2)
        return out
    for block in blocks(x, _n_patch_values(x), BLOCK_VALUES):
        torch.bmm(_patches(x[block]), weight[block], out=out[block])
        for a, b in pairs[1:]:
            out[block].baddbmm_(_patches(a[block]), b[block])
    return out


def _by_input(g: Tensor, weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the gradient by an input of that shape."""
    t, n, h, w, c = shape
    out = g.new_empty(t, n, h, w, c)
    if _is_direct(out):
        for task in range(t):
            out[task] = _library_gradient(g[task], out[task], weight[task], 0).permute(0, 2, 3, 1)
        return out
    for block in blocks(out, _n_patch_values(out), BLOCK_VALUES):
        _fold(torch.bmm(g[block], weight[block].transpose(1, 2)), out[block])
    return out


def _by_weight(x: Tensor, g: Tensor) -> Tensor:
    """Return the gradient by the weight."""
    out = g.new_empty(x.shape[0], 9 * x.shape[4], g.shape[-1])
    if _is_direct(x):
        for task in range(x.shape[0]):
            out[task] = _library_gradient(g[task], x[task], out[task], 1).permute(2, 3, 1, 0).flatten(0, 2)
        return out
    for block in blocks(x, _n_patch_values(x), BLOCK_VALUES):
        torch.bmm(_patches(x[block]).transpose(1, 2), g[block], out=out[block])
    return out


def _library_gradient(g: Tensor, x: Tensor, weight: Tensor, which: int) -> Tensor:
    """Return a task's gradient by x (`which` 0) or by the weight (1), in the library's order of axes."""
    n, h, w, _ = x.shape
    g = g.unflatten(0, (n, (h + 1) // 2, (w + 1) // 2))
    geometry: list[Any] = [[2, 2], [1, 1], [1, 1], False, [0, 0], 1]
    wanted = [which == 0, which == 1, False]
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        _channels_first(g), _channels_first(x), _kernel(weight), None, *geometry, wanted
    )
    return found[which]


def _channels_first(x: Tensor) -> Tensor:
    """View images (n, h, w, c) as (n, c, h, w)."""
    return x.permute(0, 3, 1, 2)


def _patches(x: Tensor) -> Tensor:
    """Lay out patches: (n_tasks, n, h, w, c) to (n_tasks, n * h' * w', 9 * c)."""
    t, n, h, w, c = x.shape
    rows, columns = (h + 1) // 2, (w + 1) // 2
    z = F.pad(x, (0, 0, 1, 1, 1, 1)).contiguous()
    s = z.stride()
    patches = z.as_strided((t, n, rows, columns, 3, 3, c), (s[0], s[1], 2 * s[2], 2 * s[3], s[2], s[3], 1))
    return patches.reshape(t, n * rows * columns, 9 * c)


def _fold(patches: Tensor, out: Tensor) -> None:
    """The adjoint of `_patches`."""
    t, n, h, w, c = out.shape
    rows, columns = (h + 1) // 2, (w + 1) // 2
    parts = patches.view(t, n, rows, columns, 3, 3, c)
    # a pixel in an even row stands in the middle of its patches, one in an odd row below one patch and above the next
    z = patches.new_empty(t, n, h, columns, 3, c)
    _interleave(parts[:, :, :, :, 0], parts[:, :, :, :, 1], parts[:, :, :, :, 2], 2, z)
    _interleave(z[..., 0, :], z[..., 1, :], z[..., 2, :], 3, out)


def _interleave(above: Tensor, middle: Tensor, below: Tensor, axis: int, out: Tensor) -> None:
    """Fill an axis: even places from `middle`, odd ones the sum of `below` and the next place's `above`."""
    last = middle.shape[axis] - 1
    even, odd = (out[(slice(None),) * axis + (slice(first, None, 2),)] for first in (0, 1))
    even.copy_(middle)
    torch.add(below.narrow(axis, 0, last), above.narrow(axis, 1, last), out=odd.narrow(axis, 0, last))
    if odd.shape[axis] > last:
        odd.narrow(axis, last, 1).copy_(below.narrow(axis, last, 1))
