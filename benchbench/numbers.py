"""Numbers that methods return or report, of whatever library, as floats.

Methods run in environments with other libraries, so this module knows none of them by name.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from benchbench.errors import ProtocolViolation

__all__ = ["LONGEST_NAME", "MOST_NAMES", "as_number", "checked_name", "numbers_by_name"]

LONGEST_NAME = 200
"""Characters of the name of a metric."""

MOST_NAMES = 1000
"""Metrics that a trial may record."""

# kinds of numpy's types that are no real numbers, though `float` takes some of them
_NO_NUMBERS = frozenset("cmMOSU")


def as_number(value: object, what: str) -> float:
    """Return a number of any library as a float; NaN and infinities are numbers.

    Taken are Python's numbers, `Decimal`, `Fraction`, and scalars and arrays without dimensions of
    numpy, torch and others. True counts as 1.

    Parameters
    ----------
    value : object
    what : str
        What it is, for the message ("metric 'loss'").

    Raises
    ------
    ProtocolViolation
        If it is no number; the message names its type.
    """
    if type(value) is float:
        return value
    try:
        if _is_real(value):
            return float(value)  # type: ignore[arg-type]
    # whatever the object does when it is read, it is no number
    except Exception as error:
        raise ProtocolViolation(
            f"{what} cannot be read as a number: {_type(value)} raised {type(error).__name__}"
        ) from error
    raise ProtocolViolation(f"{what} is {_shown(value)}, expected a number")


def _is_real(value: Any) -> bool:
    if isinstance(value, numbers.Real):
        return True
    if isinstance(value, numbers.Complex | str | bytes | bytearray):
        return False
    if getattr(getattr(value, "dtype", None), "kind", "") in _NO_NUMBERS:
        return False
    return hasattr(type(value), "__float__") and tuple(getattr(value, "shape", ())) == ()


def checked_name(name: object, what: str) -> str:
    """Return the name of a metric.

    Raises
    ------
    ProtocolViolation
        If it is no text, empty or longer than `LONGEST_NAME`.
    """
    if not isinstance(name, str):
        raise ProtocolViolation(f"{what} has a name of type {_type(name)}, expected str")
    text = str.__str__(name)
    if not text or len(text) > LONGEST_NAME:
        raise ProtocolViolation(f"{what} has a name of {len(text)} characters, expected 1 to {LONGEST_NAME}")
    return text


def numbers_by_name(found: object, what: str) -> dict[str, float]:
    """Return a mapping of names to numbers of any library as a dict of floats.

    Raises
    ------
    ProtocolViolation
        If it is no such mapping; the message begins with `what`.
    """
    if not isinstance(found, Mapping):
        raise ProtocolViolation(f"{what} returned {_shown(found)}, expected numbers by name (a dict of str to float)")
    if len(found) > MOST_NAMES:
        raise ProtocolViolation(f"{what} returned {len(found)} metrics, expected at most {MOST_NAMES}")
    numbers_: dict[str, float] = {}
    for key, value in found.items():
        name = checked_name(key, f"a metric of {what}")
        numbers_[name] = as_number(value, f"metric {name!r} of {what}")
    return numbers_


def _type(value: object) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _shown(value: object) -> str:
    """Return a plain value with its type; of other objects the type: `repr` may do anything."""
    if value is None:
        return "None"
    if type(value) is str and len(value) <= 80:
        return f"{value!r} (str)"
    try:
        shape: Any = getattr(value, "shape", None)
        return f"{_type(value)} of shape {tuple(shape)}" if shape else _type(value)
    # see above: the shape is a help, no more
    except Exception:
        return _type(value)
