"""Probes for AutoML methods: each runs in a child process on small generated tables.

The tables have every kind of column and missing values.

This module is also the runner that the child executes instead of the protocol; the trial's task
names the probe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchbench.conformance.base import CheckFailed, NotApplicable
from benchbench.contracts.automl import AutoMLAdapter, TableInfo
from benchbench.execution.adapters import make_adapter
from benchbench.protocols import automl as protocol
from benchbench.protocols.automl_predictions import predict, predict_labels
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, metrics_of
from benchbench.registry import get_loader, get_method

if TYPE_CHECKING:
    import pandas as pd

    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = ["PROBES", "PROTOCOL_VERSION", "TASKS", "TIMED_PHASES", "run"]

PROTOCOL_VERSION = protocol.PROTOCOL_VERSION
TIMED_PHASES: tuple[str, ...] = ()

# kind of task -> (loader, options)
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "binary": ("sklearn", {"table": "breast_cancer"}),
    "multiclass": ("sklearn", {"table": "iris"}),
    "regression": ("sklearn", {"table": "diabetes"}),
}
N_ROWS = 120
# AutoML systems use all the time that they are given, and a probe fits several times
WRAPPED_SECONDS = 10.0
ODD_NAMES = ('a "b", [c]: {d}', "", "class", "f0", "name" * 100)
"""Names for the columns of the made-up table."""


def run(spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
    """Run the probe that the trial's task names."""
    info = get_loader(spec.loader).info(spec.task, spec.options)
    adapter = make_adapter(spec, harness)
    reason = adapter.supports(info)
    adapter.close()
    if reason is not None:
        raise Declined(reason)
    PROBES[spec.task](Subject(spec, info.kind, harness))
    return ProtocolResult(metric="passed", unit="check", unit_scores=[1.0])


@dataclass(frozen=True, slots=True)
class Subject:
    """A method's name and parameters, and the kind of task to probe it on."""

    spec: TrialSpec
    kind: str
    harness: TrialHarness

    def table(self, seed: int = 0) -> tuple[pd.DataFrame, pd.Series[Any]]:
        """Return rows with numbers, categories, texts, missing values, and a predictable target."""
        import numpy as np
        import pandas as pd

        rng = np.random.default_rng(seed)
        x, code = rng.normal(size=N_ROWS), rng.integers(0, 3, N_ROWS)
        rows = pd.DataFrame(
            {
                "number": x,
                "whole": rng.integers(0, 50, N_ROWS),
                "gaps": np.where(rng.random(N_ROWS) < 0.3, np.nan, rng.normal(size=N_ROWS)),
                "category": pd.Categorical.from_codes(
                    np.where(rng.random(N_ROWS) < 0.1, -1, code), ["a", "b", "c", "d"]
                ),
                "text": pd.Series(rng.choice(["one", "two"], N_ROWS), dtype="str").where(rng.random(N_ROWS) < 0.9),
            }
        )
        if self.kind == "regression":
            return rows, pd.Series(3 * x + code)
        places = (x > 0).astype(int) if self.kind == "binary" else np.digitize(x, [-0.5, 0.5])
        return rows, pd.Series(pd.Categorical.from_codes(places, list(self.classes)))

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in an order that is not alphabetical."""
        return {"binary": ("yes", "no"), "multiclass": ("m", "z", "a")}.get(self.kind, ())

    def fitted(self, rows: pd.DataFrame, target: pd.Series[Any]) -> AutoMLAdapter:
        """Return a new adapter fitted to these rows; the caller closes it."""
        classes = () if self.kind == "regression" else tuple(target.cat.categories)
        info = TableInfo(
            name="made up",
            kind=self.kind,
            metric={"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}[self.kind],
            target="target",
            classes=classes,
            columns={str(name): _kind(rows[name]) for name in rows.columns},
            n_rows=len(rows),
        )
        adapter: AutoMLAdapter = make_adapter(self.spec, self.harness)
        budget = protocol.budget_of(self.spec)
        if get_method(self.spec.method).card.requirements:
            budget = replace(budget, seconds=WRAPPED_SECONDS)
        adapter.setup(info, budget=budget, context=self.harness.context)
        self.harness.start_clock()
        adapter.fit(rows, target)
        return adapter

    def predict(self, fit_on: tuple[pd.DataFrame, pd.Series[Any]], rows: pd.DataFrame) -> Any:
        """Return checked probabilities, or values, of a new adapter."""
        adapter = self.fitted(*fit_on)
        try:
            return predict(adapter, rows)
        finally:
            adapter.close()


def _kind(column: pd.Series[Any]) -> str:
    """Return the kind of a column by its type."""
    return "nominal" if column.dtype == "category" else "numeric" if column.dtype.kind in "if" else "string"


def check_predictions_keep_the_contract(subject: Subject) -> None:
    """Predictions have the right shape and are finite; probabilities and labels are valid."""
    rows, target = subject.table()
    adapter = subject.fitted(rows, target)
    try:
        predict(adapter, rows)
        if subject.kind != "regression":
            predict_labels(adapter, rows)
        predict(adapter, rows.iloc[:1])
    finally:
        adapter.close()


def check_classes_are_in_the_tasks_order(subject: Subject) -> None:
    """Columns of probabilities and labels follow the task's declared order of classes."""
    rows, target = subject.table()
    if subject.kind == "regression":
        raise NotApplicable("there are no classes")
    shares = target.value_counts(normalize=True)
    for classes in (subject.classes, subject.classes[::-1]):
        ordered = target.cat.reorder_categories(list(classes))
        codes = ordered.cat.codes.to_numpy()
        adapter = subject.fitted(rows, ordered)
        try:
            probabilities = predict(adapter, rows)
            labels = predict_labels(adapter, rows)
        finally:
            adapter.close()
        # a constant predictor passes if its averages follow the order
        truth, chance = probabilities[range(N_ROWS), codes].mean(), float((shares**2).sum())
        if truth < chance - 0.02:
            raise CheckFailed(
                f"training rows get probability {truth:.2f} for their own class on average,"
                f" chance is {chance:.2f}, with classes declared as {', '.join(classes)}: columns must be in that order"
            )
        if (labels == codes).mean() < float(shares.min()) - 0.02:
            raise CheckFailed(f"labels are not indices into the declared order of classes, {', '.join(classes)}")


