"""The store under several processes at once, and under processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchbench.errors import StoreError
from benchbench.results.store import Store

SCRIPT = Path(__file__).with_name("worker_script.py")


@pytest.fixture
def start() -> Iterator[Any]:
    """Start worker scripts, and leave none running."""
    started: list[subprocess.Popen[str]] = []

    def run(what: str, store: Store, name: str, count: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), what, str(store.path), name, str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def assert_whole(store: Store, at_least: set[str]) -> int:
    """Check that every attempt is there once, with all that belongs to it; return how many there are."""
    with store.reading() as con:
        ids = [r[0] for r in con.execute("SELECT attempt_id FROM attempts").fetchall()]
        per_table = {
            t: con.execute(f"SELECT count(*), count(DISTINCT attempt_key) FROM {t}").fetchone()
            for t in ("unit_scores", "metrics", "curves")
        }
        runs = con.execute("SELECT count(*), count(DISTINCT run_id) FROM runs").fetchone()
    n = len(ids)
    assert len(set(ids)) == n
    assert at_least <= set(ids)
    assert per_table == {"unit_scores": (n, n), "metrics": (2 * n, n), "curves": (2 * n, n)}
    assert runs is not None
    assert runs[0] == runs[1]
    return n


def test_two_writers_and_a_reader(store: Store, start: Any) -> None:
    writers = [start("land", store, name, 60) for name in ("ann", "bob")]
    reader = start("read", store, "", 12)
    acknowledged = {line for w in writers for line in ended(w)} - {"ready"}
    seen = [tuple(map(int, line.split())) for line in ended(reader)]
    assert len(acknowledged) == 120
    assert all(n == distinct for n, distinct in seen)
    assert [n for n, _ in seen] == sorted(n for n, _ in seen), "a reader saw fewer attempts than before"
    assert assert_whole(store, acknowledged) == 120
    store.ingest()
    assert assert_whole(store, acknowledged) == 120
    assert not list(store.landing.glob("*.parquet"))


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_kill_9_of_a_writer_loses_nothing_acknowledged(store: Store, start: Any, rounds: int) -> None:
    chance = random.Random(5)
    acknowledged: set[str] = set()
    for i in range(rounds):
        process = start("land", store, f"writer{i}", 1_000_000)
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        # the last line may be torn; the others were acknowledged
        lines = process.communicate()[0].split("\n")[:-1]
        acknowledged |= set(lines)
        assert_whole(store, acknowledged)
    store.ingest()
    assert assert_whole(store, acknowledged) >= len(acknowledged) > 0


def test_a_stream_of_readers_does_not_starve_a_writer(store: Store, start: Any, make_full_attempt: Any) -> None:
    readers = [start("read", store, "", 1_000_000) for _ in range(2)]
    for reader in readers:
        assert reader.stdout.readline()
    for i in range(5):
        store.land_attempts([make_full_attempt(i)])
        assert not store.ingest(wait_seconds=10).is_deferred
    assert len(store.done_keys("tiny")) == 5


def held_by_another_program(path: Path, seconds: float) -> subprocess.Popen[str]:
    code = (
        f"import duckdb, time; c = duckdb.connect({str(path)!r}); print('held', flush=True); time.sleep({seconds});"
        "c.close()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_database_held_by_another_program(store: Store, make_full_attempt: Any) -> None:
    """A DuckDB shell knows nothing of our locks."""
    process = held_by_another_program(store.path, 60)
    try:
        hasty = Store(store.path, wait_seconds=0.3)
        hasty.land_attempts([make_full_attempt(1)])
        report = hasty.ingest(wait_seconds=0.1)
        assert (report.is_deferred, report.n_attempts) == (True, 0)
        for action in (hasty.runs, hasty.open_for_writing):
            with pytest.raises(StoreError, match=rf"in use by another process .*PID {process.pid}.*close programs"):
                action()
    finally:
        process.kill()
        process.communicate()
    assert len(hasty.done_keys("tiny")) == 1
    assert hasty.ingest().n_attempts == 1


def test_waiting_for_another_program_to_end(store: Store, make_full_attempt: Any) -> None:
    store.land_attempts([make_full_attempt(1)])
    process = held_by_another_program(store.path, 0.3)
    try:
        assert store.ingest(wait_seconds=30).n_attempts == 1
    finally:
        process.communicate()


def test_threads_of_one_process_share_the_store(store: Store, make_full_attempt: Any) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(3):
                store.land_attempts([make_full_attempt(number * 100 + i)])
                store.ingest(wait_seconds=20)
                store.runs()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.done_keys("tiny")) == 9


def test_a_database_file_opens_in_plain_duckdb(store: Store, make_full_attempt: Any) -> None:
    store.land_attempts([make_full_attempt(i) for i in range(3)])
    store.ingest()
    with duckdb.connect(str(store.path), read_only=True) as con:
        assert con.execute(
            "SELECT count(*), sum(len(scores)) FROM attempts JOIN unit_scores USING (attempt_key)"
        ).fetchall() == [(3, 9)]
