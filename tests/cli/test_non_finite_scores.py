"""Scores that are no finite numbers, which older versions stored as "ok": failures in every view."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchbench.dashboard import data, queries
from benchbench.dashboard.views import tasks
from benchbench.errors import GateFailed
from benchbench.results.finite import NON_FINITE_UNITS
from benchbench.results.store import Store

Bench = Callable[..., str]
Land = Callable[..., Path]

BAD = {"maml": -math.inf, "fomaml": math.inf, "siamese": math.nan}


def rows(*more: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for task, base in (("letters", 0.5), ("waves", -3.0)):
        found += [
            {"method": method, "task": task, "scores": [base + step] * 4, "score": base + step}
            for method, step in (("pixel_nn", 0.0), ("protonet", 0.1), ("reptile", 0.2))
        ]
    found += [{"method": method, "task": "letters", "scores": [0.4] * 4, "score": 0.4} for method in BAD]
    return [*found, *more]


@pytest.fixture
def db(land: Land) -> Path:
    """A database with one score of each kind, landed and one written by SQL as older versions did."""
    bad = [{"method": m, "task": "waves", "score": s, "scores": [s] * 4, "score_sd": math.nan} for m, s in BAD.items()]
    path = land(*rows(*bad[:2], bad[2] | {"score": -3.0, "scores": [-3.0] * 4}))
    Store(path).ingest()
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE attempts SET score = 'nan' WHERE method = 'siamese' AND task = 'waves'")
        con.execute("UPDATE attempts SET score = '-inf', outcome = 'ok' WHERE method = 'maml' AND task = 'waves'")
        con.execute("CHECKPOINT")
    return path


def test_leaderboards_impute_them_in_every_format(bench: Bench, suite_file: Path, db: Path) -> None:
    own = {
        r["method"]: r
        for r in json.loads(bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "json"))
        if r["task"] == "waves"
    }
    for method in BAD:
        assert (own[method]["n_ok"], own[method]["n_failed"], own[method]["score"]) == (0, 1, -4.0), method
    assert own["reptile"]["rank"] == 1
    for format_ in ("table", "csv", "markdown", "latex", "html"):
        text = bench("leaderboard", "--suite", suite_file, "--db", db, "--format", format_)
        assert "inf" not in text.replace("info", "").replace("inference", "").replace("infra", ""), format_
    for stat in ("winrate", "norm", "improvability", "elo", "mrr", "tierank"):
        bench("leaderboard", "--suite", suite_file, "--db", db, "--stat", stat, "--format", "json")


@pytest.mark.parametrize("kind", ["cd", "heatmap", "elo", "winrate", "pareto"])
def test_plots_show_what_the_leaderboard_shows(bench: Bench, suite_file: Path, db: Path, kind: str) -> None:
    text = bench("plot", kind, "--suite", suite_file, "--db", db, "--format", "json")
    json.loads(text, parse_constant=pytest.fail)


def test_versus_pairs_imputed_scores(bench: Bench, suite_file: Path, db: Path) -> None:
    found = json.loads(bench("versus", "maml", "reptile", "--suite", suite_file, "--db", db, "--format", "json"))
    waves = next(t for t in found["tasks"] if t["task"] == "waves")
    assert (waves["a"], waves["b"]) == (-4.0, -2.8)


def test_history_attempts_and_pages_name_the_reason(bench: Bench, db: Path) -> None:
    store = Store(db)
    failed = {r["method"]: r for r in queries.attempt_list(store) if r["outcome"] != "ok"}
    assert {m: r["error_message"] for m, r in failed.items()} == {
        "maml": "score is -inf, not a finite number",
        "fomaml": "score is inf, not a finite number",
        "siamese": "score is nan, not a finite number",
    }
    shown = json.loads(bench("attempt", failed["maml"]["attempt_id"], "--db", db, "--format", "json"))
    assert (shown["outcome"], shown["score"], shown["error_type"]) == ("failed", None, "NonFiniteScore")
    assert [r["error_message"] for r in queries.method_failures(store, "maml")] == [
        "score is -inf, not a finite number"
    ]
    assert {r["task"]: r["n_failed"] for r in queries.task_data(store, "pair")} == {"letters": 0, "waves": 3}


def test_a_run_with_retries_runs_them_again(db: Path) -> None:
    store = Store(db)
    assert len(store.done_keys("pair")) - len(store.done_keys("pair", include_failed=False)) == 3


def test_a_new_non_finite_score_fails_the_gate(bench: Bench, land: Land) -> None:
    base = land(*rows(), name="base")
    for number, score in enumerate((-math.inf, math.inf, math.nan)):
        worse = [r | {"score": score, "scores": [0.5, score, 0.5, 0.5]} if r["method"] == "maml" else r for r in rows()]
        head = land(*worse, name=f"head{number}")
        text = bench("regressions", base, head, "--fail-on-regression", raises=GateFailed)
        assert f"ok in BASE, failed in HEAD: score is {score}, not a finite number" in text
        # of a run with other seeds only
        other = land(*(r | {"seed": 1} for r in worse), name=f"other{number}")
        verdicts = json.loads(bench("regressions", base, other, "--format", "json"))
        assert [v["verdict"] for v in verdicts if v["method"] == "maml"] == ["worse"]


def test_a_score_of_a_unit_that_is_not_finite_fails_the_gate(bench: Bench, land: Land) -> None:
    base = land(*rows(), name="base")
    head = land(
        *(r | {"scores": [0.5, math.nan, 0.5, 0.5]} if r["method"] == "maml" else r for r in rows()), name="head"
    )
    text = bench("regressions", base, head, "--fail-on-regression", raises=GateFailed)
    assert "scores of units are not finite numbers" in text
    # finite scores whose sum is not
    units = [
        ([1e308, 1e308], False),
        ([1e308, math.nan], True),
        ([-math.inf, math.inf], True),
        ([0.5], False),
        ([], False),
    ]
    with duckdb.connect() as con:
        for scores, is_wrong in units:
            found = con.execute(f"SELECT {NON_FINITE_UNITS} FROM (SELECT $1::DOUBLE[] AS scores)", [scores]).fetchone()
            assert found == (is_wrong,), scores


def test_exports_hold_them_as_failures(bench: Bench, suite_file: Path, db: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "export", tmp_path / "again.duckdb"
    bench("results", "export", out, "--db", db)
    bench("results", "import", out, "--db", again)
    boards = [bench("leaderboard", "--suite", suite_file, "--db", one, "--format", "csv") for one in (db, again)]
    assert boards[0] == boards[1]


def test_site_and_task_page(
    bench: Bench, suite_file: Path, db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBENCH_SUITES", str(suite_file))
    bench("site", tmp_path / "site", "--db", db)
    pages = "".join(p.read_text() for p in (tmp_path / "site").rglob("*.html"))
    assert "score is -inf, not a finite number" in pages
    store = data.open_store(db)
    board = data.load_board(store, data.load_suite(store, "pair"), data.Choice())
    found = tasks.difficulty(board, "waves")
    assert (found.n_methods, found.failed) == (3, 0.5)
    assert tasks.difficulty_rows(found)
    tasks.facts_table(board, "waves")
    tasks.score_figure(board, "waves")
