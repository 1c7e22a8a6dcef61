"""Results on their way between databases arrive whole, once, or not at all."""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchbench.errors import InputError, StoreError
from benchbench.results import batches, landing
from benchbench.results.ingest import BASE_TABLES
from benchbench.results.reader import Readable
from benchbench.results.store import Store, StoreInUse
from benchbench.results.transfer import (
    Export,
    ImportReport,
    _sha256,
    export_results,
    import_results,
    merge_results,
    open_results,
)


def everything(results: Readable) -> dict[str, list[str]]:
    """Return all rows of all tables, as text so that NaN equals NaN."""
    with results.reading() as con:
        return {t: sorted(str(r) for r in con.execute(f"SELECT * FROM {t}").fetchall()) for t in BASE_TABLES}


@pytest.fixture
def full(store: Store, make_full_attempt: Any, make_run: Any) -> Store:
    """Return a store of two suites, partly folded in, with NULLs, NaN and lists."""
    store.land_run(make_run("run-1"))
    store.land_attempts([make_full_attempt(i) for i in range(4)])
    store.ingest()
    store.land_run(make_run("run-2", suite="other", ended_at=3.0, git_dirty=False))
    bare = make_full_attempt(
        10, suite="other", run_id="run-2", task="t2", outcome="failed", score=None, unit_scores=[], curve=[]
    )
    store.land_attempts([bare, make_full_attempt(11, run_id="run-2", environment_hash="", environment={})])
    return store


@pytest.fixture
def export(full: Store, tmp_path: Path) -> Path:
    export_results(full, tmp_path / "export")
    return tmp_path / "export"


def test_export_and_import_give_back_the_same(full: Store, export: Path, tmp_path: Path) -> None:
    other = Store(tmp_path / "new" / "other.duckdb")
    assert import_results(other, export) == ImportReport(n_new=6, n_known=0, n_runs=2)
    assert everything(other) == everything(full)
    assert everything(open_results(export)) == everything(full)
    assert other.done_keys("tiny") == open_results(export).done_keys("tiny") == full.done_keys("tiny")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "export", "new"]


def test_import_and_merge_twice_change_nothing(full: Store, export: Path, tmp_path: Path) -> None:
    other = Store(tmp_path / "other.duckdb")
    for source in (export, full.path, export):
        merge_results(other, source)
        assert everything(other) == everything(full)
    assert import_results(other, export) == ImportReport(n_new=0, n_known=6, n_runs=2)
    assert import_results(full, export).n_new == 0
    assert merge_results(full, full.path).n_new == 0


def test_two_databases_are_put_together(full: Store, tmp_path: Path, make_full_attempt: Any, make_run: Any) -> None:
    other = Store(tmp_path / "other.duckdb")
    other.open_for_writing()
    other.land_attempts([make_full_attempt(3), make_full_attempt(50)])
    other.land_run(make_run("run-1", state="finished"))
    before = everything(full)
    assert merge_results(other, full.path) == ImportReport(n_new=5, n_known=1, n_runs=2)
    assert everything(full) == before
    assert len(everything(other)["attempts"]) == 7
    merge_results(full, other.path)
    # each keeps the record of the run that it recorded itself
    assert [r["state"] for r in other.runs() if r["run_id"] == "run-1"] == ["finished"]
    assert [r["state"] for r in full.runs() if r["run_id"] == "run-1"] == ["running"]
    assert everything(full) | {"runs": []} == everything(other) | {"runs": []}


def test_one_suite_alone(full: Store, tmp_path: Path) -> None:
    counts = export_results(full, tmp_path / "one", suite="other")
    assert counts == {
        "runs": 1, "attempts": 1, "unit_scores": 0, "metrics": 4, "curves": 0, "tasks": 1, "methods": 1, "environments": 1,
        "preparations": 0,
    }  # fmt: skip
    assert open_results(tmp_path / "one").suites() == ["other"]


