"""Compare: two methods, task by task, and what may be concluded."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import shell, state
from benchbench.dashboard.views import compare as view
from benchbench.dashboard.views.common import number, percent
from benchbench.errors import InputError
from benchbench.stats.labels import plural

PAGE = "compare"


def page() -> None:
    """Compare two methods of a suite."""
    st.title("Compare two methods")
    source = shell.open_source()
    suite = shell.choose_suite(PAGE, source)
    if suite is None:
        return
    board = shell.choose_board(PAGE, source, suite)
    labels = list(board.grid.methods)
    if len(labels) < 2:
        st.info("A comparison needs two methods with results under the same conditions.")
        return
    left, right, third = st.columns(3)
    with left:
        a = state.choice(PAGE, "a", "Method A", labels, default=labels[0], always=True)
    with right:
        b = state.choice(PAGE, "b", "Method B", labels, default=labels[1], always=True)
    with third:
        rope = state.number(
            PAGE,
            "rope",
            "Practically the same within ±",
            default=0.01,
            low=0.0,
            high=10.0,
            step=0.01,
            help=f"Region of practical equivalence, in units of {view.SCALES[view.scale_of(board)]}",
        )
    if a == b:
        st.info("Choose two different methods.")
        return
    try:
        found = view.compare(board, a, b, rope)
    except InputError as error:
        st.info(f"These two cannot be compared: {error}.")
        return
    st.subheader(f"{a} against {b}")
    st.markdown(shell.escaped(view.sentence(found)))
    s = found.summary
    span = "one task" if s.low is None else f"95 %: {number(s.low)} to {number(s.high)}"
    unit = view.SCALES[found.scale]
    tiles = (
        (
            "Mean difference",
            number(s.mean_difference),
            span,
            f"{a} minus {b}, in units of {unit}; Student's t over tasks",
        ),
        ("Wins / ties / losses", f"{s.wins} / {s.ties} / {s.losses}", f"of {plural(s.n_tasks, 'task')}", f"of {a}"),
        ("Wilcoxon p", "—" if s.p is None else f"{s.p:.2g}", "two-sided, over tasks", "Signed-rank test"),
        (
            "Effect size",
            number(s.effect_size, 2),
            "-1 to 1",
            f"Matched-pairs rank-biserial: 1 if {a} is better everywhere",
        ),
    )
    with st.container(horizontal=True, gap="large"):
        for label, value, below, text in tiles:
            st.metric(label, value, below, delta_color="off", delta_arrow="off", help=text, width="content")
    p = found.posterior
    shell.figure(
        view.probability_figure(found),
        f"Posterior probabilities: {a} better {percent(p.p_right, 1)}, alike {percent(p.p_rope, 1)}, {b} better {percent(p.p_left, 1)}",
        "probability",
    )
    st.caption(
        "Bayesian signed-rank test over tasks (Benavoli et al. 2017): the probability that, on another task of this kind, the "
        f"difference is practically in favour of one of them, or within ± {rope:g}."
    )
    shell.figure(view.difference_figure(found), shell.alt(f"Differences of {a} and {b} by task", 2), "differences")
    shell.show(view.pair_table(found))
    if found.only_one:
        st.caption(f"Left out, since only one of the two has a score there: {', '.join(found.only_one)}.")
    shell.notices(board)
    shell.downloads(PAGE, view.pair_records(found), f"{suite.spec.name}-{a}-{b}")
