"""How far a run is, and how long it still takes, by a clock that the tests set."""

from __future__ import annotations

import io
import re
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from benchbench.cli import progress, tally
from benchbench.cli.progress import LiveProgress, PlainProgress
from benchbench.cli.tally import Tally
from benchbench.records import Attempt
from benchbench.stats.labels import whole_duration
from benchbench.text import printable

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
    for module in (progress, tally):
        monkeypatch.setattr(module, "time", made)
    return made


def begun(clock: Clock, n_slots: int = 1, **waiting: int) -> Tally:
    return Tally(sum(waiting.values()), n_slots, started=clock.now, waiting=Counter(waiting))


def test_nothing_is_known_before_anything_was_said(clock: Clock) -> None:
    found = begun(clock, maml=2)
    assert found.seconds_left() is None
    found.start("a", "maml", "t")
    clock.now += 100
    assert found.seconds_left() is None
    found.advance("a", 1, 100)
    assert found.seconds_left() is None, "one point is no pace"
    assert "left" not in found.line()


def test_a_trial_that_runs_goes_by_its_own_pace(clock: Clock) -> None:
    found = begun(clock, maml=1)
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
    assert found.line() == "0/1 trials done, 1 running"


def test_trials_with_remarks_are_counted(clock: Clock, ended: Ended) -> None:
    found = begun(clock, maml=3)
    found.finish(ended(trial_id="a"), True)
    assert "remarks" not in found.line()
    found.finish(ended(trial_id="b", remarks=["auc is undefined", "another"]), True)
    found.finish(ended(trial_id="c", remarks=["auc is undefined"]), True)
    assert found.line() == "3/3 trials done, 0 running, 2 with remarks"


def test_a_trial_that_goes_on_from_a_checkpoint_is_not_taken_for_a_fast_one(clock: Clock) -> None:
    found = begun(clock, maml=1)
    found.start("a", "maml", "t")
    found.advance("a", 900, 1000)
    clock.now += 50
    found.advance("a", 950, 1000)
    assert found.seconds_left() == pytest.approx(50)


def test_a_trial_that_went_on_from_a_checkpoint_says_what_a_whole_one_takes(clock: Clock, ended: Ended) -> None:
    found = begun(clock, maml=3)
    found.start("a", "maml", "t")
    found.advance("a", 0.95, 1)
    clock.now += 60
    found.advance("a", 0.955, 1)
    assert found.seconds_left() == pytest.approx(0.045 * 12_000 + 2 * 12_000)
    found.finish(ended(trial_id="a", wall_seconds=600.0, metrics={"continued_seconds": 11_400.0}), True)
    assert found.seconds_left() == pytest.approx(2 * 12_000)


def test_testing_has_a_pace_of_its_own(clock: Clock) -> None:
    found = begun(clock, maml=2)
    found.start("a", "maml", "t")
    found.advance("a", 0, 10)
    clock.now += 90
    found.advance("a", 9, 10)
    assert found.seconds_left() == pytest.approx(10 + 100)
    clock.now += 10
    found.advance("a", 0, 300, "testing")
    assert found.seconds_left() == pytest.approx(100), "nothing is known of testing; the second trains as long"
    assert str(found.running["a"]) == "maml on t (testing 0 %, 1 min 40 s)"
    clock.now += 10
    found.advance("a", 150, 300, "testing")
    assert found.seconds_left() == pytest.approx(10 + 120)
    assert str(found.running["a"]) == "maml on t (testing 50 %, 1 min 50 s)"


def test_a_training_that_went_on_counts_whole_while_it_is_tested(clock: Clock) -> None:
    found = begun(clock, maml=2)
    found.start("a", "maml", "t")
    found.advance("a", 900, 1000)
    clock.now += 100
    found.advance("a", 1000, 1000)
    found.advance("a", 0, 300, "testing")
    assert found.seconds_left() == pytest.approx(1000)


@pytest.mark.parametrize("outcome", ["declined", "infra"])
def test_trials_that_did_nothing_say_nothing_of_the_others(clock: Clock, ended: Ended, outcome: str) -> None:
    found = begun(clock, maml=2)
    found.start("a", "maml", "one")
    found.finish(ended(trial_id="a", wall_seconds=0.1, outcome=outcome), True)
    assert found.seconds_left() is None
    found.start("b", "maml", "two")
    found.advance("b", 0, 10)
    clock.now += 10
    found.advance("b", 1, 10)
    assert found.seconds_left() == pytest.approx(90)


def test_a_trial_that_waits_is_not_shared_out_either(clock: Clock) -> None:
    found = begun(clock, n_slots=8, protonet=9, maml=1)
    found.seconds_by_method["maml"] = [1000.0]
    for i in range(8):
        found.start(str(i), "protonet", "t")
        found.advance(str(i), 0, 10)
    clock.now += 100
    for i in range(8):
        found.advance(str(i), 5, 10)
    assert found.seconds_left() == pytest.approx(100 + 1000)