def test_an_export_never_overwrites(full: Store, export: Path, tmp_path: Path) -> None:
    before = (export / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        export_results(full, export)
    assert (export / "manifest.json").read_bytes() == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        export_results(full, tmp_path / "file")
    with pytest.raises(InputError, match="Not a directory"):
        export_results(full, tmp_path / "file" / "export")
    (tmp_path / "empty").mkdir()
    assert export_results(full, tmp_path / "empty")["attempts"] == 6


def test_what_is_no_export_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no manifest\.json; create one with"):
        import_results(store, tmp_path / "empty")
    for text, message in (
        ("{", "cannot be read"),
        ("[1]", "is not the manifest"),
        ('{"format": "other"}', "is not the manifest"),
        ('{"format": "benchbench-results", "schema_version": 99}', "has schema 99, this benchbench reads"),
        ('{"format": "benchbench-results", "schema_version": 1, "tables": {}}', "does not list the tables"),
    ):
        (tmp_path / "empty" / "manifest.json").write_text(text)
        with pytest.raises(InputError, match=message):
            import_results(store, tmp_path / "empty")
    with pytest.raises(InputError, match="there are no results at"):
        open_results(tmp_path / "nowhere")


def test_a_damaged_file_is_refused(store: Store, export: Path) -> None:
    path = export / "curves.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="not as it was exported"):
        Export(export)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        Export(export)


def rewrite(export: Path, table: str, change: Any) -> None:
    """Change a table of an export and make its manifest fit again."""
    path = export / f"{table}.parquet"
    changed = change(pq.ParquetFile(path).read())
    pq.write_table(changed, path)
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["tables"][table] = {"rows": changed.num_rows, "sha256": _sha256(path)}
    (export / "manifest.json").write_text(json.dumps(manifest))


def replaced(name: str, value: Any, kind: pa.DataType | None = None) -> Any:
    def change(table: pa.Table) -> pa.Table:
        index = table.column_names.index(name)
        return table.set_column(index, name, pa.array([value] * table.num_rows, kind or table.schema.types[index]))

    return change


def changed_row(number: int, name: str, value: Any) -> Any:
    """Change one value, and the type of its column to fit where it must."""

    def change(table: pa.Table) -> pa.Table:
        index = table.column_names.index(name)
        values = table.column(name).to_pylist()
        values[number] = value
        return table.set_column(index, name, pa.array(values, table.schema.types[index]))

    return change


FUTURE = 4e12

WRONG_VALUES = [
    ("attempts", "score", math.inf, "has inf, expected a finite number"),
    ("attempts", "score", math.nan, "has nan, expected a finite number"),
    ("attempts", "score", None, "column score has nothing, expected a score if, and only if, the outcome is ok"),
    ("attempts", "score_sd", -1.0, "column score_sd has -1.0, expected a finite number of at least 0"),
    ("attempts", "outcome", "great", "has 'great', expected one of ok, failed, timeout"),
    ("attempts", "outcome", "failed", "expected a score if, and only if, the outcome is ok"),
    ("attempts", "attempt_id", "forged", "has 'forged', expected ids that match their keys"),
    ("attempts", "trial_id", None, "column trial_id has nothing, expected a value"),
    ("attempts", "params_json", "{", "column params_json has '{', expected a JSON object"),
    ("attempts", "params_json", "[1]", r"column params_json has '\[1\]', expected a JSON object"),
    ("attempts", "params_json", '"lr"', "expected a JSON object"),
    ("attempts", "params_json", '{"lr": NaN}', "expected a JSON object"),
    ("attempts", "params_json", '{"a":' * 3000 + "1" + "}" * 3000, r"expected a JSON object"),
    ("attempts", "budget_json", '{"test_units": "many"}', "expected a budget whose test_units is a whole number"),
    ("attempts", "budget_json", '{"iterations": 1.5}', "expected a budget whose iterations is a whole number"),
    ("attempts", "budget_json", '{"time_limit_seconds": "soon"}', "expected a budget whose time_limit_seconds is a fin"),
    ("attempts", "budget_json", '{"threads": true}', "expected a budget whose threads is a whole number"),
    ("attempts", "budget_json", '{"preset": 3}', "expected a budget whose preset is a text"),
    ("attempts", "budget_json", '{"test_units": 2}', "column n_units has 3, expected at most the test_units of its budget"),
    ("attempts", "remarks_json", "{}", "expected a JSON list of texts"),
    ("attempts", "remarks_json", "[1]", "expected a JSON list of texts"),
    ("attempts", "n_units", 7, "column n_units has 7, expected the number of its unit scores"),
    ("attempts", "n_units", -1, "has -1, expected a whole number of at least 0"),
    ("attempts", "seconds", -2.0, "column seconds has -2.0, expected a finite number of at least 0"),
    ("attempts", "wall_seconds", math.inf, "column wall_seconds has inf"),
    ("attempts", "peak_memory_mib", math.nan, "column peak_memory_mib has nan"),
    ("attempts", "started_at", math.nan, "column started_at has nan, expected a time in seconds that is not in the future"),
    ("attempts", "started_at", FUTURE, "column started_at has 4000000000000.0, expected a time in seconds that is not in the"),
    ("attempts", "method", "", "column method has '', expected a name that is not empty"),
    ("attempts", "task", "a\x1b[31m", "column task has .*, expected a text without control characters"),
    ("attempts", "metric", "a\nb", "column metric has .*, expected a text without control characters"),
    ("attempts", "metric", "", "column metric has '', expected the metric of its score"),
    ("unit_scores", "scores", [0.5, math.nan, 0.5], "column scores has .*, expected finite numbers"),
    ("unit_scores", "scores", [0.5, None, 0.5], "column scores has .*, expected finite numbers"),
    ("unit_scores", "scores", [], "expected a list of scores"),
    ("metrics", "kind", "colour", "has 'colour', expected one of metric, phase"),
    ("metrics", "name", "\x00", "expected a text without control characters"),
    ("curves", "attempt_key", 7, "curves of no attempt"),
    ("curves", "seconds", -1.0, "column seconds has -1.0"),
    ("curves", "position", 0, "column position has 0, expected a whole number of at least 1"),
    ("runs", "hardware_json", "3", "column hardware_json has '3', expected a JSON object"),
    ("runs", "state", "great", "expected one of running"),
    ("runs", "started_at", math.inf, "column started_at has inf"),
    ("runs", "ended_at", math.nan, "column ended_at has nan"),
    ("runs", "updated_at", 9 * 10**18, "expected nanoseconds that are not in the future"),
    ("tasks", "task", None, "column task has nothing, expected a text"),
    ("methods", "method", "\x9b", "expected a text without control characters"),
    ("environments", "versions_json", '{"torch": 2}', "expected a JSON object of versions"),
]  # fmt: skip


def test_wrong_values_are_refused_with_table_row_and_column(
    full: Store, export: Path, tmp_path: Path, make_full_attempt: Any
) -> None:
    """One wrong value in one row, under a manifest that fits: nothing is imported, and no database made."""
    other = Store(tmp_path / "other.duckdb")
    for table, column, value, message in WRONG_VALUES:
        changed = tmp_path / "changed"
        shutil.copytree(export, changed)
        # the first row of tables that have but one, the third of attempts, which succeeded
        number = 2 if table == "attempts" else 0
        rewrite(changed, table, changed_row(number, column, value))
        with pytest.raises(InputError, match=rf"{table}\.parquet was not written .* row {number + 1}[ ,]") as error:
            import_results(other, changed)
        assert re.search(message, str(error.value)), (message, str(error.value))
        assert not other.path.exists()
        shutil.rmtree(changed)


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("attempts", lambda t: t.drop_columns(["seed"]), "does not have the columns of attempts; they differ in: seed BIGINT"),
        ("attempts", replaced("score", "high", pa.string()), "score VARCHAR"),
        ("attempts", lambda t: pa.concat_tables([t, t]), "column attempt_id has '.*', expected each value once"),
        ("unit_scores", lambda t: pa.concat_tables([t, t]), "column attempt_key has .*, expected each value once"),
        ("runs", lambda t: pa.concat_tables([t, t]), "column run_id has .*, expected each value once"),
    ],
)  # fmt: skip
def test_an_export_changed_by_hand_is_refused_and_nothing_is_imported(
    store: Store, make_full_attempt: Any, export: Path, tmp_path: Path, table: str, change: Any, message: str
) -> None:
    other = Store(tmp_path / "other.duckdb")
    other.open_for_writing()
    other.land_attempts([make_full_attempt(77)])
    before = everything(other)
    rewrite(export, table, change)
    with pytest.raises(InputError, match=message):
        import_results(other, export)
    assert everything(other) == before


