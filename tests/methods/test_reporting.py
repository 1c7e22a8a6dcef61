"""Validation while training looks at episodes as they are at test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._reporting import Reporter
from benchbench.registry import create_method


@pytest.mark.parametrize(("name", "is_ordered"), [("snail", True), ("mann", True), ("protonet", False)])
def test_a_method_that_reads_a_sequence_meets_it_in_random_order(
    name: str, is_ordered: bool, blobs: Any, blob_task: TaskInfo, make_context: Any
) -> None:
    """Sorted by class, as episodes are sampled, the place of an example would give its label away."""
    adapter = create_method(name, {})
    adapter.setup(blob_task, make_context())
    blobs.noise = 0.0
    seen: list[Any] = []

    def predict_episodes(support_x: Any, support_y: Any, query_x: Any) -> Any:
        seen.append((support_x, support_y, query_x))
        return np.zeros((*query_x.shape[:2], 5), dtype=np.float32)

    adapter.predict_episodes = predict_episodes
    reporter = Reporter(adapter, blobs, budget=Budget(preset="tests", iterations=1), n_reports=1)
    reporter.scores()
    reporter.scores()
    (x, y, query_x), again = seen
    assert all(np.array_equal(a, b) for a, b in zip((x, y, query_x), again, strict=True)), "the same episodes each time"
    assert (len(np.unique(y, axis=0)) > 1) == is_ordered
    # images without noise: those of the queries, which are sorted, tell the class of each support image
    for i in range(len(x)):
        patterns = query_x[i].reshape(5, -1, *x.shape[2:])[:, 0]
        np.testing.assert_array_equal(x[i], patterns[y[i]])
