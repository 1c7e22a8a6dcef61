"""The errors that benchbench raises deliberately.

::

    BenchbenchError                    exit code 1: the platform failed
    |-- ProtocolViolation              a method broke its contract (recorded as `failed`)
    |-- StoreError                     the results database cannot be read or written
    |-- ClusterError                   the Dask cluster was lost or answers wrongly
    |-- EnvironmentBuildError          a method's environment cannot be built (recorded as `failed`)
    |-- InputError                     exit code 2: the input is invalid
    |   |-- UnknownNameError           no suite, task, method or preset has that name
    |   |-- SuiteFileError             a suite TOML is malformed
    |   |-- DataMissingError           a data set is missing and cannot be downloaded
    |   `-- UnmeetableRequestError     no worker can meet this request (GPU, version)
    `-- GateFailed                     exit code 3: a check or a comparison failed

Users see the message, never a traceback. Any other exception that escapes is a bug.
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
    "ProtocolViolation",
    "StoreError",
    "SuiteFileError",
    "UnknownNameError",
    "UnmeetableRequestError",
    "suggest",
]


class BenchbenchError(Exception):
    """Base class of all errors raised deliberately."""

    exit_code = 1


class ProtocolViolation(BenchbenchError):
    """A method returned what its contract forbids (wrong shape, NaN, not probabilities)."""


class StoreError(BenchbenchError):
    """The results database cannot be read or written."""


class ClusterError(BenchbenchError):
    """The Dask cluster cannot be reached or was lost."""


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
        Kind of thing, in the singular ("suite", "method", ...).
    name : str
        The unknown name.
    known : iterable of str
        Existing names; similar ones are suggested.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        message = f"unknown {kind} {name!r}{suggest(name, self.known)}"
        if hint:
            message += f" {hint}" if message.endswith(("?", ".")) else f". {hint}"
        super().__init__(message)


class SuiteFileError(InputError):
    """A suite's TOML file cannot be read or has invalid keys or values."""


class DataMissingError(InputError):
    """A data set is missing and cannot be downloaded."""


class UnmeetableRequestError(InputError):
    """No worker can meet this request, so waiting for one would never end."""


class GateFailed(BenchbenchError):
    """A conformance check or another gate failed."""

    exit_code = 3


class BrokenPluginWarning(UserWarning):
    """A plug-in cannot be imported; other plug-ins still work."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a clause with similar known names, or with up to 12 known names if none is similar."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.55)
    if near:
        return f"; did you mean {' or '.join(repr(n) for n in near)}?"
    if not known:
        return "; there are none"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"; known: {shown}"
