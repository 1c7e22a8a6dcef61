"""Suite files: TOML in, validated specifications out; unknown keys are rejected."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchbench.cards import TRACKS
from benchbench.contracts.context import fit_limit_seconds
from benchbench.errors import SuiteFileError, UnknownNameError, suggest
from benchbench.validation import from_table

__all__ = [
    "BEST_KNOWN",
    "OrderingSpec",
    "PresetSpec",
    "ScoreSpec",
    "SuiteSpec",
    "TaskSpec",
    "find_suite",
    "list_suites",
    "read_suite",
]

FILES_VARIABLE = "BENCHBENCH_SUITES"
BEST_KNOWN = "best known"
"""As a suite's reference: the frozen scores are the best known ones, of whichever method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task of a suite: its loader, the loader's options, the frozen ends of the normalised
    score.
    """

    name: str
    loader: str
    options: Mapping[str, Any] = field(default_factory=dict)
    baseline_score: float | None = None
    reference_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetSpec:
    """The budget of every trial.

    `iterations` overrides the methods' cards (None: the cards decide). `fit_seconds` limits
    training alone (None: no such limit); `time_limit_seconds` must be larger.
    """

    test_units: int
    threads: int = 1
    iterations: int | None = None
    time_limit_seconds: float = 600.0
    memory_limit_mib: int = 4096
    grace_seconds: float = 2.0
    fit_seconds: float | None = None

    def problem(self) -> str | None:
        """Return why the preset is invalid, or None."""
        if self.fit_seconds is None:
            return None
        if self.fit_seconds <= 0:
            return f"fit_seconds must be above 0, got {self.fit_seconds:g}"
        least = fit_limit_seconds(self.fit_seconds)
        if self.time_limit_seconds <= least:
            return (
                f"time_limit_seconds is {self.time_limit_seconds:g}; training of {self.fit_seconds:g} s is stopped at {least:g} s,"
                " and the trial needs time to load and to predict besides"
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSpec:
    """The methods at 0 and 1 of the normalised score, and how their frozen values were measured.

    The one at 1 may be `BEST_KNOWN`.
    """

    baseline: str
    reference: str
    measured: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderingSpec:
    """An ordering known from the literature, which `bench orderings` checks on results.

    Parameters
    ----------
    above, below : tuple of str
        Methods, with default parameters: each of `above` scores higher than each of `below`.
    tasks : tuple of str
        Tasks on which the ordering is known; empty: all tasks of the suite.
    at_least : bool
        Whether only "not lower" is known.
    why : str
        The source.
    """

    above: tuple[str, ...]
    below: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    at_least: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSpec:
    """A named, versioned list of tasks with budgets, seeds, baseline and reference.

    Parameters
    ----------
    generated_splits : bool
        Whether the splits were generated here because official ones do not exist or cannot be
        obtained; leaderboards say so.
    methods : tuple of str
        What `bench run` runs by default; empty: every method of the track.
    """

    name: str
    version: str
    track: str
    title: str
    description: str = ""
    generated_splits: bool = False
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    default_preset: str = "quick"
    presets: Mapping[str, PresetSpec]
    scores: ScoreSpec
    tasks: tuple[TaskSpec, ...]
    orderings: tuple[OrderingSpec, ...] = ()

    def preset(self, name: str | None) -> tuple[str, PresetSpec]:
        """Return the preset of that name (None: the default one), or raise `UnknownNameError`."""
        name = name or self.default_preset
        if name not in self.presets:
            raise UnknownNameError(f"preset of suite {self.name!r}:", name, self.presets)
        return name, self.presets[name]

    def task(self, name: str) -> TaskSpec:
        """Return the task of that name, or raise `UnknownNameError`."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise UnknownNameError(f"task of suite {self.name!r}:", name, [t.name for t in self.tasks])


