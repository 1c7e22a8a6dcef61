"""Traces of optimisers recorded by HPO-B, CARP-S and Syne Tune.

HPO-B: Pineda Arango et al. 2021, arXiv:2106.06257. CARP-S: github.com/automl/CARP-S.
Syne Tune: github.com/syne-tune/syne-tune.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchbench.errors import InputError
from benchbench.results.importers.long import curves_of, read_long
from benchbench.results.importers.published_rows import PublishedSuite, number

__all__ = ["TRACES", "read_carps", "read_hpob", "read_synetune"]

# names of CARP-S' logs, newest first
_CARPS: Mapping[str, tuple[str, ...]] = {
    "method": ("optimizer_id",),
    "task": ("task_id", "problem_id"),
    "seed": ("seed",),
    "step": ("n_trials",),
    "loss": ("trial_value__cost_inc", "trial_value__cost"),
}


def read_hpob(
    path: Path, suite: str, *, metric: str | None, columns: Mapping[str, str], lower_is_better: bool
) -> list[PublishedSuite]:
    """Read HPO-B's results of one method: ``{search space: {dataset: {seed: [incumbents]}}}``.

    The method is named as the file. The k-th value of a list is step k; a value that is worse than
    one before it is no new incumbent.

    Raises
    ------
    InputError
    """
    _no_columns(columns, "hpob")
    rows = list(_hpob_rows(path, "loss" if lower_is_better else "score"))
    if not rows:
        raise InputError(f"{path} has no results")
    return [PublishedSuite(name=suite, track="hpo", results=curves_of(rows, metric or "accuracy"))]


def _hpob_rows(path: Path, value_name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for space, datasets in _objects(_json(path), str(path)):
        for dataset, seeds in _objects(datasets, f"{path}, {space}"):
            for i, (seed, values) in enumerate(_objects(seeds, f"{path}, {space}, {dataset}")):
                where = f"{path}, {space}, {dataset}, {seed}"
                if not isinstance(values, list) or not values:
                    raise InputError(f"{where}: expected a list of incumbents, got {str(values)[:80]}")
                digits = re.search(r"\d+$", seed)
                for step, value in enumerate(values, 1):
                    # the handler's own lists hold one-element arrays
                    while isinstance(value, list) and len(value) == 1:
                        value = value[0]
                    place = f"{where}, value {step}"
                    if number(value, value_name, place) is None:
                        raise InputError(f"{place}: no value, expected a number")
                    yield (
                        place,
                        {
                            "method": path.stem,
                            "task": f"{space}/{dataset}",
                            "seed": int(digits.group()) if digits else i,
                            "step": step,
                            value_name: value,
                        },
                    )


def read_carps(
    path: Path, suite: str, *, metric: str | None, columns: Mapping[str, str], lower_is_better: bool
) -> list[PublishedSuite]:
    """Read CARP-S' logs, as Parquet or CSV: one row per optimiser, task, seed and evaluation.

    Costs are losses. `columns` overrides the usual names of columns.

    Raises
    ------
    InputError
    """
    del lower_is_better  # costs are
    have = _columns_of(path)
    names = {ours: next((t for t in theirs if t in have), theirs[0]) for ours, theirs in _CARPS.items()}
    names |= columns
    if "score" in columns:
        names["loss"] = names.pop("score")
    return read_long(path, suite, track="hpo", metric=metric or "cost", columns=names)


def read_synetune(
    path: Path, suite: str, *, metric: str | None, columns: Mapping[str, str], lower_is_better: bool
) -> list[PublishedSuite]:
    """Read an experiment of Syne Tune: a folder with ``results.csv.zip`` and ``metadata.json``.

    The step is the number of reports so far, in order of ``st_tuner_time``. Metric, mode, method,
    task and seed are from the metadata (``metric_names``, ``metric_mode``, ``algorithm`` or
    ``scheduler_name``, ``benchmark``, ``seed``); `columns` names others of the metadata, or the
    metric's column as "score".

    Raises
    ------
    InputError
    """
    table, facts = _synetune_files(path)
    name = columns.get("score") or metric or _first(facts.get("metric_names"))
    if not name:
        raise InputError(f"{path} does not name its metric; give --map score=COLUMN")
    mode = str(_first(facts.get("metric_mode")) or "min")
    value_name = "loss" if mode == "min" or lower_is_better else "score"
    keys = {"method": ("algorithm", "scheduler_name"), "task": ("benchmark", "entrypoint"), "seed": ("seed",)}
    fixed = {
        ours: next((facts[k] for k in (columns.get(ours), *usual) if k and facts.get(k) is not None), None)
        for ours, usual in keys.items()
    }
    for ours in ("method", "task"):
        if fixed[ours] is None:
            raise InputError(
                f"{path}: metadata.json has none of {', '.join(keys[ours])}; say where the {ours} is: --map {ours}=KEY"
            )
    for column in (name, "st_tuner_time"):
        if column not in table.columns:
            raise InputError(f"{path} has no column {column!r}; it has {', '.join(map(str, table.columns))}")
    rows = [
        (
            f"{path}, record {step}",
            {
                **fixed,
                "seed": fixed["seed"] or 0,
                "step": step,
                "seconds": seconds,
                value_name: None if value != value else value,
            },
        )
        for step, (seconds, value) in enumerate(
            table.sort_values("st_tuner_time", kind="stable")[["st_tuner_time", name]].itertuples(index=False), 1
        )
    ]
    if not rows:
        raise InputError(f"{path} has no results")
    return [PublishedSuite(name=suite, track="hpo", results=curves_of(rows, metric or str(name)))]


def _synetune_files(path: Path) -> tuple[Any, Mapping[str, Any]]:
    import pandas as pd

    file = path / "results.csv.zip" if path.is_dir() else path
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as CSV: {error}") from error
    metadata = file.with_name("metadata.json")
    facts = _json(metadata) if metadata.is_file() else {}
    if not isinstance(facts, dict):
        raise InputError(f"{metadata}: expected an object")
    return table, facts


def _columns_of(path: Path) -> list[str]:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return list(pq.read_schema(path).names)
        return [str(name) for name in pd.read_csv(path, nrows=0).columns]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error


def _objects(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, got {str(value)[:80]}")
    yield from value.items()


def _first(value: Any) -> Any:
    return (value[0] if value else None) if isinstance(value, list) else value


def _no_columns(columns: Mapping[str, str], format_: str) -> None:
    if columns:
        raise InputError(f"--map applies to tables; {format_} has no columns")


TRACES: Mapping[str, Callable[..., list[PublishedSuite]]] = {
    "carps": read_carps,
    "hpob": read_hpob,
    "synetune": read_synetune,
}
