"""What every track's protocol returns, and how its phases are timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
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
    "find_protocol",
    "get_protocol",
    "tracks_where",
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
    """What a module `benchbench.protocols.<track>` offers: all in which tracks differ.

    Importing it is light.
    """

    PROTOCOL_VERSION: str
    """Raised by hand when results can no longer be compared with earlier ones."""
    TIMED_PHASES: tuple[str, ...]
    """Phases whose seconds count for the method."""
    UNUSED_BUDGET: tuple[str, ...]
    """Fields of a budget that trials have no use for.

    Overridden, they would put results on a board of their own for nothing.
    """
    PRELOAD: tuple[str, ...]
    """Modules that are imported before the first trial."""
    CARDS_STATE_ITERATIONS: bool
    """Whether a method's budget of iterations stands on its card, for each preset."""
    CURVES_OF_INCUMBENTS: bool
    """Whether curves hold the incumbent's loss over the budget: any-time regret needs it."""
    RECORDS_EVALUATIONS: bool
    """Whether a method may record every evaluation, which tables are made of."""

    def run(self, spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
        """Execute the trial in this process."""
        ...

    def budget_iterations(self, cls: type[Any], preset: str, task: str, loader: str, options: dict[str, Any]) -> int:
        """Return the training iterations of a method at a preset, for one task."""
        ...

    def task_facts(self, task: str, loader: str, options: dict[str, Any]) -> dict[str, Any]:
        """Return what listings say of a task besides its options: plain data by name.

        No data set is read for it.
        """
        ...


def get_protocol(track: str) -> ProtocolModule:
    """Return the protocol module of a track.

    Raises
    ------
    UnknownNameError
        If the track has no protocol here.
    """
    found = find_protocol(track)
    if found is None:
        raise UnknownNameError("protocol for track", track, tracks_where(lambda protocol: True))
    return found


def find_protocol(track: str) -> ProtocolModule | None:
    """Return the protocol module of a track, or None.

    A track that has none here may still have published results.
    """
    name = f"benchbench.protocols.{track}"
    if track not in TRACKS or find_spec(name) is None:
        return None
    return cast(ProtocolModule, import_module(name))


def tracks_where(holds: Callable[[ProtocolModule], bool]) -> tuple[str, ...]:
    """Return the tracks with a protocol here of which something holds."""
    found = ((track, find_protocol(track)) for track in TRACKS)
    return tuple(track for track, protocol in found if protocol is not None and holds(protocol))


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
