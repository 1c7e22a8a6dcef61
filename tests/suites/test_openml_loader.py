"""Loaders of tables for AutoML, and the suites that are made of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbench.cluster.plan import Request, all_trials, choose_methods
from benchbench.contracts.loading import GENERATED
from benchbench.errors import DataMissingError, InputError, UnknownNameError
from benchbench.frames import read_table
from benchbench.registry import get_loader, get_method
from benchbench.spec import content_hash
from benchbench.suite_files import SuiteSpec, find_suite
from benchbench.suites._prepared import array_hash
from benchbench.suites.sklearn_tables import TABLES

SUITES = ("tabular", "openml-mini", "openml-cc18", "amlb-classification", "amlb-regression", "tabarena")


@pytest.fixture
def openml(data_folder: Path) -> Callable[[int], Any]:
    """Make a task of OpenML ready, and return its loader with the task's options bound."""

    def ready(number: int) -> Any:
        loader = get_loader("openml")
        loader.prepare({"task": number}, lambda line: None)
        return loader

    return ready


def request(suite: SuiteSpec, *tasks: str, seeds: tuple[int, ...] = (0,)) -> Request:
    name, preset = suite.preset(None)
    return Request(
        suite=suite,
        preset_name=name,
        preset=preset,
        tasks=tuple(suite.task(t) for t in tasks),
        methods=choose_methods(suite, [suite.scores.baseline]),
        seeds=seeds,
        device="cpu",
    )


def test_a_task_with_categories_and_missing_values(openml: Callable[[int], Any]) -> None:
    loader = openml(29)
    task = loader.load("credit", {"task": 29})
    info = task.info
    assert (info.name, info.kind, info.metric, info.target, info.n_rows) == ("credit", "binary", "auc", "class", 690)
    assert info == loader.info("credit", {"task": 29})
    assert set(info.classes) == {"+", "-"}
    frame = read_table(task.table)
    assert list(info.columns) == list(frame.columns) and info.target not in frame
    assert task.target.cat.categories.tolist() == list(info.classes)
    assert frame.isna().to_numpy().sum() == 67
    kinds = {k: {str(frame[n].dtype) for n, kind in info.columns.items() if kind == k} for k in info.columns.values()}
    assert kinds["nominal"] == {"category"} and kinds["numeric"] <= {"int64", "float64"}


def test_splits_are_the_tasks_own_and_numbered_by_seeds(openml: Callable[[int], Any]) -> None:
    from benchbench.suites._openml_tasks import load_task

    task = openml(3).load("t", {"task": 3})
    assert get_loader("openml").n_splits({"task": 3}) == 10
    for number in (0, 7):
        train, test = task.split(number)
        own = load_task(3).fold(0, number)
        assert np.array_equal(train, own[0]) and np.array_equal(test, own[1])
    tests = np.concatenate([task.split(i)[1] for i in range(10)])
    assert sorted(tests.tolist()) == list(range(3196))


def test_fingerprints_say_whose_splits_they_are(openml: Callable[[int], Any]) -> None:
    official, ours = (openml(n).fingerprint({"task": n}) for n in (3, 31))
    assert not official.endswith(GENERATED)
    assert ours.endswith(GENERATED)


def test_what_is_not_ready_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    for ask in (
        lambda: get_loader("openml").info("t", {"task": 3}),
        lambda: get_loader("openml").fingerprint({"task": 3}),
    ):
        with pytest.raises(DataMissingError):
            ask()


def test_a_fold_that_is_not_there_is_refused_before_anything_runs() -> None:
    suite = find_suite("tabular")
    for table in ("iris", "diabetes"):
        get_loader("sklearn").prepare({"table": table}, print)
    trials = list(all_trials(request(suite, "iris", "diabetes", seeds=(0, 9))))
    assert [(t.spec.task, t.spec.seed) for t in trials] == [("iris", 0), ("diabetes", 0), ("iris", 9), ("diabetes", 9)]
    # equal over folds: a fold is a seed, no other task
    assert len({t.fingerprint for t in trials if t.spec.task == "iris"}) == 1
    assert {t.spec.budget.fit_seconds for t in trials} == {suite.presets["quick"].fit_seconds}
    with pytest.raises(InputError, match="'iris' has 10 splits, numbered from 0; there is none for 10, 12"):
        list(all_trials(request(suite, "iris", seeds=(0, 10, 12))))


