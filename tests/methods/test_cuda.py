"""Every few-shot method on a GPU gives what it gives on a CPU, up to rounding. Needs CUDA: marker `gpu`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import TaskInfo
from benchbench.registry import create_method, get_method, methods
from benchbench.suites._pools import ImagePool

NAMES = sorted(
    name
    for name, entry in methods().items()
    if entry.card.track == "fewshot" and entry.module.startswith("benchbench.methods.") and not entry.card.requirements
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def _predictions(name: str, device: str, pool: ImagePool, task: TaskInfo, iterations: int) -> Any:
    params = {"precision": "float32"} if "precision" in vars(create_method(name, {})) else {}
    adapter = create_method(name, params)
    context = Context(seed=0, device=device, threads=1, scratch=Path(), deadline=time.monotonic() + 600)
    adapter.setup(task, context)
    budget = Budget(preset="quick", iterations=iterations)
    adapter.meta_fit(pool, validation=pool, budget=budget, context=context)
    batch = pool.sample(np.random.default_rng(5), n_way=task.n_way, k_shot=task.k_shot, n_query=3, n_tasks=4)
    return adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)


@pytest.fixture(scope="module")
def pool() -> ImagePool:
    patterns = np.random.default_rng(0).integers(0, 200, (30, 1, 28, 28))
    noise = np.random.default_rng(1).integers(0, 55, (30, 20, 28, 28))
    return ImagePool((patterns + noise).astype(np.uint8))


@pytest.mark.parametrize("name", NAMES)
def test_untrained_predictions_agree(name: str, pool: ImagePool) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=15, input_shape=(1, 28, 28))
    on_cpu, on_gpu = (_predictions(name, device, pool, task, 0) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu, on_cpu, atol=5e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if get_method(name).card.iterations["paper"] > 0])
def test_learns_on_the_device(name: str, pool: ImagePool) -> None:
    """Few iterations change the predictions, and memory on the device was used."""
    task = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=15, input_shape=(1, 28, 28))
    torch.cuda.reset_peak_memory_stats()
    before, after = (_predictions(name, "cuda", pool, task, n) for n in (0, 5))
    assert np.isfinite(after).all()
    assert not np.allclose(before, after)
    assert torch.cuda.max_memory_allocated() > 2**20
