"""Meta-training that several trials share: done once, the same whoever does it, never half there."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench import artefacts
from benchbench.checkpoints import Checkpoint, CheckpointFile, interval_seconds
from benchbench.errors import ClusterError, InputError, ProtocolViolation
from benchbench.execution import limits, supervisor
from benchbench.paths import cache_dir
from benchbench.protocols.base import PhaseClock
from benchbench.records import TrialOutcome
from benchbench.registry import get_loader, get_method, harness_hash

A, B = {"way": 5, "shot": 1, "query": 3}, {"way": 3, "shot": 2, "query": 2}


@pytest.fixture(scope="module")
def cache_of_module(tmp_path_factory: pytest.TempPathFactory, zygotes: None) -> Iterator[Path]:
    """Make a cache with nothing but the data in it, and zygotes that know it."""
    get_loader("glyphs").prepare(A, lambda line: None)
    folder = tmp_path_factory.mktemp("cache")
    (folder / "glyphs").symlink_to(cache_dir() / "glyphs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHBENCH_CACHE", str(folder))
        # every iteration leaves a checkpoint
        patch.setenv("BENCHBENCH_CHECKPOINT_SECONDS", "0")
        # zygotes keep the environment that they were started with
        supervisor.abort_all()
        yield folder
        supervisor.abort_all()


@pytest.fixture
def cache(cache_of_module: Path, make_request: Any) -> Path:
    """Return a cache without artefacts."""
    shutil.rmtree(cache_of_module / "artefacts", ignore_errors=True)
    (cache_of_module / "artefacts").unlink(missing_ok=True)
    if len(supervisor._idle) < 2:
        # two are ready from the start, so that trials begin together
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(supervisor.execute, [make_request("noop"), make_request("noop")]))
    return cache_of_module


@pytest.fixture
def request_of(make_request: Any, tmp_path: Path) -> Any:
    """Make the request of a trial of the method that shares; `log` tells how often it was trained."""

    def make(options: dict[str, Any], *, seed: int = 0, shares: bool = True, **more: Any) -> dict[str, Any]:
        params = {"log": str(tmp_path / "log"), **more.pop("params", {})}
        budget = {"iterations": 2, "test_units": 20, "time_limit_seconds": 60, **more}
        request = make_request("sharing", loader="glyphs", options=options, params=params, seed=seed, **budget)
        return {**request, "shares_training": shares}

    return make


def n_trained(tmp_path: Path) -> int:
    log = tmp_path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def run(*requests: dict[str, Any], n_workers: int = 1) -> list[TrialOutcome]:
    with ThreadPoolExecutor(n_workers) as pool:
        found = list(pool.map(supervisor.execute, requests))
    assert [o.outcome for o in found] == ["ok"] * len(requests), found
    return found


def curve(outcome: TrialOutcome) -> list[list[Any]]:
    return [[None if isinstance(v, float) and math.isnan(v) else v for v in astuple(point)] for point in outcome.curve]


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("order", ["AB", "BA"])
def test_the_same_whichever_trial_trains(
    cache: Path, tmp_path: Path, request_of: Any, order: str, n_workers: int
) -> None:
    options = {"A": A, "B": B}
    alone = dict(zip(order, run(*(request_of(options[x], shares=False) for x in order)), strict=True))
    assert not (cache / "artefacts").exists()
    (tmp_path / "log").unlink()
    params = {"first_sleeps": 0.5 if n_workers == 1 else 2.0}
    shared = dict(
        zip(order, run(*(request_of(options[x], params=params) for x in order), n_workers=n_workers), strict=True)
    )
    assert n_trained(tmp_path) == 1
    (entry,) = artefacts.entries()
    for name, outcome in shared.items():
        assert outcome.unit_scores == alone[name].unit_scores
        # the full cost stands on every row, whoever paid it
        assert outcome.phases["meta_fit"] == entry.seconds >= 0.5
        timed = sum(outcome.phases.get(phase, 0.0) for phase in ("meta_fit", "adapt", "predict"))
        assert outcome.seconds == pytest.approx(timed)
        assert [p.metric for p in outcome.curve] == ["val_accuracy", "train_loss"] * 2
    assert curve(shared["A"]) == curve(shared["B"])
    seconds = [o.metrics.get("shared_seconds") for o in shared.values()]
    assert sorted(seconds, key=str) == [entry.seconds, None]
    if n_workers == 1:
        assert seconds == [None, entry.seconds]
    else:
        assert sum("waiting for another trial" in o.log_tail for o in shared.values()) == 1
        waited = [o.phases.get("wait", 0.0) for o in shared.values() if "shared_seconds" in o.metrics]
        assert waited[0] > 0.2


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"iterations": 1}, {"threads": 2}, {"preset": "other"}, {"params": {"first_sleeps": 1e-3}}],
    ids=lambda change: next(iter(change)),
)
def test_another_training_is_another_artefact(
    cache: Path, tmp_path: Path, request_of: Any, change: dict[str, Any]
) -> None:
    run(request_of(A), request_of(A, **change), request_of(A, test_units=5, time_limit_seconds=50))
    assert n_trained(tmp_path) == len(list(artefacts.entries())) == 2


def test_what_the_name_is_made_of(cache: Path, request_of: Any) -> None:
    run(request_of(A))
    (entry,) = artefacts.entries()
    made_of = entry.made_of
    # artefacts keep their names only as long as nothing is added or taken away
    own = {"training_key", "training_data", "kind", "input_shape", "n_outputs"}
    trial = {"protocol_version", "method", "params", "preset", "iterations", "threads", "seed", "device"}
    assert made_of.keys() == own | trial | {"source", "harness", "hardware", "arithmetic", "versions"}
    assert entry.key == artefacts.key_of(made_of)
    # a change of the harness must not go unseen because adapters train no more
    assert made_of["harness"] == harness_hash()
    assert made_of["source"] == get_method("sharing").source_hash()
    assert made_of["training_data"] == get_loader("glyphs").training_fingerprint(A)
    assert made_of["versions"].keys() == {"benchbench", "python", "numpy", "torch"}
    assert made_of["arithmetic"]["capability"]


def truncate(folder: Path) -> None:
    os.truncate(folder / "state.npz", 100)


def flip(folder: Path) -> None:
    data = bytearray((folder / "state.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "state.npz").write_bytes(data)


def forge(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"seconds": ', '"seconds": 1'))


@pytest.mark.parametrize(
    "damage", [truncate, flip, forge, lambda f: (f / "state.npz").unlink(), lambda f: (f / "manifest.json").unlink()]
)
def test_a_damaged_artefact_is_made_again(cache: Path, tmp_path: Path, request_of: Any, damage: Any) -> None:
    (first,) = run(request_of(A))
    (entry,) = artefacts.entries()
    damage(entry.path)
    (second,) = run(request_of(A))
    assert "training again" in second.log_tail
    assert "shared_seconds" not in second.metrics
    assert second.unit_scores == first.unit_scores
    (third,) = run(request_of(A))
    assert third.metrics["shared_seconds"] == third.phases["meta_fit"]
    assert n_trained(tmp_path) == 2
    assert sorted(p.name for p in entry.path.parent.iterdir()) == [entry.key, f"{entry.key}.lock"]


def start(request: dict[str, Any]) -> tuple[threading.Thread, list[TrialOutcome]]:
    found: list[TrialOutcome] = []
    thread = threading.Thread(target=lambda: found.append(supervisor.execute(request)))
    thread.start()
    return thread, found


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_if_the_trial_that_trains_is_killed_the_next_one_trains(cache: Path, tmp_path: Path, request_of: Any) -> None:
    params = {"first_sleeps": 600}
    maker, of_maker = start(request_of(A, params=params))
    wait_for(lambda: n_trained(tmp_path) == 1)
    (zygote,) = supervisor._busy
    waiter, of_waiter = start(request_of(B, params=params))
    wait_for(lambda: len(supervisor._busy) == 2)
    time.sleep(0.5)
    assert n_trained(tmp_path) == 1
    for pid in limits.descendants(zygote.pid):
        os.kill(pid, signal.SIGKILL)
    maker.join(20)
    waiter.join(20)
    assert of_maker[0].outcome == "crashed"
    assert of_waiter[0].outcome == "ok"
    assert "shared_seconds" not in of_waiter[0].metrics
    assert n_trained(tmp_path) == 2
    (entry,) = artefacts.entries()
    assert entry.problem == ""


def test_a_training_that_was_interrupted_is_continued_to_the_same_end(
    cache: Path, tmp_path: Path, request_of: Any
) -> None:
    (whole,) = run(request_of(A, iterations=20, shares=False))
    (tmp_path / "log").unlink()
    slow = request_of(A, iterations=20, params={"iteration_sleeps": 0.1})
    # the worker is lost, as by Ctrl-C or kill -9: nobody has an outcome
    first, of_first = start(slow)
    wait_for(lambda: [e for e in artefacts.entries() if e.seconds > 0.5])
    (zygote,) = supervisor._busy
    zygote.interrupt()
    first.join(20)
    assert of_first[0].outcome == "infra"
    (unfinished,) = artefacts.entries()
    assert (unfinished.is_unfinished, unfinished.made_of["iterations"]) == (True, 20)
    assert 0.5 < unfinished.seconds < 2
    (second,) = run(slow)
    assert n_trained(tmp_path) == 2
    assert f"interrupted after {unfinished.seconds:.1f} s and is resumed" in second.log_tail
    assert second.unit_scores == whole.unit_scores
    # what the first process spent stands on the row, and in the curve, once
    assert second.metrics["continued_seconds"] == unfinished.seconds
    assert 2 < second.phases["meta_fit"] < unfinished.seconds + second.wall_seconds
    assert [p[0] for p in curve(second)] == [i for i in range(1, 21) for _ in range(2)]
    seconds = [p[1] for p in curve(second)]
    assert seconds == sorted(seconds)
    (entry,) = artefacts.entries()
    assert (entry.is_unfinished, entry.seconds) == (False, second.phases["meta_fit"])
    assert not list(entry.path.parent.glob("*unfinished*"))
    (third,) = run(slow)
    assert third.metrics["shared_seconds"] == entry.seconds
    assert "continued_seconds" not in third.metrics


def test_a_process_that_was_killed_while_it_wrote_its_first_checkpoint_left_none(cache: Path) -> None:
    """Guards against the promise that training goes on from it."""
    file = CheckpointFile(cache_dir() / "artefacts" / "sharing" / "key.unfinished", {})
    file.path.parent.mkdir(parents=True)
    file._temporary.write_bytes(b"half of")
    assert not artefacts.has_unfinished(["sharing"], 0.0)
    file.write(Checkpoint(payload=b"whole", seconds=1.0, curve=()))
    assert artefacts.has_unfinished(["sharing"], 0.0)
    assert not artefacts.has_unfinished(["sharing"], time.time() + 60) and not artefacts.has_unfinished(["other"], 0.0)


@pytest.mark.parametrize(
    ("outcome", "change", "limits_"),
    [
        ("failed", {"fails": True}, {}),
        ("timeout", {"first_sleeps": 600}, {"time_limit_seconds": 2}),
    ],
)
def test_a_trial_that_ends_badly_leaves_no_checkpoint(
    cache: Path, tmp_path: Path, request_of: Any, outcome: str, change: dict[str, Any], limits_: dict[str, Any]
) -> None:
    request = request_of(A, iterations=5, params=change, **limits_)
    found = supervisor.execute(request)
    assert found.outcome == outcome
    assert len(curve(found)) == 10
    assert list(artefacts.entries()) == []
    assert [p.name for p in (cache / "artefacts" / "sharing").iterdir() if "unfinished" in p.name] == []
    (again,) = run(request)
    assert "continued_seconds" not in again.metrics


def test_the_time_before_an_interruption_counts_against_the_limit(cache: Path, tmp_path: Path, request_of: Any) -> None:
    request = request_of(A, iterations=40, params={"iteration_sleeps": 0.1}, time_limit_seconds=3)
    first, _ = start(request)
    wait_for(lambda: [e for e in artefacts.entries() if e.seconds > 1.5])
    (zygote,) = supervisor._busy
    zygote.interrupt()
    first.join(20)
    outcome = supervisor.execute(request)
    assert outcome.outcome == "timeout"
    assert (
        "the trial, including the time before its interruption, was stopped at its limit of 3 s"
        in outcome.error_message
    )
    assert outcome.wall_seconds < 2.5
    # the limit is used up, so there is nothing to continue
    assert list(artefacts.entries()) == []


def test_what_a_trial_waited_for_is_not_charged_to_it_again(cache: Path, tmp_path: Path, request_of: Any) -> None:
    # waiting for most of a training and charged with it as well, it would take nearly twice that training's 3 s
    params = {"iteration_sleeps": 0.1}
    maker, of_maker = start(request_of(A, iterations=30, params=params, time_limit_seconds=4.8))
    wait_for(lambda: n_trained(tmp_path) == 1)
    (zygote,) = supervisor._busy
    waiter, of_waiter = start(request_of(B, iterations=30, params=params, time_limit_seconds=4.8))
    wait_for(lambda: [e for e in artefacts.entries() if e.seconds > 2.4])
    zygote.interrupt()
    maker.join(20)
    waiter.join(20)
    assert of_maker[0].outcome == "infra"
    assert of_waiter[0].outcome == "ok", of_waiter[0].error_message
    assert of_waiter[0].metrics["continued_seconds"] > 2.4
    assert of_waiter[0].phases["wait"] > 2.1


def test_a_checkpoint_that_can_be_neither_written_nor_removed_costs_the_trial_nothing(
    cache: Path, tmp_path: Path, request_of: Any
) -> None:
    request = request_of(A)
    run(request)
    (entry,) = artefacts.entries()
    artefacts.remove(entry)
    in_the_way = entry.path.with_name(f"{entry.key}.unfinished")
    (in_the_way / "something").mkdir(parents=True)
    (found,) = run(request)
    assert "the checkpoint cannot be written" in found.log_tail
    assert "cannot be removed" in found.log_tail
    request = request_of(A, params={"first_sleeps": 600}, time_limit_seconds=1)
    (tmp_path / "log").unlink()
    in_the_way = in_the_way.with_name(
        f"{artefacts.key_of(entry.made_of | {'params': dict(request['spec']['params'])})}.unfinished"
    )
    (in_the_way / "something").mkdir(parents=True)
    assert supervisor.execute(request).outcome == "timeout"


def test_a_process_that_is_killed_while_it_writes_a_checkpoint_leaves_nothing_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    script = """
import os
from benchbench import artefacts, checkpoints
from benchbench.protocols.base import PhaseClock
checkpoints.os.fsync = lambda handle: os.kill(os.getpid(), 9)
def train(unfinished):
    unfinished.write(checkpoints.Checkpoint(payload=bytes(1000), seconds=1.0, curve=()))
