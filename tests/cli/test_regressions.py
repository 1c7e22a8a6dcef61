"""`bench regressions`: verdicts of real databases and exports, and the exit code of the gate."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.cli.regressions import regressions
from benchbench.errors import GateFailed, InputError

Bench = Callable[..., str]
Land = Callable[..., Path]


def episodes(shift: float, seed: int) -> list[float]:
    shared, own = random.Random(0), random.Random(seed)
    return [shared.gauss(0.7, 0.1) + shift + own.gauss(0, 0.03) for _ in range(400)]


@pytest.fixture
def base(land: Land) -> Path:
    return land(
        {"scores": episodes(0.0, 1)},
        {"method": "pixel_nn", "scores": episodes(0.0, 2)},
        {"method": "protonet", "scores": episodes(0.0, 3)},
        name="base",
    )


@pytest.fixture
def head(land: Land) -> Path:
    return land(
        {"scores": episodes(-0.03, 4)},
        {"method": "pixel_nn", "scores": episodes(0.0, 5)},
        {"method": "protonet", "outcome": "timeout", "error_message": "stopped at its limit of 3 s"},
        name="head",
    )


def verdicts(bench: Bench, *arguments: str | Path) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in json.loads(bench("regressions", *arguments, "--format", "json"))}


def test_worse_same_and_failed(bench: Bench, base: Path, head: Path) -> None:
    found = verdicts(bench, base, head)
    assert {m: v["verdict"] for m, v in found.items()} == {"maml": "worse", "pixel_nn": "same", "protonet": "worse"}
    assert (found["maml"]["n"], found["maml"]["unit"]) == (400, "episode")
    assert found["maml"]["difference"] == pytest.approx(-0.03, abs=0.01)
    assert found["protonet"]["reason"] == "seed 0: ok in BASE, timeout in HEAD: stopped at its limit of 3 s"


def test_the_gate_prints_and_then_fails(bench: Bench, base: Path, head: Path) -> None:
    text = bench("regressions", base, head, "--fail-on-regression", raises=GateFailed)
    assert GateFailed.exit_code == 3
    assert "2 worse" in text
    assert "worse: protonet on letters: seed 0: ok in BASE, timeout in HEAD" in text
    # the same without the gate, and the other way round nothing has become worse
    bench("regressions", base, head)
    bench("regressions", base, base, "--fail-on-regression")


def test_a_result_that_went_missing_fails_the_gate(bench: Bench, base: Path, land: Land) -> None:
    head = land({"scores": episodes(0.0, 1)}, {"method": "pixel_nn", "outcome": "infra"}, name="other")
    found = verdicts(bench, base, head)
    assert {m: v["verdict"] for m, v in found.items()} == {"maml": "same", "pixel_nn": "missing", "protonet": "missing"}
    assert "lost it with its workers" in found["pixel_nn"]["reason"]
    bench("regressions", base, head, "--fail-on-regression", raises=GateFailed)


def test_a_gate_that_compared_nothing_does_not_pass(bench: Bench, base: Path, land: Land) -> None:
    other = land(
        {"scores": episodes(0.0, 1), "protocol_version": "4"}, {"method": "siamese", "outcome": "failed"}, name="other"
    )
    both = land({"outcome": "failed"}, {"method": "protonet", "outcome": "declined"}, name="both")
    one = land({"scores": episodes(0.0, 1)}, name="one")
    for before, after in ((one, other), (both, both)):
        assert bench("regressions", before, after) == bench(
            "regressions", before, after, "--fail-on-regression", raises=InputError
        )
        bench("regressions", before, after, "--fail-on-regression", "--format", "json", raises=InputError)
    with pytest.raises(
        InputError, match=r"could be compared with .*other.duckdb: 1 incomparable, 1 new; a gate without"
    ):
        regressions(one, other, fail_on_regression=True)
    # what is missing is told by another exit code
    bench("regressions", base, other, "--fail-on-regression", raises=GateFailed)


def test_a_wider_margin_forgives(bench: Bench, base: Path, head: Path) -> None:
    assert verdicts(bench, base, head, "--margin", "0.05")["maml"]["verdict"] == "same"


def test_an_export_gives_the_verdicts_of_its_database(bench: Bench, base: Path, head: Path, tmp_path: Path) -> None:
    bench("results", "export", tmp_path / "export", "--db", head)
    assert verdicts(bench, base, tmp_path / "export") == verdicts(bench, base, head)


def test_head_may_hold_what_base_held(bench: Bench, land: Land) -> None:
    """A copy of BASE with newer data on top is judged by the newer data, which cannot be compared."""
    old = {"scores": [0.5, 0.6]}
    base = land(old, name="base")
    head = land(old, {"scores": [0.5, 0.6], "task_fingerprint": "data-2"}, name="head")
    (found,) = verdicts(bench, base, head).values()
    assert (found["verdict"], found["reason"]) == ("incomparable", "fingerprint differs: data-1 and data-2")


def test_only_one_suite(bench: Bench, land: Land) -> None:
    db = land({"scores": [0.5, 0.6]}, {"suite": "another", "method": "protonet"})
    assert list(verdicts(bench, db, db)) == ["protonet", "maml"]
    assert list(verdicts(bench, db, db, "--suite", "pair")) == ["maml"]
    bench("regressions", db, db, "--suite", "nothing", raises=InputError)


def test_rows_say_the_conditions_that_they_differ_in(bench: Bench, land: Land) -> None:
    plain = {"scores": [0.5, 0.6]}
    one = land(plain, name="one")
    assert bench("regressions", one, one).splitlines()[0].split()[:4] == ["verdict", "method", "task", "BASE"]
    both = land(plain, {**plain, "preset": "long"}, {**plain, "preset": "long", "device": "cuda"}, name="both")
    text = bench("regressions", both, both)
    assert text.splitlines()[0].split()[:6] == ["verdict", "method", "task", "preset", "device", "BASE"]
    assert re.search(r"same +maml +letters +long +cuda +0.5500", text)
    everything = land(plain, {**plain, "suite": "another", "threads": 2, "protocol_version": "4"}, name="everything")
    text = bench("regressions", everything, one)
    assert text.splitlines()[0].split()[:7] == ["verdict", "method", "task", "suite", "threads", "protocol", "BASE"]
    assert "missing: maml on letters (suite another, threads 2, protocol 4): HEAD has no result" in text
    found = json.loads(bench("regressions", everything, one, "--format", "json"))
    assert [(v["suite"], v["threads"], v["protocol_version"]) for v in found] == [("another", 2, "4"), ("pair", 1, "3")]


def test_parameters_are_an_object_in_json(bench: Bench, land: Land) -> None:
    db = land({"params": {"inner_lr": 0.1}}, {"method": "protonet"})
    found = verdicts(bench, db, db)
    assert (found["maml"]["params"], found["protonet"]["params"]) == ({"inner_lr": 0.1}, {})


def test_a_side_that_is_not_there(bench: Bench, base: Path, tmp_path: Path) -> None:
    bench("regressions", base, tmp_path / "none.duckdb", raises=InputError)
    bench("regressions", tmp_path, base, raises=InputError)
