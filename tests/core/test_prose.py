"""Docstrings and comments are at most 100 columns wide, as the documents are."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchbench", "methods", "suites", "cluster", "results")
# not reflowed yet
LEFT_OUT = ("benchbench/cli", "benchbench/plots")
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
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    names = {path: path.relative_to(ROOT).as_posix() for path in files}
    checked = [path for path, name in names.items() if not name.startswith(LEFT_OUT)]
    assert len(checked) > 200
    assert [f"{names[path]}:{n}" for path in checked for n in wide_prose(path.read_text())] == []


def test_wide_prose_is_found() -> None:
    long = "word " * 21
    text = f'"""{long}"""\nx = 1  # {long}\ny = "{long}"\nz = {{}}  # type: ignore[{long}]\n"""{long}"""\n'
    assert wide_prose(text) == [1, 2, 5]
