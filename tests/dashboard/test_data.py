"""Reading for the dashboard: states of the store, trouble, and that no writer is kept waiting."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchbench.dashboard import data, queries
from benchbench.results import store
from benchbench.results.store import Store


def test_no_database(tmp_path: Path) -> None:
    found = queries.trouble_with(data.open_store(tmp_path / "none.duckdb"))
    assert found is not None
    assert found.kind == "absent"
    assert not (tmp_path / "none.duckdb").exists()
    assert not (tmp_path / "none.duckdb.landing").exists()


def test_an_empty_database(tmp_path: Path) -> None:
    Store(tmp_path / "empty.duckdb").open_for_writing()
    found = queries.trouble_with(data.open_store(tmp_path / "empty.duckdb"))
    assert found is not None
    assert found.kind == "empty"


def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    found = queries.trouble_with(data.open_store(tmp_path / "notes.txt"))
    assert found is not None
    assert found.kind == "foreign"


def test_a_newer_schema(trio: Store) -> None:
    trio.ingest()
    with duckdb.connect(str(trio.path)) as con:
        con.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    found = queries.trouble_with(trio)
    assert found is not None
    assert found.kind == "unreadable"
    assert "newer benchbench" in found.message


def test_held_open_by_another_program(trio: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    trio.ingest()
    code = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(trio.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        trio.wait_seconds = 0.3
        found = queries.trouble_with(trio)
    assert found is not None
    assert found.kind == "in use"
    assert queries.trouble_with(trio) is None


def test_a_store_with_results_has_no_trouble(trio: Store) -> None:
    assert queries.trouble_with(trio) is None
    assert [o.suite for o in queries.suite_overviews(trio)] == ["trio"]


def test_the_state_changes_with_what_is_recorded(trio: Store, land: Any) -> None:
    before = queries.state_of(trio)
    assert queries.state_of(trio) == before
    land({"method": "new"})
    landed = queries.state_of(trio)
    assert landed != before
    trio.ingest()
    assert queries.state_of(trio) not in (before, landed)


def test_reading_everything_holds_the_file_for_moments_only(trio: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that comes while a page is made waits for one query at most."""
    held = []
    attach = store.attach

    def timed(con: Any, path: Path, *, read_only: bool, deadline: float) -> None:
        assert read_only
        held.append(time.monotonic())
        attach(con, path, read_only=read_only, deadline=deadline)

    trio.ingest()
    monkeypatch.setattr(store, "attach", timed)
    suite = data.load_suite(trio, "trio")
    data.load_board(trio, suite, data.Choice())
    trio.runs()
    assert held
    # nothing is open now: another connection may write at once
    with duckdb.connect(str(trio.path)) as con:
        con.execute("CREATE TABLE written (a INTEGER)")


def test_a_suite_that_is_not_installed_is_shown_from_its_results(trio: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHBENCH_SUITES")
    suite = data.load_suite(trio, "trio")
    assert not suite.is_known
    assert [t.name for t in suite.spec.tasks] == ["a", "b", "c"]
    board = data.load_board(trio, suite, data.Choice(imputation="worst"))
    assert board.table.shape == (4, 3, 3)


def test_conditions_come_newest_first(land: Any) -> None:
    found = data.load_suite(land({}, {"preset": "long", "threads": 2}), "trio")
    assert found.conditions == [("long", "cpu", 2), ("quick", "cpu", 1)]


def test_provenance_counts_clean_code(board: data.BoardData) -> None:
    assert board.sources["maml", "{}"].n_clean == 9
    own = board.sources["home_made", "{}"]
    assert (own.n_clean, own.n_trials) == (0, 9)
    assert own.hardware == ("other, 8 cores",)


def test_the_data_of_tasks(trio: Store) -> None:
    found = {r["task"]: r for r in queries.task_data(trio, "trio")}
    assert found["b"]["n_failed"] == 3
    assert found["a"]["n_methods"] == 4
    assert found["a"]["task_fingerprint"] == "data of a"
