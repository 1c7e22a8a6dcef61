"""Trade-off: score against cost."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import say, shell, state
from benchbench.dashboard.views import tradeoff as view
from benchbench.reports.costs import cost_records
from benchbench.stats.frontier import cost_panels

PAGE = "tradeoff"


def page() -> None:
    """Show which methods are worth their cost."""
    st.title("Trade-off")
    source = shell.open_source()
    suite = shell.choose_suite(PAGE, source)
    if suite is None:
        return
    board = shell.choose_board(PAGE, source, suite)
    panels = cost_panels(board.board)
    if not panels:
        st.info("No trial of this suite succeeded under these conditions.")
        return
    filters = shell.choose_filters(PAGE, board)
    names = [p.name for p in panels]
    one, two = st.columns([3, 1])
    with one:
        title = state.choice(PAGE, "panel", "Of", names)
    with two:
        log_x = state.switch(PAGE, "logx", "Logarithmic time", default=True)
    panel = panels[names.index(title)]
    labels = board.labels(filters, shell.installed())
    shell.figure(
        view.cost_figure(panel, labels, log_x=log_x, mixes_hardware=len(board.board.hardware) > 1),
        shell.alt(f"Score against time, {title}", len(labels)),
        "tradeoff",
    )
    st.caption(
        "Blue, joined by steps: the front, where no other method costs no more and scores no less. The front ignores the intervals; "
        "bars are 95 % intervals. Scores include imputed ones. A method with a task on which every trial failed is never on the "
        "front: what those trials would have cost is unknown. (t) transductive, (s) seconds include training that was done once "
        "for several tasks, (i) share of the score that is imputed."
    )
    for line in panel.left_out:
        say.caption("Not drawn: {line}.", line=line)
    shell.show(view.cost_table(panel, labels))
    shell.notices(board)
    shell.downloads(PAGE, cost_records([panel]), f"{suite.spec.name}-tradeoff")
    shell.left_out(board)
