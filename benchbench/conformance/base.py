"""The form of checks and of their results.

A check is one function ``check_<behaviour>``; the first line of its docstring says what the adapter
must do. Static checks take the registry's entry and run here; probes take a loaded task and run in
a child process with limits, like a trial. A check passes by returning and fails by raising
`CheckFailed`; it may raise `NotApplicable` with the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CheckFailed", "CheckResult", "NotApplicable"]


class CheckFailed(Exception):
    """The adapter does not behave as required; the message says what was got and expected."""


class NotApplicable(Exception):
    """The check does not apply to this adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One line of the report.

    Parameters
    ----------
    status : str
        "passed", "failed", "skipped" (not applicable), "known failure" (declared on the card) or
        "unexpected pass" (declared as failing, but it passes: remove the declaration). Only
        "failed" and "unexpected pass" fail the gate.
    """

    check: str
    task: str
    status: str
    message: str
    seconds: float

    @property
    def is_bad(self) -> bool:
        """Whether this fails the gate."""
        return self.status in ("failed", "unexpected pass")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)
