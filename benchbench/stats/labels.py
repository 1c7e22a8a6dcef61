"""How a method with its parameters is written for people: as they would type it."""

from __future__ import annotations

import json

__all__ = ["method_label"]


def method_label(method: str, params: str) -> str:
    """Return ``name`` or ``name(param=value, ...)``, which `bench run --method` understands, of a name and canonical JSON."""
    values = json.loads(params) if params else {}
    return f"{method}({', '.join(f'{key}={value!r}' for key, value in values.items())})" if values else method
