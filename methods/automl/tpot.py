"""TPOT: evolves pipelines of preprocessing and learning steps. After Olson et al. 2016, "Evaluation of a tree-based pipeline
optimization tool for automating data science", GECCO.

The library itself (TPOT 2), in an environment of its own: its estimator with generations, whose runs repeat if their number
is given and time does not end them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context
from benchbench.methods.automl._tables import Imputed, class_codes
from benchbench.methods.automl._wrapping import library_seconds, spread

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Tpot"]

SCORERS = {"auc": "roc_auc", "log_loss": "neg_log_loss", "rmse": "neg_root_mean_squared_error"}


class Tpot(AutoMLAdapter):
    """Evolves pipelines for as long as the budget lasts, and fits the best of them.

    Parameters
    ----------
    search_space : str
        One of the library's: "linear", "graph", "linear-light", "graph-light".
    population_size : int
    generations : int
        At most; 0: as many as there is time for.
    cv : int
        Folds that a pipeline is rated on.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="tpot",
        track="automl",
        title="TPOT",
        summary="Evolves pipelines of preprocessing and learning steps by genetic programming.",
        paper="Olson, Bartley, Urbanowicz & Moore 2016, GECCO",
        url="https://arxiv.org/abs/1603.06212",
        year=2016,
        differs=(
            "The library, version 1.1 (TPOT 2, Ribeiro et al. 2024), with five folds in place of ten. It is told seven tenths of the "
            "budget, for it ends late and then fits its best pipeline. As in AMLB it gets categories as numbers and no missing values; "
            "its Dask workers are started before the clock."
        ),
        family="system",
        tasks=KINDS,
        deterministic=False,
        devices=("cpu",),
        requirements="requirements/tpot.txt",
    )

    def __init__(
        self, *, search_space: str = "linear", population_size: int = 50, generations: int = 0, cv: int = 5
    ) -> None:
        self.search_space, self.population_size = search_space, population_size
        self.generations, self.cv = generations, cv

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        import importlib

        import tpot
        from dask.distributed import Client, LocalCluster

        super().setup(info, budget=budget, context=context)
        self.estimator = tpot.TPOTEstimator
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
        # the library's, not this module's: its processes know nothing of this package
        self.client.run(importlib.import_module, "tpot")

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        import numpy as np

        self.encoder = Imputed(self.info.columns).fit(rows)
        y: Any = class_codes(target)
        is_regression = self.info.kind == "regression"
        if not is_regression:
            self.present, y = np.unique(y, return_inverse=True)
        seconds = library_seconds(self.budget, 0.7, 1.0)
        self.model = self.estimator(
            search_space=self.search_space,
            scorers=[SCORERS[self.info.metric]],
            scorers_weights=[1],
            classification=not is_regression,
            cv=self.cv,
            population_size=self.population_size,
            generations=self.generations or None,
            max_time_mins=seconds / 60,
            # by so much it overruns its time when a pipeline is being rated at the end
            max_eval_time_mins=min(600.0, max(seconds / 6, min(10.0, seconds / 2))) / 60,
            n_jobs=self.budget.threads,
            client=self.client,
            random_state=self.context.derive("tpot"),
            verbose=0,
        )
        self.model.fit(self.encoder.transform(rows), y)

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        found = self.model.predict(self.encoder.transform(rows))
        return found if self.info.kind == "regression" else self.present[found]

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        pipeline = self.model.fitted_pipeline_
        if not hasattr(pipeline, "predict_proba"):
            raise NotImplementedError
        found = pipeline.predict_proba(self.encoder.transform(rows))
        return spread(found, self.present[pipeline.classes_], len(self.info.classes))

    def close(self) -> None:
        if hasattr(self, "client"):
            self.client.close()
            self.cluster.close()
