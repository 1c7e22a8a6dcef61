"""A space as a grid of levels, and losses as ranks: shared by methods that choose levels.

A category has a level for each choice, an integer with few values one for each; other numbers have
`n_levels` bins that are equally likely in a random draw (`_spaces`), and a value is drawn from its
bin. A choice among levels is a choice among actions, so few values are equally likely at first,
also on a logarithmic scale. Coordinates are those of the space's own vectors; NaN is an
inactive parameter, whose level is -1. Importing this is light.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchbench.contracts.hpo_spaces import SpaceRules
from benchbench.methods.hpo._spaces import Axis

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

__all__ = ["INACTIVE", "Grid", "Ranks"]

INACTIVE = -1
"""The level of a parameter that a condition makes inactive."""


class Grid:
    """The levels of every parameter of a space, in its order (parents before their children).

    Parameters
    ----------
    space : ConfigurationSpace
    n_levels : int
        Bins of a number.
    rng : numpy Generator
        For places within bins.
    """

    def __init__(self, space: ConfigurationSpace, n_levels: int, rng: np.random.Generator) -> None:
        self.space = space
        self._rng = rng
        parameters = list(space.values())
        self._points = [_coordinates(p, n_levels) for p in parameters]
        self._conditions = [space.parent_conditions_of[p.name] for p in parameters]
        self._axes = [Axis(p) for p in parameters]
        self._rules = SpaceRules(space)
        self.is_binned = [points is None for points in self._points]
        self.n_levels = [n_levels if points is None else len(points) for points in self._points]

    def is_active(self, parameter: int, vector: NDArray[np.float64]) -> bool:
        """Whether a parameter's conditions hold in a vector whose earlier coordinates are set."""
        return all(c.satisfied_by_vector(vector) for c in self._conditions[parameter])

    def coordinate(self, parameter: int, level: int) -> float:
        """Return a coordinate at a level: the one that there is, or one drawn within the bin."""
        import numpy as np

        points = self._points[parameter]
        if points is not None:
            return points[level]
        place = np.array([(level + self._rng.random()) / self.n_levels[parameter]])
        return float(self._axes[parameter].coordinates(place)[0])

    def level(self, parameter: int, coordinate: float) -> int:
        """Return the level of a coordinate."""
        import numpy as np

        if coordinate != coordinate:
            return INACTIVE
        points, n = self._points[parameter], self.n_levels[parameter]
        if points is not None:
            return min(range(n), key=lambda k: abs(points[k] - coordinate))
        unit = float(self._axes[parameter].units(np.array([coordinate]))[0])
        return min(int(unit * n), n - 1)

    def levels(self, vector: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the levels (n_parameters,) of a vector (n_parameters,)."""
        import numpy as np

        return np.array([self.level(i, float(c)) for i, c in enumerate(vector)], np.int64)

    def build(self, choose: Callable[[int], float]) -> NDArray[np.float64]:
        """Return the vector of active parameters' coordinates, which `choose` gives in order."""
        import numpy as np

        vector = np.full(len(self.n_levels), np.nan)
        for i in range(len(vector)):
            if self.is_active(i, vector):
                vector[i] = choose(i)
        return vector

    def configuration(self, vector: NDArray[np.float64]) -> Configuration | None:
        """Return the configuration of the space, or None if a forbidden clause rules it out."""
        from benchbench.methods.hpo._spaces import from_vector

        return None if self._rules.is_forbidden(vector[None])[0] else from_vector(self.space, vector)


class Ranks:
    """Losses as ranks among all losses so far; a failed evaluation ranks behind them all."""

    def __init__(self) -> None:
        self._losses: list[float] = []

    def add(self, loss: float | None) -> None:
        """Take a loss in; failures are not losses and leave the ranks as they are."""
        if loss is not None:
            insort(self._losses, loss)

    def share(self, loss: float | None) -> float:
        """Return the share of losses that are smaller, equal ones counting half.

        1 for a failure.
        """
        if loss is None or not self._losses:
            return 1.0 if loss is None else 0.5
        places = bisect_left(self._losses, loss) + bisect_right(self._losses, loss)
        return places / (2 * len(self._losses))


def _coordinates(parameter: Any, n_levels: int) -> list[float] | None:
    """Return the coordinates of a parameter that has only a few.

    None for numbers to be cut into bins.
    """
    if hasattr(parameter, "choices"):
        return [float(k) for k in range(len(parameter.choices))]
    if hasattr(parameter, "sequence"):
        return [float(k) for k in range(len(parameter.sequence))]
    if not hasattr(parameter, "lower"):
        return [float(parameter.to_vector(parameter.value))]
    is_integer = isinstance(parameter.lower, int) and isinstance(parameter.upper, int)
    if is_integer and parameter.upper - parameter.lower < n_levels:
        return [float(parameter.to_vector(v)) for v in range(parameter.lower, parameter.upper + 1)]
    return None
