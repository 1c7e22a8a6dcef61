"""The store in one process: what goes in comes out, once, whatever lies in the landing folder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import math
import os
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchbench.errors import InputError, StoreError
from benchbench.records import Attempt, RunRecord
from benchbench.results import kinds, landing, migrations
from benchbench.results.ingest import BASE_TABLES, connect
from benchbench.results.store import Store


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, as text so that NaN equals NaN."""
    with store.reading() as con:
        return {t: sorted(str(r) for r in con.execute(f"SELECT * FROM {t}").fetchall()) for t in BASE_TABLES}  # type: ignore[misc]


def scores_of(store: Store) -> list[float]:
    with store.reading() as con:
        return [row[0] for row in con.execute("SELECT score FROM attempts").fetchall()]


def assert_same(recorded: dict[str, Any], attempt: Attempt) -> None:
    for field in dataclasses.fields(Attempt):
        want, have = getattr(attempt, field.name), recorded[field.name]
        if field.name == "curve":
            want = [dataclasses.asdict(p) for p in want]
        if field.name == "log_tail":
            want = want.replace("\ud800", "?")
        assert repr(have) == repr(want), field.name


@pytest.mark.parametrize("folded", [False, True])
def test_an_attempt_comes_back_as_it_was(store: Store, make_full_attempt: Any, folded: bool) -> None:
    full = make_full_attempt(1)
    bare = make_full_attempt(
        2, score=None, score_sd=None, unit_scores=[], metrics={}, phases={}, curve=[], git_dirty=True, outcome="failed",
        params={}, environment={}, environment_hash="",
    )  # fmt: skip
    store.land_attempts([full, bare])
    if folded:
        assert store.ingest().n_attempts == 2
    assert_same(store.attempt(full.attempt_id), full)
    assert_same(store.attempt(bare.attempt_id[:12]), bare)


def test_readers_see_the_same_before_and_after_ingest(store: Store, make_full_attempt: Any, make_run: Any) -> None:
    store.land_run(make_run())
    store.land_attempts([make_full_attempt(i) for i in range(3)])
    store.ingest()
    store.land_attempts([make_full_attempt(i) for i in range(2, 6)])
    store.land_run(make_run(state="finished", ended_at=9.0, n_trials=6))
    before = everything(store)
    assert store.ingest().n_attempts == 3
    assert everything(store) == before
    assert [len(before[t]) for t in ("runs", "attempts", "unit_scores", "metrics", "curves")] == [1, 6, 6, 24, 12]
    assert [len(before[t]) for t in ("tasks", "methods", "environments")] == [1, 1, 1]
    assert not landing.list_landed(store.landing)


def test_an_attempt_landed_twice_counts_once(store: Store, make_full_attempt: Any) -> None:
    first, again = make_full_attempt(1, score=0.1), make_full_attempt(1, score=0.9)
    store.land_attempts([first, first])
    store.land_attempts([again])
    assert scores_of(store) == [0.1]
    store.ingest()
    store.land_attempts([again])
    store.ingest()
    assert scores_of(store) == [0.1]
    assert len(everything(store)["curves"]) == 2


def test_the_later_record_of_a_run_counts(store: Store, make_run: Any) -> None:
    run: RunRecord = make_run(hardware={"gpus": ["H200"]}, user="ann")
    store.land_run(run)
    store.ingest()
    store.land_run(dataclasses.replace(run, state="finished", ended_at=2.0))
    (landed,) = store.runs()
    store.ingest()
    (folded,) = store.runs()
    assert landed == folded
    assert (folded["state"], folded["ended_at"], folded["user"]) == ("finished", 2.0, "ann")
    assert folded["hardware"] == {"gpus": ["H200"]}


def test_runs_count_attempts_by_outcome(store: Store, make_full_attempt: Any, make_run: Any) -> None:
    store.land_run(make_run("old", started_at=1.0))
    store.land_run(make_run("new", started_at=2.0))
    store.land_attempts([make_full_attempt(i, run_id="old", outcome=o) for i, o in enumerate(["infra", "ok", "ok"])])
    new, old = store.runs()
    assert (new["run_id"], new["outcomes"], new["n_attempts"]) == ("new", {}, 0)
    assert list(old["outcomes"].items()) == [("ok", 2), ("infra", 1)]
    assert [r["run_id"] for r in store.runs(limit=1)] == ["new"]
    assert [r["seed"] for r in store.attempts_of_run("old")] == [0, 1, 2]


