"""`bench compare-methods`: whether one method is better than another, on which tasks, and how sure that is."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import (
    DbOption,
    DeviceOption,
    FormatOption,
    ImputeOption,
    PresetOption,
    SuiteOption,
    TasksOption,
    ThreadsOption,
    check_format,
    db_path,
    print_json,
    split_list,
)
from benchbench.cli.leaderboard import generated_tasks, make_board, no_results, splits_line
from benchbench.cli.terminal import print_lines, print_that_fits
from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.intervals import FEW_TASKS
from benchbench.stats.labels import plural

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Board, Row
    from benchbench.stats.pairwise import HeadToHead, TaskPair
    from benchbench.suite_files import SuiteSpec

__all__ = ["compare_methods", "find_label"]


def compare_methods(
    a: Annotated[str, typer.Argument(help="A method as boards show it: NAME or 'NAME(param=value)'.")],
    b: Annotated[str, typer.Argument(help="The method to compare it with.")],
    suite: SuiteOption,
    rope: Annotated[
        float | None,
        typer.Option("--rope", help="Difference that does not matter in practice; default 0.01, of ranks 0.5."),
    ] = None,
    task: TasksOption = None,
    preset: PresetOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    impute: ImputeOption = "baseline",
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Compare two methods of a suite, paired: task by task and over all tasks."""
    from benchbench.results.importers.suites import find_any_suite
    from benchbench.results.store import Store

    check_format(format_)
    if rope is not None and not (rope >= 0 and math.isfinite(rope)):
        raise InputError(f"--rope must be a number of 0 or more, got {rope}")
    store = Store(db_path(db))
    spec = find_any_suite(suite, store)
    board = make_board(
        spec, store, preset=preset, device=device, threads=threads, tasks=split_list(task), impute=impute
    )
    if not board.rows:
        raise no_results(spec, board)
    try:
        rows = [find_label(name, board) for name in (a, b)]
    except UnknownNameError as error:
        elsewhere = _elsewhere(spec, store, board, (a, b))
        if not elsewhere:
            raise
        raise InputError(f"{error}\n{elsewhere}") from error
    found = _compare(spec, store, board, rows, rope)
    if format_ == "json":
        print_json(_facts(spec, board) | found.to_dict() | {"notes": board.notes, "left_out": board.left_out})
    else:
        _print(spec, board, found)


def find_label(text: str, board: Board) -> Row:
    """Return a row of the method with that label; of a name alone the one with default parameters, or the only one.

    Raises
    ------
    UnknownNameError
        If there is none.
    InputError
        If several fit.
    """
    from benchbench.registry import parse_method

    rows = {r.label: r for r in board.rows}
    if text in rows:
        return rows[text]
    named = [label for label, r in rows.items() if r.method == text]
    if len(named) == 1:
        return rows[named[0]]
    if named:
        raise InputError(
            f"{text!r} stands on this board with several parameters; name one of: {', '.join(sorted(named))}"
        )
    if "(" in text:
        # the same parameters in another order or with other spaces
        name, params = parse_method(text)
        for r in rows.values():
            if r.method == name and json.loads(r.params) == params:
                return r
    raise UnknownNameError("method on this board:", text, rows)


def _elsewhere(suite: SuiteSpec, store: Readable, board: Board, names: Sequence[str]) -> str:
    """Say with which options the methods are found that this board has not; empty if there are none."""
    from benchbench.results.boards import board_cells

    here = {name for r in board.rows for name in (r.method, r.label)}
    cells = board_cells(store, suite.name)[0]
    lines = []
    for name in names:
        groups = {c.group for c in cells if name in (c.method, c.label)} - {board.group}
        if name in here or not groups:
            continue
        # as few options as tell the boards apart
        keys = [
            k for k in ("preset", "device", "threads") if {getattr(g, k) for g in groups} != {getattr(board.group, k)}
        ]
        found = sorted({" ".join(f"--{key} {getattr(g, key)}" for key in keys) for g in groups})
        if keys:
            lines.append(f"{name} has results on other boards: {' or '.join(found)}")
    return "; ".join(lines)


def _compare(suite: SuiteSpec, store: Readable, board: Board, rows: Sequence[Row], rope: float | None) -> HeadToHead:
    from benchbench.reports.standings import board_grid
    from benchbench.results.boards import suite_facts
    from benchbench.results.grids import frozen_ends
    from benchbench.results.pairs import unit_scores
    from benchbench.stats.pairwise import head_to_head

    of_tasks = [r for r in board.rows if r.task is not None]
    within = [unit_scores(store, suite.name, board, r.method, r.params) for r in rows]
    return head_to_head(
        board_grid(store, suite.name, board),
        rows[0].label,
        rows[1].label,
        metrics={r.task: r.metric for r in of_tasks if r.task and r.metric},
        trial_unit={r.task: "fold" for r in of_tasks if r.task and r.unit == "fold"},
        ends=frozen_ends(suite_facts(suite)),
        units=({k: u.scores for k, u in within[0].items()}, {k: u.scores for k, u in within[1].items()}),
        unit_names={task: u.unit for side in within for (task, _), u in side.items() if u.unit},
        rope=rope,
    )


