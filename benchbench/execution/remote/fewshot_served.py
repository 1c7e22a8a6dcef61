"""The commands of few-shot methods in their own interpreter; see `shim`.

The harness draws training episodes when the adapter asks for them, with the state of the adapter's
generator, so that they equal those that it would draw itself. Of test episodes, only support sets
and unlabelled queries are sent here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, FewShotAdapter, Support, TaskInfo
from benchbench.frames import read_array, write_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Served"]


class Served:
    """Each `do_*` is a command."""

    NEEDS = ("numpy",)

    def __init__(self, adapter: FewShotAdapter, server: Any) -> None:
        self.adapter, self.server = adapter, server

    def do_setup(self, task: dict[str, Any], trial: dict[str, Any]) -> None:
        """Receive the task; `trial` holds the fields of its harness."""
        self.harness = self.server.harness(trial)
        self.task = TaskInfo(**task | {"input_shape": tuple(task["input_shape"])})
        self.adapter.setup(self.task, self.harness.context)

    def do_meta_fit(
        self, sources: dict[str, dict[str, Any]], budget: dict[str, Any], elapsed: float, deadline: float
    ) -> None:
        """Train; `sources` describes the episode sources, seconds of curves continue from
        `elapsed`.
        """
        self.harness.deadline = deadline
        self.harness.start_clock(elapsed)
        train, validation = (Source(name, self.server, **sources[name]) for name in ("train", "validation"))
        self.adapter.meta_fit(train, validation=validation, budget=Budget(**budget), context=self.harness.context)

    def do_predict_episodes(self, support_x: str, support_y: str, query_x: str, answer: str) -> None:
        """Predict the queries of a batch of episodes; all are .npy files."""
        x, y, queries = (read_array(Path(name)) for name in (support_x, support_y, query_x))
        write_array(self._predictions(x, y, queries), Path(answer))

    def _predictions(self, support_x: NDArray[Any], support_y: NDArray[Any], query_x: NDArray[Any]) -> NDArray[Any]:
        if self.adapter.card.batched:
            return self.adapter.predict_episodes(support_x, support_y, query_x)
        import numpy as np

        episodes = zip(support_x, support_y, query_x, strict=True)
        return np.stack([self.adapter.adapt(Support(x, y, self.task.n_way)).predict(q) for x, y, q in episodes])


class Source(EpisodeSource):
    """An episode source that the harness holds."""

    def __init__(self, name: str, server: Any, *, kind: str, input_shape: list[int], n_classes: int, n_labels: int):
        self.name, self.server = name, server
        self.kind, self.input_shape, self.n_classes = kind, tuple(input_shape), n_classes
        self._n_labels = n_labels

    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query_per_class: int, n_tasks: int = 1
    ) -> EpisodeBatch:
        """See the base class."""
        shape = {"n_way": n_way, "k_shot": k_shot, "n_query_per_class": n_query_per_class, "n_tasks": n_tasks}
        return EpisodeBatch(*self._drawn("sample", rng, shape))

    @property
    def n_labels(self) -> int:
        """See the base class."""
        return self._n_labels

    def sample_images(self, rng: np.random.Generator, n_images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See the base class."""
        if not self.n_labels:
            return super().sample_images(rng, n_images)
        x, y = self._drawn("sample_images", rng, {"n_images": n_images})
        return x, y

    def _drawn(self, what: str, rng: np.random.Generator, arguments: dict[str, int]) -> list[NDArray[Any]]:
        numbers = {name: int(value) for name, value in arguments.items()}
        asked = {"source": self.name, "what": what, "state": rng.bit_generator.state, "arguments": numbers}
        answer = self.server.request(asked)
        if "error" in answer:
            raise ValueError(answer["error"])
        rng.bit_generator.state = answer["state"]
        return [read_array(Path(name)) for name in answer["arrays"]]
