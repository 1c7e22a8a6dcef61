"""Knowledge of related problems: which are most similar, and how good configurations were.

Importing this is light.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from benchbench.contracts.hpo import History, ProblemInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["by_similarity", "decline_without", "greedy_portfolio", "in_turns", "shared_regrets"]


def decline_without(problem: ProblemInfo) -> str | None:
    """Return why a method that learns from related problems declines this one, or None."""
    if not problem.histories():
        return "learns from evaluations of related problems; this one comes without any"
    return None


def by_similarity(problem: ProblemInfo) -> list[History]:
    """Return the related problems, those with the most similar meta-features first.

    The distance is the sum of absolute differences of the meta-features, each over its range among
    all problems; a feature that one of them lacks does not count. Feurer, Springenberg & Hutter
    2015, equation 3 (p = 1).
    """
    import numpy as np

    histories = problem.histories()
    own = problem.meta_features
    names = [n for n in own if all(n in h.meta_features for h in histories)]
    values = np.array([[features[n] for n in names] for features in (own, *(h.meta_features for h in histories))])
    spread = np.ptp(values, axis=0)
    distances = (np.abs(values[1:] - values[0])[:, spread > 0] / spread[spread > 0]).sum(1)
    return [histories[i] for i in np.argsort(distances, kind="stable")]


def in_turns(histories: Sequence[History]) -> Iterator[NDArray[np.float64]]:
    """Yield vectors (n_parameters,): each problem's best configuration, then each second best, ...

    None is yielded twice.
    """
    import numpy as np

    orders = [np.argsort(h.losses, kind="stable")[: int(np.isfinite(h.losses).sum())] for h in histories]
    seen = set()
    for place in range(max((len(o) for o in orders), default=0)):
        for history, order in zip(histories, orders, strict=True):
            if place < len(order):
                vector = history.vectors[order[place]]
                if vector.tobytes() not in seen:
                    seen.add(vector.tobytes())
                    yield vector


def shared_regrets(histories: Sequence[History]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the configurations evaluated on every problem, and their regrets.

    Returns
    -------
    vectors : (n, n_parameters) array
    regrets : (n, n_problems) array
        0: the best loss of the problem; 1: its median loss, a worse one, or a failure.
    """
    import numpy as np

    rows = [{v.tobytes(): i for i, v in enumerate(h.vectors)} for h in histories]
    keys = [key for key in rows[0] if all(key in r for r in rows)]
    vectors = histories[0].vectors[[rows[0][key] for key in keys]]
    columns = []
    for history, row in zip(histories, rows, strict=True):
        losses = history.losses[[row[key] for key in keys]]
        best, middle = np.nanmin(history.losses), np.nanmedian(history.losses)
        scale = middle - best if middle > best else 1.0
        columns.append(np.clip(np.nan_to_num((losses - best) / scale, nan=1.0), 0.0, 1.0))
    return vectors, np.stack(columns, 1)


def greedy_portfolio(regrets: NDArray[np.float64], size: int) -> list[int]:
    """Choose rows greedily: each lowers the mean over problems of the smallest regret the most.

    Once none lowers it, the choice starts again among the rows that are left.

    Parameters
    ----------
    regrets : (n, n_problems) array
    size : int
        Rows to choose; all of them if there are fewer.
    """
    import numpy as np

    chosen: list[int] = []
    left = np.ones(len(regrets), bool)
    reached = np.full(regrets.shape[1], np.inf)
    while len(chosen) < min(size, len(regrets)):
        means = np.where(left, np.minimum(regrets, reached).mean(1), np.inf)
        best = int(means.argmin())
        if means[best] >= reached.mean():
            reached[:] = np.inf
            continue
        chosen.append(best)
        left[best] = False
        reached = np.minimum(reached, regrets[best])
    return chosen
