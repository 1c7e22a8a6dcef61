"""How predictions for the rows of a table say which row and which class they are for.

Predictions without names are taken by position: rows as they were given, columns in the task's
order of classes. Names that say the same are accepted; columns of a DataFrame may be in any order
if their names are the classes. Everything else is refused, since taking it by position would score
it silently wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchbench.errors import ProtocolViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["by_position"]

MOST_NAMES = 10


def by_position(found: Any, what: str, classes: Sequence[str] = ()) -> NDArray[Any]:
    """Return predictions as an array whose rows and columns need no names.

    Parameters
    ----------
    found : array, Series or DataFrame
    what : str
        What they are, for messages.
    classes : sequence of str
        Names that the columns may have; () for predictions of one column.

    Raises
    ------
    ProtocolViolation
        If the index of a Series or DataFrame is not that of the rows, 0 to n - 1, or the names of a
        DataFrame's columns are not the classes.
    """
    import numpy as np

    index = getattr(found, "index", None)
    # that of a list is a method
    if index is not None and not callable(index) and list(index) != list(range(len(index))):
        raise ProtocolViolation(
            f"{what} have the index {_listed(index)}, expected that of the rows, 0 to {len(index) - 1} in this order:"
            " return an array, in the order of the rows"
        )
    columns = getattr(found, "columns", None)
    if columns is None or not classes:
        return np.asarray(found)
    return np.asarray(found)[:, _places(list(columns), classes)]


def _places(columns: list[Any], classes: Sequence[str]) -> list[int]:
    """Return the places of the classes among the columns, which are their indices or names."""
    import numpy as np

    are_indices = all(isinstance(name, int | np.integer) and not isinstance(name, bool) for name in columns)
    names = columns if are_indices else [str(name) for name in columns]
    expected = list(range(len(columns))) if are_indices else list(classes)
    if sorted(names) != sorted(expected):
        raise ProtocolViolation(
            f"probabilities have the columns {_listed(columns)}, expected the classes {_listed(classes)} in any order:"
            " name the columns after the classes, or return an array in their order"
        )
    return [names.index(name) for name in expected]


def _listed(names: Any) -> str:
    shown = [repr(name) for name in list(names)[:MOST_NAMES]]
    return ", ".join(shown) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
