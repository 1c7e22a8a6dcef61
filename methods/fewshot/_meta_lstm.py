"""Ravi & Larochelle's meta-learner (2017): an LSTM whose cell state is a learner's parameters.

Shape glossary::

    n_tasks, n_params   tasks side by side, parameters of one learner
    n                   coordinates: n_tasks * n_params, each with a state of its own, all with
                        the same weights
    n_hidden            units of the first, ordinary LSTM

Coordinates are the last dimension, so that every gate is one contiguous block. `nn.LSTM` and
`nn.LSTMCell` want them first, which is slower on a CPU (docs/tuning/kernels.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchbench.methods.fewshot._backbones import ConvNet, Moments, Network, make_network
from benchbench.methods.fewshot._gradient import task_losses

if TYPE_CHECKING:
    from benchbench.contracts.fewshot import TaskInfo

__all__ = ["Learnt", "MetaLearner", "lstm_step", "make_learner", "preprocess", "state_update", "task_slices"]

# Andrychowicz 2016, appendix A; the paper's section 3.2
P = 10.0
N_FEATURES = 4
"""What the first LSTM sees of a coordinate: two numbers for its gradient, two for the loss."""
# tasks trained side by side: on a CPU the states of so many parameters fill the caches, a GPU takes
# many
CPU_PARAMS, CUDA_TASKS = 16_000, 32


def make_learner(task: TaskInfo, n_filters: int) -> Network:
    """Return the network that is trained on a support set."""
    network = make_network(task)
    return replace(network, n_filters=n_filters) if isinstance(network, ConvNet) else network


def task_slices(n_tasks: int, n_params: int, device: str) -> Iterator[slice]:
    """Yield slices of as many tasks as are fast together."""
    size = max(1, CPU_PARAMS // n_params) if device == "cpu" else CUDA_TASKS
    for first in range(0, n_tasks, size):
        yield slice(first, first + size)


def preprocess(x: Tensor) -> Tensor:
    """Return (log|x| / p, sign x), stacked as a new first dimension of 2.

    Where |x| < exp(-p) it is (-1, exp(p) x).
    """
    is_large = x.abs() >= math.exp(-P)
    # outside its branch the logarithm is never used, but must stay finite
    logarithm = x.abs().clamp_min(math.exp(-P)).log() / P
    return torch.stack([torch.where(is_large, logarithm, -1.0), torch.where(is_large, x.sign(), math.exp(P) * x)])


def lstm_step(weight: Tensor, bias: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Take one step of an ordinary LSTM.

    Parameters
    ----------
    weight, bias : (4 * n_hidden, n_features + n_hidden), (4 * n_hidden, 1)
        Gates in the order input, forget, output, cell.
    x : (n_features, n)
    h, c : (n_hidden, n)

    Returns
    -------
    h, c : (n_hidden, n)
    """
    gates = torch.addmm(bias, weight, torch.cat([x, h]))
    n = len(c)
    i, f, o = torch.sigmoid(gates[: 3 * n]).chunk(3)
    c = torch.addcmul(f * c, i, torch.tanh(gates[3 * n :]))
    return o * torch.tanh(c), c


def state_update(
    weight: Tensor, bias: Tensor, h: Tensor, theta: Tensor, gates: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Take one step of the second LSTM, whose cell state is the learner's parameters.

    Parameters
    ----------
    weight, bias : (2, n_hidden + 2), (2, 1)
        Rows: forget, input. Columns: the units of the first LSTM, the parameter, the gate's own
        last value.
    h : (n_hidden, n)
    theta, grad : (n,)
    gates : (2, n)
        Last forget and input gates.

    Returns
    -------
    theta : (n,)
        f * theta + i * (-grad)
    gates : (2, n)
    """
    z = torch.addmm(bias, weight[:, :-1], torch.cat([h, theta[None]]))
    gates = torch.sigmoid(torch.addcmul(z, weight[:, -1:], gates))
    return gates[0] * theta - gates[1] * grad, gates


@dataclass(frozen=True, slots=True)
class Learnt:
    """The result of learning from support sets: parameters (n_tasks, ...) and their moments.

    The moments are those of the support under the parameters.
    """

    params: list[Tensor]
    moments: Moments


class MetaLearner(nn.Module):
    """The two LSTMs and the initial parameters of the learner.

    Parameters
    ----------
    network : Network
        The learner.
    n_steps, n_hidden : int
    input_gate : float
        Initial value of the input gate, a rate of learning.
    forget_bias : float
    generator : torch.Generator
    """

    def __init__(
        self,
        network: Network,
        *,
        n_steps: int,
        n_hidden: int,
        input_gate: float,
        forget_bias: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.n_steps: Tensor
        self.register_buffer("n_steps", torch.tensor(n_steps))
        self.network, self.n_hidden = network, n_hidden
        start = network.init(generator)
        self.shapes = [p.shape for p in start]
        self.start = nn.Parameter(torch.cat([p.flatten() for p in start]))

        def small(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-0.01, 0.01, generator=generator))

        self.lstm_weight, self.lstm_bias = small(4 * n_hidden, N_FEATURES + n_hidden), small(4 * n_hidden, 1)
        self.gate_weight = small(2, n_hidden + 2)
        self.gate_bias = nn.Parameter(torch.tensor([[forget_bias], [math.log(input_gate / (1 - input_gate))]]))

    def learn(self, x: Tensor, y: Tensor) -> Learnt:
        """Train learners on whole support sets; differentiable if gradients are enabled.

        Parameters
        ----------
        x : (n_tasks, n_support, *input)
        y : (n_tasks, n_support) int64, or (n_tasks, n_support, n_outputs)
        """
        n_tasks = len(x)
        theta = self.start.repeat(n_tasks)
        h = c = theta.new_zeros(self.n_hidden, len(theta))
        gates = torch.sigmoid(self.gate_bias).expand(2, len(theta))
        for _ in range(int(self.n_steps)):
            grad, losses = self._gradient(theta.detach(), x, y)
            seen = torch.cat([preprocess(grad), preprocess(losses).repeat_interleave(len(self.start), 1)])
            h, c = lstm_step(self.lstm_weight, self.lstm_bias, seen, h, c)
            theta, gates = state_update(self.gate_weight, self.gate_bias, h, theta, gates, grad)
        params = self._unflatten(theta, n_tasks)
        return Learnt(params, self.network.forward(params, x)[1])

    def outputs(self, learnt: Learnt, x: Tensor) -> Tensor:
        """Return outputs (n_tasks, n, n_outputs) of learners for `x`, each example by itself.

        `x` is (n_tasks, n, *input).
        """
        return self.network.forward(learnt.params, x, learnt.moments)[0]

    def loss(self, support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor) -> Tensor:
        """Return the summed query loss over tasks of the learners that the support sets train."""
        return task_losses(self.outputs(self.learn(support_x, support_y), query_x), query_y).sum()

    def _gradient(self, theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients (n,) and losses (n_tasks,): constants, as the paper takes them."""
        with torch.enable_grad():
            leaf = theta.requires_grad_()
            losses = task_losses(self.network.forward(self._unflatten(leaf, len(x)), x)[0], y)
            (grad,) = torch.autograd.grad(losses.sum(), leaf)
        return grad, losses.detach()

    def _unflatten(self, theta: Tensor, n_tasks: int) -> list[Tensor]:
        parts = theta.view(n_tasks, -1).split([s.numel() for s in self.shapes], 1)
        return [part.reshape(n_tasks, *shape) for part, shape in zip(parts, self.shapes, strict=True)]
