"""Text from outside (names, messages, sources), cleaned on its way in and escaped on its way out.

`clean_name` is the one place that cleans names of imported results. Every output has one function
that escapes: `printable` for terminals and figures, `escape_html`, `escape_markdown`,
`escape_latex`, `escape_plotly` for interactive figures, and `csv_cell`. JSON needs none.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape
from typing import Any

__all__ = [
    "clean_name",
    "csv_cell",
    "escape_html",
    "escape_latex",
    "escape_markdown",
    "escape_plotly",
    "printable",
]

# control characters, lone surrogates, line and paragraph separators, and the marks that change the
# direction of what follows
_STEERS = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_IN_LINES = re.compile(f"[{_STEERS}]")
_IN_LINE = re.compile(f"[{_STEERS}\t\n]")
# what has no width hides in a name, as a second spelling of it
_WIDTHLESS = re.compile("[\u00ad\u200b\u2060\ufeff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "\N{MINUS SIGN}": "$-$",
}


def clean_name(text: str) -> str:
    """Return a name as it is stored: composed, on one line, without characters that do not show.

    Two spellings that look the same (composed or decomposed letters, other blanks) are one name.
    Control characters and marks of direction are removed.
    """
    shown = _WIDTHLESS.sub("", _IN_LINES.sub("", unicodedata.normalize("NFC", text)))
    return " ".join(shown.split())


def printable(text: str, *, keep_lines: bool = False) -> str:
    r"""Return text without what steers a terminal or misleads its reader.

    Control characters, lone surrogates and marks of direction are shown as escapes, as `repr`
    writes them; so nothing is lost, and nothing acts.

    Parameters
    ----------
    text : str
    keep_lines : bool
        Whether line breaks and tabs remain, for text of several lines; otherwise each becomes a
        blank.

    Examples
    --------
    >>> printable("red \x1b[31m and \x00, in\ntwo lines")
    'red \\x1b[31m and \\x00, in two lines'
    """
    return (_IN_LINES if keep_lines else _IN_LINE).sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    return " " if found[0] in "\n\t" else repr(found[0])[1:-1]


def escape_html(text: str) -> str:
    """Return text for HTML, in an element or a quoted attribute."""
    return escape(printable(text, keep_lines=True))


def escape_markdown(text: str, *, also: str = "") -> str:
    """Return text that no Markdown reader takes for markup, nor for the end of a cell.

    Parameters
    ----------
    text : str
        Line breaks become blanks.
    also : str
        Further characters that a dialect takes for markup, as "{}#:" in Streamlit's.
    """
    flat = " ".join(printable(text).split())
    return re.sub(rf"([\\`*_\[\]|<>&$~{re.escape(also)}])", r"\\\1", flat)


def escape_latex(text: str) -> str:
    """Return text as LaTeX sets it; for `[T1]{fontenc}` and UTF-8."""
    return "".join(_LATEX.get(c, c) for c in " ".join(printable(text).split()))


def escape_plotly(text: str) -> str:
    """Return text that plotly draws letter by letter; in a template, name it by a variable."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def csv_cell(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula: text that begins like one is quoted.

    Numbers are returned as they are.
    """
    if not isinstance(value, str):
        return value
    shown = printable(value, keep_lines=True)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
