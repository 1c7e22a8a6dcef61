"""Ratings by the Bradley-Terry model: a textbook's data, the likelihood's own condition, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchbench.errors import InputError
from benchbench.stats.elo import bradley_terry, elo, has_finite_ratings

# Agresti 2002, Categorical Data Analysis, table 10.10: baseball, American League 1987; row beat column
BASEBALL = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],  # Milwaukee
        [6, 0, 7, 5, 11, 9, 9],  # Detroit
        [4, 6, 0, 7, 7, 8, 12],  # Toronto
        [6, 8, 6, 0, 6, 7, 10],  # New York
        [6, 2, 6, 7, 0, 7, 12],  # Boston
        [4, 4, 5, 6, 6, 0, 6],  # Cleveland
        [2, 4, 1, 3, 1, 7, 0],  # Baltimore
    ],
    dtype=float,
)


def test_agrestis_baseball() -> None:
    strengths = bradley_terry(BASEBALL)
    # the textbook's estimates, Baltimore = 0
    assert strengths - strengths[-1] == pytest.approx([1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0], abs=1e-3)


def test_expected_wins_equal_wins() -> None:
    # where the likelihood is highest, each method is expected to win as often as it did
    strengths = bradley_terry(BASEBALL)
    chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
    expected = ((BASEBALL + BASEBALL.T) * chance).sum(axis=1)
    assert expected == pytest.approx(BASEBALL.sum(axis=1), abs=1e-8)


def test_scale_and_anchor() -> None:
    # ten wins to one: 400 points
    ratings = elo(np.array([[0.0, 10.0], [1.0, 0.0]]), prior_draws=0)
    assert ratings == pytest.approx([1200.0, 800.0])
    assert elo(BASEBALL).mean() == pytest.approx(1000.0)


def test_the_imagined_draw_is_what_it_is_said_to_be() -> None:
    drawn = BASEBALL + (1 - np.eye(7)) / 12
    assert bradley_terry(BASEBALL, prior_draws=1.0) == pytest.approx(bradley_terry(drawn))
    moved = np.abs(elo(BASEBALL, prior_draws=1.0) - elo(BASEBALL, prior_draws=0.0))
    assert 0 < moved.max() < 6


def test_who_wins_everything_has_a_finite_rating_only_with_imagined_draws() -> None:
    wins = np.array([[0, 3, 3], [0, 0, 2], [0, 1, 0]], dtype=float)
    assert not has_finite_ratings(wins)
    with pytest.raises(InputError, match="no finite ratings"):
        bradley_terry(wins)
    ratings = elo(wins)
    assert np.isfinite(ratings).all()
    assert list(np.argsort(-ratings)) == [0, 1, 2]


def test_two_separate_leagues_have_no_common_scale_of_their_own() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0], wins[2, 3], wins[3, 2] = 2, 1, 1, 2
    assert not has_finite_ratings(wins)
    ratings = elo(wins)
    assert ratings[0] == pytest.approx(ratings[3])
    assert ratings[0] > ratings[1]


def test_many_fits_at_once_equal_single_ones() -> None:
    rng = np.random.default_rng(0)
    wins = rng.integers(1, 9, size=(7, 5, 5)).astype(float)
    wins[3, 0, 1:] = 30.0
    together = elo(wins)
    assert together.shape == (7, 5)
    for one, ratings in zip(wins, together, strict=True):
        assert elo(one) == pytest.approx(ratings, abs=1e-6)
    assert elo(wins, start=np.ones(5)) == pytest.approx(together, abs=1e-6)


def counts(n: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (n, n), elements=st.integers(0, 40).map(float))


@settings(max_examples=60, deadline=None)
@given(counts(5))
def test_a_clone_is_rated_as_its_original(wins: np.ndarray) -> None:
    np.fill_diagonal(wins, 0)
    cloned = np.zeros((6, 6))
    cloned[:5, :5], cloned[5, :5], cloned[:5, 5] = wins, wins[0], wins[:, 0]
    cloned[0, 5] = cloned[5, 0] = 20.0  # ties of the two, by half
    ratings = elo(cloned)
    assert ratings[5] == pytest.approx(ratings[0], abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(counts(5), st.permutations(range(5)))
def test_the_order_of_methods_does_not_matter(wins: np.ndarray, order: list[int]) -> None:
    np.fill_diagonal(wins, 0)
    assert elo(wins[np.ix_(order, order)]) == pytest.approx(elo(wins)[order], abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(counts(4))
def test_the_fit_meets_the_likelihoods_condition(wins: np.ndarray) -> None:
    np.fill_diagonal(wins, 0)
    drawn = wins + (1 - np.eye(4)) / 6
    strengths = bradley_terry(wins, prior_draws=1.0)
    chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
    assert ((drawn + drawn.T) * chance).sum(axis=1) == pytest.approx(drawn.sum(axis=1), abs=1e-5)


def test_one_method_and_bad_input() -> None:
    assert elo(np.zeros((1, 1))) == pytest.approx([1000.0])
    for bad in (np.ones((2, 3)), np.array([[0, -1], [1, 0.0]]), np.array([[0, math.nan], [1, 0.0]])):
        with pytest.raises(InputError, match="square matrices of counts"):
            elo(bad)


def test_fits_of_many_methods_go_together_and_come_out_the_same() -> None:
    # above 150 methods resamples share a matrix; the last two fits are unlike the others and must be found out
    rng = np.random.default_rng(4)
    quality = rng.normal(size=160)
    chance = 1 / (1 + np.exp(quality[None] - quality[:, None]))
    wins = np.stack([np.triu(rng.binomial(20, chance), 1) for _ in range(6)]).astype(float)
    wins += np.tril(20 - wins.transpose(0, 2, 1), -1)
    wins[4] = wins[4].T
    wins[5] *= rng.random((160, 160)) < 0.2
    together = elo(wins, start=bradley_terry(wins[0], prior_draws=1.0))
    for one, ratings in zip(wins, together, strict=True):
        assert np.abs(elo(one) - ratings).max() < 1e-3


def test_one_of_several_without_finite_ratings_is_refused() -> None:
    finite, endless = np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([[0.0, 2.0], [0.0, 0.0]])
    with pytest.raises(InputError, match="no finite ratings"):
        bradley_terry(np.stack([finite, endless]), prior_draws=0.0)
    both = bradley_terry(np.stack([finite, finite]), prior_draws=0.0)
    # won 2 of 3: the odds are 2
    assert np.diff(both, axis=1).ravel() == pytest.approx([-math.log(2)] * 2)
