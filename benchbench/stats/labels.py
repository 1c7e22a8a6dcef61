"""Texts for people: labels of methods, sources of published results, numbers, durations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from benchbench.text import printable

__all__ = [
    "PUBLISHED",
    "listed",
    "method_label",
    "number_text",
    "params_of",
    "plural",
    "published_source",
    "share_text",
    "whole_duration",
]

PUBLISHED = "published: "
"""Imported results have this prefix and their source as protocol version, so that they never share
a leaderboard with results measured here.
"""


@lru_cache(maxsize=8192)
def method_label(method: str, params: str) -> str:
    """Return ``name`` or ``name(param=value, ...)``, as `bench run --method` reads it, printable.

    `params` is canonical JSON.
    """
    values = params_of(params)
    listed = ", ".join(f"{key}={value!r}" for key, value in values.items())
    return printable(f"{method}({listed})" if values else method)


def params_of(text: str) -> dict[str, Any]:
    """Return a method's parameters from canonical JSON; an empty text is no parameters."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def published_source(protocol_version: str) -> str | None:
    """Return the source of published results; None if that protocol version was measured here."""
    return protocol_version.removeprefix(PUBLISHED) if protocol_version.startswith(PUBLISHED) else None


def number_text(value: float, digits: int) -> str:
    """Return a number with `digits` digits after the point; never "-0.00"."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def share_text(share: float) -> str:
    """Return a share in per cent; "0%" and "100%" only if it is exactly 0 or 1."""
    if share == 1:
        return "all"
    return "<1%" if 0 < share <= 0.005 else ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def listed(names: Sequence[str], most: int = 5, *, separator: str = ", ") -> str:
    """Return "a, b"; beyond `most` names "a, b, c, d, e and 425 more"."""
    if len(names) <= most:
        return separator.join(names)
    return f"{separator.join(names[:most])} and {len(names) - most:,} more"


def plural(n: int, word: str) -> str:
    """Return "1 task", "1,200 tasks"."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def whole_duration(seconds: float) -> str:
    """Return "42 s", "3 min 05 s", "2 h 10 min" or "3 days 4 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} days {whole % 86_400 // 3600} h"
