"""A damaged database, a full disk: the platform's own error, and nothing that landed is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchbench.errors import BenchbenchError, InputError, StoreError
from benchbench.results.store import Store

SCRIPT = Path(__file__).with_name("full_disk_script.py")


@pytest.fixture
def filled(store: Store, make_full_attempt: Any) -> Store:
    """Return a store with rows in its file, and others in its landing folder."""
    store.land_attempts([make_full_attempt(i, log_tail=f"{i} " * 500) for i in range(300)])
    store.ingest()
    store.land_attempts([make_full_attempt(i) for i in range(300, 303)])
    return store


def everything(store: Store) -> int:
    """Read every value."""
    with store.reading() as con:
        return sum(len(con.execute(f"SELECT * FROM {t}").fetchall()) for t in ("attempts", "unit_scores", "metrics"))


def test_a_truncated_database_is_an_error_of_the_platform_and_keeps_what_landed(filled: Store) -> None:
    whole = filled.path.read_bytes()
    landed = sorted(filled.landing.glob("*.parquet"))
    n_all = everything(filled)
    lengths = [0, 1, 100, 4096, 8192, 12287, 12288, 12289, *(len(whole) * k // 8 for k in range(1, 8)), len(whole) - 1]
    for length in lengths:
        filled.path.write_bytes(whole[:length])
        for action in (filled.runs, filled.open_for_writing, filled.ingest, lambda: everything(filled)):
            with pytest.raises(BenchbenchError, match=r"damaged|is not a DuckDB database"):
                action()
        assert sorted(filled.landing.glob("*.parquet")) == landed
    # restored from a copy, or moved away
    filled.path.write_bytes(whole)
    assert everything(filled) == n_all
    filled.path.rename(filled.path.with_name("damaged"))
    assert filled.ingest().n_attempts == 3


def test_a_flipped_bit_of_the_database_is_never_a_traceback(filled: Store) -> None:
    """DuckDB finds it by the checksum of the block, when it reads the block."""
    whole = bytearray(filled.path.read_bytes())
    n_all = everything(filled)
    for place in range(20, len(whole), len(whole) // 24):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        filled.path.write_bytes(damaged)
        try:
            assert everything(filled) == n_all
        except (StoreError, InputError) as error:
            assert "damaged" in str(error)


def test_the_log_of_a_database_that_was_moved_away_is_not_replayed(filled: Store) -> None:
    log = filled.path.with_name(filled.path.name + ".wal")
    filled.path.unlink()
    log.write_bytes(b"of another file")
    assert filled.ingest().n_attempts == 3
    assert log.with_name(log.name + ".bad").read_bytes() == b"of another file"


@pytest.mark.parametrize("what", ["land", "ingest", "create", "import"])
def test_a_full_disk(what: str, filled: Store, tmp_path: Path) -> None:
    """In a child process whose files may not grow."""
    run = subprocess.run(
        [sys.executable, str(SCRIPT), what, str(filled.path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("StoreError: cannot write "), run.stdout
    assert "File too large" in run.stdout
    assert filled.ingest().n_attempts == 3
    assert len(filled.done_keys("tiny")) == 303
    assert not list(filled.path.parent.glob(".*.part*"))
