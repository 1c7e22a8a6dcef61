"""Live problems: models trained on real tables, in processes of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration

from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import get_loader
from benchbench.suites import _live_tables
from benchbench.suites._live_tables import BUNDLED
from benchbench.suites._model_families import FAMILIES

LOADER = get_loader("live")


def problem(**options: Any) -> Any:
    return LOADER.load("t", {"family": "neighbours", "table": "iris", **options})


def evaluate(found: Any, values: dict[str, Any], fidelity: float = 1.0, seed: int = 0) -> Any:
    return found.evaluate(Configuration(found.info.space, values=values), fidelity, np.random.default_rng(seed))


def test_the_loss_is_that_of_the_library_alone() -> None:
    from sklearn.datasets import load_iris
    from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = evaluate(problem(), {"n_neighbors": 7, "weights": "uniform", "metric": "chebyshev"})
    x, y = load_iris(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(7, metric="chebyshev", algorithm="brute"))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert found.loss == pytest.approx(1 - cross_val_score(model, train_x, train_y, cv=folds).mean())
    assert found.test_loss == pytest.approx(1 - model.fit(train_x, train_y).score(test_x, test_y))
    assert found.seconds > 0


def test_log_loss_and_squared_error_are_those_of_the_library() -> None:
    from sklearn.metrics import log_loss

    found = problem(family="logistic_regression", loss="log_loss")
    values = {"C": 0.1, "class_weight": "none", "fit_intercept": True}
    measured = found._measure(values, 1.0, 0)
    model = found._model(values, 1.0, 0).fit(found._train_x, found._train_y)
    expected = log_loss(found._test_y, model.predict_proba(found._test_x))
    assert measured["test_loss"] == pytest.approx(expected)

    diabetes = problem(table="diabetes", loss="squared_error", family="svm")
    constant = diabetes._measure({"C": 1e-3, "gamma": 1e-6}, 1.0, 0)
    # a model that learns nothing predicts the median: about the variance
    assert constant["loss"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_trains_on_a_default_and_says_its_fidelities(family: str) -> None:
    found = problem(family=family)
    config = found.info.space.get_default_configuration()
    lowest = found.info.fidelities[0]
    first, second = (found.evaluate(config, lowest, np.random.default_rng(1)) for _ in range(2))
    assert first.loss is not None, first.reason
    assert 0 <= first.loss < 0.67
    assert (first.loss, first.test_loss) == (second.loss, second.test_loss)
    assert (len(found.info.fidelities) > 1) == bool(found.info.fidelity_name)


def test_more_epochs_are_another_model() -> None:
    found = problem(family="mlp", table="wine", loss="log_loss", folds=2)
    config = found.info.space.get_default_configuration()
    losses = [found.evaluate(config, z, np.random.default_rng(1)).loss for z in found.info.fidelities]
    assert losses[-1] < losses[0]


def test_an_evaluation_that_raises_hangs_or_diverges_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problem(limit_seconds=1)
    values = {"n_neighbors": 7, "weights": "uniform", "metric": "chebyshev"}
    monkeypatch.setattr(found, "_measure", lambda *a: 1 / 0)
    assert evaluate(found, values).reason == "ZeroDivisionError: division by zero"
    monkeypatch.setattr(found, "_measure", lambda *a: __import__("time").sleep(30))
    hung = evaluate(found, values)
    assert hung.loss is None
    assert "limit of 1 s" in hung.reason
    assert hung.seconds >= 1
    monkeypatch.setattr(found, "_measure", lambda *a: {"loss": float("nan"), "seconds": 2.0, "test_loss": 0.0})
    nan = evaluate(found, values)
    assert (nan.loss, nan.seconds) == (None, 2.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"family": "svn"}, UnknownNameError, "svm"),
        ({"table": "titanic"}, UnknownNameError, "iris"),
        ({"loss": "auc"}, UnknownNameError, "log_loss"),
        ({"table": "diabetes"}, InputError, "is for classification"),
        (
            {"table": "diabetes", "loss": "squared_error", "family": "logistic_regression"},
            InputError,
            "no regression form",
        ),
        ({"family": "svm", "loss": "log_loss"}, InputError, "no probabilities"),
        ({"folds": 1}, InputError, "folds"),
        ({"table": "irs"}, UnknownNameError, "iris"),
        ({"table": "openml/x"}, UnknownNameError, "openml/31"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LOADER.check({"family": "neighbours", "table": "iris", **options})


def test_fingerprints_tell_problems_apart() -> None:
    found = {
        LOADER.fingerprint(
            {"family": family, "table": table, "loss": "squared_error" if kind == "regression" else "error"}
        )
        for family in FAMILIES
        for table, kind in BUNDLED.items()
        if kind in FAMILIES[family].tasks
    }
    assert len(found) == len(FAMILIES) * len(BUNDLED) - 1


def test_a_problem_says_what_its_data_are_like_and_on_which_it_is() -> None:
    info = problem().info
    assert info.data_set == "iris"
    assert info.meta_features["n_classes"] == 3
    assert info.histories() == ()


def test_a_budget_of_seconds_is_part_of_the_problem() -> None:
    assert problem(seconds=5).seconds == 5.0
    options = {"family": "neighbours", "table": "iris"}
    assert LOADER.fingerprint(options | {"seconds": 5}) != LOADER.fingerprint(options)


@pytest.mark.usefixtures("data_folder")
def test_a_task_of_openml_with_categories_and_missing_values() -> None:
    # 690 rows; 6 numeric and 9 nominal columns, 67 values missing, two classes
    options = {"family": "logistic_regression", "table": "openml/29", "loss": "log_loss"}
    LOADER.prepare(options, lambda line: None)
    found = LOADER.load("t", options)
    assert len(found._train_x) + len(found._test_x) == 690
    assert np.isfinite(found._train_x).all()
    assert np.isfinite(found._test_x).all()
    assert set(np.unique(found._train_y)) == {0, 1}
    loss = evaluate(found, {"C": 0.1, "class_weight": "none", "fit_intercept": True}).loss
    # better than the shares of the classes alone
    assert 0.2 < loss < 0.5
    assert found.info.data_set == "openml/29"
    assert LOADER.fingerprint(options) != LOADER.fingerprint(options | {"folds": 4})


@pytest.mark.usefixtures("data_folder")
def test_a_regression_task_of_openml() -> None:
    options = {"family": "neighbours", "table": "openml/359933", "loss": "squared_error"}
    LOADER.prepare(options, lambda line: None)
    found = evaluate(LOADER.load("t", options), {"n_neighbors": 10, "weights": "distance", "metric": "chebyshev"})
    assert 0.1 < found.loss < 0.8


@pytest.mark.usefixtures("data_folder")
def test_what_a_task_of_openml_is_not_for_is_said_once_it_is_ready() -> None:
    with pytest.raises(InputError, match=r"openml/359933.*regression"):
        LOADER.prepare({"family": "neighbours", "table": "openml/359933"}, lambda line: None)


@pytest.mark.usefixtures("data_folder")
def test_a_column_without_any_value_stays() -> None:
    # 29 columns, one of them empty
    options = {"family": "neighbours", "table": "openml/3021", "folds": 3}
    LOADER.prepare(options, lambda line: None)
    found = LOADER.load("t", options)
    assert np.isfinite(found._train_x).all()
    assert found.info.meta_features["majority_share"] > 0.9


def test_classes_that_a_fold_might_be_without_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    few = _live_tables.LiveTable(np.zeros((100, 2)), np.repeat([0, 1], [91, 9]))
    monkeypatch.setattr(_live_tables, "read", lambda table: few)
    assert problem(folds=4)
    with pytest.raises(InputError, match="fewer than 10 rows"):
        problem(folds=5)
