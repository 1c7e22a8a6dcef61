"""The child: one trial from the fork to `os._exit`."""

from __future__ import annotations

import faulthandler
import gc
import json
import math
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from benchbench.errors import BenchbenchError, ClusterError, DataMissingError, ProtocolViolation
from benchbench.execution.described import describe
from benchbench.execution.harness import TrialHarness
from benchbench.execution.scratch import limit_mib
from benchbench.extras import remedy
from benchbench.numbers import as_number, numbers_by_name
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, get_protocol
from benchbench.provenance import package_versions
from benchbench.records import TrialOutcome
from benchbench.registry import methods
from benchbench.spec import TrialSpec

__all__ = ["run", "set_device", "set_threads"]

OUR_PACKAGE = "benchbench."
METHODS_PACKAGE = "benchbench.methods."


def run(request: dict[str, Any], scratch: str, report_fd: int, log_fd: int, deadline: float) -> NoReturn:
    """Execute the request in this freshly forked process and exit; never returns."""
    code = 1
    try:
        os.setsid()
        # workers of an embedded cluster block this signal, and a method may rely on it
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _redirect(log_fd)
        gc.enable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.enable(file=2)
        os.environ["TMPDIR"] = scratch
        tempfile.tempdir = None
        os.chdir(scratch)
        if request.get("visible_gpus") is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = request["visible_gpus"]
        emit = _emitter(report_fd)
        emit({"result": _execute(request, Path(scratch), deadline, emit).to_wire()})
        sys.stdout.flush()
        sys.stderr.flush()
        code = 0
    except BaseException:
        # a method may have closed the pipe, or have changed this very process; the log says it
        traceback.print_exc()
    finally:
        # not sys.exit: tearing an interpreter with torch down costs 0.9 s
        os._exit(code)


