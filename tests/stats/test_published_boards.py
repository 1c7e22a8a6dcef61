"""Published boards, computed again from their raw results, cell by cell."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchbench.cli.main import app
from benchbench.errors import InputError, UnknownNameError
from benchbench.results.importers.metadataset import read_metadataset
from benchbench.results.importers.storing import import_published, read_published
from benchbench.results.importers.suites import find_any_suite
from benchbench.results.load import counted_trials, suite_facts
from benchbench.results.store import Store
from benchbench.stats.imputation import ImputedTable, impute
from benchbench.stats.leaderboard import Leaderboard, make_leaderboard
from benchbench.stats.ranks import tie_aware_ranks, tied_ranks
from benchbench.stats.scales import normalised_scores
from benchbench.stats.statistics import Options, statistic_values
from benchbench.stats.table import ScoreTable, TrialState


@pytest.fixture(scope="module")
def results_folder() -> Path:
    import os

    chosen = os.environ.get("BENCHBENCH_DATA")
    # "" would be this folder, which has results/ of its own
    folder = Path(chosen or "nowhere") / "results"
    if not chosen or not folder.is_dir():
        pytest.skip("published results are not here: set BENCHBENCH_DATA to a folder with results/")
    return folder


def imported(path: Path, format_: str, folder: Path) -> Leaderboard:
    """Import a file into a database, and return its leaderboard."""
    store = Store(folder / "published.duckdb")
    import_published(store, read_published(path, format_, "elsewhere"), "where it was published")
    spec = find_any_suite("elsewhere", store)
    return make_leaderboard(counted_trials(store, "elsewhere"), suite_facts(spec))


def published_cells(path: Path) -> dict[str, dict[str, str]]:
    with path.open() as file:
        return {row["task"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module", params=["1h", "4h"])
def amlb(
    request: pytest.FixtureRequest, results_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ScoreTable]:
    path = results_folder / "amlb2019" / request.param / "all_results.csv"
    return request.param, imported(path, "amlb", tmp_path_factory.mktemp("amlb")).measured


def test_a_tie_with_what_was_imputed_is_a_tie(results_folder: Path, tmp_path: Path) -> None:
    """A method whose mean stands for a failure ties with it, in whatever order the mean was added up."""
    board = imported(results_folder / "amlb2019" / "1h" / "all_results.csv", "amlb", tmp_path)
    found = {v.method: v for v in board.values("rank")}
    assert {r.label: (r.mean_rank, r.mean_rank_low, r.mean_rank_high) for r in board.overall} == {
        label: (v.value, v.low, v.high) for label, v in found.items()
    }
    scores = np.round(board.imputed.table.task_means(), 10)
    others = scores[:, None]
    by_hand = ((others > scores).sum(axis=0) + ((others == scores).sum(axis=0) + 1) / 2).mean(axis=1)
    assert [found[m].value for m in board.imputed.table.methods] == pytest.approx(by_hand, abs=1e-9)


def as_published(table: ScoreTable) -> ImputedTable:
    """Impute as AMLB's tables of 2019 were: by the random forest's result on the same fold, where other folds did not fail."""
    return impute(table, "baseline", baselines=["randomforest"], per_unit=True, whole_tasks=False)


def cell(text: str) -> tuple[float, int]:
    """Return a published number, and the number of folds imputed that stands in brackets behind it."""
    value, _, n = text.partition(" ")
    return float(value), int(n.strip("()")) if n else 0


def rank_cells(table: ScoreTable, published: dict[str, dict[str, str]]) -> tuple[int, int, int]:
    """Return how many published ranks there are, how many of them agree, and how many cells are empty on both sides."""
    frameworks = [c for c in next(iter(published.values())) if c not in ("type", "task")]
    part = table.select(methods=frameworks, tasks=list(published))
    ranks = tied_ranks(part.task_scores())
    expected = np.array([[cell(row[f])[0] for row in published.values()] for f in frameworks])
    known = ~np.isnan(expected)
    return int(known.sum()), int((ranks == expected)[known].sum()), int((np.isnan(ranks) & ~known).sum())


def test_amlbs_task_ranks(amlb: tuple[str, ScoreTable], results_folder: Path) -> None:
    budget, table = amlb
    published = published_cells(results_folder / "amlb2019" / budget / "tasks_leaderboard.csv")
    n = {"1h": 173, "4h": 191}[budget]
    n_empty = {"1h": 2, "4h": 4}[budget]
    assert rank_cells(as_published(table).table, published) == (n, n, n_empty)
    # without imputation they do not match; and not with the constant predictor either
    assert rank_cells(table, published) == (n, {"1h": 170, "4h": 191}[budget], n_empty)
    other = impute(table, "baseline", baselines=["constantpredictor"], per_unit=True, whole_tasks=False)
    assert rank_cells(other.table, published) == (n, {"1h": 163, "4h": 184}[budget], n_empty)


def test_amlbs_result_summary_and_numbers_of_imputed_folds(amlb: tuple[str, ScoreTable], results_folder: Path) -> None:
    budget, table = amlb
    published = published_cells(results_folder / "amlb2019" / budget / "result_summary.csv")
    scores, raw = as_published(table), impute(table, "none").table
    means, counts = scores.table.task_scores(), scores.imputed.sum(axis=2)
    n_equal = n_differ_raw = 0
    for t, task in enumerate(table.tasks):
        for m, framework in enumerate(table.methods):
            value, n_imputed = cell(published[task][framework])
            if (budget, framework, task) == ("4h", *SLIP[:2]):
                continue
            # results are losses where the type is multiclass, written to six digits
            sign = 1 if published[task]["type"] == "binary" else -1
            assert means[m, t] == pytest.approx(sign * value, rel=5.1e-6, nan_ok=True), (framework, task)
            n_equal += 1
            n_differ_raw += raw.task_scores()[m, t] != pytest.approx(sign * value, rel=5.1e-6, nan_ok=True)
            if not np.isnan(value) and (budget, framework, task) != ("4h", "autosklearn", "albert"):
                assert counts[m, t] == n_imputed, (framework, task)
    assert n_equal == 7 * len(table.tasks) - (budget == "4h")
    assert n_differ_raw == {"1h": 5, "4h": 5}[budget]


# A slip in AMLB's file: one log loss has the sign of a score. Its ranks were made with it, its summary of results without.
SLIP = ("h2oautoml", "jungle_chess_2pcs_raw_endgame_complete", 3)


def test_amlbs_slip_of_a_sign_is_in_its_ranks(amlb: tuple[str, ScoreTable], results_folder: Path) -> None:
    budget, table = amlb
    if budget == "1h":
        assert (
            table.scores[:, [i for i, t in enumerate(table.tasks) if t == "jungle_chess_2pcs_raw_endgame_complete"]] < 0
        ).all()
        return
    m, t, u = table.methods.index(SLIP[0]), table.tasks.index(SLIP[1]), table.units.index(SLIP[2])
    assert table.scores[m, t, u] == 0.148611
    published = published_cells(results_folder / "amlb2019" / budget / "tasks_leaderboard.csv")
    righted = table.scores.copy()
    righted[m, t, u] *= -1
    right = ScoreTable(table.methods, table.tasks, table.units, righted, table.states)
    assert rank_cells(as_published(right).table, published) == (191, 189, 4)
    summary = published_cells(results_folder / "amlb2019" / budget / "result_summary.csv")
    assert right.task_scores()[m, t] == pytest.approx(-cell(summary[SLIP[1]][SLIP[0]])[0], rel=5.1e-6)


def test_amlbs_normalised_scores(amlb: tuple[str, ScoreTable], results_folder: Path) -> None:
    budget, table = amlb
    published = published_cells(results_folder / "amlb2019" / budget / "norm_score_summary.csv")
    found, notes = normalised_scores(
        as_published(table).table, baseline="constantpredictor", reference="tunedrandomforest"
    )
    assert notes == ()
    for t, task in enumerate(table.tasks):
        for m, framework in enumerate(table.methods):
            expected = cell(published[task][framework])[0]
            # raw results have six digits, and so have the published scores; the scale divides by small differences
            assert found[m, t] == pytest.approx(expected, rel=1e-5, abs=6e-5, nan_ok=True), (framework, task)
    ends = Options(baseline="constantpredictor", reference="tunedrandomforest")
    means = {s.method: s.value for s in statistic_values(as_published(table), "norm", ends, n_bootstrap=0)}
    assert means["constantpredictor"] == 0.0
    assert means["tunedrandomforest"] == 1.0
    for framework in table.methods:
        own = [cell(row[framework])[0] for row in published.values()]
        assert means[framework] == pytest.approx(np.nanmean(own), abs=2e-5)


def test_amlbs_policy_from_the_command_line(results_folder: Path, tmp_path: Path) -> None:
    """The options that docs/share-results.md gives for AMLB's tables of 2019 give their means."""
    file = results_folder / "amlb2019" / "1h" / "all_results.csv"
    db = tmp_path / "published.duckdb"
    import_published(Store(db), read_published(file, "amlb", "elsewhere"), "where it was published")
    options = ["leaderboard", "--suite", "elsewhere", "--stat", "norm", "--db", str(db), "--format", "json"]
    scale = ["--scale", "constantpredictor,tunedrandomforest"]
    found = CliRunner().invoke(app, [*options, "--impute", "amlb=randomforest", *scale])
    assert found.exit_code == 0, found.output
    values = {row["method"]: row["value"] for row in rows_with(json.loads(found.output), "value")}
    published = published_cells(results_folder / "amlb2019" / "1h" / "norm_score_summary.csv")
    assert len(values) == 7
    for framework, value in values.items():
        own = [cell(row[framework])[0] for row in published.values()]
        assert value == pytest.approx(np.nanmean(own), abs=2e-5), framework


