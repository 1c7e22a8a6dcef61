"""The AutoML contract: typed columns and a target in; labels, probabilities or values out.

A method is fitted on the training rows of one fold within a budget of seconds, cores and memory,
and then predicts rows that it has not seen. Test labels never reach it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.frames import read_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["KINDS", "METRICS", "AutoMLAdapter", "AutoMLBudget", "TableInfo", "TableTask"]

METRICS = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}
"""Metric per kind of task, as in AMLB (Gijsbers et al. 2024, JMLR 25(101))."""
KINDS = tuple(METRICS)
"""Kinds of tasks on cards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """The description of a task, known before anything is fitted.

    Parameters
    ----------
    name : str
    kind : str
        One of `KINDS`.
    metric : str
        "auc", "log_loss" or "rmse".
    target : str
        Name of the column to predict.
    classes : tuple of str
        Labels in the task's order, which is that of the columns of `predict_proba`; () for
        regression.
    columns : mapping of str to str
        Features in their order, each with its kind: "numeric", "nominal" or "string".
    n_rows : int
        Training rows (without a split: all rows).
    out_of_range : mapping of str to int
        Numeric features with values that are infinite or too large for float32, each with the
        number of such values in the whole table.
    warnings : tuple of str
        What is questionable about the data, one sentence each, for people.
    """

    name: str
    kind: str
    metric: str
    target: str
    classes: tuple[str, ...]
    columns: Mapping[str, str]
    n_rows: int
    out_of_range: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableTask:
    """A task with its data, as loaders return it; adapters never see it.

    Parameters
    ----------
    info : TableInfo
    table : Path
        File with the features of all rows, typed as `AutoMLAdapter` says, without the target;
        `benchbench.frames.read_table` reads it.
    target : Series
        (n_rows,), without missing values: a category whose categories are `info.classes`, or
        float64.
    split : callable
        Receives the number of a split, counted from 0; returns the numbers of its training and of
        its test rows.
    """

    info: TableInfo
    table: Path
    target: pd.Series[Any]
    split: Callable[[int], tuple[NDArray[np.int32], NDArray[np.int32]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoMLBudget:
    """What a method may spend on one fold.

    Parameters
    ----------
    seconds : float
        Wall-clock seconds of `fit`, which is killed 10 s and a tenth of its seconds later.
    threads : int
        Cores.
    memory_mib : int
        Memory of the whole process tree.
    """

    seconds: float
    threads: int
    memory_mib: int


class AutoMLAdapter(ABC):
    """A method for tables.

    The harness calls `supports`, `setup`, `fit`, then `predict` or `predict_proba` any number of
    times.

    The constructor takes JSON-able keyword arguments and only stores them under their own names.
    Rows come as a DataFrame numbered from 0: numeric columns int64 or float64 (NaN: missing; some
    tables hold infinite values), nominal ones category (all declared categories), string ones str.
    Names of columns are arbitrary texts. Targets are a category of the task's classes, or float64.
    The data may be shared: adapters must not change them.
    """

    card: ClassVar[MethodCard]
    needs_features: ClassVar[bool] = True
    """Whether tables without features are declined."""
    info: TableInfo
    budget: AutoMLBudget
    context: Context

    def supports(self, info: TableInfo) -> str | None:
        """Return the reason to decline the task, or None."""
        if info.kind not in self.card.tasks:
            return f"{self.card.title} has no form for {info.kind} tasks"
        if self.needs_features and not info.columns:
            return f"{self.card.title} needs features, and this table has none: all columns but the target are ignored"
        return None

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        """Receive the task; untimed, so import heavy packages and start servers here."""
        self.info, self.budget, self.context = info, budget, context

    def hand_over(self, table: Path, numbers: NDArray[np.int32], target: pd.Series[Any] | None = None) -> Any:
        """Return rows of a table as `fit` and predictions receive them; untimed.

        That is a DataFrame, or a proxy's reference to one. `target` is given with rows for `fit`.
        """
        return read_table(table, numbers)

    def row(self, rows: Any, number: int) -> Any:
        """Return one of the rows that `hand_over` returned, in the same form; untimed."""
        return rows.iloc[[number]].reset_index(drop=True)

    @abstractmethod
    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        """Learn from the training rows."""

    @abstractmethod
    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """Return (n,) predictions: indices of `info.classes` (int64), or for regression values
        (float64).

        In the order of the rows. A Series must have the rows' index.
        """

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return (n, n_classes) probabilities in the order of `info.classes`; classification only.

        A DataFrame must have the rows' index. Its columns may be in any order if they are named
        after the classes, or numbered as they are.

        Raises
        ------
        NotImplementedError
            If the method has none; the harness then gives each predicted class the probability 1.
        """
        raise NotImplementedError

    def metrics(self) -> dict[str, float]:
        """Return further figures to record beside the scores."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Release what `setup` started; always called, also after errors."""
