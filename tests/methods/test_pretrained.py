"""SimpleShot, Baseline and Baseline++: heads against torch's own optimiser, features by hand, shared training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._heads import CosineHead, CosineHeads, Heads, LinearHeads, train_heads
from benchbench.methods.fewshot.baseline_linear import SGD, Baseline
from benchbench.methods.fewshot.baseline_pp import BaselinePlusPlus
from benchbench.methods.fewshot.siamese import Siamese
from benchbench.methods.fewshot.simpleshot import SimpleShot
from benchbench.registry import create_method

METHODS = ["baseline_linear", "baseline_pp", "siamese", "simpleshot"]
KINDS: list[Heads] = [LinearHeads(), CosineHeads(2.0)]


@pytest.mark.parametrize("heads", KINDS)
def test_heads_are_those_of_torchs_sgd(heads: Heads) -> None:
    torch.manual_seed(0)
    z, y = torch.rand(3, 6, 5, dtype=torch.float64), torch.tensor([[0, 1, 2, 2, 1, 0]]).repeat(3, 1)
    start = [p.double() for p in heads.start(5, 3)]
    found = train_heads(heads, start, heads.features(z), y, n_steps=7, **SGD)
    for e in range(3):
        params = [p[None].clone().requires_grad_() for p in start]
        optimiser = torch.optim.SGD(params, lr=0.01, momentum=0.9, dampening=0.9, weight_decay=0.001)
        for _ in range(7):
            optimiser.zero_grad()
            F.cross_entropy(heads.logits(params, heads.features(z[e : e + 1]))[0], y[e]).backward()
            optimiser.step()
        for one, other in zip(found, params, strict=True):
            torch.testing.assert_close(one[e], other[0].detach(), rtol=1e-12, atol=1e-12)


def test_cosine_logits_by_hand() -> None:
    head = CosineHead(2, 2, scale=10)
    with torch.no_grad():
        head.direction.copy_(torch.tensor([[0.0, 2.0], [3.0, 4.0]]))
        head.norm.copy_(torch.tensor([[1.0], [0.5]]))
    # cosines of (5, 0) with the directions: 0 and 0.6
    torch.testing.assert_close(head(torch.tensor([[5.0, 0.0]])), torch.tensor([[0.0, 3.0]]))


def test_scales_are_the_papers() -> None:
    adapter = BaselinePlusPlus()
    assert adapter.head(4, 200).kind.scale == 2 and adapter.head(4, 201).kind.scale == 10  # type: ignore[union-attr]


def test_more_steps_fit_the_support_better(blob_task: TaskInfo, make_context: Any) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.random((4, 10, 64), dtype=np.float32), np.tile(np.repeat(np.arange(5), 2), (4, 1))
    losses = []
    for epochs in (0, 10, 100):
        adapter = Baseline(support_epochs=epochs)
        adapter.setup(blob_task, make_context())
        losses.append(-np.log(np.take_along_axis(adapter.classify(z, y, z), y[..., None], -1)).mean())
    assert losses[0] > losses[1] > losses[2]


def test_features_are_centred_and_of_unit_length(blobs: Any, blob_task: TaskInfo, make_context: Any) -> None:
    adapter = SimpleShot(precision="float32")
    adapter.setup(blob_task, make_context())
    adapter.calibrate(blobs)
    x, _ = blobs.sample_images(adapter.context.rng("simpleshot", "mean"), 2000)
    mean = adapter.embed(x).mean(0)
    batch = blobs.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query_per_class=3, n_tasks=2)
    for e in range(2):
        s, q = (adapter.embed(a[e]) - mean for a in (batch.support_x, batch.query_x))
        s, q = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (s, q))
        centres = np.stack([s[batch.support_y[e] == c].mean(0) for c in range(5)])
        weights = np.exp(-((q[:, None] - centres) ** 2).sum(-1))
        found = adapter.predict_episodes(*(a[e : e + 1] for a in (batch.support_x, batch.support_y, batch.query_x)))[0]
        np.testing.assert_allclose(found, weights / weights.sum(1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_training_is_the_same_for_every_shape(name: str, blobs: Any, make_context: Any, fit: Any) -> None:
    """What `training_key` promises: the state of a 5-way 2-shot task is that of a 7-way 1-shot task, and carries over."""
    trained = []
    for way, shot in ((5, 2), (7, 1)):
        task = TaskInfo(name="t", kind="classification", n_way=way, k_shot=shot, n_query=way, input_shape=(1, 16, 16))
        adapter: Any = create_method(name, {"batch_size": 8, "precision": "float32"})
        assert adapter.training_key(task) == {}
        adapter.setup(task, make_context())
        fit(adapter, blobs, 3)
        trained.append((task, adapter))
    (_, first), (task, second) = trained
    states = first.state(), second.state()
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key])
    fresh: Any = create_method(name, {"precision": "float32"})
    fresh.setup(task, make_context())
    fresh.load_state({key: value.copy() for key, value in states[0].items()})
    batch = blobs.sample(np.random.default_rng(1), n_way=7, k_shot=1, n_query_per_class=2, n_tasks=3)
    data = (batch.support_x, batch.support_y, batch.query_x)
    np.testing.assert_array_equal(fresh.predict_episodes(*data), second.predict_episodes(*data))


@pytest.mark.parametrize("cls", [Baseline, BaselinePlusPlus, Siamese, SimpleShot])
def test_declines_what_it_cannot_do(cls: Any) -> None:
    sine = TaskInfo(name="t", kind="regression", n_way=1, k_shot=5, n_query=5, input_shape=(1,), n_outputs=1)
    assert "regression" in str(cls().supports(sine))
    tiny = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=5, input_shape=(1, 12, 30))
    assert "16 pixels" in str(cls().supports(tiny))


def test_pools_without_labels_are_refused(blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Any) -> None:
    class Unlabelled(type(blobs)):  # type: ignore[misc]
        n_labels = 0

    adapter = Baseline()
    adapter.setup(blob_task, make_context())
    with pytest.raises(ValueError, match="has no classes"):
        fit(adapter, Unlabelled(), 1)
