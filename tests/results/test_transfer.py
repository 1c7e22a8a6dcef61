"""Results on their way between databases arrive whole, once, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchbench.errors import InputError
from benchbench.results import landing
from benchbench.results.ingest import BASE_TABLES
from benchbench.results.reader import Readable
from benchbench.results.store import Store
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
    # the record of run-1 here is newer than the one that came
    assert [r["state"] for r in other.runs() if r["run_id"] == "run-1"] == ["finished"]
    merge_results(full, other.path)
    assert everything(full) == everything(other)


def test_one_suite_alone(full: Store, tmp_path: Path) -> None:
    counts = export_results(full, tmp_path / "one", suite="other")
    assert counts == {
        "runs": 1, "attempts": 1, "unit_scores": 0, "metrics": 4, "curves": 0, "tasks": 1, "methods": 1, "environments": 1
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


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("attempts", lambda t: t.drop_columns(["seed"]), "does not have the columns of attempts; they differ in: seed BIGINT"),
        ("attempts", replaced("score", "high", pa.string()), "score VARCHAR"),
        ("attempts", replaced("attempt_id", "forged"), "ids that do not match their keys"),
        ("attempts", replaced("outcome", "great"), "unknown outcomes"),
        ("attempts", replaced("params_json", "{"), "not JSON"),
        ("attempts", replaced("trial_id", None), "NOT NULL constraint failed"),
        ("attempts", lambda t: pa.concat_tables([t, t]), "cannot be imported: Constraint Error: (PRIMARY|Duplicate)"),
        ("curves", replaced("attempt_key", 7), "curves of no attempt"),
        ("runs", replaced("hardware_json", "x"), "hardware that is not JSON"),
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
