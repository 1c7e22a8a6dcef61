"""The AutoML protocol, as in AMLB.

One trial is one split of a task: fit on its training rows, predict its test rows.

The trial's seed is the number of the split (repeat x folds + fold), and the adapter's randomness
derives from it, as in AMLB. The score is the area under the ROC curve (two classes), minus the log
loss (more), or minus the root mean squared error (regression).

`fit` receives the training rows and targets. It may take the budget's seconds and is killed at
`fit_limit_seconds` of them. Loading, importing and `setup` are not timed. Test rows are predicted
twice: all at once, which is timed, and some one by one, for the latency of a single row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl import AutoMLAdapter, AutoMLBudget, TableInfo, TableTask
from benchbench.contracts.context import fit_limit_seconds
from benchbench.errors import InputError, ProtocolViolation
from benchbench.execution.adapters import make_adapter
from benchbench.protocols.automl_predictions import check_probabilities, check_values, predict, predict_labels
from benchbench.protocols.automl_remarks import remarks_on_classes, remarks_on_table
from benchbench.protocols.automl_scores import classification_scores, regression_scores, undefined_scores
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, checked_loader, metrics_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = [
    "CARDS_STATE_ITERATIONS",
    "CURVES_OF_INCUMBENTS",
    "EXTRA",
    "PACKAGES",
    "PRELOAD",
    "PROTOCOL_VERSION",
    "RECORDS_EVALUATIONS",
    "TIMED_PHASES",
    "UNUSED_BUDGET",
    "budget_iterations",
    "budget_of",
    "run",
    "score_predictions",
    "task_facts",
]

PROTOCOL_VERSION = "automl/1"
TIMED_PHASES = ("fit", "predict")
UNUSED_BUDGET = ("iterations", "test_units")
CARDS_STATE_ITERATIONS = False
CURVES_OF_INCUMBENTS = False
RECORDS_EVALUATIONS = False
EXTRA = "openml"
PACKAGES = ("sklearn",)
PRELOAD = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.pandas_compat",
    "sklearn.datasets",
    "sklearn.datasets.data",
    "sklearn.datasets.descr",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    # scikit-learn imports it with the first table that it gets
    "narwhals._pandas_like.namespace",
    "narwhals._pandas_like.dataframe",
    "narwhals._pandas_like.group_by",
    "narwhals.stable.v2._namespace",
    "importlib.resources.readers",
)

# number of single rows whose prediction is timed: as many as fit into these seconds, at least one,
# at most so many
LATENCY_ROWS = 20
LATENCY_SECONDS = 1.0


def budget_iterations(cls: type[AutoMLAdapter], preset: str, task: str, loader: str, options: dict[str, Any]) -> int:
    """Return 0: budgets of this track are seconds."""
    return 0


def task_facts(task: str, loader: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return nothing: the options hold all facts."""
    return {}


