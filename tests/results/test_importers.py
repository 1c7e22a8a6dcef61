"""Published results come in whole, once, marked with their source; what is odd is refused with its line."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchbench.cli.anytime import make_anytime
from benchbench.cli.main import app
from benchbench.errors import InputError, UnknownNameError
from benchbench.results.importers import PublishedSuite, import_published, published_suites
from benchbench.results.importers.storing import read_published
from benchbench.results.importers.suites import find_any_suite
from benchbench.results.load import counted_trials, suite_facts
from benchbench.results.removal import remove_published, sources_of
from benchbench.results.store import Store
from benchbench.results.transfer import export_results, import_results
from benchbench.stats.intervals import estimate_of_summary
from benchbench.stats.leaderboard import Leaderboard, make_leaderboard
from benchbench.stats.table import ScoreTable, TrialState

SOURCE = "Doe et al. 2021, arXiv:2101.00001"
Rows = list[dict[str, Any]]

LONG: Rows = [
    {"method": "a", "task": "t1", "fold": 0, "score": 0.9, "metric": "accuracy", "seconds": 2.0, "status": "ok"},
    {"method": "a", "task": "t1", "fold": 1, "score": 0.7, "metric": "accuracy", "seconds": 4.0, "status": ""},
    {"method": "b", "task": "t1", "fold": 0, "score": 0.8, "metric": "accuracy", "seconds": None, "status": None},
    {"method": "b", "task": "t1", "fold": 1, "score": None, "metric": "accuracy", "seconds": 9.0, "status": "timeout"},
    {"method": "b", "task": "t2", "fold": 0, "score": None, "metric": "accuracy", "seconds": None, "status": "declined"},
    {"method": "a", "task": "t2", "fold": 0, "score": 0.5, "metric": "accuracy", "seconds": 1.0, "status": "ok"},
]  # fmt: skip


def write_csv(path: Path, rows: Rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_json(path: Path, rows: Rows) -> Path:
    path.write_text(json.dumps(rows))
    return path


def write_lines(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


WRITERS: dict[str, Callable[[Path, Rows], Path]] = {
    "long.csv": write_csv,
    "long.parquet": write_parquet,
    "long.json": write_json,
    "lines.json": write_lines,
}


def read_long(path: Path, **options: Any) -> list[PublishedSuite]:
    return read_published(path, "long", "elsewhere", **{"track": "automl", **options})


def bring_in(store: Store, suites: list[PublishedSuite], source: str = SOURCE) -> list[tuple[str, int, int]]:
    return [(r.suite, r.n_new, r.n_known) for r in import_published(store, suites, source)]


def board_of(store: Store, suite: str = "elsewhere") -> Leaderboard:
    return make_leaderboard(counted_trials(store, suite), suite_facts(find_any_suite(suite, store)))


def table_of(store: Store, suite: str = "elsewhere") -> ScoreTable:
    return board_of(store, suite).measured


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_long_table_in_every_kind_of_file(store: Store, tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, LONG)
    assert bring_in(store, read_long(path)) == [("elsewhere", 6, 0)]
    table = table_of(store).select(methods=["a", "b"], tasks=["t1", "t2"])
    assert table.units == (0, 1)
    assert table.scores[0, 0].tolist() == [0.9, 0.7]
    assert table.states.tolist() == [
        [[TrialState.OK, TrialState.OK], [TrialState.OK, TrialState.ABSENT]],
        [[TrialState.OK, TrialState.FAILED], [TrialState.DECLINED, TrialState.ABSENT]],
    ]
    assert table.seconds is not None
    # no seconds were given of b: they are not known, rather than none
    assert table.seconds[0, 0].tolist() == [2.0, 4.0]
    assert table.seconds[1, 0, 0] != table.seconds[1, 0, 0]


def test_losses_become_scores_and_the_metric_may_be_given_for_all(store: Store, tmp_path: Path) -> None:
    rows = [{"method": "a", "task": "t", "loss": 0.25}, {"method": "b", "task": "t", "loss": 1.5}]
    suites = read_long(write_csv(tmp_path / "l.csv", rows), metric="log_loss")
    assert [(r.score, r.metric, r.unit) for r in suites[0].results] == [
        (-0.25, "neg_log_loss", 0),
        (-1.5, "neg_log_loss", 0),
    ]
    bring_in(store, suites)
    board = board_of(store)
    assert [r.method for r in board.rows if r.task] == ["a", "b"]


def test_importing_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "long.csv", LONG)
    bring_in(store, read_long(path))

    def everything() -> list[str]:
        with store.reading() as con:
            return [
                str(con.execute(f"SELECT * FROM {t} ORDER BY ALL").fetchall()) for t in ("attempts", "runs", "metrics")
            ]

    before = everything()
    # the order of rows does not matter either
    assert bring_in(store, read_long(write_json(tmp_path / "long.json", LONG[::-1]))) == [("elsewhere", 0, 6)]
    assert bring_in(store, read_long(path)) == [("elsewhere", 0, 6)]
    assert everything() == before
    (run,) = store.runs()
    assert (run["kind"], run["state"], run["n_attempts"]) == ("published", "done", 6)


def test_an_import_that_was_killed_is_finished_by_the_next(store: Store, tmp_path: Path) -> None:
    suites = read_long(write_csv(tmp_path / "long.csv", LONG))
    bring_in(store, suites)
    with store.writing() as con:
        con.execute("DELETE FROM store.attempts WHERE task = 't1'")
        con.execute("DELETE FROM store.runs")
    assert bring_in(store, suites) == [("elsewhere", 4, 2)]
    assert table_of(store).scores.shape == (2, 2, 2)
    assert len(store.runs()) == 1


def test_a_corrected_file_counts_instead(store: Store, tmp_path: Path) -> None:
    bring_in(store, read_long(write_csv(tmp_path / "long.csv", LONG)))
    better = [row | ({"score": 0.95} if row["method"] == "b" and row["score"] else {}) for row in LONG]
    assert bring_in(store, read_long(write_csv(tmp_path / "new.csv", better))) == [("elsewhere", 6, 0)]
    table = table_of(store)
    assert table.scores[table.methods.index("b"), table.tasks.index("t1"), 0] == 0.95


def test_exports_carry_published_results(store: Store, tmp_path: Path) -> None:
    bring_in(store, read_long(write_csv(tmp_path / "long.csv", LONG)))
    export_results(store, tmp_path / "export")
    other = Store(tmp_path / "other.duckdb")
    import_results(other, tmp_path / "export")
    assert published_suites(other) == {"elsewhere": SOURCE}


def test_published_results_never_stand_beside_measured_ones(
    store: Store, tmp_path: Path, make_full_attempt: Any
) -> None:
    suites = read_long(write_csv(tmp_path / "long.csv", LONG))
    # under the name of a suite file, or of a suite that was measured, they are refused
    with pytest.raises(InputError, match="smoke is the name of a suite file"):
        bring_in(store, [PublishedSuite(name="smoke", track="automl", results=suites[0].results)])
    store.land_attempts([make_full_attempt(0, suite="elsewhere", task="t1", method="a", params={}, seed=0)])
    with pytest.raises(InputError, match="elsewhere has measured results"):
        bring_in(store, suites)
    assert published_suites(store) == {}
    # and should both have come into one database, as by a merge, no board mixes them
    other = Store(tmp_path / "other.duckdb")
    bring_in(other, suites)
    export_results(other, tmp_path / "export")
    import_results(store, tmp_path / "export")
    board = board_of(store)
    assert board.conditions is not None
    assert board.conditions.protocol_version == f"published: {SOURCE}"
    assert {r.n_ok for r in board.rows if r.task == "t1" and r.method == "a"} == {2}
    assert sum("1 trial of suite version 1" in line for line in board.left_out) == 1
    assert any(note.startswith(f"published elsewhere: {SOURCE}") for note in board.notes)


def test_sources_of_a_suite_are_told_apart_and_removed(store: Store, tmp_path: Path) -> None:
    suites = read_long(write_csv(tmp_path / "long.csv", LONG))
    bring_in(store, suites)
    bring_in(store, suites, "another table")
    assert [(o.source, o.preset, o.n_results, o.n_tasks) for o in sources_of(store)] == [
        (SOURCE, "elsewhere", 6, 2),
        ("another table", "elsewhere-2", 6, 2),
    ]
    # each has a board of its own; the other one is listed
    board = board_of(store)
    assert {r.n_ok for r in board.rows if r.task == "t1" and r.method == "a"} == {2}
    assert any("preset elsewhere" in line for line in board.left_out)
    with pytest.raises(InputError, match="has several sources; choose one with --source"):
        remove_published(store, "elsewhere")
    with pytest.raises(UnknownNameError, match="another tabel"):
        remove_published(store, "elsewhere", "another tabel")
    assert remove_published(store, "elsewhere", "another table", dry_run=True) == 6
    assert len(sources_of(store)) == 2
    assert remove_published(store, "elsewhere", "another table") == 6
    assert [o.source for o in sources_of(store)] == [SOURCE]
    assert remove_published(store, "elsewhere") == 6
    with store.reading() as con:
        for table in ("attempts", "runs", "metrics", "curves", "tasks"):
            assert con.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    # what was removed can come again
    assert [r.n_new for r in import_published(store, suites, SOURCE)] == [6]
    with pytest.raises(InputError, match="the source of published results is missing"):
        bring_in(store, suites, "  ")
    with pytest.raises(InputError, match="not a valid suite name"):
        bring_in(store, [PublishedSuite(name="a b", track="automl", results=suites[0].results)])


def test_a_wrong_import_is_replaced(store: Store, tmp_path: Path) -> None:
    bring_in(store, read_long(write_csv(tmp_path / "long.csv", LONG)))
    fewer = read_long(write_csv(tmp_path / "fewer.csv", [*LONG[:2], LONG[2] | {"score": 0.6}]))
    (dry,) = import_published(store, fewer, SOURCE, replace=True, dry_run=True)
    assert (dry.n_new, dry.n_removed, sources_of(store)[0].n_results) == (3, 6, 6)
    (report,) = import_published(store, fewer, SOURCE, replace=True)
    assert (report.n_new, report.n_removed, sources_of(store)[0].n_results) == (3, 6, 3)
    assert [r.n_removed for r in import_published(store, fewer, SOURCE, replace=True)] == [0]
    missing = Store(tmp_path / "none" / "results.duckdb")
    assert [r.n_new for r in import_published(missing, fewer, SOURCE, replace=True, dry_run=True)] == [3]
    assert not missing.path.parent.exists()


def test_shares_beside_percentages_are_questioned(store: Store, tmp_path: Path) -> None:
    mixed = [LONG[0] | {"score": 0.85}, LONG[1] | {"score": 85.0}]
    (report,) = import_published(store, read_long(write_csv(tmp_path / "m.csv", mixed)), SOURCE)
    assert len(report.notes) == 1
    assert "1 scores within 0 to 1" in report.notes[0]
    assert "85); are some per cent?" in report.notes[0]
    alone = read_long(write_csv(tmp_path / "p.csv", [LONG[1] | {"score": 85.0}]))
    bring_in(store, [replace(read_long(write_csv(tmp_path / "s.csv", LONG))[0], name="shares")])
    (later,) = import_published(store, [replace(alone[0], name="shares")], "another table")
    assert "85 (" in later.notes[0]
    assert "the suite has scores from 0.5 to 0.9" in later.notes[0]


def test_what_is_refused_leaves_no_database_behind(tmp_path: Path) -> None:
    (one,) = read_long(write_csv(tmp_path / "long.csv", LONG))
    store = Store(tmp_path / "new" / "results.duckdb")
    for name in ("smoke", "a b"):
        with pytest.raises(InputError):
            bring_in(store, [one, replace(one, name=name)])
    assert not store.path.parent.exists()


def test_no_suite_of_that_name(store: Store, tmp_path: Path) -> None:
    bring_in(store, read_long(write_csv(tmp_path / "long.csv", LONG)))
    with pytest.raises(
        UnknownNameError, match=r"did you mean 'elsewhere'.*bench list suites; imported here: elsewhere$"
    ):
        find_any_suite("elsewhre", store)
    assert find_any_suite("smoke", store).version != "published"


def changed(**values: Any) -> Rows:
    """Return the table with its third row changed."""
    return [*LONG[:2], LONG[2] | values, *LONG[3:]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(score="abc"), "line 4: score 'abc' is not a number"),
        (changed(score="nan"), "line 4: score is nan, expected a finite number"),
        (changed(score="inf"), "line 4: score is inf"),
        (changed(score="1e999"), "line 4: score is inf"),
        (changed(score=""), "line 4: no score and no status"),
        (changed(score="", status="ok"), "line 4: status 'ok', but no score"),
        (changed(status="failed"), "line 4: status 'failed', but the score 0.8"),
        (changed(status="timeuot"), "line 4: unknown status 'timeuot'; did you mean 'timeout'"),
        (changed(status="infra"), "line 4: unknown status 'infra'"),
        (changed(fold="one"), "line 4: fold 'one' is not a number"),
        (changed(fold="1.5"), "line 4: fold '1.5' is not a whole number"),
        (changed(fold=""), "line 4: fold '' is not a whole number"),
        (changed(method=" "), "line 4: method is empty"),
        (changed(metric=""), "line 4: no metric; give it in a column `metric`"),
        (changed(seconds="fast"), "line 4: seconds 'fast' is not a number"),
        ([*LONG, LONG[0]], r"line 8: a on t1, fold 0, is already in .*line 2"),
    ],
)
def test_odd_rows_are_refused_with_their_line(tmp_path: Path, rows: Rows, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_long(write_csv(tmp_path / "odd.csv", rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty, expected a header with the columns method, task"),
        ("\n\n", "is empty"),
        ("method,task,score,metric\n", "has no results"),
        ("method,score,metric\na,1,m\n", "no column 'task'"),
        ("method,tsk,score\na,t,1\n", "no column 'task'; did you mean 'tsk'"),
        ("method,task,metric\na,t,m\n", "expected one column of score or loss, got none"),
        ("method,task,score,loss,metric\na,t,1,1,m\n", "expected one column of score or loss, got score, loss"),
        (
            "method,task,score,fold,seed,metric\na,t,1,1,1,m\n",
            "expected one column of fold, seed or unit, got fold, seed",
        ),
        ("method,task,score,scroe,metric\na,t,1,1,m\n", "unknown column 'scroe'; did you mean 'score'"),
        ("method,task,score,score,metric\na,t,1,1,m\n", "more than one column is named score"),
        ("method,task,score,metric\na,t,1,m\na,t2,1\n", "line 3: 3 values, expected 4 as in the header"),
        ('method,task,score,metric\n"a,t,1,m\n', "cannot be read as CSV"),
    ],
)
def test_odd_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_long(tmp_path / "odd.csv")


def test_other_odd_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_bytes(b"method,task,score\n\xff\xfe,t,1\n")
    (tmp_path / "odd.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "odd.json").write_text('[{"method": ')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "nan.json").write_text('[{"method": "a", "task": "t", "metric": "m", "score": NaN}]')
    (tmp_path / "odd.xlsx").write_text("")
    for name, message in {
        "odd.csv": "cannot be read as CSV",
        "odd.parquet": "cannot be read as Parquet",
        "odd.json": "cannot be read as JSON",
        "list.json": "record 1: expected an object with the columns, got 1",
        "nan.json": "record 1: score is nan",
        "odd.xlsx": "unknown kind of file '.xlsx'",
        "gone.csv": "does not exist",
    }.items():
        with pytest.raises(InputError, match=message):
            read_long(tmp_path / name)
    with pytest.raises(InputError, match="unknown track 'autml'; did you mean 'automl'"):
        read_long(write_csv(tmp_path / "long.csv", LONG), track="autml")
    with pytest.raises(InputError, match="unknown format 'amlbb'; did you mean 'amlb'"):
        read_published(tmp_path / "long.csv", "amlbb", "x")


def test_nothing_is_stored_of_a_file_with_an_odd_row(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        bring_in(store, read_long(write_csv(tmp_path / "odd.csv", changed(score="abc"))))
    assert store.suites() == []


def test_a_large_file(store: Store, tmp_path: Path) -> None:
    n = 30_000
    rows = "".join(f"m{i % 100},t{i // 100 % 30},{i // 3000},{i / n},accuracy\n" for i in range(n))
    (tmp_path / "large.csv").write_text("method,task,seed,score,metric\n" + rows)
    assert bring_in(store, read_long(tmp_path / "large.csv")) == [("elsewhere", n, 0)]
    assert table_of(store).shape == (100, 30, 10)


AMLB = """framework,task,fold,result,metric,duration,info,constraint
rf,kc1,0,0.8,auc,10,,1h
rf,kc1,1,,auc,12,Missing predictions.,1h
rf,cars,0,-0.5,neg_logloss,3,,1h
rf,boston,0,2.5,rmse,3,,1h
"""


def test_amlbs_later_files_name_their_metric(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(AMLB)
    (suite,) = read_published(path, "amlb", "later")
    assert [(r.task, r.unit, r.score, r.metric, r.status, r.message, r.seconds) for r in suite.results] == [
        ("kc1", 0, 0.8, "auc", "ok", "", 10.0),
        ("kc1", 1, None, "auc", "failed", "Missing predictions.", 12.0),
        ("cars", 0, -0.5, "neg_log_loss", "ok", "", 3.0),
        ("boston", 0, -2.5, "neg_rmse", "ok", "", 3.0),
    ]


def test_each_of_amlbs_constraints_is_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(AMLB + AMLB.split("\n", 1)[1].replace("1h", "4h"))
    assert [s.name for s in read_published(path, "amlb", "later")] == ["later-1h", "later-4h"]


def test_amlbs_files_of_2019_go_by_score_and_type(tmp_path: Path) -> None:
    path = tmp_path / "all_results.csv"
    path.write_text(
        "framework,task,fold,result,type,score\nrf,cars,0,0.5,multiclass,-0.5\nrf,cars,1,0.4,multiclass,0.4\n"
    )
    (suite,) = read_published(path, "amlb", "a")
    assert [(r.score, r.metric) for r in suite.results] == [(-0.5, "neg_log_loss"), (0.4, "neg_log_loss")]
    assert suite.notes == (
        f"{path}, line 3: rf on cars, fold 1, has the score 0.4, though neg_log_loss cannot be above 0; imported as published",
    )
    for text, message in {
        "framework,task,result\n": "no column 'fold'",
        "framework,task,fold,result,type,score\nrf,cars,0,0.5,multiclass,0.7\n": "line 2: score 0.7 contradicts result 0.5",
        "framework,task,fold,result,metric\nrf,cars,0,0.5,f11\n": "line 2: unknown metric 'f11'",
        "framework,task,fold,result\nrf,cars,0,0.5\n": r"line 2: neither a metric nor a known type \(type ''\)",
        "framework,task,fold,result,type\n": "a header and no results",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_published(path, "amlb", "a")
    path.write_text("framework,task,fold,result,type\nrf,kc1,0,0.5,binary\n")
    with pytest.raises(InputError, match="--metric is only for other formats than amlb"):
        read_published(path, "amlb", "a", metric="auc")


@pytest.mark.parametrize(
    ("metric", "name", "sign"),
    [
        ("auc_ovr", "auc_ovr", 1),
        ("auc_ovo", "auc_ovo", 1),
        ("f1", "f1", 1),
        ("pr_auc", "pr_auc", 1),
        ("neg_msle", "neg_msle", 1),
        ("msle", "neg_msle", -1),
        ("neg_mase", "neg_mase", 1),
        ("max_pce", "neg_max_pce", -1),
        ("neg_logloss", "neg_log_loss", 1),
        ("neg_newer_loss", "neg_newer_loss", 1),
    ],
)
def test_all_metrics_of_amlb(tmp_path: Path, metric: str, name: str, sign: int) -> None:
    path = tmp_path / "results.csv"
    path.write_text(f"framework,task,fold,result,metric\nrf,iris,0,-0.25,{metric}\n")
    one = read_published(path, "amlb", "a")[0].results[0]
    assert (one.metric, one.score) == (name, sign * -0.25)


def test_amlbs_raw_files_of_2019_go_by_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(
        "framework,task,fold,result,acc,auc,logloss,rmse,info\nrf,kc1,0,0.8,0.9,0.8,0.3,,\nrf,kc1,1,,,,,,NoResultError\n"
        "rf,cars,0,0.5,0.7,,0.5,,\nrf,boston,0,2.5,,,,2.5,\nrf,never,0,,,,,,MemoryError\n"
    )
    assert [(r.task, r.score, r.metric) for r in read_published(path, "amlb", "a")[0].results] == [
        ("kc1", 0.8, "auc"),
        ("kc1", None, "auc"),
        ("cars", -0.5, "neg_log_loss"),
        ("boston", -2.5, "neg_rmse"),
        ("never", None, "unknown"),
    ]


def test_one_of_repeated_results_counts(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    lines = [f"rf,t{i},0,0.{j},auc,2023-01-0{9 - j}T00:00:00" for i in range(5) for j in (1, 2)]
    path.write_text("framework,task,fold,result,metric,utc\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"line 3: rf on t0, fold 0, is already in .* 2 more; .*5 of 10 are repeated"):
        read_published(path, "amlb", "a")
    for repeated, score in (("newest", 0.1), ("first", 0.1)):
        (suite,) = read_published(path, "amlb", "a", repeated=repeated)
        assert [r.score for r in suite.results] == [score] * 5
        assert suite.notes == (f"5 of 10 results are repeated; the {repeated} counts",)
    # without times the last row is the newest
    path.write_text("framework,task,fold,result,metric\nrf,t,0,0.1,auc\nrf,t,0,0.2,auc\n")
    assert read_published(path, "amlb", "a", repeated="newest")[0].results[0].score == 0.2


CURVES: Rows = [
    {"method": m, "task": "t", "seed": s, "step": k, "loss": 1.0 / (k * q) + 0.1 * s, "metric": "error"}
    for m, q in (("slow", 1), ("fast", 2))
    for s in (0, 1)
    for k in (1, 2, 4)
]


def test_steps_are_a_curve(tmp_path: Path) -> None:
    (suite,) = read_published(write_csv(tmp_path / "c.csv", CURVES), "long", "c", track="hpo")
    one = suite.results[0]
    assert (one.method, one.score, one.budget, one.metric, len(suite.results)) == ("slow", -0.25, 4.0, "neg_error", 4)
    assert [p.value for p in one.curve if p.metric == "incumbent_loss"] == [1.0, 0.5, 0.25]
    assert [p.value for p in one.curve if p.metric == "spent_evaluations"] == [1.0, 2.0, 4.0]
    # evaluations rather than incumbents, in any order; a failed one is none
    rows = [
        {"opt": "a", "task": "t", "k": k, "metric_error": v, "other": 1}
        for k, v in ((3, 0.3), (1, 0.5), (2, 0.9), (4, ""))
    ]
    columns = {"method": "opt", "score": "metric_error", "step": "k"}
    path = write_csv(tmp_path / "d.csv", rows)
    found = read_published(path, "long", "d", track="hpo", metric="error", columns=columns, lower_is_better=True)
    assert [(p.step, p.value) for p in found[0].results[0].curve if p.metric == "incumbent_loss"] == [
        (1, 0.5),
        (3, 0.3),
    ]
    assert (found[0].results[0].score, found[0].results[0].budget) == (-0.3, 4.0)


def test_imported_curves_are_compared_at_every_budget(store: Store, tmp_path: Path) -> None:
    import_published(store, read_published(write_csv(tmp_path / "c.csv", CURVES), "long", "c", track="hpo"), SOURCE)
    spec = find_any_suite("c", store)
    found = make_anytime(spec, store, board_of(store, "c"))
    assert [(row.label, row.rank.mean) for row in found.rows] == [("fast", 1.0), ("slow", 2.0)]
    assert (found.budget, found.seeds, found.tasks) == (4.0, (0, 1), ("t",))
    # 0 is the least loss of the problem (1/8), 1 the greatest final one (1/4 + 0.1)
    assert found.rows[0].regret.mean == pytest.approx((0.0 + 0.1 / 0.225) / 2)
    code, text = bench("anytime", "--suite", "c", "--format", "json", db=store.path)
    assert (code, json.loads(text)["budget"]) == (0, 4.0)
    code, text = bench("anytime", "--suite", "c", db=store.path)
    assert code == 0
    assert "1 = greatest final loss" in text


def test_traces_of_other_platforms(tmp_path: Path) -> None:
    path = tmp_path / "GP.json"
    path.write_text(json.dumps({"4796": {"3549": {"test0": [0.5, 0.7, 0.7], "test1": [0.6, 0.6, 0.8]}}}))
    first, second = read_published(path, "hpob", "b")[0].results
    assert (first.method, first.task, first.unit, first.score, first.metric) == ("GP", "4796/3549", 0, 0.7, "accuracy")
    assert (second.unit, second.score, second.budget) == (1, 0.8, 3.0)

    rows: Rows = [
        {"n_trials": k, "trial_value__cost": c, "trial_value__cost_inc": i, "benchmark_id": "BBOB", "problem_id": "p",
         "optimizer_id": "RandomSearch", "seed": 3}
        for k, c, i in ((1, 5.0, 5.0), (2, 7.0, 5.0), (3, 2.0, 2.0))
    ]  # fmt: skip
    for path in (write_csv(tmp_path / "logs.csv", rows), write_parquet(tmp_path / "logs.parquet", rows)):
        (one,) = read_published(path, "carps", "c")[0].results
        assert (one.method, one.task, one.unit, one.score, one.budget) == ("RandomSearch", "p", 3, -2.0, 3.0)

    folder = tmp_path / "experiment"
    folder.mkdir()
    lines = "trial_id,metric_error,st_tuner_time,config_lr\n0,0.5,1.5,0.1\n1,,2.0,0.2\n0,0.25,3.0,0.1\n"
    with zipfile.ZipFile(folder / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", lines)
    facts = {"metric_names": ["metric_error"], "metric_mode": ["min"], "scheduler_name": "ASHA", "benchmark": "lcbench"}
    (folder / "metadata.json").write_text(json.dumps(facts))
    (one,) = read_published(folder, "synetune", "s")[0].results
    assert (one.method, one.task, one.score, one.metric, one.seconds) == (
        "ASHA",
        "lcbench",
        -0.25,
        "neg_metric_error",
        3.0,
    )
    assert [(p.step, p.seconds) for p in one.curve if p.metric == "incumbent_loss"] == [(1, 1.5), (3, 3.0)]


DESCRIPTION = "scenario_id: S\nperformance_measures:\n- runtime\nmaximize:\n- false\n"
RUNS = """% a comment
@RELATION runs
@ATTRIBUTE instance_id STRING
@ATTRIBUTE repetition NUMERIC
@ATTRIBUTE algorithm STRING
@ATTRIBUTE 'runtime' NUMERIC
@ATTRIBUTE runstatus {ok, timeout, memout, not_applicable, crash, other}
@DATA
one,1,solver,2.5,ok
'two, with a comma',1,solver,5000,timeout

