"""Method: its card, parameters, results everywhere, failures, history."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import queries, say, shell, state
from benchbench.dashboard.views import methods as view
from benchbench.dashboard.views.common import clock
from benchbench.stats.labels import plural

PAGE = "method"


def page() -> None:
    """Show all that is known of a method."""
    source = shell.open_source()
    cards = shell.installed()
    measured = sorted({m for name in (o.suite for o in shell.overviews(source)) for m in _methods(source, name)})
    names = [*measured, *sorted(n for n in cards if n not in measured)]
    if not names:
        st.title("Method")
        st.info("No method is installed, and none has results.")
        return
    st.title("Method")
    name = state.choice(
        PAGE,
        "method",
        "Method",
        names,
        labels=lambda n: n if n in measured else f"{n} (no results yet)",
        always=True,
        help="Methods with results come first",
    )
    card = cards.get(name)
    say.subheader("{title}", title=card.title if card is not None else name)
    if card is None:
        st.info("This method is not installed here: its results are known, its card is not.")
    else:
        say.markdown("{summary}", summary=card.summary)
        st.html(view.paper_line(card))
        left, right = st.columns(2)
        with left:
            shell.show(view.card_table(card))
        with right:
            from benchbench.registry import get_method

            table = view.parameters_table(get_method(name).cls)
            if table is None:
                st.caption("It has no parameters.")
            else:
                shell.show(table)
    _results(source, name)


def _methods(source: shell.Source, suite: str) -> set[str]:
    return {c.method for c in shell.suite_of(source, suite).cells}


def _results(source: shell.Source, name: str) -> None:
    rows = queries.method_results(source.store, name)
    st.subheader("Results")
    if not rows:
        say.info("No results yet. Make some: bench run --suite SUITE --method {name}", name=name)
        return
    shell.show(view.results_table(rows))
    shell.downloads(PAGE, rows, f"method-{name}")
    failures = queries.method_failures(source.store, name)
    say.subheader("Failures ({n})", n=f"{len(failures)}{' newest' if len(failures) == 50 else ''}")
    if not failures:
        st.caption("None of its attempts failed.")
    for row in failures:
        with st.expander(say.escaped(view.failure_title(row))):
            say.caption(
                "{suite}, preset {preset}, {time}, attempt {attempt}",
                suite=row["suite"],
                preset=row["preset"],
                time=clock(row["started_at"]),
                attempt=row["attempt_id"],
            )
            for title, text in (("Traceback", row["traceback"]), ("Output", row["log_tail"])):
                if text.strip():
                    say.caption("{title}", title=title)
                    st.code(text.rstrip(), language="python" if title == "Traceback" else None, wrap_lines=True)
    history = queries.method_history(source.store, name)
    st.subheader("History")
    shell.show(view.history_table(history))
    for suite in dict.fromkeys(r["suite"] for r in history):
        drawn = view.history_figure(history, suite)
        if drawn is not None:
            n_states = len({r["source"] for r in history if r["suite"] == suite})
            say.caption("Scores on {suite} over {states} of the source", suite=suite, states=plural(n_states, "state"))
            shell.figure(
                drawn, f"Mean scores of {name} on the tasks of {suite}, by state of its source", f"history-{suite}"
            )
