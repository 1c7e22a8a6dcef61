"""Live problems: models trained on real tables, in processes of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import Configuration

from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import get_loader
from benchbench.suites._model_families import FAMILIES
from benchbench.suites.live import TABLES

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
        for table, kind in TABLES.items()
        if kind in FAMILIES[family].tasks
    }
    assert len(found) == len(FAMILIES) * len(TABLES) - 1
