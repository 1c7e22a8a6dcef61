"""A few-shot method (2026, for tests) whose meta-training is the same for all ways and shots."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import FewShotAdapter, Predictor


class Sharing(FewShotAdapter):
    """Weights pixels by what it has seen in training; notes each training in a file."""

    card: ClassVar[MethodCard] = MethodCard(
        name="sharing",
        track="fewshot",
        title="sharing",
        summary="A method for tests.",
        paper="none",
        url="https://example.invalid",
        year=2026,
        iterations={"quick": 2, "standard": 2, "paper": 2},
    )

    def __init__(
        self,
        *,
        log: str = "",
        first_sleeps: float = 0.0,
        bad_state: str = "",
        iteration_sleeps: float = 0.0,
        fails: bool = False,
    ) -> None:
        self.log = log
        self.first_sleeps = first_sleeps
        self.bad_state = bad_state
        self.iteration_sleeps = iteration_sleeps
        self.fails = fails

    def training_key(self, task: Any) -> Any:
        return {}

    def meta_fit(self, episodes: Any, *, budget: Any, context: Any, **kwargs: Any) -> None:
        import numpy as np

        is_first = True
        if self.log:
            is_first = not Path(self.log).exists()
            with Path(self.log).open("a") as file:
                file.write("trained\n")
        rng = context.rng("sharing")
        total, done = rng.random(episodes.input_shape), 0
        earlier = context.last_checkpoint()
        if earlier is not None:
            place = json.loads(earlier)
            total, done, rng.bit_generator.state = np.array(place["total"]), place["done"], place["rng"]
        for iteration in range(done + 1, budget.iterations + 1):
            total = total + episodes.sample(rng, n_way=5, k_shot=1, n_query_per_class=1).support_x[0].mean(0)
            context.report(iteration, val_accuracy=0.1 * iteration, train_loss=float("nan"))
            time.sleep(self.iteration_sleeps)
            place = {"done": iteration, "total": total.tolist(), "rng": rng.bit_generator.state}
            context.checkpoint(json.dumps(place).encode)
        if self.fails and is_first:
            raise RuntimeError("failed on purpose")
        time.sleep(self.first_sleeps if is_first else 0.01)
        self.weights = total.astype(np.float32)
        self.global_draws = np.random.random(3)

    def state(self) -> Any:
        import numpy as np

        bad = {"objects": np.array([self, None]), "list": [1.0], "number": 1.0}
        return {
            "file": self.weights,
            "empty": np.zeros((0, 2)),
            **({"bad": bad[self.bad_state]} if self.bad_state else {}),
        }

    def load_state(self, state: Any) -> None:
        self.weights = state["file"]

    def adapt(self, support: Any) -> Predictor:
        import numpy as np

        weights = self.weights

        class Nearest(Predictor):
            def predict(self, query_x: Any) -> Any:
                s, q = ((x * weights).reshape(len(x), -1) for x in (support.x, query_x))
                distance = ((q[:, None] - s) ** 2).sum(-1)
                scores = np.exp(distance.min(1, keepdims=True) - distance) @ np.eye(support.n_way)[support.y]
                return scores / scores.sum(1, keepdims=True)

        return Nearest()
