"""TPE: densities of good and of bad configurations; draws where their ratio is greatest.

Bergstra, Bardenet, Bengio & Kegl 2011, "Algorithms for hyper-parameter optimization". Optuna's
sampler; what it does otherwise than the paper: Watanabe 2023, arXiv:2304.11127.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import KINDS
from benchbench.methods.hpo._optuna import OptunaAdapter

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["TPE"]


class TPE(OptunaAdapter):
    """Optuna's TPE.

    If several evaluations run at once, pending ones count as bad ("constant liar").

    Parameters
    ----------
    multivariate : bool
        One density over all parameters that have always been active, as in BOHB; without it one for
        each parameter.
    n_startup : int
        Evaluations that have to succeed before anything is modelled; configurations are random
        until then.
    n_candidates : int
        Draws from the good density, of which the best by the ratio is suggested.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="tpe",
        track="hpo",
        title="TPE",
        summary="Models the densities of good and of bad configurations, and draws where their ratio is greatest.",
        paper="Bergstra, Bardenet, Bengio & Kegl 2011, NeurIPS",
        url="https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization",
        year=2011,
        differs=(
            "Optuna's sampler: one density over all parameters by default, a tenth of the evaluations are good, 10 random at first; "
            "failed evaluations are left out"
        ),
        family="bayesian",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, multivariate: bool = True, n_startup: int = 10, n_candidates: int = 24) -> None:
        self.multivariate = multivariate
        self.n_startup = n_startup
        self.n_candidates = n_candidates

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(
            seed=seed,
            multivariate=self.multivariate,
            n_startup_trials=self.n_startup,
            n_ei_candidates=self.n_candidates,
            constant_liar=self.budget.workers > 1,
        )
