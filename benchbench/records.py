"""The outcome of a trial, on its way from child to store, and the records that the store keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

__all__ = ["OUTCOMES", "Attempt", "CurvePoint", "PreparationRecord", "RunRecord", "TrialOutcome"]

OUTCOMES = ("ok", "failed", "timeout", "memory", "crashed", "declined", "infra")
"""Only `infra` (worker or host lost) is retried automatically."""

# longer texts, or more remarks, are refused: no part of the harness sends any
LONGEST_TEXT, MOST_REMARKS = 100_000, 200
LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One value of an any-time curve, at timed seconds since the method began to learn."""

    step: int
    seconds: float
    metric: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """The outcome of one execution of a trial.

    Zygote and worker add what they know with `dataclasses.replace`.

    Parameters
    ----------
    outcome : str
        One of `OUTCOMES`.
    error_type, error_message, traceback : str
        What went wrong; for "declined" the message is the method's reason.
    log_tail : str
        The end of the trial's output.
    metric, unit : str
        Names of the score (higher is better) and of the unit of `unit_scores` ("episode").
    score, score_sd : float or None
        Mean and standard deviation of `unit_scores`; there is a score if, and only if, the outcome
        is "ok". It is finite.
    n_units : int
    unit_scores : tuple of float
        Finite.
    metrics, phases : mapping of str to float
        Further figures, and seconds by phase; finite.
    remarks : tuple of str
        What is questionable about a trial that succeeded.
    seconds, wall_seconds, cpu_seconds, started_at : float
        Timed phases; the whole trial; its processes; seconds since the epoch.
    peak_memory_mib : float
    curve : tuple of CurvePoint
    environment : mapping of str to str
        Versions of the packages that were imported.
    host, hardware_class : str
    """

    outcome: str
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    log_tail: str = ""
    metric: str = ""
    unit: str = ""
    score: float | None = None
    score_sd: float | None = None
    n_units: int = 0
    unit_scores: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    started_at: float = 0.0
    peak_memory_mib: float = 0.0
    curve: tuple[CurvePoint, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    hardware_class: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON data with every field."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"curve": [[p.step, p.seconds, p.metric, p.value] for p in self.curve]}

    @classmethod
    def from_wire(cls, plain: object) -> Self:
        """Return what `to_wire` was given.

        Raises
        ------
        ValueError
            If a field is missing, unknown or of another type, a number or text exceeds what can
            be stored, or an "ok" has no finite score.
        """
        if not isinstance(plain, dict):
            raise ValueError(f"expected an object, got {type(plain).__name__}")
        known = {f.name: str(f.type) for f in fields(cls)}
        for what, names in (("missing", known.keys() - plain.keys()), ("unknown", plain.keys() - known.keys())):
            if names:
                raise ValueError(f"{what} fields: {', '.join(sorted(map(str, names)))}")
        for name, kind in known.items():
            expected, fits = _KINDS[kind]
            if not fits(plain[name]):
                raise ValueError(f"{name} is {repr(plain[name])[:80]}, expected {expected}")
        if plain["outcome"] not in OUTCOMES:
            raise ValueError(f"outcome is {plain['outcome']!r}, expected one of {', '.join(OUTCOMES)}")
        if (plain["score"] is not None) != (plain["outcome"] == "ok"):
            raise ValueError(f"outcome is {plain['outcome']!r}, score is {plain['score']}")
        if plain["n_units"] != len(plain["unit_scores"]):
            raise ValueError(f"n_units is {plain['n_units']}, unit_scores has {len(plain['unit_scores'])}")
        points = tuple(CurvePoint(*point) for point in plain["curve"])
        listed = {name: tuple(plain[name]) for name in ("unit_scores", "remarks")}
        return cls(**plain | listed | {"curve": points})

    @classmethod
    def received(cls, plain: object, sender: str) -> Self:
        """Return what a process sent; if it cannot be read, an outcome "crashed" that says why."""
        try:
            return cls.from_wire(plain)
        except ValueError as error:
            message = f"{sender} sent an outcome that cannot be read: {error}"
            return cls(outcome="crashed", error_type="InvalidOutcome", error_message=message)


def _is_number(value: object) -> bool:
    """Return whether a float holds the value; it may be NaN or infinite."""
    return isinstance(value, float) or _is_integer(value)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and _is_number(value) and math.isfinite(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _is_point(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 4:
        return False
    step, seconds, metric, number = value
    return _is_integer(step) and _is_number(seconds) and _is_text(metric) and _is_number(number)


def _list_of(item: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(item, value))


def _object_of(item: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(map(_is_text, value)) and all(map(item, value.values()))


def _are_remarks(value: object) -> bool:
    return _list_of(_is_text)(value) and len(value) <= MOST_REMARKS  # type: ignore[arg-type]


_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "str": (f"a text of at most {LONGEST_TEXT} characters", _is_text),
    "int": ("a whole number of at most 64 bits", _is_integer),
    "float": ("a finite number", _is_finite),
    "float | None": ("a finite number or null", lambda value: value is None or _is_finite(value)),
    "tuple[float, ...]": ("a list of finite numbers", _list_of(_is_finite)),
    "tuple[str, ...]": (f"a list of at most {MOST_REMARKS} texts", _are_remarks),
    "tuple[CurvePoint, ...]": ("a list of [step, seconds, metric, value]", _list_of(_is_point)),
    "Mapping[str, float]": ("finite numbers by name", _object_of(_is_finite)),
    "Mapping[str, str]": ("texts by name", _object_of(_is_text)),
}
"""Per type of a field: its form on the wire in words, and the check of a value."""


@dataclass(slots=True, kw_only=True)
class RunRecord:
    """One call of `bench run`.

    Times are seconds since the epoch, UTC; `ended_at` is None while it runs or if it was killed.
    """

    run_id: str
    suite: str
    preset: str
    command: str
    started_at: float
    ended_at: float | None = None
    n_trials: int = 0
    state: str = "running"
    kind: str = "measured"
    user: str = ""
    host: str = ""
    hardware: dict[str, Any] = field(default_factory=dict)
    git_commit: str = ""
    git_dirty: bool | None = None
    benchbench_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationRecord:
    """The preparation of a task's data in a run, if it failed or an earlier one had failed.

    `outcome` is "ok" or "failed"; `recorded_at` is in seconds since the epoch, UTC.
    """

    run_id: str
    suite: str
    suite_version: str
    preset: str
    task: str
    outcome: str
    recorded_at: float
    error_type: str = ""
    error_message: str = ""
    host: str = ""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One execution of a trial, whatever its outcome.

    `score` is higher-is-better; it is None unless `outcome` is "ok". `unit_scores` holds one score
    per episode (fold, row group ...), in an order fixed by the task, so that attempts of the same
    task can be paired.
    """

    attempt_id: str
    run_id: str
    trial_id: str
    try_number: int
    suite: str
    suite_version: str
    track: str
    task: str
    task_fingerprint: str
    protocol_version: str
    method: str
    params: dict[str, Any]
    transductive: bool
    seed: int
    preset: str
    budget: dict[str, Any]
    threads: int
    device: str
    outcome: str
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    log_tail: str = ""
    metric: str = ""
    score: float | None = None
    score_sd: float | None = None
    n_units: int = 0
    unit: str = ""
    unit_scores: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by phase; the timed ones (`meta_fit`, `adapt`, `predict`, `fit`) sum to `seconds`."""
    remarks: list[str] = field(default_factory=list)
    """What is questionable about a trial that succeeded."""
    seconds: float = 0.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mib: float = 0.0
    curve: list[CurvePoint] = field(default_factory=list)
    started_at: float = 0.0
    host: str = ""
    worker: str = ""
    hardware_class: str = ""
    adapter_source_hash: str = ""
    environment_hash: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    git_commit: str = ""
    git_dirty: bool | None = None
    benchbench_version: str = ""
