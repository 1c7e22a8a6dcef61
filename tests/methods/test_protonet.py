"""ProtoNet: distances by hand, symmetries, batches, seeds, and that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, FewShotTask, Support, TaskInfo
from benchbench.execution.harness import TrialHarness
from benchbench.methods.fewshot import _reporting
from benchbench.methods.fewshot._embedding import Conv4, distance_logits, prototypes
from benchbench.methods.fewshot.protonet import ProtoNet
from benchbench.protocols import fewshot as protocol
from benchbench.registry import get_loader

OPTIONS = {"way": 5, "shot": 2, "query": 4}
PRECISIONS = ["float32", "bfloat16"]


@pytest.fixture(scope="module")
def task() -> FewShotTask:
    loader = get_loader("glyphs")
    loader.prepare(OPTIONS, lambda line: None)
    return loader.load("tiny", OPTIONS)


@pytest.fixture(autouse=True)
def _few_validation_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reporting, "VALIDATION_QUERIES", 100)


def _context(seed: int = 0, send: Any = None) -> Context:
    return TrialHarness(seed=seed, device="cpu", threads=1, scratch=Path(), deadline=1e12, send=send).context


def _trained(task: FewShotTask, iterations: int, *, seed: int = 0, send: Any = None, **params: Any) -> ProtoNet:
    adapter = ProtoNet(**params)
    context = _context(seed, send)
    adapter.setup(task.info, context)
    budget = Budget(preset="tests", iterations=iterations)
    adapter.meta_fit(task.train, validation=task.validation, budget=budget, context=context)
    return adapter


def _small(**params: Any) -> dict[str, Any]:
    return {"train_way": 6, "train_queries": 2, "precision": "float32", **params}


def test_prototypes_are_class_means_whatever_the_order() -> None:
    embedded = torch.tensor([[[1.0, 0.0], [0.0, 4.0], [3.0, 2.0]]])
    labels = torch.tensor([[1, 0, 1]])
    expected = torch.tensor([[[0.0, 4.0], [2.0, 1.0]]])
    torch.testing.assert_close(prototypes(embedded, labels, 2), expected)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(prototypes(embedded[:, order], labels[:, order], 2), expected)
    torch.testing.assert_close(prototypes(embedded, 1 - labels, 2), expected.flip(1))


def test_logits_are_minus_squared_distances_up_to_a_constant_of_the_query() -> None:
    queries, centres = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 4.0], [2.0, 1.0], [1.0, 1.0]]])
    expected = torch.tensor([[[-10.0, -1.0, 0.0], [-16.0, -5.0, -2.0]]])
    found = distance_logits(centres, queries)
    torch.testing.assert_close(found - found[:, :, :1], expected - expected[:, :, :1])


def test_probabilities_by_hand(task: FewShotTask) -> None:
    adapter = ProtoNet(**_small())
    adapter.setup(task.info, _context())
    batch = next(protocol.test_episodes(task, 2))
    found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    net = adapter._network.eval().double().embedding.blocks
    with torch.no_grad():
        for e in range(2):
            support, query = (
                net(torch.tensor(x[e]).double()).flatten(1).numpy() for x in (batch.support_x, batch.query_x)
            )
            centres = np.stack([support[batch.support_y[e] == c].mean(0) for c in range(5)])
            weights = np.exp(-((query[:, None] - centres[None]) ** 2).sum(-1))
            np.testing.assert_allclose(found[e], weights / weights.sum(1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_batched_and_single_agree_and_classes_are_equivariant(task: FewShotTask, precision: str) -> None:
    adapter = _trained(task, 2, **_small(precision=precision))
    batch = next(protocol.test_episodes(task, 12))
    found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    before = {name: value.clone() for name, value in adapter._network.state_dict().items()}
    renamed = np.array([3, 0, 4, 1, 2])
    for e in range(12):
        support_x, support_y, query_x = batch.support_x[e], batch.support_y[e], batch.query_x[e]
        single = adapter.adapt(Support(support_x, support_y, 5)).predict(query_x)
        np.testing.assert_allclose(single, found[e], atol=1e-5)
        support = Support(support_x[::-1].copy(), renamed[support_y[::-1]], 5)
        other = adapter.adapt(support).predict(query_x[::-1].copy())
        np.testing.assert_allclose(other[::-1][:, renamed], found[e], atol=1e-5)
    for name, value in adapter._network.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("precision", PRECISIONS)
def test_same_seed_same_network(task: FewShotTask, precision: str) -> None:
    first, second, other = (_trained(task, 2, seed=s, **_small(precision=precision)) for s in (0, 0, 1))
    a, b, c = (adapter._network.state_dict() for adapter in (first, second, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["embedding.blocks.0.weight"], c["embedding.blocks.0.weight"])


def test_bfloat16_gradients_are_close(task: FewShotTask) -> None:
    batch = task.train.sample(np.random.default_rng(0), n_way=10, k_shot=1, n_query_per_class=3)
    y = torch.tensor(batch.query_y[0])
    grads = []
    for precision in PRECISIONS:
        adapter = ProtoNet(precision=precision)
        adapter.setup(task.info, _context())
        adapter._network.train()
        support, query = adapter._network.embed(
            torch.tensor(np.concatenate([batch.support_x[0], batch.query_x[0]]))
        ).split([10, 30])
        torch.nn.functional.cross_entropy(distance_logits(support[None], query[None])[0], y).backward()
        # weights alone: the biases before batch norm have gradient zero, up to rounding
        kept = [p.grad.flatten() for p in adapter._network.parameters() if p.dim() == 4 and p.grad is not None]
        grads.append(torch.cat(kept))
    assert len(grads[0]) > 100_000
    assert torch.nn.functional.cosine_similarity(grads[0], grads[1], dim=0) > 0.98


def test_the_best_checkpoint_is_kept(task: FewShotTask) -> None:
    points: list[tuple[int, float]] = []

    def send(message: dict[str, Any]) -> None:
        step, _, metric, value = message.get("point", (0, 0.0, "", 0.0))
        if metric == "val_accuracy":
            points.append((step, value))

    # a rate that is far too high, so that later checkpoints are worse
    adapter = _trained(task, 6, send=send, **_small(learning_rate=0.5))
    best = max(value for _, value in points)
    best_step = max(step for step, value in points if value == best)
    assert len(points) >= 5
    shorter: list[torch.Tensor] = []
    again = ProtoNet(**_small(learning_rate=0.5))
    context = _context(
        send=lambda message: (
            shorter.append(again._network.embedding.blocks[0].weight.detach().clone()) if "point" in message else None
        )
    )
    again.setup(task.info, context)
    budget = Budget(preset="tests", iterations=6)
    again.meta_fit(task.train, validation=task.validation, budget=budget, context=context)
    steps = sorted({step for step, _ in points})
    per_step = len(shorter) // len(steps)
    assert torch.equal(
        adapter._network.embedding.blocks[0].weight, shorter[per_step * (steps.index(best_step) + 1) - 1]
    )


@pytest.mark.parametrize("shape", [(3, 84, 84), (1, 20, 33), (2, 16, 16)])
def test_other_images(shape: tuple[int, int, int]) -> None:
    info = TaskInfo(name="t", kind="classification", n_way=3, k_shot=1, n_query=6, input_shape=shape)
    adapter = ProtoNet()
    assert adapter.supports(info) is None
    adapter.setup(info, _context())
    rng = np.random.default_rng(0)
    x, q = rng.random((2, 3, *shape), dtype=np.float32), rng.random((2, 6, *shape), dtype=np.float32)
    found = adapter.predict_episodes(x, np.tile(np.arange(3), (2, 1)), q)
    assert found.shape == (2, 6, 3)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_embedding_pools_rectified_maps() -> None:
    """Pooling before ReLU is the paper's pooling after ReLU."""
    from torch import nn

    torch.manual_seed(0)
    net = Conv4(2, n_filters=5)
    conv = [m for m in net.blocks if isinstance(m, nn.Conv2d)]
    x = torch.rand(7, 2, 32, 32)
    h = x
    for layer in conv:
        h = torch.nn.functional.batch_norm(layer(h), None, None, training=True)
        h = torch.nn.functional.max_pool2d(h.relu(), 2)
    torch.testing.assert_close(net.train()(x), h.flatten(1), rtol=1e-4, atol=1e-4)