def list_suites() -> dict[str, Path]:
    """Return the suite files of the package and of `BENCHBENCH_SUITES`, by name."""
    from importlib.resources import files

    places = [Path(str(files("benchbench.suites")))]
    for item in filter(None, os.environ.get(FILES_VARIABLE, "").split(os.pathsep)):
        places.append(Path(item).expanduser())
    found: dict[str, Path] = {}
    for place in places:
        for path in sorted(place.glob("*.toml")) if place.is_dir() else [place]:
            if path.stem in found:
                raise SuiteFileError(f"two suites are named {path.stem!r}: {found[path.stem]} and {path}")
            found[path.stem] = path
    return found


def find_suite(name: str) -> SuiteSpec:
    """Return the suite of that name, or of that file if the name ends in ``.toml``.

    Raises
    ------
    UnknownNameError, SuiteFileError
    """
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise SuiteFileError(f"no suite file {name}")
        return read_suite(path)
    known = list_suites()
    if name not in known:
        raise UnknownNameError("suite", name, known, "List them with: bench list suites")
    return read_suite(known[name])


def read_suite(path: Path) -> SuiteSpec:
    """Read and validate a suite file.

    Raises
    ------
    SuiteFileError
        If the file is not TOML, has unknown keys, lacks required ones, or names an unknown preset
        or task.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SuiteFileError(f"{path}: cannot be read as TOML: {error}") from error
    suite = from_table(SuiteSpec, data, str(path), SuiteFileError)
    _check(suite, path)
    return suite


def _check(suite: SuiteSpec, path: Path) -> None:
    for key, heading in (("tasks", "[[tasks]]"), ("presets", "[presets.NAME]")):
        if not getattr(suite, key):
            raise SuiteFileError(f"{path}: a suite needs at least one table {heading}")
    names = [t.name for t in suite.tasks]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SuiteFileError(f"{path}: more than one task is named {', '.join(twice)}")
    if suite.name != path.stem:
        raise SuiteFileError(f"{path}: the suite is named {suite.name!r}, its file {path.stem!r}; they must agree")
    if suite.track not in TRACKS:
        raise SuiteFileError(f"{path}: unknown track {suite.track!r}{suggest(suite.track, TRACKS)}")
    if suite.default_preset not in suite.presets:
        raise SuiteFileError(f"{path}: default_preset {suite.default_preset!r} is not among {sorted(suite.presets)}")
    for label in [suite.name, *names, *suite.presets]:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", label):
            raise SuiteFileError(f"{path}: {label!r} is not a name (letters, digits, dot, dash, underscore)")
    for name, preset in suite.presets.items():
        for key in ("test_units", "threads", "time_limit_seconds", "memory_limit_mib"):
            if getattr(preset, key) <= 0:
                raise SuiteFileError(f"{path}: presets.{name}.{key} must be above 0, got {getattr(preset, key)}")
        problem = preset.problem()
        if problem:
            raise SuiteFileError(f"{path}: presets.{name}: {problem}")
    for task in suite.tasks:
        zero, one = task.baseline_score, task.reference_score
        if zero is not None and one is not None and one < zero:
            raise SuiteFileError(
                f"{path}: task {task.name!r}: the reference_score {one:g} is below the baseline_score {zero:g}, so that better methods"
                " would get worse normalised scores; choose another reference, or leave it out of this task"
            )
    for i, ordering in enumerate(suite.orderings):
        _check_ordering(ordering, names, f"{path}: [orderings[{i}]]")


def _check_ordering(ordering: OrderingSpec, tasks: list[str], place: str) -> None:
    # methods need not exist: a suite may order methods that are not installed everywhere
    for key in ("above", "below"):
        if not all(name.strip() for name in getattr(ordering, key)) or not getattr(ordering, key):
            raise SuiteFileError(f"{place}: {key} must name at least one method; names must not be empty")
    for name, listed in Counter((*ordering.above, *ordering.below)).items():
        if listed > 1:
            raise SuiteFileError(f"{place}: method {name!r} is named more than once")
    for name in ordering.tasks:
        if name not in tasks:
            raise SuiteFileError(f"{place}: unknown task {name!r}{suggest(name, tasks)}")
