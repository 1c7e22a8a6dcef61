"""Families of models of scikit-learn, their hyper-parameters, and what their fidelity is.

Importing this is light.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

__all__ = ["FAMILIES", "Family"]

# shares of the full fidelity, ascending: 3, 9, 27 and 81 epochs, trees or rounds
LADDER = (1 / 27, 1 / 9, 1 / 3, 1.0)
FULL = 81


@dataclass(frozen=True, slots=True)
class Family:
    """Models that differ in hyper-parameters.

    Parameters
    ----------
    space : callable
        Returns the space.
    make : callable
        (values, fidelity, seed, is_regression) to an estimator; `values` holds the active
        parameters only.
    fidelities : tuple of float
    fidelity_name : str
    scales : bool
        Whether inputs are standardised first.
    tasks : tuple of str
        "classification", "regression".
    """

    space: Callable[[], ConfigurationSpace]
    make: Callable[[Mapping[str, Any], float, int, bool], Any]
    fidelities: tuple[float, ...] = (1.0,)
    fidelity_name: str = ""
    scales: bool = False
    tasks: tuple[str, ...] = ("classification", "regression")


def _steps(fidelity: float) -> int:
    return max(1, round(FULL * fidelity))


def _svm_space() -> ConfigurationSpace:
    from ConfigSpace import ConfigurationSpace, Float

    return ConfigurationSpace(space=[Float("C", (1e-3, 1e4), log=True), Float("gamma", (1e-6, 1e1), log=True)])


def _svm(values: Mapping[str, Any], fidelity: float, seed: int, is_regression: bool) -> Any:
    from sklearn.svm import SVC, SVR

    kind = SVR if is_regression else SVC
    return kind(C=values["C"], gamma=values["gamma"], kernel="rbf")


def _linear_space() -> ConfigurationSpace:
    from ConfigSpace import Categorical, ConfigurationSpace, Float

    return ConfigurationSpace(
        space=[
            Float("C", (1e-5, 1e5), log=True),
            Categorical("class_weight", ["none", "balanced"]),
            Categorical("fit_intercept", [True, False]),
        ]
    )


def _linear(values: Mapping[str, Any], fidelity: float, seed: int, is_regression: bool) -> Any:
    from sklearn.linear_model import LogisticRegression

    weight = None if values["class_weight"] == "none" else "balanced"
    return LogisticRegression(
        C=values["C"], class_weight=weight, fit_intercept=bool(values["fit_intercept"]), max_iter=300
    )


def _forest_space() -> ConfigurationSpace:
    from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

    return ConfigurationSpace(
        space=[
            Float("max_features", (0.02, 1.0), log=True),
            Integer("min_samples_leaf", (1, 64), log=True),
            Integer("max_depth", (1, 32), log=True),
            Categorical("bootstrap", [True, False]),
        ]
    )


def _forest(values: Mapping[str, Any], fidelity: float, seed: int, is_regression: bool) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if is_regression else RandomForestClassifier
    return kind(
        n_estimators=_steps(fidelity),
        max_features=values["max_features"],
        min_samples_leaf=int(values["min_samples_leaf"]),
        max_depth=int(values["max_depth"]),
        bootstrap=bool(values["bootstrap"]),
        random_state=seed,
        n_jobs=1,
    )


def _boosting_space() -> ConfigurationSpace:
    from ConfigSpace import ConfigurationSpace, Float, Integer

    return ConfigurationSpace(
        space=[
            Float("learning_rate", (1e-3, 1.0), log=True),
            Integer("max_leaf_nodes", (2, 64), log=True),
            Integer("min_samples_leaf", (1, 64), log=True),
            Float("l2_regularization", (1e-6, 1e2), log=True),
            Float("max_features", (0.1, 1.0)),
        ]
    )


def _boosting(values: Mapping[str, Any], fidelity: float, seed: int, is_regression: bool) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    return kind(
        max_iter=_steps(fidelity),
        learning_rate=values["learning_rate"],
        max_leaf_nodes=int(values["max_leaf_nodes"]),
        min_samples_leaf=int(values["min_samples_leaf"]),
        l2_regularization=values["l2_regularization"],
        max_features=values["max_features"],
        early_stopping=False,
        random_state=seed,
    )


def _mlp_space() -> ConfigurationSpace:
    from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

    space = ConfigurationSpace(
        space=[
            Categorical("solver", ["adam", "sgd"]),
            Float("learning_rate_init", (1e-4, 1e-1), log=True),
            Float("alpha", (1e-7, 1e-1), log=True),
            Integer("batch_size", (8, 256), log=True),
            Integer("width", (4, 128), log=True),
            Categorical("depth", [1, 2, 3]),
            Categorical("activation", ["relu", "tanh"]),
        ]
    )
    momentum = Float("momentum", (0.0, 0.99))
    space.add(momentum)
    space.add(EqualsCondition(momentum, space["solver"], "sgd"))
    return space


def _mlp(values: Mapping[str, Any], fidelity: float, seed: int, is_regression: bool) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if is_regression else MLPClassifier
    return kind(
        hidden_layer_sizes=(int(values["width"]),) * int(values["depth"]),
        activation=str(values["activation"]),
        solver=str(values["solver"]),
        alpha=values["alpha"],
        batch_size=int(values["batch_size"]),
        learning_rate_init=values["learning_rate_init"],
        momentum=float(values.get("momentum", 0.9)),
        # never stops by itself: the epochs are the fidelity
        max_iter=_steps(fidelity),
        n_iter_no_change=10**6,
        tol=0.0,
        random_state=seed,
    )


def _neighbours_space() -> ConfigurationSpace:
    from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

    space = ConfigurationSpace(
        space=[
            Integer("n_neighbors", (1, 64), log=True),
            Categorical("weights", ["uniform", "distance"]),
            Categorical("metric", ["minkowski", "chebyshev", "cosine"]),
        ]
    )
    power = Float("p", (0.5, 4.0), log=True)
    space.add(power)
    space.add(EqualsCondition(power, space["metric"], "minkowski"))
    return space


def _neighbours(values: Mapping[str, Any], fidelity: float, seed: int, is_regression: bool) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    kind = KNeighborsRegressor if is_regression else KNeighborsClassifier
    return kind(
        n_neighbors=int(values["n_neighbors"]),
        weights=str(values["weights"]),
        metric=str(values["metric"]),
        p=float(values.get("p", 2.0)),
        algorithm="brute",
    )


FAMILIES: dict[str, Family] = {
    "svm": Family(_svm_space, _svm, scales=True),
    "logistic_regression": Family(_linear_space, _linear, scales=True, tasks=("classification",)),
    "random_forest": Family(_forest_space, _forest, LADDER, "trees"),
    "boosting": Family(_boosting_space, _boosting, LADDER, "rounds"),
    "mlp": Family(_mlp_space, _mlp, LADDER, "epochs", scales=True),
    "neighbours": Family(_neighbours_space, _neighbours, scales=True),
}
