"""ASlib scenarios: algorithms x instances.

Bischl et al. 2016, doi:10.1016/j.artint.2016.04.003; github.com/coseal/aslib_data.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from benchbench.errors import InputError
from benchbench.results.importers.published_rows import (
    PublishedResult,
    PublishedSuite,
    check_columns,
    number,
    text_of,
    whole_number,
)

__all__ = ["read_aslib"]

RUNS = "algorithm_runs.arff"
DESCRIPTION = "description.txt"
_REQUIRED = ("instance_id", "repetition", "algorithm", "runstatus")
# ASlib's statuses
_STATUSES = {"ok": "ok", "timeout": "timeout", "memout": "memory", "crash": "crashed", "not_applicable": "declined"}


def read_aslib(path: Path, suite: str) -> list[PublishedSuite]:
    """Read the algorithm runs of an ASlib scenario.

    The score is the scenario's first performance measure, negated if it is minimised. Runs whose
    status is not "ok" have none. Features and folds are not read.

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
    measure, is_maximised = _first_measure(path / DESCRIPTION)
    results = []
    for where, row in _arff_rows(path / RUNS, (*_REQUIRED, measure)):
        status = _STATUSES.get(row["runstatus"].strip().lower(), "failed")
        value = number(row[measure].replace("?", ""), measure, where)
        if status == "ok" and value is None:
            raise InputError(f"{where}: status ok, but no {measure}")
        sign = 1.0 if is_maximised else -1.0
        results.append(
            PublishedResult(
                method=text_of(row["algorithm"], "algorithm", where),
                task=text_of(row["instance_id"], "instance_id", where),
                unit=whole_number(row["repetition"], "repetition", where),
                status=status,
                score=sign * value if status == "ok" and value is not None else None,
                metric=measure if is_maximised else f"neg_{measure}",
                where=where,
                message="" if status == "ok" else row["runstatus"].strip(),
            )
        )
    return [PublishedSuite(name=suite, track="selection", results=results)]


def _first_measure(path: Path) -> tuple[str, bool]:
    """Return the first performance measure of a description and whether it is maximised.

    Descriptions are YAML, but only these two lists of scalars are needed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    found = {}
    for key in ("performance_measures", "maximize"):
        match = re.search(rf"^{key}:[ \t]*(?:\n[ \t]*-[ \t]+|\[[ \t]*)?([^\s,\]]+)", text, re.MULTILINE)
        if match is None:
            raise InputError(f"{path} has no {key}; is it the description of an ASlib scenario?")
        found[key] = match.group(1).strip("'\"")
    if found["maximize"].lower() not in ("true", "false"):
        raise InputError(f"{path}: maximize is {found['maximize']!r}, expected true or false")
    return found["performance_measures"], found["maximize"].lower() == "true"


def _arff_rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a dense ARFF file, each with its file and line."""
    names: list[str] = []
    is_data = False
    try:
        with path.open(encoding="utf-8") as file:
            for i, line in enumerate(file, 1):
                text = line.strip()
                if not text or text.startswith("%"):
                    continue
                if is_data:
                    values = next(csv.reader([text], quotechar="'" if "'" in text else '"', skipinitialspace=True))
                    if len(values) != len(names):
                        raise InputError(
                            f"{path}, line {i}: {len(values)} values, expected {len(names)} as declared attributes"
                        )
                    yield f"{path}, line {i}", dict(zip(names, values, strict=True))
                elif text.lower().startswith("@attribute"):
                    match = re.match(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+\S", text, re.IGNORECASE)
                    if match is None:
                        raise InputError(f"{path}, line {i}: not a declaration of an attribute: {text[:80]}")
                    names.append(match.group(1).strip("'\""))
                elif text.lower().startswith("@data"):
                    check_columns(path, names, required)
                    is_data = True
                elif not text.lower().startswith("@relation"):
                    raise InputError(f"{path}, line {i}: not ARFF: {text[:80]}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as ARFF: {error}") from error
    if not is_data:
        raise InputError(f"{path} is not an ARFF file: it has no @DATA")
