"""Whether values fit the annotations of a constructor, read as text: nothing is imported or executed for it."""

from __future__ import annotations

import ast
import inspect
import math
from typing import Any

__all__ = ["fits"]

_SEQUENCES = ("list", "tuple", "List", "Tuple", "Sequence")


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a plain value fits an annotation; what the annotation leaves open, or is not understood here, fits.

    Understood are bool, int, float, str, None, lists and tuples of them (either stands for the other, as in JSON), unions and
    literals. An int is a float, too; a bool is neither.
    """
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    try:
        return _fits(value, ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        return True


def _fits(value: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _fits(value, node.left) or _fits(value, node.right)
    if isinstance(node, ast.Constant) and node.value is None:
        return value is None
    if isinstance(node, ast.Subscript):
        return _fits_subscript(value, _name(node.value), node.slice)
    name = _name(node)
    if name in _SEQUENCES:
        return isinstance(value, list | tuple)
    if name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    plain = {"bool": bool, "str": str}.get(name)
    return plain is None or isinstance(value, plain)


def _fits_subscript(value: Any, name: str, inner: ast.expr) -> bool:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Optional":
        return value is None or _fits(value, inner)
    if name == "Union":
        return any(_fits(value, part) for part in parts)
    if name == "Literal":
        allowed = [part.value for part in parts if isinstance(part, ast.Constant)]
        return len(allowed) < len(parts) or any(type(value) is type(a) and value == a for a in allowed)
    if name not in _SEQUENCES:
        return True
    if not isinstance(value, list | tuple):
        return False
    is_open = len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is ...
    if name in ("tuple", "Tuple") and not is_open:
        return len(value) == len(parts) and all(map(_fits, value, parts))
    return all(_fits(item, parts[0]) for item in value)


def _name(node: ast.expr) -> str:
    """Return the last part of a name, which may be dotted (`typing.Optional`)."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
