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

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

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


def make_network(task: TaskInfo) -> Network:
    """Return the convolutional network for images and the perceptron for vectors, with an output a class or target."""
    n_outputs = task.n_outputs if task.kind == "regression" else task.n_way
    if len(task.input_shape) == 3:
        return ConvNet(task.input_shape[0], n_outputs)
    return MLP(math.prod(task.input_shape), n_outputs)


@dataclass(frozen=True, slots=True)
class ConvNet:
    """Four 3x3 convolutions of stride 2 with batch norm and ReLU, the mean over positions, a linear head (Finn 2017).

    Parameters of a layer: weight (9 * in_channels, n_filters), rows in the order (kernel row, kernel column, channel); scale
    and shift (n_filters,). A convolution has no bias, since batch norm would take it away. Head: (n_filters, n_outputs) and
    (n_outputs,).
    """

    n_channels: int
    n_outputs: int
    n_filters: int = 64
    n_layers: int = 4

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw Glorot-uniform weights; the head starts small, so that the first losses are those of chance."""
        params: list[Tensor] = []
        for layer in range(self.n_layers):
            n_in = self.n_filters if layer else self.n_channels
            bound = math.sqrt(6 / (9 * n_in + 9 * self.n_filters))
            weight = torch.empty(9 * n_in, self.n_filters, dtype=dtype).uniform_(-bound, bound, generator=generator)
            params += [weight, torch.ones(self.n_filters, dtype=dtype), torch.zeros(self.n_filters, dtype=dtype)]
        bound = math.sqrt(6 / (self.n_filters + self.n_outputs))
        head = torch.empty(self.n_filters, self.n_outputs, dtype=dtype).uniform_(-bound, bound, generator=generator)
        return [*params, head, torch.zeros(self.n_outputs, dtype=dtype)]

    def forward(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """See `Network.forward`."""
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
            h = F.relu(z).reshape(n_tasks, n, height, width, self.n_filters)
        return torch.baddbmm(params[-1].unsqueeze(1), h.mean((2, 3)), params[-2]), used


@dataclass(frozen=True, slots=True)
class MLP:
    """A perceptron with two hidden ReLU layers of 40 units (Finn 2017, section 5.1). It has no batch norm."""

    n_features: int
    n_outputs: int
    n_hidden: int = 40

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw He-normal weights and zero biases."""
        params: list[Tensor] = []
        sizes = (self.n_features, self.n_hidden, self.n_hidden, self.n_outputs)
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            weight = torch.empty(n_in, n_out, dtype=dtype).normal_(0, math.sqrt(2 / n_in), generator=generator)
            params += [weight, torch.zeros(n_out, dtype=dtype)]
        return params

    def forward(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """See `Network.forward`."""
        h = x.flatten(2)
        for layer in range(0, len(params), 2):
            h = torch.baddbmm(params[layer + 1].unsqueeze(1), F.relu(h) if layer else h, params[layer])
        return h, []


def _batch_norm(
    z: Tensor, scale: Tensor, shift: Tensor, given: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Normalise `z` (n_tasks, n_rows, n_filters) over its rows, or by the moments given."""
    if given is None:
        mean = z.mean(1, keepdim=True)
        centred = z - mean
        root = torch.rsqrt((centred * centred).mean(1, keepdim=True) + BATCH_NORM_EPSILON)
    else:
        mean, root = given
        centred = z - mean
    return torch.addcmul(shift.unsqueeze(1), centred, root * scale.unsqueeze(1)), (mean, root)


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
        z = patches.new_zeros(t, n, h + 2, w + 2, c)
        for i in range(3):
            for j in range(3):
                z[:, :, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] += parts[:, :, :, :, i, j]
        return z[:, :, 1 : h + 1, 1 : w + 1].contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _Im2col.apply(grads[0]), None
