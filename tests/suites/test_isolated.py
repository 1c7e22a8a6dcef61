"""Calls in a forked child: what they return, and every way of not returning."""

from __future__ import annotations

import ctypes
import faulthandler
import math
import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from benchbench.suites._isolated import IsolatedError, call_isolated


def test_the_answer_comes_back_whole() -> None:
    big = {"loss": 0.5, "nan": math.nan, "many": list(range(200_000))}
    found = call_isolated(lambda: big, limit_seconds=20)
    assert math.isnan(found.pop("nan"))
    assert found == {"loss": 0.5, "many": big["many"]}


def test_it_is_another_process_and_leaves_nothing_here() -> None:
    state, before = {"n": 0}, set(psutil.Process().children())

    def call() -> dict[str, Any]:
        state["n"] += 1
        return {"pid": os.getpid()}

    assert call_isolated(call, limit_seconds=20)["pid"] != os.getpid()
    assert state == {"n": 0}
    assert set(psutil.Process().children()) <= before


def quietly(crash: Any) -> None:
    """Crash without the stacks that pytest's fault handler would print in the middle of its report."""
    faulthandler.disable()
    crash()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: quietly(lambda: ctypes.string_at(0)), "crashed with signal SIGSEGV"),
        (lambda: os._exit(3), "ended without an answer"),
        (lambda: quietly(os.abort), "crashed with signal SIGABRT"),
        (lambda: {"loss": object()}, "TypeError: .*not JSON serializable"),
    ],
)
def test_what_raises_or_crashes_is_told(call: Any, message: str, capfd: Any) -> None:
    with pytest.raises(IsolatedError, match=message):
        call_isolated(call, limit_seconds=20)


def test_what_hangs_is_stopped_with_what_it_started() -> None:
    def call() -> dict[str, Any]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        time.sleep(60)
        return {}

    started, before = time.monotonic(), set(psutil.Process().children(recursive=True))
    with pytest.raises(IsolatedError, match="stopped after its limit of 1 s"):
        call_isolated(call, limit_seconds=1)
    assert time.monotonic() - started < 20
    deadline = time.monotonic() + 10
    while set(psutil.Process().children(recursive=True)) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_grandchild_that_holds_the_pipe_keeps_nobody_waiting() -> None:
    def call() -> dict[str, Any]:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        return {"loss": 1.0}

    started = time.monotonic()
    assert call_isolated(call, limit_seconds=50) == {"loss": 1.0}
    assert time.monotonic() - started < 20
