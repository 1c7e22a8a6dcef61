"""Few-shot methods (2026, for tests) that each break one promise; the conformance checks must name it."""

from __future__ import annotations

from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import FewShotAdapter, Predictor


def wrong_card(name: str, **more: Any) -> MethodCard:
    values: dict[str, Any] = {
        "name": name,
        "track": "fewshot",
        "title": name,
        "summary": "A method for tests.",
        "paper": "none",
        "url": "https://example.invalid",
        "year": 2026,
        "iterations": {"quick": 0, "standard": 0, "paper": 0},
    }
    return MethodCard(**{**values, **more})


class Nearest(Predictor):
    """An honest nearest-centroid classifier; the others break it."""

    def __init__(self, support: Any) -> None:
        import numpy as np

        flat = support.x.reshape(len(support.x), -1)
        self.centroids = np.stack([flat[support.y == c].mean(0) for c in range(support.n_way)])

    def predict(self, query_x: Any) -> Any:
        import numpy as np

        flat = query_x.reshape(len(query_x), -1)
        distance = ((flat[:, None] - self.centroids) ** 2).sum(-1)
        scores = np.exp(distance.min(1, keepdims=True) - distance)
        return scores / scores.sum(1, keepdims=True)


class Honest(FewShotAdapter):
    card: ClassVar[MethodCard] = wrong_card("honest")

    def adapt(self, support: Any) -> Predictor:
        return Nearest(support)


class QueryOrder(Honest):
    card: ClassVar[MethodCard] = wrong_card("query_order")

    def adapt(self, support: Any) -> Predictor:
        class Ordered(Nearest):
            def predict(self, query_x: Any) -> Any:
                import numpy as np

                found = super().predict(query_x)
                return np.concatenate([np.full_like(found[:1], 1 / support.n_way), found[1:]])

        return Ordered(support)


class HiddenTransduction(Honest):
    card: ClassVar[MethodCard] = wrong_card("hidden_transduction")

    def adapt(self, support: Any) -> Predictor:
        class Centred(Nearest):
            def predict(self, query_x: Any) -> Any:
                return super().predict(query_x - query_x.mean(0))

        return Centred(support)


class Remembers(Honest):
    card: ClassVar[MethodCard] = wrong_card("remembers")

    def adapt(self, support: Any) -> Predictor:
        import numpy as np

        found = Nearest(support)
        self.memory = getattr(self, "memory", np.zeros_like(found.centroids)) * 0.5 + found.centroids
        found.centroids = self.memory
        return found


class SupportOrder(Honest):
    card: ClassVar[MethodCard] = wrong_card("support_order")

    def adapt(self, support: Any) -> Predictor:
        found = Nearest(support)
        found.centroids = support.x.reshape(len(support.x), -1)[: support.n_way]
        return found


class WritesInput(Honest):
    card: ClassVar[MethodCard] = wrong_card("writes_input")

    def adapt(self, support: Any) -> Predictor:
        found = Nearest(support)
        support.x[:] = 0.0
        return found


class WrongBatch(Honest):
    card: ClassVar[MethodCard] = wrong_card("wrong_batch", batched=True)

    def predict_episodes(self, support_x: Any, support_y: Any, query_x: Any) -> Any:
        import numpy as np

        return np.full((*query_x.shape[:2], self.task.n_way), 1 / self.task.n_way)


class Unseeded(Honest):
    card: ClassVar[MethodCard] = wrong_card("unseeded")

    def meta_fit(self, episodes: Any, **kwargs: Any) -> None:
        import numpy as np

        self.noise = np.random.default_rng().normal(0, 3, 28 * 28).astype("float32")

    def adapt(self, support: Any) -> Predictor:
        found = Nearest(support)
        found.centroids = found.centroids + self.noise * found.centroids
        return found


class PeeksAtLabels(Honest):
    """Reads the query labels out of the frames above it: what scrambled labels must uncover."""

    card: ClassVar[MethodCard] = wrong_card("peeks_at_labels")

    def adapt(self, support: Any) -> Predictor:
        import sys

        import numpy as np

        class Peeking(Predictor):
            def predict(self, query_x: Any) -> Any:
                frame: Any = sys._getframe()
                while frame is not None:
                    batch = frame.f_locals.get("batch")
                    if batch is not None:
                        for i in range(batch.n_tasks):
                            if batch.query_x[i].shape == query_x.shape and (batch.query_x[i] == query_x).all():
                                return np.eye(support.n_way)[batch.query_y[i]]
                    frame = frame.f_back
                raise RuntimeError("found no labels to peek at")

        return Peeking()


class Computes(Honest):
    card: ClassVar[MethodCard] = wrong_card("computes")

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate * 2


class Unfinished(Honest):
    card: ClassVar[MethodCard] = wrong_card("unfinished", iterations={}, summary="")


class KnownFailure(Remembers):
    card: ClassVar[MethodCard] = wrong_card(
        "known_failure", known_failures={"check_no_state_between_episodes": "keeps a memory, on purpose"}
    )


class MendedFailure(Honest):
    card: ClassVar[MethodCard] = wrong_card(
        "mended_failure", known_failures={"check_no_state_between_episodes": "was broken once"}
    )
