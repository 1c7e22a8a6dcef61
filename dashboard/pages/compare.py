"""Compare: two methods, task by task, and what may be concluded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from benchbench.dashboard import say, shell, state
from benchbench.dashboard.views import compare as view
from benchbench.dashboard.views.common import number, percent
from benchbench.reports.comparison import load_comparison, scale_words
from benchbench.stats.labels import plural
from benchbench.stats.pairwise import default_rope

if TYPE_CHECKING:
    from benchbench.dashboard.data import BoardData
    from benchbench.stats.pairwise import MethodComparison
    from benchbench.stats.significance import TwoComparison

PAGE = "compare"


def page() -> None:
    """Compare two methods of a suite."""
    st.title("Compare two methods")
    source = shell.open_source()
    suite = shell.choose_suite(PAGE, source)
    if suite is None:
        return
    board = shell.choose_board(PAGE, source, suite)
    labels = list(board.methods)
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
            default=_usual_rope(board, a, b),
            low=0.0,
            high=10.0,
            step=0.01,
            help="Region of practical equivalence, in units of the scale that the tasks are compared on",
        )
    if a == b:
        st.info("Choose two different methods.")
        return
    found = load_comparison(source.store, suite.spec.name, board.board, a, b, rope)
    say.subheader("{a} against {b}", a=a, b=b)
    say.markdown("{text}", text=found.sentence())
    if found.overall is not None:
        _tiles(found, found.overall)
    if found.bayes is not None:
        p = found.bayes
        shell.figure(
            view.probability_figure(found),
            f"Posterior probabilities: {a} better {percent(p.p_right, 1)}, equivalent {percent(p.p_rope, 1)}, "
            f"{b} better {percent(p.p_left, 1)}",
            "probability",
        )
        say.caption(
            "Bayesian signed-rank test over tasks (Benavoli et al. 2017): the probability that, on another task of this kind,"
            " the difference is practically in favour of one of them, or within ± {rope} ({scale}).",
            rope=f"{found.rope:g}",
            scale=found.scale,
        )
    shell.figure(view.difference_figure(found), shell.alt(f"Differences of {a} and {b} by task", 2), "differences")
    say.caption(
        "Bars: 95 % intervals over the pairs of a task. Hollow: neither is better, since the interval contains 0 or the difference"
        " lies within ± {rope} ({scale}).",
        rope=f"{found.rope:g}",
        scale=found.scale,
    )
    shell.show(view.pair_table(found))
    shell.notices(board)
    shell.downloads(PAGE, [p.to_dict() for p in found.tasks], f"{suite.spec.name}-{a}-{b}")


def _usual_rope(board: BoardData, a: str, b: str) -> float:
    """Return the region of practical equivalence that the command line takes for these two."""
    return 0.01 if a == b else default_rope(board.board, a, b)


def _tiles(found: MethodComparison, overall: TwoComparison) -> None:
    span = "one task" if overall.low is None else f"95 %: {number(overall.low)} to {number(overall.high)}"
    tiles = (
        (
            "Mean difference",
            number(overall.mean_difference),
            span,
            f"{found.a} minus {found.b} ({scale_words(found)}); Student's t over tasks",
        ),
        (
            "Wins / ties / losses",
            f"{overall.wins} / {overall.ties} / {overall.losses}",
            f"of {plural(overall.n_tasks, 'task')}",
            f"of {found.a}",
        ),
        ("Wilcoxon p", "—" if overall.p is None else f"{overall.p:.2g}", "two-sided, over tasks", "Signed-rank test"),
        (
            "Effect size",
            number(overall.effect_size, 2),
            "-1 to 1",
            f"Matched-pairs rank-biserial correlation: 1 if {found.a} is better everywhere",
        ),
    )
    with st.container(horizontal=True, gap="large"):
        for label, value, below, text in tiles:
            st.metric(
                label,
                say.escaped(value),
                say.escaped(below),
                delta_color="off",
                delta_arrow="off",
                help=say.escaped(text),
                width="content",
            )
