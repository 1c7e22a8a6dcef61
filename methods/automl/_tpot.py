"""Shared by the methods on TPOT's pipelines: encoding, Dask workers, limits, predictions.

They differ only in how they search, so that their results differ by that alone. TPOT's functions go
to the workers by reference: those processes know nothing of this package.
"""

from __future__ import annotations

import os
import signal
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl import AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context
from benchbench.methods.automl._encoding import Imputed, class_codes
from benchbench.methods.automl._wrapping import library_seconds, spread

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["PipelineAdapter"]

SCORERS = {"auc": "roc_auc", "log_loss": "neg_log_loss", "rmse": "neg_root_mean_squared_error"}


class PipelineAdapter(AutoMLAdapter):
    """Searches pipelines of TPOT's operators, rated by cross-validation; subclasses say how."""

    @abstractmethod
    def search(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        """Return the best pipeline found within `search_seconds`, fitted to all rows.

        Parameters
        ----------
        x : (n_rows, n_features)
            Without missing values.
        y : (n_rows,)
            Places among the classes that occur, or values.
        """

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        import importlib

        import tpot  # noqa: F401
        from dask.distributed import Client, LocalCluster

        super().setup(info, budget=budget, context=context)
        self.cluster = LocalCluster(
            n_workers=budget.threads,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=str(context.scratch / "dask"),
            # the trial's own limit holds for the whole tree
            memory_limit=0,
            silence_logs=50,
        )
        self.client = Client(self.cluster)
        self.client.run(importlib.import_module, "tpot")

    @property
    def is_regression(self) -> bool:
        """Whether values are predicted."""
        return self.info.kind == "regression"

    @property
    def scorer(self) -> str:
        """scikit-learn's name for the task's metric."""
        return SCORERS[self.info.metric]

    @property
    def search_seconds(self) -> float:
        """Seconds of the search; a fit of the best pipeline, and what is late, come on top."""
        return library_seconds(self.budget, 0.7, 1.0)

    @property
    def rating_seconds(self) -> float:
        """Seconds of one pipeline.

        A search overruns its time by this much when one is being rated at the end.
        """
        return min(600.0, max(self.search_seconds / 6, min(10.0, self.search_seconds / 2)))

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        import numpy as np

        self.encoder = Imputed(self.info.columns).fit(rows)
        y: Any = class_codes(target)
        if not self.is_regression:
            self.present, y = np.unique(y, return_inverse=True)
        self.pipeline = self.search(self.encoder.transform(rows), y)

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        found = self.pipeline.predict(self.encoder.transform(rows))
        return found if self.is_regression else self.present[found]

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        if not hasattr(self.pipeline, "predict_proba"):
            raise NotImplementedError
        found = self.pipeline.predict_proba(self.encoder.transform(rows))
        return spread(found, self.present[self.pipeline.classes_], len(self.info.classes))

    def close(self) -> None:
        if not hasattr(self, "cluster"):
            return
        for worker in self.cluster.workers.values():
            # asked to end, a worker that has imported all of TPOT takes four seconds to do so, and
            # nothing of it is needed any more
            worker.auto_restart = False
            if worker.pid:
                os.kill(worker.pid, signal.SIGKILL)
        if hasattr(self, "client"):
            self.client.close()
        self.cluster.close()
