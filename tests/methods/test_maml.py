"""MAML, the adapter: it learns to adapt, repeats by seed, and treats batches as single episodes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, FewShotTask, Support, TaskInfo
from benchbench.execution.harness import TrialHarness
from benchbench.methods.fewshot import _reporting
from benchbench.methods.fewshot._learned_init import LearnedInitialisation
from benchbench.methods.fewshot.anil import ANIL
from benchbench.methods.fewshot.fomaml import FirstOrderMAML
from benchbench.methods.fewshot.maml import MAML
from benchbench.methods.fewshot.maml_inductive import InductiveMAML
from benchbench.methods.fewshot.meta_sgd import MetaSGD
from benchbench.methods.fewshot.proto_maml import ProtoMAML
from benchbench.protocols import fewshot as protocol
from benchbench.registry import get_loader

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "images": ("glyphs", {"way": 5, "shot": 1, "query": 2}),
    "waves": ("sinusoid", {"shot": 10, "query": 20}),
}
VARIANTS = [MAML, InductiveMAML, FirstOrderMAML, ANIL, MetaSGD, ProtoMAML]
SMALL: dict[str, Any] = {"meta_batch": 2}


@pytest.fixture(autouse=True)
def _few_validation_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reporting, "VALIDATION_QUERIES", 20)


@pytest.fixture(scope="module")
def tasks() -> dict[str, FewShotTask]:
    for loader, options in TASKS.values():
        get_loader(loader).prepare(options, lambda line: None)
    return {name: get_loader(loader).load(name, options) for name, (loader, options) in TASKS.items()}


def _harness(seed: int = 0) -> TrialHarness:
    return TrialHarness(seed=seed, device="cpu", threads=1, scratch=Path(), deadline=1e12)


def _trained(
    task: FewShotTask,
    iterations: int,
    *,
    seed: int = 0,
    harness: TrialHarness | None = None,
    cls: type[LearnedInitialisation] = MAML,
    **params: Any,
) -> LearnedInitialisation:
    adapter = cls(**params)
    assert adapter.supports(task.info) is None
    context = (harness or _harness(seed)).context
    adapter.setup(task.info, context)
    budget = Budget(preset="tests", iterations=iterations)
    adapter.meta_fit(task.train, validation=task.validation, budget=budget, context=context)
    return adapter


def _predict(adapter: LearnedInitialisation, batch: EpisodeBatch) -> Any:
    return adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)


def test_learns_to_adapt_to_waves(tasks: dict[str, FewShotTask]) -> None:
    task = tasks["waves"]
    adapter = _trained(task, 400)
    batch = next(protocol.test_episodes(task, 200))
    error = np.mean((_predict(adapter, batch) - batch.query_y) ** 2)
    untrained = np.mean((_predict(_trained(task, 0), batch) - batch.query_y) ** 2)
    adapter.test_steps = 0
    unadapted = np.mean((_predict(adapter, batch) - batch.query_y) ** 2)
    assert error < 0.8 * unadapted
    assert error < 0.8 * untrained


@pytest.mark.slow
@pytest.mark.parametrize("cls", VARIANTS)
def test_learns_to_adapt_to_letters(tasks: dict[str, FewShotTask], cls: type[LearnedInitialisation]) -> None:
    task = tasks["images"]
    batch = next(protocol.test_episodes(task, 100))
    adapter = _trained(task, 25, cls=cls, meta_batch=8)
    accuracy = float((_predict(adapter, batch).argmax(-1) == batch.query_y).mean())
    # chance is 0.2; four standard errors of 1,000 queries are 0.05
    assert accuracy > 0.27


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("iterations", [0, 2])
def test_predictions_are_finite_from_the_start(tasks: dict[str, FewShotTask], name: str, iterations: int) -> None:
    """Ten steps at test from parameters that are barely trained must not diverge."""
    task = tasks[name]
    batch = next(protocol.test_episodes(task, 300 if task.info.kind == "regression" else 30))
    found = _predict(_trained(task, iterations, **SMALL), batch)
    protocol.check_predictions(found, batch.query_x.shape[:2], task.info)
    if task.info.kind == "regression":
        assert np.abs(found).max() < 100


@pytest.mark.parametrize("name", list(TASKS))
def test_batched_and_single_agree_and_leave_the_adapter_alone(tasks: dict[str, FewShotTask], name: str) -> None:
    task = tasks[name]
    adapter = _trained(task, 2, **SMALL)
    before = [p.detach().clone() for p in adapter._params]
    batch = next(protocol.test_episodes(task, 12))
    found = _predict(adapter, batch)
    order = np.random.default_rng(0).permutation(batch.query_x.shape[1])
    for e in range(12):
        predictor = adapter.adapt(Support(batch.support_x[e], batch.support_y[e], task.info.n_way))
        np.testing.assert_allclose(predictor.predict(batch.query_x[e]), found[e], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(predictor.predict(batch.query_x[e][order]), found[e][order], rtol=1e-3, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(before, adapter._params, strict=True))


@pytest.mark.parametrize("name", list(TASKS))
def test_same_seed_same_parameters(tasks: dict[str, FewShotTask], name: str) -> None:
    first, again, other = (_trained(tasks[name], 2, seed=s, **SMALL)._params for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


class _Recorder(EpisodeSource):
    """Passes episodes on and remembers what was asked for."""

    def __init__(self, source: EpisodeSource) -> None:
        self.kind, self.input_shape, self.n_classes = source.kind, source.input_shape, source.n_classes
        self.source = source
        self.asked: list[dict[str, int]] = []

    def sample(self, rng: np.random.Generator, **shape: int) -> EpisodeBatch:  # type: ignore[override]
        self.asked.append(shape)
        return self.source.sample(rng, **shape)


def test_the_paper_decides_by_default(tasks: dict[str, FewShotTask]) -> None:
    task = tasks["images"]
    recorder = _Recorder(task.train)
    adapter = MAML()
    context = _harness().context
    adapter.setup(task.info, context)
    budget = Budget(preset="tests", iterations=1)
    adapter.meta_fit(recorder, validation=task.validation, budget=budget, context=context)
    assert recorder.asked == [{"n_way": 5, "k_shot": 1, "n_query_per_class": 1, "n_tasks": 32}]
    names = ("inner_rate", "train_steps", "test_steps", "meta_batch")
    assert [adapter.value(n) for n in names] == [0.4, 1, 3, 32]
    many = TaskInfo(name="t", kind="classification", n_way=20, k_shot=1, n_query=20, input_shape=(1, 28, 28))
    adapter.setup(many, context)
    assert [adapter.value(n) for n in names] == [0.1, 5, 5, 16]
    photographs = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=75, input_shape=(3, 84, 84))
    adapter.setup(photographs, context)
    assert [adapter.value(n) for n in (*names, "train_queries")] == [0.05, 5, 10, 4, 15]
    assert adapter._params[0].shape == (27, 32)
    adapter.setup(replace(photographs, k_shot=5), context)
    assert [adapter.value(n) for n in (*names, "train_queries")] == [0.05, 5, 10, 2, 15]
    wave = TaskInfo(name="t", kind="regression", n_way=1, k_shot=10, n_query=10, input_shape=(1,), n_outputs=1)
    adapter.setup(wave, context)
    assert [adapter.value(n) for n in ("inner_rate", "train_steps", "meta_batch")] == [0.01, 1, 25]


def test_reports_a_curve_that_ends_at_the_last_iteration(tasks: dict[str, FewShotTask]) -> None:
    harness = _harness()
    with harness.recorded() as reported:
        _trained(tasks["waves"], 25, harness=harness)
    points = [(step, metric, value) for step, _, metric, value in reported]
    steps = sorted({step for step, _, _ in points})
    assert 6 <= len(steps) <= 20
    assert steps[-1] == 25
    assert {metric for _, metric, _ in points} == {"train_loss", "val_neg_mse", "val_neg_mse_ci95"}
    assert all(np.isfinite(value) for _, _, value in points)


@pytest.mark.parametrize("shape", [(3, 84, 84), (1, 5, 9), (2, 1, 1)])
def test_other_images(shape: tuple[int, int, int]) -> None:
    info = TaskInfo(name="t", kind="classification", n_way=3, k_shot=2, n_query=6, input_shape=shape)
    adapter = MAML()
    adapter.setup(info, _harness().context)
    rng = np.random.default_rng(0)
    x, q = rng.random((2, 6, *shape), dtype=np.float32), rng.random((2, 6, *shape), dtype=np.float32)
    found = adapter.predict_episodes(x, np.tile(np.arange(3).repeat(2), (2, 1)), q)
    assert found.shape == (2, 6, 3)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
