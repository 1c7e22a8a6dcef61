"""Runs every check that applies to a method, each probe in its own child process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from benchbench.conformance import static
from benchbench.conformance.base import CheckFailed, CheckResult, NotApplicable
from benchbench.contracts.context import Budget
from benchbench.errors import InputError, UnknownNameError
from benchbench.execution import supervisor
from benchbench.protocols.base import check_installed, get_protocol
from benchbench.registry import MethodEntry, get_loader
from benchbench.spec import TrialSpec

__all__ = ["check_names", "run_checks"]

ITERATIONS = 3
TIME_LIMIT_SECONDS = 120.0
MEMORY_LIMIT_MIB = 4096
TRIAL_CHECKS = ("check_same_seed_same_scores", "check_unsupported_tasks_are_declined", "check_time_limit_is_kept")
# the limit of a method that would never stop training, and the slack of the harness to end it
SHORT_LIMIT_SECONDS, SHORT_GRACE_SECONDS, SLACK_SECONDS = 1.0, 0.5, 2.0


def check_names(track: str) -> list[str]:
    """Return the names of all checks of a track, in the order that they run.

    Raises
    ------
    InputError
        If the track has no checks.
    """
    return [*(c.__name__ for c in static.CHECKS), *_probes(track).PROBES, *TRIAL_CHECKS]


def _probes(track: str) -> Any:
    try:
        return import_module(f"benchbench.conformance.{track}")
    except ModuleNotFoundError as error:
        raise InputError(f"there are no conformance checks for track {track!r} yet") from error


def run_checks(entry: MethodEntry, only: Sequence[str] = ()) -> Iterator[CheckResult]:
    """Run the checks of the method's track and yield each result as it comes.

    Parameters
    ----------
    entry : MethodEntry
    only : sequence of str
        Names of checks; empty: all.
    """
    names = check_names(entry.card.track)
    check_installed(entry.card.track)
    for name in [*only, *entry.card.known_failures]:
        if name not in names:
            raise UnknownNameError("check", name, names)
    probes = _probes(entry.card.track)
    for check in static.CHECKS:
        if not only or check.__name__ in only:
            yield _judge(entry, check.__name__, "", partial(check, entry))
    for kind, (loader, options) in probes.TASKS.items():
        get_loader(loader).prepare(options, lambda line: None)
        if kind in entry.card.tasks:
            for name in probes.PROBES:
                if not only or name in only:
                    yield _judge(entry, name, kind, partial(_probe, entry, name, kind))
    for name in TRIAL_CHECKS:
        for kind in probes.TASKS:
            if (not only or name in only) and _concerns(name, kind, entry):
                yield _judge(entry, name, kind, partial(_TRIALS[name], entry, kind))


def _concerns(check: str, kind: str, entry: MethodEntry) -> bool:
    return (kind in entry.card.tasks) != (check == "check_unsupported_tasks_are_declined")


def _judge(entry: MethodEntry, name: str, kind: str, call: Callable[[], None]) -> CheckResult:
    started = time.monotonic()
    status, message = "passed", ""
    try:
        call()
    except NotApplicable as reason:
        status, message = "skipped", str(reason)
    except CheckFailed as error:
        status, message = "failed", str(error)
    except (
        Exception
        # foreign code may raise anything in a static check; report it and run the other checks
    ) as error:
        status, message = "failed", f"{type(error).__name__}: {error}"
    declared = entry.card.known_failures.get(name)
    if declared is not None and status == "failed":
        status, message = "known failure", f"{declared} ({message})"
    elif declared is not None and status == "passed":
        status, message = "unexpected pass", f"declared as failing: {declared}"
    return CheckResult(check=name, task=kind, status=status, message=message, seconds=time.monotonic() - started)


def _request(entry: MethodEntry, kind: str, task: str, **budget: Any) -> dict[str, Any]:
    loader, options = _probes(entry.card.track).TASKS[kind]
    values = {
        "preset": "conformance",
        "iterations": getattr(_probes(entry.card.track), "ITERATIONS", ITERATIONS),
        "test_units": 20,
        "time_limit_seconds": TIME_LIMIT_SECONDS,
        "memory_limit_mib": MEMORY_LIMIT_MIB,
        **budget,
    }
    spec = TrialSpec(
        suite="conformance",
        suite_version="1",
        track=entry.card.track,
        task=task,
        loader=loader,
        options=options,
        method=entry.name,
        params={},
        seed=1,
        budget=Budget(**values),
        device="cpu",
    )
    return {
        "spec": spec.to_dict(),
        "fingerprint": get_loader(loader).fingerprint(options),
        "preload": list(get_protocol(entry.card.track).PRELOAD),
        "visible_gpus": "",
        # a check of training must not find its result in the cache
        "shares_training": False,
    }


def _probe(entry: MethodEntry, name: str, kind: str) -> None:
    request = _request(entry, kind, name) | {"runner": f"benchbench.conformance.{entry.card.track}"}
    outcome = supervisor.execute(request)
    said = f"{outcome.error_type}: {outcome.error_message}".removeprefix(": ")
    if outcome.outcome == "declined":
        raise NotApplicable(f"declines: {outcome.error_message}")
    if outcome.error_type == "NotApplicable":
        raise NotApplicable(outcome.error_message)
    if outcome.outcome != "ok":
        raise CheckFailed(said.removeprefix("CheckFailed: ") if "CheckFailed" in said else f"{outcome.outcome}: {said}")


def _trial_same_seed(entry: MethodEntry, kind: str) -> None:
    """The same seed gives the same scores in two fresh processes."""
    if not entry.card.deterministic:
        raise NotApplicable("declared not deterministic")
    first, second = (supervisor.execute(_request(entry, kind, kind)) for _ in range(2))
    for outcome in (first, second):
        if outcome.outcome == "declined":
            raise NotApplicable(f"declines: {outcome.error_message}")
        if outcome.outcome != "ok":
            raise CheckFailed(f"a small trial ends with {outcome.outcome}: {outcome.error_message}")
    if first.unit_scores != second.unit_scores:
        n = sum(a != b for a, b in zip(first.unit_scores, second.unit_scores, strict=True))
        raise CheckFailed(f"{n} of {first.n_units} episode scores differ between two processes with the same seed")


def _trial_declines(entry: MethodEntry, kind: str) -> None:
    """A task of a kind that the card does not list is declined with a reason."""
    outcome = supervisor.execute(_request(entry, kind, kind))
    if outcome.outcome != "declined" or not outcome.error_message:
        raise CheckFailed(
            f"the card does not list {kind}, so such a task must be declined with a reason; got {outcome.outcome}"
        )


def _trial_limit(entry: MethodEntry, kind: str) -> None:
    """A trial that would train forever ends at its limit."""
    request = _request(
        entry, kind, kind, iterations=10**9, time_limit_seconds=SHORT_LIMIT_SECONDS, grace_seconds=SHORT_GRACE_SECONDS
    )
    outcome = supervisor.execute(request)
    if outcome.outcome == "declined":
        raise NotApplicable(f"declines: {outcome.error_message}")
    if outcome.outcome not in ("ok", "timeout"):
        raise CheckFailed(f"expected ok or timeout, got {outcome.outcome}: {outcome.error_message}")
    longest = SHORT_LIMIT_SECONDS + SHORT_GRACE_SECONDS + SLACK_SECONDS
    if outcome.wall_seconds > longest:
        raise CheckFailed(
            f"the trial took {outcome.wall_seconds:.1f} s; its limit and grace end at {longest - SLACK_SECONDS} s"
        )


_TRIALS: dict[str, Callable[[MethodEntry, str], None]] = dict(
    zip(TRIAL_CHECKS, (_trial_same_seed, _trial_declines, _trial_limit), strict=True)
)
