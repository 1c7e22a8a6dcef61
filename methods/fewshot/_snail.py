"""SNAIL's sequence model (Mishra 2018): dense dilated causal convolutions and causal attention.

Shape glossary::

    T, S, Q     tasks side by side, support examples and queries of a task
    n_in        channels that a block gets; it appends its own, so channels grow from block to block

Every query stands at the end of a sequence of its own: support, then that query. Since all is
causal, what happens at the support does not depend on the query, and is computed once; a query then
needs of each block only its own, last position.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.methods.fewshot._embedding import Conv4, EpisodicNetwork

__all__ = ["Attention", "DenseBlock", "Snail", "dilations"]
# of the start as a matching network: the factor of the labels read by the head, and the spread of
# the values that are not labels (docs/tuning/recurrent-methods.md)
START_SHARPNESS = 10.0
VALUE_STD = 0.1


def dilations(length: int) -> list[int]:
    """Return 1, 2, 4, ...: the fewest whose convolutions of width 2 see the whole sequence."""
    return [2**i for i in range(math.ceil(math.log2(length)))]


class DenseBlock(nn.Module):
    """A causal convolution of width 2 with gated activations, appended to its input.

    Figure 2a of the paper.
    """

    def __init__(self, n_in: int, dilation: int, n_filters: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.now = nn.Linear(n_in, 2 * n_filters)
        self.before = nn.Linear(n_in, 2 * n_filters, bias=False)

    def forward(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Append n_filters channels to (T, S, n_in) and (T, Q, n_in); queries are at position S."""
        n = support.shape[1]
        # position t holds the convolution's share of position t - dilation, zero before the
        # beginning; t = S is the queries'
        before = F.pad(self.before(support), (0, 0, self.dilation, 0))
        s = self._gated(self.now(support) + before[:, :n])
        q = self.now(query)
        return torch.cat([support, s], -1), torch.cat([query, self._gated(q + before[:, n : n + 1])], -1)

    @staticmethod
    def _gated(z: Tensor) -> Tensor:
        values, gates = z.chunk(2, -1)
        return torch.tanh(values) * torch.sigmoid(gates)


class Attention(nn.Module):
    """One head of causal key-value attention, its reading appended to its input.

    Figure 2c of the paper.
    """

    def __init__(self, n_in: int, n_keys: int, n_values: int) -> None:
        super().__init__()
        self.scale = n_keys**-0.5
        self.sizes = (n_keys, n_keys, n_values)
        self.affine = nn.Linear(n_in, 2 * n_keys + n_values)

    def forward(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Append n_values channels to (T, S, n_in) and (T, Q, n_in).

        A query reads the support and itself.
        """
        asked, keys, values = self.affine(support).split(self.sizes, -1)
        q_asked, q_keys, q_values = self.affine(query).split(self.sizes, -1)
        n = support.shape[1]
        is_later = torch.ones(n, n, dtype=torch.bool, device=support.device).triu(1)
        weights = (asked @ keys.transpose(1, 2) * self.scale).masked_fill(is_later, -math.inf).softmax(-1)
        own = (q_asked * q_keys).sum(-1, keepdim=True)
        q_weights = (torch.cat([q_asked @ keys.transpose(1, 2), own], -1) * self.scale).softmax(-1)
        q_read = q_weights[..., :n] @ values + q_weights[..., n:] * q_values
        return torch.cat([support, weights @ values], -1), torch.cat([query, q_read], -1)


class Snail(EpisodicNetwork):
    """Conv4 and a fully connected layer embed images.

    Attention and convolutions read them with their labels.

    It starts as a matching network: the first block's queries and keys are the embedding, and the
    head sees the labels it reads.

    Parameters
    ----------
    n_channels, n_features : int
        Channels of an image, and what Conv4 makes of it.
    n_way, k_shot : int
        Of the episodes: they fix how many convolutions a block has.
    n_embedding, n_filters : int
    attention : three pairs of int
        Keys and values of each block.
    precision : str
        Of Conv4.
    """

    def __init__(
        self,
        n_channels: int,
        n_features: int,
        *,
        n_way: int,
        k_shot: int,
        n_embedding: int = 64,
        n_filters: int = 128,
        attention: tuple[tuple[int, int], ...] = ((64, 32), (256, 128), (512, 256)),
        precision: str = "float32",
    ) -> None:
        super().__init__()
        self.embedding = nn.Sequential(Conv4(n_channels, precision=precision), nn.Linear(n_features, n_embedding))
        first = Attention(n_embedding + n_way, *attention[0])
        blocks: list[nn.Module] = [first]
        n_in = n_embedding + n_way + attention[0][1]
        for n_keys, n_values in attention[1:]:
            for dilation in dilations(n_way * k_shot + 1):
                blocks.append(DenseBlock(n_in, dilation, n_filters))
                n_in += n_filters
            blocks.append(Attention(n_in, n_keys, n_values))
            n_in += n_values
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(n_in, n_way)
        self._start_by_matching(first, n_embedding, n_way)

    def _start_by_matching(self, first: Attention, n_embedding: int, n_way: int) -> None:
        """Let the first block read labels of similar images, and the head only those labels."""
        n_keys, _, n_values = first.sizes
        n, values = min(n_way, n_values), 2 * n_keys
        weight, head = first.affine.weight, self.head.weight
        with torch.no_grad():
            for zero in (weight, first.affine.bias, head, self.head.bias):
                zero.zero_()
            weight[:n_keys, :n_embedding] = torch.eye(n_keys, n_embedding)
            weight[n_keys:values, :n_embedding] = torch.eye(n_keys, n_embedding)
            weight[values : values + n, n_embedding : n_embedding + n] = torch.eye(n)
            weight[values + n :].normal_(std=VALUE_STD)
            # what the first block appends follows embedding and label
            read = n_embedding + n_way
            head[:n, read : read + n] = START_SHARPNESS * torch.eye(n)

    def embed(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(x)
        return embedded

    def logits(self, support_z: Tensor, support_y: Tensor, query_z: Tensor, n_way: int) -> Tensor:
        labels = F.one_hot(support_y, n_way).to(support_z.dtype)
        support, query = torch.cat([support_z, labels], -1), F.pad(query_z, (0, n_way))
        for block in self.blocks:
            support, query = block(support, query)
        found: Tensor = self.head(query)
        return found
