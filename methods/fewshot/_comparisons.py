"""Learnt and fixed comparisons of embedded queries with an embedded support set.

Shapes as in `_embedding`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.methods.fewshot._embedding import Conv4, EpisodicNetwork

__all__ = ["CosineAttention", "Relation", "attention_logits", "contrastive_loss", "support_distances"]

# values of pairs compared at once at test: 16 MB, which a core's caches still help with
CHUNK_VALUES = 2**22


def attention_logits(support_z: Tensor, support_y: Tensor, query_z: Tensor, n_way: int, *, scale: float) -> Tensor:
    """Return the log of each class's attention, up to a constant of each query: (T, Q, n_way).

    Parameters
    ----------
    support_z : (T, S, n_features)
    support_y : (T, S) int64
    query_z : (T, Q, n_features)
    n_way : int
    scale : float
        Attention is a softmax over the support set of `scale` times the cosine.
    """
    cosines = F.normalize(query_z, dim=-1) @ F.normalize(support_z, dim=-1).transpose(1, 2)
    is_other = F.one_hot(support_y, n_way).transpose(1, 2) == 0
    # in the log domain, so that a class without attention has a finite gradient
    masked = (scale * cosines).unsqueeze(2).masked_fill(is_other.unsqueeze(1), float("-inf"))
    return masked.logsumexp(-1)


class CosineAttention(EpisodicNetwork):
    """Conv4 embeddings, compared by attention over the support set."""

    def __init__(self, n_channels: int, *, scale: float, precision: str = "float32") -> None:
        super().__init__()
        self.embedding = Conv4(n_channels, precision=precision)
        self.scale = scale

    def embed(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(x)
        return embedded

    def logits(self, support_z: Tensor, support_y: Tensor, query_z: Tensor, n_way: int) -> Tensor:
        return attention_logits(support_z, support_y, query_z, n_way, scale=self.scale)


class Relation(EpisodicNetwork):
    """Embeddings that keep their positions, and a network that scores pairs of class and query.

    Parameters
    ----------
    input_shape : (n_channels, height, width)
    n_way : int
        Ways of the training episodes: scores begin near 1 / n_way, what the squared error drives
        them to at first anyway.
    n_filters, n_hidden : int
    precision : str
        Type of the convolutions, "float32" or "bfloat16".
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        *,
        n_way: int,
        n_filters: int = 64,
        n_hidden: int = 8,
        precision: str = "float32",
    ) -> None:
        super().__init__()
        self.precision = precision
        n = n_filters
        self.embedding = nn.Sequential(
            *_block(input_shape[0], n, padding=0, pool=True),
            *_block(n, n, padding=0, pool=True),
            *_block(n, n, padding=1, pool=False),
            *_block(n, n, padding=1, pool=False),
        )
        # a convolution of class and query one upon the other is the sum of a convolution of each:
        # computed once per image instead of once per pair
        self.of_class = nn.Conv2d(n, n, 3, padding=1)
        self.of_query = nn.Conv2d(n, n, 3, padding=1, bias=False)
        height, width = (((side - 2) // 2 - 2) // 2 for side in input_shape[1:])
        # 28x28 images leave 5x5 places; of smaller ones the second pooling leaves what there is
        last_pool = nn.MaxPool2d((min(2, height // 2), min(2, width // 2)))
        self.first = nn.Sequential(nn.BatchNorm2d(n), nn.MaxPool2d(2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(n, n, 3, padding=1), nn.BatchNorm2d(n), last_pool, nn.ReLU())
        n_places = max(1, height // 4) * max(1, width // 4)
        first, last = nn.Linear(n * n_places, n_hidden), nn.Linear(n_hidden, 1)
        nn.init.constant_(last.bias, -math.log(max(1, n_way - 1)))
        self.score = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
        self.apply(_initialise)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def embed(self, x: Tensor) -> Tensor:
        with self._autocast(x):
            h: Tensor = self.embedding(x.contiguous(memory_format=torch.channels_last))
        return h.float()

    def logits(self, support_z: Tensor, support_y: Tensor, query_z: Tensor, n_way: int) -> Tensor:
        """Return the log of the relation scores, which are in (0, 1)."""
        members = F.one_hot(support_y, n_way).to(support_z.dtype).transpose(1, 2)
        classes = torch.bmm(members, support_z.flatten(2)).unflatten(2, support_z.shape[2:])
        # batch norm of training needs all pairs at once
        size = query_z.shape[1]
        if not self.training:
            size = max(1, CHUNK_VALUES // max(1, classes.shape[:2].numel() * query_z[0, 0].numel()))
        return torch.cat([self._pairs(classes, part) for part in query_z.split(size, 1)], 1)

    def loss(self, logits: Tensor, query_y: Tensor) -> Tensor:
        """Return the mean squared error of relation scores: 1 for the true class, 0 for others."""
        return F.mse_loss(logits.exp(), F.one_hot(query_y, logits.shape[-1]).to(logits.dtype))

    def _pairs(self, classes: Tensor, queries: Tensor) -> Tensor:
        """Return log scores (T, Q, n_way) of classes (T, n_way, *features) and queries.

        Queries are (T, Q, *features).
        """
        lead = (classes.shape[0], queries.shape[1], classes.shape[1])
        with self._autocast(classes):
            a = self.of_class(classes.flatten(0, 1)).unflatten(0, classes.shape[:2])
            b = self.of_query(queries.flatten(0, 1)).unflatten(0, queries.shape[:2])
            pairs = (a.unsqueeze(1) + b.unsqueeze(2)).flatten(0, 2).contiguous(memory_format=torch.channels_last)
            h = self.second(self.first(pairs))
        return F.logsigmoid(self.score(h.float())).view(lead)

    def _autocast(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")


def _block(n_in: int, n_out: int, *, padding: int, pool: bool) -> list[nn.Module]:
    # pooling before ReLU gives the same values as after it, from a quarter of the work
    pooling: list[nn.Module] = [nn.MaxPool2d(2)] if pool else []
    return [nn.Conv2d(n_in, n_out, 3, padding=padding), nn.BatchNorm2d(n_out), *pooling, nn.ReLU()]


def _initialise(module: nn.Module) -> None:
    """Initialise convolutions as the authors' code does."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def support_distances(support_z: Tensor, query_z: Tensor) -> Tensor:
    """Return Euclidean distances (T, Q, S).

    They are between queries (T, Q, n_features) and supports (T, S, n_features).
    """
    squares = (query_z.unsqueeze(2) - support_z.unsqueeze(1)).square().sum(-1)
    return squares.clamp_min(1e-12).sqrt()


def contrastive_loss(distances: Tensor, is_same: Tensor, *, margin: float) -> Tensor:
    """Return Hadsell, Chopra & LeCun's loss of each pair, without their factor 1/2.

    Parameters
    ----------
    distances : (...) not negative
    is_same : (...) bool
        Whether the pair is of one class.
    margin : float
        Pairs of different classes that are farther apart than this cost nothing.
    """
    return torch.where(is_same, distances.square(), F.relu(margin - distances).square())
