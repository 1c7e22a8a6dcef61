"""Training episodes gathered on the device are those that the source samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchbench.methods.fewshot._supply import Supply, shuffled
from benchbench.suites._pools import ImagePool


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("colour", [False, True])
def test_resident_episodes_are_the_sampled_ones(rotates: bool, colour: bool) -> None:
    shape = (9, 6, 10, 10, 3) if colour else (9, 6, 10, 10)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pool = ImagePool(images, np.array([7, 2, 5, 0, 8]), rotates=rotates)
    asked = {"n_way": 4, "k_shot": 2, "n_query": 3, "n_tasks": 5}
    plain = Supply(pool, "cpu").sample(np.random.default_rng(1), **asked)
    resident = Supply(pool, "cpu", resident=True).sample(np.random.default_rng(1), **asked)
    for one, other in zip(plain, resident, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_rows_are_shuffled_with_their_labels() -> None:
    x = torch.arange(12.0).reshape(2, 6, 1)
    y = torch.arange(12).reshape(2, 6)
    a, b = shuffled(np.random.default_rng(0), x, y)
    assert torch.equal(a[..., 0].long(), b)
    assert torch.equal(b.sort(1).values, y)
    assert not torch.equal(b, y)
