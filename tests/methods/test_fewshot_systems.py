"""Each few-shot library once for real, in its own environment, and beside this package's own method.

The first run builds the environments (minutes, and a network); they are kept in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import FewShotTask
from benchbench.execution import supervisor
from benchbench.execution.harness import TrialHarness
from benchbench.execution.remote.adapters import remote_adapter
from benchbench.protocols import fewshot as protocol
from benchbench.registry import create_method, get_loader, get_method, methods
from benchbench.suites._pools import ImagePool

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("zygotes"), pytest.mark.timeout(1500)]

SYSTEMS = sorted(
    name
    for name, entry in methods().items()
    if entry.card.requirements and entry.module.startswith("benchbench.methods.fewshot.")
)
OPTIONS = {"way": 5, "shot": 1, "query": 5}
CASES = [pytest.param(name, id=f"{Path(get_method(name).card.requirements).stem}-{name}") for name in SYSTEMS]
PARAMS: dict[str, dict[str, Any]] = {"easyfsl_protonet": {"train_way": 10, "precision": "float32"}}


def test_there_are_some() -> None:
    assert len(SYSTEMS) >= 2


@pytest.mark.parametrize("name", CASES)
def test_system(make_request: Any, name: str) -> None:
    request = make_request(
        name, loader="glyphs", options=OPTIONS, params=PARAMS.get(name, {}), iterations=40, test_units=60
    )
    outcome = supervisor.execute(request)
    assert outcome.outcome == "ok", (outcome.error_message, outcome.traceback, outcome.log_tail)
    # chance is 0.2
    assert outcome.score > 0.3
    assert [point for point in outcome.curve if point.metric == "val_accuracy"]
    assert "left running" not in outcome.log_tail
    assert [n for n in outcome.environment if n.startswith("environment/")]


@pytest.fixture(scope="module")
def task() -> FewShotTask:
    loader = get_loader("glyphs")
    loader.prepare(OPTIONS, lambda line: None)
    found: FewShotTask = loader.load("letters", OPTIONS)
    return found


def predictions(adapter: Any, task: FewShotTask, context: Context, iterations: int) -> Any:
    """Train the adapter and return what it predicts for some test episodes."""
    try:
        adapter.setup(task.info, context)
        budget = Budget(preset="tests", iterations=iterations)
        adapter.meta_fit(task.train, validation=task.validation, budget=budget, context=context)
        (batch,) = protocol.test_episodes(task, 10)
        return adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    finally:
        adapter.close()


@pytest.fixture
def photographs(task: FewShotTask) -> FewShotTask:
    """Colour images of 32x32: networks pool them."""
    patterns = np.random.default_rng(0).integers(0, 200, (20, 1, 32, 32, 3))
    noise = np.random.default_rng(1).integers(0, 55, (20, 30, 32, 32, 3))
    pool = ImagePool((patterns + noise).astype(np.uint8))
    info = replace(task.info, input_shape=pool.input_shape)
    return replace(task, info=info, train=pool, validation=pool, test=pool)


@pytest.mark.parametrize("kind", ["task", "photographs"])
def test_learn2learn_takes_the_steps_of_our_own_maml(
    kind: str, request: pytest.FixtureRequest, make_harness: Callable[..., TrialHarness]
) -> None:
    """Independent make, the same episodes: predictions agree as far as float32 goes through second derivatives and Adam."""
    task: FewShotTask = request.getfixturevalue(kind)
    params = {"meta_batch": 4}
    harness = make_harness(seed=7)
    theirs = predictions(
        remote_adapter(get_method("learn2learn_maml"), params, harness), task, harness.context, iterations=5
    )
    ours = predictions(create_method("maml", params), task, harness.context, iterations=5)
    fresh = predictions(create_method("maml", params), task, harness.context, iterations=0)
    assert np.abs(theirs - ours).max() < 1e-3
    # and training has moved them by far more than that
    assert np.abs(ours - fresh).max() > 0.05


def test_easyfsl_starts_where_our_own_prototypes_start(
    task: FewShotTask, make_harness: Callable[..., TrialHarness]
) -> None:
    """Untrained, both measure the same distances d to prototypes: one predicts softmax(-d), the other softmax(-d ** 2)."""
    params = {"precision": "float32"}
    harness = make_harness()
    theirs = predictions(
        remote_adapter(get_method("easyfsl_protonet"), params, harness), task, harness.context, iterations=0
    )
    ours = predictions(create_method("protonet", params), task, harness.context, iterations=0)
    assert (theirs.argmax(-1) == ours.argmax(-1)).mean() > 0.98
    # of three classes: d1 - d0 and d2 - d0; the same of squares; and the sums d1 + d0, d2 + d0 between them
    plain, squared = (np.log(p[..., :1].astype(float)) - np.log(p[..., 1:3].astype(float)) for p in (theirs, ours))
    sums = squared / plain
    error = (sums[..., 1] - sums[..., 0]) - (plain[..., 1] - plain[..., 0])
    assert np.median(np.abs(error)) < 1e-3 < np.median(np.abs(plain))
