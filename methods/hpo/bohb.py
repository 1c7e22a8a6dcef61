"""BOHB: Hyperband whose new configurations come from a model of where good and bad ones are.

Falkner, Klein & Hutter 2018, arXiv:1807.01774, algorithm 2. Of the highest fidelity with enough
evaluations (d + 3, for d parameters) the best 15 per cent and the others each give a kernel
density, l and g. Of 64 points drawn from l, three times as wide, the one with the largest l/g is
taken. A third of the configurations is drawn at random.

What differs: the width of a category's kernel shrinks with the number of evaluations as the others
do (the released code applies the normal reference rule to the indices of the choices). Ordered
values and integers are numbers. In the densities an inactive parameter has a value drawn uniformly
(there, one drawn from the values seen). The densities overlap where evaluations are few, as the
paper's formulas have it. A failed evaluation counts as the worst. Hyperband's adaptations are those
of `hyperband`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOBudget, Observation, ProblemInfo
from benchbench.methods.hpo._brackets import BracketAdapter

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration
    from numpy.typing import NDArray

__all__ = ["BOHB"]

Point = tuple[float, "NDArray[np.float64]"]


class BOHB(BracketAdapter):
    """Hyperband with a density model of the best configurations.

    Parameters
    ----------
    eta : int
        One in this many configurations is promoted.
    good_share : float
        Of the evaluations that are the good ones.
    random_share : float
        Of the new configurations that are drawn at random.
    n_candidates : int
        Points drawn from the density of the good ones.
    widen : float
        How many times as wide its kernels are when points are drawn.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="bohb",
        track="hpo",
        title="BOHB",
        summary="Hyperband whose new configurations come from densities of good and bad ones.",
        paper="Falkner, Klein & Hutter 2018, ICML",
        url="https://arxiv.org/abs/1807.01774",
        year=2018,
        differs="widths of categories; ordered values are numbers; inactive parameters uniform in the densities; Hyperband as adapted here",
        family="bandit",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(
        self,
        *,
        eta: int = 3,
        good_share: float = 0.15,
        random_share: float = 1 / 3,
        n_candidates: int = 64,
        widen: float = 3.0,
    ) -> None:
        super().__init__(eta=eta)
        self.good_share = good_share
        self.random_share = random_share
        self.n_candidates = n_candidates
        self.widen = widen

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        import numpy as np

        super().setup(problem, budget=budget, context=context)
        self._rng = context.rng("bohb", "model")
        self._seen: dict[float, list[Point]] = {f: [] for f in self.ladder}
        self._n_choices = np.array([len(getattr(p, "choices", ())) for p in problem.space.values()])

    def new_configuration(self) -> Configuration:
        from benchbench.methods.hpo._spaces import first_allowed

        # d + 1 points make a density, and two more tell good from bad (N_min and its use in section
        # 3.2 of the paper)
        enough = [f for f, points in self._seen.items() if len(points) >= len(self._n_choices) + 3]
        if self._rng.random() < self.random_share or not enough:
            return self.sampler.sample()
        points = sorted(self._seen[max(enough)], key=lambda point: point[0])
        return first_allowed(self.problem.space, lambda: self._promising(points), self.sampler)[0]

    def tell(self, observation: Observation) -> None:
        import numpy as np

        from benchbench.methods.hpo._spaces import to_unit

        super().tell(observation)
        config = observation.suggestion.config
        is_inactive = np.isnan(config.get_array())
        unit = np.where(is_inactive, self._rng.random(len(is_inactive)), to_unit(config))
        loss = math.inf if observation.loss is None else observation.loss
        self._seen[observation.suggestion.fidelity].append((loss, unit))

    def _promising(self, points: list[Point]) -> NDArray[np.float64]:
        """Return the most promising of the candidates; the points come with the best first."""
        import numpy as np

        from benchbench.methods.hpo._density import Density

        units = np.array([unit for _, unit in points])
        n_min = len(self._n_choices) + 1
        n_good = max(n_min, int(self.good_share * len(units)))
        good = Density(units[:n_good], self._n_choices)
        bad = Density(units[-max(n_min, len(units) - n_good) :], self._n_choices)
        candidates = good.sample(self._rng, self.n_candidates, self.widen)
        return candidates[np.argmax(good.log_density(candidates) - bad.log_density(candidates))]
