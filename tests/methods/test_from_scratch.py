"""Training from scratch: it fits its support set, passes nothing on, and predicts one query at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.contracts.fewshot import EpisodeBatch, FewShotTask, Support
from benchbench.execution.harness import TrialHarness
from benchbench.methods.fewshot.from_scratch import FromScratch
from benchbench.protocols import fewshot as protocol
from benchbench.registry import get_loader

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "images": ("glyphs", {"way": 5, "shot": 2, "query": 3}),
    "waves": ("sinusoid", {"shot": 10, "query": 10}),
}


def _load(name: str) -> FewShotTask:
    loader, options = TASKS[name]
    get_loader(loader).prepare(options, lambda line: None)
    return get_loader(loader).load(name, options)


def _adapter(task: FewShotTask, *, seed: int = 0, **params: Any) -> FromScratch:
    adapter = FromScratch(**params)
    assert adapter.supports(task.info) is None
    adapter.setup(task.info, TrialHarness(seed=seed, device="cpu", threads=1, scratch=Path(), deadline=1e12).context)
    return adapter


def _predict(adapter: FromScratch, batch: EpisodeBatch) -> Any:
    return adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)


def test_fits_the_labels_of_its_support_set() -> None:
    task = _load("images")
    adapter = _adapter(task)
    batch = next(protocol.test_episodes(task, 10))
    # its own support set as queries
    found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.support_x)
    assert (found.argmax(-1) == batch.support_y).mean() > 0.98
    # and labels that mean nothing as well
    shuffled = np.random.default_rng(0).permuted(batch.support_y, axis=1)
    found = adapter.predict_episodes(batch.support_x, shuffled, batch.support_x)
    assert (found.argmax(-1) == shuffled).mean() > 0.9


def test_fits_the_values_of_its_support_set() -> None:
    task = _load("waves")
    batch = next(protocol.test_episodes(task, 20))
    found = _adapter(task).predict_episodes(batch.support_x, batch.support_y, batch.support_x)
    untrained = _adapter(task, learning_rate=1e-12).predict_episodes(batch.support_x, batch.support_y, batch.support_x)
    assert np.mean((found - batch.support_y) ** 2) < 0.02 * np.mean((untrained - batch.support_y) ** 2)


def test_beats_chance_on_unseen_queries() -> None:
    task = _load("images")
    batch = next(protocol.test_episodes(task, 30))
    accuracy = (_predict(_adapter(task), batch).argmax(-1) == batch.query_y).mean()
    # chance is 0.2; four standard errors of 450 queries are 0.075
    assert accuracy > 0.3


@pytest.mark.parametrize("name", list(TASKS))
def test_batched_single_and_reordered_agree(name: str) -> None:
    task = _load(name)
    adapter = _adapter(task, n_steps=5)
    batch = next(protocol.test_episodes(task, 11))
    found = _predict(adapter, batch)
    start = [p.clone() for p in adapter._start]
    for e in range(11):
        predictor = adapter.adapt(Support(batch.support_x[e], batch.support_y[e], task.info.n_way))
        np.testing.assert_allclose(predictor.predict(batch.query_x[e]), found[e], rtol=1e-3, atol=1e-4)
        # inductive: queries in another order, or alone, get what they get in company
        other_order = predictor.predict(batch.query_x[e, ::-1].copy())[::-1]
        np.testing.assert_allclose(other_order, found[e], rtol=1e-3, atol=1e-4)
        alone = predictor.predict(batch.query_x[e, 3:4])
        np.testing.assert_allclose(alone[0], found[e, 3], rtol=1e-3, atol=1e-4)
        # Adam divides by tiny moments, which magnifies the rounding of sums in another order
        other = adapter.adapt(
            Support(batch.support_x[e, ::-1].copy(), batch.support_y[e, ::-1].copy(), task.info.n_way)
        )
        np.testing.assert_allclose(other.predict(batch.query_x[e]), found[e], rtol=0.01, atol=2e-3)
    assert all(bool((a == b).all()) for a, b in zip(start, adapter._start, strict=True))


@pytest.mark.parametrize("name", list(TASKS))
def test_seed_decides(name: str) -> None:
    task = _load(name)
    batch = next(protocol.test_episodes(task, 3))
    first, again, other = (_predict(_adapter(task, seed=s, n_steps=3), batch) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_each_task_is_trained_on_its_own() -> None:
    task = _load("images")
    adapter = _adapter(task)
    batch = next(protocol.test_episodes(task, 4))
    found = _predict(adapter, batch)
    spoilt = batch.support_y.copy()
    spoilt[1:] = batch.support_y[1:, ::-1]
    changed = adapter.predict_episodes(batch.support_x, spoilt, batch.query_x)
    np.testing.assert_array_equal(found[0], changed[0])
    assert not np.allclose(found[1], changed[1])
