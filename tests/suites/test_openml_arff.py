"""ARFF files, dense and sparse: the file's own values, or an error that names the line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchbench.errors import InputError
from benchbench.suites import _openml_arff
from benchbench.suites._openml_arff import available_bytes, read_arff
from benchbench.suites._openml_files import Damaged

HEADER = """\
% a comment
@relation a name, with blanks
@attribute n numeric
@ATTRIBUTE 'a b'\tINTEGER
@attribute\tcolour {red, 'light blue', green}
@attribute note string

@DATA
"""
COLOURS = ["red", "light blue", "green"]


def read(folder: Path, rows: str, header: str = HEADER) -> Any:
    path = folder / "dataset.arff"
    path.write_text(header + rows, encoding="utf-8")
    return read_arff(path)


def columns(frame: Any) -> dict[str, list[Any]]:
    """Return the values; a missing one is None."""
    missing = frame.isna()
    return {name: [None if m else value for value, m in zip(frame[name], missing[name], strict=True)] for name in frame}


def test_numbers_are_the_files_own(tmp_path: Path) -> None:
    frame = read(
        tmp_path, "1,1.5,red,a\n-0.25,1e3,green,b\n?,,?,?\n\n% gone\ninf,12345678901234567890,'light blue',''\n"
    )
    assert columns(frame) == {
        "n": [1.0, -0.25, None, math.inf],
        "a b": [1.5, 1000.0, None, 12345678901234567890.0],
        "colour": ["red", "green", None, "light blue"],
        "note": ["a", "b", None, ""],
    }
    assert frame["colour"].cat.categories.tolist() == COLOURS


def test_what_a_sparse_row_leaves_out(tmp_path: Path) -> None:
    frame = read(tmp_path, "{0 1.5, 2 'light blue', 3 'x, {y}'}\n{2 ?,1 ?}\n{}\n{ 1 2.5 }\n{ }\n")
    assert columns(frame) == {
        "n": [1.5, 0.0, 0.0, 0.0, 0.0],
        "a b": [0.0, None, 0.0, 2.5, 0.0],
        "colour": ["light blue", None, "red", "red", "red"],
        "note": ["x, {y}", None, None, None, None],
    }
    assert frame["colour"].cat.categories.tolist() == COLOURS


number = st.one_of(st.none(), st.just(0.0), st.floats(allow_nan=False), st.integers(-(2**53), 2**53).map(float))
row = st.tuples(
    number, number, st.sampled_from([None, *COLOURS]), st.sampled_from([None, "a", "it's", "x, 1", "%", "?"])
)


def spelt(value: Any) -> str:
    if value is None:
        return "?"
    return "'" + value.replace("'", "\\'") + "'" if isinstance(value, str) else repr(value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(row, min_size=1, max_size=8), some=st.integers(1, 5))
def test_dense_and_sparse_forms_of_a_table_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[Any, ...]], some: int
) -> None:
    # several chunks
    monkeypatch.setattr(_openml_arff, "CELLS_AT_ONCE", 4 * some)
    dense = "".join(",".join(map(spelt, row)) + "\n" for row in rows)
    implicit = (0.0, 0.0, "red", None)
    given_pairs = [
        [f"{i} {spelt(v)}" for i, v in enumerate(row) if v != implicit[i] or (i < 2 and math.copysign(1, v) < 0)]
        for row in rows
    ]
    sparse = "".join("{" + ", ".join(pairs) + "}\n" for pairs in given_pairs)
    frame = read(tmp_path, dense)
    assert columns(frame) == dict(zip(["n", "a b", "colour", "note"], map(list, zip(*rows, strict=True)), strict=True))
    assert frame.equals(read(tmp_path, sparse))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,2,red\n", "line 9"),
        ("1,2,red,a\n1,x,red,a\n", "line 10"),
        ("1,2,blue,a\n", "blue"),
        ("1,it's,red,a\n", "line 9"),
        ("{0 1}\n{0 1,9 2}\n", "line 10: {0 1,9 2}"),
        ("{0 1}\n{9 ?}\n", "the row names attribute 9"),
        ("{0 1,1 2, 0 3}\n", "line 9: the row names an attribute twice"),
        ("{0 1}\n1,2,red,a\n", "line 10"),
        ("{0 1,}\n", "line 9"),
        ("{0 1}\n{0 x}\n", "line 10"),
        ("{0 1}, {5}\n", "line 9"),
        ("1,2,red,'\\q'\n", "line 9"),
    ],
)
def test_damage_names_its_line(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(Damaged, match=said):
        read(tmp_path, rows)


def test_files_that_are_not_arff(tmp_path: Path) -> None:
    for text in ("", "<html></html>", "@relation r\n@attribute a numeric\n", "@relation r\n@attribute a date\n@data\n"):
        with pytest.raises(Damaged, match=r"dataset\.arff"):
            read(tmp_path, "", text)
    (tmp_path / "latin.arff").write_bytes(HEADER.encode() + b"1,2,red,\xe9\n")
    with pytest.raises(Damaged, match="utf-8"):
        read_arff(tmp_path / "latin.arff")


def test_odd_headers(tmp_path: Path) -> None:
    frame = read(tmp_path, "\n1,a\n2,?\n", "\ufeff@RELATION\n@attribute x Integer\n@attribute y {?,a,b,a}\n@data")
    assert columns(frame) == {"x": [1.0, 2.0], "y": ["a", None]}
    assert frame["y"].cat.categories.tolist() == ["a", "b"]
    assert read(tmp_path, "").shape == (0, 4)


def test_a_sparse_table_that_would_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**24 < available_bytes() < 2**50
    monkeypatch.setattr(_openml_arff, "available_bytes", lambda: 3 * 4 * 3 * 8 - 1)
    assert len(read(tmp_path, "{}\n{}\n")) == 2
    with pytest.raises(InputError, match=r"sparse table of 3 rows x 4 columns needs .* leave the task out"):
        read(tmp_path, "{}\n{}\n{}\n")


def test_numbers_keep_their_sign_and_range(tmp_path: Path) -> None:
    frame = read(tmp_path, "{0 -0.0, 1 1e400}\n{0 5e-324}\n")
    assert np.signbit(frame["n"][0])
    assert frame["a b"].tolist() == [math.inf, 0.0]
    assert frame["n"][1] == 5e-324
