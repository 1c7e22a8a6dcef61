"""The dashboard: its pages, and what stands in their place when there is nothing to show."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import markup, queries, shell, state
from benchbench.dashboard.pages import about, compare, curves, leaderboard, method, runs, task, tradeoff
from benchbench.errors import BenchbenchError

__all__ = ["main"]

# without icons: Streamlit would have the browser fetch them from an outside host, for the tab
PAGES = (
    (leaderboard.page, "Leaderboard", "leaderboard"),
    (compare.page, "Compare", "compare"),
    (method.page, "Method", "method"),
    (task.page, "Task", "task"),
    (curves.page, "Curves", "curves"),
    (tradeoff.page, "Trade-off", "tradeoff"),
    (runs.page, "Runs", "runs"),
)


def main() -> None:
    """Show the page that the address names, or why it cannot be shown."""
    st.set_page_config(
        page_title="benchbench",
        layout="wide",
        menu_items={
            "Get help": None,
            "Report a bug": None,
            "About": "benchbench: which method is better, on what, at what cost?",
        },
    )
    state.begin_run()
    pages = [st.Page(show, title=title, url_path=path, default=i == 0) for i, (show, title, path) in enumerate(PAGES)]
    pages.append(st.Page(about.page, title="About the numbers", url_path="about"))
    chosen = st.navigation(pages, position="top")
    st.html(markup.CSS)
    if chosen == pages[-1]:
        chosen.run()
        return
    source = shell.open_source()
    trouble = queries.trouble_with(source.store)
    shell.watch(source.state, shell.kind_of(trouble))
    if trouble is not None:
        shell.show_trouble(trouble)
        return
    try:
        chosen.run()
    except BenchbenchError as error:
        # it was there a moment ago: a writer that holds it for long, or a file that was exchanged
        found = queries.trouble_with(source.store) or queries.Trouble(kind="failed", message=str(error))
        shell.show_trouble(found)
        shell.watch(source.state, found.kind)
