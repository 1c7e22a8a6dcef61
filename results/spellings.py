"""Recorded spellings of methods: ``(penalty=1)`` and ``(penalty=1.0)`` are one method.

`bench run` records parameters in their normal spelling (`benchbench.registry.normal_params`). What
was recorded before that, or where the default was another, is read in the normal spelling of the
adapter as it is now. Rows stay as they were recorded.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchbench.errors import BenchbenchError, BrokenPluginWarning, InputError
from benchbench.registry import get_method, normal_params
from benchbench.results.ingest import quoted
from benchbench.spec import canonical_json

if TYPE_CHECKING:
    import duckdb

    from benchbench.results.reader import Readable

__all__ = ["normal_or_recorded", "params_expression", "recorded_spellings"]

_RECORDED = "SELECT DISTINCT method, params_json FROM attempts WHERE params_json <> '{}'"


def normal_or_recorded(method: str, params: Any) -> Any:
    """Return the normal spelling of parameters.

    They stay as they are if the method is not registered here, or its constructor does not accept
    them any more.
    """
    if not isinstance(params, Mapping):
        return params
    with warnings.catch_warnings():
        # a broken plug-in is no fault of the results
        warnings.simplefilter("ignore", BrokenPluginWarning)
        try:
            return normal_params(get_method(method), params)
        except BenchbenchError:
            return params


def params_expression(con: duckdb.DuckDBPyConnection, suite: str | None) -> str:
    """Return the SQL expression for the normal spelling of an attempt's parameters, as JSON.

    Methods are looked up only if there are parameters: that takes 0.1 s.
    """
    changed = {(method, text): normal for method, text, normal in _spellings(con, suite) if normal != text}
    cases = "".join(
        f" WHEN method = {quoted(method)} AND params_json = {quoted(text)} THEN {quoted(normal)}"
        for (method, text), normal in changed.items()
    )
    return f"CASE{cases} ELSE params_json END" if cases else "params_json"


def recorded_spellings(results: Readable, suite: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return recorded spellings that are not the normal one.

    Keys are the method and its normal parameters, as canonical JSON.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    if not results.is_recorded():
        return found
    with results.reading() as con:
        for method, text, normal in _spellings(con, suite):
            if normal != text:
                found.setdefault((method, normal), []).append(json.loads(text))
    return found


def _spellings(con: duckdb.DuckDBPyConnection, suite: str | None) -> list[tuple[str, str, str]]:
    """Return (method, recorded parameters, normal parameters) of all recorded parameters."""
    where = "" if suite is None else " AND suite = $1"
    rows = con.execute(f"{_RECORDED}{where} ORDER BY ALL", [] if suite is None else [suite]).fetchall()
    return [(method, text, _normal_text(method, text)) for method, text in rows]


def _normal_text(method: str, text: str) -> str:
    try:
        return canonical_json(normal_or_recorded(method, json.loads(text)))
    except (ValueError, InputError):
        return text
