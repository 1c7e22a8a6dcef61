"""Ranks over tasks, where not every method has every task."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

__all__ = ["mean_ranks", "ranks"]

M = TypeVar("M", bound=Hashable)
T = TypeVar("T", bound=Hashable)


def ranks(scores: Mapping[M, float]) -> dict[M, float]:
    """Return ranks, 1 = highest score; equal scores share their mean rank."""
    found = {}
    for method, score in scores.items():
        better = sum(other > score for other in scores.values())
        equal = sum(other == score for other in scores.values())
        found[method] = better + (equal + 1) / 2
    return found


def mean_ranks(scores: Mapping[T, Mapping[M, float]]) -> dict[M, float]:
    r"""Return each method's mean rank over tasks, comparing any two methods on the tasks that both have.

    Parameters
    ----------
    scores : mapping of task to mapping of method to score
        Higher is better; a method that declined a task is absent there.

    Notes
    -----
    .. math:: \bar r_a = 1 + \sum_{b \ne a} \frac{1}{|T_{ab}|} \sum_{t \in T_{ab}} [s_{bt} > s_{at}] + \tfrac12 [s_{bt} = s_{at}]

    with :math:`T_{ab}` the tasks of both. If every method has every task this is the usual mean of the tasks' ranks. Two methods
    that share no task count as tied.
    """
    methods = list(dict.fromkeys(m for row in scores.values() for m in row))
    found = {}
    for a in methods:
        total = 1.0
        for b in methods:
            if a == b:
                continue
            shared = [(row[a], row[b]) for row in scores.values() if a in row and b in row]
            lost = sum(1.0 if sb > sa else 0.5 if sb == sa else 0.0 for sa, sb in shared)
            total += lost / len(shared) if shared else 0.5
        found[a] = total
    return found
