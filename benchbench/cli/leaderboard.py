"""`bench leaderboard`: rank the methods of a suite, with uncertainty."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.boards import write_reports
from benchbench.cli.common import (
    FORMATS,
    AlphaOption,
    AnchorOption,
    DbOption,
    DeviceOption,
    FilterOption,
    ImputeOption,
    MethodsOption,
    PresetOption,
    TasksOption,
    ThreadsOption,
    db_path,
    format_option,
    in_words,
    split_list,
)
from benchbench.cli.labels import set_anchor
from benchbench.cli.terminal import print_lines
from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.statistics import N_BOOTSTRAP, STATISTICS

if TYPE_CHECKING:
    from benchbench.reports.report import Report
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.stats.trials import Cell
    from benchbench.suite_files import SuiteSpec

__all__ = [
    "find_suites",
    "leaderboard",
    "make_board",
    "no_results",
    "show_leaderboard",
]

BY = ("dataset", "suite", "track")


def leaderboard(
    suite: Annotated[
        str, typer.Option("--suite", help="Suite, several suites (comma-separated), a .toml file, or all.")
    ],
    stat: Annotated[str, typer.Option("--stat", help=f"Statistic: {in_words(list(STATISTICS))}.")] = "rank",
    by: Annotated[
        str | None,
        typer.Option("--by", help="One table per dataset, suite or track."),
    ] = None,
    task: TasksOption = None,
    method: MethodsOption = None,
    where: FilterOption = None,
    preset: PresetOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    impute: ImputeOption = "baseline",
    scale: Annotated[
        str | None,
        typer.Option("--scale", metavar="BASELINE,REFERENCE", help="Methods at 0 and 1 of --stat norm, per fold."),
    ] = None,
    anchor: AnchorOption = None,
    alpha: AlphaOption = 0.05,
    db: DbOption = None,
    format_: Annotated[str, format_option(*FORMATS)] = "table",
) -> None:
    """Show the leaderboard of one or several suites."""
    from benchbench.results.store import Store

    if anchor is not None and stat != "elo":
        raise InputError(f"--anchor is for --stat elo; --stat {stat} has no anchor")

    if stat not in STATISTICS:
        raise UnknownNameError("statistic", stat, STATISTICS)
    if by is not None and by not in BY:
        raise UnknownNameError("--by", by, BY)
    store = Store(db_path(db))
    boards = [
        (
            spec,
            make_board(
                spec,
                store,
                preset=preset,
                device=device,
                threads=threads,
                tasks=split_list(task),
                methods=split_list(method),
                impute=impute,
                filters=where or (),
                shows_ranks=stat == "rank",
            ),
        )
        for spec in find_suites(suite, store)
    ]
    for _, board in boards:
        board.alpha = alpha
        if anchor is not None:
            set_anchor(board, anchor)
    if scale is not None:
        for _, board in boards:
            _set_scale(board, scale, stat)
    empty = [(spec, board) for spec, board in boards if not board.rows]
    if len(empty) == len(boards):
        # results exist, but none match the options: an error, as in every other command
        for spec, board in empty:
            if board.n_left_out:
                raise no_results(spec, board)
    if format_ not in ("json", "csv"):
        for spec, board in empty:
            _print_empty(spec, board)
    found = _reports(boards, stat, by)
    if found or format_ in ("json", "csv"):
        write_reports(found, format_)


def _set_scale(board: Leaderboard, text: str, stat: str) -> None:
    names = split_list([text])
    if len(names) != 2 or names[0] == names[1]:
        raise InputError(f"--scale {text!r} does not name two methods; expected BASELINE,REFERENCE")
    if stat != "norm":
        raise InputError(f"--scale is for --stat norm; --stat {stat} has no scale")
    for name in names:
        if board.rows and name not in board.methods:
            raise UnknownNameError("method of the leaderboard:", name, board.methods)
    board.scale = (names[0], names[1])


def show_leaderboard(
    suite: SuiteSpec, store: Readable, *, preset: str | None = None, device: str | None = None, format_: str = "table"
) -> None:
    """Print the leaderboard of a suite, as `bench run` does at its end."""
    board = make_board(suite, store, preset=preset, device=device)
    if not board.rows and format_ not in ("json", "csv"):
        _print_empty(suite, board)
        return
    write_reports(_reports([(suite, board)], "rank", None), format_)


def find_suites(text: str, store: Readable) -> list[SuiteSpec]:
    """Return the named suites (comma-separated); "all" stands for those with results.

    Raises
    ------
    UnknownNameError, SuiteFileError, InputError
    """
    from benchbench.results.importers.suites import find_any_suite

    names = split_list([text])
    if names == ["all"]:
        names = _known(store)
        if not names:
            raise InputError("no suite has results yet; record some with: bench run --suite fewshot")
    if not names:
        raise InputError("--suite names no suite; list suites with: bench list suites")
    return [find_any_suite(name, store) for name in dict.fromkeys(names)]


def _known(store: Readable) -> list[str]:
    """Return the suites with results; warn of those whose description is missing."""
    from benchbench.results.importers.suites import find_any_suite

    if not store.exists():
        return []
    found = []
    for name in store.suites():
        try:
            find_any_suite(name, store)
        except UnknownNameError as error:
            sys.stderr.write(f"warning: some results are omitted: {error}\n")
        else:
            found.append(name)
    return found


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
    filters: Sequence[str] = (),
    shows_ranks: bool = True,
) -> Leaderboard:
    """Return the leaderboard of a suite that the options select; all reports on results use it.

    Parameters
    ----------
    shows_ranks : bool
        Whether intervals of mean ranks are wanted.

    Raises
    ------
    UnknownNameError
        If the suite lacks a named task, or a named method has no results.
    InputError
        If a filter is malformed or matches nothing, or the number of threads is negative.
    """
    from benchbench.reports.filters import filter_cells, parse_filters
    from benchbench.results.load import counted_trials, suite_facts
    from benchbench.stats.comparability import choose
    from benchbench.stats.imputation import check_policy
    from benchbench.stats.leaderboard import rank_comparable

    if threads is not None and threads < 0:
        raise InputError(f"--threads must be 1 or more, got {threads}")
    for name in tasks or ():
        suite.task(name)
    trials = counted_trials(store, suite.name)
    known = {c.method for c in trials.cells}
    for name in methods or ():
        if known and name not in known:
            raise UnknownNameError(f"method with results in suite {suite.name!r}:", name, known)
    keep: Callable[[Cell], bool] | None = None
    filtered: list[str] = []
    if filters:
        from benchbench.registry import methods as known_methods

        cards = {name: entry.card for name, entry in known_methods().items()}
        keep, filtered = filter_cells(parse_filters(filters), trials.cells, cards)
    check_policy(impute)
    facts = suite_facts(suite)
    found = choose(
        trials,
        facts,
        preset=preset,
        device=device if device != "auto" else None,
        threads=threads,
        tasks=tasks or (),
        methods=methods or (),
        keep=keep,
    )
    # of a million trials, the columns are worth as much memory as the leaderboard
    del trials
    board = rank_comparable(found, facts, imputation=impute, n_bootstrap=N_BOOTSTRAP if shows_ranks else 0)
    board.left_out += filtered
    return board


def no_results(suite: SuiteSpec, board: Leaderboard) -> InputError:
    """Return the error for an empty leaderboard, which names the results that exist."""
    if not board.n_left_out:
        return InputError(f"no results of suite {suite.name} yet; record some with: bench run --suite {suite.name}")
    lines = "".join(f"\n- {line}" for line in board.left_out)
    return InputError(f"no results of suite {suite.name} match the options; available:{lines}")


def _print_empty(suite: SuiteSpec, board: Leaderboard) -> None:
    if board.n_left_out:
        sys.stdout.write(f"No results of suite {suite.name} match the options; available:\n")
    else:
        sys.stdout.write(f"No results of suite {suite.name} yet. Record some with: bench run --suite {suite.name}\n")
    print_lines(board.left_out)


def _reports(boards: Sequence[tuple[SuiteSpec, Leaderboard]], statistic: str, by: str | None) -> list[Report]:
    from benchbench.reports import leaderboard as reports

    boards = [(suite, board) for suite, board in boards if board.rows]
    if by == "track":
        from benchbench.reports.tracks import track_boards, track_report

        return [track_report(one, statistic) for one in track_boards(boards)]
    if by is None and statistic == "rank":
        return [reports.board_report(suite, board) for suite, board in boards]
    make = reports.task_statistic_report if by == "dataset" else reports.statistic_report
    return [make(suite, board, statistic) for suite, board in boards]