artefacts.obtain("m", {"a": 1}, train, PhaseClock())
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert [p.name[:5] for p in (tmp_path / "artefacts" / "m").iterdir() if "unfinished" in p.name] == [".tmp-"]
    assert list(artefacts.entries()) == []
    trained = artefacts.Trained(state={"x": np.ones(9)}, seconds=1.0, curve=())
    artefacts.obtain("m", {"a": 1}, lambda _: trained, PhaseClock())
    assert not [p for p in (tmp_path / "artefacts" / "m").iterdir() if "unfinished" in p.name]


@pytest.mark.parametrize("error", [ClusterError("gone"), RuntimeError("failed")])
def test_only_what_is_tried_again_leaves_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is removed while the lock is still held, so that no trial that waits goes on from it."""
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))

    def train(unfinished: CheckpointFile | None) -> artefacts.Trained:
        assert unfinished is not None
        unfinished.write(Checkpoint(payload=b"x", seconds=1.0, curve=()))
        raise error

    with pytest.raises(type(error)):
        artefacts.obtain("m", {"a": 1}, train, PhaseClock())
    assert len(list(artefacts.entries())) == isinstance(error, ClusterError)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"x" + data])
def test_a_damaged_checkpoint_is_not_continued(
    cache: Path, tmp_path: Path, request_of: Any, damage: Callable[[bytes], bytes]
) -> None:
    request = request_of(A, iterations=20, params={"iteration_sleeps": 0.1})
    first, _ = start(request)
    wait_for(lambda: list(artefacts.entries()))
    (zygote,) = supervisor._busy
    zygote.interrupt()
    first.join(20)
    (entry,) = artefacts.entries()
    entry.path.write_bytes(damage(entry.path.read_bytes()))
    (entry,) = artefacts.entries()
    assert "is not what was written" in entry.problem
    (found,) = run(request)
    assert "is not what was written; training starts again" in found.log_tail
    assert "continued_seconds" not in found.metrics
    assert [p[0] for p in curve(found)] == [i for i in range(1, 21) for _ in range(2)]


@pytest.mark.parametrize(("given", "expected"), [("", 60.0), ("0", 0.0), ("2.5", 2.5)])
def test_interval_of_checkpoints(monkeypatch: pytest.MonkeyPatch, given: str, expected: float) -> None:
    monkeypatch.setenv("BENCHBENCH_CHECKPOINT_SECONDS", given)
    assert interval_seconds() == expected


@pytest.mark.parametrize("given", ["often", "-1", "nan"])
def test_an_interval_that_is_none(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BENCHBENCH_CHECKPOINT_SECONDS", given)
    with pytest.raises(InputError, match=f"is '{given}', expected seconds"):
        interval_seconds()


def test_a_trial_that_waits_ends_at_its_own_limit(cache: Path, tmp_path: Path, request_of: Any) -> None:
    params = {"first_sleeps": 4}
    maker, of_maker = start(request_of(A, params=params))
    wait_for(lambda: n_trained(tmp_path) == 1)
    outcome = supervisor.execute(request_of(B, params=params, time_limit_seconds=1))
    assert outcome.outcome == "timeout"
    assert "waiting for another trial" in outcome.log_tail
    maker.join(20)
    assert of_maker[0].outcome == "ok"


def test_killed_while_writing_leaves_no_half_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    script = """
import os, numpy
from benchbench import artefacts
from benchbench.protocols.base import PhaseClock
artefacts._sync = lambda folder: os.kill(os.getpid(), 9)
trained = artefacts.Trained(state={"x": numpy.ones(9)}, seconds=1.0, curve=())
artefacts.obtain("m", {"a": 1}, lambda _: trained, PhaseClock())
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert list(artefacts.entries()) == []
    names = sorted(p.name[:5] for p in (tmp_path / "artefacts" / "m").iterdir())
    assert [n for n in names if n == ".tmp-"] == [".tmp-"]
    trained = artefacts.Trained(state={"x": np.ones(9)}, seconds=1.0, curve=())
    _, is_shared = artefacts.obtain("m", {"a": 1}, lambda _: trained, PhaseClock())
    assert not is_shared
    assert not list((tmp_path / "artefacts" / "m").glob(".tmp-*"))
    (entry,) = artefacts.entries()
    assert (entry.key, entry.made_of) == (artefacts.key_of({"a": 1}), {"a": 1})


