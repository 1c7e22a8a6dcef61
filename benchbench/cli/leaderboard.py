"""`bench leaderboard`: who is better, on what, how sure we are, and what was left out."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import (
    DbOption,
    DeviceOption,
    ImputeOption,
    MethodsOption,
    PresetOption,
    SuiteOption,
    TasksOption,
    ThreadsOption,
    check_format,
    db_path,
    print_json,
    print_table,
    split_list,
)
from benchbench.cli.tables import columns_that_fit, print_lines, terminal_width
from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from benchbench.results.queries import Readable
    from benchbench.stats.board import Board, Row
    from benchbench.suite_files import SuiteSpec

__all__ = ["generated_tasks", "leaderboard", "make_board", "no_results", "show_leaderboard", "splits_line"]

FORMATS = ("table", "json", "csv", "md")


def leaderboard(
    suite: SuiteOption,
    task: TasksOption = None,
    method: MethodsOption = None,
    preset: PresetOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    impute: ImputeOption = "baseline",
    db: DbOption = None,
    format_: Annotated[str, typer.Option("--format", help="table, json, csv or md.")] = "table",
) -> None:
    """Show the leaderboard of a suite."""
    from benchbench.results.store import Store
    from benchbench.suite_files import find_suite

    check_format(format_, FORMATS)
    show_leaderboard(
        find_suite(suite),
        Store(db_path(db)),
        preset=preset,
        device=device,
        threads=threads,
        tasks=split_list(task),
        methods=split_list(method),
        impute=impute,
        format_=format_,
    )


def show_leaderboard(
    suite: SuiteSpec,
    store: Readable,
    *,
    preset: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    tasks: list[str] | None = None,
    methods: list[str] | None = None,
    impute: str = "baseline",
    format_: str = "table",
) -> None:
    """Print the board of a suite; used by `bench run` at its end, too."""
    board = make_board(
        suite, store, preset=preset, device=device, threads=threads, tasks=tasks, methods=methods, impute=impute
    )
    if format_ == "json":
        print_json(_records(suite, board))
    elif format_ == "csv":
        _print_csv(suite, board)
    elif not board.rows:
        _print_empty(suite, board)
    else:
        _print_board(suite, board, markdown=format_ == "md")


def make_board(
    suite: SuiteSpec,
    store: Readable,
    *,
    preset: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    tasks: list[str] | None = None,
    methods: list[str] | None = None,
    impute: str = "baseline",
) -> Board:
    """Return the board of a suite that the options choose; every command that shows results compares what it holds.

    Raises
    ------
    UnknownNameError
        If a method or task has no results, or is not of the suite.
    """
    from benchbench.results.boards import board_cells, suite_facts
    from benchbench.stats.board import leaderboard as board_of

    for name in tasks or ():
        suite.task(name)
    cells, older = board_cells(store, suite.name)
    known = {c.method for c in cells}
    for name in methods or ():
        if cells and name not in known:
            raise UnknownNameError(f"method with results in suite {suite.name!r}:", name, known)
    board = board_of(
        cells,
        suite_facts(suite),
        preset=preset,
        device=device if device != "auto" else None,
        threads=threads,
        tasks=tasks or (),
        methods=methods or (),
        imputation=impute,
    )
    board.left_out += older
    return board


def no_results(suite: SuiteSpec, board: Board) -> InputError:
    """Return the error that says of an empty board what there is instead."""
    if not board.left_out:
        return InputError(f"no results of suite {suite.name} yet; make some: bench run --suite {suite.name}")
    lines = "".join(f"\n- {line}" for line in board.left_out)
    return InputError(f"no results of suite {suite.name} fit; there are:{lines}")


def _print_empty(suite: SuiteSpec, board: Board) -> None:
    if board.left_out:
        sys.stdout.write(f"No results of suite {suite.name} fit; there are:\n")
        print_lines(board.left_out)
    else:
        sys.stdout.write(f"No results of suite {suite.name} yet. Make some: bench run --suite {suite.name}\n")


def _records(suite: SuiteSpec, board: Board) -> list[dict[str, Any]]:
    if board.group is None:
        return []
    common = {
        "suite": suite.name,
        "suite_version": board.group.suite_version,
        "protocol_version": board.group.protocol_version,
    }
    generated = set(generated_tasks(suite, board))
    # of the whole suite: if those of any task are
    return [
        common
        | {"generated_splits": row.task in generated if row.task is not None else bool(generated)}
        | row.to_dict()
        for row in board.rows
    ]


def generated_tasks(suite: SuiteSpec, board: Board) -> list[str]:
    """Return the tasks of a board whose splits were made here: all of some suites, of others those whose data say so."""
    from benchbench.contracts.loading import GENERATED

    return [task for task, data in board.fingerprints.items() if suite.generated_splits or data.endswith(GENERATED)]


def splits_line(suite: SuiteSpec, board: Board) -> str:
    """Say which splits were made here; empty if none were."""
    found = generated_tasks(suite, board)
    if not found:
        return ""
    what = "" if len(found) == len(board.fingerprints) else f" for {', '.join(found)}"
    return f"splits generated here{what}: not to be set beside published results"


def _print_csv(suite: SuiteSpec, board: Board) -> None:
    text = io.StringIO()
    rows = _records(suite, board)
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(r | {"notes": "; ".join(r["notes"])} for r in rows)
    sys.stdout.write(text.getvalue())


def _print_board(suite: SuiteSpec, board: Board, *, markdown: bool) -> None:
    group = board.group
    if group is None:
        return
    title = f"{suite.title} (suite {suite.name} {group.suite_version})"
    facts = (
        f"protocol {group.protocol_version}, preset {group.preset}, {group.test_units} test units, "
        f"{group.threads} thread{'' if group.threads == 1 else 's'}, {group.device}"
    )
    sys.stdout.write(f"## {title}\n\n{facts}\n" if markdown else f"{title}\n{facts}\n")
    splits = splits_line(suite, board)
    if splits:
        sys.stdout.write("\n" * markdown + splits + "\n")
    overall = [r for r in board.rows if r.task is None]
    if len({r.task for r in board.rows if r.task}) > 1:
        _print_part("whole suite", [_overall_cells(r) for r in overall], _OVERALL, markdown)
    for name in dict.fromkeys(r.task for r in board.rows if r.task is not None):
        own = [r for r in board.rows if r.task == name]
        metric = next((r.metric for r in own if r.metric), "no score")
        _print_part(f"{name} ({metric})", [_task_cells(r) for r in own], _TASK, markdown)
    _print_legend(suite, board)


_OVERALL = ("#", "method", "mean rank", "score", "± 95 %", "n", "tasks", "failed", "seconds", "notes")
_TASK = ("#", "method", "score", "± 95 %", "n", "failed", "seconds", "notes")
# what a narrow terminal goes without, the first first
_EXPENDABLE = ("n", "seconds", "mean rank", "notes")


def _print_part(title: str, rows: list[list[str]], headers: tuple[str, ...], markdown: bool) -> None:
    shown = columns_that_fit(headers, rows, _EXPENDABLE, None if markdown else terminal_width())
    names, cells = [headers[i] for i in shown], [[r[i] for i in shown] for r in rows]
    right = [i for i, h in enumerate(names) if h not in ("method", "notes")]
    if markdown:
        sys.stdout.write(f"\n### {title}\n\n| {' | '.join(names)} |\n")
        sys.stdout.write("|" + "|".join("---:" if i in right else "---" for i in range(len(names))) + "|\n")
        sys.stdout.writelines(f"| {' | '.join(r)} |\n".replace("_", "\\_") for r in cells)
        return
    sys.stdout.write(f"\n{title}\n")
    print_table(names, cells, right)


def _overall_cells(row: Row) -> list[str]:
    notes = [f"{row.n_declined} declined"] if row.n_declined else []
    if row.n_imputed:
        notes.append(f"{row.imputed_share:.0%} imputed")
    notes += _shared(row)
    return [
        _place(row.rank),
        _name(row),
        _number(row.mean_rank, 2),
        _number(row.score, 3),
        _number(row.ci95, 3),
        _of(row),
        f"{row.n_tasks_scored}/{row.n_tasks}",
        str(row.n_failed + row.n_lost),
        _seconds(row.seconds),
        ", ".join(notes),
    ]


def _task_cells(row: Row) -> list[str]:
    notes = ["declined"] if row.n_declined else []
    if row.n_imputed:
        notes.append("imputed" if row.n_imputed == row.n_seeds else f"{row.n_imputed} of {row.n_seeds} trials imputed")
    if row.n_lost:
        notes.append(f"{row.n_lost} lost with their workers")
    notes += _shared(row)
    return [
        _place(row.rank),
        _name(row),
        _number(row.score, 4),
        _number(row.ci95, 4),
        _of(row),
        str(row.n_failed + row.n_lost),
        _seconds(row.seconds),
        ", ".join(notes),
    ]


def _shared(row: Row) -> list[str]:
    """Mark seconds of which another trial spent a part."""
    if not row.n_shared:
        return []
    return ["training shared" if row.n_shared == row.n_ok else f"training shared ({row.n_shared} of {row.n_ok} trials)"]


def _seconds(value: float | None) -> str:
    # never "0.0", which a reader takes for nothing
    if value is None or value >= 0.95:
        return _number(value, 1)
    return "<0.01" if value < 0.01 else f"{value:.2f}"


def _name(row: Row) -> str:
    return row.label + (" (t)" if row.transductive else "")


def _of(row: Row) -> str:
    return "" if not row.n else f"{row.n} {row.unit}{'' if row.n == 1 or row.unit == 'mixed' else 's'}"


def _place(rank: float | None) -> str:
    return "-" if rank is None else f"{rank:g}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _print_legend(suite: SuiteSpec, board: Board) -> None:
    task_rows = [r for r in board.rows if r.task is not None]
    lines = [*_interval_lines(task_rows), *_score_lines(suite, board)]
    if any(r.transductive for r in board.rows):
        lines.append("(t) transductive: a query's prediction uses the episode's other queries")
    if any(r.n_shared for r in task_rows):
        lines.append("training shared: the seconds hold meta-training that was done once, in another trial")
    n_failed = sum(r.n_failed for r in task_rows)
    if n_failed:
        lines.append(
            f"{n_failed} trial{'' if n_failed == 1 else 's'} failed (why: bench runs, bench show ID); "
            f"imputed by policy `{board.imputation}` (--impute)"
        )
    lines += board.notes
    lines += [f"left out: {line}" for line in board.left_out]
    if lines:
        sys.stdout.write("\n")
        print_lines(lines)


def _interval_lines(rows: list[Row]) -> list[str]:
    lines = []
    units = sorted({r.unit for r in rows if r.unit not in ("", "seed", "fold")})
    if units:
        lines.append(
            f"± is the half-width of a 95 % Student-t interval over {'s, '.join(units)}s, given this training (one seed)"
        )
    if any(r.unit == "fold" for r in rows):
        lines.append(
            "± over folds is the half-width of a 95 % Student-t interval over the folds' scores; folds share training rows, so that it"
            " is rather too narrow"
        )
    if any(r.unit == "seed" for r in rows):
        lines.append("± over seeds is the half-width of a 95 % Student-t interval over the seeds' means")
    return lines


def _score_lines(suite: SuiteSpec, board: Board) -> list[str]:
    overall = [r for r in board.rows if r.task is None]
    if any(r.score is not None for r in overall):
        how = f"; {suite.scores.measured}" if suite.scores.measured else ""
        return [
            f"whole-suite score: mean over tasks of (score - baseline) / (reference - baseline), "
            f"0 = {suite.scores.baseline}, 1 = {suite.scores.reference}, frozen in the suite file{how}"
        ]
    if overall and overall[0].n_tasks > 1:
        return ["no whole-suite score: the suite file holds no frozen scores of its baseline and reference"]
    return []
