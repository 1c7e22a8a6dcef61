"""A few-shot adapter in another interpreter: it is trained on the very same episodes, and never sees a label of a test query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import FewShotTask, Support
from benchbench.execution import supervisor
from benchbench.execution.harness import TrialHarness
from benchbench.execution.remote.adapters import remote_adapter
from benchbench.execution.remote.interpreter import InterpreterDiedError, RemoteError
from benchbench.protocols import fewshot as protocol
from benchbench.registry import create_method, get_loader, get_method

pytestmark = pytest.mark.usefixtures("zygotes", "wrapped")

OPTIONS = {"way": 5, "shot": 1, "query": 3}
BUDGET = Budget(preset="tests", iterations=2)


@pytest.fixture(scope="module")
def task() -> FewShotTask:
    loader = get_loader("glyphs")
    loader.prepare(OPTIONS, lambda line: None)
    found: FewShotTask = loader.load("letters", OPTIONS)
    return found


def train(adapter: Any, task: FewShotTask, harness: TrialHarness) -> list[Any]:
    """Train it and return the points that it reports, without their seconds."""
    assert adapter.supports(task.info) is None
    adapter.setup(task.info, harness.context)
    harness.start_clock()
    with harness.recorded() as points:
        adapter.meta_fit(task.train, validation=task.validation, budget=BUDGET, context=harness.context)
    return [(step, name, value) for step, _, name, value in points]


@pytest.mark.parametrize("how", ["nothing", "images"])
def test_episodes_are_those_that_it_would_draw_itself(
    task: FewShotTask, make_harness: Callable[..., TrialHarness], how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[float, float, str]] = []
    harness = make_harness(
        seed=3, send=lambda message: told.append(message["progress"]) if "progress" in message else None
    )
    remote = remote_adapter(get_method("wrapped_episodes"), {"how": how}, harness)
    try:
        found = train(remote, task, harness)
        # how far it is is said at once, then every two seconds: twice if this machine is slow
        assert told[0] == (1.0, 2.0, "")
        assert told[1:] in ([], [(2.0, 2.0, "")])
        assert "executable=" in capfd.readouterr().out
        # nothing is left of what was exchanged
        assert not list(remote.remote._folder.iterdir())
    finally:
        remote.close()
    here = create_method("wrapped_episodes", {"how": how})
    expected = train(here, task, make_harness(seed=3))
    assert found == expected
    assert len(found) == (17 if how == "images" else 14)


def test_predictions_are_those_of_the_adapter(task: FewShotTask, make_harness: Callable[..., TrialHarness]) -> None:
    harness = make_harness()
    remote, here = remote_adapter(get_method("wrapped_episodes"), {}, harness), create_method("wrapped_episodes", {})
    here.setup(task.info, harness.context)
    remote.setup(task.info, harness.context)
    (batch,) = protocol.test_episodes(task, 4)
    asked: list[dict[str, Any]] = []
    ask = remote.remote.ask
    remote.remote.ask = lambda *names, **arguments: asked.append(arguments) or ask(*names, **arguments)
    try:
        found = remote.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        one = remote.adapt(Support(batch.support_x[2], batch.support_y[2], 5)).predict(batch.query_x[2])
    finally:
        remote.close()
    for i in range(4):
        alone = here.adapt(Support(batch.support_x[i], batch.support_y[i], 5)).predict(batch.query_x[i])
        assert np.array_equal(found[i], alone)
    assert np.array_equal(found[2], one)
    # all that is handed over at test
    assert set(asked[0]) == {"support_x", "support_y", "query_x", "answer"}


def test_what_cannot_be_drawn_is_an_error_of_the_adapter(
    task: FewShotTask, make_harness: Callable[..., TrialHarness]
) -> None:
    harness = make_harness()
    remote = remote_adapter(get_method("wrapped_episodes"), {"how": "too_many"}, harness)
    try:
        with pytest.raises(RemoteError, match="1000000"):
            train(remote, task, harness)
    finally:
        remote.close()


def test_its_death_is_told(task: FewShotTask, make_harness: Callable[..., TrialHarness]) -> None:
    harness = make_harness()
    remote = remote_adapter(get_method("wrapped_episodes"), {"how": "exit_hard"}, harness)
    try:
        with pytest.raises(InterpreterDiedError, match="exited with code 7 during meta_fit; it printed: a last word"):
            train(remote, task, harness)
    finally:
        remote.close()


def test_kinds_of_tasks_that_it_has_no_form_for(make_request: Any) -> None:
    outcome = supervisor.execute(make_request("wrapped_episodes"))
    assert (outcome.outcome, outcome.error_message) == ("declined", "wrapped_episodes has no regression form")


def test_a_trial(make_request: Any) -> None:
    request = make_request("wrapped_episodes", loader="glyphs", options=OPTIONS, iterations=2, test_units=30)
    outcome = supervisor.execute(request)
    assert outcome.outcome == "ok", outcome
    assert outcome.score > 0.3
    assert outcome.environment["environment/toy"] == "1.5"
    assert {p.metric for p in outcome.curve} >= {"sum0", "next"}
    assert 0 < outcome.metrics["environment_start_seconds"] < outcome.wall_seconds
    assert "left running" not in outcome.log_tail
