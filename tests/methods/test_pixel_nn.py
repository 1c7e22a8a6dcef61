"""Pixel nearest neighbour against scikit-learn's, and its ties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from benchbench.contracts.fewshot import Support, TaskInfo
from benchbench.execution.harness import TrialHarness
from benchbench.methods.fewshot.pixel_nn import PixelNearestNeighbour


def _adapter(**info: Any) -> PixelNearestNeighbour:
    adapter = PixelNearestNeighbour()
    task = TaskInfo(**{"name": "t", "kind": "classification", "n_way": 5, "k_shot": 2, "n_query": 30, **info})
    assert adapter.supports(task) is None
    adapter.setup(task, TrialHarness(seed=0, device="cpu", threads=1, scratch=Path(), deadline=1e12).context)
    return adapter


def test_labels_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    adapter = _adapter(input_shape=(1, 9, 7))
    support_x = rng.random((20, 10, 1, 9, 7), dtype=np.float32)
    support_y = np.stack([rng.permutation(np.repeat(np.arange(5), 2)) for _ in range(20)])
    query_x = rng.random((20, 30, 1, 9, 7), dtype=np.float32)
    found = adapter.predict_episodes(support_x, support_y, query_x)
    assert found.shape == (20, 30, 5)
    for s, y, q, p in zip(support_x, support_y, query_x, found, strict=True):
        reference = KNeighborsClassifier(1).fit(s.reshape(10, -1), y)
        np.testing.assert_array_equal(p, reference.predict_proba(q.reshape(30, -1)))
        np.testing.assert_array_equal(p, adapter.adapt(Support(s, y, 5)).predict(q))


def test_values_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    adapter = _adapter(kind="regression", n_way=1, input_shape=(1,), n_outputs=2)
    support_x, query_x = rng.random((3, 10, 1), dtype=np.float32), rng.random((3, 30, 1), dtype=np.float32)
    support_y = rng.random((3, 10, 2), dtype=np.float32)
    found = adapter.predict_episodes(support_x, support_y, query_x)
    for s, y, q, p in zip(support_x, support_y, query_x, found, strict=True):
        np.testing.assert_allclose(p, KNeighborsRegressor(1).fit(s, y).predict(q), rtol=1e-7)


@pytest.mark.parametrize(("labels", "expected"), [([0, 1, 1], [0.5, 0.5]), ([1, 1, 0], [0.0, 1.0])])
def test_equal_distances_share_the_vote(labels: list[int], expected: list[float]) -> None:
    adapter = _adapter(n_way=2, input_shape=(2,))
    support = Support(np.array([[1, 0], [0, 1], [3, 3]], dtype=np.float32), np.array(labels), 2)
    found = adapter.adapt(support).predict(np.zeros((1, 2), dtype=np.float32))
    np.testing.assert_array_equal(found, [expected])
