"""The driver on a real Dask cluster of processes: lost workers, refused workers, limits, order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchbench.cluster import worker
from benchbench.cluster.backends import connect, embedded, resolve_device
from benchbench.cluster.driver import Driver, Finished
from benchbench.cluster.plan import PlannedTrial
from benchbench.cluster.preparing import PreparationFailure
from benchbench.contracts.context import Budget
from benchbench.errors import InputError, UnmeetableRequestError
from benchbench.execution import limits
from benchbench.protocols.base import get_protocol
from benchbench.registry import get_loader, get_method
from benchbench.spec import TrialSpec

OPTIONS = {"shot": 10}


def planned(method: str, n: int, device: str = "cpu", **params: Any) -> list[PlannedTrial]:
    loader = get_loader("sinusoid")
    loader.prepare(OPTIONS, lambda line: None)
    protocol = get_protocol("fewshot")
    trials = []
    for seed in range(n):
        spec = TrialSpec(
            suite="tests",
            suite_version="1",
            track="fewshot",
            task="tiny",
            loader="sinusoid",
            options=OPTIONS,
            method=method,
            params=params,
            seed=seed,
            budget=Budget(preset="tests", iterations=0, test_units=3, time_limit_seconds=60, grace_seconds=0.2),
            device=device,
        )
        source = get_method(method).source_hash()
        fingerprint = loader.fingerprint(OPTIONS)
        trials.append(
            PlannedTrial(spec, spec.trial_id, fingerprint, source, protocol.PROTOCOL_VERSION, False, protocol.PRELOAD)
        )
    return trials


def driver(client: Any, device: str = "cpu", **options: Any) -> Driver:
    hashes = {"noop": get_method("noop").source_hash()}
    version = get_protocol("fewshot").PROTOCOL_VERSION
    return Driver(
        client,
        device=device,
        source_hashes=options.pop("source_hashes", hashes),
        track="fewshot",
        protocol_version=version,
        **options,
    )


def finish(found: Driver, trials: list[PlannedTrial]) -> list[Finished]:
    return [f for batch in found.run(trials) for f in batch]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    with embedded(2, 0) as client:
        yield client


def test_every_trial_comes_back_once(two_workers: Any) -> None:
    trials = planned("noop", 60)
    done = finish(driver(two_workers), trials)
    assert sorted(f.trial.trial_id for f in done) == sorted(t.trial_id for t in trials)
    assert {f.outcome.outcome for f in done} == {"ok"}
    assert {f.try_number for f in done} == {1}
    assert len({f.worker for f in done}) == 2


def test_how_far_trials_are_is_told_to_the_client_that_runs_them(two_workers: Any) -> None:
    told: list[tuple[str, float, float, str]] = []
    trials = planned("pacer", 2)
    found = driver(two_workers, on_progress=lambda *what: told.append(what))
    # another client runs the same trial
    found._events.put({"run": "another", "trial_id": trials[0].trial_id, "done": 1, "total": 7, "part": ""})
    assert len(finish(found, trials)) == 2
    for trial in trials:
        assert [part for trial_id, _, _, part in told if trial_id == trial.trial_id][-1] == "testing"
        steps = [done for trial_id, done, _, part in told if trial_id == trial.trial_id and not part]
        # once in two seconds, of the fifty times that it was said
        assert 2 <= len(steps) <= 4
        assert steps == sorted(set(steps))
    assert {total for _, _, total, part in told if not part} == {50.0}


def test_hostile_trials_among_good_ones(two_workers: Any) -> None:
    hows = ["segfault", "exit_hard", "raise_error", "kill_self", "escape", "raise_system_exit", "print_flood"]
    trials = planned("noop", 12)
    for how in hows:
        trials += planned("misbehaving", 1, how=how)
    done = finish(driver(two_workers), trials)
    by_how = {f.trial.spec.params["how"]: f.outcome.outcome for f in done if f.trial.spec.params}
    assert by_how == {
        "segfault": "crashed",
        "exit_hard": "crashed",
        "raise_error": "failed",
        "kill_self": "crashed",
        "escape": "ok",
        "raise_system_exit": "failed",
        "print_flood": "ok",
    }
    assert [f.outcome.outcome for f in done if f.trial.spec.method == "noop"] == ["ok"] * 12


def test_scores_do_not_depend_on_workers_or_order(two_workers: Any) -> None:
    trials = planned("noop", 8)
    forward = {f.trial.trial_id: f.outcome.unit_scores for f in finish(driver(two_workers), trials)}
    backward = {f.trial.trial_id: f.outcome.unit_scores for f in finish(driver(two_workers), trials[::-1])}
    assert forward == backward


def test_a_lost_workers_trial_is_infra_and_runs_again() -> None:
    with embedded(2, 0) as client:
        found = driver(client)
        done: list[Finished] = []
        killed = False
        for batch in found.run(planned("sleeper", 6, seconds=1.0)):
            done += batch
            if not killed and len(found.running()) == 2 and done:
                victim = next(iter(client.run(os.getpid).values()))
                os.kill(victim, signal.SIGKILL)
                killed = True
        assert killed
        infra = [f for f in done if f.outcome.outcome == "infra"]
        assert len(infra) == 1
        assert not infra[0].is_final
        again = [f for f in done if f.trial.trial_id == infra[0].trial.trial_id and f.is_final]
        assert [(f.try_number, f.outcome.outcome) for f in again] == [(2, "ok")]
        assert len([f for f in done if f.outcome.outcome == "ok"]) == 6


def test_workers_do_not_hear_the_clients_interrupts_but_their_trials_hear_their_own() -> None:
    def blocks_interrupts(pid: int) -> bool:
        (line,) = [li for li in Path(f"/proc/{pid}/status").read_text().splitlines() if li.startswith("SigBlk:")]
        return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)

    with embedded(1, 0) as client:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert not blocks_interrupts(os.getpid())
        (first,) = client.run(os.getpid).values()
        assert blocks_interrupts(first)
        os.kill(first, signal.SIGKILL)
        until = time.monotonic() + 60
        while client.nthreads() and time.monotonic() < until:
            time.sleep(0.05)
        client.wait_for_workers(1, timeout=60)
        (second,) = client.run(os.getpid).values()
        assert second != first
        assert blocks_interrupts(second)  # also one that was started in place of another
        (done,) = finish(driver(client), planned("misbehaving", 1, how="interrupt_self"))
    assert (done.outcome.outcome, done.outcome.error_type) == ("failed", "KeyboardInterrupt")


def test_a_trial_that_always_loses_its_zygote_ends_as_infra(two_workers: Any) -> None:
    done = finish(
        driver(two_workers, max_tries=2), [*planned("misbehaving", 1, how="kill_zygote"), *planned("noop", 5)]
    )
    bad = [f for f in done if f.trial.spec.method == "misbehaving"]
    assert [(f.try_number, f.outcome.outcome, f.is_final) for f in bad] == [(1, "infra", False), (2, "infra", True)]
    assert len([f for f in done if f.outcome.outcome == "ok"]) == 5


def test_workers_with_other_sources_are_refused(two_workers: Any) -> None:
    with pytest.raises(UnmeetableRequestError, match="another source of method 'noop'"):
        finish(driver(two_workers, source_hashes={"noop": "of another day"}), planned("noop", 1))


def test_workers_of_another_version_are_refused(two_workers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbench.cluster.driver.__version__", "99.0")
    with pytest.raises(UnmeetableRequestError, match=r"has benchbench .*, this client 99\.0"):
        finish(driver(two_workers), planned("noop", 1))


def test_workers_with_another_harness_of_the_same_version_are_refused(
    two_workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(two_workers.run(worker.worker_hash).values()) == {worker.worker_hash()}
    monkeypatch.setattr(worker, "worker_hash", lambda: "of another day")
    with pytest.raises(UnmeetableRequestError, match=r"own code .*restart the worker"):
        finish(driver(two_workers), planned("noop", 1))


def test_gpu_trials_are_refused_at_once_without_gpu_workers(two_workers: Any) -> None:
    started = time.monotonic()
    with pytest.raises(UnmeetableRequestError, match="no worker has a GPU"):
        finish(driver(two_workers, device="cuda"), planned("noop", 1, device="cuda"))
    assert time.monotonic() - started < 10


def test_closing_the_cluster_leaves_no_process() -> None:
    with embedded(1, 0) as client:
        found = driver(client)
        runs = found.run(planned("misbehaving", 1, how="escape_and_hang"))
        pid = next(iter(client.run(os.getpid).values()))
        until = time.monotonic() + 60
        while len(limits.descendants(pid)) < 3 and time.monotonic() < until:
            next(runs)
        started = limits.descendants(pid)
        assert len(started) >= 3
    until = time.monotonic() + 10
    while any(Path(f"/proc/{p}").exists() for p in started) and time.monotonic() < until:
        time.sleep(0.05)
    assert [p for p in started if Path(f"/proc/{p}").exists()] == []


def test_workers_that_are_slow_to_end_do_not_turn_an_outcome_into_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a machine so busy that a killed worker is there for seconds Dask gave up, and Ctrl-C ended in its traceback and code 1."""

    async def gives_up(*args: Any, **more: Any) -> None:
        raise TimeoutError

    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt), embedded(2, 0) as client:
        pids += client.run(os.getpid).values()
        monkeypatch.setattr("distributed.nanny.WorkerProcess.kill", gives_up)
        raise KeyboardInterrupt
    assert "slow to end" in capfd.readouterr().err
    until = time.monotonic() + 30
    while any(limits.descendants(os.getpid()).count(p) for p in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(pids) == 2
    assert not set(pids) & set(limits.descendants(os.getpid()))


def test_resolve_device_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbench.cluster.backends.gpu_names", lambda: ())
    assert resolve_device("auto", None, None) == ("cpu", 0)
    with pytest.raises(UnmeetableRequestError, match="shows 0"):
        resolve_device("auto", 1, None)
    with pytest.raises(UnmeetableRequestError, match="no GPU"):
        resolve_device("cuda", None, None)
    with pytest.raises(InputError, match="contradict"):
        resolve_device("cpu", 1, None)
    with pytest.raises(InputError, match="expected auto, cpu or cuda"):
        resolve_device("tpu", None, None)


def test_gpu_workers_see_one_gpu_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # the only thing outside this machine: a driver that shows two GPUs
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\nprintf 'Fake GPU\\nFake GPU\\n'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    from benchbench.provenance import gpu_names

    gpu_names.cache_clear()
    try:
        assert resolve_device("auto", None, None) == ("cuda", 2)
        with embedded(1, 2) as client:
            done = finish(driver(client, device="cuda"), planned("show_environment", 6, device="cuda"))
    finally:
        gpu_names.cache_clear()
    seen = {f.outcome.log_tail.partition("CUDA_VISIBLE_DEVICES=")[2].split()[0] for f in done}
    assert seen == {"'0'", "'1'"}
    assert {f.outcome.outcome for f in done} == {"ok"}


def start(log: Path, ready: str, *command: str) -> subprocess.Popen[bytes]:
    """Start a Dask command line in its own process and wait until it says that it is ready."""
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-P", "-m", *command], stdout=out, stderr=subprocess.STDOUT)
    until = time.monotonic() + 60
    while ready not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    return process


@pytest.mark.slow
def test_a_cluster_that_was_started_apart(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    options = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    scheduler = start(
        tmp_path / "scheduler", "Scheduler at", "distributed.cli.dask_scheduler", *options, "--port", str(port)
    )
    workers = [
        start(
            tmp_path / f"worker{i}",
            "Registered to",
            "distributed.cli.dask_worker",
            address,
            *options,
            "--nthreads",
            "1",
        )
        for i in range(2)
    ]
    try:
        with connect(address) as client:
            done = finish(driver(client), planned("noop", 10))
            assert [f.outcome.outcome for f in done] == ["ok"] * 10
        with connect(address) as client:  # the scheduler is left running, and can be used again
            assert len(client.nthreads()) == 2
    finally:
        for process in [*workers, scheduler]:
            process.terminate()
            process.wait(timeout=30)


def test_no_scheduler_at_the_address() -> None:
    with pytest.raises(InputError, match="no Dask scheduler answers"), connect("tcp://127.0.0.1:1"):
        pass


def letters(n: int) -> list[PlannedTrial]:
    """Return trials on drawn letters, whose data are in the cache."""
    options = {"way": 5, "shot": 1, "query": 3}
    loader = get_loader("glyphs")
    loader.prepare(options, lambda line: None)
    return [
        replace(
            trial,
            spec=replace(trial.spec, task="letters", loader="glyphs", options=options),
            trial_id=f"letters {trial.trial_id}",
            fingerprint=loader.fingerprint(options),
        )
        for trial in planned("noop", n)
    ]


def test_a_worker_that_cannot_prepare_a_task_gets_no_trials_of_it_and_without_any_the_task_is_dropped(
    tmp_path: Path,
) -> None:
    # a file in place of the folder: nothing can be read or written there
    (tmp_path / "glyphs").write_text("")
    dropped: list[tuple[str, str, int]] = []

    def unprepared(task: str, failure: PreparationFailure, trials: list[PlannedTrial]) -> None:
        dropped.append((task, str(failure), len(trials)))

    with embedded(2, 0) as client:
        first, second = client.scheduler_info()["workers"]

        def blind(address: str) -> None:
            client.run(lambda folder: os.environ.update(BENCHBENCH_CACHE=folder), str(tmp_path), workers=[address])

        blind(first)
        trials = [*letters(5), *planned("noop", 5)]
        done = finish(driver(client, on_unprepared=unprepared), trials)
        assert {f.outcome.outcome for f in done} == {"ok"}
        assert sorted(f.trial.trial_id for f in done) == sorted(t.trial_id for t in trials)
        assert {f.worker for f in done if f.trial.spec.task == "letters"} == {second}
        assert dropped == []

        # other data than the client's are no data
        other = [replace(trial, fingerprint="other", trial_id=f"other {trial.trial_id}") for trial in letters(3)]
        done = finish(driver(client, on_unprepared=unprepared), [*other, *planned("noop", 5)])
        assert [f.trial.spec.task for f in done] == ["tiny"] * 5
        assert sum(n for _, _, n in dropped) == 3
        assert {task for task, _, _ in dropped} == {"letters"}
        dropped.clear()

        blind(second)
        # None: data are being prepared, and there may be more later
        stream = iter([None, letters(6)[5], None, *letters(5), None, *planned("noop", 5)])
        done = [f for batch in driver(client, on_unprepared=unprepared).run(stream) for f in batch]
        assert [f.trial.spec.task for f in done] == ["tiny"] * 5
        assert sum(n for _, _, n in dropped) == 6
        assert all("cannot keep prepared data" in why and "(worker tcp://" in why for _, why, _ in dropped), dropped
