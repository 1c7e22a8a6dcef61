"""Checks plain data (TOML, JSON, literals) against annotations.

It serves suites, options, parameters and cards. Annotations are read as text, so that an adapter's
heavy types need not be imported. Supported are bool, int, float, str, None, lists, tuples and
mappings of them, unions, literals and, as fields of a dataclass, other dataclasses of its module. A
list is accepted as a tuple, as in JSON, and an int as a float. A bool is neither an int nor a
float; a float must be finite.

Notes
-----
msgspec 0.23, cattrs 26.2 and pydantic 2.14 do not replace this module: none of them names the
faulty key and value with a suggestion, and each takes 6 to 20 ms to import. msgspec rejects unknown
keys only in its own structs; cattrs turns a string into a tuple of letters; pydantic rejects a list
for a tuple in strict mode, and else takes "10" for an int.

This module imports nothing new and checks all suite files of the package in 3 ms.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from benchbench.errors import InputError, suggest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["fits", "from_table", "normalised"]

T = TypeVar("T", bound="DataclassInstance")

_SEQUENCES = ("list", "tuple", "List", "Tuple", "Sequence")
_MAPPINGS = ("dict", "Dict", "Mapping")
# an unsupported name, which everything fits
_ANYTHING = ast.Name("Any")
_EXACT: dict[str, type] = {"bool": bool, "int": int, "str": str}
_PLAIN: dict[str, Any] = {
    "bool": bool,
    "str": str,
    **dict.fromkeys(_SEQUENCES, (list, tuple)),
    **dict.fromkeys(_MAPPINGS, Mapping),
}


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a plain value fits an annotation; unsupported annotations fit everything."""
    return _fits(value, _parsed(_text(annotation)))


def normalised(value: Any, annotation: Any) -> Any:
    """Return the one spelling of a plain value that fits an annotation.

    A float where only floats are annotated, a list for a tuple, 0.0 for -0.0, at any depth. A whole
    number stays what it is where both an int and a float would do: 1 and 1.0 may mean different
    things there.
    """
    return _normalised(value, _parsed(_text(annotation)))


def from_table(cls: type[T], table: Any, place: str, error: type[InputError] = InputError) -> T:
    """Create a dataclass from a table whose keys are its fields.

    Parameters
    ----------
    cls : type
        A dataclass. Fields may be of other dataclasses of its module, tuples of them, or mappings
        to them.
    table : mapping
        From TOML or JSON.
    place : str
        Source of the table, for messages: "suites/mine.toml", "options of loader 'glyphs'".
    error : type
        Type of the error to raise.

    Raises
    ------
    InputError
        If keys are unknown (the nearest known ones are suggested) or missing, or values do not fit
        their annotation. The message names the place, the table, the key, what was got and what was
        expected.
    """
    return _Reader(place, error).table(cls, table, "")


class _Reader:
    """Creates dataclasses from nested tables; `where` is a table's path, like "presets.quick"."""

    def __init__(self, place: str, error: type[InputError]) -> None:
        self._place, self._error = place, error

    def table(self, cls: type[T], table: Any, where: str) -> T:
        if not isinstance(table, Mapping):
            raise self._wrong(where, f"expected a table, got {type(table).__name__}")
        known = _fields(cls)
        values: dict[str, Any] = {}
        for key, value in table.items():
            one = known.get(key)
            if one is None:
                raise self._wrong(where, f"unknown key {key!r}{suggest(str(key), known)}")
            if one.inner is not None:
                values[key] = self._tables(value, one, where)
            elif type(value) is one.exact:
                values[key] = value
            elif _fits(value, one.node):
                values[key] = _converted(value, one.node)
            else:
                raise self._wrong(where, f"{key}: expected {_expected(value, one.text)}, got {value!r}")
        for key, one in known.items():
            if one.is_required and key not in values:
                what = repr(key) if one.inner is None else f"a table {one.heading(_joined(where, key))}"
                raise self._wrong(where, f"{what} is missing")
        return cls(**values)

    def _tables(self, value: Any, one: _Field, where: str) -> Any:
        assert one.inner is not None
        path = _joined(where, one.name)
        if one.outer in _MAPPINGS and isinstance(value, Mapping):
            return {key: self.table(one.inner, each, f"{path}.{key}") for key, each in value.items()}
        if one.outer in _SEQUENCES and isinstance(value, list | tuple):
            return tuple(self.table(one.inner, each, f"{path}[{i}]") for i, each in enumerate(value))
        if one.outer:
            raise self._wrong(where, f"{one.name}: expected {one.heading(path)} tables, got {value!r}")
        return self.table(one.inner, value, path)

    def _wrong(self, where: str, problem: str) -> InputError:
        return self._error(f"{self._place}: [{where}]: {problem}" if where else f"{self._place}: {problem}")


@dataclass(frozen=True, slots=True)
class _Field:
    """A key of a table and its annotation, as text and parsed.

    `inner` is the dataclass in the annotation, if any, and `outer` the tuple or mapping around it
    (empty: none). A value of type `exact` needs no other check.
    """

    name: str
    text: str
    node: ast.expr
    is_required: bool
    exact: type | None
    outer: str
    inner: type[DataclassInstance] | None

    def heading(self, path: str) -> str:
        """Return the TOML heading of such a table."""
        return f"[{path}.NAME]" if self.outer in _MAPPINGS else f"[[{path}]]" if self.outer else f"[{path}]"


