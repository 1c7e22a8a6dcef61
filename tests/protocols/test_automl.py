"""The protocol of tables: what adapters are given, how they are scored, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from benchbench.contracts.context import Budget, fit_limit_seconds
from benchbench.errors import InputError, ProtocolViolation, SuiteFileError
from benchbench.execution import supervisor
from benchbench.protocols import automl
from benchbench.protocols.automl_remarks import remarks_on_classes
from benchbench.protocols.automl_scores import (
    auc,
    classification_scores,
    log_loss,
    regression_scores,
    undefined_scores,
)
from benchbench.records import TrialOutcome
from benchbench.spec import TrialSpec, content_hash
from benchbench.suite_files import read_suite


@pytest.fixture
def trial(make_request: Any, zygotes: None) -> Any:
    """Run a trial on a bundled table."""

    def run(how: str = "honest", table: str = "wine", method: str = "odd_tables", **budget: Any) -> TrialOutcome:
        params = {"how": how, **budget.pop("more", {})}
        values = {"time_limit_seconds": 60, "fit_seconds": 20.0, **budget}
        request = make_request(method, loader="sklearn", options={"table": table}, params=params, **values)
        return supervisor.execute(request)

    return run


def test_scores_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    p = rng.dirichlet([0.3] * 3, 200)
    p[0] = np.eye(3)[(truth[0] + 1) % 3]
    labels = p.argmax(axis=1)
    found = classification_scores(truth, labels, p)
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, labels), abs=1e-15)
    assert found["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(truth, labels))
    assert found["log_loss"] == pytest.approx(sklearn.metrics.log_loss(truth, p), abs=1e-12)
    assert found["auc"] == pytest.approx(sklearn.metrics.roc_auc_score(truth, p, multi_class="ovr"), abs=1e-15)
    two = truth % 2
    assert auc(two, p[:, :2]) == sklearn.metrics.roc_auc_score(two, p[:, 1])
    y, v = rng.normal(size=50), rng.normal(size=50)
    values = regression_scores(y, v)
    assert values["rmse"] == pytest.approx(sklearn.metrics.root_mean_squared_error(y, v))
    assert values["r2"] == pytest.approx(sklearn.metrics.r2_score(y, v))
    assert regression_scores(np.ones(3), np.ones(3)) == {"rmse": 0.0, "r2": 1.0}


def test_log_loss_of_impossible_and_of_rounded_probabilities() -> None:
    assert log_loss(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(-np.log(np.finfo(float).eps))
    assert log_loss(np.array([1]), np.array([[0.5, 0.5]]) * 1.0001) == pytest.approx(np.log(2), abs=1e-15)
    # a class that the test rows lack does not change it
    assert log_loss(np.array([0]), np.array([[0.25, 0.75, 0.0]])) == pytest.approx(np.log(4))


def test_undefined_scores_are_left_out() -> None:
    alike, p = np.ones(4, int), np.full((4, 3), 1 / 3)
    found = classification_scores(alike, alike, p)
    assert set(found) == {"accuracy", "balanced_accuracy", "log_loss"}
    assert found["log_loss"] == pytest.approx(np.log(3))
    assert undefined_scores("multiclass", alike) == {"auc": "all test rows of this split have one class"}
    assert undefined_scores("binary", np.array([0, 1])) == undefined_scores("regression", np.zeros(2)) == {}
    assert regression_scores(np.array([2.0]), np.array([1.0])) == {"rmse": 1.0}
    assert undefined_scores("regression", np.zeros(1)) == {"r2": "this split has a single test row"}


def test_what_looks_like_mixed_up_classes_and_what_does_not() -> None:
    rng = np.random.default_rng(0)
    truth = (np.arange(300) % 20 == 0).astype(int)
    right = np.where(truth == 1, 0.9, 0.05) + rng.normal(0, 0.01, 300)
    p = np.column_stack([1 - right, right])
    assert remarks_on_classes(truth, truth, p, auc(truth, p)) == []
    # labels right, columns exchanged: area 0 beside accuracy 1
    disagree, area = remarks_on_classes(truth, truth, p[:, ::-1], auc(truth, p[:, ::-1]))
    assert disagree.startswith(
        "predict and predict_proba disagree on 100% of the test rows: accuracy is 1.000 by predict, 0.000"
    )
    assert area.startswith("auc is 0.000, far below the 0.5 of guessing")
    # both exchanged: only the area tells
    (only,) = remarks_on_classes(truth, 1 - truth, p[:, ::-1], 0.0)
    assert only == area
    # three classes of which two columns are exchanged; few rows disagree, but always wrongly
    three = np.arange(300) % 10
    three = np.where(three < 6, 0, np.where(three < 8, 1, 2))
    sure = np.eye(3)[three] * 0.7 + 0.1
    (mixed,) = remarks_on_classes(three, three, sure[:, [0, 2, 1]], auc(three, sure[:, [0, 2, 1]]))
    assert "disagree on 40% of the test rows: accuracy is 1.000 by predict, 0.600" in mixed
    # no skill, ties, a tuned threshold, few rows: nothing to remark
    guess = rng.dirichlet([1, 1], 300)
    assert remarks_on_classes(truth, guess.argmax(1), guess, auc(truth, guess)) == []
    even = np.full((300, 2), 0.5)
    assert remarks_on_classes(truth, np.ones(300, int), even, 0.5) == []
    tuned = (right > 0.066).astype(int)
    assert 0 < (tuned != p.argmax(1)).mean() < 0.1
    assert remarks_on_classes(truth, tuned, p, 1.0) == []
    few = np.array([0, 1, 0])
    assert remarks_on_classes(few, few, np.eye(2)[few], auc(few, np.eye(2)[1 - few])) == []


def test_one_class_has_no_area() -> None:
    with pytest.raises(InputError, match="have one class"):
        auc(np.zeros(3, int), np.full((3, 2), 0.5))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("short", r"shape \(17, 3\), expected \(18, 3\)"),
        ("nan", "54 of 54 probabilities are NaN"),
        ("negative", r"lie in \[-0.5, 1.5\]"),
        ("sums", "must sum to 1; one is off by 0.1"),
        ("labels_beyond", "expected indices 0 to 2"),
        ("labels_as_text", "are not numbers but texts such as 'yes', expected indices 0 to 2 in the task's order"),
        ("labels_as_names", "are not numbers but texts such as 'class_0', expected indices 0 to 2"),
        (
            "labels_shuffled",
            "predicted classes have the index 17, 16, .* and 8 more, expected that of the rows, 0 to 17",
        ),
        ("rows_shuffled", "probabilities have the index 17, 16, .* and 8 more, expected that of the rows, 0 to 17"),
        (
            "columns_unknown",
            "have the columns 'class class_0', .*, expected the classes 'class_0', 'class_1', 'class_2' in any order",
        ),
        ("raise", "cannot fit this"),
    ],
)
def test_what_is_no_prediction_fails(trial: Any, how: str, says: str) -> None:
    import re

    outcome = trial(how)
    assert outcome.outcome == "failed"
    assert re.search(says, outcome.error_message)
    assert outcome.error_type == ("RuntimeError" if how == "raise" else ProtocolViolation.__name__)
    assert outcome.log_tail.rstrip().endswith("closed")


def test_a_trial_of_three_classes(trial: Any) -> None:
    outcome = trial(threads=1, memory_limit_mib=1500)
    assert (outcome.outcome, outcome.metric, outcome.unit, outcome.n_units) == (
        "ok",
        "neg_log_loss",
        "fold",
        1,
    )
    assert outcome.score == pytest.approx(-np.log(3))
    names = {
        "accuracy",
        "balanced_accuracy",
        "log_loss",
        "auc",
        "predict_seconds",
        "predict_rows",
        "row_latency_seconds",
    }
    assert set(outcome.metrics) == names
    assert outcome.metrics["auc"] == 0.5
    assert outcome.metrics["predict_rows"] == 18
    phases = outcome.phases
    assert {"load", "import", "setup", "fit", "predict", "latency", "labels", "score", "close"} == set(phases)
    assert outcome.seconds == pytest.approx(phases["fit"] + phases["predict"])
    # rows numbered anew, 160 of 178 of them; the limit of the fit, not of the trial
    assert f"index=0..159 left={fit_limit_seconds(20):.0f} rows=160" in outcome.log_tail
    assert "budget=20 1 1500" in outcome.log_tail


def test_rounding_is_forgiven_and_labels_may_stand_alone(trial: Any) -> None:
    assert trial("rounded").score == pytest.approx(-np.log(3), abs=1e-6)
    alone = trial("labels_only", table="breast_cancer")
    assert alone.metric == "auc"
    assert alone.score == 0.5
    assert 0.3 < alone.metrics["accuracy"] < 0.5
    assert alone.metrics["log_loss"] > 15


@pytest.mark.parametrize("how", ["columns_named", "columns_reordered", "columns_renumbered"])
def test_named_columns_of_probabilities_are_taken_by_name(trial: Any, how: str) -> None:
    """All say the first class; taken by position, reordered ones would say the last."""
    outcome = trial(how)
    assert outcome.outcome == "ok", outcome.error_message
    assert outcome.metrics["log_loss"] == pytest.approx(
        -np.log(np.finfo(float).eps) * (1 - outcome.metrics["accuracy"])
    )
    assert outcome.remarks == ()


def test_flipped_classes_are_remarked_on(trial: Any) -> None:
    outcome = trial("flipped", table="breast_cancer")
    assert outcome.outcome == "ok"
    assert outcome.metrics["accuracy"] < 0.4 or outcome.metrics["auc"] < 0.4
    assert "predict and predict_proba disagree on 100% of the test rows" in outcome.remarks[0]


def test_regression(trial: Any) -> None:
    outcome = trial(table="diabetes")
    assert outcome.metric == "neg_rmse"
    assert outcome.score == -outcome.metrics["rmse"] < -100
    assert outcome.metrics["r2"] < -2
    assert "accuracy" not in outcome.metrics


def test_what_the_card_does_not_name_is_declined(trial: Any) -> None:
    outcome = trial(method="only_binary")
    assert outcome.outcome == "declined"
    assert outcome.error_message == "only_binary has no form for multiclass tasks"
    assert trial(method="only_binary", table="breast_cancer").outcome == "ok"


def test_a_fit_that_overruns_is_stopped_at_its_own_limit(trial: Any) -> None:
    outcome = trial("sleep", fit_seconds=0.1, more={"seconds": 60}, time_limit_seconds=100)
    limit = fit_limit_seconds(0.1)
    assert outcome.outcome == "timeout"
    assert outcome.error_message == f"fit was stopped at its limit of {limit:g} s"
    assert limit <= outcome.wall_seconds < limit + 20


def test_the_limit_of_the_fit_is_lifted_when_it_has_ended(trial: Any) -> None:
    outcome = trial("slow_predict", table="diabetes", fit_seconds=0.1, more={"seconds": 11.0}, time_limit_seconds=100)
    assert outcome.outcome == "ok"
    assert outcome.metrics["predict_seconds"] > fit_limit_seconds(0.1)


def test_without_a_budget_of_its_own_the_fit_has_that_of_the_trial(make_request: Any) -> None:
    request = make_request("odd_tables", loader="sklearn", options={"table": "iris"}, time_limit_seconds=33)
    assert automl.budget_of(TrialSpec.from_dict(request["spec"])).seconds == 33


def test_ids_of_trials_without_a_training_budget_are_what_they_were(make_request: Any) -> None:
    spec = TrialSpec.from_dict(make_request("noop")["spec"])
    plain = spec.to_dict()
    assert "fit_seconds" not in plain["budget"]
    assert set(plain["budget"]) == {
        "preset",
        "iterations",
        "threads",
        "time_limit_seconds",
        "memory_limit_mib",
        "grace_seconds",
        "test_units",
    }
    assert spec.trial_id == content_hash(json.loads(json.dumps(plain)))
    assert Budget(preset="a", iterations=1).fit_seconds is None


PROFILES = """
name = "mine"
version = "1"
track = "automl"
title = "Mine"
default_preset = "1m1c"

[scores]
baseline = "constant"
reference = "best known"

[presets.1m1c]
test_units = 1
iterations = 0
fit_seconds = 60
time_limit_seconds = 100

[[tasks]]
name = "first"
loader = "sklearn"
options = { table = "iris" }
"""


def test_profiles_of_suites(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PROFILES)
    assert read_suite(path).presets["1m1c"].fit_seconds == 60.0
    for old, new, says in (
        ("fit_seconds = 60", "fit_seconds = 0", r"presets\.1m1c: fit_seconds must be above 0, got 0"),
        ("fit_seconds = 60", "fit_seconds = 90", "training of 90 s is stopped at 109 s"),
    ):
        path.write_text(PROFILES.replace(old, new))
        with pytest.raises(SuiteFileError, match=says):
            read_suite(path)
