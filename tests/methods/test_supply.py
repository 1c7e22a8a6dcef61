"""Training episodes gathered on the device are those that the source samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchbench.methods.fewshot._supply import Supply, shuffled
from benchbench.suites._pools import ImagePool


@pytest.fixture(params=["grey", "colour"])
def images(request: pytest.FixtureRequest) -> NDArray[np.uint8]:
    shape = (9, 6, 10, 10, 3) if request.param == "colour" else (9, 6, 10, 10)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(params=[False, True], ids=["as_stored", "rotates"])
def pool(request: pytest.FixtureRequest, images: NDArray[np.uint8]) -> ImagePool:
    return ImagePool(images, np.array([7, 2, 5, 0, 8]), rotates=request.param)


def test_resident_episodes_are_the_sampled_ones(pool: ImagePool) -> None:
    asked = {"n_way": 4, "k_shot": 2, "n_query_per_class": 3, "n_tasks": 5}
    plain = Supply(pool, "cpu").sample(np.random.default_rng(1), **asked)
    resident = Supply(pool, "cpu", resident=True).sample(np.random.default_rng(1), **asked)
    for one, other in zip(plain, resident, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_resident_images_need_not_be_square() -> None:
    pool = ImagePool(np.random.default_rng(0).integers(0, 256, (9, 6, 10, 7), dtype=np.uint8))
    plain, resident = (
        Supply(pool, "cpu", resident=where).sample(
            np.random.default_rng(1), n_way=4, k_shot=2, n_query_per_class=3, n_tasks=5
        )
        for where in (False, True)
    )
    torch.testing.assert_close(plain[0], resident[0], rtol=1e-6, atol=1e-7)


def test_resident_images_are_the_sampled_ones(pool: ImagePool) -> None:
    plain = Supply(pool, "cpu").sample_images(np.random.default_rng(1), 30)
    resident = Supply(pool, "cpu", resident=True).sample_images(np.random.default_rng(1), 30)
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
