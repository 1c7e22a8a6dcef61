"""What a space allows: bounds, choices, conditions, forbidden clauses.

Optimisers build configurations by these rules, and the protocol checks every suggestion by them.

ConfigSpace 1.2.2 is not enough for that. `check_valid_configuration` checks the bounds of
conditional parameters alone: an unconditional number may be anything. `sample_configuration`
applies conditions in the order of their nearest parent, so a child may keep its value although a
farther parent loses its own afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

__all__ = ["CONSTANT", "ROUNDING", "SpaceRules", "is_constant", "n_choices"]

ROUNDING = 1e-9
"""How far a value at a bound may leave [0, 1] by rounding: ConfigSpace keeps 13 decimals."""
CONSTANT = 1.0
"""The coordinate of a constant in ConfigSpace; some libraries give 0, which has the same value."""
# relative: what exp(log(k)) may be away from a whole number k
WHOLE = 1e-6


class SpaceRules:
    """The rules of a space, for its own vectors.

    Numbers are within [0, 1] there, categories and ordered values are the index of the choice,
    constants are 1, and inactive parameters are NaN. A parameter is active if its condition holds
    in the vector, as in ConfigSpace; a space lists parents before their children.

    Parameters
    ----------
    space : ConfigurationSpace
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        parameters: list[Any] = list(space.values())
        self._parameters = parameters
        self._conditions = [(i, c) for i, p in enumerate(parameters) for c in space.parent_conditions_of[p.name]]
        self._forbidden = tuple(space.forbidden_clauses)
        self._conditional = {i for i, _ in self._conditions}
        self._axes = [_axis(p) for p in parameters]

    def deactivate(self, vectors: NDArray[np.float64]) -> None:
        """Set what conditions make inactive to NaN, in place.

        Parameters
        ----------
        vectors : (n, n_parameters) float64
            A coordinate for every parameter.
        """
        import numpy as np

        for i, condition in self._conditions:
            vectors[~condition.satisfied_by_vector_array(vectors.T), i] = np.nan

    def is_forbidden(self, vectors: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for each of the vectors (n, n_parameters) whether a forbidden clause holds."""
        import numpy as np

        found = np.zeros(len(vectors), bool)
        for clause in self._forbidden:
            found |= clause.is_forbidden_vector_array(vectors.T)
        return found

    @property
    def n_forbidden(self) -> int:
        """Number of forbidden clauses."""
        return len(self._forbidden)

    def violation(self, config: Configuration) -> str | None:
        """Return in words what a configuration violates, or None if it is legal."""
        import numpy as np

        try:
            vector = np.asarray(config.get_array(), dtype=np.float64)
        except (TypeError, ValueError):
            return f"its vector does not consist of numbers: {config.get_array()!r}"
        if vector.shape != (len(self._axes),):
            return f"its vector has the shape {vector.shape}, expected {(len(self._axes),)}"
        values = vector.tolist()
        return self._wrong_value(values) or self._wrong_activity(vector, values) or self._wrong_combination(vector)

    def _wrong_value(self, values: list[float]) -> str | None:
        # plain Python: on so few numbers numpy takes ten times as long
        for i, (value, (upper, low, width, is_log)) in enumerate(zip(values, self._axes, strict=True)):
            if value != value:
                if i not in self._conditional:
                    return f"parameter {self._parameters[i].name!r} has no value"
                continue
            if not -ROUNDING <= value <= upper + ROUNDING:
                return f"{self._where(i, value)}, expected 0 to {upper:g}"
            if width:
                number = low + value * width
                number = math.exp(number) if is_log else number
                if abs(number - round(number)) > WHOLE * max(1.0, abs(number)):
                    return f"{self._where(i, value)}, which is between two of its values"
        return None

    def _where(self, i: int, value: float) -> str:
        return f"parameter {self._parameters[i].name!r} is {value!r} in the space's own vector"

    def _wrong_activity(self, vector: NDArray[np.float64], values: list[float]) -> str | None:
        for i, condition in self._conditions:
            is_set = values[i] == values[i]
            if bool(condition.satisfied_by_vector(vector)) != is_set:
                what = "has a value and is inactive" if is_set else "is active and has no value"
                return f"parameter {self._parameters[i].name!r} {what} (condition: {condition})"
        return None

    def _wrong_combination(self, vector: NDArray[np.float64]) -> str | None:
        broken = next((clause for clause in self._forbidden if clause.is_forbidden_vector(vector)), None)
        return None if broken is None else f"it is forbidden ({broken})"


def _axis(parameter: Any) -> tuple[float, float, float, bool]:
    """Return a coordinate's upper end, and how it becomes a whole number: low, width, exponential.

    The width is 0 for floats.
    """
    n = n_choices(parameter)
    if n is not None:
        return (CONSTANT if is_constant(parameter) else n - 1.0), 0.0, 1.0, False
    if not isinstance(parameter.size, int):
        return 1.0, 0.0, 0.0, False
    is_log = bool(getattr(parameter, "log", False))
    low, high = (math.log(end) if is_log else float(end) for end in (parameter.lower, parameter.upper))
    return 1.0, low, high - low, is_log


def n_choices(parameter: Any) -> int | None:
    """Return how many choices a parameter has that is no number; None for numbers."""
    for name in ("choices", "sequence"):
        if hasattr(parameter, name):
            return len(getattr(parameter, name))
    return 1 if is_constant(parameter) else None


def is_constant(parameter: Any) -> bool:
    """Whether a parameter has one value only, and says so."""
    return hasattr(parameter, "value") and not hasattr(parameter, "lower")
