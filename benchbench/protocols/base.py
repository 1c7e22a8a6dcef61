"""What every track's protocol returns, and how its phases are timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from benchbench.cards import TRACKS
from benchbench.errors import ClusterError, UnknownNameError
from benchbench.registry import get_loader
from benchbench.spec import TrialSpec

if TYPE_CHECKING:
    from benchbench.contracts.loading import TaskLoader
    from benchbench.execution.harness import TrialHarness

__all__ = [
    "Declined",
    "PhaseClock",
    "ProtocolModule",
    "ProtocolResult",
    "checked_loader",
    "get_protocol",
]


class Declined(Exception):
    """The method declines the task; the message is its reason."""


@dataclass(slots=True, kw_only=True)
class ProtocolResult:
    """What came of a trial that ended well.

    Parameters
    ----------
    metric : str
        Name of the score; higher is better.
    unit : str
        What `unit_scores` are of: "episode", "fold", ...
    unit_scores : list of float
        In the order that the task fixes.
    metrics : dict
        Further figures, by name.
    """

    metric: str
    unit: str
    unit_scores: list[float]
    metrics: dict[str, float] = field(default_factory=dict)


class PhaseClock:
    """Adds up wall-clock seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the body as a part of phase `name`, also if it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class ProtocolModule(Protocol):
    """What a module `benchbench.protocols.<track>` offers.

    `UNUSED_BUDGET` names the fields of a budget that its trials have no use for: overridden, they would put results on a board of
    their own for nothing.
    """

    PROTOCOL_VERSION: str
    TIMED_PHASES: tuple[str, ...]
    UNUSED_BUDGET: tuple[str, ...]
    PRELOAD: tuple[str, ...]

    def run(self, spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
        """Execute the trial in this process."""
        ...

    def budget_iterations(self, cls: type[Any], preset: str, task: str, loader: str, options: dict[str, Any]) -> int:
        """Return the training iterations of a method at a preset, for one task."""
        ...


def get_protocol(track: str) -> ProtocolModule:
    """Return the protocol module of a track.

    Raises
    ------
    UnknownNameError
        If the track has no protocol here.
    """
    try:
        return cast(ProtocolModule, import_module(f"benchbench.protocols.{track}"))
    except ModuleNotFoundError as error:
        if error.name != f"benchbench.protocols.{track}":
            raise
        raise UnknownNameError("protocol for track", track, TRACKS) from error


def checked_loader(spec: TrialSpec, fingerprint: str) -> TaskLoader:
    """Return the loader of the trial's task, whose data are those that were planned for.

    Raises
    ------
    ClusterError
        If they are not.
    """
    loader = get_loader(spec.loader)
    found = loader.fingerprint(spec.options)
    if found != fingerprint:
        raise ClusterError(
            f"the data of task {spec.task!r} differ here: fingerprint {found}, planned {fingerprint};"
            " use the same benchbench version and data on every worker"
        )
    return loader
