"""Data that could not be prepared: recorded durably, until a later run prepares them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.errors import InputError
from benchbench.records import Attempt, PreparationRecord, RunRecord
from benchbench.results import migrations
from benchbench.results.kinds import KINDS
from benchbench.results.load import counted_trials
from benchbench.results.store import Store
from benchbench.results.transfer import MANIFEST, Export, export_results, import_results


def preparation(task: str, at: float, outcome: str = "failed", **changes: Any) -> PreparationRecord:
    values: dict[str, Any] = {
        "run_id": f"run-{at}",
        "suite": "tiny",
        "suite_version": "1",
        "preset": "quick",
        "error_type": "DataMissingError",
        "error_message": "no network \ud800",
        "host": "here",
    }
    return PreparationRecord(task=task, outcome=outcome, recorded_at=at, **{**values, **changes})


def failed(store: Store) -> list[tuple[str, str]]:
    return [(row["task"], row["run_id"]) for row in store.failed_preparations("tiny")]


@pytest.mark.parametrize("ingests", [False, True])
def test_the_newest_preparation_of_a_task_counts(
    store: Store, make_attempt: Callable[..., Attempt], ingests: bool
) -> None:
    def settle() -> None:
        if ingests:
            store.ingest()

    assert failed(store) == []
    store.land_preparations([preparation("letters", 10), preparation("waves", 10), preparation("x", 10, suite="y")])
    settle()
    assert failed(store) == [("letters", "run-10"), ("waves", "run-10")]
    store.land_preparations([preparation("letters", 20)])
    settle()
    assert failed(store) == [("letters", "run-20"), ("waves", "run-10")], "once per task"
    store.land_preparations([preparation("letters", 30, "ok"), preparation("waves", 5, "ok")])
    settle()
    assert failed(store) == [("waves", "run-10")], "one that was prepared later is not listed, one from before is"
    # of an older run, of another version, and lost with their workers: none says that there are data now
    for number, more in enumerate([{"started_at": 9.0}, {"suite_version": "2"}, {"outcome": "infra"}]):
        store.land_attempts([make_attempt(number, **{"task": "waves", "started_at": 11.0, **more})])
    settle()
    assert failed(store) == [("waves", "run-10")]
    (found,) = counted_trials(store, "tiny").unprepared
    assert (found.task, found.reason) == ("waves", "DataMissingError: no network ?")
    store.land_attempts([make_attempt(9, task="waves", started_at=11.0)])
    settle()
    assert failed(store) == []


def test_a_preparation_is_recorded_once_and_ingesting_again_changes_nothing(store: Store) -> None:
    store.land_preparations([preparation("letters", 10)])
    (file,) = store.landing.glob("*.preparations.*.parquet")
    content = file.read_bytes()
    assert store.ingest().n_files == 1
    # as after a crash between the commit and the removal of the file
    file.write_bytes(content)
    assert failed(store) == [("letters", "run-10")]
    store.ingest()
    with store.reading() as con:
        assert con.execute("SELECT count(*) FROM preparations").fetchall() == [(1,)]


def test_preparations_travel_with_the_exports_of_their_runs(
    store: Store, make_run: Callable[..., RunRecord], tmp_path: Path
) -> None:
    store.land_run(make_run("run-10"))
    store.land_run(make_run("run-11", suite="other"))
    store.land_preparations([preparation("letters", 10), preparation("x", 11, suite="other")])
    assert export_results(store, tmp_path / "one", suite="tiny")["preparations"] == 1
    other = Store(tmp_path / "other.duckdb")
    for _ in range(2):
        import_results(other, tmp_path / "one")
        assert failed(other) == [("letters", "run-10")]
    with other.reading() as con:
        assert con.execute("SELECT count(*) FROM preparations").fetchall() == [(1,)]


def test_exports_of_the_first_schema_have_no_preparations(store: Store, tmp_path: Path) -> None:
    export_results(store, tmp_path / "old")
    path = tmp_path / "old" / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(
        json.dumps(manifest | {"tables": {k: v for k, v in manifest["tables"].items() if k != "preparations"}})
    )
    with pytest.raises(InputError, match="does not list the tables"):
        Export(tmp_path / "old")
    manifest["schema_version"] = 1
    del manifest["tables"]["preparations"]
    path.write_text(json.dumps(manifest))
    assert Export(tmp_path / "old").failed_preparations("tiny") == []


def test_a_migrated_database_has_the_same_table_as_a_new_one(store: Store) -> None:
    import duckdb

    def columns(con: duckdb.DuckDBPyConnection) -> list[Any]:
        return con.execute("DESCRIBE store.main.preparations").fetchall()

    with store.writing() as con:
        new = columns(con)
        con.execute("DROP TABLE store.main.preparations")
        (create,) = [step for step in migrations.MIGRATIONS[1] if "main.preparations (" in step]
        con.execute(create)
        assert columns(con) == new
        assert [row[0] for row in new] == KINDS["preparations"].table_columns
