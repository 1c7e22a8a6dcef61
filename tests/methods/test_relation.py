"""Relation networks: the scores against the plain network on concatenated pairs, the loss, and training shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot import _comparisons
from benchbench.methods.fewshot._comparisons import Relation
from benchbench.methods.fewshot._episodic import EpisodeShape
from benchbench.methods.fewshot.relation import RelationNet


def _task(**more: object) -> TaskInfo:
    plain = {"name": "t", "kind": "classification", "n_way": 5, "k_shot": 1, "n_query": 75, "input_shape": (1, 28, 28)}
    return TaskInfo(**{**plain, **more})  # type: ignore[arg-type]


def _pieces(seed: int = 0) -> tuple[Relation, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    network = Relation((1, 28, 28), n_way=3, n_filters=6)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    x = torch.rand(14, 1, 28, 28)
    return network, x, torch.tensor([[2, 0, 1, 0, 2, 1]]), torch.rand(1)


def _plain(network: Relation, support: torch.Tensor, y: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """The paper's network: sum the shots, concatenate channels, two blocks, two linear layers, sigmoid."""
    weight = torch.cat([network.of_class.weight, network.of_query.weight], 1)
    norm, block = network.first[0], network.second
    classes = torch.stack([support[y == c].sum(0) for c in range(3)])
    pairs = torch.stack([torch.cat([c, q]) for q in query for c in classes])
    h = F.conv2d(pairs, weight, network.of_class.bias, padding=1)
    h = F.max_pool2d(norm(h).relu(), 2)
    h = F.max_pool2d(block[1](block[0](h)).relu(), 2)
    return network.score(h).sigmoid().view(len(query), 3)


@pytest.mark.parametrize("is_training", [False, True])
def test_scores_are_those_of_concatenated_pairs(is_training: bool) -> None:
    network, x, y, _ = _pieces()
    network.eval()
    with torch.no_grad():
        z = network.embed(x)
        assert z.shape == (14, 6, 5, 5)
        network.train(is_training)
        found = network.logits(z[None, :6], y, z[None, 6:], 3).exp()
        expected = _plain(network, z[:6], y[0], z[6:])
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-5)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x, y, _ = _pieces()
    network.eval()
    with torch.no_grad():
        z = network.embed(x)
        whole = network.logits(z[None, :6], y, z[None, 6:], 3)
        monkeypatch.setattr(_comparisons, "CHUNK_VALUES", 1)
        torch.testing.assert_close(network.logits(z[None, :6], y, z[None, 6:], 3), whole)


def test_scores_begin_near_one_in_n_way() -> None:
    torch.manual_seed(0)
    network = Relation((1, 28, 28), n_way=20)
    z = network.embed(torch.rand(40, 1, 28, 28))[None]
    scores = network.logits(z[:, :20], torch.arange(20)[None], z[:, 20:], 20).exp()
    assert 0.02 < scores.mean() < 0.1


def test_loss_by_hand() -> None:
    network = Relation((1, 28, 28), n_way=3, n_filters=2)
    scores = torch.tensor([[[0.9, 0.2], [0.5, 0.6]]])
    found = network.loss(scores.log(), torch.tensor([[0, 1]]))
    assert found.item() == pytest.approx((0.1**2 + 0.2**2 + 0.5**2 + 0.4**2) / 4)


def test_probabilities_are_normalised_scores(make_context: object) -> None:
    adapter = RelationNet(precision="float32")
    adapter.setup(_task(n_way=3), make_context())  # type: ignore[operator]
    z = np.random.default_rng(0).random((2, 7, 64, 5, 5), dtype=np.float32)
    y = np.array([[0, 1, 2], [2, 0, 1]])
    found = adapter.classify(z[:, :3], y, z[:, 3:])
    with torch.no_grad():
        scores = adapter._network.logits(*map(torch.tensor, (z[:, :3], y, z[:, 3:])), 3).exp().numpy()
    np.testing.assert_allclose(found, scores / scores.sum(-1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("way", "shot", "queries"), [(5, 1, 19), (5, 5, 15), (20, 1, 10), (20, 5, 5)])
def test_training_episodes_are_the_papers(way: int, shot: int, queries: int) -> None:
    found = RelationNet().episode_shape(_task(n_way=way, k_shot=shot))
    assert found == EpisodeShape(n_way=way, k_shot=shot, n_query_per_class=queries)


@pytest.mark.parametrize("shape", [(3, 84, 84), (2, 21, 40), (1, 16, 16)])
def test_other_images(shape: tuple[int, int, int]) -> None:
    network = Relation(shape, n_way=2, n_filters=2).eval()
    z = network.embed(torch.rand(4, *shape))
    assert network.logits(z[None, :2], torch.tensor([[0, 1]]), z[None, 2:], 2).shape == (1, 2, 2)
