"""A few-shot adapter that lives in an environment of its own; tests put one in place."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

import numpy as np

from benchbench.cards import MethodCard
from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import EpisodeSource, FewShotAdapter, Predictor, Support


class WrappedEpisodes(FewShotAdapter):
    """Nearest class mean of the inputs; reports sums of what it is trained on, or misbehaves as its parameter says."""

    card: ClassVar[MethodCard] = MethodCard(
        name="wrapped_episodes",
        track="fewshot",
        title="wrapped_episodes",
        summary="For tests.",
        paper="none",
        url="",
        year=2026,
        tasks=("classification",),
        iterations={"quick": 2, "standard": 2, "paper": 2},
        requirements="wrapped.txt",
    )

    def __init__(self, *, how: str = "nothing") -> None:
        self.how = how

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        print(f"executable={sys.executable}", flush=True)
        rng = context.rng("episodes")
        for i in range(budget.iterations):
            source = validation if i else episodes
            batch = source.sample(rng, n_way=3, k_shot=2, n_query_per_class=1, n_tasks=2)
            parts = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
            context.report(i, **{f"sum{j}": float(part.sum(dtype=np.float64)) for j, part in enumerate(parts)})
            # what is drawn afterwards shows where the generator stands
            context.report(i, next=float(rng.random()), n_classes=source.n_classes, n_labels=source.n_labels)
            context.progress(i + 1, budget.iterations)
        if self.how == "images":
            x, y = episodes.sample_images(rng, 5)
            context.report(9, image=float(x.sum(dtype=np.float64)), label=float(y.sum()), next=float(rng.random()))
        if self.how == "too_many":
            episodes.sample(rng, n_way=10**6, k_shot=1, n_query_per_class=1)
        if self.how == "exit_hard":
            print("a last word", file=sys.stderr, flush=True)
            os._exit(7)

    def adapt(self, support: Support) -> Predictor:
        return _Means(support)


class _Means(Predictor):
    def __init__(self, support: Support) -> None:
        rows = support.x.reshape(len(support.x), -1)
        self.means = np.stack([rows[support.y == c].mean(axis=0) for c in range(support.n_way)])

    def predict(self, query_x: Any) -> Any:
        rows = query_x.reshape(len(query_x), -1)
        nearest = ((rows[:, None] - self.means) ** 2).sum(-1).argmin(-1)
        return np.eye(len(self.means), dtype=np.float32)[nearest]
