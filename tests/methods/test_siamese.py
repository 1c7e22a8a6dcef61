"""Siamese networks: the loss by hand, its gradients, the pairs, and the vote."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.fewshot import EpisodeBatch, TaskInfo
from benchbench.methods.fewshot._comparisons import contrastive_loss, support_distances
from benchbench.methods.fewshot.siamese import Siamese


def test_loss_by_hand() -> None:
    distances = torch.tensor([3.0, 0.5, 3.0, 0.5, 2.0])
    is_same = torch.tensor([True, True, False, False, False])
    found = contrastive_loss(distances, is_same, margin=2.0)
    torch.testing.assert_close(found, torch.tensor([9.0, 0.25, 0.0, 2.25, 0.0]))


def test_different_pairs_beyond_the_margin_have_no_gradient() -> None:
    distances = torch.tensor([3.0, 2.0, 0.5], requires_grad=True)
    contrastive_loss(distances, torch.tensor([False] * 3), margin=2.0).sum().backward()
    assert distances.grad is not None
    torch.testing.assert_close(distances.grad, torch.tensor([0.0, 0.0, -3.0]))


def test_equal_embeddings_have_finite_gradients() -> None:
    z = torch.ones(1, 2, 3, requires_grad=True)
    d = support_distances(z, z.detach())
    contrastive_loss(d, torch.eye(2, dtype=torch.bool)[None], margin=1.0).sum().backward()
    assert z.grad is not None and torch.isfinite(z.grad).all()


def test_distances_by_hand() -> None:
    support, query = torch.tensor([[[0.0, 0.0], [3.0, 0.0]]]), torch.tensor([[[3.0, 4.0]]])
    torch.testing.assert_close(support_distances(support, query), torch.tensor([[[5.0, 4.0]]]))


def test_same_and_different_pairs_weigh_the_same(blobs: Any, blob_task: TaskInfo, make_context: Any) -> None:
    adapter = Siamese(batch_size=8, margin=3.0, precision="float32")
    adapter.setup(blob_task, make_context())
    drawn: list[EpisodeBatch] = []

    class Recorder(type(blobs)):  # type: ignore[misc]
        def sample(self, rng: np.random.Generator, **shape: int) -> EpisodeBatch:
            assert shape == {"n_way": 4, "k_shot": 1, "n_query_per_class": 1, "n_tasks": 1}
            drawn.append(super().sample(rng, **shape))
            return drawn[-1]

    loss_of, more = adapter.objective(Recorder())
    assert not list(more)
    found = loss_of(np.random.default_rng(0)).item()
    x = torch.tensor(np.concatenate([drawn[0].support_x[0], drawn[0].query_x[0]]))
    z = adapter._network(x).detach()
    same, different = [], []
    for i in range(4):
        for j in range(4):
            d = float((z[i] - z[4 + j]).norm())
            if i == j:
                same.append(d**2)
            else:
                different.append(max(0, 3.0 - d) ** 2)
    assert found == pytest.approx((np.mean(same) + np.mean(different)) / 2, rel=1e-4)


def test_vote_by_hand(make_context: Any) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=2, k_shot=2, n_query=2, input_shape=(1, 16, 16))
    adapter = Siamese(sharpness=2.0)
    adapter.setup(task, make_context())
    # distances 1 and 3 to class 0, 2.5 and 1.5 to class 1: the nearest are 1 and 1.5
    support = np.array([[[1.0, 0.0], [0.0, 2.5], [0.0, -1.5], [-3.0, 0.0]]], dtype=np.float32)
    found = adapter.classify(support, np.array([[0, 1, 1, 0]]), np.zeros((1, 1, 2), dtype=np.float32))
    expected = 1 / (1 + np.exp(-2.0 * 0.5))
    np.testing.assert_allclose(found, [[[expected, 1 - expected]]], rtol=1e-5)
