"""What a space allows: bounds, choices, conditions, forbidden clauses.

Optimisers build configurations by these rules, and the protocol checks every suggestion by them.

ConfigSpace 1.2.2 is not enough for that. `check_valid_configuration` checks the bounds of
conditional parameters alone: an unconditional number may be anything. `sample_configuration`
applies conditions in the order of their nearest parent, so a child may keep its value although a
farther parent loses its own afterwards.
"""

from __future__ import annotations

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
    constants are 1, and inactive parameters are NaN. A parameter is active if its condition holds in the
    vector, as in ConfigSpace; a space lists parents before their children.

    Parameters
    ----------
    space : ConfigurationSpace
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        import numpy as np

        parameters: list[Any] = list(space.values())
        self._parameters = parameters
        self._conditions = [(i, c) for i, p in enumerate(parameters) for c in space.parent_conditions_of[p.name]]
        self._forbidden = tuple(space.forbidden_clauses)
        is_conditional = np.zeros(len(parameters), bool)
        is_conditional[[i for i, _ in self._conditions]] = True
        self._is_conditional = is_conditional
        sizes = [n_choices(p) for p in parameters]
        self._is_listed = np.array([n is not None for n in sizes], bool)
        self._upper = np.array(
            [1.0 if n is None or is_constant(p) else n - 1.0 for n, p in zip(sizes, parameters, strict=True)]
        )
        self._integers = [i for i, p in enumerate(parameters) if sizes[i] is None and float(p.size).is_integer()]
        ends = np.array([(parameters[i].lower, parameters[i].upper) for i in self._integers], np.float64).reshape(-1, 2)
        self._is_log = np.array([bool(getattr(parameters[i], "log", False)) for i in self._integers], bool)
        ends[self._is_log] = np.log(ends[self._is_log])
        self._low, self._width = ends[:, 0], ends[:, 1] - ends[:, 0]

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
        if vector.shape != self._upper.shape:
            return f"its vector has the shape {vector.shape}, expected {self._upper.shape}"
        is_set = ~np.isnan(vector)
        # inactive coordinates are NaN, for which every comparison is false
        is_outside = (vector < -ROUNDING) | (vector > self._upper + ROUNDING)
        if is_outside.any():
            i = int(is_outside.argmax())
            return f"{self._where(i, vector)}, expected 0 to {self._upper[i]:g}"
        return (
            self._wrong_activity(vector, is_set)
            or self._between_values(vector, is_set)
            or self._wrong_combination(vector)
        )

    def _where(self, i: int, vector: NDArray[np.float64]) -> str:
        return f"parameter {self._parameters[i].name!r} is {float(vector[i])!r} in the space's own vector"

    def _wrong_activity(self, vector: NDArray[np.float64], is_set: NDArray[np.bool_]) -> str | None:
        is_missing = ~(is_set | self._is_conditional)
        if is_missing.any():
            return f"parameter {self._parameters[int(is_missing.argmax())].name!r} has no value"
        for i, condition in self._conditions:
            if bool(condition.satisfied_by_vector(vector)) != is_set[i]:
                what = "has a value and is inactive" if is_set[i] else "is active and has no value"
                return f"parameter {self._parameters[i].name!r} {what} (condition: {condition})"
        return None

    def _between_values(self, vector: NDArray[np.float64], is_set: NDArray[np.bool_]) -> str | None:
        import numpy as np

        is_between = self._is_listed & is_set & (np.abs(vector - np.rint(vector)) > ROUNDING)
        if self._integers:
            values = self._low + vector[self._integers] * self._width
            if self._is_log.any():
                values = np.where(self._is_log, np.exp(np.where(self._is_log, values, 0.0)), values)
            gaps = np.abs(values - np.rint(values))
            is_between[self._integers] |= gaps > WHOLE * np.maximum(1.0, np.abs(values))
        if not is_between.any():
            return None
        return f"{self._where(int(is_between.argmax()), vector)}, which is between two of its values"

    def _wrong_combination(self, vector: NDArray[np.float64]) -> str | None:
        broken = next((clause for clause in self._forbidden if clause.is_forbidden_vector(vector)), None)
        return None if broken is None else f"it is forbidden ({broken})"


def n_choices(parameter: Any) -> int | None:
    """Return how many choices a parameter has that is no number; None for numbers."""
    for name in ("choices", "sequence"):
        if hasattr(parameter, name):
            return len(getattr(parameter, name))
    return 1 if is_constant(parameter) else None


def is_constant(parameter: Any) -> bool:
    """Whether a parameter has one value only, and says so."""
    return hasattr(parameter, "value") and not hasattr(parameter, "lower")
