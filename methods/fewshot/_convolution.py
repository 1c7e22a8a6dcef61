"""A convolution of many tasks at once, and its second derivatives. Shapes as in `_backbones`.

It is a batched matrix product over patches, or with many images per task the library's own
convolution, one task after the other; which of the two depends on shapes alone, so that results
repeat. Second derivatives are written out, because torch's own way through `conv2d` takes a slower
convolution, dilated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Convolution", "blocks"]

# on a CPU, values of the patches laid out at once: they stay in a core's cache (1 MiB)
BLOCK_VALUES = 300_000
# positions of a task's output, over all its images, from which the library's convolution is faster
# than laying patches out (docs/tuning/kernels.md)
DIRECT_ROWS = 512


class Convolution(torch.autograd.Function):
    """A 3x3 convolution of padding 1 and stride 1 or 2, twice differentiable.

    From x (n_tasks, n, h, w, c) and weight (n_tasks, 9 * c, n_filters) to (n_tasks, n * h' * w',
    n_filters), where h' is h over the stride, rounded up. Patches are laid out again wherever they
    are needed: keeping them would take more than twice the memory of all that is kept now.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return _convolve([(x, weight)], stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx, dw = _ConvolutionGradient.apply(x, weight, grads[0], ctx.stride, ctx.needs_input_grad[0])
        return dx, dw, None


class _ConvolutionGradient(torch.autograd.Function):
    """The gradient of `Convolution` by x (if needed) and by the weight, and its own gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, g: Tensor, stride: int, wants_x: bool
    ) -> tuple[Tensor | None, Tensor]:
        ctx.save_for_backward(x, weight, g)
        ctx.stride = stride
        ctx.set_materialize_grads(False)
        return _by_input(g, weight, x.shape, stride) if wants_x else None, _by_weight(x, g, stride)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, weight, g = ctx.saved_tensors
        v, q = grads
        stride = ctx.stride
        pairs = [(a, b) for a, b in ((v, weight), (x, q)) if a is not None and b is not None]
        by_x = _by_input(g, q, x.shape, stride) if q is not None and ctx.needs_input_grad[0] else None
        return by_x, None if v is None else _by_weight(v, g, stride), _convolve(pairs, stride), None, None


def blocks(x: Tensor, n_values: int, limit: int) -> Iterator[slice]:
    """Yield slices of tasks whose values fit into a core's second-level cache.

    All at once on a GPU.
    """
    size = len(x) if x.device.type != "cpu" else max(1, limit // n_values)
    for first in range(0, len(x), size):
        yield slice(first, first + size)


def _places(x: Tensor, stride: int) -> tuple[int, int]:
    """Return the rows and columns of an output: those of x over the stride, rounded up."""
    return -(-x.shape[2] // stride), -(-x.shape[3] // stride)


def _n_patch_values(x: Tensor, stride: int) -> int:
    """Count the values of a task's patches."""
    return 9 * x.shape[4] * x.shape[1] * math.prod(_places(x, stride))


def _is_direct(x: Tensor, stride: int) -> bool:
    """Tell whether the library's convolution is chosen.

    With one channel it is slower for any number of images.
    """
    return x.device.type == "cpu" and x.shape[4] > 1 and x.shape[1] * math.prod(_places(x, stride)) >= DIRECT_ROWS


def _kernel(weight: Tensor) -> Tensor:
    """Turn a task's weight (9 * c, n_filters) into the library's (n_filters, c, 3, 3).

    The result is channels last.
    """
    return weight.unflatten(0, (3, 3, -1)).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _convolve(pairs: Sequence[tuple[Tensor, Tensor]], stride: int) -> Tensor:
    """Sum the convolutions of inputs by weights."""
    x, weight = pairs[0]
    if _is_direct(x, stride):
        found = []
        for task in range(len(x)):
            parts = [F.conv2d(_channels_first(a[task]), _kernel(b[task]), stride=stride, padding=1) for a, b in pairs]
            for part in parts[1:]:
                parts[0] += part
            found.append(parts[0].permute(0, 2, 3, 1).flatten(0, 2))
        return _stacked(found)
    out = x.new_empty(x.shape[0], x.shape[1] * math.prod(_places(x, stride)), weight.shape[-1])
    for block in blocks(x, _n_patch_values(x, stride), BLOCK_VALUES):
        torch.bmm(_patches(x[block], stride), weight[block], out=out[block])
        for a, b in pairs[1:]:
            out[block].baddbmm_(_patches(a[block], stride), b[block])
    return out


def _by_input(g: Tensor, weight: Tensor, shape: Sequence[int], stride: int) -> Tensor:
    """Return the gradient by an input of that shape."""
    t, n, h, w, c = shape
    out = g.new_empty(t, n, h, w, c)
    if _is_direct(out, stride):
        found = [_library_gradient(g[i], out[i], weight[i], stride, 0).permute(0, 2, 3, 1) for i in range(t)]
        return _stacked(found)
    if stride == 1:  # a convolution of the output's gradient, by the kernel turned about
        turned = weight.unflatten(1, (3, 3, c)).flip(1, 2).transpose(3, 4).flatten(1, 3)
        return _convolve([(g.view(t, n, h, w, -1), turned)], 1).view(t, n, h, w, c)
    for block in blocks(out, _n_patch_values(out, stride), BLOCK_VALUES):
        _fold(torch.bmm(g[block], weight[block].transpose(1, 2)), out[block])
    return out


def _by_weight(x: Tensor, g: Tensor, stride: int) -> Tensor:
    """Return the gradient by the weight."""
    out = g.new_empty(x.shape[0], 9 * x.shape[4], g.shape[-1])
    if _is_direct(x, stride):
        found = [_library_gradient(g[i], x[i], out[i], stride, 1) for i in range(len(x))]
        return _stacked([part.permute(2, 3, 1, 0).flatten(0, 2) for part in found])
    for block in blocks(x, _n_patch_values(x, stride), BLOCK_VALUES):
        torch.bmm(_patches(x[block], stride).transpose(1, 2), g[block], out=out[block])
    return out


def _library_gradient(g: Tensor, x: Tensor, weight: Tensor, stride: int, which: int) -> Tensor:
    """Return a task's gradient by x (`which` 0) or by the weight (1), in the library's axes."""
    g = g.unflatten(0, (len(x), *_places(x[None], stride)))
    geometry: list[Any] = [[stride, stride], [1, 1], [1, 1], False, [0, 0], 1]
    wanted = [which == 0, which == 1, False]
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        _channels_first(g), _channels_first(x), _kernel(weight), None, *geometry, wanted
    )
    return found[which]