def rows_with(found: Any, key: str) -> list[dict[str, Any]]:
    """Return the innermost objects of a JSON document that have this key."""
    if isinstance(found, dict) and key in found:
        return [found]
    inner = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    return [row for one in inner for row in rows_with(one, key)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--impute", "amlb="], "--impute amlb= names no method"),
        (["--impute", "amlb=nobody"], "nobody"),
        (["--stat", "norm", "--scale", "randomforest"], "expected BASELINE,REFERENCE"),
        (["--scale", "randomforest,tpot"], "--scale is for --stat norm"),
        (["--stat", "norm", "--scale", "randomforst,tpot"], "did you mean 'randomforest'"),
    ],
)
def test_what_amlbs_options_need(tmp_path: Path, options: list[str], message: str) -> None:
    file, db = tmp_path / "r.csv", tmp_path / "r.duckdb"
    file.write_text("framework,task,fold,result,metric\nrandomforest,t,0,0.5,auc\ntpot,t,0,0.6,auc\n")
    import_published(Store(db), read_published(file, "amlb", "elsewhere"), "where it was published")
    found = CliRunner().invoke(app, ["leaderboard", "--suite", "elsewhere", "--db", str(db), *options])
    assert isinstance(found.exception, InputError | UnknownNameError)
    assert message in str(found.exception)


