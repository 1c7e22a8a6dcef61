"""What came of a trial goes over a pipe unchanged, and what is no outcome is told as a crash."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchbench.records import OUTCOMES, Attempt, CurvePoint, TrialOutcome

NUMBERS = st.floats(allow_nan=False)
BY_NAME = st.dictionaries(st.text(), NUMBERS)
ENDED = st.builds(
    TrialOutcome,
    outcome=st.sampled_from([o for o in OUTCOMES if o != "ok"]),
    error_message=st.text(),
    traceback=st.text(),
    metrics=BY_NAME,
    phases=BY_NAME,
    wall_seconds=NUMBERS,
    curve=st.lists(st.builds(CurvePoint, st.integers(), NUMBERS, st.text(), NUMBERS)).map(tuple),
    environment=st.dictionaries(st.text(), st.text()),
)
OK = TrialOutcome(
    outcome="ok", metric="accuracy", unit="episode", score=0.5, score_sd=0.1, n_units=2, unit_scores=(0.4, 0.6)
)


@given(ENDED)
def test_an_outcome_comes_back_from_the_wire(outcome: TrialOutcome) -> None:
    sent = json.loads(json.dumps(outcome.to_wire()))
    assert TrialOutcome.from_wire(sent) == outcome
    assert TrialOutcome.received(sent, "a process") == outcome


def test_scores_come_back_from_the_wire() -> None:
    assert TrialOutcome.from_wire(json.loads(json.dumps(OK.to_wire()))) == OK
    broken = replace(OK, curve=(CurvePoint(1, 0.5, "loss", math.nan),))
    (point,) = TrialOutcome.from_wire(json.loads(json.dumps(broken.to_wire()))).curve
    assert math.isnan(point.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "high"}, "score is 'high', expected a number or null"),
        ({"n_units": True}, "n_units is True, expected a whole number"),
        ({"seconds": None}, "seconds is None, expected a number"),
        ({"unit_scores": [0.4, "x"]}, "unit_scores is .*, expected a list of numbers"),
        ({"metrics": {"a": "b"}}, "metrics is .*, expected numbers by name"),
        ({"phases": [1.0]}, "phases is .*, expected numbers by name"),
        ({"environment": {"torch": 2}}, "environment is .*, expected texts by name"),
        ({"curve": [[1, 0.5, "loss"]]}, "curve is .*, expected a list of"),
        ({"curve": [["1", 0.5, "loss", 1.0]]}, "curve is .*, expected a list of"),
        ({"outcome": "fine"}, "outcome is 'fine', expected one of ok, failed"),
        ({"score": None}, "outcome is 'ok', score is None"),
        ({"outcome": "failed"}, "outcome is 'failed', score is 0.5"),
        ({"extra": 1, "more": 2}, "unknown fields: extra, more"),
    ],
)
def test_what_is_no_outcome_is_a_crash_that_says_why(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrialOutcome.from_wire(OK.to_wire() | change)
    found = TrialOutcome.received(OK.to_wire() | change, "the worker")
    assert (found.outcome, found.error_type, found.score) == ("crashed", "InvalidOutcome", None)
    assert found.error_message.startswith("the worker sent an outcome that cannot be read: ")


@pytest.mark.parametrize("name", [f.name for f in fields(TrialOutcome)])
def test_every_field_is_expected(name: str) -> None:
    plain = OK.to_wire()
    del plain[name]
    with pytest.raises(ValueError, match=f"missing fields: {name}$"):
        TrialOutcome.from_wire(plain)


@pytest.mark.parametrize("plain", [None, [], "ok", 1])
def test_what_is_no_object_is_a_crash(plain: object) -> None:
    assert "expected an object, got" in TrialOutcome.received(plain, "x").error_message


def test_the_record_of_an_attempt_has_all_of_it() -> None:
    assert {f.name for f in fields(TrialOutcome)} <= {f.name for f in fields(Attempt)}
