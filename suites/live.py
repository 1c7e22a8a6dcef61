"""Live problems of hyper-parameter optimisation: models cross-validated on real tables.

A quarter of the rows (stratified for classification) is set aside; the loss is the mean over
cross-validation folds of the rest, and the test loss that of a model of all the rest on what was
set aside. No optimiser sees it. Every evaluation runs in a process of its own with a time limit:
what raises, crashes or hangs is a failed evaluation. Its seconds are those that the processor spent
on the cross-validation, so that a busy machine does not move the clock.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.hpo import Evaluation, Problem, ProblemInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import InputError, UnknownNameError
from benchbench.spec import content_hash
from benchbench.suites import _live_tables as tables
from benchbench.suites._isolated import IsolatedError, call_isolated
from benchbench.suites._meta_features import meta_features
from benchbench.suites._model_families import FAMILIES, Family
from benchbench.suites._options import check_range, read_options
from benchbench.suites.evaluation_tables import check_related, digest, read_histories, space_definition

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration
    from numpy.typing import NDArray

__all__ = ["LiveLoader", "LiveOptions", "LiveProblem"]

VERSION = 2
"""Raised when a family, a split, a loss or the clock changes."""
TEST_SHARE = 0.25
# of the splits, the same for every optimiser
SPLIT_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """Options of the loader.

    Parameters
    ----------
    family : str
        One of `_model_families.FAMILIES`.
    table : str
        One of `_live_tables.BUNDLED`, or a task of OpenML, like "openml/31".
    loss : str
        "error" (1 - accuracy) or "log_loss" for classification, "squared_error" (over the variance)
        for regression.
    folds : int
        Of the cross-validation.
    limit_seconds : int
        Of one evaluation; reaching it is a failure.
    related : tuple of str
        Tables of evaluations of the same family on other data sets, for optimisers that learn from
        them.
    seconds : int
        Budget of the clock, which runs while folds are trained and tested; 0 for none.
    workers : int
        Evaluations that run at once, on the problem's clock.
    """

    family: str
    table: str
    loss: str = "error"
    folds: int = 5
    limit_seconds: int = 60
    related: tuple[str, ...] = ()
    seconds: int = 0
    workers: int = 1


LOSSES = {"error": "classification", "log_loss": "classification", "squared_error": "regression"}


class LiveLoader(TaskLoader):
    """Models trained on tables that come with scikit-learn, or on OpenML's."""

    name = "live"
    track: ClassVar[str] = "hpo"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        found = read_options(LiveOptions, options, self.name)
        for kind, name, known in (
            ("family of models", found.family, FAMILIES),
            ("loss", found.loss, LOSSES),
        ):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        tables.check_name(found.table)
        if found.table in tables.BUNDLED:
            _check_kind(found)
        task = LOSSES[found.loss]
        if task not in FAMILIES[found.family].tasks:
            raise InputError(f"family {found.family!r} has no {task} form")
        if found.loss == "log_loss" and found.family == "svm":
            raise InputError("family 'svm' gives no probabilities: use loss = \"error\"")
        check_range(self.name, "folds", found.folds, 2, 20)
        check_range(self.name, "limit_seconds", found.limit_seconds, 1, 86_400)
        check_range(self.name, "seconds", found.seconds, 0, 10**9)
        check_range(self.name, "workers", found.workers, 1, 1000)
        if found.related:
            check_related(found.related, found.table, FAMILIES[found.family].space())

    def info(self, name: str, options: Mapping[str, Any]) -> ProblemInfo:
        """See the base class."""
        self.check(options)
        found = read_options(LiveOptions, options, self.name)
        family = FAMILIES[found.family]
        return ProblemInfo(
            name=name,
            space=family.space(),
            fidelities=family.fidelities,
            fidelity_name=family.fidelity_name,
            data_set=found.table,
            histories=cache(partial(read_histories, found.related)),
        )

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Make a task of OpenML ready; other tables are part of scikit-learn."""
        self.check(options)
        found = read_options(LiveOptions, options, self.name)
        tables.prepare(found.table, progress)
        _check_kind(found)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class.

        Other versions of scikit-learn train other models, so its version is part of the problem.
        """
        from importlib.metadata import version

        self.check(options)
        found = read_options(LiveOptions, options, self.name)
        # what is not used does not count
        plain = {key: value for key, value in asdict(found).items() if value or key not in ("related", "seconds")}
        if found.related:
            plain["related"] = digest(found.related)
        data = tables.fingerprint(found.table)
        if data:
            plain["data"] = data
        return content_hash(
            {
                "loader": self.name,
                "version": VERSION,
                "options": plain,
                "space": space_definition(FAMILIES[found.family].space()),
                "scikit-learn": version("scikit-learn"),
            }
        )

    def load(self, name: str, options: Mapping[str, Any]) -> Problem:
        """See the base class."""
        return LiveProblem(self.info(name, options), read_options(LiveOptions, options, self.name))


