"""Any-time curves of meta-training: the training loss and the score on a few fixed validation episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchbench.contracts.context import Budget
    from benchbench.contracts.fewshot import EpisodeSource, FewShotAdapter

__all__ = ["Reporter"]

MAX_QUERIES_A_CLASS = 5
# classes over all validation episodes: 20 episodes of 5 ways, 5 of 20; more would take a third of a quick training
VALIDATION_CLASSES = 100


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
    """

    def __init__(
        self,
        adapter: FewShotAdapter,
        validation: EpisodeSource,
        *,
        budget: Budget,
        n_reports: int,
    ) -> None:
        info = adapter.task
        self._adapter = adapter
        self._last = budget.iterations
        self._every = max(1, -(-budget.iterations // n_reports))
        self._losses: list[float] = []
        n_query = (
            min(info.n_query // info.n_way, MAX_QUERIES_A_CLASS) if info.kind == "classification" else info.n_query
        )
        rng = adapter.context.rng("validation")
        self._episodes = validation.sample(
            rng, n_way=info.n_way, k_shot=info.k_shot, n_query=n_query, n_tasks=max(1, VALIDATION_CLASSES // info.n_way)
        )

    def after(self, iteration: int, loss: float) -> float | None:
        """Take note of an iteration's training loss; return the validation score if this iteration was reported."""
        self._losses.append(loss)
        if iteration % self._every and iteration != self._last:
            return None
        score = self.score()
        name = "val_accuracy" if self._adapter.task.kind == "classification" else "val_neg_mse"
        self._adapter.context.report(iteration, train_loss=float(np.mean(self._losses)), **{name: score})
        self._losses.clear()
        return score

    def score(self) -> float:
        """Return the mean accuracy, or minus the mean squared error, on the validation episodes."""
        batch = self._episodes
        found = self._adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        if self._adapter.task.kind == "regression":
            return -float(np.mean((found - batch.query_y) ** 2))
        return float(np.mean(found.argmax(-1) == batch.query_y))
