"""Text from outside (names, messages, sources) made safe to show."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]

# line and paragraph separators, and the marks that change the direction of what follows
_MISLEADING = frozenset("\u2028\u2029\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(c, keep_lines) for c in text)


def _shown(character: str, keep_lines: bool) -> str:
    if character in "\n\t":
        return character if keep_lines else " "
    if character in _MISLEADING or unicodedata.category(character) in ("Cc", "Cs"):
        return repr(character)[1:-1]
    return character
