"""Every few-shot method on a GPU gives what it gives on a CPU, up to rounding. Needs CUDA: marker `gpu`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import TaskInfo
from benchbench.execution.child import set_device
from benchbench.execution.harness import TrialHarness
from benchbench.registry import create_method, get_method, methods
from benchbench.suites._pools import ImagePool

NAMES = sorted(
    name
    for name, entry in methods().items()
    if entry.card.track == "fewshot" and entry.module.startswith("benchbench.methods.") and not entry.card.requirements
)

# of meta-training on the CPU, after which predictions are far from uniform
ITERATIONS = {"baseline_pp": 100, "mann": 100, "relation": 100}
OTHERS = 30

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def _adapter(name: str, device: str, task: TaskInfo) -> Any:
    params = {"precision": "float32"} if "precision" in vars(create_method(name, {})) else {}
    adapter = create_method(name, params)
    harness = TrialHarness(seed=0, device=device, threads=1, scratch=Path(), deadline=time.monotonic() + 600)
    adapter.setup(task, harness.context)
    return adapter


def _train(name: str, device: str, pool: ImagePool, task: TaskInfo, iterations: int) -> Any:
    adapter = _adapter(name, device, task)
    budget = Budget(preset="quick", iterations=iterations)
    adapter.meta_fit(pool, validation=pool, budget=budget, context=adapter.context)
    return adapter


def _predict(adapter: Any, pool: ImagePool, task: TaskInfo) -> Any:
    batch = pool.sample(np.random.default_rng(5), n_way=task.n_way, k_shot=task.k_shot, n_query_per_class=3, n_tasks=4)
    return adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)


def _pool(*shape: int) -> ImagePool:
    patterns = np.random.default_rng(0).integers(0, 200, (30, 1, *shape))
    noise = np.random.default_rng(1).integers(0, 55, (30, 20, *shape))
    return ImagePool((patterns + noise).astype(np.uint8))


@pytest.fixture(scope="module")
def pool() -> ImagePool:
    return _pool(28, 28)


TASK = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=15, input_shape=(1, 28, 28))
LEARNS = [name for name in NAMES if get_method(name).card.iterations["paper"] > 0]


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_trial() -> None:
    set_device("cuda")


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(LEARNS)))
def test_predictions_agree(name: str, pool: ImagePool) -> None:
    on_cpu, on_gpu = (_predict(_adapter(name, device, TASK), pool, TASK) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu, on_cpu, atol=5e-3)


@pytest.mark.parametrize("name", LEARNS)
def test_predictions_of_what_was_learnt_agree(name: str, pool: ImagePool) -> None:
    """What was learnt on the CPU answers on the GPU as it does there. Before training most methods say 0.2 of everything."""
    _check_what_was_learnt(name, pool, TASK)


def _check_what_was_learnt(name: str, pool: ImagePool, task: TaskInfo) -> None:
    on_cpu = _train(name, "cpu", pool, task, ITERATIONS.get(name, OTHERS))
    on_gpu = _adapter(name, "cuda", task)
    on_gpu.load_state(on_cpu.state())
    expected = _predict(on_cpu, pool, task)
    assert np.abs(expected - 0.2).max() > 0.1, "nothing was learnt that could differ"
    np.testing.assert_allclose(_predict(on_gpu, pool, task), expected, atol=5e-3)


@pytest.mark.parametrize("name", ["maml", "reptile", "protonet"])
def test_predictions_of_photographs_agree(name: str) -> None:
    """Photographs go through max-pooling, in the gradient methods' network, too."""
    _check_what_was_learnt(name, _pool(32, 32, 3), replace(TASK, input_shape=(3, 32, 32)))


@pytest.mark.parametrize("name", LEARNS)
def test_training_repeats_to_the_bit(name: str, pool: ImagePool) -> None:
    """With the same seed on the same GPU, and memory on the device was used."""
    torch.cuda.reset_peak_memory_stats()
    first, second = (_predict(_train(name, "cuda", pool, TASK, 5), pool, TASK) for _ in range(2))
    assert np.isfinite(first).all()
    assert torch.cuda.max_memory_allocated() > 2**20
    assert not np.allclose(first, _predict(_train(name, "cuda", pool, TASK, 0), pool, TASK)), "nothing was learnt"
    np.testing.assert_array_equal(first, second)
