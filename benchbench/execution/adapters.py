"""Creates the adapter of a trial, in this process or in its own interpreter."""

from __future__ import annotations

from typing import Any

from benchbench.execution.harness import TrialHarness
from benchbench.registry import create_method, get_method
from benchbench.spec import TrialSpec

__all__ = ["make_adapter"]


def make_adapter(spec: TrialSpec, harness: TrialHarness) -> Any:
    """Create the method's adapter; if the method has its own requirements, a proxy for one."""
    entry = get_method(spec.method)
    if entry.card.requirements:
        # most trials do not need it
        from benchbench.execution.remote.adapters import remote_adapter

        return remote_adapter(entry, spec.params, harness)
    return create_method(spec.method, spec.params)
