"""Columns that are no features: every spelling of their names is understood, or refused with the list of columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from benchbench.errors import InputError
from benchbench.suites._openml_ignored import ignored_columns

NAMES = ("id", "leak", "x", "a, b", "First Name", "it's", 'say "hi"', "ID2", "id2", " blank", "class")


def ask(
    folder: Path,
    *ignore: str,
    row_id: Sequence[str] = (),
    marks: Sequence[dict[str, str]] = (),
    headed: Sequence[str] = NAMES,
) -> set[str]:
    def xml(tag: str, inner: str) -> str:
        return f'<oml:{tag} xmlns:oml="http://openml.org/openml">{inner}</oml:{tag}>'

    def element(name: str, text: str) -> str:
        return f"<oml:{name}>{escape(text)}</oml:{name}>"

    lists = [element("ignore_attribute", text) for text in ignore]
    lists += [element("row_id_attribute", text) for text in row_id]
    features = [
        element("name", name).join(("<oml:feature>", ""))
        + "".join(element(mark, text) for mark, text in (marks[i] if i < len(marks) else {}).items())
        + "</oml:feature>"
        for i, name in enumerate(NAMES)
    ]
    files = {"description.xml": folder / "description.xml", "features.xml": folder / "features.xml"}
    files["description.xml"].write_text(xml("data_set_description", "".join(lists)), encoding="utf-8")
    files["features.xml"].write_text(xml("data_features", "".join(features)), encoding="utf-8")
    return ignored_columns(files, NAMES, headed, "data set 9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        (" , ", set()),
        ("id", {"id"}),
        ("id,leak", {"id", "leak"}),
        ("id, leak", {"id", "leak"}),
        (" id ,\n\tleak,", {"id", "leak"}),
        ("id,,leak", {"id", "leak"}),
        ("'id','leak'", {"id", "leak"}),
        ('"id", "leak"', {"id", "leak"}),
        ('"id, leak"', {"id", "leak"}),
        ("ID, Leak", {"id", "leak"}),
        ("id2", {"id2"}),
        ("x, ID2", {"x", "ID2"}),
        ("a, b", {"a, b"}),
        ("id,a, b,leak", {"id", "a, b", "leak"}),
        ('"a, b",x', {"a, b", "x"}),
        ("first  name,x", {"First Name", "x"}),
        ("it's, id", {"it's", "id"}),
        (r"'it\'s',id", {"it's", "id"}),
        ('say "hi",id', {'say "hi"', "id"}),
        ("blank, blank", {" blank"}),
        ("class", {"class"}),
    ],
)
def test_spellings_of_lists(tmp_path: Path, text: str, expected: set[str]) -> None:
    assert ask(tmp_path, text) == expected


@pytest.mark.parametrize("text", ["idleak", "id;leak", "id leak", "id,leek", '["id","leak"]', "Id2", "None", "'id"])
def test_a_name_that_is_no_column_is_refused_with_those_that_are(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(tmp_path, text)
    assert all(part in str(caught.value) for part in ("ignore_attribute of data set 9", *map(repr, NAMES)))
    with pytest.raises(InputError, match="row_id_attribute of data set 9"):
        ask(tmp_path, row_id=[text])


def test_all_lists_and_marks_count(tmp_path: Path) -> None:
    assert ask(tmp_path, "id", "leak, x", row_id=["ID2"]) == {"id", "leak", "x", "ID2"}
    # features that lack the marks do not hide those of others
    marks = ({}, {"is_ignore": "true"}, {"is_ignore": "false"}, {"is_row_identifier": "TRUE"}, {"is_ignore": " 1 "})
    assert ask(tmp_path, "id", marks=marks) == {"id", "leak", "a, b", "First Name"}


def test_names_of_the_tables_header_are_known(tmp_path: Path) -> None:
    headed = ("key", *NAMES[1:])
    assert ask(tmp_path, "key, leak", headed=headed) == {"id", "leak"}
    assert ask(tmp_path, "id", headed=headed) == {"id"}
