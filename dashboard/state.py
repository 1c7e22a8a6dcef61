"""Widgets whose value is in the address, so that a link shows what its sender saw.

A default value is left out of the address. Options keep their own names there, whatever their
labels are.

The browser sends its address with every choice. That address may be out of date, if the browser has
not yet received what an earlier rerun wrote into it. So an address that differs from what was
written counts only if the reader did not just use a widget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from benchbench.dashboard import say

__all__ = ["begin_run", "choice", "number", "only", "rerun", "several", "switch", "text_of"]

# keys of the session's state: whether a widget or `rerun` made the page anew,
# and whether the address may therefore be out of date
_NOT_MOVED, _OLD_ADDRESS = "state:not moved", "state:old address"


def begin_run() -> None:
    """Find out what made the page rerun; called before any widget of a page."""
    st.session_state[_OLD_ADDRESS] = st.session_state.pop(_NOT_MOVED, False)


def _used() -> None:
    """Called by Streamlit before a rerun that the reader's use of a widget made."""
    st.session_state[_NOT_MOVED] = True


def rerun() -> None:
    """Make the whole page anew, though the reader did nothing."""
    st.session_state[_NOT_MOVED] = True
    st.rerun(scope="app")


def _begin(page: str, name: str, found: Any) -> str:
    """Return the widget's key, with the widget set from the address if that changed without us.

    It changes without us when the reader opens a link or goes back.
    """
    key, seen = f"{page}:{name}", f"{page}:{name}:address"
    raw = st.query_params.get_all(name)
    moved = st.session_state.get(seen) != raw and not st.session_state.get(_OLD_ADDRESS)
    if key not in st.session_state or moved:
        st.session_state[key] = found
    return key


def _end(page: str, name: str, values: list[str]) -> None:
    """Write the value into the address; [] leaves it out."""
    seen = f"{page}:{name}:address"
    # where the browser's address is old, what a rerun before wrote is on its way to it
    coming = st.session_state.get(seen, []) if st.session_state.get(_OLD_ADDRESS) else values
    if st.query_params.get_all(name) != values or coming != values:
        if values:
            st.query_params[name] = values
        else:
            # told to the browser even where the name is not in the old address that it sent
            others = [n for n in st.query_params if n != name]
            st.query_params.from_dict({n: st.query_params.get_all(n) for n in others})
    st.session_state[seen] = values


def choice(
    page: str,
    name: str,
    label: str,
    options: Sequence[str],
    *,
    default: str | None = None,
    labels: Mapping[str, str] | Callable[[str], str] | None = None,
    kind: str = "select",
    always: bool = False,
    help: str | None = None,
) -> str:
    """Let the reader choose one of `options`; `name` stands for it in the address.

    Parameters
    ----------
    page : str
        Page of the widget: widgets of different pages are different ones.
    kind : str
        "select", or "buttons" for few options.
    always : bool
        Whether the address names the default, too.
    """
    usual: str = default if default is not None and default in options else options[0]
    asked = st.query_params.get(name)
    is_known = asked is None or asked in options
    key = _begin(page, name, (usual if asked is None else asked) if is_known else None)
    if st.session_state[key] not in options and (is_known or st.session_state[key] is not None):
        st.session_state[key] = usual

    def shown(option: str) -> str:
        if callable(labels):
            return labels(option)
        return labels.get(option, option) if labels else option

    if kind == "buttons":
        value = st.segmented_control(
            label, options, format_func=shown, on_change=_used, key=key, help=help, required=is_known
        )
    else:
        value = st.selectbox(label, options, index=None, format_func=shown, on_change=_used, key=key, help=help)
    if value is None and not is_known:
        _stop_at_missing(label, [str(asked)])
    value = value if value is not None and value in options else usual
    _end(page, name, [] if value == usual and not always else [value])
    return str(value)


def several(
    page: str,
    name: str,
    label: str,
    options: Sequence[str],
    *,
    labels: Mapping[str, str] | None = None,
    default: Sequence[str] = (),
    placeholder: str = "all",
    help: str | None = None,
) -> tuple[str, ...]:
    """Let the reader choose any of `options`; none means all."""
    asked = [v for v in st.query_params.get_all(name) if v in options]
    missing = [v for v in st.query_params.get_all(name) if v not in options]
    key = _begin(page, name, asked if asked or missing else list(default))
    st.session_state[key] = [v for v in st.session_state[key] if v in options]
    shown = (lambda o: (labels or {}).get(o, o)) if labels else str
    values = st.multiselect(
        label, options, format_func=shown, on_change=_used, key=key, help=help, placeholder=placeholder
    )
    if missing and sorted(values) == sorted(asked) and not asked:
        _stop_at_missing(label, missing)
    if missing and sorted(values) == sorted(asked):
        _say_missing(label, missing)
        return tuple(values)
    _end(page, name, [] if values == list(default) else list(values))
    return tuple(values)


def only(page: str, name: str, label: str, options: Sequence[str]) -> None:
    """Check what the address asks for where there is nothing to choose, and so no widget.

    Parameters
    ----------
    options : sequence of str
        What there is.
    """
    asked = st.query_params.get(name)
    if asked is None or asked in options:
        return
    if st.session_state.get(_OLD_ADDRESS):
        # the reader has chosen something else, of which there is no such thing
        _end(page, name, [])
    else:
        _say_missing(label, [asked])
        say.info("What there is: {options}. Change or shorten the address.", options=", ".join(options) or "nothing")
        st.stop()


def _stop_at_missing(label: str, asked: Sequence[str]) -> None:
    """Say that the address asks for what does not exist; nothing else is shown in its place."""
    _say_missing(label, asked, "Choose another one above.")
    st.stop()


def _say_missing(label: str, asked: Sequence[str], advice: str = "") -> None:
    say.warning(
        "This link asks for what does not exist here: {label} {asked}. {advice}",
        label=label,
        asked=", ".join(map(repr, asked)),
        advice=advice,
    )


def switch(page: str, name: str, label: str, *, default: bool = False, help: str | None = None) -> bool:
    """Let the reader switch something on or off."""
    asked = st.query_params.get(name)
    if asked not in (None, "yes", "no"):
        _say_missing(label, [str(asked)], "It can be yes or no.")
    key = _begin(page, name, {"yes": True, "no": False}.get(asked or "", default))
    value = st.toggle(label, on_change=_used, key=key, help=help)
    _end(page, name, [] if value == default else ["yes" if value else "no"])
    return bool(value)


def number(
    page: str, name: str, label: str, *, default: float, low: float, high: float, step: float, help: str | None = None
) -> float:
    """Let the reader give a number."""
    given = st.query_params.get(name)
    try:
        asked = default if given is None else float(given)
    except ValueError:
        asked = math.nan
    if not low <= asked <= high:
        _say_missing(label, [str(given)], f"It can be a number from {low:g} to {high:g}.")
        asked = default
    key = _begin(page, name, min(max(asked, low), high))
    value = float(
        st.number_input(
            label, min_value=low, max_value=high, step=step, on_change=_used, key=key, help=help, format="%.3f"
        )
    )
    _end(page, name, [] if value == default else [f"{value:g}"])
    return value


def text_of(name: str) -> str:
    """Return a value of the address as it stands, or ""."""
    return st.query_params.get(name, "")
