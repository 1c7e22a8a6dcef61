"""CMA-ES: an evolution strategy that adapts the covariance of its steps.

Hansen 2016, "The CMA evolution strategy: a tutorial".

Optuna's sampler around the package `cmaes`, in the unit cube.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import ProblemInfo
from benchbench.methods.hpo._optuna import OptunaAdapter

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["CMAES"]


class CMAES(OptunaAdapter):
    """Optuna's CMA-ES, without restarts, for numbers that are always active.

    Parameters
    ----------
    population : int, optional
        Evaluations of one generation; 4 + floor(3 ln n_parameters) if None, as in the paper.
    margin : bool
        Keep whole numbers, also those on a logarithmic scale, from getting stuck at one value
        (Hamano et al. 2022, doi:10.1145/3512290.3528827).
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="cma_es",
        track="hpo",
        title="CMA-ES",
        summary="Draws generations from a normal distribution, whose mean and covariance follow the better half.",
        paper="Hansen 2016",
        url="https://arxiv.org/abs/1604.00772",
        year=2016,
        differs=(
            "Optuna's sampler: starts at the middle of the space with a sixth of its width, never restarts, the first evaluation "
            "is random; with several workers what ends after its generation is lost; failed evaluations are left out"
        ),
        family="evolutionary",
        tasks=("continuous",),
        devices=("cpu",),
    )

    def __init__(self, *, population: int | None = None, margin: bool = False) -> None:
        self.population = population
        self.margin = margin

    def supports(self, problem: ProblemInfo) -> str | None:
        if problem.kind == "mixed":
            return "CMA-ES draws from a normal distribution: it has no form for categories, conditions or forbidden clauses"
        return super().supports(problem)

    def sampler(self, seed: int) -> BaseSampler:
        if self.margin:
            from benchbench.methods.hpo._margin import MarginSampler

            return MarginSampler(seed=seed, popsize=self.population, with_margin=True, warn_independent_sampling=False)
        from optuna.samplers import CmaEsSampler

        return CmaEsSampler(seed=seed, popsize=self.population, warn_independent_sampling=False)
