from __future__ import annotations

import pytest

from benchbench.text import printable


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain, ünï, 漢字, é", "plain, ünï, 漢字, é"),
        ("a\x00b", "a\\x00b"),
        ("a\x1b[2Jb\x9b1m", "a\\x1b[2Jb\\x9b1m"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("back\rover", "back\\rover"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("para\u2029graph", "para\\u2029graph"),
        ("\ud800", "\\ud800"),
    ],
)
def test_nothing_that_steers_a_terminal_is_left(given: str, shown: str) -> None:
    assert printable(given) == shown


def test_lines_remain_where_they_are_wanted() -> None:
    assert printable("a\n\tb\r\x07", keep_lines=True) == "a\n\tb\\r\\x07"
