"""Curves: how scores grow while methods learn, how regret falls while optimisers search."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import say, shell, state
from benchbench.dashboard.data import BoardData
from benchbench.dashboard.views import curves as view
from benchbench.errors import InputError
from benchbench.protocols.base import tracks_where
from benchbench.results import load_curves
from benchbench.stats.curves import curve_panels

PAGE = "curves"


def page() -> None:
    """Show the curves of a suite."""
    st.title("Curves")
    source = shell.open_source()
    suite = shell.choose_suite(PAGE, source)
    if suite is None:
        return
    board = shell.choose_board(PAGE, source, suite, imputation=False)
    if board.board.conditions is None:
        st.info("No results of this suite fit these conditions.")
        return
    labels = board.methods
    chosen = state.several(PAGE, "method", "Methods", labels) or tuple(labels)
    if suite.spec.track in tracks_where(lambda protocol: protocol.CURVES_OF_INCUMBENTS):
        _anytime(source, board, chosen)
    else:
        _training(source, board, chosen)
    shell.notices(board)
    shell.left_out(board)


def _anytime(source: shell.Source, board: BoardData, chosen: tuple[str, ...]) -> None:
    tasks = state.several(PAGE, "task", "Problems", board.tasks)
    one, two, three = st.columns(3)
    with one:
        what = state.choice(
            PAGE, "show", "Show", ["regret", "rank"], labels={"regret": "Regret", "rank": "Mean rank"}, kind="buttons"
        )
    with two:
        log_x = state.switch(PAGE, "logx", "Logarithmic budget", default=True)
    with three:
        log_y = state.switch(PAGE, "logy", "Logarithmic regret", default=True) if what == "regret" else False
    trials = load_curves.incumbents(source.store, board.suite.spec.name, board.board)
    try:
        found = view.anytime(board, trials, chosen, tasks)
    except InputError as error:
        say.info("No curves: {error}.", error=error)
        return
    shell.figure(
        view.anytime_figure(found, what, log_x=log_x, log_y=log_y, everybody=board.methods),
        shell.alt(f"Mean {what} over the budget", len(found.rows)),
        "anytime",
    )
    say.caption(
        "Means over {n} problems; bands: 95 % Student-t intervals over {seeds} paired seeds. Regret: "
        "0 = best known loss, 1 = the baseline's median at the end; more than 1 counts as 1. Click a name to hide it.",
        n=len(found.tasks),
        seeds=len(found.seeds),
    )
    shell.show(view.anytime_rows(found))
    if found.left_out:
        say.caption("Left out: {lines}.", lines="; ".join(found.left_out))
    shell.downloads(PAGE, view.anytime_records(found), f"{board.suite.spec.name}-anytime")


def _training(source: shell.Source, board: BoardData, chosen: tuple[str, ...]) -> None:
    group = board.board.conditions
    if group is None:
        return
    panels = curve_panels(board.board, load_curves.seed_curves(source.store, board.suite.spec.name, group))
    panels = [p for p in panels if view.has_curves([p])]
    if not panels:
        st.info(
            "No method of this suite reported scores while it trained. The trade-off page shows score against time."
        )
        return
    one, two = st.columns([3, 1])
    with one:
        task = state.choice(PAGE, "task", "Task", [p.task for p in panels])
    with two:
        log_x = state.switch(PAGE, "logx", "Logarithmic time", default=True)
    panel = next(p for p in panels if p.task == task)
    shell.figure(
        view.curve_figure(panel, chosen, log_x=log_x, everybody=board.methods),
        shell.alt(f"Validation score on {task} against seconds of training", len(chosen)),
        "training",
    )
    st.caption(
        "Curves: score on a few validation episodes, of other classes than the test's. Large markers: final test score with its "
        "95 % interval. Bands: 95 % intervals over seeds, or over validation episodes where there is one seed. Long dashes: "
        "methods without training. Click a name to hide it."
    )
    shell.downloads(PAGE, view.curve_records(panels), f"{board.suite.spec.name}-curves")