def _check_kind(options: LiveOptions) -> None:
    """Raise `InputError` unless the loss fits the target of the table, which must be ready."""
    task = "regression" if tables.is_regression(options.table) else "classification"
    if LOSSES[options.loss] != task:
        raise InputError(f"loss {options.loss!r} is for {LOSSES[options.loss]}, table {options.table!r} is {task}")


class LiveProblem(Problem):
    """Cross-validated loss of a family of models on a table."""

    def __init__(self, info: ProblemInfo, options: LiveOptions) -> None:
        import numpy as np
        from sklearn.impute import SimpleImputer
        from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

        self.workers, self.seconds, self._options = options.workers, options.seconds or None, options
        self._family: Family = FAMILIES[options.family]
        self._is_regression = LOSSES[options.loss] == "regression"
        table = tables.read(options.table)
        x, y = table.x, table.y
        if not self._is_regression and np.unique(y, return_counts=True)[1].min() < 2 * options.folds:
            raise InputError(
                f"table {options.table!r} has a class with fewer than {2 * options.folds} rows, so that with "
                f"{options.folds} folds one might be without it; take fewer folds or another table"
            )
        self._train_x, self._test_x, self._train_y, self._test_y = train_test_split(
            x, y, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=None if self._is_regression else y
        )
        if np.isnan(x).any():
            # a column without any value stays, as zeros
            median = SimpleImputer(strategy="median", keep_empty_features=True).fit(self._train_x)
            self._train_x, self._test_x = median.transform(self._train_x), median.transform(self._test_x)
        kind = KFold if self._is_regression else StratifiedKFold
        folds = kind(options.folds, shuffle=True, random_state=SPLIT_SEED)
        self._folds = list(folds.split(self._train_x, self._train_y))
        described = meta_features(self._train_x, self._train_y, is_regression=self._is_regression)
        self.info = replace(info, meta_features=described)
        # imports what a model needs, which every evaluation would do again in its own process;
        # nothing is trained here, since a process that ran a parallel region cannot be forked
        # safely
        self._model(dict(info.space.get_default_configuration()), info.fidelities[0], 0)

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        """See the base class."""
        values = {name: _plain(value) for name, value in dict(config).items()}
        seed = int(rng.integers(2**31))
        started = time.perf_counter()
        try:
            found = call_isolated(
                lambda: self._measure(values, fidelity, seed), limit_seconds=self._options.limit_seconds
            )
        except IsolatedError as error:
            return Evaluation(None, time.perf_counter() - started, reason=str(error))
        if not math.isfinite(found["loss"]):
            return Evaluation(None, found["seconds"], reason=f"the loss is {found['loss']}")
        return Evaluation(found["loss"], found["seconds"], test_loss=found["test_loss"])

    def _measure(self, values: Mapping[str, Any], fidelity: float, seed: int) -> dict[str, float]:
        with warnings.catch_warnings():
            # a model that does not converge, or lacks a class, is judged by its loss
            warnings.simplefilter("ignore")
            started = time.process_time()
            losses = []
            for train, valid in self._folds:
                model = self._model(values, fidelity, seed).fit(self._train_x[train], self._train_y[train])
                losses.append(self._loss(model, self._train_x[valid], self._train_y[valid]))
            seconds = time.process_time() - started
            model = self._model(values, fidelity, seed).fit(self._train_x, self._train_y)
            test_loss = self._loss(model, self._test_x, self._test_y)
        return {"loss": math.fsum(losses) / len(losses), "seconds": seconds, "test_loss": test_loss}

    def _model(self, values: Mapping[str, Any], fidelity: float, seed: int) -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = self._family.make(values, fidelity, seed, self._is_regression)
        return make_pipeline(StandardScaler(), model) if self._family.scales else model

    def _loss(self, model: Any, x: NDArray[Any], y: NDArray[Any]) -> float:
        import numpy as np

        if self._options.loss == "error":
            return float(np.mean(model.predict(x) != y))
        if self._options.loss == "squared_error":
            return float(np.mean((model.predict(x) - y) ** 2) / np.var(self._train_y))
        probabilities = model.predict_proba(x)
        places = np.searchsorted(model.classes_, y)
        truth = probabilities[np.arange(len(y)), places]
        return float(-np.log(np.clip(truth, 1e-12, 1.0)).mean())


def _plain(value: Any) -> Any:
    """Return a numpy scalar as Python's own."""
    return value.item() if hasattr(value, "item") else value
