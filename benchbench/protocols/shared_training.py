"""Training that trials share: done here, or taken over from a trial that learnt the same.

A track's protocol says what its training depends on, as plain data, and how it trains; what else
determines the state is added here.
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
"""The phase that holds the seconds of training; tracks that share it count it as timed."""


class Trainable(Protocol):
    """What an adapter offers whose training can be shared."""

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Return all that was learnt, as plain arrays by name."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what another instance learnt, in place of training."""
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
    """Return a trained adapter, and figures for the record.

    Whether the state was learnt here or by another trial, `PHASE` holds the seconds that it took,
    and the curve the points that were reported; `shared_seconds` tells that these seconds were
    spent elsewhere.

    Parameters
    ----------
    spec : TrialSpec
    adapter : Trainable
        Ready to be trained.
    harness : TrialHarness
    clock : PhaseClock
    key : mapping or None
        All that training depends on besides method, parameters, budget, seed, device, source and
        machine: what of its data and of the task it uses. Plain JSON data. None: it is not shared.
    train : callable
        Trains the adapter that it is given.
    renew : callable
        Returns a new instance, as ready as `adapter` was. Whoever trains goes on with one, as all
        who take the state over do: what `state` forgets, it forgets here as well.

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
            sys.stderr.write(f"training was interrupted after {earlier.seconds:.1f} s and is continued\n")
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
    """Train the adapter, from a checkpoint on if there is one; return all that was reported."""
    before, payload = 0.0, None
    with harness.recorded() as points:
        keeper = None if unfinished is None else _Keeper(unfinished, harness, points)
        if earlier is not None:
            before, payload = earlier.seconds, earlier.payload
            # limits hold for all that a trial takes, in however many pieces; what it has waited
            # for, it has been charged already
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
    """Writes the checkpoints of a training, one in so many seconds."""

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
            sys.stderr.write(f"how far training has come cannot be kept: {error}\n")
        self._next = time.monotonic() + self._interval


def _made_of(spec: TrialSpec, key: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that determines what is learnt.

    Raises
    ------
    ValueError
        If the track's key has a name that is taken.
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
        # also so that seconds taken over were spent on a machine like this one
        "hardware": hardware_class(),
        "arithmetic": _arithmetic(),
        "versions": _versions(),
    }
    if taken := sorted(common.keys() & key.keys()):
        raise ValueError(f"the key of track {spec.track!r} must not name {', '.join(taken)}: the harness says it")
    return {**common, **key}


def _arithmetic() -> Mapping[str, Any]:
    """Return what rounding depends on besides versions: torch's instructions and precisions."""
    if "torch" not in sys.modules:
        return {}
    import torch

    able = torch.cpu.get_capabilities()
    half = {name: bool(able[name]) for name in sorted(able) if name.endswith(("bf16", "fp16"))}
    return {"capability": torch.backends.cpu.get_cpu_capability(), **half}


def _versions() -> Mapping[str, str]:
    found = {"benchbench": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: str(sys.modules[name].__version__) for name in ("numpy", "torch") if name in sys.modules}
