from __future__ import annotations

import pytest

from benchbench.text import clean_name, csv_cell, escape_html, escape_markdown, printable


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


def test_two_spellings_of_a_name_are_one() -> None:
    composed, decomposed = "M\u00fcller", "Mu\u0308ller"
    assert clean_name(decomposed) == clean_name(composed) == composed
    assert clean_name("  a\u00a0 b\tc\n") == "a b c"
    assert clean_name("Random\u200bForest\ufeff") == "RandomForest"
    assert clean_name("a\x1b[31m\x00\u202e") == "a[31m"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@x", "=\tx"])
def test_a_spreadsheet_takes_no_text_for_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1.5, -3, None, "a-b", "1", ""])
def test_other_cells_are_as_they_are(value: object) -> None:
    assert csv_cell(value) == value


def test_markup_is_shown_letter_by_letter() -> None:
    assert escape_markdown("![a](b) <i> a_b | `c` *d* &amp; $e$\n- f") == (
        r"!\[a\](b) \<i\> a\_b \| \`c\` \*d\* \&amp; \$e\$ - f"
    )
    assert escape_html("<i a='\x00'>&") == "&lt;i a=&#x27;\\x00&#x27;&gt;&amp;"
