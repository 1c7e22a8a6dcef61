"""Timing of two ways of doing the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest


def seconds_of(call: Callable[[], Any]) -> float:
    """Time a call, with what it has left to do on a GPU."""
    import torch

    started = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


@pytest.fixture(name="seconds_of")
def _seconds_of() -> Callable[[Callable[[], Any]], float]:
    return seconds_of


@pytest.fixture
def in_turns(benchmark: Any) -> Callable[..., float]:
    """Time two calls in turns, so that both meet the same machine; print and return how many times faster the second is."""

    def run(plain: Callable[[], Any], ours: Callable[[], Any], *, rounds: int, warms_up: bool = True) -> float:
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for call in (plain, ours) if warms_up else ():
            call()

        def once() -> None:
            for name, call in (("plain", plain), ("ours", ours)):
                seconds[name].append(seconds_of(call))

        benchmark.pedantic(once, rounds=rounds)
        medians = {name: statistics.median(found) for name, found in seconds.items()}
        ratio = statistics.median(p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=True))
        benchmark.extra_info.update(medians, ratio=ratio)
        each = ", ".join(f"{name} {found:.4f} s ({1 / found:.3g} a second)" for name, found in medians.items())
        print(f"\n{each}: {ratio:.2f} times faster")
        return ratio

    return run
