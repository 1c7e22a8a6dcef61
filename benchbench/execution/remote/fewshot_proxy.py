"""A few-shot adapter in another interpreter.

The harness draws its training episodes and keeps the labels of test queries.

Arrays are sent as .npy files in the trial's scratch folder, which the reader maps into memory and
removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from benchbench.contracts.context import Budget, Context
from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource, FewShotAdapter, Predictor, Support, TaskInfo
from benchbench.execution.remote.interpreter import Remote
from benchbench.frames import read_array, write_array
from benchbench.registry import create_method

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Proxy"]


class Proxy(FewShotAdapter):
    """Forwards each call to the adapter in its own interpreter and returns its answer.

    It always receives whole batches of episodes, even if the adapter adapts to them one by one, so
    adapting counts as predicting. Training is not shared between tasks.

    Parameters
    ----------
    remote : Remote

    Notes
    -----
    Any call may raise what `Remote.ask` raises.
    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.card = replace(remote.entry.card, batched=True)  # type: ignore[misc]

    def supports(self, task: TaskInfo) -> str | None:
        """See the base class; needs no interpreter, since it needs no heavy imports."""
        adapter: FewShotAdapter = create_method(self.remote.entry.name, self.remote.params)
        return adapter.supports(task)

    def setup(self, task: TaskInfo, context: Context) -> None:
        """See the base class."""
        super().setup(task, context)
        self.remote.setup(task=asdict(task))

    def metrics(self) -> dict[str, float]:
        """Return figures to record beside the scores."""
        return self.remote.metrics()

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        """See the base class."""
        sources = {"train": episodes, "validation": validation}

        def drawn(asked: dict[str, Any]) -> dict[str, Any]:
            return self._drawn(sources[asked["source"]], **{n: asked[n] for n in ("what", "state", "arguments")})

        self.remote.ask(
            "meta_fit",
            drawn,
            sources={name: _described(source) for name, source in sources.items()},
            budget=asdict(budget),
            **self.remote.clock(),
        )

    def adapt(self, support: Support) -> Predictor:
        """See the base class."""
        return _Adapted(self, support)

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        """See the base class."""
        answer = self.remote.file("npy")
        names = self._written({"support_x": support_x, "support_y": support_y, "query_x": query_x})
        self.remote.ask("predict_episodes", None, **names, answer=str(answer))
        return read_array(answer)

    def close(self) -> None:
        """See the base class."""
        self.remote.close()

    def _drawn(
        self, source: EpisodeSource, what: str, state: dict[str, Any], arguments: dict[str, int]
    ) -> dict[str, Any]:
        """Draw from a source with a generator in this state; return files and the new state."""
        import numpy as np

        rng = np.random.Generator(getattr(np.random, state["bit_generator"])())
        rng.bit_generator.state = state
        try:
            found = getattr(source, what)(rng, **arguments)
        except (ValueError, NotImplementedError) as error:
            return {"error": str(error)}
        if isinstance(found, EpisodeBatch):
            found = (found.support_x, found.support_y, found.query_x, found.query_y)
        names = self._written({str(i): array for i, array in enumerate(found)})
        return {"arrays": list(names.values()), "state": rng.bit_generator.state}

    def _written(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
        names = {}
        for name, array in arrays.items():
            path = self.remote.file("npy")
            write_array(array, path)
            names[name] = str(path)
        return names


class _Adapted(Predictor):
    """One episode, sent with its queries as a batch of one."""

    def __init__(self, proxy: Proxy, support: Support) -> None:
        self.proxy, self.support = proxy, support

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """See the base class."""
        found: NDArray[np.floating[Any]] = self.proxy.predict_episodes(
            self.support.x[None], self.support.y[None], query_x[None]
        )[0]
        return found


def _described(source: EpisodeSource) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "input_shape": list(source.input_shape),
        "n_classes": source.n_classes,
        "n_labels": source.n_labels,
    }
