"""Shared training, for every track: done here, or reused from a trial with the same training.

A track's protocol says how it trains and, as plain data, what its training depends on. Everything
else that determines the state is added here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from benchbench import __version__, artefacts
from benchbench.checkpoints import Checkpoint, CheckpointFile, Point, interval_seconds
from benchbench.protocols.base import get_protocol
from benchbench.provenance import hardware_class
from benchbench.registry import get_method, harness_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.execution.harness import TrialHarness
    from benchbench.protocols.base import PhaseClock
    from benchbench.spec import TrialSpec

__all__ = ["PHASE", "Trainable", "train_or_share"]

PHASE = "meta_fit"
"""The phase with the seconds of training; a timed phase of the tracks that share training."""


class Trainable(Protocol):
    """The interface of an adapter whose training can be shared."""

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return all that was learnt, as plain arrays by name."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Load what another instance learnt, instead of training."""
        ...


Adapter = TypeVar("Adapter", bound=Trainable)


def train_or_share(
    spec: TrialSpec,
    adapter: Adapter,
    harness: TrialHarness,
    clock: PhaseClock,
    *,
    key: Mapping[str, Any] | None,
    train: Callable[[Adapter], None],
    renew: Callable[[], Adapter],
) -> tuple[Adapter, dict[str, float]]:
    """Return a trained adapter and metrics.

    Whether this or another trial trained, `PHASE` holds the seconds of training, and the curve its
    points. The metric `shared_seconds` marks seconds spent by another trial.

    Parameters
    ----------
    spec : TrialSpec
    adapter : Trainable
        Set up, not trained.
    harness : TrialHarness
    clock : PhaseClock
    key : mapping or None
        What training uses of its data and of the task, as plain JSON data; method, parameters,
        budget, seed, device, source and machine are added here. None: training is not shared.
    train : callable
        Trains the adapter that it receives.
    renew : callable
        Returns a new instance, set up as `adapter` was. After training, the state is loaded into
        one, as in trials that reuse it: what `state` omits is lost in all of them.

    Raises
    ------
    ProtocolViolation
        If the state holds anything but plain arrays by name.
    """
    if key is None or not harness.shares_training or spec.budget.iterations == 0:
        _train(spec, adapter, harness, clock, train)
        return adapter, {}
    figures: dict[str, float] = {}

    def train_here(unfinished: CheckpointFile | None) -> artefacts.Trained:
        earlier = unfinished.read() if unfinished is not None else None
        if earlier is not None:
            sys.stderr.write(f"training was interrupted after {earlier.seconds:.1f} s and is resumed\n")
            figures["continued_seconds"] = earlier.seconds
        points = _train(spec, adapter, harness, clock, train, unfinished, earlier)
        return artefacts.Trained(state=adapter.state(), seconds=clock.seconds[PHASE], curve=tuple(points))

    trained, is_shared = artefacts.obtain(spec.method, _made_of(spec, key), train_here, clock)
    if is_shared:
        clock.seconds[PHASE] = trained.seconds
        harness.replay(trained.curve)
    else:
        with clock.phase("import"):
            adapter = renew()
    with clock.phase("load"):
        adapter.load_state(trained.state)
    harness.start_clock(already_seconds=trained.seconds)
    return adapter, {"shared_seconds": trained.seconds} if is_shared else figures


def _train(
    spec: TrialSpec,
    adapter: Adapter,
    harness: TrialHarness,
    clock: PhaseClock,
    train: Callable[[Adapter], None],
    unfinished: CheckpointFile | None = None,
    earlier: Checkpoint | None = None,
) -> list[Point]:
    """Train the adapter, resuming from a checkpoint if given; return all points of the curve."""
    before, payload = 0.0, None
    with harness.recorded() as points:
        keeper = None if unfinished is None else _Keeper(unfinished, harness, points)
        if earlier is not None:
            before, payload = earlier.seconds, earlier.payload
            # limits hold for the sum over interruptions; time spent waiting is already counted
            harness.charge(
                max(0.0, before - clock.seconds.get("wait", 0.0)), limit_seconds=spec.budget.time_limit_seconds
            )
            harness.replay(earlier.curve)
        harness.start_clock(already_seconds=before)
        try:
            with harness.checkpoints(keeper, payload), clock.phase(PHASE):
                train(adapter)
        finally:
            clock.seconds[PHASE] += before
    return points


class _Keeper:
    """Writes the checkpoints of a training, at most one per interval."""

    def __init__(self, file: CheckpointFile, harness: TrialHarness, points: list[Point]) -> None:
        self._file, self._harness, self._points = file, harness, points
        self._interval = interval_seconds()
        self._next = time.monotonic() + self._interval
        harness.name_checkpoint(file.path)

    def __call__(self, make: Callable[[], bytes]) -> None:
        if time.monotonic() < self._next:
            return
        payload = make()
        try:
            self._file.write(Checkpoint(payload=payload, seconds=self._harness.elapsed(), curve=tuple(self._points)))
        except OSError as error:
            sys.stderr.write(f"the checkpoint cannot be written: {error}\n")
        self._next = time.monotonic() + self._interval


def _made_of(spec: TrialSpec, key: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that determines the trained state.

    Raises
    ------
    ValueError
        If the track's key uses a reserved name.
    """
    common = {
        "protocol_version": get_protocol(spec.track).PROTOCOL_VERSION,
        "method": spec.method,
        "params": dict(spec.params),
        "source": get_method(spec.method).source_hash(),
        "harness": harness_hash(),
        "preset": spec.budget.preset,
        "iterations": spec.budget.iterations,
        "threads": spec.budget.threads,
        "seed": spec.seed,
        "device": spec.device,
        # also so that reused seconds come from a machine like this one
        "hardware": hardware_class(),
        "arithmetic": _arithmetic(),
        "versions": _versions(),
    }
    if taken := sorted(common.keys() & key.keys()):
        raise ValueError(f"the key of track {spec.track!r} must not name {', '.join(taken)}: the harness adds it")
    return {**common, **key}


def _arithmetic() -> Mapping[str, Any]:
    """Return what rounding depends on besides versions: torch's instruction set and precisions."""
    if "torch" not in sys.modules:
        return {}
    import torch

    able = torch.cpu.get_capabilities()
    half = {name: bool(able[name]) for name in sorted(able) if name.endswith(("bf16", "fp16"))}
    return {"capability": torch.backends.cpu.get_cpu_capability(), **half}


def _versions() -> Mapping[str, str]:
    found = {"benchbench": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: str(sys.modules[name].__version__) for name in ("numpy", "torch") if name in sys.modules}
