"""A Gaussian process with expected improvement.

Jones, Schonlau & Welch 1998, "Efficient global optimization".

Optuna's sampler: a Matern 5/2 kernel with a length-scale for each parameter, and the logarithm of
expected improvement (Ament et al. 2023, arXiv:2310.20708), in its batch form while other
evaluations are pending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import KINDS
from benchbench.methods.hpo._optuna import OptunaAdapter

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["GaussianProcess"]


class GaussianProcess(OptunaAdapter):
    """Optuna's Gaussian process.

    Parameters that were not active in every evaluation are drawn at random.

    Parameters
    ----------
    n_startup : int
        Evaluations that have to succeed before anything is modelled; configurations are random
        until then.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="gp",
        track="hpo",
        title="Gaussian process",
        summary="Models the loss with a Gaussian process, and evaluates where the expected improvement is greatest.",
        paper="Jones, Schonlau & Welch 1998, Journal of Global Optimization",
        url="https://doi.org/10.1023/A:1008306431147",
        year=1998,
        differs=(
            "Optuna's sampler: Matern 5/2 with priors, log expected improvement, 10 random evaluations at first; conditional "
            "parameters are drawn at random; failed evaluations are left out, so one may be suggested again"
        ),
        family="bayesian",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, n_startup: int = 10) -> None:
        self.n_startup = n_startup

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=self.n_startup, warn_independent_sampling=False)
