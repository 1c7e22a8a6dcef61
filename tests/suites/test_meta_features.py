"""Meta-features: what they count, and that they are finite whatever the table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchbench.suites._meta_features import meta_features


def test_counts_and_shares() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 20])
    found = meta_features(rng.standard_normal((80, 4)), y, is_regression=False)
    assert found["log_rows"] == pytest.approx(math.log(80))
    assert found["log_columns_per_row"] == pytest.approx(math.log(4 / 80))
    assert found["n_classes"] == 2
    assert found["majority_share"] == 0.75
    assert found["class_entropy"] == pytest.approx(-(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)))


def test_what_columns_have_in_common() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal(500)
    same = meta_features(np.stack([one, -2 * one, one + 5], 1), one, is_regression=True)
    assert same["mean_correlation"] == pytest.approx(1.0)
    assert same["first_component"] == pytest.approx(1.0)
    apart = meta_features(rng.standard_normal((500, 3)), one, is_regression=True)
    assert apart["mean_correlation"] < 0.1
    assert apart["first_component"] < 0.5


def test_landmarks_say_what_simple_models_learn() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2))
    linear = meta_features(x, x @ [1.0, 2.0], is_regression=True)
    assert linear["linear_loss"] < 0.01 < linear["nearest_neighbour_loss"] < linear["stump_loss"]
    ring = meta_features(x, ((x**2).sum(1) > 1.4).astype(int), is_regression=False)
    assert ring["nearest_neighbour_loss"] < 0.3 < ring["linear_loss"]
    noise = meta_features(x, rng.standard_normal(300), is_regression=True)
    assert noise["linear_loss"] > 0.9


@pytest.mark.parametrize("is_regression", [False, True])
def test_odd_tables_give_finite_numbers(is_regression: bool) -> None:
    x = np.zeros((20, 3))
    for columns in (x, np.concatenate([x, np.eye(20)[:, :2]], 1)):
        y = np.arange(20) % 2 if not is_regression else np.arange(20.0)
        found = meta_features(columns, y, is_regression=is_regression)
        assert all(math.isfinite(value) for value in found.values())
        assert len(found) == 13


def test_a_description_repeats() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1500, 5)), rng.integers(3, size=1500)
    assert meta_features(x, y, is_regression=False) == meta_features(x, y, is_regression=False)
