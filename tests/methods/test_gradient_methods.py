"""MAML and training from scratch: what they learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, Support, TaskInfo
from benchbench.methods.fewshot.from_scratch import FromScratch
from benchbench.methods.fewshot.maml import MAML


class Waves(EpisodeSource):
    """Sines of random amplitude and phase."""

    kind = "regression"
    input_shape = (1,)
    n_classes = 0

    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query: int, n_tasks: int = 1
    ) -> EpisodeBatch:
        x = rng.uniform(-5, 5, (n_tasks, k_shot + n_query, 1)).astype(np.float32)
        amplitude, phase = rng.uniform(0.1, 5, (n_tasks, 1, 1)), rng.uniform(0, np.pi, (n_tasks, 1, 1))
        y = (amplitude * np.sin(x - phase)).astype(np.float32)
        return EpisodeBatch(x[:, :k_shot], y[:, :k_shot], x[:, k_shot:], y[:, k_shot:])


def squared_error(adapter: Any, batch: EpisodeBatch) -> float:
    return float(
        ((adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x) - batch.query_y) ** 2).mean()
    )


def test_maml_adapts_to_sinusoids(wave_task: TaskInfo, make_context: Any, fit: Callable[..., None]) -> None:
    source = Waves()
    adapter = MAML()
    adapter.setup(wave_task, make_context())
    fit(adapter, source, 400)
    batch = source.sample(np.random.default_rng(1), n_way=1, k_shot=10, n_query=30, n_tasks=100)
    adapted = squared_error(adapter, batch)
    adapter.test_steps = 0
    assert adapted < 0.6 * squared_error(adapter, batch)


def test_maml_learns_classes(blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]) -> None:
    blobs.noise = 1.5
    batch = blobs.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query=10, n_tasks=20)
    scores = []
    for iterations in (0, 40):
        adapter = MAML(meta_batch=4)
        adapter.setup(blob_task, make_context())
        fit(adapter, blobs, iterations)
        found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        scores.append((found.argmax(-1) == batch.query_y).mean())
    assert scores[1] > scores[0] + 0.1


@pytest.mark.parametrize(
    ("kind", "n_way", "preset", "expected"),
    [
        ("classification", 5, "paper", 32),
        ("classification", 20, "paper", 16),
        ("classification", 5, "quick", 8),
        ("regression", 1, "quick", 25),
    ],
)
def test_meta_batch(
    kind: str, n_way: int, preset: str, expected: int, blobs: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_regression = kind == "regression"
    source: Any = Waves() if is_regression else type(blobs)(n_classes=20)
    asked: list[tuple[int, int]] = []
    sample = type(source).sample

    def spy(self: Any, rng: Any, **shape: int) -> Any:
        asked.append((shape["n_tasks"], shape["n_query"]))
        return sample(self, rng, **shape)

    monkeypatch.setattr(type(source), "sample", spy)
    task = TaskInfo(
        name="t",
        kind=kind,
        n_way=n_way,
        k_shot=1,
        n_query=n_way,
        input_shape=source.input_shape,
        n_outputs=is_regression,
    )
    adapter = MAML(train_steps=1, test_steps=1)
    adapter.setup(task, make_context())
    budget = Budget(preset=preset, iterations=1)
    adapter.meta_fit(source, validation=source, budget=budget, context=adapter.context)
    assert asked[1:] == [(expected, 1)], "one query a class in training, as many as shots"


def test_from_scratch_learns_its_support_set(blobs: Any, blob_task: TaskInfo, make_context: Any) -> None:
    adapter = FromScratch(n_steps=30)
    adapter.setup(blob_task, make_context())
    batch = blobs.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query=1, n_tasks=4)
    for x, y in zip(batch.support_x, batch.support_y, strict=True):
        found = adapter.adapt(Support(x, y, 5)).predict(x)
        assert (found.argmax(-1) == y).all()
        assert found[np.arange(10), y].min() > 0.9


def test_from_scratch_equals_a_plain_network(wave_task: TaskInfo, make_context: Any) -> None:
    """Two episodes side by side give what torch.nn trained on each alone gives."""
    adapter = FromScratch(n_steps=50, learning_rate=0.01)
    adapter.setup(wave_task, make_context())
    batch = Waves().sample(np.random.default_rng(0), n_way=1, k_shot=10, n_query=30, n_tasks=2)
    found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    for i in range(2):
        net = torch.nn.Sequential(
            torch.nn.Linear(1, 40), torch.nn.ReLU(), torch.nn.Linear(40, 40), torch.nn.ReLU(), torch.nn.Linear(40, 1)
        )
        with torch.no_grad():
            for own, start in zip(net.parameters(), adapter._start, strict=True):
                own.copy_(start.T if start.ndim == 2 else start)
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(50):
            optimiser.zero_grad()
            F.mse_loss(net(torch.from_numpy(batch.support_x[i])), torch.from_numpy(batch.support_y[i])).backward()
            optimiser.step()
        with torch.no_grad():
            expected = net(torch.from_numpy(batch.query_x[i])).numpy()
        np.testing.assert_allclose(found[i], expected, atol=1e-3)
