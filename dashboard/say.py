"""Sentences on pages: Markdown of ours, with values from outside shown letter by letter.

Streamlit reads titles, captions, notices, labels of buttons and of expanders as Markdown, in which
a name could load an image from an outside host. So pages write all of them through this module.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from benchbench.text import escape_markdown

__all__ = ["caption", "escaped", "info", "markdown", "subheader", "title", "warning"]

# Streamlit's Markdown has directives (":red[...]") and formulas
_STREAMLIT = "{}#:"


def escaped(text: str) -> str:
    """Return the text as Streamlit's Markdown shows it letter by letter."""
    return escape_markdown(text, also=_STREAMLIT)


def _filled(form: str, values: dict[str, Any]) -> str:
    return form.format_map({name: escaped(str(value)) for name, value in values.items()})


def title(form: str, **values: Any) -> None:
    """Write the title of a page."""
    st.title(_filled(form, values))


def subheader(form: str, **values: Any) -> None:
    """Write a heading."""
    st.subheader(_filled(form, values))


def caption(form: str, **values: Any) -> None:
    """Write a sentence in small letters."""
    st.caption(_filled(form, values))


def markdown(form: str, **values: Any) -> None:
    """Write a sentence."""
    st.markdown(_filled(form, values))


def info(form: str, **values: Any) -> None:
    """Write a notice."""
    st.info(_filled(form, values))


def warning(form: str, **values: Any) -> None:
    """Write a notice that limits what is shown."""
    st.warning(_filled(form, values), icon=":material/info:")