def test_an_import_replaces_nothing_that_was_recorded_here(
    full: Store, export: Path, tmp_path: Path, make_full_attempt: Any, make_run: Any
) -> None:
    """Neither runs nor attempts nor versions; the state of a run that came by import follows its source."""
    before = everything(full)
    rewrite(export, "runs", replaced("state", "failed"))
    rewrite(export, "runs", replaced("updated_at", time.time_ns()))
    rewrite(export, "attempts", replaced("method", "forged"))
    rewrite(export, "environments", replaced("versions_json", "{}"))
    assert import_results(full, export).n_new == 0
    after = everything(full)
    assert {t: rows for t, rows in after.items() if t != "methods"} == {
        t: rows for t, rows in before.items() if t != "methods"
    }
    elsewhere = Store(tmp_path / "elsewhere.duckdb")
    for state in ("running", "finished"):
        full.land_run(make_run("run-1", state=state))
        merge_results(elsewhere, full.path)
        assert {r["run_id"]: r["state"] for r in elsewhere.runs()}["run-1"] == state
    # from here on the run is one of this database
    elsewhere.land_run(make_run("run-1", state="interrupted"))
    elsewhere.ingest()
    full.land_run(make_run("run-1", state="failed"))
    merge_results(elsewhere, full.path)
    assert {r["run_id"]: r["state"] for r in elsewhere.runs()}["run-1"] == "interrupted"


