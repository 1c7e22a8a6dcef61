"""`bench versus`: compare two methods, per task and over all tasks."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.boards import print_sheet
from benchbench.cli.common import (
    AlphaOption,
    DbOption,
    DeviceOption,
    FormatOption,
    ImputeOption,
    PresetOption,
    SuiteOption,
    TasksOption,
    ThreadsOption,
    db_path,
    print_json,
    split_list,
)
from benchbench.cli.labels import find_label
from benchbench.cli.leaderboard import make_board, no_results
from benchbench.cli.terminal import print_lines
from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.stats.pairwise import MethodComparison
    from benchbench.suite_files import SuiteSpec

__all__ = ["versus"]


def versus(
    a: Annotated[
        str, typer.Argument(metavar="A", help="Method as shown on leaderboards: NAME or 'NAME(param=value)'.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="Method to compare it with.")],
    suite: SuiteOption,
    rope: Annotated[
        float | None,
        typer.Option("--rope", help="Difference without practical relevance; default: 0.01, or 0.5 for ranks."),
    ] = None,
    task: TasksOption = None,
    preset: PresetOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    impute: ImputeOption = "baseline",
    alpha: AlphaOption = 0.05,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Compare two methods, per task and over all tasks.

    Scores are paired over common seeds (folds) or episodes.
    """
    from benchbench.results.importers.suites import find_any_suite
    from benchbench.results.store import Store

    if rope is not None and not (rope >= 0 and math.isfinite(rope)):
        raise InputError(f"--rope expects a number of 0 or more, got {rope}")
    store = Store(db_path(db))
    spec = find_any_suite(suite, store)
    board = make_board(
        spec, store, preset=preset, device=device, threads=threads, tasks=split_list(task), impute=impute
    )
    if not board.rows:
        raise no_results(spec, board)
    board.alpha = alpha
    try:
        rows = [find_label(name, board) for name in (a, b)]
    except UnknownNameError as error:
        elsewhere = _elsewhere(spec, store, board, (a, b))
        if not elsewhere:
            raise
        raise InputError(f"{error}\n{elsewhere}") from error
    from benchbench.reports.comparison import comparison_record, load_comparison

    found = load_comparison(store, spec.name, board, rows[0].label, rows[1].label, rope)
    if format_ == "json":
        print_json(comparison_record(spec, board, found))
    else:
        _print(spec, board, found)


def _elsewhere(suite: SuiteSpec, store: Readable, board: Leaderboard, names: Sequence[str]) -> str:
    """Name the options that select missing methods; empty if there are none."""
    from benchbench.results.load import counted_trials

    here = {name for r in board.rows for name in (r.method, r.label)}
    cells = counted_trials(store, suite.name).cells
    lines = []
    for name in names:
        groups = {c.conditions for c in cells if name in (c.method, c.label)} - {board.conditions}
        if name in here or not groups:
            continue
        # as few options as distinguish the leaderboards
        keys = [
            k
            for k in ("preset", "device", "threads")
            if {getattr(g, k) for g in groups} != {getattr(board.conditions, k)}
        ]
        found = sorted({" ".join(f"--{key} {getattr(g, key)}" for key in keys) for g in groups})
        if keys:
            lines.append(f"{name} has results on other leaderboards: {' or '.join(found)}")
    return "; ".join(lines)


def _print(suite: SuiteSpec, board: Leaderboard, found: MethodComparison) -> None:
    from benchbench.reports.comparison import comparison_lines, comparison_sheet
    from benchbench.reports.leaderboard import facts_line, splits_line

    if board.conditions is not None:
        sys.stdout.write(f"{suite.title} (suite {suite.name} {board.conditions.suite_version})\n")
        sys.stdout.write(f"{facts_line(board.conditions)}\n")
    print_lines([found.sentence()], mark="")
    splits = splits_line(suite, board)
    sheet = comparison_sheet(found).shown()
    sys.stdout.write(f"{splits}\n" if splits else "")
    sys.stdout.write(f"\n{sheet.title}\n")
    print_sheet(sheet, formats="json")
    sys.stdout.write("\nall tasks\n")
    print_lines(comparison_lines(suite, board, found))
