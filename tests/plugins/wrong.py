"""Few-shot methods (2026, for tests) that each break one promise; the conformance checks must name it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import EmbeddingAdapter, FewShotAdapter, Predictor, Support


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


class BatchRemembers(Honest):
    """Honest one by one, and the first time; afterwards what it has seen before takes part."""

    card: ClassVar[MethodCard] = wrong_card("batch_remembers", batched=True)

    def predict_episodes(self, support_x: Any, support_y: Any, query_x: Any) -> Any:
        import numpy as np

        found = np.stack(
            [
                Nearest(Support(x, y, self.task.n_way)).predict(q)
                for x, y, q in zip(support_x, support_y, query_x, strict=True)
            ]
        )
        before = getattr(self, "memory", found)
        self.memory = found
        return (found + before) / 2


class DeclaredOrder(SupportOrder):
    card: ClassVar[MethodCard] = wrong_card("declared_order", ordered=True)


class GlobalRandom(Honest):
    """Draws from numpy's global state, which all children of a zygote inherit alike."""

    card: ClassVar[MethodCard] = wrong_card("global_random")

    def meta_fit(self, episodes: Any, **kwargs: Any) -> None:
        import numpy as np

        self.noise = np.random.normal(0, 3, 28 * 28).astype("float32")

    def adapt(self, support: Any) -> Predictor:
        found = Nearest(support)
        found.centroids = found.centroids + self.noise * found.centroids
        return found


class HonestSharing(Honest):
    """Learns the mean training image, and takes it off."""

    card: ClassVar[MethodCard] = wrong_card("honest_sharing")

    def training_key(self, task: Any) -> Any:
        return {}

    def meta_fit(self, episodes: Any, *, context: Any, **kwargs: Any) -> None:
        batch = episodes.sample(context.rng("mean"), n_way=20, k_shot=1, n_query_per_class=1)
        self.mean = batch.support_x[0].mean(0)

    def state(self) -> Any:
        return {"mean": self.mean}

    def load_state(self, state: Any) -> None:
        self.mean = state["mean"]

    def adapt(self, support: Any) -> Predictor:
        mean = self.mean

        class Centred(Nearest):
            def predict(self, query_x: Any) -> Any:
                return super().predict(query_x * (1 + mean))

        return Centred(Support(support.x * (1 + mean), support.y, support.n_way))


class HonestCheckpoints(HonestSharing):
    """Learns the mean of many training images, and can go on with that from any iteration."""

    card: ClassVar[MethodCard] = wrong_card("honest_checkpoints")
    place: ClassVar[tuple[str, ...]] = ("done", "sum", "rng")

    def meta_fit(self, episodes: Any, *, budget: Any, context: Any, **kwargs: Any) -> None:
        import numpy as np

        rng = context.rng("mean")
        found: dict[str, Any] = {"done": 0, "sum": np.zeros(episodes.input_shape)}
        earlier = context.last_checkpoint()
        if earlier is not None:
            known = json.loads(earlier)
            found |= {name: known[name] for name in self.place if name in found}
            found["sum"] = np.array(found["sum"])
            if "rng" in self.place:
                rng.bit_generator.state = known["rng"]
        for iteration in range(found["done"] + 1, budget.iterations + 1):
            batch = episodes.sample(rng, n_way=2, k_shot=1, n_query_per_class=1)
            found = {"done": iteration, "sum": found["sum"] + batch.support_x[0].mean(0)}
            context.report(iteration, train_loss=1.0)
            place = {"done": iteration, "sum": found["sum"].tolist(), "rng": rng.bit_generator.state}
            context.checkpoint(json.dumps(place).encode)
        self.mean = found["sum"].astype("float32")


class BeginsAnew(HonestCheckpoints):
    """Counts its iterations from the beginning again, on top of what was learnt."""

    card: ClassVar[MethodCard] = wrong_card("begins_anew")
    place = ("sum", "rng")


class ForgetsItsSum(HonestCheckpoints):
    card: ClassVar[MethodCard] = wrong_card("forgets_its_sum")
    place = ("done", "rng")


class ForgetsItsRandomState(HonestCheckpoints):
    card: ClassVar[MethodCard] = wrong_card("forgets_its_random_state")
    place = ("done", "sum")


class SharesTooMuch(HonestSharing):
    """Its training depends on the shots, its key does not say so."""

    card: ClassVar[MethodCard] = wrong_card("shares_too_much")

    def meta_fit(self, episodes: Any, *, context: Any, **kwargs: Any) -> None:
        super().meta_fit(episodes, context=context)
        self.mean = self.mean * self.task.k_shot


class ForgetsHalf(HonestSharing):
    """Learns more than its state carries over; its key names every task apart."""

    card: ClassVar[MethodCard] = wrong_card("forgets_half")
    mean: Any = 0.0

    def training_key(self, task: Any) -> Any:
        return {"way": task.n_way, "shot": task.k_shot, "query": task.n_query}

    def load_state(self, state: Any) -> None:
        return


class StateOfObjects(HonestSharing):
    card: ClassVar[MethodCard] = wrong_card("state_of_objects")

    def state(self) -> Any:
        return {"mean": self.mean, "me": self}


class HonestEmbedding(EmbeddingAdapter):
    card: ClassVar[MethodCard] = wrong_card("honest_embedding", batched=True)

    def embed(self, x: Any) -> Any:
        return x.reshape(len(x), -1)

    def classify(self, support_z: Any, support_y: Any, query_z: Any) -> Any:
        import numpy as np

        return np.stack(
            [
                Nearest(Support(z, y, self.task.n_way)).predict(q)
                for z, y, q in zip(support_z, support_y, query_z, strict=True)
            ]
        )


class EmbedsTogether(HonestEmbedding):
    card: ClassVar[MethodCard] = wrong_card("embeds_together", batched=True)

    def embed(self, x: Any) -> Any:
        return super().embed(x - x.mean(0))


class TwoPaths(HonestEmbedding):
    """Blurs where it is given whole episodes."""

    card: ClassVar[MethodCard] = wrong_card("two_paths", batched=True)

    def predict_episodes(self, support_x: Any, support_y: Any, query_x: Any) -> Any:
        return super().predict_episodes(support_x, support_y, query_x * 0.5)


class Unseeded(Honest):
    """Answers at random: a coarser fault might, once in a while, give the same answers twice."""

    card: ClassVar[MethodCard] = wrong_card("unseeded")

    def meta_fit(self, episodes: Any, **kwargs: Any) -> None:
        import numpy as np

        self.entropy = int(np.random.default_rng().integers(2**60))

    def adapt(self, support: Any) -> Predictor:
        import numpy as np

        rng = np.random.default_rng(self.entropy)

        class Guessing(Nearest):
            def predict(self, query_x: Any) -> Any:
                return rng.dirichlet(np.ones(support.n_way), len(query_x)).astype("float32")

        return Guessing(support)


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


class NamesItsBackbone(Honest):
    card: ClassVar[MethodCard] = wrong_card("names_its_backbone")

    def metrics(self) -> Any:
        return {"backbone": "conv4"}


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
