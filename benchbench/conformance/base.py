"""How checks are written and what they answer.

A check is one function ``check_<behaviour>``; its docstring's first line says what is asked of the
adapter. Static checks take the registry's entry and run here; probes take a loaded task and run in
a child process with limits, like a trial. A check passes by returning and fails by raising
`CheckFailed`; it may raise `NotApplicable` with the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CheckFailed", "CheckResult", "NotApplicable"]


class CheckFailed(Exception):
    """The adapter does not behave as asked; the message says what was seen and what was expected."""


class NotApplicable(Exception):
    """The check does not concern this adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One line of the report.

    Parameters
    ----------
    status : str
        "passed", "failed", "skipped" (not applicable), "known failure" (declared on the card) or
        "unexpected pass" (declared as failing, but it passes: the declaration must go). Only
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
