"""Elo ratings by the Bradley-Terry model, fitted to all comparisons at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchbench.errors import InputError
from benchbench.stats.table import FloatArray

__all__ = [
    "MEAN_RATING",
    "POINTS_PER_FACTOR_TEN",
    "POINTS_PER_UNIT",
    "PRIOR_DRAWS",
    "bradley_terry",
    "chord_of",
    "elo",
    "has_finite_ratings",
]

MEAN_RATING = 1000.0
POINTS_PER_FACTOR_TEN = 400.0
"""Difference of ratings at which winning is ten times as likely as losing (Elo 1978)."""
POINTS_PER_UNIT = POINTS_PER_FACTOR_TEN / math.log(10.0)
"""Points per unit of log-strength."""
PRIOR_DRAWS = 1.0
"""Imagined draws per method, spread evenly over its opponents."""
_NEWTON_STEPS = 60
# bound of the last step; the remaining error is of the order of its square
_TOLERANCE = 1e-6
# chord steps converge only linearly; extrapolation uses one more than the remembered ones
_CHORD_TOLERANCE, _REMEMBERED = 1e-7, 3
_MANY_METHODS = 150
# bound of a step of log-strength: keeps Newton's method from overshooting where the likelihood is
# flat
_LONGEST_STEP = 2.0


def elo(
    wins: FloatArray,
    *,
    prior_draws: float = PRIOR_DRAWS,
    start: FloatArray | None = None,
    chord: FloatArray | None = None,
) -> FloatArray:
    r"""Return ratings with a mean of 1000 and 400 points per factor of ten in the odds.

    Parameters
    ----------
    wins : (..., M, M)
        `wins[a, b]` is how often a beat b, a tie being half a win of each. Leading axes are
        separate fits.
    prior_draws : float
        Imagined draws per method, spread evenly over its opponents. They keep the rating of a
        method finite that won (or lost) everything, where the likelihood has no maximum (Ford
        1957), and change others little: they weigh as much as that many comparisons. 0 gives plain
        maximum likelihood.
    start : (..., M), optional
        Initial log-strengths.
    chord : (M, M), optional
        As for `bradley_terry`.

    Returns
    -------
    (..., M) ratings

    Raises
    ------
    InputError
        If `prior_draws` is 0 and the likelihood has no maximum.

    Notes
    -----
    .. math:: P(a \text{ beats } b) = \frac{1}{1 + 10^{(R_b - R_a) / 400}}

    References
    ----------
    Bradley, Terry 1952, doi:10.2307/2334029; Hunter 2004, doi:10.1214/aos/1079120141.
    """
    return MEAN_RATING + POINTS_PER_UNIT * bradley_terry(wins, prior_draws=prior_draws, start=start, chord=chord)


def bradley_terry(
    wins: FloatArray, *, prior_draws: float = 0.0, start: FloatArray | None = None, chord: FloatArray | None = None
) -> FloatArray:
    """Return the maximum-likelihood log-strengths, with a mean of 0.

    Parameters
    ----------
    wins : (..., M, M)
        As for `elo`; the diagonal is ignored.
    prior_draws : float
        As for `elo`.
    start : (..., M), optional
        Initial log-strengths of Newton's method.
    chord : (M, M), optional
        As `chord_of` returns it for a fit that these differ little from. It replaces the matrices
        of Newton's steps, each of which costs as much as a hundred gradients.

    Raises
    ------
    InputError
        If `wins` is invalid, or the likelihood has no finite maximum.
    """
    wins = np.array(wins, dtype=np.float64)
    if wins.ndim < 2 or wins.shape[-1] != wins.shape[-2] or not np.isfinite(wins).all() or (wins < 0).any():
        raise InputError(f"wins must be square matrices of counts of 0 or more, got shape {wins.shape}")
    lead, n = wins.shape[:-2], wins.shape[-1]
    if n < 2:
        return np.zeros((*lead, n))
    wins = wins.reshape(-1, n, n)
    diagonal = np.arange(n)
    wins[:, diagonal, diagonal] = 0.0
    if prior_draws > 0:
        wins += prior_draws / (2 * (n - 1))
        wins[:, diagonal, diagonal] = 0.0
    elif not all(has_finite_ratings(one) for one in wins):
        raise InputError(
            "plain maximum likelihood gives no finite ratings: some methods won, or lost, every comparison with the others;"
            " use prior_draws"
        )
    theta = np.zeros((len(wins), n)) if start is None else np.array(np.broadcast_to(start, (*lead, n))).reshape(-1, n)
    _fit(wins, theta, chord)
    return theta.reshape(*lead, n)


def chord_of(wins: FloatArray, theta: FloatArray, *, prior_draws: float) -> FloatArray | None:
    """Return the inverse of minus the second derivatives (M, M) at a fit; None for few methods."""
    n = len(theta)
    if n <= _MANY_METHODS:
        return None
    games = wins + wins.T + prior_draws / (n - 1)
    np.fill_diagonal(games, 0.0)
    _, weight = _derivatives(games[None], wins.sum(axis=1)[None], theta[None])
    inverse: FloatArray = np.linalg.inv(_information(weight)[0])
    return inverse


def _fit(wins: FloatArray, theta: FloatArray, chord: FloatArray | None) -> None:
    """Maximise the likelihood over the log-strengths, in place."""
    games = wins + wins.transpose(0, 2, 1)
    won = wins.sum(axis=2)
    active = np.arange(len(theta))
    if chord is not None:
        active = np.array([i for i in active if not _chords(games[i], won[i], theta[i], chord)], dtype=np.intp)
    for _ in range(_NEWTON_STEPS):
        if not len(active):
            break
        gradient, weight = _derivatives(games[active], won[active], theta[active])
        step = np.linalg.solve(_information(weight), gradient[:, :, None])[:, :, 0]
        longest = np.abs(step).max(axis=1)
        theta[active] += step * np.minimum(1.0, _LONGEST_STEP / np.maximum(longest, 1e-300))[:, None]
        active = active[longest > _TOLERANCE]
    theta -= theta.mean(axis=1, keepdims=True)


def _chords(games: FloatArray, won: FloatArray, theta: FloatArray, chord: FloatArray) -> bool:
    """Take Newton's steps with a given inverse, in place; return whether they converged.

    Steps are extrapolated from the last ones (Anderson 1965, doi:10.1145/321296.321305).
    """
    start = theta.copy()
    moves: list[FloatArray] = []
    changes: list[FloatArray] = []
    last: FloatArray | None = None
    memory = np.empty_like(games)
    for _ in range(_NEWTON_STEPS):
        step = chord @ _gradient(games, won, theta, memory)
        longest = float(np.abs(step).max())
        if longest <= _CHORD_TOLERANCE:
            theta += step
            return True
        if not longest < _LONGEST_STEP:
            break
        move = step
        if last is not None:
            changes = [*changes[-_REMEMBERED:], step - last]
            basis = np.stack(changes, axis=1)
            share = np.linalg.lstsq(basis, step, rcond=None)[0]
            move = step - (np.stack(moves, axis=1) + basis) @ share
        theta += move
        moves, last = [*moves[-_REMEMBERED:], move], step
    # the fit needs its own matrices
    theta[:] = start
    return False


def _gradient(games: FloatArray, won: FloatArray, theta: FloatArray, total: FloatArray) -> FloatArray:
    """Return the log-likelihood's gradient (M,) of one fit; `total` is overwritten."""
    strength = np.exp(theta - theta.mean())
    np.add(strength[:, None], strength, out=total)
    np.divide(games, total, out=total)
    gradient: FloatArray = won - strength * total.sum(axis=1)
    return gradient


