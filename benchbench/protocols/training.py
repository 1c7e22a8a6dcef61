"""Meta-training of a trial: done here, or taken over from a trial that would have learnt the very same."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from benchbench import __version__, artefacts
from benchbench.checkpoints import Checkpoint, CheckpointFile, Point, interval_seconds
from benchbench.provenance import hardware_class
from benchbench.registry import create_method, get_method, harness_hash

if TYPE_CHECKING:
    from benchbench.contracts.context import Context
    from benchbench.contracts.fewshot import FewShotAdapter, FewShotTask
    from benchbench.contracts.loading import TaskLoader
    from benchbench.protocols.base import PhaseClock
    from benchbench.spec import TrialSpec

__all__ = ["meta_train"]


def meta_train(
    spec: TrialSpec,
    protocol_version: str,
    loader: TaskLoader,
    adapter: FewShotAdapter,
    task: FewShotTask,
    context: Context,
    clock: PhaseClock,
) -> tuple[FewShotAdapter, dict[str, float]]:
    """Return a trained adapter, and figures for the record.

    Whether the state was learnt here or by another trial, phase "meta_fit" holds the seconds that it took, and the curve the
    points that were reported; `shared_seconds` tells that these seconds were spent elsewhere.

    Parameters
    ----------
    adapter : FewShotAdapter
        After `setup`.
    """
    made_of = _made_of(spec, protocol_version, loader, adapter, task, context)
    if made_of is None:
        _train(spec, adapter, task, context, clock)
        return adapter, {}
    figures: dict[str, float] = {}

    def train(unfinished: CheckpointFile | None) -> artefacts.Trained:
        earlier = unfinished.read() if unfinished is not None else None
        if earlier is not None:
            sys.stderr.write(f"training was interrupted after {earlier.seconds:.1f} s and is continued\n")
            figures["continued_seconds"] = earlier.seconds
        points = _train(spec, adapter, task, context, clock, unfinished, earlier)
        return artefacts.Trained(state=adapter.state(), seconds=clock.seconds["meta_fit"], curve=tuple(points))

    trained, is_shared = artefacts.obtain(spec.method, made_of, train, clock)
    if is_shared:
        clock.seconds["meta_fit"] = trained.seconds
        context.replay(trained.curve)
    else:
        # a new instance, as all who take the state over have: what it forgets, it forgets here as well
        with clock.phase("import"):
            adapter = create_method(spec.method, spec.params)
            adapter.setup(task.info, context)
    with clock.phase("load"):
        adapter.load_state(trained.state)
    context.start_clock(already_seconds=trained.seconds)
    return adapter, {"shared_seconds": trained.seconds} if is_shared else figures


def _train(
    spec: TrialSpec,
    adapter: FewShotAdapter,
    task: FewShotTask,
    context: Context,
    clock: PhaseClock,
    unfinished: CheckpointFile | None = None,
    earlier: Checkpoint | None = None,
) -> list[Point]:
    """Train the adapter, from a checkpoint on if there is an earlier one; return what was reported since the beginning."""
    before = 0.0
    with context.recorded() as points:
        if unfinished is not None:
            context.keeper = _Keeper(unfinished, context, points)
        if earlier is not None:
            before, context.earlier = earlier.seconds, earlier.payload
            # limits hold for all that a trial takes, in however many pieces; what it has waited for, it has been charged already
            context.charge(
                max(0.0, before - clock.seconds.get("wait", 0.0)), limit_seconds=spec.budget.time_limit_seconds
            )
            context.replay(earlier.curve)
        context.start_clock(already_seconds=before)
        try:
            with clock.phase("meta_fit"):
                adapter.meta_fit(task.train, validation=task.validation, budget=spec.budget, context=context)
        finally:
            context.keeper = context.earlier = None
            clock.seconds["meta_fit"] += before
    return points


class _Keeper:
    """Writes the checkpoints of a training, one in so many seconds."""

    def __init__(self, file: CheckpointFile, context: Context, points: list[Point]) -> None:
        self._file, self._context, self._points = file, context, points
        self._interval = interval_seconds()
        self._next = time.monotonic() + self._interval
        if context.names_checkpoint is not None:
            context.names_checkpoint(file.path)

    def __call__(self, make: Callable[[], bytes]) -> None:
        if time.monotonic() < self._next:
            return
        payload = make()
        try:
            self._file.write(Checkpoint(payload=payload, seconds=self._context.elapsed(), curve=tuple(self._points)))
        except OSError as error:
            sys.stderr.write(f"how far training has come cannot be kept: {error}\n")
        self._next = time.monotonic() + self._interval


def _made_of(
    spec: TrialSpec,
    protocol_version: str,
    loader: TaskLoader,
    adapter: FewShotAdapter,
    task: FewShotTask,
    context: Context,
) -> dict[str, Any] | None:
    """Return all that determines what is learnt, or None if it is not to be shared."""
    if not context.shares_training or spec.budget.iterations == 0:
        return None
    key, data = adapter.training_key(task.info), loader.training_fingerprint(spec.options)
    if key is None or data is None:
        return None
    return {
        "protocol_version": protocol_version,
        "method": spec.method,
        "params": dict(spec.params),
        "source": get_method(spec.method).source_hash(),
        "harness": harness_hash(),
        "training_key": dict(key),
        "training_data": data,
        "kind": task.info.kind,
        "input_shape": list(task.info.input_shape),
        "n_outputs": task.info.n_outputs,
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


def _arithmetic() -> Mapping[str, Any]:
    """Return what rounding depends on besides versions: which instructions torch uses, which precisions it can."""
    if "torch" not in sys.modules:
        return {}
    import torch

    able = torch.cpu.get_capabilities()
    half = {name: bool(able[name]) for name in sorted(able) if name.endswith(("bf16", "fp16"))}
    return {"capability": torch.backends.cpu.get_cpu_capability(), **half}


def _versions() -> Mapping[str, str]:
    found = {"benchbench": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: str(sys.modules[name].__version__) for name in ("numpy", "torch") if name in sys.modules}
