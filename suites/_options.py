"""Options of loaders: plain data from a suite file, checked against a dataclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from benchbench.errors import InputError, UnknownNameError

__all__ = ["check_range", "read_options"]

T = TypeVar("T")


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


# annotation of a field -> what is expected, for people, and the test of it
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("str", lambda value: isinstance(value, str)),
    "int": ("int", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "tuple[str, ...]": ("a list of str", _is_names),
}


def read_options(cls: type[T], options: Mapping[str, Any], loader: str) -> T:
    """Make the dataclass `cls` (whose fields are int, str or tuple of str) of a loader's options.

    Raises
    ------
    UnknownNameError
        For an option that the loader does not have.
    InputError
        For one that is missing or of another type.
    """
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            raise UnknownNameError(f"option of loader {loader!r}:", key, known)
    values: dict[str, Any] = {}
    for name, item in known.items():
        if name not in options:
            if item.default is MISSING:
                raise InputError(f"loader {loader!r} needs the option {name!r}")
            continue
        value = options[name]
        expected, is_right = _KINDS[str(item.type)]
        if not is_right(value):
            raise InputError(f"option {name!r} of loader {loader!r}: expected {expected}, got {value!r}")
        values[name] = tuple(value) if isinstance(value, list) else value
    return cls(**values)


def check_range(loader: str, name: str, value: int, low: int, high: int, why: str = "") -> None:
    """Raise `InputError` unless `low <= value <= high`; `why` says where the bounds come from."""
    if not low <= value <= high:
        reason = f" ({why})" if why else ""
        raise InputError(f"option {name!r} of loader {loader!r} is {value}; expected {low} to {high}{reason}")