three,1,solver,?,not_applicable
four,1,solver,?,other
% the end
"""


def scenario(folder: Path, description: str = DESCRIPTION, runs: str = RUNS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "description.txt").write_text(description)
    (folder / "algorithm_runs.arff").write_text(runs)
    return folder


def test_aslibs_statuses_and_directions(tmp_path: Path) -> None:
    (suite,) = read_published(scenario(tmp_path / "s"), "aslib", "s")
    assert [(r.task, r.score, r.status, r.metric) for r in suite.results] == [
        ("one", -2.5, "ok", "neg_runtime"),
        ("two, with a comma", None, "timeout", "neg_runtime"),
        ("three", None, "declined", "neg_runtime"),
        ("four", None, "failed", "neg_runtime"),
    ]
    up = scenario(tmp_path / "s", "performance_measures: [runtime]\nmaximize: [true]\n")
    assert read_published(up, "aslib", "s")[0].results[0].score == 2.5


TOY = DESCRIPTION + "algorithm_cutoff_time: 1000\n"
TOY_RUNS = RUNS.split("@DATA")[0] + "@DATA\n"
TOY_RUNS += "".join(
    f"i{i},1,fast,{1 if i < 2 else 1000},{'ok' if i < 2 else 'timeout'}\ni{i},1,steady,100,ok\n" for i in range(10)
)


def test_runs_that_solve_nothing_cost_ten_cutoffs(store: Store, tmp_path: Path) -> None:
    # the lowest score on the board stood in, so that the solver of 2 in 10 came first
    suites = read_published(scenario(tmp_path / "s", TOY, TOY_RUNS), "aslib", "toy")
    assert suites[0].notes == (
        "PAR10: 8 of 20 runs solved nothing (8 timeout) and count as 10000 s, 10 times the cutoff of 1000 s",
    )
    import_published(store, suites, SOURCE)
    ranks = {row.method: row.rank for row in board_of(store, "toy").overall}
    assert ranks["steady"] < ranks["fast"]
    means = {m: sum(r.score or 0 for r in suites[0].results if r.method == m) / 10 for m in ("steady", "fast")}
    assert means == {"steady": -100.0, "fast": -8000.2}
    # a run reported beyond the cutoff solved nothing in time; repetitions stay apart
    late = TOY_RUNS + "i0,2,steady,1000.5,ok\n"
    one = read_published(scenario(tmp_path / "s", TOY, late), "aslib", "toy")[0].results[-1]
    assert (one.unit, one.score, one.metrics, one.seconds) == (2, -10000.0, {"solved": 0.0}, 1000.0)


@pytest.mark.parametrize(
    "description",
    [
        "performance_measures: runtime\nmaximize: no\n",
        "performance_measures:\n- runtime\nmaximize:\n- No\nfeatures_cutoff_time: ?\n",
        "performance_measures: [ runtime , memory ]\nmaximize: [ False , False ]\nx: {a: [1, 2]}\n",
    ],
)
def test_descriptions_are_yaml(tmp_path: Path, description: str) -> None:
    one = read_published(scenario(tmp_path / "s", description), "aslib", "s")[0].results[0]
    assert (one.metric, one.score) == ("neg_runtime", -2.5)
    up = description.replace(" no\n", " yes\n").replace("No", "Yes").replace("[ False", "[ True")
    assert read_published(scenario(tmp_path / "s", up), "aslib", "s")[0].results[0].metric == "runtime"


def test_quotes_of_arff(tmp_path: Path) -> None:
    runs = "@relation r\n@attribute\tinstance_id\tstring\n@attribute repetition numeric\n"
    runs += "@attribute algorithm string\n@attribute 'runtime' real\n@attribute runstatus {ok,timeout}\n@data\n"
    runs += "'i 1, x',1,a,10,ok\n\"i'2\",1,a,10,ok\ni3, 1 ,'a b', 1e1 , OK\n'it\\'s',1,a,2,ok\n"
    runs += 'it\'s,1,"say \\"hi\\"",2,ok\nx\\,1,\'?\',3,ok\n'
    (suite,) = read_published(scenario(tmp_path / "s", TOY, runs), "aslib", "s")
    assert [r.task for r in suite.results] == ["i 1, x", "i'2", "i3", "it's", "it's", "x\\"]
    assert [r.method for r in suite.results] == ["a", "a", "a b", "a", 'say "hi"', "?"]
    with pytest.raises(InputError, match=r"line 8: the quote at .* is unbalanced"):
        read_published(scenario(tmp_path / "s", TOY, runs.replace("'i 1, x'", "'i 1, x")), "aslib", "s")


@pytest.mark.parametrize(
    ("description", "runs", "message"),
    [
        (DESCRIPTION, RUNS.replace("2.5,ok", "fast,ok"), "line 9: runtime 'fast' is not a number"),
        (DESCRIPTION, RUNS.replace("2.5,ok", "?,ok"), "line 9: status ok, but no runtime"),
        (DESCRIPTION, RUNS.replace("2.5,ok", "ok"), "line 9: 4 values, expected 5 as declared"),
        (DESCRIPTION, RUNS.replace("@DATA", "@DTA"), "line 8: not ARFF: @DTA"),
        (DESCRIPTION, "", "it has no @DATA"),
        (DESCRIPTION, RUNS.split("one,")[0], "has none"),
        (DESCRIPTION.replace("runtime", "quality"), RUNS, "no column 'quality'"),
        ("scenario_id: S\n", RUNS, "has no performance_measures"),
        (DESCRIPTION.replace("false", "maybe"), RUNS, "maximize is 'maybe'"),
    ],
)
def test_odd_scenarios_are_refused(tmp_path: Path, description: str, runs: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_published(scenario(tmp_path / "s", description, runs), "aslib", "s")


def test_a_file_is_no_scenario(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        read_published(scenario(tmp_path / "s") / "description.txt", "aslib", "s")


TABLES = """# About
Some | text | with | bars
## Training on one

