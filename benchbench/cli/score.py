"""`bench score`: predictions that were made elsewhere, scored as the protocol scores its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import FormatOption, SuiteOption, print_json, print_table
from benchbench.errors import InputError

if TYPE_CHECKING:
    from benchbench.results.importers.predictions import Predictions
    from benchbench.suite_files import SuiteSpec, TaskSpec

__all__ = ["score"]


def score(
    path: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="ARFF of an OpenML run, or CSV.")],
    suite: SuiteOption,
    task: Annotated[str | None, typer.Option("--task", help="Task of the suite; default: the one in the file.")] = None,
    fold: Annotated[int, typer.Option("--fold", help="Fold of rows that name none.", min=0)] = 0,
    format_: FormatOption = "table",
) -> None:
    """Score predictions of test rows without running a method.

    Classes are matched by name. The scores are those that a trial with these predictions would get.
    """
    from benchbench.protocols.base import get_protocol, tracks_where
    from benchbench.registry import get_loader
    from benchbench.results.importers.predictions import read_predictions
    from benchbench.stats.intervals import estimate_of_trials
    from benchbench.suite_files import find_suite

    spec = find_suite(suite)
    score_one = getattr(get_protocol(spec.track), "score_predictions", None)
    if score_one is None:
        able = ", ".join(tracks_where(lambda protocol: hasattr(protocol, "score_predictions")))
        raise InputError(
            f"suite {spec.name!r} is of track {spec.track!r}, whose trials have no predictions; {able} has"
        )
    found = read_predictions(path, fold)
    chosen = _task_of(spec, task, found)
    loader = get_loader(chosen.loader)
    loader.prepare(chosen.options, _say)
    loaded = loader.load(chosen.name, chosen.options)
    n_splits = loader.n_splits(chosen.options) or 1
    n_folds = loader.n_folds(chosen.options) or n_splits
    rows: list[dict[str, Any]] = []
    for (repeat, one), given in sorted(found.splits.items()):
        if one >= n_folds:
            raise InputError(f"task {chosen.name!r} has {n_folds} folds, numbered from 0; the file has fold {one}")
        split = repeat * n_folds + one
        if split >= n_splits:
            raise InputError(f"task {chosen.name!r} has {n_splits} splits, numbered from 0; the file has split {split}")
        result = score_one(loaded, split, given)
        rows.append(
            {
                "task": chosen.name,
                "split": split,
                "metric": result.metric,
                "score": result.unit_scores[0],
                "metrics": result.metrics,
                "remarks": result.remarks,
            }
        )
    mean = estimate_of_trials([row["score"] for row in rows])
    if format_ == "json":
        print_json(
            {
                "suite": spec.name,
                "task": chosen.name,
                "score": mean.mean,
                "ci95": mean.ci95,
                "n": len(rows),
                "splits": rows,
            }
        )
        return
    names = sorted({name for row in rows for name in row["metrics"]})
    body = [
        [str(r["split"]), f"{r['score']:.6g}", *(f"{r['metrics'][n]:.6g}" if n in r["metrics"] else "" for n in names)]
        for r in rows
    ]
    print_table(["split", rows[0]["metric"], *names], body, right=range(len(names) + 2))
    width = "" if mean.ci95 is None else f" ± {mean.ci95:.4g} (95 %, over splits)"
    sys.stdout.write(f"{chosen.name}: {rows[0]['metric']} {mean.mean:.6g}{width}, {len(rows)} of {n_splits} splits\n")
    for row in rows:
        for remark in row["remarks"]:
            sys.stdout.write(f"- split {row['split']}: {remark}\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _task_of(suite: SuiteSpec, name: str | None, found: Predictions) -> TaskSpec:
    if name is not None:
        return suite.task(name)
    if found.task_id is None:
        raise InputError(
            f"the file does not name its task; add --task, one of {', '.join(t.name for t in suite.tasks)}"
        )
    for task in suite.tasks:
        if task.options.get("task") == found.task_id:
            return task
    raise InputError(f"the file has predictions of OpenML task {found.task_id}, which suite {suite.name!r} lacks")
