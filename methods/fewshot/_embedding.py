"""Networks trained by episodes: they embed images and compare them. And their precision.

Shape glossary::

    T, S, Q     tasks side by side, support examples and queries of a task
    *features   shape of one embedded image
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Conv4", "EpisodicNetwork", "Prototypes", "choose_precision", "distance_logits", "prototypes"]


class EpisodicNetwork(nn.Module):
    """An embedding of images, and a comparison of embedded queries with an embedded support set."""

    def embed(self, x: Tensor) -> Tensor:
        """Embed images (n, *input): (n, *features) float32."""
        raise NotImplementedError

    def logits(self, support_z: Tensor, support_y: Tensor, query_z: Tensor, n_way: int) -> Tensor:
        """Return unnormalised log-probabilities (T, Q, n_way).

        Parameters
        ----------
        support_z : (T, S, *features)
        support_y : (T, S) int64
        query_z : (T, Q, *features)
        n_way : int
        """
        raise NotImplementedError

    def loss(self, logits: Tensor, query_y: Tensor) -> Tensor:
        """Return the training loss of `logits` (T, Q, n_way) given labels (T, Q)."""
        return F.cross_entropy(logits.flatten(0, 1), query_y.flatten())


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, batch norm, ReLU and 2x2 max-pooling, then flattened.

    After Vinyals 2016 and Snell 2017.

    Parameters
    ----------
    n_channels : int
    n_filters : int
    precision : str
        "float32" or "bfloat16": the type of the convolutions; parameters and embeddings are float32
        always.
    """

    def __init__(self, n_channels: int, *, n_filters: int = 64, precision: str = "float32") -> None:
        super().__init__()
        self.precision = precision
        blocks: list[nn.Module] = []
        for n_in in (n_channels, n_filters, n_filters, n_filters):
            # pooling before ReLU gives the same values as after it, from a quarter of the work
            blocks += [nn.Conv2d(n_in, n_filters, 3, padding=1), nn.BatchNorm2d(n_filters), nn.MaxPool2d(2), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        # channels last: faster on a CPU than the default order
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Embed images (n, channels, height, width); returns (n, n_features) float32."""
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            h: Tensor = self.blocks(x)
        return h.float().flatten(1)


def choose_precision(device: str) -> str:
    """Return "bfloat16" on a CPU that multiplies it natively, else "float32"."""
    if device != "cpu":
        return "float32"
    able = torch.cpu.get_capabilities()
    return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"


def prototypes(embedded: Tensor, y: Tensor, n_way: int) -> Tensor:
    """Return the mean embedding of each class.

    Parameters
    ----------
    embedded : (n_tasks, n_support, n_features)
    y : (n_tasks, n_support) int64
    n_way : int

    Returns
    -------
    (n_tasks, n_way, n_features)
    """
    members = F.one_hot(y, n_way).to(embedded.dtype).transpose(1, 2)
    return torch.bmm(members, embedded) / members.sum(-1, keepdim=True)


def distance_logits(centres: Tensor, queries: Tensor) -> Tensor:
    """Return minus squared Euclidean distances (n_tasks, n_query, n_way).

    They are up to a constant per query.

    Parameters
    ----------
    centres : (n_tasks, n_way, n_features)
    queries : (n_tasks, n_query, n_features)
    """
    # |q|^2 is the same for every class, and would only cost digits: it is left out, as the softmax
    # does not see it
    return 2 * torch.bmm(queries, centres.transpose(1, 2)) - centres.square().sum(-1).unsqueeze(1)


class Prototypes(EpisodicNetwork):
    """Conv4 embeddings, compared with each class's mean support embedding."""

    def __init__(self, n_channels: int, *, precision: str = "float32") -> None:
        super().__init__()
        self.embedding = Conv4(n_channels, precision=precision)

    def embed(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(x)
        return embedded

    def logits(self, support_z: Tensor, support_y: Tensor, query_z: Tensor, n_way: int) -> Tensor:
        return distance_logits(prototypes(support_z, support_y, n_way), query_z)
