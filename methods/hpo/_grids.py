"""Full-factorial grids over spaces with conditions. Importing this is light."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ConfigSpace import Configuration, ConfigurationSpace

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
    from ConfigSpace import Configuration
    from ConfigSpace.exceptions import ForbiddenValueError

    levels = {p.name: _levels(p, n_a_number) for p in space.values()}
    for values in _assignments(space, list(levels), levels, {}):
        try:
            yield Configuration(space, values=values)
        except ForbiddenValueError:
            continue


def _assignments(
    space: ConfigurationSpace, names: list[str], levels: dict[str, list[Any]], chosen: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Go through the values of `names`, on top of those chosen.

    Parents come before their children, as in the space.
    """
    from ConfigSpace.types import NotSet

    if not names:
        yield {name: value for name, value in chosen.items() if value is not NotSet}
        return
    name, *others = names
    is_active = all(c.satisfied_by_value(chosen) for c in space.parent_conditions_of[name])
    for value in levels[name] if is_active else [NotSet]:
        yield from _assignments(space, others, levels, {**chosen, name: value})


def _levels(parameter: Any, n: int) -> list[Any]:
    """Return the values of a parameter on the grid."""
    for name in ("choices", "sequence"):
        if hasattr(parameter, name):
            return list(getattr(parameter, name))
    if not hasattr(parameter, "lower"):
        return [parameter.value]
    n = min(n, parameter.size)
    places = [0.5] if n == 1 else [i / (n - 1) for i in range(n)]
    # integers on a logarithmic scale may round to the same value
    return list(dict.fromkeys(parameter.to_value(place) for place in places))