def _stacked(parts: list[Tensor]) -> Tensor:
    """Stack tasks; one alone is not copied, unless its layout asks for it."""
    if len(parts) > 1:
        return torch.stack(parts)
    # the same memory, but no view to autograd: `NormaliseReLU` overwrites its input, and may not do
    # so to a view
    one = parts[0].contiguous()[None]
    return one.new_empty(0).set_(one.untyped_storage(), one.storage_offset(), one.shape, one.stride())


def _channels_first(x: Tensor) -> Tensor:
    """View images (n, h, w, c) as (n, c, h, w)."""
    return x.permute(0, 3, 1, 2)


def _patches(x: Tensor, stride: int) -> Tensor:
    """Lay out patches: (n_tasks, n, h, w, c) to (n_tasks, n * h' * w', 9 * c)."""
    t, n, _, _, c = x.shape
    rows, columns = _places(x, stride)
    z = F.pad(x, (0, 0, 1, 1, 1, 1)).contiguous()
    s = z.stride()
    patches = z.as_strided((t, n, rows, columns, 3, 3, c), (s[0], s[1], stride * s[2], stride * s[3], s[2], s[3], 1))
    return patches.reshape(t, n * rows * columns, 9 * c)


def _fold(patches: Tensor, out: Tensor) -> None:
    """The adjoint of `_patches` for stride 2."""
    t, n, h, _, c = out.shape
    rows, columns = _places(out, 2)
    parts = patches.view(t, n, rows, columns, 3, 3, c)
    # a pixel in an even row is in the middle of its patches, one in an odd row below one patch
    # and above the next
    z = patches.new_empty(t, n, h, columns, 3, c)
    _interleave(parts[:, :, :, :, 0], parts[:, :, :, :, 1], parts[:, :, :, :, 2], 2, z)
    _interleave(z[..., 0, :], z[..., 1, :], z[..., 2, :], 3, out)


def _interleave(above: Tensor, middle: Tensor, below: Tensor, axis: int, out: Tensor) -> None:
    """Fill an axis: even positions from `middle`, odd ones `below` plus the next `above`."""
    last = middle.shape[axis] - 1
    even, odd = (out[(slice(None),) * axis + (slice(first, None, 2),)] for first in (0, 1))
    even.copy_(middle)
    torch.add(below.narrow(axis, 0, last), above.narrow(axis, 1, last), out=odd.narrow(axis, 0, last))
    if odd.shape[axis] > last:
        odd.narrow(axis, last, 1).copy_(below.narrow(axis, last, 1))
