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

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.floats(allow_nan=False)
STEPS = st.integers(-(2**63) + 1, 2**63 - 1)
BY_NAME = st.dictionaries(st.text(), NUMBERS)
ENDED = st.builds(
    TrialOutcome,
    outcome=st.sampled_from([o for o in OUTCOMES if o != "ok"]),
    error_message=st.text(),
    traceback=st.text(),
    metrics=BY_NAME,
    phases=BY_NAME,
    wall_seconds=NUMBERS,
    curve=st.lists(st.builds(CurvePoint, STEPS, VALUES, st.text(), VALUES)).map(tuple),
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
        ({"score": "high"}, "score is 'high', expected a finite number or null"),
        ({"score": -math.inf}, "score is -inf, expected a finite number or null"),
        ({"score_sd": math.nan}, "score_sd is nan, expected a finite number or null"),
        ({"score": 10**400}, "score is 1000.*, expected a finite number or null"),
        ({"n_units": True}, "n_units is True, expected a whole number"),
        ({"n_units": 2**63}, "n_units is 9223372036854775808, expected a whole number of at most 64 bits"),
        ({"n_units": 3}, "n_units is 3, unit_scores has 2"),
        ({"seconds": None}, "seconds is None, expected a finite number"),
        ({"unit_scores": [0.4, "x"]}, "unit_scores is .*, expected a list of finite numbers"),
        ({"unit_scores": [0.4, -math.inf]}, "unit_scores is .*, expected a list of finite numbers"),
        ({"metrics": {"a": "b"}}, "metrics is .*, expected finite numbers by name"),
        ({"metrics": {"a": math.nan}}, "metrics is .*, expected finite numbers by name"),
        ({"phases": [1.0]}, "phases is .*, expected finite numbers by name"),
        ({"error_message": "x" * 100_001}, "error_message is 'xxx.*, expected a text of at most 100000 characters"),
        ({"remarks": ["x"] * 201}, "remarks is .*, expected a list of at most 200 texts"),
        ({"curve": [[2**63, 0.5, "loss", 1.0]]}, "curve is .*, expected a list of"),
        ({"curve": [[1, 0.5, "loss", 10**400]]}, "curve is .*, expected a list of"),
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
