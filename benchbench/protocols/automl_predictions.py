"""Predictions for the rows of a table, checked. Shapes: n rows, k classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl_predictions import by_position
from benchbench.errors import ProtocolViolation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.contracts.automl import AutoMLAdapter

__all__ = [
    "check_labels",
    "check_probabilities",
    "check_values",
    "predict",
    "predict_labels",
]

# tolerance of the sum of a row of probabilities: the rounding of float32
ROW_SUM_TOLERANCE = 1e-3


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
    """Return probabilities (n_rows, k) in the classes' order, or raise `ProtocolViolation`."""
    import numpy as np

    array = _array(by_position(found, "probabilities", classes), (n_rows, len(classes)), "probabilities")
    if array.size and (array.min() < -ROW_SUM_TOLERANCE or array.max() > 1 + ROW_SUM_TOLERANCE):
        raise ProtocolViolation(f"probabilities lie in [{array.min():.4g}, {array.max():.4g}], expected [0, 1]")
    worst = float(np.abs(array.sum(axis=1) - 1).max(initial=0.0))
    if worst > ROW_SUM_TOLERANCE:
        raise ProtocolViolation(f"rows of probabilities must sum to 1; one is off by {worst:.4g}")
    return array


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
