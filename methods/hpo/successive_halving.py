"""Successive halving: many configurations at a small fidelity, the best third at the next, ...

Jamieson & Talwalkar 2016, arXiv:1502.07943, in the form that Li et al. 2018 (arXiv:1603.06560) give
it: eta^s configurations at the fidelity eta^-s, where s is as large as the problem's smallest
fidelity allows; of each rung the best 1/eta are evaluated again at eta times the fidelity, until
one is at the full one.

What differs: it begins afresh until the budget is spent, where the paper divides the budget once
over a number of configurations that the user chooses. Fidelities are the nearest that the problem
has. A promoted configuration is evaluated from the start, and costs its whole fidelity. With
several workers the next run begins where a worker would have to wait.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import KINDS
from benchbench.methods.hpo._brackets import BracketAdapter

__all__ = ["SuccessiveHalving"]


class SuccessiveHalving(BracketAdapter):
    """Successive halving from the smallest fidelity up, again and again.

    Parameters
    ----------
    eta : int
        One in this many configurations is promoted.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="successive_halving",
        track="hpo",
        title="Successive halving",
        summary="Evaluates many configurations at a small fidelity, and the best of them at more and more.",
        paper="Jamieson & Talwalkar 2016, AISTATS",
        url="https://arxiv.org/abs/1502.07943",
        year=2016,
        differs="begins afresh until the budget is spent; eta^s configurations a run; promoted ones are evaluated from the start",
        family="bandit",
        tasks=KINDS,
        devices=("cpu",),
    )

    def bracket_index(self, number: int) -> int:
        return len(self.ladder) - 1
