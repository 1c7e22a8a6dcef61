"""ASlib scenarios: algorithms x instances.

Bischl et al. 2016, doi:10.1016/j.artint.2016.04.003; github.com/coseal/aslib_data.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.arff import arff_attributes, arff_rows
from benchbench.errors import InputError
from benchbench.results.importers.published_rows import (
    PublishedResult,
    PublishedSuite,
    check_columns,
    number,
    text_of,
    whole_number,
)

__all__ = ["AslibScenario", "read_aslib", "read_description"]

RUNS = "algorithm_runs.arff"
DESCRIPTION = "description.txt"
PENALTY = 10
"""A run that did not solve its instance counts as this many cutoff times (PAR10)."""
_REQUIRED = ("instance_id", "repetition", "algorithm", "runstatus")
# ASlib's statuses
_STATUSES = {"ok": "ok", "timeout": "timeout", "memout": "memory", "crash": "crashed", "not_applicable": "declined"}
# measures of time, for descriptions without performance_type
_TIMES = ("runtime", "time", "par1", "par10")


@dataclass(frozen=True, slots=True)
class AslibScenario:
    """What a description says of the first performance measure.

    Parameters
    ----------
    measure : str
    is_maximised : bool
    is_runtime : bool
    cutoff_seconds : float or None
        The scenario's ``algorithm_cutoff_time``; None: unknown.
    """

    measure: str
    is_maximised: bool
    is_runtime: bool
    cutoff_seconds: float | None


def read_aslib(path: Path, suite: str) -> list[PublishedSuite]:
    """Read the algorithm runs of an ASlib scenario.

    Runtimes are scored as PAR10: the runtime of a run that solved its instance within the cutoff,
    10 times the cutoff otherwise; the score is negated. Of any other kind of measure the score is
    the first one, negated if it is minimised, and runs whose status is not "ok" have none. Features
    and folds are not read.

    Parameters
    ----------
    path : Path
        The scenario's folder, with ``algorithm_runs.arff`` and ``description.txt``.
    suite : str

    Raises
    ------
    InputError
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give the folder of an ASlib scenario, with {RUNS} and {DESCRIPTION}")
    scenario = read_description(path / DESCRIPTION)
    check_columns(path / RUNS, [one.name for one in arff_attributes(path / RUNS)], (*_REQUIRED, scenario.measure))
    results = [_result(row, where, scenario) for where, row in arff_rows(path / RUNS)]
    return [PublishedSuite(name=suite, track="selection", results=results, notes=_notes(results, scenario))]


def read_description(path: Path) -> AslibScenario:
    """Return what a scenario's description says of its first performance measure.

    Raises
    ------
    InputError
        If the file is not YAML, or lacks the measure or its direction.
    """
    found = _yaml(path)
    measure = _first(found, "performance_measures", path)
    maximize = _first(found, "maximize", path)
    if isinstance(maximize, str) and maximize.lower() in ("true", "false", "yes", "no"):
        maximize = maximize.lower() in ("true", "yes")
    if not isinstance(maximize, bool):
        raise InputError(f"{path}: maximize is {maximize!r}, expected true or false")
    kind = _scalar(found.get("performance_type"))
    measure = str(measure)
    is_runtime = measure.lower() in _TIMES if kind is None else str(kind).strip().lower() == "runtime"
    cutoff = _scalar(found.get("algorithm_cutoff_time"))
    # scenarios of other measures have words and zeros there
    is_used = is_runtime and not maximize and cutoff not in (None, "?", "")
    seconds = number(cutoff, "algorithm_cutoff_time", str(path)) if is_used else None
    if seconds is not None and seconds <= 0:
        raise InputError(f"{path}: algorithm_cutoff_time is {seconds:g}, expected seconds above 0")
    return AslibScenario(measure, maximize, is_runtime and not maximize, seconds)


def _yaml(path: Path) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    try:
        # ASlib writes an unknown value as a bare ?, which in YAML begins a complex key
        text = re.sub(r"(?m)^(.*?[:-]\s+)\?\s*$", r"\1'?'", path.read_text(encoding="utf-8-sig"))
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} has no performance_measures; is it the description of an ASlib scenario?")
    return found


def _first(found: dict[str, Any], key: str, path: Path) -> Any:
    value = _scalar(found.get(key))
    if value is None:
        raise InputError(f"{path} has no {key}; is it the description of an ASlib scenario?")
    return value


def _scalar(value: Any) -> Any:
    return (value[0] if value else None) if isinstance(value, list) else value


def _result(row: dict[str, str | None], where: str, scenario: AslibScenario) -> PublishedResult:
    reported = text_of(row["runstatus"], "runstatus", where)
    status = _STATUSES.get(reported.lower(), "failed")
    value = number(row[scenario.measure], scenario.measure, where)
    if status == "ok" and value is None:
        raise InputError(f"{where}: status ok, but no {scenario.measure}")
    is_solved = status == "ok"
    metric = scenario.measure if scenario.is_maximised else f"neg_{scenario.measure}"
    metrics: dict[str, float] = {}
    seconds = 0.0
    if scenario.is_runtime:
        if value is not None and value < 0:
            raise InputError(f"{where}: {scenario.measure} is {value:g}, expected seconds of 0 or more")
        cutoff = scenario.cutoff_seconds
        if cutoff is not None:
            metric = f"neg_par{PENALTY}"
            is_solved = is_solved and value is not None and value <= cutoff
            seconds = min(value, cutoff) if value is not None else cutoff
            value = value if is_solved else PENALTY * cutoff
            metrics = {"solved": float(is_solved)}
            status = "ok"
        elif value is not None:
            seconds = value
    sign = 1.0 if scenario.is_maximised else -1.0
    return PublishedResult(
        method=text_of(row["algorithm"], "algorithm", where),
        task=text_of(row["instance_id"], "instance_id", where),
        unit=whole_number(row["repetition"], "repetition", where),
        status=status,
        score=sign * value if status == "ok" and value is not None else None,
        metric=metric,
        where=where,
        seconds=seconds,
        message="" if is_solved else reported,
        metrics=metrics,
    )


def _notes(results: list[PublishedResult], scenario: AslibScenario) -> tuple[str, ...]:
    if not scenario.is_runtime:
        return ()
    if scenario.cutoff_seconds is None:
        return ("the description has no algorithm_cutoff_time, so runs that solved nothing have no score",)
    unsolved = Counter(one.message for one in results if one.metrics["solved"] == 0.0)
    if not unsolved:
        return ()
    kinds = ", ".join(f"{n} {'beyond the cutoff' if kind == 'ok' else kind}" for kind, n in unsolved.most_common())
    return (
        f"PAR{PENALTY}: {unsolved.total()} of {len(results)} runs solved nothing ({kinds}) and count as"
        f" {PENALTY * scenario.cutoff_seconds:g} s, {PENALTY} times the cutoff of {scenario.cutoff_seconds:g} s",
    )
