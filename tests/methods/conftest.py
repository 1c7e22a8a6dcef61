"""Small tasks that the tests of the methods share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, TaskInfo


class Blobs(EpisodeSource):
    """Classes of noisy images around a random pattern each: easy, but not without looking."""

    kind = "classification"

    def __init__(self, *, n_classes: int = 12, input_shape: tuple[int, ...] = (1, 16, 16), noise: float = 0.3) -> None:
        self.n_classes, self.input_shape, self.noise = n_classes, input_shape, noise
        self.patterns = np.random.default_rng(7).random((n_classes, *input_shape), dtype=np.float32)

    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query_per_class: int, n_tasks: int = 1
    ) -> EpisodeBatch:
        parts: list[list[Any]] = [[], [], [], []]
        for _ in range(n_tasks):
            classes = rng.choice(self.n_classes, n_way, replace=False)
            for n, (x, y) in ((k_shot, (0, 1)), (n_query_per_class, (2, 3))):
                clean = np.repeat(self.patterns[classes], n, axis=0)
                parts[x].append(clean + self.noise * rng.standard_normal(clean.shape, dtype=np.float32))
                parts[y].append(np.repeat(np.arange(n_way), n))
        return EpisodeBatch(*(np.stack(p) for p in parts))

    @property
    def n_labels(self) -> int:
        return self.n_classes

    def sample_images(self, rng: np.random.Generator, n_images: int) -> tuple[Any, Any]:
        y = rng.integers(0, self.n_classes, n_images)
        x = self.patterns[y]
        return x + self.noise * rng.standard_normal(x.shape, dtype=np.float32), y


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture
def make_blobs() -> type[Blobs]:
    return Blobs


@pytest.fixture
def blob_task() -> TaskInfo:
    return TaskInfo(name="blobs", kind="classification", n_way=5, k_shot=2, n_query=15, input_shape=(1, 16, 16))


@pytest.fixture
def wave_task() -> TaskInfo:
    return TaskInfo(name="waves", kind="regression", n_way=1, k_shot=10, n_query=30, input_shape=(1,), n_outputs=1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def fit() -> Callable[..., None]:
    def run(adapter: Any, source: EpisodeSource, iterations: int) -> None:
        budget = Budget(preset="tests", iterations=iterations)
        adapter.meta_fit(source, validation=source, budget=budget, context=adapter.context)

    return run
