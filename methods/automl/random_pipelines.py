"""Random search over TPOT's pipelines: TPOT without evolution.

After Bergstra & Bengio 2012, "Random search for hyper-parameter optimization", JMLR 13.

Pipelines are drawn from TPOT's search space as those of its first population are, by its own
functions, and rated by its own functions under the same limits: what TPOT scores above this is what
evolution is worth.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS
from benchbench.methods.automl._tpot import PipelineAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RandomPipelines"]


class RandomPipelines(PipelineAdapter):
    """Draws pipelines for as long as the budget lasts, and fits the best of them.

    Parameters
    ----------
    search_space : str
        One of TPOT's: "linear", "graph", "linear-light", "graph-light".
    batch_size : int
        Pipelines drawn at a time, as many as TPOT has in a population.
    max_evaluations : int
        Pipelines at most; 0: as many as time allows. With a number the search repeats
        exactly, if time does not end it and no pipeline reaches its own time limit.
    cv : int
        Folds that a pipeline is rated on.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="random_pipelines",
        track="automl",
        title="Random pipelines",
        summary="Draws pipelines from TPOT's search space at random and keeps the best: TPOT without evolution.",
        paper="Bergstra & Bengio 2012, JMLR 13",
        url="https://jmlr.org/papers/v13/bergstra12a.html",
        year=2012,
        differs=(
            "Over the operators of TPOT 1.1, drawn and rated by its own functions on five folds, with TPOT's encoding of rows, share of "
            "the budget, limit of a pipeline and workers. How many pipelines there is time for differs from run to run."
        ),
        family="baseline",
        tasks=KINDS,
        deterministic=False,
        devices=("cpu",),
        requirements="requirements/tpot.txt",
    )

    def __init__(
        self, *, search_space: str = "linear", batch_size: int = 50, max_evaluations: int = 0, cv: int = 5
    ) -> None:
        self.search_space, self.batch_size = search_space, batch_size
        self.max_evaluations, self.cv = max_evaluations, cv

    def search(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        import numpy as np
        from tpot.tpot_estimator.estimator_utils import remove_underrepresented_classes

        end = time.time() + self.search_seconds
        rated_x, rated_y = x, y
        if not self.is_regression:
            rated_x, rated_y = remove_underrepresented_classes(x, y, self.cv)
        space, rng = self._space(rated_x, rated_y), np.random.default_rng(self.context.derive("tpot"))
        rate = self._rater(rated_x, rated_y, end)
        scores: dict[Any, float] = {}
        n_drawn = 0
        while time.time() < end and not 0 < self.max_evaluations <= n_drawn:
            n = min(self.batch_size, self.max_evaluations - n_drawn) if self.max_evaluations else self.batch_size
            drawn = [space.generate(rng) for _ in range(n)]
            n_drawn += n
            # one that fails, or for which there is no time, has NaN
            scores |= {one: score for one, score in zip(drawn, rate(drawn), strict=True) if not np.isnan(score)}
            if scores:
                self.context.report(n_drawn, validation_score=max(scores.values()))
        if not scores:
            raise RuntimeError(f"none of {n_drawn} pipelines could be rated within {self.search_seconds:g} s")
        return _first_that_fits(sorted(scores, key=lambda one: -scores[one]), x, y)

    def _space(self, x: NDArray[np.float64], y: NDArray[Any]) -> Any:
        """Return TPOT's search space, made as its estimator makes it."""
        import numpy as np
        from tpot.config.template_search_spaces import get_template_search_spaces

        return get_template_search_spaces(
            self.search_space,
            classification=not self.is_regression,
            inner_predictors=True,
            n_classes=None if self.is_regression else len(np.unique(y)),
            n_samples=len(y),
            n_features=x.shape[1],
            random_state=self.context.derive("tpot"),
        )

    def _rater(self, x: NDArray[np.float64], y: NDArray[Any], end: float) -> Any:
        """Return a function from pipelines to their mean scores over the folds."""
        import numpy as np
        from sklearn.metrics import get_scorer
        from sklearn.model_selection import KFold, StratifiedKFold
        from tpot.tpot_estimator.estimator_utils import objective_function_generator
        from tpot.utils.eval_utils import parallel_eval_objective_list

        objective = functools.partial(
            objective_function_generator,
            scorers=[get_scorer(self.scorer)],
            cv=(KFold if self.is_regression else StratifiedKFold)(
                n_splits=self.cv, shuffle=True, random_state=self.context.derive("tpot")
            ),
            other_objective_functions=[],
            is_classification=not self.is_regression,
            memory=None,
        )
        rows, target = self.client.scatter(x), self.client.scatter(y)

        def rate(pipelines: list[Any]) -> list[float]:
            scores, *_ = parallel_eval_objective_list(
                pipelines,
                [objective],
                max_eval_time_mins=self.rating_seconds / 60,
                n_expected_columns=1,
                client=self.client,
                scheduled_timeout_time=end,
                x=rows,
                y=target,
            )
            return [float(np.asarray(score[0], dtype=np.float64)) for score in scores]

        return rate


def _first_that_fits(pipelines: list[Any], x: NDArray[np.float64], y: NDArray[Any]) -> Any:
    """Return the first pipeline that can be fitted to all rows.

    One that could be on the folds may not be.
    """
    for one in pipelines[:-1]:
        try:
            return one.export_pipeline(memory=None).fit(x, y)
        except Exception:  # whatever its steps raise: as in TPOT, the next one is tried
            continue
    return pipelines[-1].export_pipeline(memory=None).fit(x, y)
