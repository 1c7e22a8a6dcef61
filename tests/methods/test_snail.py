"""SNAIL: the shared computation of queries against one whole sequence a query, its blocks by hand, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchbench.contracts.fewshot import EpisodeSource, Support, TaskInfo
from benchbench.methods.fewshot._snail import Attention, DenseBlock, Snail, dilations
from benchbench.methods.fewshot.snail import SNAIL

N_WAY, K_SHOT = 3, 2


def _network() -> Snail:
    torch.manual_seed(0)
    net = Snail(
        1, 64, n_way=N_WAY, k_shot=K_SHOT, n_embedding=6, n_filters=5, attention=((4, 3), (7, 2), (3, 4))
    ).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return net


def _convolved(block: DenseBlock, x: Tensor) -> Tensor:
    """The paper's dense block on whole sequences (n, length, n_in), by torch's convolution."""
    kernel = torch.stack([block.before.weight, block.now.weight], -1)
    padded = F.pad(x.transpose(1, 2), (block.dilation, 0))
    z = F.conv1d(padded, kernel, block.now.bias, dilation=block.dilation).transpose(1, 2)
    values, gates = z.chunk(2, -1)
    return torch.cat([x, torch.tanh(values) * torch.sigmoid(gates)], -1)


def _attended(block: Attention, x: Tensor) -> Tensor:
    """The paper's attention block on whole sequences, by torch's attention."""
    asked, keys, values = block.affine(x).split(block.sizes, -1)
    return torch.cat([x, F.scaled_dot_product_attention(asked, keys, values, is_causal=True)], -1)


def test_queries_together_equal_a_sequence_each() -> None:
    net = _network()
    support, query = torch.randn(2, 6, 6, dtype=torch.float64), torch.randn(2, 5, 6, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 2, 1, 0], [1, 1, 0, 2, 0, 2]])
    found = net.logits(support, labels, query, N_WAY)
    for t in range(2):
        for q in range(5):
            one_hot = F.pad(F.one_hot(labels[t], N_WAY).double(), (0, 0, 0, 1))
            x = torch.cat([torch.cat([support[t], query[t, q : q + 1]]), one_hot], 1)[None]
            for block in net.blocks:
                x = _convolved(block, x) if isinstance(block, DenseBlock) else _attended(block, x)
            torch.testing.assert_close(found[t, q], net.head(x[0, -1]), rtol=1e-10, atol=1e-12)


def test_gradients_equal_those_of_whole_sequences() -> None:
    net = _network()
    support, query = torch.randn(1, 6, 6, dtype=torch.float64), torch.randn(1, 1, 6, dtype=torch.float64)
    labels, truth = torch.tensor([[0, 1, 2, 2, 1, 0]]), torch.tensor([[1]])
    weights = [p for name, p in net.named_parameters() if not name.startswith("embedding")]
    found = torch.autograd.grad(net.loss(net.logits(support, labels, query, N_WAY), truth), weights)
    x = torch.cat([torch.cat([support, query], 1), F.pad(F.one_hot(labels, N_WAY).double(), (0, 0, 0, 1))], -1)
    for block in net.blocks:
        x = _convolved(block, x) if isinstance(block, DenseBlock) else _attended(block, x)
    expected = torch.autograd.grad(F.cross_entropy(net.head(x[:, -1]), truth[0]), weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_dense_block_by_hand() -> None:
    """One channel, dilation 2: position 3 is the query, and sees itself and position 1."""
    block = DenseBlock(1, 2, 1)
    with torch.no_grad():
        block.now.weight.copy_(torch.tensor([[1.0], [0.0]]))
        block.now.bias.copy_(torch.tensor([0.0, 1.0]))
        block.before.weight.copy_(torch.tensor([[0.5], [0.0]]))
        support, query = block(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[[4.0]]]))
    gate = 1 / (1 + math.exp(-1))
    assert support[0, :, 1].tolist() == pytest.approx([gate * math.tanh(z) for z in (1, 2, 3.5)], rel=1e-6)
    assert query[0, 0].tolist() == pytest.approx([4, gate * math.tanh(5)], rel=1e-6)


@pytest.mark.parametrize(("length", "expected"), [(2, [1]), (6, [1, 2, 4]), (8, [1, 2, 4]), (26, [1, 2, 4, 8, 16])])
def test_dilations_reach_the_beginning(length: int, expected: list[int]) -> None:
    assert dilations(length) == expected
    assert sum(expected) >= length - 1


def test_starts_as_a_matching_network() -> None:
    torch.manual_seed(0)
    net = Snail(1, 64, n_way=5, k_shot=1)
    support = torch.randn(1, 5, 64)
    labels = torch.tensor([[2, 0, 4, 1, 3]])
    with torch.no_grad():
        assert (net.logits(support, labels, support + 0.1 * torch.randn(1, 5, 64), 5).argmax(-1) == labels).all()


def test_paper_shape() -> None:
    """5 ways, 1 shot: 69 channels, then 32, three times 128, 128, three times 128 and 256 more."""
    net = Snail(1, 64, n_way=5, k_shot=1)
    assert [type(b).__name__ for b in net.blocks] == ["Attention", *["DenseBlock"] * 3] * 2 + ["Attention"]
    assert net.head.in_features == 69 + 32 + 3 * 128 + 128 + 3 * 128 + 256


def test_depends_on_the_order_of_the_support(
    blobs: EpisodeSource, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    """So the card's `ordered` is not said for nothing."""
    adapter = SNAIL(precision="float32", meta_batch=2)
    adapter.setup(blob_task, make_context())
    fit(adapter, blobs, 3)
    batch = blobs.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query_per_class=2)
    x, y, q = batch.support_x[0], batch.support_y[0], batch.query_x[0]
    turned = adapter.adapt(Support(x[::-1].copy(), y[::-1].copy(), 5)).predict(q)
    assert np.abs(adapter.adapt(Support(x, y, 5)).predict(q) - turned).max() > 1e-5
    assert SNAIL.card.ordered


@pytest.mark.parametrize("shape", [(3, 84, 84), (1, 20, 33)])
def test_other_images(shape: tuple[int, ...], make_context: Any) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=3, k_shot=1, n_query=6, input_shape=shape)
    adapter = SNAIL(precision="float32")
    adapter.setup(task, make_context())
    rng = np.random.default_rng(0)
    x, q = rng.random((2, 3, *shape), dtype=np.float32), rng.random((2, 6, *shape), dtype=np.float32)
    assert adapter.predict_episodes(x, np.tile(np.arange(3), (2, 1)), q).shape == (2, 6, 3)


def test_declines_regression(wave_task: TaskInfo) -> None:
    assert "regression" in str(SNAIL().supports(wave_task))


def test_learns(blobs: EpisodeSource, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]) -> None:
    def accuracy(iterations: int) -> float:
        adapter = SNAIL(precision="float32", meta_batch=4)
        adapter.setup(blob_task, make_context())
        fit(adapter, blobs, iterations)
        batch = blobs.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query_per_class=5, n_tasks=20)
        found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        return float((found.argmax(-1) == batch.query_y).mean())

    assert accuracy(30) > 0.6