def test_trials_that_are_given_a_time_take_it_until_one_has_ended(clock: Clock, ended: Ended) -> None:
    found = begun(clock, tpot=2, forest=2)
    found.start("a", "tpot", "t", 3600.0)
    clock.now += 600
    assert found.seconds_left() == pytest.approx(3000 + 3 * 3600)
    found.finish(ended(trial_id="a", method="tpot", wall_seconds=3700.0), True)
    found.start("b", "forest", "t", 3600.0)
    found.finish(ended(trial_id="b", method="forest", wall_seconds=20.0), True)
    found.start("c", "forest", "t", 3600.0)
    assert found.seconds_left() == pytest.approx(20 + 3700)


def test_thousands_of_trials_are_shared_out_evenly(clock: Clock, ended: Ended) -> None:
    found = begun(clock, n_slots=4, maml=10_001)
    found.start("a", "maml", "t")
    found.finish(ended(trial_id="a", wall_seconds=2.0), True)
    assert found.seconds_left() == pytest.approx(5000)


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -1.0])
def test_nonsense_is_not_noted(clock: Clock, share: float) -> None:
    found = begun(clock, maml=1)
    found.start("a", "maml", "t")
    found.advance("a", share, 1.0)
    assert found.running["a"].last is None


def test_those_that_wait_take_what_those_of_their_method_take(clock: Clock, ended: Ended) -> None:
    found = begun(clock, maml=3, protonet=2)
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
    found = begun(clock, n_slots=2, maml=1, protonet=1)
    for id_, method in (("a", "maml"), ("b", "protonet")):
        found.start(id_, method, "t")
        found.advance(id_, 0, 10)
    clock.now += 10
    found.advance("a", 1, 10)
    found.advance("b", 5, 10)
    assert found.seconds_left() == pytest.approx(90)


def test_tries_that_are_repeated_are_still_to_come(clock: Clock, ended: Ended) -> None:
    found = begun(clock, maml=1)
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


NASTY = "red \x1b[31m, \x00, \u202etxet, :warning: [bold]x[/bold]"


@pytest.mark.parametrize("is_live", [False, True])
def test_names_and_messages_reach_the_terminal_as_text_and_methods_with_their_parameters(
    is_live: bool, ended: Ended, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERM", "dumb")
    label = "wrong(mode='nan')"
    make = LiveProgress if is_live else lambda *args: PlainProgress(*args, sys.stderr)
    with make(3, 1, Counter({label: 3})) as shown:
        shown.prepare(NASTY, 2, NASTY)
        shown.prepared(NASTY, 1, NASTY)
        for number, task in enumerate(("one", NASTY)):
            shown.start(str(number), label, task)
            shown.advance(str(number), 1, 2)
            shown.tick()
            failed = ended(
                trial_id=str(number), method="wrong", params={"mode": "nan"}, task=task, outcome="failed",
                error_type="ValueError", error_message=NASTY,
            )  # fmt: skip
            shown.finish(failed, True)
        shown.start("2", label, "one")
        scored = ended(trial_id="2", method="wrong", params={"mode": "nan"}, task=NASTY)
        shown.finish(scored, True)
        assert not shown.tally.waiting.total()
        assert list(shown.tally.scores) == [(label, NASTY)]
    text = capfd.readouterr().err
    told = printable(NASTY)
    assert "\x1b" not in told
    assert f"failed: {label} on one: ValueError: {told} (bench attempt " in text
    assert f"failed: data of {told}: {told}\n" in text
    # but for what moves the cursor of a live display
    assert not set(re.sub(r"\x1b\[[0-9;?]*[A-Zhl]", "", text)) & set("\x00\x1b\u202e"), text


def test_the_number_of_trials_follows_what_is_prepared(clock: Clock) -> None:
    out = io.StringIO()
    shown = PlainProgress(5, 1, Counter({"maml": 4, "protonet": 1}), out)
    shown.prepare("letters", 2)
    assert shown.tally.line() == "0/5 trials done, 0 running, data of 2 tasks to prepare"
    shown.prepared("letters", 1)
    shown.expect(Counter(maml=1), Counter(maml=2))
    shown.start("a", "maml", "waves")
    shown.drop(["a", "not running"])
    shown.prepared("waves", 0, "DataMissingError: no network")
    shown.expect(Counter(), Counter({"maml": 2, "protonet": 1}))
    assert shown.tally.line() == "0/1 trials done, 0 running, data of 1 task failed"
    assert +shown.tally.waiting == Counter(maml=1)
    assert out.getvalue() == "preparing letters\nfailed: data of waves: DataMissingError: no network\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (539.9, "9 min 00 s"),
        (3599.8, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_round_up_to_the_next_unit(seconds: float, text: str) -> None:
    assert whole_duration(seconds) == text
