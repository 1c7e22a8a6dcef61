"""Tables that people have: one row in a fold, no features, infinite values. Real trials, from OpenML's files on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openml_files import write_task

from benchbench.execution import supervisor
from benchbench.records import TrialOutcome

ALONE, TWO_ALONE, ONE_VALUE, FEATURELESS, INFINITE = range(990001, 990006)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Write the tables; start zygotes that know the folders."""
    folder = tmp_path_factory.mktemp("tables")
    letters, numbers = ("a", "b", "c"), range(12)
    each = [[i] for i in numbers]
    halves = [[i for i in numbers if i % 4 < 2], [i for i in numbers if i % 4 > 1]]
    write_task(folder, ALONE, {"x": "numeric", "class": letters}, [(i % 3, letters[i % 3]) for i in numbers], each)
    two = [(i % 2, letters[i % 2]) for i in numbers]
    write_task(folder, TWO_ALONE, {"x": "numeric", "class": letters[:2]}, two, [[0], [2, 4], [1, 3, *range(5, 12)]])
    write_task(folder, ONE_VALUE, {"x": "numeric", "y": "numeric"}, [(i, 2 * i) for i in numbers], each)
    write_task(folder, FEATURELESS, {"id": "numeric", "class": letters[:2]}, two, halves, ignored=["id"])
    odd = {1: "inf", 4: "-inf", 5: "1e39", 6: "-3e300", 9: "?"}
    rows = [(odd.get(i, i / 7), i % 2, letters[i % 2]) for i in numbers]
    write_task(folder, INFINITE, {"a,b": "numeric", "x": "numeric", "class": letters[:2]}, rows, halves)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHBENCH_DATA", str(folder))
        patch.setenv("BENCHBENCH_CACHE", str(folder / "cache"))
        supervisor.abort_all()
        yield
    supervisor.abort_all()


@pytest.fixture
def trial(make_request: Any, tables: None) -> Any:
    def run(method: str, task: int, seed: int = 0, **params: Any) -> TrialOutcome:
        request = make_request(
            method,
            loader="openml",
            options={"task": task},
            params=params,
            seed=seed,
            fit_seconds=30.0,
            time_limit_seconds=100,
        )
        return supervisor.execute(request)

    return run


def test_a_fold_of_one_row_has_the_tasks_metric_and_says_what_is_undefined(trial: Any) -> None:
    outcome = trial("linear_model", ALONE, seed=4)
    assert (outcome.outcome, outcome.metric) == ("ok", "neg_log_loss")
    assert outcome.score == -outcome.metrics["log_loss"]
    assert {"accuracy", "balanced_accuracy"} <= set(outcome.metrics) and "auc" not in outcome.metrics
    assert outcome.remarks == ("auc is undefined: all test rows of this split have one class",)


def test_a_fold_of_one_value_has_no_r2(trial: Any) -> None:
    outcome = trial("linear_model", ONE_VALUE, seed=3)
    assert (outcome.outcome, outcome.metric, outcome.score) == ("ok", "neg_rmse", -outcome.metrics["rmse"])
    assert "r2" not in outcome.metrics
    assert outcome.remarks == ("r2 is undefined: this split has a single test row",)


def test_a_fold_whose_own_metric_is_undefined_is_declined_before_training(trial: Any) -> None:
    outcome = trial("odd_tables", TWO_ALONE, seed=1, how="honest")
    assert outcome.outcome == "declined"
    assert outcome.error_message == (
        "auc, the task's metric, is undefined: all test rows of this split have one class;"
        " splits must have test rows of both classes"
    )
    assert "fit" not in outcome.phases and "budget=" not in outcome.log_tail
    # another fold of the same task has both
    whole = trial("odd_tables", TWO_ALONE, seed=2, how="honest")
    assert (whole.outcome, whole.score, whole.remarks) == ("ok", 0.5, ())


def test_a_table_without_features_is_declined_by_all_but_the_constant(trial: Any) -> None:
    constant = trial("constant_predictor", FEATURELESS)
    assert (constant.outcome, constant.score, constant.metrics["accuracy"]) == ("ok", 0.5, 0.5)
    linear = trial("linear_model", FEATURELESS)
    assert linear.outcome == "declined"
    assert linear.error_message == (
        "Logistic / ridge regression needs features, and this table has none: all columns but the target are ignored"
    )


INFINITE_REMARK = "column 'a,b' has 4 infinite or too large values: benchbench's own adapters treat them as missing"


def test_infinite_and_too_large_values_are_missing(trial: Any) -> None:
    outcome = trial("random_forest", INFINITE, n_trees=10)
    assert (outcome.outcome, outcome.score, outcome.remarks) == ("ok", 1.0, (INFINITE_REMARK,))


def test_a_method_that_fails_on_such_values_names_the_column(trial: Any) -> None:
    outcome = trial("odd_tables", INFINITE, how="raise")
    assert (outcome.outcome, outcome.error_message) == ("failed", f"cannot fit this; {INFINITE_REMARK}")
    assert trial("odd_tables", TWO_ALONE, seed=2, how="raise").error_message == "cannot fit this"