Method | Avg rank | Birds | Traffic signs
-------|----------|-------|------
A [[1]] | 1.25 | **81.5**±0.74&nbsp;(1.5) | 50.0±1.00 (1)
B (large) [[2],[3]] | 1.75 | 80.9±0.70&nbsp;(1.5) | -

## References
[1]: #a | b
"""


def test_metadatasets_cells_keep_their_intervals(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "board.md"
    path.write_text(TABLES)
    (suite,) = read_published(path, "metadataset", "md")
    assert suite.name == "md-training-on-one"
    assert [(r.method, r.task, r.score, r.metrics.get("published_rank")) for r in suite.results] == [
        ("A", "Birds", pytest.approx(0.815), 1.5),
        ("A", "Traffic signs", pytest.approx(0.5), 1.0),
        ("B (large)", "Birds", pytest.approx(0.809), 1.5),
    ]
    first = suite.results[0]
    assert estimate_of_summary(first.score or 0.0, first.sd, first.n_units).ci95 == pytest.approx(0.0074)
    bring_in(store, [suite])
    board = board_of(store, suite.name)
    (row,) = [r for r in board.rows if r.task == "Birds" and r.method == "A"]
    assert row.ci95 == pytest.approx(0.0074)
    for text, message in {
        TABLES.replace("81.5**±", "lots**±"): r"line 7: Birds has 'lots±0.74 \(1.5\)'",
        TABLES.replace("| -\n", "\n"): "line 8: 3 cells, expected 4 as in the header",
        TABLES.replace("81.5", "815"): "expected an accuracy in per cent",
        "# nothing\n": "no table whose first column is Method",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_published(path, "metadataset", "md")


def bench(*arguments: str, db: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments, "--db", str(db)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return 2, str(done.exception)
    return done.exit_code, done.output


def test_the_command(tmp_path: Path) -> None:
    path, db = write_csv(tmp_path / "long.csv", LONG), tmp_path / "r.duckdb"
    options = ["--from", "long", "--track", "automl", "--suite", "elsewhere", "--source", SOURCE]
    code, text = bench("results", "import", str(path), *options, db=db)
    assert code == 0
    assert "suite elsewhere, 6 new results, 0 already known" in text
    code, text = bench("results", "import", str(path), *options, "--format", "json", db=db)
    assert [(one["n_new"], one["n_known"]) for one in json.loads(text)] == [(0, 6)]
    code, text = bench("leaderboard", "--suite", "elsewhere", db=db)
    assert code == 0
    assert "elsewhere" in text
    assert f"published elsewhere: {SOURCE}" in " ".join(text.split())
    # one metric on all tasks gives the suite a score; b has none on t2, hence none of the suite
    assert "whole-suite score: mean of accuracy over tasks" in " ".join(text.split())
    code, text = bench("leaderboard", "--suite", "elsewhere", "--format", "json", db=db)
    assert code == 0
    assert "suite file" not in text
    (run,) = Store(db).runs()
    assert "--from long" in run["command"]
    assert str(tmp_path) not in run["command"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "long", "--suite", "x"], "add --source ADDRESS_OR_CITATION"),
        (["--from", "long", "--source", "s"], "add --suite NAME"),
        (["--from", "long", "--suite", "x", "--source", "s"], "unknown track ''"),
        (["--suite", "x"], "--suite applies only to published results"),
        (["--from", "lnog", "--suite", "x", "--source", "s"], "unknown format 'lnog'; did you mean 'long'"),
    ],
)
def test_what_the_command_needs(tmp_path: Path, options: list[str], message: str) -> None:
    path = write_csv(tmp_path / "long.csv", LONG)
    code, text = bench("results", "import", str(path), *options, db=tmp_path / "r.duckdb")
    assert code == 2
    assert message in text


@pytest.mark.parametrize("name", ["amlb", "metadataset", "aslib"])
def test_real_files(data_folder: Path, tmp_path: Path, name: str) -> None:
    folder = data_folder / "results"
    if not folder.is_dir():
        pytest.skip("published results are not in BENCHBENCH_DATA: no folder results/")
    path, n = {
        "amlb": (folder / "amlb2019" / "4h" / "all_results.csv", 2730),
        "metadataset": (folder / "metadataset" / "leaderboard.md", 350),
        "aslib": (folder / "openml-weka-2017", 3150),
    }[name]
    store = Store(tmp_path / "r.duckdb")
    for expected in (n, 0):
        suites = read_published(path, name, "real")
        assert sum(n_new for _, n_new, _ in bring_in(store, suites)) == expected
    code, text = bench("leaderboard", "--suite", suites[0].name, "--stat", "elo", db=store.path)
    assert code == 0, text
    assert f"published elsewhere: {SOURCE}" in " ".join(text.split())
    assert "suite file" not in text


def test_two_published_tables_of_one_source_share_no_board(store: Store, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "long.csv", LONG)
    for name in ("one", "two"):
        bring_in(store, read_published(path, "long", name, track="automl"))
    groups = {c.conditions for name in ("one", "two") for c in counted_trials(store, name).cells}
    assert len(groups) == 2
    code, text = bench("leaderboard", "--suite", "one,two", "--by", "track", db=store.path)
    assert code == 0
    assert "left out" in text


def test_sources_and_metrics_are_cleaned_as_names_are(tmp_path: Path) -> None:
    """Two spellings of a source are one; what steers a terminal or an SVG is not stored."""
    path = tmp_path / "t.csv"
    path.write_text("method,task,score,metric\na,t,0.5,acc\x1b[31m\u202euracy\nb,t,0.6,acc\x1b[31m\u202euracy\n")
    store = Store(tmp_path / "r.duckdb")
    suites = read_published(path, "long", "made", track="automl")
    assert {one.metric for one in suites[0].results} == {"acc[31muracy"}
    composed, decomposed = "M\u00fcller\x07 2020", "Mu\u0308ller\u200b  2020"
    assert import_published(store, suites, composed)[0].n_new == 2
    assert import_published(store, suites, decomposed)[0].n_known == 2
    assert [one.source for one in sources_of(store)] == ["M\u00fcller 2020"]
    assert remove_published(store, "made", decomposed) == 2