@pytest.mark.parametrize(
    ("bad", "words"), [("objects", "array of object"), ("list", "got list under 'bad'"), ("number", "got float")]
)
def test_states_that_are_no_plain_arrays_are_refused(cache: Path, request_of: Any, bad: str, words: str) -> None:
    outcome = supervisor.execute(request_of(A, params={"bad_state": bad}))
    assert (outcome.outcome, outcome.error_type) == ("failed", "ProtocolViolation")
    assert words in outcome.error_message
    assert list(artefacts.entries()) == []


def test_arrays_of_every_kind_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    state = {
        "blocks.0.weight": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32).T,
        "file": np.array(3, dtype=np.int64),
        "allow_pickle": np.zeros((0, 5), dtype=bool),
        "a/b": np.array(["x", "yz"]),
    }
    trained = artefacts.Trained(state=state, seconds=2.0, curve=((1, 0.5, "loss", float("nan")),))
    first, _ = artefacts.obtain("m", {}, lambda _: trained, PhaseClock())
    second, is_shared = artefacts.obtain("m", {}, lambda _: pytest.fail("trained twice"), PhaseClock())
    assert is_shared
    for found in (first.state, second.state):
        assert found.keys() == state.keys()
        for name, array in state.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    assert second.seconds == 2.0
    assert second.curve[0][:3] == (1, 0.5, "loss")
    with pytest.raises(ProtocolViolation, match="by name, got list"):
        artefacts.obtain("m", {"a": 2}, lambda _: artefacts.Trained(state=[], seconds=0.0, curve=()), PhaseClock())  # type: ignore[arg-type]


def test_a_cache_that_cannot_be_written_costs_sharing_and_nothing_else(
    cache: Path, tmp_path: Path, request_of: Any
) -> None:
    (cache / "artefacts").write_text("no folder")
    first, second = run(request_of(A), request_of(A))
    assert first.unit_scores == second.unit_scores
    assert "training without it" in first.log_tail
    assert n_trained(tmp_path) == 2


def test_removing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    trained = artefacts.Trained(state={"x": np.ones(1000)}, seconds=2.0, curve=())
    for i in range(2):
        artefacts.obtain("m", {"i": i}, lambda _: trained, PhaseClock())
    first, second = artefacts.entries()
    assert first.n_bytes > 8000
    artefacts.remove(first)
    assert [e.key for e in artefacts.entries()] == [second.key]
    assert not list((tmp_path / "artefacts" / "m").glob(".tmp-*"))
    shutil.rmtree(tmp_path / "artefacts")
    assert list(artefacts.entries()) == []
