"""CMA-ES with margin for whole numbers on a logarithmic scale. Importing this takes a while.

Hamano, Saito, Nomura & Shirakawa 2022, doi:10.1145/3512290.3528827: whatever the distribution has
shrunk to, each whole number keeps at least a given probability of going to the next one up or down.

Optuna 5.0.0 passes to `cmaes` only whole numbers on a linear scale, whose values have one distance;
those on a logarithmic scale are continuous for it, and get stuck. Here `cmaes` is told where such
values are, and where one ends and the next begins: at k + 1/2, as Optuna rounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cmaes import CMAwM
from numpy.typing import NDArray
from optuna.distributions import IntDistribution
from optuna.samplers import CmaEsSampler

__all__ = ["MarginSampler", "UnevenCMAwM"]

# Optuna's: the middle of the unit cube, with a sixth of its width
MEAN, SIGMA = 0.5, 1 / 6


class MarginSampler(CmaEsSampler):
    """Optuna's sampler, where all whole numbers have the margin."""

    def _init_optimizer(self, trans: Any, direction: Any) -> Any:
        distributions = list(trans._search_space.values())
        is_log = np.array([isinstance(d, IntDistribution) and d.log for d in distributions])
        if not is_log.any():
            return super()._init_optimizer(trans, direction)
        n = len(distributions)
        return UnevenCMAwM(
            mean=np.full(n, MEAN),
            sigma=SIGMA,
            bounds=trans.bounds,
            steps=np.array([1 / (d.high - d.low) if isinstance(d, IntDistribution) else 0.0 for d in distributions]),
            ends=np.array([(d.low, d.high) if log else (1, 2) for d, log in zip(distributions, is_log, strict=True)]),
            is_log=is_log,
            seed=self._cma_rng.rng.randint(1, 2**31 - 2),
            n_max_resampling=10 * n,
            population_size=self._popsize,
        )


class UnevenCMAwM(CMAwM):  # type: ignore[misc]
    """`cmaes.CMAwM` in the unit cube, with whole numbers on a logarithmic scale.

    Parameters
    ----------
    ends : (n, 2) int
        First and last value of those on a logarithmic scale.
    is_log : (n,) bool
    **others
        As for `cmaes.CMAwM`; `steps` has one over the number of steps for every whole number.
    """

    def __init__(
        self, *, ends: NDArray[np.int64], is_log: NDArray[np.bool_], steps: NDArray[Any], **others: Any
    ) -> None:
        is_whole = steps > 0
        self._is_log = is_log[is_whole]
        self._first, self._last = ends[is_whole].T.astype(np.float64)
        self._log_width = np.log(self._last / self._first)
        super().__init__(steps=steps, **others)

    def _get_discrete_param_values(self, indices: NDArray[Any]) -> NDArray[Any]:
        even = super()._get_discrete_param_values(indices)
        return np.where(self._is_log, np.log(1 + indices / self._first) / self._log_width, even)

    def _get_discrete_param_limit_values(self, indices: NDArray[Any]) -> NDArray[Any]:
        even = super()._get_discrete_param_limit_values(indices)
        return np.where(self._is_log, np.log(1 + (indices + 0.5) / self._first) / self._log_width, even)

    def _get_discrete_param_indices(self, values: NDArray[Any]) -> NDArray[Any]:
        even = super()._get_discrete_param_indices(values)
        # what is outside the range is the first or the last
        k = self._first * np.exp(np.clip(values, 0.0, 1.0) * self._log_width)
        # the lower one of two at the same distance, as in cmaes
        uneven = np.clip(np.ceil(k - 0.5), self._first, self._last) - self._first
        return np.where(self._is_log, uneven, even).astype(int)
