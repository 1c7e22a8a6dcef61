"""The subject of few-shot probes: a trained adapter, its task, and how to train more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchbench.contracts.fewshot import EpisodeBatch, FewShotAdapter, FewShotTask, Support
from benchbench.execution.adapters import make_adapter
from benchbench.protocols import fewshot as protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = ["TOLERANCE", "Subject", "difference"]

# tolerance for float32 sums in another order
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Subject:
    """A trained adapter and its task."""

    adapter: FewShotAdapter
    task: FewShotTask
    spec: TrialSpec
    harness: TrialHarness

    @classmethod
    def new(cls, spec: TrialSpec, task: FewShotTask, harness: TrialHarness) -> Subject:
        """Create an adapter for the task, without training or state."""
        adapter: FewShotAdapter = make_adapter(spec, harness)
        adapter.setup(task.info, harness.context)
        return cls(adapter, task, spec, harness)

    @classmethod
    def trained(cls, spec: TrialSpec, task: FewShotTask, harness: TrialHarness) -> Subject:
        """Create an adapter for the task and train it for the trial's few iterations."""
        made = cls.new(spec, task, harness)
        harness.start_clock()
        made.adapter.meta_fit(task.train, validation=task.validation, budget=spec.budget, context=harness.context)
        return made

    def episodes(self, n: int) -> EpisodeBatch:
        """Return `n` test episodes in one batch."""
        return protocol.stacked(list(protocol.test_episodes(self.task, n)))

    def predict(self, support_x: Any, support_y: Any, query_x: Any) -> NDArray[np.floating[Any]]:
        """Adapt to one episode and return checked predictions."""
        found = self.adapter.adapt(Support(support_x, support_y, self.task.info.n_way)).predict(query_x)
        return protocol.check_predictions(found, query_x.shape[:1], self.task.info)

    def predict_episodes(self, support_x: Any, support_y: Any, query_x: Any) -> NDArray[np.floating[Any]]:
        """Predict many episodes at once and return checked predictions."""
        found = self.adapter.predict_episodes(support_x, support_y, query_x)
        return protocol.check_predictions(found, query_x.shape[:2], self.task.info)

    def predict_all(self, batch: EpisodeBatch) -> NDArray[np.floating[Any]]:
        """Predict the episodes of a batch one by one."""
        import numpy as np

        episodes = zip(batch.support_x, batch.support_y, batch.query_x, strict=True)
        return np.stack([self.predict(*episode) for episode in episodes])


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the largest difference, as a share of the largest value where that is above 1."""
    import numpy as np

    return float(np.abs(a - b).max() / max(1.0, float(np.abs(a).max())))