def test_a_large_import_lets_readers_read_and_survives_its_death(
    full: Store, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_full_attempt: Any
) -> None:
    """It goes into a copy, which replaces the database at the end; results that land meanwhile wait."""
    other = Store(tmp_path / "other" / "other.duckdb", wait_seconds=0.5)
    other.open_for_writing()
    other.land_attempts([make_full_attempt(77)])
    other.ingest()
    before = everything(other)
    monkeypatch.setattr(batches, "BYTES_AT_ONCE", 0)
    insert = batches._insert

    def watched(con: Any) -> int:
        n_new = insert(con)
        assert everything(other) == before
        other.land_attempts([make_full_attempt(78)])
        assert other.ingest(0.05).is_deferred
        assert len(everything(other)["attempts"]) == 2
        with pytest.raises(StoreInUse), other.writing():
            pass
        return n_new

    def killed(con: Any) -> int:
        insert(con)
        (other.path.parent / f".{other.path.name}.killed.part").write_text("left by kill -9")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batches, "_insert", killed)
        with pytest.raises(KeyboardInterrupt):
            import_results(other, export)
    assert everything(other) == before
    with monkeypatch.context() as patch:
        patch.setattr(batches, "_insert", watched)
        assert import_results(other, export).n_new == 6
    assert len(everything(other)["attempts"]) == 8
    assert other.ingest().n_attempts == 1
    assert import_results(other, export).n_new == 0
    assert sorted(p.name for p in other.path.parent.iterdir()) == ["other.duckdb", "other.duckdb.landing"]


def test_a_database_that_changed_meanwhile_is_not_replaced(full: Store, make_full_attempt: Any) -> None:
    """A program without our locks may write; what it wrote must not be lost."""
    full.ingest()
    with pytest.raises(StoreError, match="another program changed"), full.rewriting() as con:
        con.execute("DELETE FROM store.attempts")
        with duckdb.connect(str(full.path)) as other:
            other.execute("DELETE FROM runs")
    assert len(everything(full)["attempts"]) == 6
    assert everything(full)["runs"] == []


