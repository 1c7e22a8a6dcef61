"""Matching networks: attention by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._comparisons import attention_logits
from benchbench.methods.fewshot.matching import MatchingNet


def test_attention_by_hand() -> None:
    # cosines of (1, 0) with the three supports: 1, 0, 0.6; lengths must not matter
    support = torch.tensor([[[2.0, 0.0], [0.0, 5.0], [3.0, 4.0]]])
    labels = torch.tensor([[1, 0, 0]])
    found = attention_logits(support, labels, torch.tensor([[[7.0, 0.0]]]), 2, scale=2.0).softmax(-1)
    weights = [math.exp(2 * c) for c in (1.0, 0.0, 0.6)]
    expected = [(weights[1] + weights[2]) / sum(weights), weights[0] / sum(weights)]
    torch.testing.assert_close(found, torch.tensor([[expected]]))


def test_prediction_is_attention_times_one_hot_labels() -> None:
    torch.manual_seed(0)
    support, query, labels = torch.rand(3, 8, 6), torch.rand(3, 4, 6), torch.randint(0, 3, (3, 8))
    labels[:, :3] = torch.arange(3)
    cosines = torch.nn.functional.cosine_similarity(query.unsqueeze(2), support.unsqueeze(1), dim=-1)
    expected = (10 * cosines).softmax(-1) @ torch.nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(attention_logits(support, labels, query, 3, scale=10.0).softmax(-1), expected)


def test_embeddings_of_zeros_have_finite_gradients() -> None:
    support, query = torch.zeros(1, 2, 4, requires_grad=True), torch.ones(1, 1, 4)
    attention_logits(support, torch.tensor([[0, 1]]), query, 2, scale=10.0).sum().backward()
    assert support.grad is not None and torch.isfinite(support.grad).all()


def test_predictions_follow_from_the_embeddings(blobs: Any, make_context: Any) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=4, k_shot=2, n_query=12, input_shape=(1, 16, 16))
    adapter = MatchingNet(precision="float32")
    adapter.setup(task, make_context())
    batch = blobs.sample(np.random.default_rng(0), n_way=4, k_shot=2, n_query_per_class=3, n_tasks=2)
    z, q = (adapter.embed(x.reshape(-1, 1, 16, 16)).reshape(2, -1, 64) for x in (batch.support_x, batch.query_x))
    for e in range(2):
        unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (q[e], z[e])]
        weights = np.exp(adapter.scale * unit[0] @ unit[1].T)
        expected = weights @ np.eye(4)[batch.support_y[e]] / weights.sum(1, keepdims=True)
        np.testing.assert_allclose(adapter.classify(z, batch.support_y, q)[e], expected, atol=1e-5)