@functools.lru_cache(maxsize=256)
def _fields(cls: type[DataclassInstance]) -> dict[str, _Field]:
    found = {}
    for item in fields(cls):
        text = _text(item.type)
        node, outer = _parsed(text), ""
        inner = node
        if isinstance(node, ast.Subscript) and _name(node.value) in (*_SEQUENCES, *_MAPPINGS):
            outer = _name(node.value)
            inner = _parts(node)[-1 if outer in _MAPPINGS else 0]
        named = getattr(sys.modules[cls.__module__], _name(inner), None)
        is_required = item.default is MISSING and item.default_factory is MISSING
        table = named if isinstance(named, type) and is_dataclass(named) else None
        exact = _EXACT.get(text.removesuffix(" | None"))
        found[item.name] = _Field(item.name, text, node, is_required, exact, outer, table)
    return found


def _joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return _ANYTHING


def _fits(value: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _fits(value, node.left) or _fits(value, node.right)
    if isinstance(node, ast.Constant) and node.value is None:
        return value is None
    if isinstance(node, ast.Subscript):
        return _fits_subscript(value, _name(node.value), _parts(node))
    name = _name(node)
    if name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    plain = _PLAIN.get(name)
    return plain is None or isinstance(value, plain)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        # a whole number beyond the floats
        return False


def _fits_subscript(value: Any, name: str, parts: list[ast.expr]) -> bool:
    if name == "Optional":
        return value is None or _fits(value, parts[0])
    if name == "Union":
        return any(_fits(value, part) for part in parts)
    if name == "Literal":
        allowed = [part.value for part in parts if isinstance(part, ast.Constant)]
        return len(allowed) < len(parts) or any(type(value) is type(a) and value == a for a in allowed)
    if name in _MAPPINGS:
        if not isinstance(value, Mapping):
            return False
        return all(_fits(k, parts[0]) and _fits(v, parts[-1]) for k, v in value.items())
    if name not in _SEQUENCES:
        return True
    if not isinstance(value, list | tuple):
        return False
    if _is_of_one_length(name, parts):
        return len(value) == len(parts) and all(map(_fits, value, parts))
    return all(_fits(item, parts[0]) for item in value)


def _converted(value: Any, node: ast.expr) -> Any:
    """Convert a value that fits to its annotation's type: a list to a tuple, an int to a float."""
    if isinstance(node, ast.BinOp):
        return _converted(value, node.left if _fits(value, node.left) else node.right)
    if isinstance(value, list) and isinstance(node, ast.Subscript) and _name(node.value) in ("tuple", "Tuple"):
        parts = _parts(node)
        each = parts if _is_of_one_length("tuple", parts) else parts[:1] * len(value)
        return tuple(map(_converted, value, each))
    return float(value) if _name(node) == "float" else value


def _normalised(value: Any, node: ast.expr) -> Any:
    node = _member(value, node)
    parts = _parts(node) if isinstance(node, ast.Subscript) else []
    if isinstance(value, Mapping):
        return {key: _normalised(each, parts[-1] if parts else _ANYTHING) for key, each in value.items()}
    if isinstance(value, list | tuple):
        is_one_each = isinstance(node, ast.Subscript) and _is_of_one_length(_name(node.value), parts)
        of = parts if is_one_each and len(parts) == len(value) else (parts[:1] or [_ANYTHING]) * len(value)
        return [_normalised(each, one) for each, one in zip(value, of, strict=True)]
    if isinstance(value, float):
        # adding 0.0 takes the sign of -0.0 away
        return value + 0.0
    return float(value) if _name(node) == "float" and _fits(value, node) else value


def _member(value: Any, node: ast.expr) -> ast.expr:
    """Return the member of a union that a value is of; of a float and an int, the int."""
    fitting = [one for one in _members(node) if _fits(value, one)]
    exact = (one for one in fitting if _name(one) != "float" or isinstance(value, float))
    return next(exact, fitting[0] if fitting else node)


def _members(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_members(node.left), *_members(node.right)]
    if isinstance(node, ast.Subscript) and _name(node.value) in ("Optional", "Union"):
        return [one for part in _parts(node) for one in _members(part)]
    return [node]


def _expected(value: Any, text: str) -> str:
    """Return in words what an annotation expects, without None, which tables cannot hold."""
    text = text.removesuffix(" | None")
    if isinstance(value, float) and not math.isfinite(value) and text == "float":
        return "a finite float"
    node = _parsed(text)
    name = _name(node.value if isinstance(node, ast.Subscript) else node)
    if name in _MAPPINGS:
        of = _parts(node)[-1] if isinstance(node, ast.Subscript) else None
        return "a table" if of is None or _name(of) == "Any" else f"a table of {ast.unparse(of)}"
    if name in _SEQUENCES and isinstance(node, ast.Subscript) and not _is_of_one_length(name, _parts(node)):
        return f"a list of {ast.unparse(_parts(node)[0])}"
    return text


def _parts(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _is_of_one_length(name: str, parts: list[ast.expr]) -> bool:
    """Return whether each part of an annotation stands for one element: ``tuple[int, str]``."""
    is_open = len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is ...
    return name in ("tuple", "Tuple") and not is_open


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name (`typing.Optional`), or "" if it is not a name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
