"""The errors that benchbench raises on purpose.

::

    BenchbenchError                    exit code 1: the platform failed
    |-- ProtocolViolation              a method broke its contract (recorded as `failed`)
    |-- StoreError                     the results database cannot be read or written
    |-- ClusterError                   the Dask cluster was lost or answers wrongly
    |-- EnvironmentBuildError          a method's environment cannot be built (recorded as `failed`)
    |-- InputError                     exit code 2: the input is invalid
    |   |-- UnknownNameError           no suite, task, method or preset has that name
    |   |-- SuiteFileError             a suite TOML is malformed
    |   |-- DataMissingError           a data set is not on disk and cannot be fetched
    |   |-- MissingPackageError        an optional package is not installed
    |   `-- UnmeetableRequestError     no worker can meet this request (GPU, version)
    `-- GateFailed                     exit code 3: a check or a comparison failed

A user sees the message, never a traceback. Any other exception that escapes is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BenchbenchError",
    "BrokenPluginWarning",
    "ClusterError",
    "DataMissingError",
    "EnvironmentBuildError",
    "GateFailed",
    "InputError",
    "MissingPackageError",
    "ProtocolViolation",
    "StoreError",
    "SuiteFileError",
    "UnknownNameError",
    "UnmeetableRequestError",
    "suggest",
]


class BenchbenchError(Exception):
    """Base of all errors that benchbench raises on purpose."""

    exit_code = 1


class ProtocolViolation(BenchbenchError):
    """A method returned what its contract forbids (wrong shape, NaN, not probabilities)."""


class StoreError(BenchbenchError):
    """The results database cannot be read or written."""


class ClusterError(BenchbenchError):
    """The Dask cluster cannot be reached or was lost for good."""


class EnvironmentBuildError(BenchbenchError):
    """A method's own environment cannot be built; the message ends with the installer's output."""


class InputError(BenchbenchError):
    """The user's input is invalid; the message says what was expected and given, and what to do."""

    exit_code = 2


class UnknownNameError(InputError):
    """Nothing of that kind has that name.

    Parameters
    ----------
    kind : str
        What was looked up, in the singular ("suite", "method", ...).
    name : str
        The unknown name.
    known : iterable of str
        The names that exist; the nearest are suggested.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        message = f"unknown {kind} {name!r}{suggest(name, self.known)}"
        if hint:
            message += f" {hint}" if message.endswith(("?", ".")) else f". {hint}"
        super().__init__(message)


class SuiteFileError(InputError):
    """A suite TOML cannot be read or has unknown keys or invalid values."""


class DataMissingError(InputError):
    """A data set is not on disk and cannot be downloaded."""


class MissingPackageError(InputError):
    """A package that not everybody needs is not installed; the message has the command."""


class UnmeetableRequestError(InputError):
    """No worker can meet this request, so waiting for one would never end."""


class GateFailed(BenchbenchError):
    """A conformance check or a comparison failed."""

    exit_code = 3


class BrokenPluginWarning(UserWarning):
    """A plug-in cannot be imported; the others can be used."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a clause with the nearest known names, or with all names where few exist."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.55)
    if near:
        return f"; did you mean {' or '.join(repr(n) for n in near)}?"
    if not known:
        return "; there are none"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"; known: {shown}"
