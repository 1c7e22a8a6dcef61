"""Points of the unit cube as configurations of a space, and back. Importing this is light.

A space's own vectors hold numbers within [0, 1], the index of a category, and NaN for what a
condition makes inactive. Here a unit vector has every coordinate within [0, 1], and a point drawn
uniformly is a draw from the prior that all methods share:

- a float is uniform on its scale, linear or logarithmic;
- a category or an ordered value is a part of the interval, each as wide as the others;
- a whole number k is the cell [k - 1/2, k + 1/2] of the range [lower - 1/2, upper + 1/2], on its
  scale. On a linear one all are equally likely; on a logarithmic one k has the probability
  log((k + 1/2) / (k - 1/2)) / log((upper + 1/2) / (lower - 1/2)), nearly proportional to 1/k.

Optuna draws from the same cells. Rounding within [lower, upper] would halve the two ends, and
ConfigSpace's own sampling cuts a logarithmic scale in yet another way. Weights of categories and
distributions other than the uniform one that a space declares are used by no method.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchbench.contracts.hpo_spaces import CONSTANT, ROUNDING, SpaceRules, is_constant, n_choices

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

__all__ = [
    "Axis",
    "Sampler",
    "first_allowed",
    "from_unit",
    "from_vector",
    "is_drawn_otherwise",
    "sampling_space",
    "to_unit",
]

# after this many forbidden points in a row one is drawn from the whole space
N_TRIES = 100
# of so many draws of a whole space one has to be legal
MOST_DRAWS = 200_000


class Sampler:
    """Draws legal configurations of a space independently, in bulk.

    Points that a forbidden clause rules out are drawn again.

    Parameters
    ----------
    space : ConfigurationSpace
        Its own random state stays as it is.
    seed : int
    batch_size : int
        Points drawn at once: one alone takes nearly as long.
    """

    def __init__(self, space: ConfigurationSpace, seed: int, batch_size: int = 128) -> None:
        import numpy as np

        self._space, self._batch_size = space, batch_size
        self._rng = np.random.default_rng(seed)
        self._cube = _Cube(space)
        self._waiting: list[NDArray[np.float64]] = []

    def sample(self) -> Configuration:
        """Draw one configuration of the space.

        Raises
        ------
        InputError
            If none of 200,000 draws is legal.
        """
        if not self._waiting:
            self._waiting = list(reversed(self._cube.draw(self._rng.random, self._batch_size)))
        return from_vector(self._space, self._waiting.pop())


def is_drawn_otherwise(space: ConfigurationSpace) -> bool:
    """Whether ConfigSpace's own sampling differs from the prior here, or may be illegal."""
    return bool(space.conditions) or any(isinstance(p.size, int) and getattr(p, "log", False) for p in space.values())


def sampling_space(space: ConfigurationSpace) -> ConfigurationSpace:
    """Return a copy whose `sample_configuration` draws from the prior here, and legal ones only.

    For libraries that draw from a space themselves. Draws depend on the copy's seed.
    """
    own = copy.deepcopy(space)
    cube = _Cube(own)

    def sample(size: int | None = None) -> Any:
        vectors = cube.draw(own.random.random_sample, 1 if size is None else size)
        configs = [from_vector(own, vector) for vector in vectors]
        return configs[0] if size is None else configs

    own.sample_configuration = sample  # type: ignore[method-assign]
    return own


def from_vector(space: ConfigurationSpace, vector: NDArray[np.float64]) -> Configuration:
    """Return the configuration of a space's own vector.

    Coordinates that left [0, 1] by rounding are put back.
    """
    import numpy as np
    from ConfigSpace import Configuration

    vector = np.where((vector > 1.0) & (vector < 1.0 + ROUNDING), 1.0, vector)
    return Configuration(space, vector=np.where((vector < 0.0) & (vector > -ROUNDING), 0.0, vector))