def test_metadatasets_ranks(results_folder: Path) -> None:
    path = results_folder / "metadataset" / "leaderboard.md"
    averages = published_averages(path)
    n_cells = n_averages = 0
    for suite in read_metadataset(path, "metadataset"):
        tasks = list(dict.fromkeys(r.task for r in suite.results))
        found: dict[str, list[float]] = {}
        for task in tasks:
            own = [r for r in suite.results if r.task == task]
            ranks = tie_aware_ranks([r.score or 0.0 for r in own], [r.metrics["published_ci95"] for r in own])
            for r, rank in zip(own, ranks, strict=True):
                assert rank == r.metrics["published_rank"], (suite.name, r.method, task)
                found.setdefault(r.method, []).append(rank)
                n_cells += 1
        for method, own_ranks in found.items():
            assert sum(own_ranks) / len(own_ranks) == pytest.approx(averages[suite.name, method]), method
            n_averages += 1
    assert (n_cells, n_averages) == (350, 35)


def published_averages(path: Path) -> dict[tuple[str, str], float]:
    """Return the column "Avg rank", read apart from the importer."""
    found: dict[tuple[str, str], float] = {}
    suite = ""
    for line in path.read_text().splitlines():
        if line.startswith("## Training on "):
            suite = "metadataset-" + line[3:].lower().replace(" ", "-")
        elif suite and "±" in line:
            cells = line.split("|")
            found[suite, cells[0].split("[[")[0].strip()] = float(cells[1].replace("*", "").split("&")[0])
    return found


def test_metadatasets_ranks_need_the_rule(results_folder: Path) -> None:
    # plain ranks of the same numbers are others: the test above would see a rule that ties nothing
    suite = read_metadataset(results_folder / "metadataset" / "leaderboard.md", "m")[0]
    n_equal = 0
    for task in dict.fromkeys(r.task for r in suite.results):
        own = [r for r in suite.results if r.task == task]
        ranks = tie_aware_ranks([r.score or 0.0 for r in own], [0.0] * len(own))
        n_equal += sum(rank == r.metrics["published_rank"] for r, rank in zip(own, ranks, strict=True))
    assert n_equal < 100


def test_the_single_and_virtual_best_solvers_of_openml_weka(results_folder: Path, tmp_path: Path) -> None:
    folder = results_folder / "openml-weka-2017"
    table = imported(folder, "aslib", tmp_path).measured
    scores = table.task_scores()
    assert scores.shape == (30, 105)
    assert (table.states == TrialState.OK).all()
    single, virtual = scores.mean(axis=1), scores.max(axis=0).mean()
    # the scenario's files publish no such values; these are its definitions, computed apart from everything above
    rows = [line.strip().split(",") for line in (folder / "algorithm_runs.arff").read_text().splitlines()]
    runs = [(r[0], r[2], float(r[3])) for r in rows if len(r) == 5 and r[4] == "ok"]
    assert len(runs) == 3150
    by_algorithm: dict[str, list[float]] = {}
    by_instance: dict[str, list[float]] = {}
    for instance, algorithm, accuracy in runs:
        by_algorithm.setdefault(algorithm, []).append(accuracy)
        by_instance.setdefault(instance, []).append(accuracy)
    means = {a: sum(own) / len(own) for a, own in by_algorithm.items()}
    best = max(means, key=lambda a: means[a])
    assert table.methods[int(single.argmax())] == best == "2370_weka.LMT"
    assert single.max() == pytest.approx(means[best])
    assert virtual == pytest.approx(sum(max(own) for own in by_instance.values()) / 105)
    assert (single.max(), virtual) == pytest.approx((0.855673, 0.875657), abs=1e-6)
