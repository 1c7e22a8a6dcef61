"""AMLB's results: one row per framework, task and fold.

Gijsbers et al. 2024, JMLR 25(101); github.com/openml/automlbenchmark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from benchbench.errors import InputError, suggest
from benchbench.results.importers.published_rows import (
    NOTHING,
    PublishedResult,
    PublishedSuite,
    csv_rows,
    number,
    text_of,
    whole_number,
    without_repeats,
)

__all__ = ["read_amlb"]

REQUIRED = ("framework", "task", "fold", "result")
# amlb/results.py of AMLB: every metric it can compute, by direction. Since 2021 it negates losses
# and prefixes their names with neg_.
_HIGHER = frozenset(
    {"acc", "auc", "auc_ovo", "auc_ovr", "balacc", "f05", "f1", "f2", "pr_auc", "r2"} | {"accuracy", "pac"}
)
_LOWER = frozenset(
    {"logloss", "log_loss", "max_pce", "mean_pce", "mae", "mse", "msle", "rmse", "rmsle"}
    | {"mase", "smape", "mape", "nrmse", "wape", "mwql", "ncrps", "sql", "wql", "mean_naive_1_error"}
)
_NAMES = {"acc": "accuracy", "balacc": "balanced_accuracy", "logloss": "log_loss"}
_SHOWN = 20
# AMLB's metric by type of problem, for files without a column for it
_BY_TYPE = {"binary": "auc", "multiclass": "logloss", "regression": "rmse"}
# raw files of 2019 have neither; of a binary task they hold both auc and logloss
_BY_COLUMN = ("auc", "logloss", "rmse")


def read_amlb(path: Path, suite: str, *, repeated: str | None = None, na: Collection[str] = ()) -> list[PublishedSuite]:
    """Read AMLB's results.csv (or all_results.csv of 2019).

    A score is the column `score` if there is one (higher is better), else the `result`, negated if
    its metric is a loss. An empty result is a failure. Columns that AMLB imputed or normalised
    afterwards are not read. In a file with neither metrics nor types, as AMLB's raw ones of 2019, a
    task's metric is the first of auc, logloss and rmse that any of its rows has.

    Parameters
    ----------
    path : Path
    suite : str
        If the file has several constraints, each becomes its own suite, ``suite-constraint``.
    repeated : str, optional
        Which of several rows of one framework, task and fold counts: "newest" (by `utc`, else the
        last) or "first"; None: they are refused.
    na : collection of str
        Words for a missing value.

    Raises
    ------
    InputError
    """
    rows = list(csv_rows(path, REQUIRED, na))
    by_task = _metrics_by_task(rows)
    found: dict[str, list[PublishedResult]] = defaultdict(list)
    for where, row in rows:
        found[row.get("constraint", "").strip()].append(_result(row, where, by_task))
    if not found:
        raise InputError(f"{path} has a header and no results")
    chosen = {constraint: without_repeats(results, repeated) for constraint, results in found.items()}
    return [
        PublishedSuite(
            name=suite if len(found) == 1 else f"{suite}-{constraint or 'unconstrained'}",
            track="automl",
            results=kept,
            notes=(*notes, *_other_signs(kept)),
        )
        for constraint, (kept, notes) in chosen.items()
    ]


def _metrics_by_task(rows: Sequence[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Return the metrics of tasks whose rows name neither a metric nor a type."""
    seen: dict[str, set[str]] = defaultdict(set)
    for _, row in rows:
        if not row.get("metric", "").strip() and not row.get("type", "").strip():
            own = seen[row["task"].strip()]
            own.update(name for name in _BY_COLUMN if row.get(name, "").strip().lower() not in NOTHING)
    found = {task: next((name for name in _BY_COLUMN if name in own), "") for task, own in seen.items()}
    # a task on which everything failed has no scores that a metric could belong to
    return {task: name or "unknown" for task, name in found.items()} if any(found.values()) else {}


def _result(row: Mapping[str, str], where: str, by_task: Mapping[str, str]) -> PublishedResult:
    metric, sign = _metric(row, where, by_task)
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
        when=row.get("utc", "").strip(),
    )


def _metric(row: Mapping[str, str], where: str, by_task: Mapping[str, str]) -> tuple[str, int]:
    """Return the metric's name here, and the factor 1 or -1 that turns a result into a score."""
    name = row.get("metric", "").strip().lower()
    if not name:
        kind = row.get("type", "").strip().lower()
        name = _BY_TYPE.get(kind, "") if kind else by_task.get(row["task"].strip(), "")
        if name == "unknown" and not row["result"].strip():
            return name, 1
        if name in ("", "unknown"):
            raise InputError(
                f"{where}: neither a metric nor a known type (type {kind!r}); expected {', '.join(_BY_TYPE)}, or a"
                f" value in a column {', '.join(_BY_COLUMN)}"
            )
    loss = name.removeprefix("neg_")
    if name != loss or loss in _LOWER:
        # also metrics of AMLB that are newer than this list: neg_ marks a loss
        return f"neg_{_NAMES.get(loss, loss)}", 1 if name != loss else -1
    if name in _HIGHER:
        return _NAMES.get(name, name), 1
    known = sorted(_HIGHER | _LOWER)
    raise InputError(
        f"{where}: unknown metric {name!r}{suggest(name, known)}; expected {', '.join(known)}, or a loss as neg_NAME"
    )


def _other_signs(results: Sequence[PublishedResult]) -> tuple[str, ...]:
    """Return notes on losses with a wrong sign, which are imported as published."""
    wrong = [r for r in results if r.metric.startswith("neg_") and r.score is not None and r.score > 0]
    notes = [
        f"{r.where}: {r.method} on {r.task}, fold {r.unit}, has the score {r.score:g}, though {r.metric} cannot be above 0;"
        " imported as published"
        for r in wrong[:_SHOWN]
    ]
    return (*notes, f"{len(wrong) - _SHOWN} more scores of losses are above 0") if len(wrong) > _SHOWN else tuple(notes)
