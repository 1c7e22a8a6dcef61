"""Options of loaders: plain data from a suite file, checked against a dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from benchbench.errors import InputError
from benchbench.validation import from_table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["check_range", "read_options"]

T = TypeVar("T", bound="DataclassInstance")


def read_options(cls: type[T], options: Mapping[str, Any], loader: str) -> T:
    """Make the dataclass `cls` of a loader's options.

    Raises
    ------
    InputError
        For an option that the loader does not have, that is missing, or that is of another type.
    """
    return from_table(cls, options, f"options of loader {loader!r}")


def check_range(loader: str, name: str, value: int, low: int, high: int, why: str = "") -> None:
    """Raise `InputError` unless `low <= value <= high`; `why` says where the bounds come from."""
    if not low <= value <= high:
        reason = f" ({why})" if why else ""
        raise InputError(f"option {name!r} of loader {loader!r} is {value}; expected {low} to {high}{reason}")
