"""Task: what is known of it, how hard it is, all methods on it."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import queries, say, shell, state
from benchbench.dashboard.views import board as board_view
from benchbench.dashboard.views import tasks as view
from benchbench.reports.leaderboard import leaderboard_records

PAGE = "task"


def page() -> None:
    """Show a task of a suite."""
    st.title("Task")
    source = shell.open_source()
    suite = shell.choose_suite(PAGE, source)
    if suite is None:
        return
    board = shell.choose_board(PAGE, source, suite)
    names = board.tasks
    if not names:
        st.info("No results of this suite fit these conditions.")
        shell.left_out(board)
        return
    task = state.choice(PAGE, "task", "Task", names, always=True)
    say.subheader("{task}", task=task)
    found = view.difficulty(board, task)
    rows = view.difficulty_rows(found)
    with st.container(horizontal=True, gap="large"):
        for label, value, text in rows:
            st.metric(label, say.escaped(value), help=say.escaped(text), width="content")
    if found.n_methods:
        shell.figure(
            view.score_figure(board, task), shell.alt(f"Scores on {task} by method and seed", found.n_methods), "scores"
        )
        st.caption(
            "Circles: seeds (or folds). Upright bars: their means. Dashed: the suite's frozen baseline and reference."
        )
    shell.show(board_view.task_table(board.board, task))
    shell.show(view.facts_table(board, task))
    shell.show(view.data_table(queries.task_data(source.store, suite.spec.name), task))
    shell.notices(board)
    records = [r for r in leaderboard_records(suite.spec, board.board) if r["task"] == task]
    shell.downloads(PAGE, records, f"{suite.spec.name}-{task}")