def test_composed_and_decomposed_names_are_one(
    store: Store, tmp_path: Path, make_full_attempt: Any, make_run: Any
) -> None:
    """Landed, imported, migrated and read in place: a name has one spelling."""
    composed, decomposed = "r\u00e9seau", "re\u0301seau"

    def methods(results: Readable) -> set[tuple[str, ...]]:
        with results.reading() as con:
            found = con.execute(
                "SELECT method, task, suite FROM attempts UNION SELECT method, $1, $1 FROM methods", [composed]
            )
            return set(found.fetchall())

    names = {"method": decomposed, "task": decomposed, "suite": decomposed}
    store.land_attempts([make_full_attempt(1, **names), make_full_attempt(2, **dict.fromkeys(names, composed))])
    assert methods(store) == {(composed,) * 3}
    store.ingest()
    assert methods(store) == {(composed,) * 3}
    export_results(store, tmp_path / "export")
    for table in ("attempts", "methods", "tasks"):
        for name in {"method", "task", "suite"} & set(pq.read_schema(tmp_path / "export" / f"{table}.parquet").names):
            rewrite(tmp_path / "export", table, changed_row(0, name, decomposed))
    assert methods(Export(tmp_path / "export")) == {(composed,) * 3}
    other = Store(tmp_path / "other.duckdb")
    assert import_results(other, tmp_path / "export").n_new == 2
    assert methods(other) == {(composed,) * 3}
    with other.writing() as con:
        # a database as schema 1 left it
        con.execute("UPDATE store.attempts SET method = $1, task = $1, suite = $1", [decomposed])
        con.execute("UPDATE store.methods SET method = $1", [decomposed])
        con.execute("ALTER TABLE store.attempts DROP COLUMN remarks_json")
        con.execute("DROP TABLE store.imported_runs")
        con.execute("UPDATE store.meta SET value = '1' WHERE key = 'schema_version'")
    content = other.path.read_bytes()
    assert methods(other) == {(composed,) * 3}
    assert other.attempt(make_full_attempt(1).attempt_id)["remarks"] == []
    # reading migrates nothing
    assert other.path.read_bytes() == content
    other.open_for_writing()
    assert methods(other) == {(composed,) * 3}
    with other.writing() as con:
        assert con.execute("SELECT DISTINCT method FROM store.attempts").fetchall() == [(composed,)]


def test_a_folder_name_with_quotes(full: Store, tmp_path: Path) -> None:
    folder = tmp_path / "it's; DROP TABLE attempts"
    export_results(full, folder, suite="o'ther")
    shutil.rmtree(folder)
    export_results(full, folder)
    other = Store(tmp_path / "it's.duckdb")
    assert import_results(other, folder).n_new == 6
    assert len(other.done_keys("tiny")) == 5


def test_results_of_the_first_schema_are_read(store: Store, make_full_attempt: Any, tmp_path: Path) -> None:
    """Landing files, exports and databases of schema 1 have no remarks."""
    path = landing.write_attempts(store.landing, [make_full_attempt(1)])
    old = path.with_name("00-old.attempts.v1.parquet")
    table = pq.read_table(path).drop_columns(["remarks_json"])
    pq.write_table(table, old)
    path.unlink()
    assert store.attempt(make_full_attempt(1).attempt_id)["remarks"] == []
    assert store.ingest().n_attempts == 1
    folder = tmp_path / "old"
    export_results(store, folder)
    pq.write_table(
        pq.read_table(folder / "attempts.parquet").drop_columns(["remarks_json"]), folder / "attempts.parquet"
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["schema_version"] = 1
    manifest["tables"]["attempts"]["sha256"] = _sha256(folder / "attempts.parquet")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    other = Store(tmp_path / "other.duckdb")
    assert import_results(other, folder).n_new == 1
    with other.writing() as con:
        con.execute("ALTER TABLE store.attempts DROP COLUMN remarks_json")
        con.execute("UPDATE store.meta SET value = '1' WHERE key = 'schema_version'")
    other.land_attempts([make_full_attempt(2)])
    assert other.ingest().n_attempts == 1
    assert [other.attempt(make_full_attempt(n).attempt_id)["remarks"] for n in (1, 2)] == [
        [],
        make_full_attempt(2).remarks,
    ]
