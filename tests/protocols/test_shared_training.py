"""Training that trials share takes any track's word for what it depends on: here, of an optimiser that learns its step size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench import artefacts
from benchbench.contracts.context import Budget, Context
from benchbench.errors import ClusterError
from benchbench.execution.harness import TrialHarness
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.shared_training import PHASE, train_or_share
from benchbench.spec import TrialSpec

ITERATIONS = 20


class StepSize:
    """Gradient descent on random quadratics, whose step size is learnt by trying a larger and a smaller one in turn."""

    def __init__(self, context: Context, lost_after: int = 0) -> None:
        self.context, self.lost_after = context, lost_after
        self.log_step = 0.0
        self.trained = 0

    def train(self, curvature: float) -> None:
        rng = self.context.rng("step size")
        begun = 0
        earlier = self.context.last_checkpoint()
        if earlier is not None:
            place = json.loads(earlier)
            begun, self.log_step, rng.bit_generator.state = place["done"], place["log_step"], place["rng"]
        for iteration in range(begun + 1, ITERATIONS + 1):
            curvatures = curvature * rng.uniform(0.5, 1.5, 50)
            tried = self.log_step + np.array([-0.1, 0.0, 0.1])
            losses = (np.abs(1 - np.exp(tried)[:, None] * curvatures) ** 2).mean(1)
            self.log_step = float(tried[losses.argmin()])
            self.trained += 1
            self.context.report(iteration, loss=float(losses.min()))
            place = {"done": iteration, "log_step": self.log_step, "rng": rng.bit_generator.state}
            self.context.checkpoint(json.dumps(place).encode)
            if iteration == self.lost_after:
                raise ClusterError("the worker is gone")

    def state(self) -> Mapping[str, Any]:
        return {"log_step": np.array(self.log_step)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.log_step = float(state["log_step"])


Run = Callable[..., tuple[StepSize, StepSize, dict[str, float], PhaseClock, list[Any]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_harness: Callable[..., TrialHarness]) -> Run:
    """Run a trial's training; return who was to be trained, who goes on, figures, clock and curve."""
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCHBENCH_CHECKPOINT_SECONDS", "0")

    def start(key: Mapping[str, Any] | None, lost_after: int = 0, shares: bool = True, **budget: Any) -> Any:
        spec = TrialSpec(
            suite="tests",
            suite_version="1",
            track="hpo",
            task="quadratics",
            loader="synthetic",
            options={},
            method="random_search",
            params={},
            seed=3,
            budget=Budget(**{"preset": "tests", "iterations": ITERATIONS, **budget}),
            device="cpu",
        )
        harness, clock = make_harness(seed=3, shares_training=shares), PhaseClock()
        first = StepSize(harness.context, lost_after)
        curvature = 1.0 if key is None else float(key["curvature"])
        with harness.recorded() as points:
            learnt, figures = train_or_share(
                spec,
                first,
                harness,
                clock,
                key=key,
                train=lambda adapter: adapter.train(curvature),
                renew=lambda: StepSize(harness.context),
            )
        return first, learnt, figures, clock, [(step, name, value) for step, _, name, value in points]

    return start


def test_it_is_done_once_for_equal_keys(run: Run) -> None:
    first, learnt, figures, clock, curve = run({"curvature": 2.0})
    assert (first.trained, learnt.trained, figures) == (ITERATIONS, 0, {})
    # the best step for curvatures c around 2 is near E[c] / E[c^2]
    assert learnt.log_step == first.log_step == pytest.approx(np.log(0.46), abs=0.15)
    assert [step for step, *_ in curve] == list(range(1, ITERATIONS + 1))
    again, taken, figures, again_clock, again_curve = run({"curvature": 2.0})
    assert again.trained == 0 and taken is again
    assert taken.log_step == learnt.log_step
    assert again_curve == curve
    assert figures == {"shared_seconds": clock.seconds[PHASE]} == {"shared_seconds": again_clock.seconds[PHASE]}


def test_another_key_or_budget_is_another_training(run: Run) -> None:
    steps = [run({"curvature": c})[1].log_step for c in (0.5, 2.0)]
    assert steps[0] - steps[1] > 1.0
    assert run({"curvature": 2.0}, preset="other")[0].trained == ITERATIONS
    assert len(list(artefacts.entries())) == 3


def test_a_track_that_has_no_key_shares_nothing(run: Run) -> None:
    for key, more in ((None, {}), ({"curvature": 2.0}, {"shares": False}), ({"curvature": 2.0}, {"iterations": 0})):
        first, learnt, figures, _, _ = run(key, **more)
        assert learnt is first and first.trained == ITERATIONS and figures == {}
    assert list(artefacts.entries()) == []


def test_a_lost_training_is_continued_to_the_same_end(run: Run) -> None:
    whole = run({"curvature": 2.0}, shares=False)
    with pytest.raises(ClusterError):
        run({"curvature": 2.0}, lost_after=7)
    (unfinished,) = artefacts.entries()
    assert unfinished.is_unfinished
    first, learnt, figures, clock, curve = run({"curvature": 2.0})
    assert first.trained == ITERATIONS - 7
    assert learnt.log_step == whole[1].log_step
    assert curve == whole[4]
    assert 0 < figures["continued_seconds"] < clock.seconds[PHASE]


def test_a_key_must_not_say_what_the_harness_says(run: Run) -> None:
    with pytest.raises(ValueError, match="must not name seed, source"):
        run({"curvature": 1.0, "seed": 0, "source": ""})