def test_declines_what_it_cannot_do() -> None:
    sine = TaskInfo(name="t", kind="regression", n_way=1, k_shot=5, n_query=5, input_shape=(1,), n_outputs=1)
    assert "regression" in str(ProtoNet().supports(sine))
    vectors = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=5, input_shape=(12,))
    assert "images" in str(ProtoNet().supports(vectors))
    tiny = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=5, input_shape=(1, 12, 30))
    assert "16 pixels" in str(ProtoNet().supports(tiny))


def test_training_way_is_capped_by_the_classes_there_are(task: FewShotTask) -> None:
    asked: list[int] = []

    class Few(EpisodeSource):
        kind, input_shape, n_classes = "classification", task.info.input_shape, 40

        def sample(self, rng: np.random.Generator, **shape: int) -> EpisodeBatch:  # type: ignore[override]
            asked.append(shape["n_way"])
            return task.train.sample(rng, **shape)

    adapter = ProtoNet()
    adapter.setup(task.info, _context())
    budget = Budget(preset="tests", iterations=1)
    adapter.meta_fit(Few(), validation=task.validation, budget=budget, context=_context())
    assert asked == [40]


def test_learns_letters(task: FewShotTask) -> None:
    def accuracy(adapter: ProtoNet) -> float:
        batch = next(protocol.test_episodes(task, 100))
        found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        return float(np.mean(protocol.score_batch(found.astype(np.float64), batch.query_y, task.info)[0]))

    params = {"train_way": 20}
    # random features reach about 0.45 on these letters
    assert accuracy(_trained(task, 30, **params)) > accuracy(_trained(task, 0, **params)) + 0.15
