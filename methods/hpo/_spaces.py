"""Points of the unit cube as configurations of a space, and back. Importing this is light.

A space's own vectors hold numbers within [0, 1], the index of a category, and NaN for what a
condition makes inactive. Here a unit vector has every coordinate within [0, 1]; a category is the
part of the interval that its index is in, and so is an integer on a linear scale (rounding would
make the two ends half as likely as the others).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

__all__ = ["Sampler", "first_allowed", "from_unit", "from_values", "is_constant", "to_unit"]

# after this many forbidden points in a row the space's own sampling is the better way
N_TRIES = 100


class Sampler:
    """Draws configurations from a space in bulk: one alone takes a hundred times as long.

    Parameters
    ----------
    space : ConfigurationSpace
        Its own random state stays as it is.
    seed : int
    """

    def __init__(self, space: ConfigurationSpace, seed: int, batch_size: int = 128) -> None:
        self._space = space
        self._own = copy.deepcopy(space)
        self._own.seed(seed)
        self._batch_size = batch_size
        self._waiting: list[Any] = []

    def sample(self) -> Configuration:
        """Draw one configuration of the space."""
        from ConfigSpace import Configuration

        if not self._waiting:
            drawn = self._own.sample_configuration(self._batch_size)
            self._waiting = [c.get_array() for c in reversed(drawn)]
        return Configuration(self._space, vector=self._waiting.pop())


def from_values(space: ConfigurationSpace, values: dict[str, Any]) -> Configuration:
    """Return the configuration with these values; those of inactive parameters are left out."""
    from ConfigSpace import Configuration
    from ConfigSpace.util import deactivate_inactive_hyperparameters

    if space.conditions:
        return deactivate_inactive_hyperparameters(values, space)
    return Configuration(space, values=values)


def from_unit(space: ConfigurationSpace, unit: NDArray[np.float64]) -> Configuration:
    """Return the configuration at a point (n_parameters,) of the unit cube.

    Parameters are in the space's order.
    """
    values = {}
    for coordinate, parameter in zip(unit, space.values(), strict=True):
        n = _n_choices(parameter)
        place = coordinate if n is None else min(int(coordinate * n), n - 1)
        values[parameter.name] = parameter.to_value(place / (n - 1) if n and _is_integer(parameter) else place)
    return from_values(space, values)


def first_allowed(
    space: ConfigurationSpace, draw: Callable[[], NDArray[np.float64]], sampler: Sampler
) -> tuple[Configuration, NDArray[np.float64]]:
    """Return the first configuration drawn that the space does not forbid, and its point.

    One of `sampler` if all are forbidden.

    Parameters
    ----------
    space : ConfigurationSpace
    draw : callable
        Returns another point (n_parameters,) of the unit cube at each call.
    sampler : Sampler
    """
    from ConfigSpace.exceptions import ForbiddenValueError

    for _ in range(N_TRIES if space.forbidden_clauses else 1):
        unit = draw()
        try:
            return from_unit(space, unit), unit
        except ForbiddenValueError:
            continue
    config = sampler.sample()
    return config, to_unit(config)


def to_unit(config: Configuration) -> NDArray[np.float64]:
    """Return the point (n_parameters,) of the unit cube; inactive parameters are in the middle."""
    import numpy as np

    vector = np.array(config.get_array(), np.float64)
    for i, parameter in enumerate(config.config_space.values()):
        n = _n_choices(parameter)
        if np.isnan(vector[i]) or n == 1:
            vector[i] = 0.5
        elif n is not None:
            place = round(vector[i] * (n - 1)) if _is_integer(parameter) else vector[i]
            vector[i] = (place + 0.5) / n
    return vector


def _n_choices(parameter: Any) -> int | None:
    """Return how many values a parameter has that is no number, or an integer on a linear scale.

    None for other numbers.
    """
    if hasattr(parameter, "choices"):
        return len(parameter.choices)
    if hasattr(parameter, "sequence"):
        return len(parameter.sequence)
    if _is_integer(parameter):
        return int(parameter.upper) - int(parameter.lower) + 1
    return 1 if is_constant(parameter) else None


def is_constant(parameter: Any) -> bool:
    """Whether a parameter has one value only, and says so."""
    return hasattr(parameter, "value") and not hasattr(parameter, "lower")


def _is_integer(parameter: Any) -> bool:
    from ConfigSpace import UniformIntegerHyperparameter

    return isinstance(parameter, UniformIntegerHyperparameter) and not parameter.log
