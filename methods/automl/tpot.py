"""TPOT: evolves pipelines of preprocessing and learning steps.

After Olson et al. 2016, "Evaluation of a tree-based pipeline optimization tool for automating data
science", GECCO.

The library itself (TPOT 2), in an environment of its own: its estimator with generations, whose
runs repeat if their number is given and time does not end them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS
from benchbench.methods.automl._tpot import PipelineAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Tpot"]


class Tpot(PipelineAdapter):
    """Evolves pipelines for as long as the budget lasts, and fits the best of them.

    Parameters
    ----------
    search_space : str
        One of the library's: "linear", "graph", "linear-light", "graph-light".
    population_size : int
    generations : int
        At most; 0: as many as time allows.
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

    def search(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        import tpot

        model = tpot.TPOTEstimator(
            search_space=self.search_space,
            scorers=[self.scorer],
            scorers_weights=[1],
            classification=not self.is_regression,
            cv=self.cv,
            population_size=self.population_size,
            generations=self.generations or None,
            max_time_mins=self.search_seconds / 60,
            max_eval_time_mins=self.rating_seconds / 60,
            n_jobs=self.budget.threads,
            client=self.client,
            random_state=self.context.derive("tpot"),
            verbose=0,
        )
        return model.fit(x, y).fitted_pipeline_
