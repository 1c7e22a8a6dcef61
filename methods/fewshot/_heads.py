"""Classifiers on an embedding: trained with it on all classes, or on many support sets at once.

Shapes as in `_embedding`; parameters of the heads of T episodes have a leading dimension of tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CosineHead", "CosineHeads", "Heads", "LinearHeads", "train_heads"]


class Heads(ABC):
    """A kind of classifier for many episodes side by side: its logits and their gradients."""

    @abstractmethod
    def start(self, n_features: int, n_way: int) -> list[Tensor]:
        """Return the random parameters that every episode begins with, without a task dimension."""

    def features(self, z: Tensor) -> Tensor:
        """Return what the head sees of embeddings (T, n, n_features): the same shape."""
        return z

    @abstractmethod
    def logits(self, params: list[Tensor], features: Tensor) -> Tensor:
        """Return logits (T, n, n_way)."""

    @abstractmethod
    def gradients(self, params: list[Tensor], features: Tensor, slopes: Tensor) -> list[Tensor]:
        """Return the loss's derivatives by the parameters from those by the logits.

        The latter are `slopes` (T, n, n_way).

        Written out, since hundreds of steps of small matrices cost automatic differentiation five
        times as much.
        """


class LinearHeads(Heads):
    """Weight (T, n_way, n_features) and bias (T, 1, n_way), initialised as `nn.Linear`."""

    def start(self, n_features: int, n_way: int) -> list[Tensor]:
        layer = nn.Linear(n_features, n_way)
        return [layer.weight.detach(), layer.bias.detach()[None]]

    def logits(self, params: list[Tensor], features: Tensor) -> Tensor:
        weight, bias = params
        return torch.baddbmm(bias, features, weight.transpose(1, 2))

    def gradients(self, params: list[Tensor], features: Tensor, slopes: Tensor) -> list[Tensor]:
        return [torch.bmm(slopes.transpose(1, 2), features), slopes.sum(1, keepdim=True)]


class CosineHeads(Heads):
    """Direction (T, n_way, n_features) of any length and norm (T, n_way, 1).

    Logits are scale x norm x cosine.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def start(self, n_features: int, n_way: int) -> list[Tensor]:
        weight = nn.Linear(n_features, n_way, bias=False).weight.detach()
        return [weight, weight.norm(dim=1, keepdim=True)]

    def features(self, z: Tensor) -> Tensor:
        return F.normalize(z, dim=-1)

    def logits(self, params: list[Tensor], features: Tensor) -> Tensor:
        direction, norm = params
        weight = self.scale * norm * F.normalize(direction, dim=-1)
        return torch.bmm(features, weight.transpose(1, 2))

    def gradients(self, params: list[Tensor], features: Tensor, slopes: Tensor) -> list[Tensor]:
        direction, norm = params
        length = direction.norm(dim=-1, keepdim=True)
        unit = direction / length
        of_weight = self.scale * torch.bmm(slopes.transpose(1, 2), features)
        of_norm = (of_weight * unit).sum(-1, keepdim=True)
        return [norm / length * (of_weight - of_norm * unit), of_norm]


class CosineHead(nn.Module):
    """A cosine classifier of all training classes, with learnt norms."""

    def __init__(self, n_features: int, n_labels: int, *, scale: float) -> None:
        super().__init__()
        self.kind = CosineHeads(scale)
        self.direction, self.norm = (nn.Parameter(p.clone()) for p in self.kind.start(n_features, n_labels))

    def forward(self, z: Tensor) -> Tensor:
        """Return logits (n, n_labels) of embeddings (n, n_features)."""
        return self.kind.logits([self.direction[None], self.norm[None]], self.kind.features(z)[None])[0]


def train_heads(
    heads: Heads,
    start: list[Tensor],
    features: Tensor,
    y: Tensor,
    *,
    n_steps: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
) -> list[Tensor]:
    """Train a head for each episode on its whole support set by gradient descent, all side by side.

    Parameters
    ----------
    heads : Heads
    start : tensors without a task dimension
        Parameters that every episode starts from.
    features : (T, S, n_features)
    y : (T, S) int64
    n_steps : int
    learning_rate, momentum, weight_decay : float
        As of `torch.optim.SGD` with dampening equal to momentum: steps average gradients instead of
        adding them up.

    Returns
    -------
    tensors (T, ...)
    """
    params = [p.expand(len(y), *p.shape).clone() for p in start]
    velocity: list[Tensor] = []
    target = F.one_hot(y, start[0].shape[0]).to(features.dtype)
    for _ in range(n_steps):
        # of the mean cross-entropy over the support set
        slopes = (heads.logits(params, features).softmax(-1) - target) / y.shape[1]
        found = [
            g.add_(p, alpha=weight_decay)
            for g, p in zip(heads.gradients(params, features, slopes), params, strict=True)
        ]
        # SGD's first step is not dampened
        velocity = [v.lerp_(g, 1 - momentum) for v, g in zip(velocity, found, strict=True)] if velocity else found
        for param, v in zip(params, velocity, strict=True):
            param.sub_(v, alpha=learning_rate)
    return params