def run(spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
    """Execute one trial in this process.

    Raises
    ------
    Declined
        If the method declines the task, or its metric is undefined on this split.
    ClusterError
        If the data here differ from the planned ones.
    ProtocolViolation
        If predictions have the wrong shape, are not finite, or are not probabilities.
    """
    with clock.phase("load"):
        loader = checked_loader(spec, fingerprint)
        info: TableInfo = loader.info(spec.task, spec.options)
    with clock.phase("import"):
        adapter: AutoMLAdapter = make_adapter(spec, harness)
    try:
        with clock.phase("import"):
            reason = adapter.supports(info)
        if reason is not None:
            raise Declined(reason)
        with clock.phase("load"):
            task: TableTask = loader.load(spec.task, spec.options)
            train, test = task.split(spec.seed)
            check_split(task, train, test)
            info = replace(info, n_rows=len(train))
        with clock.phase("setup"):
            adapter.setup(info, budget=budget_of(spec), context=harness.context)
        with columns_named(info):
            fit(adapter, task, train, harness, clock)
            return score(adapter, task, test, clock)
    finally:
        with clock.phase("close"):
            adapter.close()


def check_split(task: TableTask, train: NDArray[np.int32], test: NDArray[np.int32]) -> None:
    """Decline a split that no method can be scored on, before anything is spent on it.

    Raises
    ------
    Declined
    """
    for rows, what in ((train, "training"), (test, "test")):
        if not len(rows):
            raise Declined(f"this split has no {what} rows")
    metric = task.info.metric
    reason = undefined_scores(task.info.kind, truth_of(task, test)).get(metric)
    if reason is not None:
        raise Declined(
            f"{metric}, the task's metric, is undefined: {reason}; splits must have test rows of both classes"
        )


def truth_of(task: TableTask, rows: NDArray[np.int32]) -> NDArray[Any]:
    """Return the true indices of classes (n,) int64, or values (n,) float64."""
    import numpy as np

    target = task.target.iloc[rows]
    return np.asarray(target, np.float64) if task.info.kind == "regression" else np.asarray(target.cat.codes, np.int64)


@contextmanager
def columns_named(info: TableInfo) -> Iterator[None]:
    """Add to a method's error which columns hold values that it may have failed for."""
    try:
        yield
    except Exception as error:
        for remark in remarks_on_table(info):
            error.add_note(remark)
        raise


def budget_of(spec: TrialSpec) -> AutoMLBudget:
    """Return the budget of `fit`; without a limit of training, the trial's limit holds."""
    budget = spec.budget
    return AutoMLBudget(
        seconds=budget.time_limit_seconds if budget.fit_seconds is None else budget.fit_seconds,
        threads=budget.threads,
        memory_mib=budget.memory_limit_mib,
    )


def fit(
    adapter: AutoMLAdapter, task: TableTask, train: NDArray[np.int32], harness: TrialHarness, clock: PhaseClock
) -> None:
    """Fit the adapter to the training rows, within the limit."""
    with clock.phase("load"):
        target = task.target.iloc[train].reset_index(drop=True)
        rows = adapter.hand_over(task.table, train, target)
    with harness.limited("fit", fit_limit_seconds(adapter.budget.seconds)):
        harness.start_clock()
        with clock.phase("fit"):
            adapter.fit(rows, target)


def score(adapter: AutoMLAdapter, task: TableTask, test: NDArray[np.int32], clock: PhaseClock) -> ProtocolResult:
    """Predict the test rows and score the predictions."""
    with clock.phase("load"):
        rows = adapter.hand_over(task.table, test)
    with clock.phase("predict"):
        predictions = predict(adapter, rows)
    metrics = {"predict_seconds": clock.seconds["predict"], "predict_rows": float(len(test))}
    with clock.phase("latency"):
        metrics |= row_latency(adapter, rows)
    labels = None
    if adapter.info.kind != "regression":
        with clock.phase("labels"):
            labels = predict_labels(adapter, rows)
    with clock.phase("score"):
        found = scored(task, test, predictions, labels)
    found.metrics = metrics | found.metrics
    # a method's own figures replace none of these
    found.metrics |= metrics_of(adapter, found.metrics)
    return found


def scored(
    task: TableTask, test: NDArray[np.int32], predictions: NDArray[np.float64], labels: NDArray[np.int64] | None
) -> ProtocolResult:
    """Score checked predictions of the test rows.

    Parameters
    ----------
    task : TableTask
    test : (n,) int32
        Numbers of the rows.
    predictions : (n, n_classes) or (n,) float64
        Probabilities, or values for regression.
    labels : (n,) int64 or None
        Predicted classes; None for regression.
    """
    info, truth = task.info, truth_of(task, test)
    remarks = remarks_on_table(info)
    if labels is None:
        metrics = regression_scores(truth, predictions)
    else:
        metrics = classification_scores(truth, labels, predictions)
        remarks += remarks_on_classes(truth, labels, predictions, metrics.get("auc"))
    remarks += [f"{name} is undefined: {reason}" for name, reason in undefined_scores(info.kind, truth).items()]
    name, sign = {"auc": ("auc", 1), "log_loss": ("neg_log_loss", -1), "rmse": ("neg_rmse", -1)}[info.metric]
    return ProtocolResult(
        metric=name, unit="fold", unit_scores=[sign * metrics[info.metric]], metrics=metrics, remarks=remarks
    )


def score_predictions(
    task: TableTask, split: int, given: Mapping[int, tuple[str, Mapping[str, float], str]]
) -> ProtocolResult:
    """Score predictions that were made elsewhere.

    Parameters
    ----------
    task : TableTask
    split : int
    given : mapping of int to (str, mapping of str to float, str)
        By row of the table: the predicted class, or value; the probabilities by class (without any,
        the predicted class has the probability 1); and the true one, which must be that of the
        task, or "".

    Raises
    ------
    InputError
        If the rows are not the split's test rows, a true value is not the task's, or a prediction
        is not one.
    """
    import numpy as np

    _, test = task.split(split)
    expected, have = {int(row) for row in test}, set(given)
    for what, rows in (("missing", expected - have), ("not test rows of this split", have - expected)):
        if rows:
            shown = ", ".join(map(str, sorted(rows)[:5])) + (", ..." if len(rows) > 5 else "")
            raise InputError(f"split {split}: {len(rows)} of {len(expected)} rows are {what}: {shown}")
    for row, (_, _, said) in given.items():
        own = task.target.iloc[row]
        if said and not (float(own) == _number(said) if task.info.kind == "regression" else str(own) == said):
            raise InputError(
                f"split {split}: the predictions say that row {row} is {said!r}, the data say {str(own)!r}: they are of"
                " other data"
            )
    try:
        check_split(task, np.asarray([0], np.int32), test)
        ordered = [given[int(row)] for row in test]
        if task.info.kind == "regression":
            return scored(task, test, check_values([value for value, _, _ in ordered], len(test)), None)
        classes = list(task.info.classes)
        if unknown := sorted({label for label, _, _ in ordered} - set(classes)):
            raise InputError(
                f"split {split}: predicted class {unknown[0]!r} is none of {', '.join(map(repr, classes))}"
            )
        labels = np.array([classes.index(label) for label, _, _ in ordered], dtype=np.int64)
        names = list(ordered[0][1])
        if names and sorted(names) != sorted(classes):
            raise InputError(f"the probabilities are of {', '.join(names)}; expected the classes {', '.join(classes)}")
        table = [[row[name] for name in classes] for _, row, _ in ordered] if names else np.eye(len(classes))[labels]
        return scored(task, test, check_probabilities(table, len(test), classes), labels)
    except (ProtocolViolation, Declined) as error:
        raise InputError(f"split {split}: {error}") from error


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def row_latency(adapter: AutoMLAdapter, rows: Any) -> dict[str, float]:
    """Return the median seconds per prediction of a single row; preparing the row is not timed."""
    import numpy as np

    ask = adapter.predict if adapter.info.kind == "regression" else adapter.predict_proba
    started, seconds = perf_counter(), []
    for i in range(min(LATENCY_ROWS, len(rows))):
        one = adapter.row(rows, i)
        before = perf_counter()
        try:
            ask(one)
        except NotImplementedError:
            ask = adapter.predict
            continue
        seconds.append(perf_counter() - before)
        if perf_counter() - started > LATENCY_SECONDS:
            break
    return {"row_latency_seconds": float(np.median(seconds))} if seconds else {}