def _redirect(log_fd: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115


def _emitter(report_fd: int) -> Callable[[dict[str, Any]], None]:
    owner, lock = os.getpid(), threading.Lock()

    def emit(message: dict[str, Any]) -> None:
        if os.getpid() != owner:  # a process that the method forked must not send
            return
        data = memoryview(json.dumps(message).encode() + b"\n")
        with lock:  # a method may report from several threads
            while data:
                data = data[os.write(report_fd, data) :]

    return emit


def _execute(
    request: dict[str, Any], scratch: Path, deadline: float, emit: Callable[[dict[str, Any]], None]
) -> TrialOutcome:
    """Run the protocol and turn its result or exception into an outcome."""
    clock = PhaseClock()
    timed: tuple[str, ...] = ()
    try:
        spec = TrialSpec.from_dict(request["spec"])
        # refused here, where it is an error of this trial
        limit_mib()
        set_threads(spec.budget.threads)
        set_device(spec.device)
        # conformance probes have their own runner
        protocol = import_module(request["runner"]) if "runner" in request else get_protocol(spec.track)
        timed = protocol.TIMED_PHASES
        harness = TrialHarness(
            seed=spec.seed,
            device=spec.device,
            threads=spec.budget.threads,
            scratch=scratch,
            deadline=deadline,
            send=emit,
            shares_training=request.get("shares_training", True),
        )
        found = protocol.run(spec, request["fingerprint"], harness, clock)
        outcome = _scored(found, 0 if "runner" in request else expected_units(spec, protocol.UNUSED_BUDGET))
    except BaseException as error:  # also a method's KeyboardInterrupt and SystemExit
        outcome = _unscored(error, request)
    _ignore_alarms()
    return replace(
        outcome,
        phases=clock.seconds,
        seconds=sum(clock.seconds.get(name, 0.0) for name in timed),
        environment=package_versions(),
    )


def _unscored(error: BaseException, request: dict[str, Any]) -> TrialOutcome:
    """Return the outcome of a trial that ended with an exception.

    A method declines through `supports`, before it has seen data. What it raises is its failure,
    whatever the class: declined trials are never imputed, and those that are infra run again.
    """
    if not _raised_by_method(error, request):
        if isinstance(error, Declined):
            return TrialOutcome(outcome="declined", error_message=describe(error).message)
        if isinstance(error, (ClusterError, DataMissingError)):
            return _failed("infra", error)
    return _failed("failed", error)


def _raised_by_method(error: BaseException, request: dict[str, Any]) -> bool:
    """Return whether a method's code is nearer to where the exception was raised than ours is."""
    known = methods().get(request.get("spec", {}).get("method", ""))
    own = known.module if known else None
    names = [frame.f_globals.get("__name__") or "" for frame, _ in traceback.walk_tb(error.__traceback__)]
    for name in reversed(names):
        if name == own or name.startswith(METHODS_PACKAGE):
            return True
        if name.startswith(OUR_PACKAGE):
            return False
    return False


def _ignore_alarms() -> None:
    """Keep what a method may have planned from interrupting the record of its outcome."""
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0.0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def expected_units(spec: TrialSpec, unused_budget: tuple[str, ...]) -> int:
    """Return how many units the budget says that a trial is scored on; 0 if the task fixes them."""
    return 0 if "test_units" in unused_budget else spec.budget.test_units


def _scored(found: ProtocolResult, n_expected: int) -> TrialOutcome:
    """Return the outcome of a trial with scores.

    Raises
    ------
    ProtocolViolation
        If a score is not finite, or there are more or fewer than expected.
    """
    scores = tuple(as_number(score, f"the {found.metric} of a {found.unit}") for score in found.unit_scores)
    n = len(scores)
    if n == 0 or (n_expected and n != n_expected):
        raise ProtocolViolation(f"{n} {found.unit}s were scored, expected {n_expected or 'at least one'}")
    wrong = [i for i, score in enumerate(scores) if not math.isfinite(score)]
    mean = sum(scores) / n
    if wrong or not math.isfinite(mean):
        which = f"{found.unit} {wrong[0]} is {scores[wrong[0]]}" if wrong else f"mean is {mean}"
        raise ProtocolViolation(
            f"the {found.metric} of {len(wrong)} of {n} {found.unit}s is not finite ({which});"
            " expected predictions that give finite scores"
        )
    metrics, remarks = _finite_metrics(found.metrics)
    return TrialOutcome(
        outcome="ok",
        metric=found.metric,
        unit=found.unit,
        score=mean,
        score_sd=_deviation(scores, mean),
        n_units=n,
        unit_scores=scores,
        metrics=metrics,
        remarks=(*found.remarks, *remarks),
    )


def _deviation(scores: tuple[float, ...], mean: float) -> float | None:
    """Return the standard deviation; None for one score, or if it is beyond the largest number."""
    if len(scores) < 2:
        return None
    try:
        found = (sum((s - mean) ** 2 for s in scores) / (len(scores) - 1)) ** 0.5
    except OverflowError:
        found = math.hypot(*(s - mean for s in scores)) / (len(scores) - 1) ** 0.5
    return found if math.isfinite(found) else None


def _finite_metrics(found: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Return the metrics that are finite, and remarks that name the others."""
    metrics = numbers_by_name(found, "the protocol")
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return finite, [f"{name} is {metrics[name]}: not recorded" for name in metrics if name not in finite]


def _failed(outcome: str, error: BaseException) -> TrialOutcome:
    if told := remedy(error):
        error.add_note(told)
    said = describe(error)
    # some errors name their outcome: the death of the method's own interpreter
    if issubclass(type(error), BenchbenchError) and getattr(type(error), "outcome", "") == "crashed":
        outcome = "crashed"
    return TrialOutcome(
        outcome="memory" if said.is_memory else outcome,
        error_type=said.type,
        error_message=said.message,
        traceback=said.traceback,
    )


def set_threads(n_threads: int) -> None:
    """Set the threads of torch and of the BLAS and OpenMP libraries.

    They are loaded already, so environment variables would come too late.
    """
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(n_threads)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(n_threads)
    if n_threads > 1:  # the zygote was started with one thread
        from threadpoolctl import threadpool_limits

        threadpool_limits(n_threads)


def set_device(device: str) -> None:
    """Make GPU results repeatable and truly float32; call it before CUDA starts.

    By default cuDNN picks algorithms that add in any order, and rounds the inputs of float32
    convolutions to 10 bits (TF32).
    """
    if device != "cuda":
        return
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    # also for the method's own environment, which has its own torch
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    if "torch" in sys.modules:
        import torch

        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
