"""Full-factorial grids over spaces with conditions. Importing this is light."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

__all__ = ["configurations", "n_points", "resolution"]


def resolution(space: ConfigurationSpace, budget: int) -> int:
    """Return the most points per number (2 at least) such that the grid fits the budget."""
    most = max((p.size for p in space.values() if hasattr(p, "lower")), default=0)
    finer = range(3, int(min(most, budget)) + 1)
    return 2 + bisect_right(finer, budget, key=lambda n: n_points(space, n, budget))


def n_points(space: ConfigurationSpace, n_a_number: int, limit: int) -> int:
    """Return how many configurations the grid has; counting ends at one more than `limit`."""
    return sum(1 for _ in islice(configurations(space, n_a_number), limit + 1))


def configurations(space: ConfigurationSpace, n_a_number: int) -> Iterator[Configuration]:
    """Go through the grid: every choice of a category, `n_a_number` points per number.

    Points go from end to end of a number's scale.

    Inactive parameters take no values, so no configuration comes twice; forbidden ones are left
    out.
    """
    import numpy as np

    from benchbench.contracts.hpo_spaces import SpaceRules
    from benchbench.methods.hpo._spaces import from_vector

    rules = SpaceRules(space)
    levels = [_levels(p, n_a_number) for p in space.values()]
    conditions = [space.parent_conditions_of[name] for name in space]
    for vector in _vectors(levels, conditions, np.full(len(levels), np.nan), 0):
        if not rules.is_forbidden(vector[None])[0]:
            yield from_vector(space, vector)


def _vectors(
    levels: list[list[float]], conditions: list[Any], vector: NDArray[np.float64], i: int
) -> Iterator[NDArray[np.float64]]:
    """Go through the coordinates of parameter `i` and those after it, on top of those set.

    Parents come before their children, as in the space.
    """
    import numpy as np

    if i == len(levels):
        yield vector.copy()
        return
    is_active = all(c.satisfied_by_vector(vector) for c in conditions[i])
    for coordinate in levels[i] if is_active else [np.nan]:
        vector[i:] = np.nan
        vector[i] = coordinate
        yield from _vectors(levels, conditions, vector, i + 1)


def _levels(parameter: Any, n: int) -> list[float]:
    """Return the coordinates of a parameter on the grid."""
    from benchbench.contracts.hpo_spaces import CONSTANT, is_constant, n_choices

    if is_constant(parameter):
        return [CONSTANT]
    listed = n_choices(parameter)
    if listed is not None:
        return [float(k) for k in range(listed)]
    n = min(n, parameter.size)
    places = [0.5] if n == 1 else [i / (n - 1) for i in range(n)]
    # integers on a logarithmic scale may round to the same value
    values = dict.fromkeys(parameter.to_value(place) for place in places)
    return [min(max(float(parameter.to_vector(value)), 0.0), 1.0) for value in values]
