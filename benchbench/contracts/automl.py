"""The contract of AutoML on tables: typed columns and a target in, labels, probabilities or values out.

A method is fitted on the training rows of one fold within a budget of seconds, cores and memory,
and then predicts rows that it has not seen. Test labels never reach it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
"""What the score of each kind of task is made of, as in AMLB (Gijsbers et al. 2024, JMLR 25(101))."""
KINDS = tuple(METRICS)
"""Kinds of tasks on cards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """What is known of a task before anything is fitted.

    Parameters
    ----------
    name : str
    kind : str
        One of `KINDS`.
    metric : str
        What the score is made of: "auc", "log_loss" or "rmse".
    target : str
        Name of the column to be predicted.
    classes : tuple of str
        Labels in the task's order, which is that of the columns of `predict_proba`; () for
        regression.
    columns : mapping of str to str
        Features in their order, each with its kind: "numeric", "nominal" or "string".
    n_rows : int
        Training rows (in what a loader says without a split: all rows).
    """

    name: str
    kind: str
    metric: str
    target: str
    classes: tuple[str, ...]
    columns: Mapping[str, str]
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableTask:
    """A task with its data, as loaders return it; adapters never see it.

    Parameters
    ----------
    info : TableInfo
    table : Path
        Features of all rows, typed as `AutoMLAdapter` says, and nothing of the target: a file for
        `benchbench.frames.read_table`, one for all splits.
    target : Series
        (n_rows,), without missing values: a category whose categories are `info.classes`, or
        float64.
    split : callable
        Receives the number of a split, counted from 0; returns the numbers of its training rows and
        of its test rows.
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
        Wall-clock seconds of `fit`, which is stopped from outside 10 s and a tenth of them later.
    threads : int
        Cores.
    memory_mib : int
        Memory of the whole process tree.
    """

    seconds: float
    threads: int
    memory_mib: int


class AutoMLAdapter(ABC):
    """A method for tables. The harness calls `supports`, `setup`, `fit`, then `predict` or `predict_proba` as often as it likes.

    The constructor takes JSON-able keyword arguments and only stores them under their own names.
    Rows come as a DataFrame numbered from 0: numeric columns int64 or float64 (NaN: missing),
    nominal ones category (all declared categories), string ones str. Targets are a category of the
    task's classes, or float64. What is handed over may be shared: adapters leave it as it is.
    """

    card: ClassVar[MethodCard]
    info: TableInfo
    budget: AutoMLBudget
    context: Context

    def supports(self, info: TableInfo) -> str | None:
        """Return the reason to decline the task, or None."""
        if info.kind not in self.card.tasks:
            return f"{self.card.title} has no form for {info.kind} tasks"
        return None

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        """Receive the task; untimed, so import what is needed here (and start a server, where there is one)."""
        self.info, self.budget, self.context = info, budget, context

    def hand_over(self, table: Path, numbers: NDArray[np.int32], target: pd.Series[Any] | None = None) -> Any:
        """Return rows of a table as `fit` and predictions are to get them: a DataFrame, or what stands for one elsewhere.

        Untimed. `target` is theirs, if they are for `fit`.
        """
        return read_table(table, numbers)

    def row(self, rows: Any, number: int) -> Any:
        """Return one of the rows that `hand_over` returned, as it returns them; untimed."""
        return rows.iloc[[number]].reset_index(drop=True)

    @abstractmethod
    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        """Learn from the training rows."""

    @abstractmethod
    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """Return (n,) predictions: for classification places in `info.classes` (int64), for regression values (float64)."""

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return (n, n_classes) probabilities in the order of `info.classes`; classification only.

        Raises
        ------
        NotImplementedError
            If the method has none; the harness then counts its predictions as certain.
        """
        raise NotImplementedError

    def metrics(self) -> dict[str, float]:
        """Return figures of its own, to be recorded beside the scores."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Let go of what `setup` started; called whatever happened."""
