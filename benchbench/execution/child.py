"""The child: one trial from the fork to `os._exit`."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from benchbench.errors import BenchbenchError, ClusterError, DataMissingError
from benchbench.execution.harness import TrialHarness
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, get_protocol
from benchbench.provenance import package_versions
from benchbench.records import TrialOutcome
from benchbench.spec import TrialSpec

__all__ = ["run", "set_device", "set_threads"]


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
    owner = os.getpid()

    def emit(message: dict[str, Any]) -> None:
        if os.getpid() != owner:  # a process that the method forked must not send
            return
        data = memoryview(json.dumps(message).encode() + b"\n")
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
        outcome = _scored(protocol.run(spec, request["fingerprint"], harness, clock))
    except Declined as reason:
        outcome = TrialOutcome(outcome="declined", error_message=str(reason))
    except (ClusterError, DataMissingError) as error:
        outcome = _failed("infra", error)
    except BaseException as error:  # also a method's KeyboardInterrupt and SystemExit
        # some errors name their outcome: the death of the method's own interpreter
        known = getattr(type(error), "outcome", "failed") if isinstance(error, BenchbenchError) else "failed"
        outcome = _failed("memory" if _is_out_of_memory(error) else known, error)
    return replace(
        outcome,
        phases=clock.seconds,
        seconds=sum(clock.seconds.get(name, 0.0) for name in timed),
        environment=package_versions(),
    )


def _scored(found: ProtocolResult) -> TrialOutcome:
    scores = tuple(float(score) for score in found.unit_scores)
    n = len(scores)
    mean = sum(scores) / n
    return TrialOutcome(
        outcome="ok",
        metric=found.metric,
        unit=found.unit,
        score=mean,
        score_sd=(sum((s - mean) ** 2 for s in scores) / (n - 1)) ** 0.5 if n > 1 else None,
        n_units=n,
        unit_scores=scores,
        # a method's own metrics may be numpy scalars
        metrics={name: float(value) for name, value in found.metrics.items()},
        remarks=tuple(found.remarks),
    )


def _failed(outcome: str, error: BaseException) -> TrialOutcome:
    return TrialOutcome(
        outcome=outcome,
        error_type=type(error).__name__,
        error_message="; ".join([str(error), *getattr(error, "__notes__", [])])[:4000],
        traceback="".join(traceback.format_exception(error))[-20_000:],
    )


def _is_out_of_memory(error: BaseException) -> bool:
    name = type(error).__name__
    return (
        isinstance(error, MemoryError)
        or name == "OutOfMemoryError"
        or "DefaultCPUAllocator: can't allocate" in str(error)
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