def from_unit(space: ConfigurationSpace, unit: NDArray[np.float64]) -> Configuration:
    """Return the configuration at a point (n_parameters,) of the unit cube.

    Parameters are in the space's order; the coordinates of inactive ones count for nothing.

    Raises
    ------
    ForbiddenValueError
        ConfigSpace's: if a forbidden clause rules it out.
    """
    from ConfigSpace.exceptions import ForbiddenValueError

    cube = _Cube(space)
    vectors = cube.vectors(unit[None])
    if cube.rules.is_forbidden(vectors)[0]:
        raise ForbiddenValueError("a forbidden clause rules out this point")
    return from_vector(space, vectors[0])


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
    """Return the point (n_parameters,) of the unit cube; inactive parameters are in the middle.

    Of a category and of a whole number it is the middle of its part.
    """
    import numpy as np

    vector = np.array(config.get_array(), np.float64)
    for i, parameter in enumerate(config.config_space.values()):
        vector[i] = 0.5 if np.isnan(vector[i]) else Axis(parameter).units(vector[i : i + 1])[0]
    return vector


class Axis:
    """A parameter's axis of the unit cube.

    Parameters
    ----------
    parameter : Hyperparameter
        Of a space.
    """

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter
        self._n_choices = n_choices(parameter)
        self._is_constant = is_constant(parameter)
        self._is_integer = self._n_choices is None and isinstance(parameter.size, int)
        self._is_log = bool(getattr(parameter, "log", False))
        if self._is_integer:
            self._low, self._width = 0.0, 1.0
            ends = self._scaled([parameter.lower - 0.5, parameter.upper + 0.5])
            self._low, self._width = float(ends[0]), float(ends[1] - ends[0])

    def coordinates(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coordinates (n,) of the space's own vectors at units (n,) in [0, 1]."""
        import numpy as np

        if self._is_constant:
            return np.full(units.shape, CONSTANT)
        if self._n_choices is not None:
            return np.clip(np.floor(units * self._n_choices), 0, self._n_choices - 1)
        if not self._is_integer:
            return np.clip(units, 0.0, 1.0)
        place = self._low + np.clip(units, 0.0, 1.0) * self._width
        k = np.floor((np.exp(place) if self._is_log else place) + 0.5)
        whole = np.clip(k, self._parameter.lower, self._parameter.upper).astype(np.int64)
        return np.clip(np.asarray(self._parameter.to_vector(whole), np.float64), 0.0, 1.0)

    def units(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the units (n,) of coordinates (n,): the middle of what gives the same value."""
        if self._is_constant:
            return coordinates * 0.0 + 0.5
        if self._n_choices is not None:
            return (coordinates + 0.5) / self._n_choices
        if not self._is_integer:
            return coordinates
        k = self._parameter.to_value(coordinates)
        return ((self._scaled(k - 0.5) + self._scaled(k + 0.5)) / 2 - self._low) / self._width

    def _scaled(self, values: Any) -> NDArray[np.float64]:
        import numpy as np

        return np.log(values) if self._is_log else np.asarray(values, np.float64)


class _Cube:
    """The unit cube over a space."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self._axes = [Axis(parameter) for parameter in space.values()]
        self.rules = SpaceRules(space)

    def vectors(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the space's own vectors (n, n_parameters) at points (n, n_parameters)."""
        import numpy as np

        found = np.empty(units.shape)
        for i, axis in enumerate(self._axes):
            found[:, i] = axis.coordinates(units[:, i])
        self.rules.deactivate(found)
        return found

    def draw(self, random: Callable[[tuple[int, int]], NDArray[np.float64]], n: int) -> list[NDArray[np.float64]]:
        """Return n legal vectors, at points that `random` draws; fewer if hardly any is legal."""
        from benchbench.errors import InputError

        found: list[NDArray[np.float64]] = []
        n_drawn = 0
        while len(found) < n and n_drawn < MOST_DRAWS:
            vectors = self.vectors(random((max(n - len(found), 64), len(self._axes))))
            n_drawn += len(vectors)
            found += list(vectors[~self.rules.is_forbidden(vectors)])
        if not found:
            raise InputError(
                f"none of {n_drawn:,} configurations drawn from the space is legal; "
                f"its {self.rules.n_forbidden} forbidden clauses leave too little of it"
            )
        return found[:n]