@pytest.mark.parametrize("loader", ["openml", "sklearn"])
def test_options_are_checked(loader: str) -> None:
    check = get_loader(loader).check
    with pytest.raises(InputError, match=r"'(task|table)' is missing"):
        check({})
    with pytest.raises(InputError, match=f"^options of loader {loader!r}: unknown key 'fold'"):
        check({"fold": 1})
    if loader == "openml":
        with pytest.raises(InputError, match="expected 1 to"):
            check({"task": 0})
        with pytest.raises(InputError, match="expected int, got '31'"):
            check({"task": "31"})
    else:
        with pytest.raises(UnknownNameError, match="did you mean 'iris'"):
            check({"table": "irsi"})


def test_the_bundled_tables_are_what_their_version_stands_for() -> None:
    """The fingerprint names a version in place of the data: if this fails, raise it in sklearn_tables."""
    found = {}
    for table, kind in TABLES.items():
        get_loader("sklearn").prepare({"table": table}, print)
        task = get_loader("sklearn").load(table, {"table": table})
        frame = read_table(task.table)
        assert (task.info.kind, len(frame)) == (kind, task.info.n_rows)
        assert list(task.info.columns) == list(frame.columns) and task.info.target not in frame
        y = task.target if kind == "regression" else task.target.cat.codes
        splits = [part for number in range(10) for part in task.split(number)]
        found[table] = content_hash(
            [array_hash(np.ascontiguousarray(a)) for a in (frame.to_numpy(float), y.to_numpy(float), *splits)], 8
        )
    assert found == {
        "breast_cancer": "2843dceb",
        "diabetes": "ea03deb6",
        "digits": "a22089a5",
        "iris": "6dd4932c",
        "wine": "4c6075a4",
    }


def numbers(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_suites_hold_the_published_tasks(data_folder: Path) -> None:
    amlb = numbers(data_folder / "suites" / "amlb.csv")
    expected = {
        "openml-mini": numbers(data_folder / "openml" / "tasks.csv"),
        "openml-cc18": numbers(data_folder / "suites" / "openml-cc18.csv"),
        "amlb-classification": [r for r in amlb if r["type"] != "regression"],
        "amlb-regression": [r for r in amlb if r["type"] == "regression"],
        "tabarena": numbers(data_folder / "suites" / "tabarena-v0.1.csv"),
    }
    for name, rows in expected.items():
        suite = find_suite(name)
        assert [t.options["task"] for t in suite.tasks] == [int(r["task_id"]) for r in rows]
        assert all(t.name == f"openml-{t.options['task']}" for t in suite.tasks)


def test_suites_are_sound() -> None:
    counts = {name: len(find_suite(name).tasks) for name in SUITES}
    assert list(counts.values()) == [5, 31, 72, 71, 33, 51]
    for name in SUITES:
        suite = find_suite(name)
        assert suite.track == "automl" and suite.default_preset in suite.presets
        for task in suite.tasks:
            get_loader(task.loader).check(task.options)
        for method in (*suite.methods, suite.scores.baseline, suite.scores.reference):
            assert get_method(method).card.track == "automl"
    profile = find_suite("amlb-regression").presets["1h8c"]
    assert (profile.fit_seconds, profile.threads) == (3600, 8)


def test_every_task_of_openml_mini_can_be_planned(openml: Callable[[int], Any]) -> None:
    suite = find_suite("openml-mini")
    for task in suite.tasks[:3]:
        openml(task.options["task"])
    trials = list(all_trials(request(suite, *(t.name for t in suite.tasks[:3]), seeds=(0, 1))))
    assert [t.fingerprint.endswith(GENERATED) for t in trials] == [False, True, True] * 2


def test_tasks_can_be_listed_without_their_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbench.cli.listing import _tasks

    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path))
    assert _tasks("amlb-regression")[0]["options"] == {"task": 167210}
    assert "kind" not in _tasks("tabular")[0]
    assert _tasks("hpo-synthetic")
