"""About the numbers: every statistic explained, with its reference."""

from __future__ import annotations

import streamlit as st

from benchbench.dashboard import state
from benchbench.dashboard.views import about as view

PAGE = "about"


def page() -> None:
    """Show the document on statistics."""
    st.title("About the numbers")
    head, sections = view.sections(view.statistics_text())
    st.markdown(head)
    if not sections:
        return
    everything = "Everything"
    title = state.choice(PAGE, "section", "Section", [everything, *(t for t, _ in sections)])
    for name, body in sections:
        if title in (everything, name):
            st.markdown(f"## {name}\n\n{body}")