def _derivatives(games: FloatArray, won: FloatArray, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log-likelihood's gradient (B, M) and the curvature (B, M, M) of each pair."""
    strength = np.exp(theta - theta.mean(axis=1, keepdims=True))
    chance = strength[:, :, None] / (strength[:, :, None] + strength[:, None, :])  # P(a beats b)
    expected = games * chance
    gradient = won - expected.sum(axis=2)
    chance -= 1.0
    expected *= chance
    return gradient, np.negative(expected, out=expected)


def _information(weight: FloatArray) -> FloatArray:
    """Return (B, M, M) minus the second derivatives, made regular.

    They are singular, since the likelihood is invariant to a shift of all strengths.
    """
    n = weight.shape[1]
    system = np.full(weight.shape, 1.0)
    system *= weight.sum(axis=(1, 2))[:, None, None] / n**2 + 1e-12
    system -= weight
    diagonal = np.arange(n)
    system[:, diagonal, diagonal] += weight.sum(axis=2)
    return system


def has_finite_ratings(wins: FloatArray) -> bool:
    """Return whether plain maximum likelihood has a maximum (Ford 1957).

    It has one if the graph with an edge from a to b where a beat b is strongly connected.
    """
    from scipy.sparse.csgraph import connected_components

    graph: NDArray[np.bool_] = wins > 0
    n, _ = connected_components(graph, directed=True, connection="strong")
    return bool(n == 1)
