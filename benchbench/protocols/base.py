"""The interface of a track's protocol, its result and the clock of its phases."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, cast

from benchbench.cards import TRACKS
from benchbench.errors import ClusterError, ProtocolViolation, UnknownNameError
from benchbench.extras import require
from benchbench.numbers import numbers_by_name
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
    "check_installed",
    "checked_loader",
    "find_protocol",
    "get_protocol",
    "metrics_of",
    "tracks_where",
]


class Declined(Exception):
    """The method declines the task; the message is its reason."""


@dataclass(slots=True, kw_only=True)
class ProtocolResult:
    """The result of a successful trial.

    Parameters
    ----------
    metric : str
        Name of the score; higher is better.
    unit : str
        Unit of `unit_scores`: "episode", "fold", ...
    unit_scores : list of float
        In an order fixed by the task.
    metrics : dict
        Further figures, by name.
    remarks : list of str
        What is questionable about the result, for people.
    """

    metric: str
    unit: str
    unit_scores: list[float]
    metrics: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


class PhaseClock:
    """Adds up wall-clock seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the body's time to phase `name`, also if it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class ProtocolModule(Protocol):
    """What a module `benchbench.protocols.<track>` offers: all in which tracks differ.

    Importing it must be cheap.
    """

    PROTOCOL_VERSION: str
    """Raised by hand when results can no longer be compared with earlier ones."""
    TIMED_PHASES: tuple[str, ...]
    """Phases whose seconds count for the method."""
    UNUSED_BUDGET: tuple[str, ...]
    """Fields of a budget that trials ignore; overriding them is an error."""
    EXTRA: str
    """The extra of the package that installs what trials need."""
    PACKAGES: tuple[str, ...]
    """Modules without which no trial of the track can run."""
    PRELOAD: tuple[str, ...]
    """Modules to import before the first trial."""
    CARDS_STATE_ITERATIONS: bool
    """Whether cards hold the methods' iterations per preset."""
    CURVES_OF_INCUMBENTS: bool
    """Whether curves hold the incumbent's loss over the budget, from which any-time regret is
    computed.
    """
    RECORDS_EVALUATIONS: bool
    """Whether a method may record every evaluation, to build tables from."""

    def run(self, spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
        """Execute the trial in this process."""
        ...

    def budget_iterations(self, cls: type[Any], preset: str, task: str, loader: str, options: dict[str, Any]) -> int:
        """Return the training iterations of a method at a preset, for one task."""
        ...

    def task_facts(self, task: str, loader: str, options: dict[str, Any]) -> dict[str, Any]:
        """Return facts of a task for listings, as plain data by name; reads no data."""
        ...


def get_protocol(track: str) -> ProtocolModule:
    """Return the protocol module of a track.

    Raises
    ------
    UnknownNameError
        If the track has no protocol.
    """
    found = find_protocol(track)
    if found is None:
        raise UnknownNameError("protocol for track", track, tracks_where(lambda protocol: True))
    return found


def check_installed(track: str) -> None:
    """Refuse a track whose trials cannot run here.

    Raises
    ------
    MissingPackageError
        If a package that all its trials need is not installed.
    UnknownNameError
        If the track has no protocol.
    """
    protocol = get_protocol(track)
    require(protocol.PACKAGES, f"track {track!r}", protocol.EXTRA)


def find_protocol(track: str) -> ProtocolModule | None:
    """Return the protocol module of a track, or None: it may have published results alone."""
    name = f"benchbench.protocols.{track}"
    if track not in TRACKS or find_spec(name) is None:
        return None
    return cast(ProtocolModule, import_module(name))


def tracks_where(holds: Callable[[ProtocolModule], bool]) -> tuple[str, ...]:
    """Return the tracks whose protocol satisfies a predicate."""
    found = ((track, find_protocol(track)) for track in TRACKS)
    return tuple(track for track, protocol in found if protocol is not None and holds(protocol))


RESERVED_METRICS = frozenset({"continued_seconds", "shared_seconds"})


def metrics_of(adapter: Any, taken: Collection[str]) -> dict[str, float]:
    """Return the figures that a method's own `metrics` returns, as floats.

    Parameters
    ----------
    adapter : object
        With `card` and `metrics`.
    taken : collection of str
        Names of the protocol's own figures.

    Raises
    ------
    ProtocolViolation
        If they are no numbers by name, or use a name that is taken.
    """
    what = f"metrics() of method {adapter.card.name!r}"
    found = numbers_by_name(adapter.metrics(), what)
    if clash := sorted(found.keys() & {*taken, *RESERVED_METRICS}):
        raise ProtocolViolation(f"{what} returned {', '.join(clash)}, which the harness records itself")
    return found


def checked_loader(spec: TrialSpec, fingerprint: str) -> TaskLoader:
    """Return the loader of the trial's task, after checking that its data are the planned ones.

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
