"""The memory-augmented network of Santoro 2016: an LSTM that writes to and reads from a memory.

Shape glossary::

    T, S, Q     tasks side by side, support examples and queries of a task
    B           sequences side by side: T while the support is read, T * Q for the queries
    R           heads, each of which writes one key and reads one vector a step
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.methods.fewshot._embedding import Conv4, EpisodicNetwork

__all__ = ["Mann", "Memory", "content_weights", "least_used", "written"]

# the paper's decay of usage
GAMMA = 0.99
# an empty slot has no direction: its cosine with every key is to be 0, not 0 / 0
EMPTY = 1e-6
# initial biases of write gate, strength of the reading and the controller's forget gate: writing to
# fresh slots, sharp reading and a memory that holds one example per slot
# (docs/tuning/recurrent-methods.md)
START_GATE, START_STRENGTH, START_FORGET = -3.0, 20.0, -3.0


@dataclass(frozen=True, slots=True)
class Memory:
    """State of a sequence.

    Parameters
    ----------
    h, c : (B, n_hidden)
        The controller's state.
    slots : (B, n_slots, width)
    usage : (B, n_slots)
        Decaying sum of the weights with which a slot was read and written.
    read_weights : (B, R, n_slots)
    read : (B, R * width)
    """

    h: Tensor
    c: Tensor
    slots: Tensor
    usage: Tensor
    read_weights: Tensor
    read: Tensor


def content_weights(keys: Tensor, slots: Tensor, strength: Tensor) -> Tensor:
    """Return a softmax over slots of the cosine with the keys: (B, R, n_slots).

    Cosines are multiplied by `strength` (B, R, 1).
    """
    dots = keys @ slots.transpose(1, 2)
    norms = keys.norm(dim=-1, keepdim=True) * slots.norm(dim=-1).unsqueeze(1)
    return (strength * dots / (norms + EMPTY)).softmax(-1)


def least_used(usage: Tensor, n: int) -> Tensor:
    """Return the indicator rows (B, n, n_slots) of the n least used slots.

    The least used is first; of equal ones the earlier slot.
    """
    order = usage.argsort(stable=True, dim=1)[:, :n]
    return F.one_hot(order, usage.shape[1]).to(usage.dtype)


def written(memory: Memory, keys: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
    """Write each key to where its head last read, or to a little used slot, emptied first.

    Parameters
    ----------
    keys : (B, R, width)
    gates : (B, R, 1)
        Share of the place last read.

    Returns
    -------
    slots : (B, n_slots, width)
    weights : (B, R, n_slots)
    """
    free = least_used(memory.usage, keys.shape[1])
    weights = gates * memory.read_weights + (1 - gates) * free
    kept = memory.slots * (1 - free.sum(1)).unsqueeze(-1)
    return kept + weights.transpose(1, 2) @ keys, weights


class Mann(EpisodicNetwork):
    """Conv4 embeddings, read one after the other, with their labels, by an LSTM with a memory.

    Parameters
    ----------
    n_channels, n_features : int
        Channels of an image, and what Conv4 makes of it.
    n_way : int
    n_hidden, n_slots, width, n_heads : int
        Units of the controller, slots of the memory and numbers in each; 0 slots for the LSTM
        alone.
    late_labels : bool
        Whether a label comes with the example after its own.
    precision : str
        Of Conv4.
    """

    def __init__(
        self,
        n_channels: int,
        n_features: int,
        *,
        n_way: int,
        n_hidden: int = 200,
        n_slots: int = 128,
        width: int = 40,
        n_heads: int = 4,
        late_labels: bool = False,
        precision: str = "float32",
    ) -> None:
        super().__init__()
        self.late_labels, self.n_way = late_labels, n_way
        self.n_slots, self.width = n_slots, width
        self.n_heads = n_heads if n_slots else 0
        self.embedding = Conv4(n_channels, precision=precision)
        n_read = self.n_heads * width
        self.controller = nn.LSTMCell(n_features + n_way + n_read, n_hidden)
        self.head = nn.Linear(n_hidden + n_read, n_way)
        self.interface = nn.Linear(n_hidden, self.n_heads * (width + 2)) if n_slots else None
        if self.interface is not None:
            with torch.no_grad():
                bias = self.interface.bias.view(self.n_heads, -1)
                bias[:, -2:] += torch.tensor([START_GATE, START_STRENGTH])
                self.controller.bias_ih[n_hidden : 2 * n_hidden] += START_FORGET

    def embed(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(x)
        return embedded

    def logits(self, support_z: Tensor, support_y: Tensor, query_z: Tensor, n_way: int) -> Tensor:
        if n_way == self.n_way:
            return self._logits(support_z, support_y, query_z)
        # an episode of fewer ways: its classes take names drawn from all, and are distinguished
        # among these alone
        names = torch.rand(len(support_y), self.n_way, device=support_y.device).argsort(1)[:, :n_way]
        found = self._logits(support_z, names.gather(1, support_y), query_z)
        return found.gather(2, names[:, None].expand(-1, found.shape[1], -1))

    def _logits(self, support_z: Tensor, support_y: Tensor, query_z: Tensor) -> Tensor:
        labels = F.one_hot(support_y, self.n_way).to(support_z.dtype)
        if self.late_labels:
            # the label of the last example comes before the queries, with no image
            support_z, labels = F.pad(support_z, (0, 0, 0, 1)), F.pad(labels, (0, 0, 1, 0))
        sequence = torch.cat([support_z, labels], -1)
        memory = self.empty(support_z)
        for seen in sequence.unbind(1):
            memory = self.step(memory, seen)
        return self.answers(memory, F.pad(query_z, (0, self.n_way)))

    def empty(self, sequence: Tensor) -> Memory:
        """Return the state before `sequence` (B, length, n_features)."""
        n = len(sequence)
        start = sequence.new_zeros(n, self.controller.hidden_size)
        weights = sequence.new_zeros(n, self.n_heads, self.n_slots)
        slots = sequence.new_zeros(n, self.n_slots, self.width)
        return Memory(start, start, slots, slots[..., 0], weights, start.new_zeros(n, self.n_heads * self.width))

    def step(self, memory: Memory, seen: Tensor) -> Memory:
        """Read (B, n_features + n_way), write to the memory, then read from it."""
        h, c = self.controller(torch.cat([seen, memory.read], 1), (memory.h, memory.c))
        if self.interface is None:
            return replace(memory, h=h, c=c)
        keys, gates, strength = self._split(self.interface(h))
        slots, weights = written(memory, keys, gates)
        read_weights = content_weights(keys, slots, strength)
        usage = GAMMA * memory.usage + (read_weights + weights).sum(1)
        return Memory(h, c, slots, usage, read_weights, (read_weights @ slots).flatten(1))

    def answers(self, memory: Memory, asked: Tensor) -> Tensor:
        """Answer queries (T, Q, n_features + n_way), each from the same memory: (T, Q, n_way).

        No query changes the memory.
        """
        n = asked.shape[1]
        h, c, read = (state.repeat_interleave(n, 0) for state in (memory.h, memory.c, memory.read))
        h, _ = self.controller(torch.cat([asked.flatten(0, 1), read], 1), (h, c))
        if self.interface is not None:
            # the heads of all queries of a task are side by side: they share its slots
            keys, _, strength = (part.view(len(asked), -1, part.shape[-1]) for part in self._split(self.interface(h)))
            read = (content_weights(keys, memory.slots, strength) @ memory.slots).view(len(h), -1)
        found: Tensor = self.head(torch.cat([h, read], 1)).unflatten(0, (-1, n))
        return found

    def _split(self, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys (B, R, width), write gates (B, R, 1) and read strengths (B, R, 1)."""
        found = found.unflatten(1, (self.n_heads, -1))
        return torch.tanh(found[..., :-2]), torch.sigmoid(found[..., -2:-1]), 1 + F.softplus(found[..., -1:])
