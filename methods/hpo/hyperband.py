"""Hyperband: successive halving from several smallest fidelities in turn.

Nobody knows beforehand how far small fidelities can be trusted.

Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar 2018, arXiv:1603.06560, algorithm 1: brackets s_max,
..., 0 with the rung sizes of the paper; R is the full fidelity over the problem's smallest.

What differs: the brackets are run again until the budget is spent. Fidelities are the nearest that
the problem has. A promoted configuration is evaluated from the start, and costs its whole fidelity.
With several workers the next bracket begins where a worker would have to wait.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.hpo import KINDS
from benchbench.methods.hpo._brackets import BracketAdapter

__all__ = ["Hyperband"]


class Hyperband(BracketAdapter):
    """Brackets of successive halving, from trusting small fidelities most to random search.

    Parameters
    ----------
    eta : int
        One in this many configurations is promoted.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="hyperband",
        track="hpo",
        title="Hyperband",
        summary="Runs successive halving from several smallest fidelities in turn.",
        paper="Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar 2018, JMLR",
        url="https://arxiv.org/abs/1603.06560",
        year=2018,
        differs="brackets repeat until the budget is spent; promoted configurations are evaluated from the start",
        family="bandit",
        tasks=KINDS,
        devices=("cpu",),
    )
