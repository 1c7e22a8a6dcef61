"""AMLB's results: one row per framework, task and fold.

Gijsbers et al. 2024, JMLR 25(101); github.com/openml/automlbenchmark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from benchbench.errors import InputError, suggest
from benchbench.results.importers.published_rows import (
    PublishedResult,
    PublishedSuite,
    csv_rows,
    number,
    text_of,
    whole_number,
)

__all__ = ["read_amlb"]

REQUIRED = ("framework", "task", "fold", "result")
# metrics by direction; since 2021 AMLB negates losses and prefixes their names with neg_
_HIGHER = frozenset({"auc", "acc", "balacc", "pac", "r2", "accuracy"})
_LOWER = frozenset({"logloss", "log_loss", "rmse", "mae", "mse", "rmsle"})
# AMLB's metric by type of problem, for files without a column for it
_BY_TYPE = {"binary": "auc", "multiclass": "logloss", "regression": "rmse"}


def read_amlb(path: Path, suite: str) -> list[PublishedSuite]:
    """Read AMLB's results.csv (or all_results.csv of 2019).

    A score is the column `score` if there is one (higher is better), else the `result`, negated if
    its metric is a loss. An empty result is a failure. Columns that AMLB imputed or normalised
    afterwards are not read.

    Parameters
    ----------
    path : Path
    suite : str
        If the file has several constraints, each becomes its own suite, ``suite-constraint``.

    Raises
    ------
    InputError
    """
    found: dict[str, list[PublishedResult]] = defaultdict(list)
    for where, row in csv_rows(path, REQUIRED):
        found[row.get("constraint", "").strip()].append(_result(row, where))
    if not found:
        raise InputError(f"{path} has a header and no results")
    return [
        PublishedSuite(
            name=suite if len(found) == 1 else f"{suite}-{constraint or 'unconstrained'}",
            track="automl",
            results=results,
            notes=_other_signs(results),
        )
        for constraint, results in found.items()
    ]


def _result(row: Mapping[str, str], where: str) -> PublishedResult:
    metric, sign = _metric(row, where)
    result = number(row["result"], "result", where)
    score = number(row.get("score"), "score", where)
    if result is None:
        score = None
    elif score is None:
        score = sign * result
    elif abs(abs(score) - abs(result)) > 1e-5 * max(1.0, abs(result)):
        raise InputError(f"{where}: score {score:g} contradicts result {result:g}; they may differ only in sign")
    return PublishedResult(
        method=text_of(row["framework"], "framework", where),
        task=text_of(row["task"], "task", where),
        unit=whole_number(row["fold"], "fold", where),
        status="failed" if score is None else "ok",
        score=score,
        metric=metric,
        where=where,
        seconds=number(row.get("duration"), "duration", where) or 0.0,
        message=" ".join(row.get("info", "").split()) if score is None else "",
    )


def _metric(row: Mapping[str, str], where: str) -> tuple[str, int]:
    """Return the metric's name here, and the factor 1 or -1 that turns a result into a score."""
    name = row.get("metric", "").strip().lower()
    if not name:
        kind = row.get("type", "").strip().lower()
        if kind not in _BY_TYPE:
            raise InputError(
                f"{where}: neither a metric nor a known type (type {kind!r}); expected {', '.join(_BY_TYPE)}"
            )
        name = _BY_TYPE[kind]
    loss = name.removeprefix("neg_")
    if name in _HIGHER:
        return {"acc": "accuracy", "balacc": "balanced_accuracy"}.get(name, name), 1
    if loss in _LOWER:
        return f"neg_{'log_loss' if loss == 'logloss' else loss}", 1 if name != loss else -1
    raise InputError(f"{where}: unknown metric {name!r}{suggest(name, [*_HIGHER, *_LOWER])}")


def _other_signs(results: list[PublishedResult]) -> tuple[str, ...]:
    """Return notes on losses with a wrong sign, which are imported as published."""
    wrong = [r for r in results if r.metric.startswith("neg_") and r.score is not None and r.score > 0]
    return tuple(
        f"{r.where}: {r.method} on {r.task}, fold {r.unit}, has the score {r.score:g}, though {r.metric} cannot be above 0;"
        " imported as published"
        for r in wrong[:20]
    )
