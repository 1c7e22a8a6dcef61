"""Any-time curves of meta-training: training loss, and score on fixed validation episodes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchbench.methods.fewshot._image_settings import MAX_VALIDATION_QUERIES, validation_queries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.contracts.context import Budget
    from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, FewShotAdapter

__all__ = ["Reporter"]

# queries to predict, over all validation episodes; more would take a third of a quick training
VALIDATION_QUERIES = 500
# 97.5 % quantile of Student's t from 4 degrees of freedom on, to 1 %; validation has at least 5
# episodes
_T = (2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093)


class Reporter:
    """Reports about `n_reports` times, evenly spaced, and last after the final iteration.

    Parameters
    ----------
    adapter : FewShotAdapter
        A batched one, after `setup`.
    validation : EpisodeSource
    n_reports : int
        Validation is part of the timed phase, so it stays small.
    budget : Budget
    n_way, k_shot : int, optional
        Shape of the validation episodes, with 5 queries per class; by default that of the task.
        Methods whose training is shared by tasks name one.
    max_episodes : int, optional
        For methods that take long to adapt; at least 5.
    """

    def __init__(
        self,
        adapter: FewShotAdapter,
        validation: EpisodeSource,
        *,
        budget: Budget,
        n_reports: int,
        n_way: int | None = None,
        k_shot: int | None = None,
        max_episodes: int | None = None,
    ) -> None:
        info = adapter.task
        self._adapter = adapter
        self._last = budget.iterations
        self._every = max(1, -(-budget.iterations // n_reports))
        self.losses: list[float] = []
        way, shot = n_way or info.n_way, k_shot or info.k_shot
        if info.kind == "regression":
            n_query_per_class, n_tasks = info.n_query, 100
        else:
            n_query_per_class = validation_queries(info) if n_way is None else MAX_VALIDATION_QUERIES
            n_tasks = max(5, VALIDATION_QUERIES // (way * n_query_per_class))
        if max_episodes is not None:
            n_tasks = min(n_tasks, max_episodes)
        rng = adapter.context.rng("validation")
        self._episodes = validation.sample(
            rng, n_way=way, k_shot=shot, n_query_per_class=n_query_per_class, n_tasks=n_tasks
        )
        # sources give class after class; test episodes come in random order
        if adapter.card.ordered:
            self._episodes = _in_random_order(self._episodes, rng)

    def after(self, iteration: int, loss: float) -> float | None:
        """Take note of an iteration's training loss.

        Return the validation score if this iteration was reported.
        """
        self.losses.append(loss)
        if iteration % self._every and iteration != self._last:
            return None
        scores = self.scores()
        n, mean = len(scores), float(scores.mean())
        name = "val_accuracy" if self._adapter.task.kind == "classification" else "val_neg_mse"
        ci95 = (_T[n - 5] if n - 5 < len(_T) else 1.96 + 2.5 / n) * float(scores.std(ddof=1)) / n**0.5
        metrics = {"train_loss": float(np.mean(self.losses)), name: mean, f"{name}_ci95": ci95}
        self._adapter.context.report(iteration, **metrics)
        self.losses.clear()
        return mean

    def scores(self) -> NDArray[np.float64]:
        """Return each validation episode's accuracy, or minus its mean squared error."""
        batch = self._episodes
        found = self._adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        if self._adapter.task.kind == "regression":
            errors: NDArray[np.float64] = ((found - batch.query_y) ** 2).mean((1, 2), dtype=np.float64)
            return -errors
        hits: NDArray[np.float64] = (found.argmax(-1) == batch.query_y).mean(1)
        return hits


def _in_random_order(batch: EpisodeBatch, rng: np.random.Generator) -> EpisodeBatch:
    """Put the support rows of each episode of images into an order of its own."""
    order = rng.permuted(np.tile(np.arange(batch.support_y.shape[1]), (len(batch.support_y), 1)), axis=1)
    rows = np.arange(len(order))[:, None]
    ids = None if batch.support_id is None else batch.support_id[rows, order]
    return replace(
        batch, support_x=batch.support_x[rows, order], support_y=batch.support_y[rows, order], support_id=ids
    )
