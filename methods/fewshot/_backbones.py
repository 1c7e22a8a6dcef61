"""Networks with a task dimension: many tasks are forwarded and differentiated at once.

Shape glossary::

    n_tasks   tasks side by side; every parameter is (n_tasks, ...), and task t of the output
              depends on row t alone
    n         examples of a task
    *input    (channels, height, width) for images, (n_features,) otherwise

Convolution, normalisation and pooling are `_convolution`, `_normalisation` and `_pooling`: all have
their second derivatives written out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from benchbench.methods.fewshot._convolution import Convolution
from benchbench.methods.fewshot._image_settings import SMALLEST_IMAGE, is_colour
from benchbench.methods.fewshot._normalisation import NormaliseReLU
from benchbench.methods.fewshot._pooling import MaxPool

if TYPE_CHECKING:
    from benchbench.contracts.fewshot import TaskInfo

__all__ = ["MLP", "ConvNet", "Moments", "Network", "make_network"]

Moments = list[tuple[Tensor, Tensor]]
"""Mean and reciprocal standard deviation (n_tasks, 1, n_filters) of every batch-norm layer, bottom
up.
"""


class Network(Protocol):
    """What the gradient-based methods need from a network."""

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw fresh parameters, without a task dimension, on the CPU."""

    def forward(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """Return outputs (n_tasks, n, n_outputs) of `x` (n_tasks, n, *input), and their moments.

        The moments are those that normalised the outputs.

        If `moments` are given they normalise; otherwise those of the examples themselves.
        """

    def features(self, params: Sequence[Tensor], x: Tensor, moments: Moments | None = None) -> tuple[Tensor, Moments]:
        """Return what the head sees: (n_tasks, n, n_features), and moments as `forward` does."""

    def head(self, params: Sequence[Tensor], features: Tensor) -> Tensor:
        """Return outputs (n_tasks, n, n_outputs) of features.

        Reads the last two parameters, weight and bias.
        """


GREY_FILTERS, COLOUR_FILTERS = 64, 32


def make_network(task: TaskInfo, *, averages: bool = False) -> Network:
    """Return the convolutional network for images or the perceptron for vectors.

    It has one output per class or target.

    Photographs are pooled and get half the filters, as in the experiments of Ravi & Larochelle and
    of Finn et al. on miniImageNet.
    """
    n_outputs = task.n_outputs if task.kind == "regression" else task.n_way
    if len(task.input_shape) == 3:
        channels, height, width = task.input_shape
        n_filters = COLOUR_FILTERS if is_colour(task) else GREY_FILTERS
        # poolings leave nothing of smaller photographs
        pools = is_colour(task) and min(height, width) >= SMALLEST_IMAGE
        return ConvNet((channels, height, width), n_outputs, n_filters=n_filters, pools=pools, averages=averages)
    return MLP(math.prod(task.input_shape), n_outputs)


@dataclass(frozen=True, slots=True)
class ConvNet:
    """Four 3x3 convolutions with batch norm and ReLU, then a linear head (Finn 2017).

    Convolutions have stride 2, or are each followed by max-pooling.

    Parameters of a layer: weight (9 * in_channels, n_filters), rows in the order (kernel row,
    kernel column, channel); scale and shift (n_filters,). A convolution has no bias, since batch
    norm would take it away. Head: (n_features, n_outputs) and (n_outputs,).

    Parameters
    ----------
    input_shape : (channels, height, width)
    n_outputs, n_filters, n_layers : int
    pools : bool
        Whether convolutions have stride 1 and max-pooling of 2x2 places halves the sides, rounding
        down (so the papers' networks for miniImageNet), or the strides do, rounding up (for
        Omniglot).
    averages : bool
        Whether the head sees the mean over the positions of the last layer (n_filters features; so
        the paper's code for Omniglot) or all of them (4 * n_filters features for 28x28).
    """

    input_shape: tuple[int, int, int]
    n_outputs: int
    n_filters: int = GREY_FILTERS
    n_layers: int = 4
    pools: bool = False
    averages: bool = False

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw Glorot-uniform weights and a zero head; MAML learns faster with it."""
        params: list[Tensor] = []
        for layer in range(self.n_layers):
            n_in = self.n_filters if layer else self.input_shape[0]
            bound = math.sqrt(6 / (9 * n_in + 9 * self.n_filters))
            weight = torch.empty(9 * n_in, self.n_filters, dtype=dtype).uniform_(-bound, bound, generator=generator)
            params += [weight, torch.ones(self.n_filters, dtype=dtype), torch.zeros(self.n_filters, dtype=dtype)]
        head = torch.zeros(self.n_features, self.n_outputs, dtype=dtype)
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
        stride = 1 if self.pools else 2
        for layer in range(self.n_layers):
            weight, scale, shift = params[3 * layer : 3 * layer + 3]
            height, width = (-(-side // stride) for side in h.shape[2:4])
            z = Convolution.apply(h, weight, stride)
            given = moments[layer] if moments is not None else None
            z, seen = _batch_norm(z, scale, shift, given)
            used.append(seen)
            h = z.reshape(n_tasks, n, height, width, self.n_filters)
            if self.pools:
                h = MaxPool.apply(h)
        return h.mean((2, 3)) if self.averages else h.flatten(2), used

    @property
    def n_features(self) -> int:
        """What the head sees of an example."""
        # each layer halves a side, always rounding up or always down, so that the roundings compose
        # into one
        size = 2**self.n_layers
        height, width = (side // size if self.pools else -(-side // size) for side in self.input_shape[1:])
        return self.n_filters * (1 if self.averages else height * width)


@dataclass(frozen=True, slots=True)
class MLP:
    """A perceptron with two hidden ReLU layers of 40 units (Finn 2017, section 5.1).

    It has no batch norm.
    """

    n_features: int
    n_outputs: int
    n_hidden: int = 40
    n_layers: ClassVar[int] = 2

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Draw weights and biases uniformly within 1 / sqrt(fan in), as `nn.Linear` does.

        On sinusoids MAML learns faster from these than from other usual draws
        (docs/tuning/gradient-methods.md).
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
    """Normalise `z` (n_tasks, n_rows, n_filters) over its rows, or by the moments given.

    Then scale, shift and rectify.
    """
    if given is None:
        rectified, _, mean, root = NormaliseReLU.apply(z, scale, shift)
        return rectified, (mean, root)
    mean, root = given
    return F.relu(torch.addcmul(shift.unsqueeze(1), z - mean, root * scale.unsqueeze(1))), given
