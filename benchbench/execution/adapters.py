"""Makes the adapter of a trial, in this process or in an interpreter of its own."""

from __future__ import annotations

from typing import Any

from benchbench.execution.harness import TrialHarness
from benchbench.registry import create_method, get_method
from benchbench.spec import TrialSpec

__all__ = ["make_adapter"]


def make_adapter(spec: TrialSpec, harness: TrialHarness) -> Any:
    """Make the method's adapter.

    For a method with requirements of its own, it is one that speaks to another interpreter.
    """
    entry = get_method(spec.method)
    if entry.card.requirements:
        # most trials need none of it
        from benchbench.execution.remote.adapters import remote_adapter

        return remote_adapter(entry, spec.params, harness)
    return create_method(spec.method, spec.params)
