"""`bench leaderboard` by other statistics, over several suites, with filters and every imputation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbench.cli.plot import plot
from benchbench.errors import InputError, UnknownNameError

Bench = Callable[..., str]
Land = Callable[..., Path]

# three methods on two tasks; ranks on letters: maml 1, protonet 2, pixel_nn 3; on waves: protonet 1, maml 2, pixel_nn 3
ROWS = (
    {"scores": [0.8, 0.6]},
    {"method": "protonet", "scores": [0.6, 0.6]},
    {"method": "pixel_nn", "scores": [0.1, 0.3]},
    {"task": "waves", "scores": [-3.0, -3.0]},
    {"task": "waves", "method": "protonet", "scores": [-2.0, -2.0]},
    {"task": "waves", "method": "pixel_nn", "scores": [-5.0, -3.0]},
)


def rows(bench: Bench, suite: Path | str, db: Path, *options: str) -> dict[tuple[str, str | None], dict[str, Any]]:
    found = json.loads(bench("leaderboard", "--suite", suite, "--db", db, "--format", "json", *options))
    return {(r["label"], r.get("task")): r for r in found}


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("rank", {"maml": 1.5, "protonet": 1.5, "pixel_nn": 3.0}),
        ("winrate", {"maml": 0.75, "protonet": 0.75, "pixel_nn": 0.0}),
        # letters: (0.7 - 0.2) / 0.5; waves: (-3 + 4) / 2
        ("norm", {"maml": 0.75, "protonet": (0.8 + 1.0) / 2, "pixel_nn": 0.0}),
        ("mrr", {"maml": 0.75, "protonet": 0.75, "pixel_nn": 1 / 3}),
    ],
)
def test_statistics_are_what_a_hand_finds(
    bench: Bench, suite_file: Path, land: Land, statistic: str, expected: dict[str, float]
) -> None:
    found = rows(bench, suite_file, land(*ROWS), "--stat", statistic, "--by", "suite")
    assert {label: r["value"] for (label, _), r in found.items()} == pytest.approx(expected)
    for row in found.values():
        assert (row["n"], row["unit"], row["preset"], row["protocol_version"]) == (2, "task", "quick", "3")
        assert (row["imputation"], row["imputed_share"], row["n_left_out"]) == ("baseline", 0.0, 0)
        assert row["generated_splits"]
        assert row["low"] <= row["value"] + 1e-9
        assert row["value"] <= row["high"] + 1e-9


ONE = [row for row in ROWS if row.get("method") == "protonet"]
APART = [{}, {"task": "waves", "method": "protonet"}]


@pytest.mark.parametrize(
    ("statistic", "recorded", "there"),
    [
        ("elo", ONE, "there is 1 method"),
        ("winrate", ONE, "there is 1 method"),
        ("elo", APART, "no two of the 2 methods have one"),
    ],
)
def test_where_no_two_methods_can_be_compared_that_is_said(
    bench: Bench, suite_file: Path, land: Land, statistic: str, recorded: list[dict[str, Any]], there: str
) -> None:
    """It said that there is but one task, and a figure that there are no methods."""
    said = f"needs at least two methods with a common task; {there}"
    db = land(*recorded)
    options = ["--suite", suite_file, "--db", db, "--impute", "none"]
    # by task it crashed where a method had no trial on one
    for by in ("suite", "dataset"):
        text = bench("leaderboard", *options, "--stat", statistic, "--by", by)
        assert said in text
        assert "no interval" not in text
    with pytest.raises(InputError, match=said):
        plot(statistic, str(suite_file), db=db, impute="none", format_="json")


def test_elo_orders_as_wins_do_and_has_the_mean_that_it_says(bench: Bench, suite_file: Path, land: Land) -> None:
    found = rows(bench, suite_file, land(*ROWS), "--stat", "elo")
    values = {label: r["value"] for (label, _), r in found.items()}
    assert values["maml"] == pytest.approx(values["protonet"])
    assert values["maml"] > values["pixel_nn"]
    assert sum(values.values()) / 3 == pytest.approx(1000.0)
    text = bench("leaderboard", "--suite", suite_file, "--db", land(), "--stat", "elo")
    assert "whole suite by Elo" in text
    assert "bootstrap" in text


@pytest.mark.parametrize("policy", ["none", "worst", "baseline", "baseline=protonet", "drop-task"])
def test_every_imputation_gives_the_board_and_the_standings_the_same_numbers(
    bench: Bench, suite_file: Path, land: Land, policy: str
) -> None:
    db = land(
        *ROWS, {"method": "fomaml", "outcome": "timeout"}, {"method": "fomaml", "task": "waves", "scores": [-2.5]}
    )
    board = json.loads(bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "json", "--impute", policy))
    whole = {r["method"]: r for r in board if r["task"] is None}
    by_rank = rows(bench, suite_file, db, "--stat", "rank", "--by", "suite", "--impute", policy)
    by_norm = rows(bench, suite_file, db, "--stat", "norm", "--impute", policy)
    assert {m for m, _ in by_rank} == set(whole)
    for method, row in whole.items():
        assert by_rank[method, None]["value"] == pytest.approx(row["mean_rank"])
        assert by_norm[method, None]["value"] == pytest.approx(row["score"])
        assert by_rank[method, None]["imputed_share"] == pytest.approx(row["imputed_share"])


def test_a_named_method_stands_for_failures(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(*ROWS, {"method": "fomaml", "outcome": "failed"}, {"method": "mann", "params": {"a": 1}})
    options = ("--suite", suite_file, "--db", db, "--format", "json")
    found = {
        (r["method"], r["task"]): r for r in json.loads(bench("leaderboard", *options, "--impute", "baseline=protonet"))
    }
    assert found["fomaml", "letters"]["score"] == pytest.approx(0.6)
    # not of those shown, but of the board
    alone = json.loads(bench("leaderboard", *options, "--impute", "baseline=protonet", "--method", "fomaml"))
    assert next(r["score"] for r in alone if r["task"] == "letters") == pytest.approx(0.6)
    bench("leaderboard", *options, "--impute", "baseline=protonett", raises=UnknownNameError)
    bench("leaderboard", *options, "--impute", "baseline=", raises=InputError)


def test_drop_task_takes_a_task_out_for_all_and_says_so(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(*ROWS, {"method": "fomaml", "outcome": "failed"})
    found = json.loads(
        bench("leaderboard", "--suite", suite_file, "--db", db, "--format", "json", "--impute", "drop-task")
    )
    whole = {r["method"]: r for r in found if r["task"] is None}
    assert set(whole) == {"maml", "protonet", "pixel_nn"}
    assert (whole["maml"]["mean_rank"], whole["maml"]["n_tasks"], whole["maml"]["score"]) == (2.0, 1, 0.5)
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--impute", "drop-task")
    assert (
        "drop-task: letters is not part of the whole suite's numbers, since trials of these failed there: fomaml"
        in text
    )
    assert "1 trial failed (see why: bench history, bench attempt ID); not imputed by policy `drop-task`" in text


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("family=metric", {"protonet"}),
        ("family=metric,baseline", {"protonet", "pixel_nn"}),
        ("tag=meta-trained", {"maml", "protonet"}),
        ("track=fewshot", {"maml", "protonet", "pixel_nn"}),
        ("transductive=yes", {"maml"}),
        ("transductive=no", {"protonet", "pixel_nn"}),
        ("hardware=GPU", {"protonet"}),
        ("year=2017", {"maml", "protonet"}),
    ],
)
def test_filters_restrict_the_board_and_name_who_is_left_out(
    bench: Bench, suite_file: Path, land: Land, condition: str, left: set[str]
) -> None:
    db = land(
        {"transductive": True},
        {"method": "protonet", "hardware_class": "gpu, 1 card"},
        {"method": "pixel_nn", "scores": [0.2, 0.2]},
    )
    options = ("--suite", suite_file, "--db", db, "--filter", condition)
    found = json.loads(bench("leaderboard", *options, "--format", "json"))
    assert {r["method"] for r in found} == left
    text = bench("leaderboard", *options)
    for method in {"maml", "protonet", "pixel_nn"} - left:
        assert any(method in line and f"--filter {condition}" in line for line in text.splitlines()), text


@pytest.mark.parametrize(
    ("condition", "error", "says"),
    [
        ("famly=metric", UnknownNameError, "did you mean 'family'"),
        ("family", InputError, "KEY=VALUE"),
        ("family=metrics", InputError, "family is one of: gradient, metric"),
        ("transductive=perhaps", InputError, "transductive=yes"),
    ],
)
def test_wrong_filters(
    bench: Bench, suite_file: Path, land: Land, condition: str, error: type[BaseException], says: str
) -> None:
    from benchbench.cli.leaderboard import make_board
    from benchbench.results.store import Store
    from benchbench.suite_files import read_suite

    db = land({}, {"method": "protonet"})
    bench("leaderboard", "--suite", suite_file, "--db", db, "--filter", condition, raises=error)
    with pytest.raises(error, match=says):
        make_board(read_suite(suite_file), Store(db), filters=[condition])


def test_a_method_without_a_card_passes_no_filter_of_cards(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({}, {"method": "of_somebody_else"})
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--filter", "track=fewshot")
    assert "no card is known of of_somebody_else" in text


def test_by_dataset_is_one_table_a_task(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(*ROWS)
    found = rows(bench, suite_file, db, "--stat", "winrate", "--by", "dataset")
    assert {(label, task): r["value"] for (label, task), r in found.items()} == {
        ("maml", "letters"): 1.0,
        ("protonet", "letters"): 0.5,
        ("pixel_nn", "letters"): 0.0,
        ("protonet", "waves"): 1.0,
        ("maml", "waves"): 0.5,
        ("pixel_nn", "waves"): 0.0,
    }
    assert found["maml", "letters"]["score"] == pytest.approx(0.7)
    assert found["maml", "letters"]["low"] is None
    text = bench("leaderboard", "--suite", suite_file, "--db", db, "--stat", "winrate", "--by", "dataset")
    assert "letters (accuracy)" in text
    assert "whole suite" not in text


@pytest.fixture
def two_suites(suite_file: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    other = suite_file.with_name("other.toml")
    other.write_text(suite_file.read_text().replace('name = "pair"', 'name = "other"').replace('"letters"', '"digits"'))
    monkeypatch.setenv("BENCHBENCH_SUITES", f"{suite_file}:{other}")
    return ["pair", "other"]


def test_by_track_counts_the_tasks_of_all_suites_that_fit(bench: Bench, two_suites: list[str], land: Land) -> None:
    del two_suites
    db = land(
        *ROWS,
        {"suite": "other", "task": "digits", "scores": [0.2, 0.2]},
        {"suite": "other", "task": "digits", "method": "protonet", "scores": [0.9, 0.9]},
    )
    (maml, protonet, pixel_nn) = (
        rows(bench, "all", db, "--by", "track")[m, None] for m in ("maml", "protonet", "pixel_nn")
    )
    # against pixel_nn on two tasks, against each other on three
    assert protonet["value"] == pytest.approx(1 + 1 / 3)
    assert maml["value"] == pytest.approx(1 + 2 / 3)
    assert (protonet["n"], pixel_nn["n"], protonet["suites"]) == (3, 2, ["other", "pair"])
    text = bench("leaderboard", "--suite", "pair,other", "--db", db, "--by", "track")
    assert "3 tasks of 2 suites by mean rank" in text


def test_a_track_of_few_tasks_is_shown_with_a_caution(bench: Bench, two_suites: list[str], land: Land) -> None:
    rows = [{"task": task, "method": m} for task in ("letters", "waves") for m in ("maml", "protonet")]
    text = bench("leaderboard", "--suite", two_suites[0], "--by", "track", "--db", land(*rows))
    caution = "With only 2 tasks, bootstrap intervals are unreliable; non-overlap is not evidence of a difference."
    assert text.count(caution) == 1


def test_suites_of_other_protocols_are_not_put_on_one_board(bench: Bench, two_suites: list[str], land: Land) -> None:
    del two_suites
    db = land(*ROWS, {"suite": "other", "task": "digits", "protocol_version": "4"})
    text = bench("leaderboard", "--suite", "all", "--db", db, "--by", "track")
    assert "left out: suite pair: protocol 3" in text or "left out: suite other: protocol 4" in text
    assert "of 1 suite by" in text


def test_what_is_left_out_is_counted(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        *ROWS,
        {"preset": "long", "started_at": 1.0},
        {"preset": "long", "started_at": 2.0, "seed": 1},
        {"adapter_source_hash": "older", "started_at": 3.0, "seed": 2},
    )
    found = rows(bench, suite_file, db, "--stat", "elo")
    assert {r["n_left_out"] for r in found.values()} == {3}
    assert "left out: 3 trials" in bench("leaderboard", "--suite", suite_file, "--db", db, "--stat", "elo")


@pytest.mark.parametrize("options", [["--stat", "elos"], ["--by", "tracks"]])
def test_unknown_statistics_and_groupings(bench: Bench, suite_file: Path, land: Land, options: list[str]) -> None:
    bench("leaderboard", "--suite", suite_file, "--db", land({}), *options, raises=UnknownNameError)


def test_boards_count_trials_with_remarks(bench: Bench, suite_file: Path, land: Land) -> None:
    remarks = ["used 2 cores"]
    db = land(
        *({"method": "maml", "seed": seed, "remarks": remarks if seed else []} for seed in range(3)),
        {"method": "protonet"},
        {"method": "protonet", "task": "waves", "remarks": remarks},
        {"method": "pixel_nn"},
        # history: superseded by a newer attempt of the same trial without remarks
        {"method": "pixel_nn", "task": "waves", "remarks": remarks, "started_at": 1.0},
        {"method": "pixel_nn", "task": "waves", "started_at": 2.0},
        {"method": "reptile", "preset": "long", "remarks": remarks, "started_at": 0.5},
    )
    options = ("--suite", suite_file, "--db", db, "--preset", "quick")
    said = (
        "trials with remarks: 2 of maml, 1 of protonet; `bench history RUN --remarks` or `bench attempt ID` shows them"
    )
    for stat in ("rank", "elo"):
        text = bench("leaderboard", *options, "--stat", stat)
        assert said in text
        rows = json.loads(bench("leaderboard", *options, "--stat", stat, "--format", "json"))
        found = {r["label"]: r["n_remarked"] for r in rows if r["task"] is None}
        assert found == {"maml": 2, "protonet": 1, "pixel_nn": 0}
    assert "with remarks" not in bench("leaderboard", *options, "--method", "pixel_nn")
