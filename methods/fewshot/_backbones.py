"""Networks whose parameters carry a task dimension, so that many tasks are forwarded, and differentiated, at once.

Shape glossary::

    n_tasks   tasks side by side; every parameter is (n_tasks, ...), and task t of the output depends on row t alone
    n         examples of a task
    *input    (channels, height, width) for images, (n_features,) otherwise

A convolution is written as im2col and one batched matrix product: on a CPU at least as fast as `vmap` or grouped convolutions,
much steadier with busy cores, and plain autograd differentiates it as often as needed. Batch norm is written out as mean,
variance and reciprocal root, because a second-order `torch.func.grad` inside `vmap` through `nn.BatchNorm2d` is wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from benchbench.contracts.fewshot import TaskInfo

__all__ = ["MLP", "ConvNet", "Moments", "Network", "make_network"]

Moments = list[tuple[Tensor, Tensor]]
"""Mean and reciprocal standard deviation (n_tasks, 1, n_filters) of every batch-norm layer, bottom up."""

BATCH_NORM_EPSILON = 1e-5


class Network(Protocol):
    """What the gradient-based methods need of a network."""

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw fresh parameters, without a task dimension, on the CPU."""

    def forward(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """Return outputs (n_tasks, n, n_outputs) of `x` (n_tasks, n, *input), and the moments that normalised them.

        With `moments` given these normalise; otherwise those of the examples at hand.
        """

    def features(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """Return what the head sees: (n_tasks, n, n_features), and moments as `forward` does."""

    def head(self, params: Sequence[Tensor], features: Tensor) -> Tensor:
        """Return outputs (n_tasks, n, n_outputs) of features; reads the last two parameters, weight and bias."""


def make_network(task: TaskInfo, *, pools: bool = False) -> Network:
    """Return the convolutional network for images and the perceptron for vectors, with an output a class or target."""
    n_outputs = task.n_outputs if task.kind == "regression" else task.n_way
    if len(task.input_shape) == 3:
        return ConvNet((task.input_shape[0], task.input_shape[1], task.input_shape[2]), n_outputs, pools=pools)
    return MLP(math.prod(task.input_shape), n_outputs)


@dataclass(frozen=True, slots=True)
class ConvNet:
    """Four 3x3 convolutions of stride 2 with batch norm and ReLU, then a linear head (Finn 2017).

    Parameters of a layer: weight (9 * in_channels, n_filters), rows in the order (kernel row, kernel column, channel); scale
    and shift (n_filters,). A convolution has no bias, since batch norm would take it away. Head: (n_features, n_outputs) and
    (n_outputs,).

    Parameters
    ----------
    input_shape : (channels, height, width)
    n_outputs, n_filters, n_layers : int
    pools : bool
        Whether the head sees the mean over the positions of the last layer (n_filters features; so the paper's code for
        Omniglot) or all of them (4 * n_filters features for 28x28).
    """

    input_shape: tuple[int, int, int]
    n_outputs: int
    n_filters: int = 64
    n_layers: int = 4
    pools: bool = False

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw Glorot-uniform weights and a zero head, from which MAML learns faster than from a random one."""
        params: list[Tensor] = []
        for layer in range(self.n_layers):
            n_in = self.n_filters if layer else self.input_shape[0]
            bound = math.sqrt(6 / (9 * n_in + 9 * self.n_filters))
            weight = torch.empty(9 * n_in, self.n_filters, dtype=dtype).uniform_(-bound, bound, generator=generator)
            params += [weight, torch.ones(self.n_filters, dtype=dtype), torch.zeros(self.n_filters, dtype=dtype)]
        head = torch.zeros(self._n_features(), self.n_outputs, dtype=dtype)
        return [*params, head, torch.zeros(self.n_outputs, dtype=dtype)]

    def forward(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """See `Network.forward`."""
        features, used = self.features(params, x, moments)
        return self.head(params, features), used

    def head(self, params: Sequence[Tensor], features: Tensor) -> Tensor:
        """See `Network.head`."""
        return torch.baddbmm(params[-1].unsqueeze(1), features, params[-2])

    def features(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """See `Network.features`."""
        h = x.permute(0, 1, 3, 4, 2)
        n_tasks, n = h.shape[:2]
        used: Moments = []
        for layer in range(self.n_layers):
            weight, scale, shift = params[3 * layer : 3 * layer + 3]
            height, width = (h.shape[2] + 1) // 2, (h.shape[3] + 1) // 2
            z = torch.bmm(_Im2col.apply(h), weight)
            given = moments[layer] if moments is not None else None
            z, seen = _batch_norm(z, scale, shift, given)
            used.append(seen)
            h = z.reshape(n_tasks, n, height, width, self.n_filters)
        return h.mean((2, 3)) if self.pools else h.flatten(2), used

    def _n_features(self) -> int:
        # each layer halves a side, rounding up, so the ceilings compose into one
        height, width = (-(-side // 2**self.n_layers) for side in self.input_shape[1:])
        return self.n_filters * (1 if self.pools else height * width)


@dataclass(frozen=True, slots=True)
class MLP:
    """A perceptron with two hidden ReLU layers of 40 units (Finn 2017, section 5.1). It has no batch norm."""

    n_features: int
    n_outputs: int
    n_hidden: int = 40
    n_layers: ClassVar[int] = 2

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw weights and biases uniformly within 1 / sqrt(fan in), as `nn.Linear` does.

        On sinusoids, 10 steps at test, MAML comes to a mean squared error of 0.65 after 1,000 iterations and of 0.17 after
        5,000 from here; from truncated normal weights of deviation 0.01 to 3.3 and 0.24, from Glorot's to 0.73 and 0.18. From
        He's, steps at test diverge early in training.
        """
        params: list[Tensor] = []
        sizes = (self.n_features, self.n_hidden, self.n_hidden, self.n_outputs)
        for n_in, n_out in itertools.pairwise(sizes):
            bound = 1 / math.sqrt(n_in)
            for shape in ((n_in, n_out), (n_out,)):
                params.append(torch.empty(shape, dtype=dtype).uniform_(-bound, bound, generator=generator))
        return params

    def forward(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """See `Network.forward`."""
        return self.head(params, self.features(params, x)[0]), []

    def head(self, params: Sequence[Tensor], features: Tensor) -> Tensor:
        """See `Network.head`."""
        return torch.baddbmm(params[-1].unsqueeze(1), features, params[-2])

    def features(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """See `Network.features`."""
        h = x.flatten(2)
        for layer in range(0, self.n_layers * 2, 2):
            h = F.relu(torch.baddbmm(params[layer + 1].unsqueeze(1), h, params[layer]))
        return h, []


def _batch_norm(
    z: Tensor, scale: Tensor, shift: Tensor, given: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Normalise `z` (n_tasks, n_rows, n_filters) over its rows, or by the moments given; then scale, shift and rectify."""
    if given is None:
        rectified, _, mean, root = _NormaliseReLU.apply(z, scale, shift)
        return rectified, (mean, root)
    mean, root = given
    return F.relu(torch.addcmul(shift.unsqueeze(1), z - mean, root * scale.unsqueeze(1))), given


class _NormaliseReLU(torch.autograd.Function):
    """Batch norm and ReLU, twice differentiable in half the passes over memory that autograd's own way takes.

    With x the normalised rows, r the reciprocal deviation, m the mean over rows, and y = relu(s x + h):
    dx_j/dz_i = r (1[i = j] - 1/n - x_i x_j / n), dr/dz_i = -r^2 x_i / n, dmean/dz_i = 1/n.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean = z.mean(1, keepdim=True)
        normal = z - mean
        root = (normal * normal).mean(1, keepdim=True).add_(BATCH_NORM_EPSILON).rsqrt_()
        normal *= root
        rectified = torch.addcmul(shift.unsqueeze(1), normal, scale.unsqueeze(1)).clamp_(min=0)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(normal, root, scale, rectified)
        return rectified, normal, mean, root

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        normal, root, scale, rectified = ctx.saved_tensors
        g, g_normal, g_mean, g_root = grads
        n = normal.shape[1]
        dz, d_scale, d_shift = None, None, None
        if g is not None:
            dz, d_scale, d_shift = _NormaliseReLUGradient.apply(g, normal, root, scale, rectified)
        # from here on gradients of second order, and of moments that were handed to queries
        if g_normal is not None:
            slope = root * (g_normal * normal).mean(1, keepdim=True)
            part = (g_normal - g_normal.mean(1, keepdim=True)) * root - normal * slope
            dz = part if dz is None else dz + part
        if g_root is not None:
            part = normal * (g_root * root * root / -n)
            dz = part if dz is None else dz + part
        if g_mean is not None:
            part = (g_mean / n).expand_as(normal)
            dz = part if dz is None else dz + part
        return dz, d_scale, d_shift


class _NormaliseReLUGradient(torch.autograd.Function):
    """The gradient of `_NormaliseReLU` by z, scale and shift, and its own gradient, written out.

    With u the gradient behind the ReLU: dz = r s (u - m(u) - x m(u x)), ds = n m(u x), dh = n m(u).
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, normal: Tensor, root: Tensor, scale: Tensor, rectified: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        n = normal.shape[1]
        u = torch.ops.aten.threshold_backward(g, rectified, 0)
        d_shift, d_scale = u.sum(1, keepdim=True), (u * normal).sum(1, keepdim=True)
        size = root * scale.unsqueeze(1)
        dz = torch.addcmul(u * size, normal, size * d_scale, value=-1 / n).sub_(size * d_shift / n)
        ctx.save_for_backward(u, normal, root, scale, rectified, d_scale / n, d_shift / n)
        return dz, d_scale.squeeze(1), d_shift.squeeze(1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, normal, root, scale, rectified, mean_ux, mean_u = ctx.saved_tensors
        v, p, q = grads[0], grads[1].unsqueeze(1), grads[2].unsqueeze(1)
        size = root * scale.unsqueeze(1)
        mean_v, mean_vx = v.mean(1, keepdim=True), (v * normal).mean(1, keepdim=True)
        along = p - size * mean_vx
        by_u = torch.addcmul(q - size * mean_v, v, size).addcmul_(normal, along)
        by_normal = torch.addcmul(u * along, v, size * mean_ux, value=-1)
        sums = (v * u).sum(1, keepdim=True) - normal.shape[1] * (mean_v * mean_u + mean_vx * mean_ux)
        by_g = torch.ops.aten.threshold_backward(by_u, rectified, 0)
        return by_g, by_normal, sums * scale.unsqueeze(1), (sums * root).squeeze(1), None


class _Im2col(torch.autograd.Function):
    """Patches of a 3x3, stride 2, padding 1 convolution: (n_tasks, n, h, w, c) to (n_tasks, n * h' * w', 9 * c)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        t, n, h, w, c = x.shape
        rows, columns = (h + 1) // 2, (w + 1) // 2
        z = F.pad(x, (0, 0, 1, 1, 1, 1)).contiguous()
        s = z.stride()
        patches = z.as_strided((t, n, rows, columns, 3, 3, c), (s[0], s[1], 2 * s[2], 2 * s[3], s[2], s[3], 1))
        return patches.reshape(t, n * rows * columns, 9 * c)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _Col2im.apply(grads[0], ctx.shape)


class _Col2im(torch.autograd.Function):
    """The adjoint of `_Im2col`; each is the other's derivative, so any order of differentiation works."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, shape: tuple[int, ...]) -> Tensor:
        t, n, h, w, c = shape
        rows, columns = (h + 1) // 2, (w + 1) // 2
        parts = patches.reshape(t, n, rows, columns, 3, 3, c)
        # a pixel in an even row stands in the middle of its patches, one in an odd row below one patch and above the next
        z = _interleave(parts[:, :, :, :, 0], parts[:, :, :, :, 1], parts[:, :, :, :, 2], 2)
        z = _interleave(z[..., 0, :], z[..., 1, :], z[..., 2, :], 3)
        return z[:, :, :h, :w].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _Im2col.apply(grads[0]), None


def _interleave(above: Tensor, middle: Tensor, below: Tensor, axis: int) -> Tensor:
    """Double an axis: even places from `middle`, odd ones the sum of `below` and the next place's `above`."""
    size = middle.shape[axis]
    z = middle.new_empty(*middle.shape[:axis], size, 2, *middle.shape[axis + 1 :])
    z.select(axis + 1, 0).copy_(middle)
    odd = z.select(axis + 1, 1)
    odd.narrow(axis, size - 1, 1).copy_(below.narrow(axis, size - 1, 1))
    torch.add(below.narrow(axis, 0, size - 1), above.narrow(axis, 1, size - 1), out=odd.narrow(axis, 0, size - 1))
    return z.flatten(axis, axis + 1)
