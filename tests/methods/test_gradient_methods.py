"""How many tasks MAML takes, and training from scratch against plain torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, TaskInfo
from benchbench.methods.fewshot.from_scratch import ADAM_EPSILON, FromScratch
from benchbench.methods.fewshot.maml import MAML


class Waves(EpisodeSource):
    """Sines of random amplitude and phase."""

    kind = "regression"
    input_shape = (1,)
    n_classes = 0

    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query_per_class: int, n_tasks: int = 1
    ) -> EpisodeBatch:
        x = rng.uniform(-5, 5, (n_tasks, k_shot + n_query_per_class, 1)).astype(np.float32)
        amplitude, phase = rng.uniform(0.1, 5, (n_tasks, 1, 1)), rng.uniform(0, np.pi, (n_tasks, 1, 1))
        y = (amplitude * np.sin(x - phase)).astype(np.float32)
        return EpisodeBatch(x[:, :k_shot], y[:, :k_shot], x[:, k_shot:], y[:, k_shot:])


@pytest.mark.parametrize(
    ("kind", "n_way", "preset", "expected"),
    [
        ("classification", 5, "paper", 32),
        ("classification", 20, "paper", 16),
        ("classification", 5, "quick", 2),
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
        asked.append((shape["n_tasks"], shape["n_query_per_class"]))
        return sample(self, rng, **shape)

    monkeypatch.setattr(type(source), "sample", spy)
    task = TaskInfo(
        name="t",
        kind=kind,
        n_way=n_way,
        k_shot=1,
        n_query=n_way,
        input_shape=source.input_shape,
        n_outputs=int(is_regression),
    )
    adapter = MAML(train_steps=1, test_steps=1)
    adapter.setup(task, make_context())
    budget = Budget(preset=preset, iterations=1)
    adapter.meta_fit(source, validation=source, budget=budget, context=adapter.context)
    assert asked[1:] == [(expected, 1)], "one query a class in training, as many as shots"


def test_from_scratch_equals_a_plain_network(wave_task: TaskInfo, make_context: Any) -> None:
    """Two episodes side by side give what torch.nn trained on each alone gives."""
    adapter = FromScratch(n_steps=50, learning_rate=0.01)
    adapter.setup(wave_task, make_context())
    batch = Waves().sample(np.random.default_rng(0), n_way=1, k_shot=10, n_query_per_class=30, n_tasks=2)
    found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    for i in range(2):
        net = torch.nn.Sequential(
            torch.nn.Linear(1, 40), torch.nn.ReLU(), torch.nn.Linear(40, 40), torch.nn.ReLU(), torch.nn.Linear(40, 1)
        )
        with torch.no_grad():
            for own, start in zip(net.parameters(), adapter._start, strict=True):
                own.copy_(start.T if start.ndim == 2 else start)
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01, eps=ADAM_EPSILON)
        for _ in range(50):
            optimiser.zero_grad()
            F.mse_loss(net(torch.from_numpy(batch.support_x[i])), torch.from_numpy(batch.support_y[i])).backward()
            optimiser.step()
        with torch.no_grad():
            expected = net(torch.from_numpy(batch.query_x[i])).numpy()
        np.testing.assert_allclose(found[i], expected, atol=1e-3)
