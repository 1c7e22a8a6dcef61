"""Docstrings and comments are at most 100 columns wide, as the documents are."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchbench", "results", "reports", "dashboard", "methods", "suites", "cluster")
WIDTH = 100


def docstring_lines(text: str) -> set[int]:
    """Return the numbers of the lines of docstrings, those of attributes included."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", [])
        for statement in body if isinstance(body, list) else []:
            value = getattr(statement, "value", None) if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found |= set(range(value.lineno, (value.end_lineno or value.lineno) + 1))
    return found


def wide_prose(text: str) -> list[int]:
    """Return the numbers of lines whose docstring or comment reaches beyond `WIDTH`."""
    lines = text.splitlines()
    prose = docstring_lines(text)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_directive = token.string.startswith(("# type:", "# noqa"))
        if token.type == tokenize.COMMENT and not is_directive:
            prose.add(token.start[0])
    return sorted(n for n in prose if len(lines[n - 1]) > WIDTH)


def test_docstrings_and_comments_are_narrow() -> None:
    found = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in FOLDERS}
    assert [folder for folder, files in found.items() if not files] == []
    assert sum(len(files) for files in found.values()) > 200
    wide = [
        f"{path.relative_to(ROOT).as_posix()}:{n}"
        for files in found.values()
        for path in files
        for n in wide_prose(path.read_text())
    ]
    assert wide == []


def test_wide_prose_is_found() -> None:
    long = "word " * 21
    text = f'"""{long}"""\nx = 1  # {long}\ny = "{long}"\nz = {{}}  # type: ignore[{long}]\n"""{long}"""\n'
    assert wide_prose(text) == [1, 2, 5]
