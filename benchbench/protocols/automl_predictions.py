"""Predictions for the rows of a table, checked: by name where they have names.

Shapes: n rows, k classes. Predictions without names are taken by position: rows as they were given,
columns in the task's order of classes. Names that say the same are accepted; columns of a DataFrame
may be in any order if their names are the classes. Everything else is refused, since taking it by
position would score it silently wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchbench.errors import ProtocolViolation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.contracts.automl import AutoMLAdapter

__all__ = [
    "by_position",
    "check_labels",
    "check_probabilities",
    "check_values",
    "predict",
    "predict_labels",
]

# tolerance of the sum of a row of probabilities: the rounding of float32
ROW_SUM_TOLERANCE = 1e-3
MOST_NAMES = 10


def predict(adapter: AutoMLAdapter, rows: Any) -> NDArray[np.float64]:
    """Return checked probabilities (n, k), or values (n,) for regression.

    `rows` is what `hand_over` returned, or a DataFrame. For a method without probabilities, each
    predicted class gets the probability 1.

    Raises
    ------
    ProtocolViolation
    """
    info = adapter.info
    if info.kind == "regression":
        return check_values(adapter.predict(rows), len(rows))
    try:
        found: Any = adapter.predict_proba(rows)
    except NotImplementedError:
        import numpy as np

        return np.eye(len(info.classes))[check_labels(adapter.predict(rows), len(rows), info.classes)]
    return check_probabilities(found, len(rows), info.classes)


def predict_labels(adapter: AutoMLAdapter, rows: Any) -> NDArray[np.int64]:
    """Return checked indices of classes (n,).

    Raises
    ------
    ProtocolViolation
    """
    return check_labels(adapter.predict(rows), len(rows), adapter.info.classes)


def check_values(found: Any, n_rows: int) -> NDArray[np.float64]:
    """Return predicted values (n_rows,), or raise `ProtocolViolation`."""
    return _array(by_position(found, "predicted values"), (n_rows,), "predicted values")


def check_labels(found: Any, n_rows: int, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return predicted indices of classes (n_rows,), or raise `ProtocolViolation`."""
    what, expected = "predicted classes", f"indices 0 to {len(classes) - 1} in the task's order of classes"
    plain = by_position(found, what)
    if plain.dtype.kind in "OUST":
        shown = next((value for value in plain.ravel().tolist() if isinstance(value, str)), None)
        if shown is not None:
            raise ProtocolViolation(f"{what} are not numbers but texts such as {shown!r}, expected {expected}")
    array = _array(plain, (n_rows,), what)
    labels = array.astype("int64")
    if (labels != array).any() or (n_rows and (labels.min() < 0 or labels.max() >= len(classes))):
        raise ProtocolViolation(f"{what} lie in [{array.min():g}, {array.max():g}], expected {expected}")
    return labels


def check_probabilities(found: Any, n_rows: int, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return probabilities (n_rows, k) in the order of the classes, or raise `ProtocolViolation`."""
    import numpy as np

    array = _array(by_position(found, "probabilities", classes), (n_rows, len(classes)), "probabilities")
    if array.size and (array.min() < -ROW_SUM_TOLERANCE or array.max() > 1 + ROW_SUM_TOLERANCE):
        raise ProtocolViolation(f"probabilities lie in [{array.min():.4g}, {array.max():.4g}], expected [0, 1]")
    worst = float(np.abs(array.sum(axis=1) - 1).max(initial=0.0))
    if worst > ROW_SUM_TOLERANCE:
        raise ProtocolViolation(f"rows of probabilities must sum to 1; one is off by {worst:.4g}")
    return array


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


def _array(found: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    import numpy as np

    try:
        array = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProtocolViolation(f"{what} are not numbers but {type(found).__name__}: {error}") from error
    if array.shape != shape:
        raise ProtocolViolation(f"{what} have shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise ProtocolViolation(f"{int((~np.isfinite(array)).sum())} of {array.size} {what} are NaN or infinite")
    return array
