"""Leaderboard: who is better, how sure that is, and what it rests on."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import say, shell, state
from benchbench.dashboard.views import board as view
from benchbench.errors import InputError
from benchbench.stats.statistics import NOT_RANKED, STATISTICS

PAGE = "leaderboard"


def page() -> None:
    """Show the leaderboard of a suite."""
    st.title("Leaderboard")
    source = shell.open_source()
    suite = shell.choose_suite(PAGE, source)
    if suite is None:
        return
    statistic = state.choice(
        PAGE,
        "stat",
        "Statistic",
        list(STATISTICS),
        labels={name: kind.heading for name, kind in STATISTICS.items()},
        kind="buttons",
    )
    kind = STATISTICS[statistic]
    say.caption("{help}; {direction}.", help=kind.help, direction=kind.direction)
    board = shell.choose_board(PAGE, source, suite)
    if board.board.conditions is None:
        st.info("No results of this suite fit these conditions.")
        shell.left_out(board)
        return
    filters = shell.choose_filters(PAGE, board)
    what = state.choice(
        PAGE,
        "view",
        "View",
        ["leaderboard", "ranks", "wins", "tasks"],
        labels={
            "leaderboard": "Leaderboard",
            "ranks": "Ranks by task",
            "wins": "Wins and losses",
            "tasks": "Task by task",
        },
        kind="buttons",
    )
    try:
        found = view.make_view(board, statistic, filters, shell.installed())
    except InputError as error:
        say.info("Suite {name} has no values of this statistic: {error}", name=repr(suite.spec.name), error=error)
        return
    say.subheader("{title}", title=suite.spec.title)
    if not found.values:
        st.info("No method passes these filters.")
        return
    if found.verdict is not None:
        say.markdown("**{text}**", text=found.verdict.sentence)
    if what == "leaderboard":
        shell.show(view.leaderboard_table(found, shell.source_hashes()))
        _legend(found)
    elif what == "ranks":
        st.caption(
            "Rank of each method on each task, 1 = best, among the methods shown; i: imputed, wholly or in part."
        )
        shell.figure(view.task_heatmap(found), shell.alt("Heat map of ranks by task", len(found.labels)), "ranks")
    elif what == "wins":
        st.caption(
            "Of the tasks that both methods have: the share on which the row's method scores higher than the column's."
        )
        shell.figure(
            view.win_heatmap(found), shell.alt("Heat map of the share of tasks won", len(found.labels)), "wins"
        )
    else:
        for task in found.board.imputed.table.tasks:
            shell.show(view.task_table(found.board, task))
    shell.notices(board)
    shell.downloads(PAGE, view.board_records(found), f"{suite.spec.name}-{statistic}")
    shell.left_out(board)


def _legend(found: view.View) -> None:
    n_tasks = len(found.board.imputed.table.tasks)
    lines = [
        f"Dot: the value. Line: its 95 % interval from a bootstrap over the {n_tasks} tasks. It says how far the value would move "
        "with other tasks of the same kind."
        if n_tasks > 1
        else "No interval: there is only one task.",
        "Ranks are among the methods shown. ≈ first: not distinguishable from the first.",
    ]
    lines += list(dict.fromkeys(n for s in found.values for n in s.notes if "/" not in n and n != NOT_RANKED))
    if found.board.imputed.dropped_tasks:
        lines.append(f"Dropped for all, since a trial failed there: {', '.join(found.board.imputed.dropped_tasks)}.")
    say.caption("{lines}", lines=" ".join(line if line.endswith(".") else f"{line}." for line in lines))
