"""MANN: its memory by hand, one sequence at a time against many, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchbench.contracts.fewshot import EpisodeSource, TaskInfo
from benchbench.methods.fewshot._mann import GAMMA, Mann, Memory, content_weights, least_used, written
from benchbench.methods.fewshot.mann import MANN

N_WAY = 3
SETTINGS: list[dict[str, Any]] = [{}, {"late_labels": True}, {"n_slots": 0}]


def test_least_used_slots_come_first() -> None:
    usage = torch.tensor([[0.3, 0.1, 0.2, 0.1]])
    assert least_used(usage, 3).tolist() == [[[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]]


def test_reading_by_content_by_hand() -> None:
    """Cosines of (1, 0) with three slots are 1, 0 and 0 (an empty one)."""
    slots = torch.tensor([[[5.0, 0.0], [0.0, 2.0], [0.0, 0.0]]])
    found = content_weights(torch.tensor([[[0.5, 0.0]]]), slots, torch.tensor([[[2.0]]]))
    e = math.exp(2)
    torch.testing.assert_close(found, torch.tensor([[[e, 1.0, 1.0]]]) / (e + 2), rtol=1e-4, atol=1e-5)


def test_writing_by_hand() -> None:
    """A quarter of the key goes to slot 0, last read; the rest to slot 1, least used and emptied; slot 2 stays."""
    slots = torch.tensor([[[1.0, 1.0], [7.0, 7.0], [2.0, 3.0]]])
    blank = torch.zeros(1, 1)
    memory = Memory(blank, blank, slots, torch.tensor([[1.0, 0.2, 0.9]]), torch.tensor([[[1.0, 0.0, 0.0]]]), blank)
    found, weights = written(memory, torch.tensor([[[4.0, 8.0]]]), torch.tensor([[[0.25]]]))
    assert weights.tolist() == [[[0.25, 0.75, 0.0]]]
    assert found.tolist() == [[[2.0, 3.0], [3.0, 6.0], [2.0, 3.0]]]


def _network(**options: Any) -> Mann:
    torch.manual_seed(0)
    net = Mann(1, 6, **{"n_way": N_WAY, "n_hidden": 7, "n_slots": 9, "width": 4, "n_heads": 2, **options}).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return net


def _one_sequence(net: Mann, x: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    """Logits of one query (n_features,) after one support set, written out without batches."""
    y = F.one_hot(labels, N_WAY).double()
    steps = [torch.cat([a, b]) for a, b in zip(x, y, strict=True)]
    if net.late_labels:
        late = [torch.zeros(N_WAY).double(), *y]
        steps = [torch.cat([a, b]) for a, b in zip([*x, torch.zeros(6).double()], late, strict=True)]
    steps.append(torch.cat([query, torch.zeros(N_WAY).double()]))
    n_heads, width = net.n_heads, net.width
    h = c = torch.zeros(7).double()
    slots = [torch.zeros(width).double() for _ in range(net.n_slots)]
    usage = torch.zeros(net.n_slots).double()
    weights = [torch.zeros(net.n_slots).double()] * n_heads
    read = torch.zeros(n_heads * width).double()
    for i, seen in enumerate(steps):
        h, c = (s[0] for s in net.controller(torch.cat([seen, read])[None], (h[None], c[None])))
        if net.interface is None:
            continue
        parts = net.interface(h).reshape(n_heads, -1)
        is_query = i == len(steps) - 1
        used = usage.tolist()
        free = sorted(range(net.n_slots), key=used.__getitem__)[:n_heads]
        if not is_query:
            slots = [torch.zeros(width).double() if j in free else s for j, s in enumerate(slots)]
            usage = GAMMA * usage
        old, weights = weights, []
        for r in range(n_heads):
            if not is_query:
                gate = torch.sigmoid(parts[r, -2])
                write = gate * old[r] + (1 - gate) * F.one_hot(torch.tensor(free[r]), net.n_slots)
                slots = [s + write[j] * torch.tanh(parts[r, :-2]) for j, s in enumerate(slots)]
                usage = usage + write
        for r in range(n_heads):
            key, strength = torch.tanh(parts[r, :-2]), 1 + F.softplus(parts[r, -1])
            weights.append(
                torch.stack([strength * (key @ s) / (key.norm() * s.norm() + 1e-6) for s in slots]).softmax(0)
            )
            usage = usage + weights[r]
        read = torch.cat([sum((w[j] * s for j, s in enumerate(slots)), torch.zeros(width).double()) for w in weights])
    return net.head(torch.cat([h, read]))


@pytest.mark.parametrize("options", SETTINGS)
def test_batches_equal_one_sequence_a_query(options: dict[str, Any]) -> None:
    net = _network(**options)
    support, query = torch.randn(2, 6, 6, dtype=torch.float64), torch.randn(2, 3, 6, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 2, 1, 0], [1, 1, 0, 2, 0, 2]])
    found = net.logits(support, labels, query, N_WAY)
    for t in range(2):
        for q in range(3):
            expected = _one_sequence(net, support[t], labels[t], query[t, q])
            torch.testing.assert_close(found[t, q], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("params", [{}, {"late_labels": True}, {"memory": False}])
def test_every_weight_gets_a_gradient(params: dict[str, Any], blob_task: TaskInfo, make_context: Any) -> None:
    adapter = MANN(precision="float32", **params)
    adapter.setup(blob_task, make_context())
    net = adapter._network
    x = torch.rand(15, 1, 16, 16)
    z = net.embed(x)[None]
    net.logits(z[:, :10], torch.arange(10)[None] % 5, z[:, 10:], 5).square().sum().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and (p.grad.abs().sum() > 0), name


def test_declines_regression(wave_task: TaskInfo) -> None:
    assert "regression" in str(MANN().supports(wave_task))


def test_learns(blobs: EpisodeSource, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]) -> None:
    adapter = MANN(precision="float32", meta_batch=8)
    adapter.setup(blob_task, make_context())
    fit(adapter, blobs, 80)
    batch = blobs.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query_per_class=5, n_tasks=20)
    found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    assert float((found.argmax(-1) == batch.query_y).mean()) > 0.35