def test_suites_are_those_of_all_attempts(store: Store, make_full_attempt: Any) -> None:
    store.land_attempts([make_full_attempt(1), make_full_attempt(2, suite="other")])
    assert store.suites() == ["other", "tiny"]


def test_done_keys(store: Store, make_full_attempt: Any, tmp_path: Path) -> None:
    assert Store(tmp_path / "nowhere.duckdb").done_keys("tiny") == set()
    trials = {
        "good": ["failed", "ok"],
        "bad": ["ok", "timeout"],
        "declined": ["declined"],
        "lost": ["infra"],
        "lost-later": ["ok", "infra"],
    }
    number = 0
    for trial, outcomes in trials.items():
        for outcome in outcomes:
            store.land_attempts([make_full_attempt(number := number + 1, trial_id=trial, outcome=outcome)])
    store.land_attempts([make_full_attempt(99, trial_id="other", suite="other")])

    def key(trial: str) -> tuple[str, str, str, str]:
        return (trial, "source-1", "f" * 20, "3")

    for _ in range(2):
        assert store.done_keys("tiny") == {key(t) for t in ("good", "bad", "declined", "lost-later")}
        assert store.done_keys("tiny", include_failed=False) == {key(t) for t in ("good", "declined", "lost-later")}
        store.ingest()


def test_attempts_are_found_by_the_beginning_of_their_id(store: Store, make_full_attempt: Any) -> None:
    store.land_attempts([make_full_attempt(i, attempt_id=name) for i, name in enumerate(["abc", "abcd", "abxy"])])
    assert store.attempt("abx")["attempt_id"] == "abxy"
    assert store.attempt("abc")["attempt_id"] == "abc"
    with pytest.raises(InputError, match=r"more than one.*\n  abc  maml on letters, ok\n  abcd .*\n  abxy "):
        store.attempt("ab")
    with pytest.raises(InputError, match="no attempt has an id that begins with 'zz%'"):
        store.attempt("zz%")
    with pytest.raises(InputError):
        store.attempt("")


