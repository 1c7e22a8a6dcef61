"""How many more tasks or seeds it takes to distinguish two methods."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.labels import plural
from benchbench.stats.table import ScoreTable
from benchbench.stats.ties import differences as rounded_differences

__all__ = ["Separation", "tasks_to_separate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """The tasks or seeds needed to distinguish two methods.

    Parameters
    ----------
    a, b : str
    difference : float
        Mean of a minus b over the common tasks.
    sd_tasks : float
        Standard deviation between tasks of the differences, averaged over seeds.
    sd_seeds : float or None
        Standard deviation of a difference between seeds within a task; None for one seed.
    n_tasks, n_seeds : int
        Numbers at present; `n_seeds` is the minimum over the common tasks.
    tasks_needed : int or None
        Total tasks needed with the present seeds; None if the difference is 0.
    seeds_needed : int or None
        Total seeds per task needed on the present tasks; None if no number suffices or it is
        unknown.
    note : str
    """

    a: str
    b: str
    difference: float
    sd_tasks: float
    sd_seeds: float | None
    n_tasks: int
    n_seeds: int
    tasks_needed: int | None
    seeds_needed: int | None
    note: str

    @property
    def more_tasks(self) -> int | None:
        """Tasks to add."""
        return None if self.tasks_needed is None else max(0, self.tasks_needed - self.n_tasks)

    @property
    def more_seeds(self) -> int | None:
        """Seeds per task to add."""
        return None if self.seeds_needed is None else max(0, self.seeds_needed - self.n_seeds)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"more_tasks": self.more_tasks, "more_seeds": self.more_seeds}


def tasks_to_separate(table: ScoreTable, a: str, b: str, *, alpha: float = 0.05, power: float = 0.8) -> Separation:
    r"""Return how many tasks, or how many seeds per task, would distinguish two methods.

    Parameters
    ----------
    table : ScoreTable
    a, b : str
        Methods of the table.
    alpha, power : float
        A two-sided test at level `alpha` finds a difference as large as the measured one with
        probability `power`.

    Notes
    -----
    By the normal approximation, with :math:`\bar d` the mean difference, :math:`\sigma^2` the
    variance of a task's mean difference, and :math:`\sigma_s^2 / S` the part of it that comes from
    S seeds:

    .. math:: T = \left(\frac{(z_{1 - \alpha/2} + z_\text{power})\, \sigma}{\bar d}\right)^2

    and the number of seeds for which T equals the present number of tasks. The measured difference
    is itself uncertain: this is a guide for planning, not a promise.

    Raises
    ------
    UnknownNameError, InputError
        If a method is unknown, or the two share fewer than two tasks.
    """
    for name in (a, b):
        if name not in table.methods:
            raise UnknownNameError("method of the table:", name, table.methods)
    if not 0 < alpha < 1 or not 0 < power < 1:
        raise InputError(f"expected alpha and power between 0 and 1, got {alpha} and {power}")
    own, other = table.methods.index(a), table.methods.index(b)
    # paired by unit, so that effects common to both methods cancel
    paired = table.scores[own] - table.scores[other]
    rows = [row[~np.isnan(row)] for row in paired]
    means = table.task_scores()
    differences = rounded_differences(means[own], means[other])[~np.isnan(means[own]) & ~np.isnan(means[other])]
    n = len(differences)
    if n < 2:
        raise InputError(f"{a} and {b} have {plural(n, 'task')} in common; at least 2 are needed")
    mean, variance = float(differences.mean()), float(differences.var(ddof=1))
    several = [row for row in rows if len(row) > 1]
    sd_seeds = math.sqrt(float(np.mean([row.var(ddof=1) for row in several]))) if several else None
    n_seeds = min((len(row) for row in rows if len(row)), default=1)
    quantiles = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    # the variance of a task's mean difference for which the present tasks suffice
    allowed = n * (mean / quantiles) ** 2
    return Separation(
        a=a,
        b=b,
        difference=mean,
        sd_tasks=math.sqrt(variance),
        sd_seeds=sd_seeds,
        n_tasks=n,
        n_seeds=n_seeds,
        tasks_needed=None if mean == 0 else max(2, math.ceil(variance * (quantiles / mean) ** 2 - 1e-9)),
        seeds_needed=_seeds(variance, sd_seeds, n_seeds, allowed),
        note=f"normal approximation, two-sided level {alpha:g}, power {power:g}, for the measured difference",
    )


def _seeds(variance: float, sd_seeds: float | None, n_seeds: int, allowed: float) -> int | None:
    if variance <= allowed:
        return n_seeds
    if sd_seeds is None:
        return None
    between = max(0.0, variance - sd_seeds**2 / n_seeds)
    return None if allowed <= between else math.ceil(sd_seeds**2 / (allowed - between) - 1e-9)
