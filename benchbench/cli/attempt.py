"""`bench attempt`: everything recorded about one attempt."""

from __future__ import annotations

import math
import sys
import time
from typing import Annotated, Any

import typer

from benchbench.cli.common import DbOption, FormatOption, db_path, print_json
from benchbench.text import printable

__all__ = ["attempt"]

# shown in a section of their own, or only in JSON
_APART = (
    "ci95",
    "params",
    "budget",
    "metrics",
    "phases",
    "remarks",
    "curve",
    "unit_scores",
    "environment",
    "traceback",
    "log_tail",
)


def attempt(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of an attempt, or the beginning of it.")],
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Show everything recorded about one attempt.

    Scores, phases, curve, versions, output and traceback.
    """
    from benchbench.results.store import Store

    found = Store(db_path(db)).attempt(id_)
    if format_ == "json":
        print_json(_finite(found))
        return
    for name, value in found.items():
        if name not in _APART and value not in (None, ""):
            _line(name, _time(value) if name == "started_at" else value)
        if name == "score" and found["ci95"] is not None:
            _line("± 95 %", found["ci95"])
    for name in ("params", "budget", "metrics", "phases", "environment"):
        _line(name, ", ".join(f"{printable(k)} {_short(v)}" for k, v in found[name].items()) or "none")
    for remark in found["remarks"]:
        _line("remark", remark)
    _scores(found["unit_scores"], found["unit"])
    _curve(found["curve"])
    for name in ("log_tail", "traceback"):
        if found[name].strip():
            sys.stdout.write(f"\n{name}\n{printable(found[name].rstrip(), keep_lines=True)}\n")


def _finite(value: Any) -> Any:
    """Return `value` with None for NaN and infinities, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list) else value


def _line(name: str, value: Any) -> None:
    sys.stdout.write(f"{name:<20} {_short(value)}\n")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _scores(scores: list[float], unit: str) -> None:
    if scores:
        ordered = sorted(scores)
        low, middle, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.05, 0.5, 0.95))
        _line("unit_scores", f"{len(scores)} {unit}s: 5 % {low:.4f}, median {middle:.4f}, 95 % {high:.4f}")


def _curve(points: list[dict[str, Any]]) -> None:
    if not points:
        return
    sys.stdout.write("\ncurve\n")
    by_step: dict[tuple[int, float], list[str]] = {}
    for p in points:
        by_step.setdefault((p["step"], round(p["seconds"], 1)), []).append(f"{printable(p['metric'])} {p['value']:.4f}")
    for (step, seconds), values in by_step.items():
        sys.stdout.write(f"  step {step:>7}  {seconds:>8.1f} s  {', '.join(values)}\n")
