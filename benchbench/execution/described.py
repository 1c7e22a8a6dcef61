"""An exception as plain texts, whatever its class does when it is read.

Also imported in the environments of methods, so it needs the standard library alone.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Described", "describe", "signal_name"]

LONGEST_TYPE, LONGEST_MESSAGE, LONGEST_TRACEBACK = 200, 4000, 20_000
CPU_ALLOCATOR = "DefaultCPUAllocator: can't allocate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The name of an exception's class, its message and traceback.

    `is_memory` says whether memory could not be had.
    """

    type: str
    message: str
    traceback: str
    is_memory: bool


def describe(error: BaseException) -> Described:
    """Return the texts of an exception; never raises."""
    # the descriptors of `type` and `str`: a class or its metaclass may override what they return
    name = str.__str__(type.__dict__["__name__"].__get__(type(error)))[:LONGEST_TYPE]
    message = _safely(lambda: _with_notes(error), "its message cannot be read: str() raised {}")
    return Described(
        type=name,
        message=message[:LONGEST_MESSAGE],
        traceback=_shortened(_traceback(error)),
        is_memory=issubclass(type(error), MemoryError) or name == "OutOfMemoryError" or CPU_ALLOCATOR in message,
    )


def _with_notes(error: BaseException) -> str:
    # the harness adds what it knows (PEP 678): the columns of a table that are out of range
    return "; ".join([str(error), *map(str, getattr(error, "__notes__", ()))])


def _traceback(error: BaseException) -> str:
    whole = _safely(lambda: "".join(traceback.format_exception(error)), "")
    if whole:
        return whole
    # without the message and the causes, which cannot be read
    return _safely(lambda: "".join(traceback.format_tb(error.__traceback__)), "its traceback cannot be read: {}")


def _shortened(text: str) -> str:
    half = LONGEST_TRACEBACK // 2
    if len(text) <= LONGEST_TRACEBACK:
        return text
    return f"{text[:half]}\n[{len(text) - 2 * half} characters are left out]\n{text[-half:]}"


def _safely(read: Callable[[], str], otherwise: str) -> str:
    try:
        return str.__str__(read())
    # also SystemExit and the like: reading an error must not end the process that records it
    except BaseException as error:
        return otherwise.format(type.__dict__["__name__"].__get__(type(error)))


def signal_name(number: int) -> str:
    """Return the name of a signal; of a real-time signal, which has none, its number."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
