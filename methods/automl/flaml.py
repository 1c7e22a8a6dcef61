"""FLAML: tunes learners with a search that spends little on what costs much.

After Wang et al. 2021, MLSys.

The library itself, in an environment of its own, with its own settings: it picks LightGBM, XGBoost,
random forests, extra trees or linear models, and starts with cheap configurations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context
from benchbench.methods.automl._encoding import class_codes
from benchbench.methods.automl._wrapping import PlainFrames, library_seconds, real_names, spread

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Flaml"]

METRICS = {"auc": "roc_auc", "log_loss": "log_loss", "rmse": "rmse"}


class Flaml(AutoMLAdapter):
    """Searches learners and their parameters for as long as the budget lasts.

    Parameters
    ----------
    ensemble : bool
        Whether the best learners are stacked at the end.
    max_iter : int
        Configurations at most; 0: as many as time allows. With a number the search repeats
        exactly.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="flaml",
        track="automl",
        title="FLAML",
        summary="Tunes boosted trees, forests and linear models, cheap configurations first.",
        paper="Wang, Wu, Weimer & Zhu 2021, MLSys",
        url="https://arxiv.org/abs/1911.04706",
        year=2021,
        differs=(
            "The library, version 2.7; its time limit is nine tenths of the budget, within which it fits its best model to all rows, "
            "if it can. String columns become categories."
        ),
        family="system",
        tasks=KINDS,
        deterministic=False,
        devices=("cpu",),
        requirements="requirements/flaml.txt",
    )

    def __init__(self, *, ensemble: bool = False, max_iter: int = 0) -> None:
        self.ensemble, self.max_iter = ensemble, max_iter

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        from flaml import AutoML

        super().setup(info, budget=budget, context=context)
        self.model = AutoML()

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        import numpy as np

        self.frames = PlainFrames(self.info.columns).fit(rows)
        y = class_codes(target)
        self.present = np.unique(y)
        with real_names(self.frames.names):
            self.model.fit(
                self.frames.transform(rows),
                y,
                task="regression" if self.info.kind == "regression" else "classification",
                metric=METRICS[self.info.metric],
                time_budget=library_seconds(self.budget, 0.9),
                max_iter=self.max_iter or None,
                # by default it fits its best model to all rows however long that takes
                retrain_full=True if self.max_iter else "budget",
                n_jobs=self.budget.threads,
                seed=self.context.derive("flaml"),
                ensemble=self.ensemble,
                early_stop=False,
                log_file_name="",
                verbose=0,
            )

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        with real_names(self.frames.names):
            return self.model.predict(self.frames.transform(rows))

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        with real_names(self.frames.names):
            found = self.model.predict_proba(self.frames.transform(rows))
        return spread(found, self.present, len(self.info.classes))
