"""How far a run is, and how long it still takes, by a clock that the tests set."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable

import pytest

from benchbench.cli import progress
from benchbench.cli.progress import PlainProgress, Tally
from benchbench.records import Attempt

Ended = Callable[..., Attempt]


class Clock:
    """What `time.monotonic` says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def tally(clock: Clock, n_slots: int = 1, **waiting: int) -> Tally:
    return Tally(sum(waiting.values()), n_slots, started=clock.now, waiting=Counter(waiting))


def test_nothing_is_known_before_anything_was_said(clock: Clock) -> None:
    found = tally(clock, maml=2)
    assert found.seconds_left() is None
    found.start("a", "maml", "t")
    clock.now += 100
    assert found.seconds_left() is None
    found.advance("a", 1, 100)
    assert found.seconds_left() is None, "one point is no pace"
    assert "left" not in found.line()


def test_a_trial_that_runs_goes_by_its_own_pace(clock: Clock) -> None:
    found = tally(clock, maml=1)
    found.start("a", "maml", "t")
    clock.now += 10  # data are loaded
    found.advance("a", 0, 1000)
    clock.now += 100
    found.advance("a", 250, 1000)
    assert found.seconds_left() == pytest.approx(300)
    clock.now += 60
    assert found.seconds_left() == pytest.approx(240)
    clock.now += 1000  # it has slowed down, and says no more
    assert found.seconds_left() == 0
    assert found.line() == "0/1 trials done, 1 running, about 0 s left"


def test_a_trial_that_goes_on_from_a_checkpoint_is_not_taken_for_a_fast_one(clock: Clock) -> None:
    found = tally(clock, maml=1)
    found.start("a", "maml", "t")
    found.advance("a", 900, 1000)
    clock.now += 50
    found.advance("a", 950, 1000)
    assert found.seconds_left() == pytest.approx(50)


def test_those_that_wait_take_what_those_of_their_method_take(clock: Clock, ended: Ended) -> None:
    found = tally(clock, maml=3, protonet=2)
    found.start("a", "maml", "t")
    found.advance("a", 0, 10)
    clock.now += 20
    found.advance("a", 2, 10)
    # 80 s of its own, 2 x 100 like it, and two of a method that nothing is known of
    assert found.seconds_left() == pytest.approx(80 + 200 + 200)
    found.finish(ended(trial_id="a", wall_seconds=100.0), True)
    found.start("b", "protonet", "t")
    clock.now += 5
    assert found.seconds_left() == pytest.approx(200 + 100 + 95)
    found.finish(ended(trial_id="b", method="protonet", wall_seconds=10.0), True)
    assert found.seconds_left() == pytest.approx(200 + 10)


def test_slots_share_trials_but_not_a_trial(clock: Clock) -> None:
    found = tally(clock, n_slots=2, maml=1, protonet=1)
    for id_, method in (("a", "maml"), ("b", "protonet")):
        found.start(id_, method, "t")
        found.advance(id_, 0, 10)
    clock.now += 10
    found.advance("a", 1, 10)
    found.advance("b", 5, 10)
    assert found.seconds_left() == pytest.approx(90)


def test_tries_that_are_repeated_are_still_to_come(clock: Clock, ended: Ended) -> None:
    found = tally(clock, maml=1)
    found.start("a", "maml", "t")
    found.finish(ended(trial_id="a", wall_seconds=5.0, outcome="infra"), False)
    found.start("a", "maml", "t")
    found.advance("a", 0, 10)
    clock.now += 10
    found.advance("a", 1, 10)
    assert found.seconds_left() == pytest.approx(90)
    # of a trial that has ended or was never begun nothing is noted
    found.advance("z", 1, 10)
    assert list(found.running) == ["a"]


def test_plain_lines_come_less_often_the_longer_it_takes(clock: Clock) -> None:
    out = io.StringIO()
    shown = PlainProgress(1, 1, Counter(maml=1), out)
    shown.start("a", "maml", "omniglot-maml-5w1s")
    for second in range(1, 36_001):
        clock.now += 1
        if second % 2 == 0:
            shown.advance("a", second, 40_000)
        shown.tick()
    lines = out.getvalue().splitlines()
    assert lines[0] == "0/1 trials done, 1 running, about 11 h 06 min left; maml on omniglot-maml-5w1s (0 %, 30 s)"
    assert "maml on omniglot-maml-5w1s (" in lines[-1]
    assert 80 < len(lines) < 250
