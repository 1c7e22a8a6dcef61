"""Colours, markers and the layout of figures.

They are readable on light and dark, and never told apart by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchbench.text import escape_plotly

__all__ = ["ACCENT", "GREY", "Mark", "letter_by_letter", "log_axis", "marks", "rgba", "styled"]

# Okabe & Ito 2008, "Color universal design";
# black and yellow are left out, as each is hard to see on one of the two backgrounds
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "triangle-down", "star")
_DASHES = ("solid", "dash", "dot", "dashdot")
ACCENT = _COLOURS[0]
GREY = "#888888"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a method is drawn: colour, symbol and dash together are its own among some fifty."""

    colour: str
    symbol: str
    dash: str


def marks(labels: Sequence[str]) -> dict[str, Mark]:
    """Return the mark of each label.

    Marks depend on the sorted labels alone, so that filters do not repaint what stays.
    """
    return {
        label: Mark(
            colour=_COLOURS[i % len(_COLOURS)],
            symbol=_SYMBOLS[(i + i // 24) % len(_SYMBOLS)],
            dash=_DASHES[(i // len(_COLOURS)) % len(_DASHES)],
        )
        for i, label in enumerate(sorted(set(labels)))
    }


def rgba(colour: str, alpha: float) -> str:
    """Return a colour of six hexadecimal digits with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def log_axis(low: float, high: float, suffix: str = "") -> dict[str, Any]:
    """Return a logarithmic axis whose ticks are written out in full.

    The fewer decades it has, the more ticks per decade.
    """
    low = max(low, 1e-12)
    high = max(high, low)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps: tuple[float, ...] = (1,) if last - first > 3 else (1, 2, 5)
    if high < 4 * low:
        steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}{suffix}" for tick in ticks]}


def styled(figure: Any, *, height: int, x: str = "", y: str = "", legend: bool = True) -> Any:
    """Return the figure with the common margins, axis titles, and a legend.

    The legend is below, where a phone has room for it.
    """
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 36, "b": 8},
        legend={"orientation": "h", "yanchor": "top", "y": -0.18, "x": 0, "title": {"text": ""}},
        showlegend=legend,
        hovermode="closest",
        font={"size": 13},
        uirevision="kept",
    )
    grid = {"gridcolor": "rgba(128,128,128,0.22)", "zerolinecolor": "rgba(128,128,128,0.45)", "automargin": True}
    figure.update_xaxes(**grid)
    figure.update_yaxes(**grid)
    if x:
        figure.update_xaxes(title={"text": x, "standoff": 8})
    if y:
        figure.update_yaxes(title={"text": y, "standoff": 8})
    return figure


_NAMES = ("name", "legendgroup", "text", "customdata", "x", "y")


def letter_by_letter(figure: Any) -> Any:
    """Return the figure with names shown letter by letter: plotly reads text as a kind of HTML.

    Templates are ours; they name what they show by variables.
    """
    for trace in figure.data:
        trace.update({key: _escaped(trace[key]) for key in _NAMES if key in trace and trace[key] is not None})
    for annotation in figure.layout.annotations:
        annotation.text = _escaped(annotation.text)
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        axis.title.text = _escaped(axis.title.text)
        axis.categoryarray = _escaped(axis.categoryarray)
    return figure


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape_plotly(value)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "OU":
            return value
        found = np.empty(value.shape, dtype=object)
        found.reshape(-1)[:] = [_escaped(v) for v in value.reshape(-1)]
        return found
    return [_escaped(v) for v in value] if isinstance(value, list | tuple) else value