def check_strange_categories_and_gaps_break_nothing(subject: Subject) -> None:
    """Rows with unseen categories or texts, and rows with only missing values, are predicted."""
    import numpy as np
    import pandas as pd

    rows, target = subject.table()
    known = rows["category"].cat.categories
    odd = rows.assign(
        category=pd.Categorical.from_codes(np.full(N_ROWS, 3), known),
        text=pd.Series(["never seen"] * N_ROWS, dtype="str"),
    )
    gaps = rows.assign(
        number=np.nan,
        gaps=np.nan,
        category=pd.Categorical.from_codes(np.full(N_ROWS, -1), known),
        text=pd.Series([None] * N_ROWS, dtype="str"),
    )
    adapter = subject.fitted(rows, target)
    try:
        for name, asked in (("unseen categories", odd), ("gaps everywhere", gaps)):
            try:
                predict(adapter, asked)
            except Exception as error:  # a library may raise anything
                raise CheckFailed(f"rows with {name} cannot be predicted: {type(error).__name__}: {error}") from error
    finally:
        adapter.close()


def check_names_of_columns_do_not_matter(subject: Subject) -> None:
    """Columns may have any name: with characters that mean something in JSON, long, or empty."""
    import numpy as np

    rows, target = subject.table()
    odd = rows.set_axis(list(ODD_NAMES), axis=1)
    try:
        found = subject.predict((odd, target), odd)
    except Exception as error:  # a library may raise anything
        raise CheckFailed(
            f"columns named {', '.join(map(repr, ODD_NAMES))} cannot be used: {type(error).__name__}: {error}"
        ) from error
    if not get_method(subject.spec.method).card.deterministic:
        return
    if not np.array_equal(found, subject.predict((rows, target), rows)):
        raise CheckFailed("predictions depend on the names of the columns")


def check_rows_are_left_alone(subject: Subject) -> None:
    """Neither fitting nor predicting changes its inputs."""
    rows, target = subject.table()
    before = rows.copy(deep=True), target.copy(deep=True)
    subject.predict((rows, target), rows)
    if not (rows.equals(before[0]) and list(rows.dtypes) == list(before[0].dtypes) and target.equals(before[1])):
        raise CheckFailed("rows or targets were changed: work on a copy")


def check_a_row_is_predicted_for_itself(subject: Subject) -> None:
    """A row's prediction depends neither on the other rows nor on their order."""
    import numpy as np

    rows, target = subject.table()
    order = np.random.default_rng(0).permutation(N_ROWS)
    adapter = subject.fitted(rows, target)
    try:
        whole = predict(adapter, rows)
        mixed = predict(adapter, rows.iloc[order].reset_index(drop=True))
        one = predict(adapter, rows.iloc[[7]].reset_index(drop=True))
    finally:
        adapter.close()
    for what, a, b in (("their order", whole[order], mixed), ("other rows", whole[[7]], one)):
        worst = float(np.abs(a - b).max() / max(1.0, float(np.abs(a).max())))
        if worst > 1e-4:
            raise CheckFailed(f"predictions of rows depend on {what}: they differ by {worst:.3g}")


def check_global_random_state_does_not_matter(subject: Subject) -> None:
    """Random numbers drawn elsewhere in the process change no prediction."""
    import random

    import numpy as np

    if not get_method(subject.spec.method).card.deterministic:
        raise NotApplicable("declared not deterministic")
    data, rows = subject.table(), subject.table(seed=1)[0]
    first = subject.predict(data, rows)
    random.seed(12345)
    np.random.seed(54321)
    second = subject.predict(data, rows)
    if not np.array_equal(first, second):
        raise CheckFailed("predictions depend on the global random state, or on an earlier fit: draw from the context")


def check_metrics_are_numbers(subject: Subject) -> None:
    """`metrics` returns numbers by name, after `fit` and a prediction."""
    rows, target = subject.table()
    adapter = subject.fitted(rows, target)
    try:
        predict(adapter, rows)
        metrics_of(adapter, ())
    finally:
        adapter.close()


PROBES: dict[str, Callable[[Subject], None]] = {
    f.__name__: f
    for f in (
        check_predictions_keep_the_contract,
        check_classes_are_in_the_tasks_order,
        check_strange_categories_and_gaps_break_nothing,
        check_names_of_columns_do_not_matter,
        check_rows_are_left_alone,
        check_a_row_is_predicted_for_itself,
        check_metrics_are_numbers,
        check_global_random_state_does_not_matter,
    )
}
"""Probes by name, in the order that they run."""
