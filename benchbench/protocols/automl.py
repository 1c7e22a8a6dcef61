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

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl import AutoMLAdapter, AutoMLBudget, TableInfo, TableTask
from benchbench.contracts.context import fit_limit_seconds
from benchbench.errors import ProtocolViolation
from benchbench.execution.adapters import make_adapter
from benchbench.protocols.automl_scores import classification_scores, regression_scores
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, checked_loader, metrics_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = [
    "CARDS_STATE_ITERATIONS",
    "CURVES_OF_INCUMBENTS",
    "PRELOAD",
    "PROTOCOL_VERSION",
    "RECORDS_EVALUATIONS",
    "TIMED_PHASES",
    "UNUSED_BUDGET",
    "budget_iterations",
    "budget_of",
    "predict",
    "run",
    "task_facts",
]

PROTOCOL_VERSION = "automl/1"
TIMED_PHASES = ("fit", "predict")
UNUSED_BUDGET = ("iterations", "test_units")
CARDS_STATE_ITERATIONS = False
CURVES_OF_INCUMBENTS = False
RECORDS_EVALUATIONS = False
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
# tolerance of the sum of a row of probabilities: the rounding of float32
ROW_SUM_TOLERANCE = 1e-3


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
        If the method declines the task.
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
            info = replace(info, n_rows=len(train))
        with clock.phase("setup"):
            adapter.setup(info, budget=budget_of(spec), context=harness.context)
        fit(adapter, task, train, harness, clock)
        return score(adapter, task, test, clock)
    finally:
        with clock.phase("close"):
            adapter.close()


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
    if adapter.info.kind == "regression":
        with clock.phase("score"):
            metrics |= regression_scores(task.target.iloc[test].to_numpy("float64"), predictions)
    else:
        with clock.phase("labels"):
            labels = predict_labels(adapter, rows, predictions)
        with clock.phase("score"):
            metrics |= classification_scores(task.target.iloc[test].cat.codes.to_numpy("int64"), labels, predictions)
    metrics |= metrics_of(adapter, metrics)
    name, sign = {"auc": ("auc", 1), "log_loss": ("neg_log_loss", -1), "rmse": ("neg_rmse", -1)}[adapter.info.metric]
    found = sign * metrics[adapter.info.metric]
    return ProtocolResult(metric=name, unit="fold", unit_scores=[found], metrics=metrics)


def predict(adapter: AutoMLAdapter, rows: Any) -> NDArray[np.float64]:
    """Return checked probabilities (n, n_classes), or values (n,) for regression.

    `rows` is what `hand_over` returned, or a DataFrame. For a method without probabilities, each
    predicted class gets the probability 1.

    Raises
    ------
    ProtocolViolation
    """
    info = adapter.info
    if info.kind == "regression":
        return check_values(adapter.predict(rows), len(rows))
    try:
        found: Any = adapter.predict_proba(rows)
    except NotImplementedError:
        import numpy as np

        return np.eye(len(info.classes))[check_labels(adapter.predict(rows), len(rows), len(info.classes))]
    return check_probabilities(found, len(rows), len(info.classes))


def predict_labels(adapter: AutoMLAdapter, rows: Any, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return checked indices of classes (n,)."""
    return check_labels(adapter.predict(rows), *probabilities.shape)


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


def _array(found: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    import numpy as np

    try:
        array = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProtocolViolation(f"{what} are not numbers but {type(found).__name__}: {error}") from error
    if array.shape != shape:
        raise ProtocolViolation(f"{what} have shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise ProtocolViolation(f"{int((~np.isfinite(array)).sum())} of {array.size} {what} are NaN or infinite")
    return array


def check_values(found: Any, n_rows: int) -> NDArray[np.float64]:
    """Return predicted values (n_rows,), or raise `ProtocolViolation`."""
    return _array(found, (n_rows,), "predicted values")


def check_labels(found: Any, n_rows: int, n_classes: int) -> NDArray[np.int64]:
    """Return predicted indices of classes (n_rows,), or raise `ProtocolViolation`."""
    array = _array(found, (n_rows,), "predicted classes")
    labels = array.astype("int64")
    if (labels != array).any() or (n_rows and (labels.min() < 0 or labels.max() >= n_classes)):
        raise ProtocolViolation(
            f"predicted classes lie in [{array.min():g}, {array.max():g}], expected indices 0 to {n_classes - 1}"
            " in the task's order of classes"
        )
    return labels


def check_probabilities(found: Any, n_rows: int, n_classes: int) -> NDArray[np.float64]:
    """Return probabilities (n_rows, n_classes) unchanged, or raise `ProtocolViolation`."""
    import numpy as np

    array = _array(found, (n_rows, n_classes), "probabilities")
    if array.size and (array.min() < -ROW_SUM_TOLERANCE or array.max() > 1 + ROW_SUM_TOLERANCE):
        raise ProtocolViolation(f"probabilities lie in [{array.min():.4g}, {array.max():.4g}], expected [0, 1]")
    worst = float(np.abs(array.sum(axis=1) - 1).max(initial=0.0))
    if worst > ROW_SUM_TOLERANCE:
        raise ProtocolViolation(f"rows of probabilities must sum to 1; one is off by {worst:.4g}")
    return array