def test_damaged_and_foreign_files_are_set_aside_and_the_rest_is_kept(
    store: Store, make_full_attempt: Any, make_run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole = landing.write_attempts(store.landing, [make_full_attempt(i) for i in range(50)]).read_bytes()
    runs = landing.write_records(store.landing, "runs", [make_run()]).read_bytes()
    damaged = {
        "00-half.attempts.v1.parquet": whole[: len(whole) // 2],
        "01-empty.attempts.v1.parquet": b"",
        "02-text.runs.v1.parquet": b"run_id\n1\n",
        "03-other.runs.v1.parquet": whole,
        "04-other.attempts.v1.parquet": runs,
        "05-foreign.parquet": whole,
    }
    for name, content in damaged.items():
        (store.landing / name).write_bytes(content)
    (store.landing / "notes.txt").write_text("not ours")
    (store.landing / ".half.attempts.v1.parquet.part").write_bytes(whole[:10])
    with caplog.at_level(logging.WARNING):
        assert len(scores_of(store)) == 50
    assert sorted(p.name for p in store.landing.glob("*.bad")) == []
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        report = store.ingest()
    assert report.n_attempts == 50
    assert {p.name for p in report.set_aside} == {f"{name}.bad" for name in damaged}
    assert all(f"{name}.bad" in caplog.text for name in damaged)
    assert {p.name: p.read_bytes() for p in report.set_aside} == {f"{n}.bad": c for n, c in damaged.items()}
    assert len(store.runs()) == 1
    assert store.ingest().set_aside == []


def test_null_where_none_may_be_is_damage(store: Store, make_full_attempt: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = landing.write_attempts(store.landing, [make_full_attempt(1)])
    table = pq.ParquetFile(path).read()
    index = table.column_names.index("trial_id")
    pq.write_table(table.set_column(index, "trial_id", pa.nulls(1, pa.string())), path)
    path = path.rename(with_checksum(path))
    store.land_attempts([make_full_attempt(2)])
    assert len(scores_of(store)) == 1
    assert [p.name for p in store.ingest().set_aside] == [f"{path.name}.bad"]
    assert len(scores_of(store)) == 1


def with_checksum(path: Path) -> Path:
    """Return the name of a landing file for its present content."""
    first, *rest = path.name.split(".")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    return path.with_name(".".join([f"{first.rsplit('-', 1)[0]}-{checksum}", *rest]))


def test_no_flipped_bit_and_no_lost_end_changes_a_value_or_stops_anything(
    store: Store, make_full_attempt: Any, make_run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """All files that a flipped bit or a truncation made are set aside, whichever byte it was."""
    chance = random.Random(3)
    names = [
        landing.write_attempts(store.landing, [make_full_attempt(i) for i in range(3)]),
        landing.write_records(store.landing, "runs", [make_run()]),
    ]
    before = everything(store)
    damaged = []
    for path in names:
        whole = path.read_bytes()
        first, rest = path.name.split("-", 1)
        for number, bit in enumerate(chance.sample(range(8 * len(whole)), 200)):
            content = bytearray(whole)
            content[bit // 8] ^= 1 << bit % 8
            # before and after the intact one
            copy = path.with_name(f"{int(first) + number - 100:020d}-{rest}")
            if copy == path:
                continue
            copy.write_bytes(content)
            damaged.append(copy)
        for length in chance.sample(range(len(whole)), 20):
            copy = path.with_name(f"{int(first) + 1000 + length:020d}-{rest}")
            copy.write_bytes(whole[:length])
            damaged.append(copy)
    assert everything(store) == before
    report = store.ingest()
    assert {path.name for path in report.set_aside} == {f"{path.name}.bad" for path in damaged}
    assert (report.n_files, report.n_attempts) == (2, 3)
    assert everything(store) == before
    assert not list(store.landing.glob("*.parquet"))


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        ("attempts", "params_json", "[1]"),
        ("attempts", "budget_json", "{"),
        ("attempts", "remarks_json", '"text"'),
        ("attempts", "environment_json", "null"),
        ("attempts", "outcome", "great"),
        ("runs", "hardware_json", "3"),
    ],
)
def test_a_landed_value_that_no_reader_could_use_is_damage(
    kind: str, column: str, value: str, store: Store, make_full_attempt: Any, make_run: Any
) -> None:
    """So are files without a checksum read: schema 1 wrote them, and people rename files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = landing.write_attempts(store.landing, [make_full_attempt(1)])
    if kind == "runs":
        path = landing.write_records(store.landing, "runs", [make_run("run-2")])
    table = pq.ParquetFile(path).read()
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array([value])), path)
    named = [with_checksum(path), path.with_name(f"00-old.{kind}.v2.parquet")]
    for name in named:
        shutil.copy(path, name)
    path.unlink()
    store.land_attempts([make_full_attempt(2)])
    store.land_run(make_run())
    assert [len(rows) for table, rows in everything(store).items() if table in ("runs", "attempts")][:1] == [1]
    n_intact = len(scores_of(store))
    report = store.ingest()
    assert sorted(p.name for p in report.set_aside) == sorted(f"{name.name}.bad" for name in named)
    assert report.n_attempts == n_intact == len(scores_of(store))
    assert [run["run_id"] for run in store.runs()] == ["run-1"]


def test_what_is_no_file_is_never_opened(store: Store, make_full_attempt: Any) -> None:
    """A pipe would block its reader for ever."""
    os.mkfifo(store.landing / "00-pipe.attempts.v1.parquet")
    (store.landing / "01-folder.attempts.v1.parquet").mkdir()
    store.land_attempts([make_full_attempt(1)])
    assert len(scores_of(store)) == 1
    report = store.ingest()
    assert (len(report.set_aside), report.n_attempts) == (2, 1)


def test_a_file_folded_in_by_somebody_else_meanwhile_is_normal(store: Store, make_full_attempt: Any) -> None:
    """Listed, and gone when it is opened: so is a link to a file that another process has folded in and removed."""
    store.land_attempts([make_full_attempt(1)])
    store.ingest()
    path = landing.write_attempts(store.landing, [make_full_attempt(2)])
    gone = path.with_name(f"00-gone.{path.name.split('.', 1)[1]}")
    gone.symlink_to("folded-in-by-somebody-else")
    assert [one.path.name for one in landing.list_landed(store.landing)] == [gone.name, path.name]
    assert len(scores_of(store)) == 2
    report = store.ingest()
    assert (report.n_attempts, report.set_aside) == (1, [])


def test_files_of_a_newer_benchbench_wait(store: Store, make_full_attempt: Any) -> None:
    path = landing.write_attempts(store.landing, [make_full_attempt(1)])
    newer = path.rename(path.with_name(path.name.replace(f".v{kinds.VERSION}.", f".v{kinds.VERSION + 1}.")))
    report = store.ingest()
    assert (report.n_newer, report.set_aside, newer.exists()) == (1, [], True)
    assert scores_of(store) == []


def test_many_files_are_folded_in_by_bounded_transactions(
    store: Store, make_full_attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchbench.results.store.FILES_AT_ONCE", 3)
    for i in range(8):
        store.land_attempts([make_full_attempt(i)])
    report = store.ingest()
    assert (report.n_files, report.n_attempts) == (8, 8)
    assert len(store.done_keys("tiny")) == 8


def test_death_between_commit_and_unlink_doubles_nothing(
    store: Store, make_full_attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.land_attempts([make_full_attempt(i) for i in range(3)])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _die)
        with pytest.raises(KeyboardInterrupt):
            store.ingest()
    before = everything(store)
    assert len(before["attempts"]) == 3
    assert store.ingest().n_attempts == 0
    assert everything(store) == before


def _die(self: Path, missing_ok: bool = False) -> None:
    raise KeyboardInterrupt


def test_infinite_and_missing_numbers_survive(store: Store, make_full_attempt: Any) -> None:
    store.land_attempts([make_full_attempt(1)])
    store.ingest()
    found = store.attempt(make_full_attempt(1).attempt_id)
    assert math.isnan(found["metrics"]["ece"])
    assert [p["value"] for p in found["curve"]] == [0.7, math.inf]


def test_a_record_that_cannot_be_stored_says_which_field(store: Store, make_full_attempt: Any) -> None:
    with pytest.raises(InputError, match="n_units of a Attempt cannot be stored"):
        store.land_attempts([make_full_attempt(1, n_units="three")])
    with pytest.raises(InputError, match="not plain JSON"):
        store.land_attempts([make_full_attempt(1, params={"x": object()})])
    assert landing.list_landed(store.landing) == []


# -- what a path may turn out to be --------------------------------------------------------------------------------------


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; create one with `bench run`"):
        Store(tmp_path / "no.duckdb").runs()
    with pytest.raises(InputError, match="is a folder"):
        Store(tmp_path).runs()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    below = Store(tmp_path / "file" / "results.duckdb")
    with pytest.raises(InputError, match=r"does not exist: .*file is a file, not a folder; create one"):
        below.runs()
    assert not below.is_recorded()
    with pytest.raises(InputError, match="File name too long"):
        Store(tmp_path / ("x" * 300)).runs()


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_that_names_no_file(path: str) -> None:
    with pytest.raises(InputError, match=r"give the path of a file, like results\.duckdb"):
        Store(path)


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; give the path of a database file"):
        Store(tmp_path).open_for_writing()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write results to .*: Not a directory; choose another place"):
        Store(tmp_path / "file" / "results.duckdb").open_for_writing()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_writing_to_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        Store(tmp_path / "results.duckdb").open_for_writing()


def test_files_that_are_no_results(tmp_path: Path) -> None:
    text, other = tmp_path / "text.duckdb", tmp_path / "other.duckdb"
    empty, lite = tmp_path / "empty.duckdb", tmp_path / "lite.duckdb"
    text.write_text("hello\n" * 1000)
    empty.touch()
    with contextlib.closing(sqlite3.connect(lite)) as con, con:
        con.execute("CREATE TABLE attempts (attempt_id TEXT)")
    duckdb.connect(str(other)).close()
    foreign = dict.fromkeys((text, empty, lite), "is not a DuckDB database") | {
        other: "not a benchbench results database"
    }
    for path, message in foreign.items():
        content = path.read_bytes()
        with pytest.raises(InputError, match=message):
            Store(path).open_for_writing()
        with pytest.raises(InputError, match=message):
            Store(path).runs()
        assert path.read_bytes() == content
    # nothing is made beside a file that is refused
    assert {p for p in tmp_path.iterdir() if p.suffix != ".duckdb"} == set()
    with pytest.raises(InputError, match="is not a regular file"):
        Store(os.devnull).open_for_writing()


@pytest.mark.parametrize("name", [":memory:", "md:results", "sqlite:results"])
def test_names_that_mean_something_else_to_duckdb(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_full_attempt: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(name)
    store.open_for_writing()
    store.land_attempts([make_full_attempt(1)])
    store.ingest()
    assert Path(name).is_file()
    assert len(Store(name).done_keys("tiny")) == 1


def test_the_landing_folder_may_vanish(store: Store, make_full_attempt: Any) -> None:
    for path in store.landing.iterdir():
        path.unlink()
    store.landing.rmdir()
    with pytest.raises(StoreError, match="is gone"):
        store.land_attempts([make_full_attempt(1)])


def test_results_that_landed_without_a_database_are_read(tmp_path: Path, make_full_attempt: Any) -> None:
    store = Store(tmp_path / "results.duckdb")
    store.landing.mkdir()
    store.land_attempts([make_full_attempt(1)])
    assert len(store.done_keys("tiny")) == 1
    assert store.ingest().n_attempts == 1
    assert len(store.done_keys("tiny")) == 1


# -- schema versions -----------------------------------------------------------------------------------------------------


def set_version(store: Store, version: int) -> None:
    with duckdb.connect(str(store.path)) as con:
        con.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(version)])


def test_a_newer_database_is_refused(store: Store, make_full_attempt: Any) -> None:
    set_version(store, kinds.VERSION + 1)
    for action in (store.open_for_writing, store.runs):
        with pytest.raises(InputError, match="written by a newer benchbench"):
            action()
    store.land_attempts([make_full_attempt(1)])
    with pytest.raises(InputError, match="newer"):
        store.ingest()
    assert len(landing.list_landed(store.landing)) == 1


def test_an_older_database_is_brought_forward(store: Store) -> None:
    steps = {
        kinds.VERSION: ("ALTER TABLE attempts ADD COLUMN colour VARCHAR DEFAULT 'red'",),
        kinds.VERSION + 1: ("CREATE TABLE extra (x BIGINT)",),
    }
    con = connect()
    con.execute(f"ATTACH '{store.path}' AS store")
    migrations.migrate(con, store.path, kinds.VERSION + 2, steps)
    assert migrations.version_of(con, store.path) == kinds.VERSION + 2
    assert con.execute("SELECT count(colour) FROM store.attempts").fetchone() == (0,)
    con.execute("SELECT x FROM store.extra")
    assert migrations.readable_version(con, store.path, kinds.VERSION + 3) == kinds.VERSION + 2
    con.close()


def test_a_failed_migration_changes_nothing(store: Store) -> None:
    steps = {kinds.VERSION: ("ALTER TABLE attempts ADD COLUMN colour VARCHAR", "SELECT nonsense")}
    con = connect()
    con.execute(f"ATTACH '{store.path}' AS store")
    with pytest.raises(duckdb.Error):
        migrations.migrate(con, store.path, kinds.VERSION + 1, steps)
    con.close()
    assert store.runs() == []
    with store.reading() as con, pytest.raises(duckdb.BinderException):
        con.execute("SELECT colour FROM attempts")


def test_the_schema_has_the_columns_that_land(store: Store) -> None:
    with store.reading() as con:
        for kind in kinds.KINDS.values():
            have = [r[0] for r in con.execute(f"DESCRIBE {kind.name}").fetchall()]
            assert [h for h in have if h != "attempt_key"] == kind.table_columns
    stored = {attribute for _, attribute in kinds.KINDS["attempts"].columns.values()}
    apart = {"unit_scores", "metrics", "phases", "curve", "environment"}
    assert {f.name for f in dataclasses.fields(Attempt)} == stored | apart
    of_runs = {attribute for _, attribute in kinds.KINDS["runs"].columns.values()}
    assert {f.name for f in dataclasses.fields(RunRecord)} == of_runs