def _facts(suite: SuiteSpec, board: Board) -> dict[str, Any]:
    from dataclasses import asdict

    group = {} if board.group is None else asdict(board.group)
    return {
        "suite": suite.name,
        **group,
        "generated_splits": bool(generated_tasks(suite, board)),
        "imputation": board.imputation,
        "n_left_out": board.n_left_out,
    }


HEADERS = ("task", "metric", "A", "B", "A - B", "± 95 %", "n", "scaled", "notes")
EXPENDABLE = ("metric", "scaled")


def _print(suite: SuiteSpec, board: Board, found: HeadToHead) -> None:
    from benchbench.reports.leaderboard import facts_line, imputation_facts

    if board.group is not None:
        sys.stdout.write(f"{suite.title} (suite {suite.name} {board.group.suite_version})\n{facts_line(board.group)}\n")
    splits = splits_line(suite, board)
    sys.stdout.write(f"{splits}\n" if splits else "")
    sys.stdout.write(f"\nA = {found.a}, B = {found.b}; above 0: A is better\n")
    right = {i for i, name in enumerate(HEADERS) if name not in ("task", "metric", "notes")}
    print_that_fits(HEADERS, [_cells(p) for p in found.tasks], right=right, expendable=EXPENDABLE)
    sys.stdout.write("\nall tasks\n")
    facts = imputation_facts(board)
    print_lines(
        [
            *_verdict(found),
            "± is the half-width of a 95 % Student-t interval over the pairs of a task: seeds or folds, or the units of a single one",
            f"imputation: {facts['imputation']}; imputed on the whole board: {facts['imputed']}; "
            f"left out: {plural(board.n_left_out, 'trial')}",
            *board.notes,
            *(f"left out: {line}" for line in board.left_out),
        ]
    )


def _cells(pair: TaskPair) -> list[str]:
    from benchbench.reports.report import number

    n = "" if not pair.n else plural(pair.n, pair.unit)
    return [
        pair.task,
        pair.metric,
        number(pair.a, 4),
        number(pair.b, 4),
        number(pair.difference, 4),
        number(pair.ci95, 4),
        n,
        number(pair.scaled, 3),
        pair.note,
    ]


def _verdict(found: HeadToHead) -> list[str]:
    overall, bayes = found.overall, found.bayes
    if found.n_pairs and found.n_imputed == found.n_pairs:
        return ["all pairs are imputed: nothing is compared (--impute none leaves them out)"]
    if overall is None:
        return ["no task on which both have a score: nothing to compare"]
    n = overall.n_tasks
    interval = ""
    if overall.low is not None and overall.high is not None:
        interval = f", 95 % from {overall.low:.3f} to {overall.high:.3f} (Student's t over tasks)"
    scale = f"{found.scale}s turned round, among all methods of the board" if found.scale == "rank" else found.scale
    lines = [
        f"mean difference: {overall.mean_difference:.3f} ({scale}) over {plural(n, 'task')}{interval}",
        f"A wins {overall.wins}, ties {overall.ties}, loses {overall.losses}",
    ]
    if found.n_imputed:
        lines.append(
            f"warning: {found.n_imputed} of {found.n_pairs} pairs are imputed; all that is said here of all tasks takes them as if they "
            "had been measured (--impute none leaves them out)"
        )
    if overall.p is not None:
        lines.append(
            f"Wilcoxon's signed-rank test, two-sided: p = {overall.p:.4g}; matched-pairs rank-biserial correlation "
            f"{overall.effect_size:.2f} (1: A is better everywhere, -1: B)"
        )
        if n < 6:
            lines.append(f"with {n} tasks that test cannot give p < 0.05, whatever the scores")
    if bayes is None:
        lines.append("of one task there is no test and no posterior over tasks: what is known stands in its row")
    else:
        lines.append(
            f"Bayesian signed-rank test, region of practical equivalence ±{found.rope:g} ({found.scale}): "
            f"P(A better) = {bayes.p_right:.3f}, P(equivalent) = {bayes.p_rope:.3f}, P(B better) = {bayes.p_left:.3f}"
        )
        if n < FEW_TASKS:
            lines.append(f"caution: over {n} tasks interval and posterior say little")
    return [*lines, *_separation(found)]


def _separation(found: HeadToHead) -> list[str]:
    it = found.separation
    if it is None:
        return []
    if it.tasks_needed is None:
        return ["how many tasks would tell them apart cannot be said" + (f": {it.note}" if it.note else "")]
    more = max(0, it.tasks_needed - it.n_tasks)
    text = f"to show a difference as large as this one: {it.tasks_needed} tasks"
    text += f", {more} more than now" if more else ", no more than there are"
    if it.seeds_needed is not None and it.seeds_needed > it.n_seeds:
        text += f"; or {it.seeds_needed} seeds a task in place of {it.n_seeds}"
    return [text + (f" ({it.note})" if it.note else "")]
