"""An adapter sees of its trial what is its own; the harness steers the rest, and sends what was reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from benchbench.contracts.context import Context
from benchbench.execution import harness as module
from benchbench.execution.harness import TrialHarness

Make = Callable[..., TrialHarness]

AUTHORS = {"checkpoint", "deadline", "derive", "device", "last_checkpoint", "progress", "report", "rng", "scratch"}
AUTHORS |= {"seconds_left", "seed", "threads"}


def test_an_adapter_sees_what_is_its_own(make_harness: Make) -> None:
    context = make_harness(seed=3).context
    assert isinstance(context, Context)
    assert {name for name in dir(context) if not name.startswith("_")} == AUTHORS
    assert context.seed == 3
    assert 590 < context.seconds_left() < 600


def test_reports_are_sent_with_the_seconds_of_the_timed_phase(make_harness: Make) -> None:
    sent: list[dict[str, Any]] = []
    harness = make_harness(send=sent.append)
    harness.start_clock(already_seconds=100.0)
    harness.context.report(7, accuracy=0.5, loss=1)
    (step, seconds, name, value), (_, again, *_) = (message["point"] for message in sent)
    assert (step, name, value) == (7, "accuracy", 0.5)
    assert 100 <= seconds == again < 101


def test_recordings_are_nested_and_end(make_harness: Make) -> None:
    harness = make_harness()
    with harness.recorded() as outer:
        harness.point(1, 0.1, "loss", 3.0)
        with harness.recorded() as inner:
            harness.replay([(2, 0.2, "loss", 2.0)])
        harness.point(3, 0.3, "loss", 1.0)
    harness.point(4, 0.4, "loss", 0.0)
    assert [step for step, *_ in outer] == [1, 2, 3]
    assert [step for step, *_ in inner] == [2]


def test_progress_is_sent_now_and_then_and_when_a_part_begins(
    make_harness: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    harness = make_harness(send=sent.append)
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 600.0)
    for i in range(5):
        harness.context.progress(i, 5)
    harness.progress(0, 3, "testing")
    assert sent == [{"progress": (0.0, 5.0, "")}, {"progress": (0.0, 3.0, "testing")}]
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.0)
    harness._next_progress = 0.0
    harness.progress(1, 3, "testing")
    harness.progress(2, 3, "testing")
    assert len(sent) == 4


def test_a_limit_of_a_part_is_sent_and_ends_with_it(make_harness: Make) -> None:
    sent: list[dict[str, Any]] = []
    harness = make_harness(send=sent.append)
    before = harness.deadline
    with pytest.raises(ArithmeticError), harness.limited("fit", 5.0):
        assert harness.context.deadline == harness.deadline == sent[0]["limit"][2]
        assert 4 < harness.context.seconds_left() <= 5
        raise ArithmeticError
    assert sent[0]["limit"][:2] == ("fit", 5.0)
    assert sent[1] == {"limit": None}
    assert harness.context.deadline == before
    # a part may not take longer than what is left of the trial
    with harness.limited("fit", 1e6):
        assert harness.deadline == before


def test_what_an_interrupted_process_spent_is_charged(make_harness: Make) -> None:
    sent: list[dict[str, Any]] = []
    harness = make_harness(send=sent.append)
    harness.charge(550.0, limit_seconds=600.0)
    assert 40 < harness.context.seconds_left() < 50
    assert sent[0]["limit"][1:] == (600.0, harness.deadline)


def test_checkpoints_are_kept_and_gone_on_from_in_training_alone(make_harness: Make) -> None:
    harness = make_harness()
    kept: list[bytes] = []
    context = harness.context
    with harness.checkpoints(lambda make: kept.append(make()), b"earlier"):
        assert context.last_checkpoint() == b"earlier"
        context.checkpoint(lambda: b"later")
    assert kept == [b"later"]
    assert context.last_checkpoint() is None

    def never() -> bytes:
        raise AssertionError("nobody keeps it")

    context.checkpoint(never)


def test_without_a_supervisor_nothing_is_sent(make_harness: Make) -> None:
    harness = make_harness()
    harness.context.report(1, loss=time.time())
    harness.context.progress(1, 2)
    with harness.limited("fit", 1.0):
        pass
