"""`bench check`: conformance checks of methods."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from benchbench.cli.common import FormatOption, names_something, print_json, split_list
from benchbench.errors import GateFailed
from benchbench.text import printable

__all__ = ["check"]


def check(
    method: Annotated[list[str], typer.Argument(help="Method names; `all` for every method.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only these checks; comma-separated.", callback=names_something)
    ] = None,
    format_: FormatOption = "table",
) -> None:
    """Check that methods keep their contract.

    Exit code 3 if a check fails.
    """
    from benchbench.conformance.runner import run_checks
    from benchbench.execution.supervisor import abort_all
    from benchbench.registry import get_method, methods

    names = [name for text in method for name in (sorted(methods()) if text == "all" else [text])]
    entries = [get_method(name) for name in names]
    rows = []
    n_bad = 0
    try:
        for entry in entries:
            if format_ == "table":
                sys.stdout.write(f"{entry.name} ({entry.card.title}, {entry.module})\n")
            for result in run_checks(entry, split_list(only)):
                n_bad += result.is_bad
                rows.append({"method": entry.name, **result.to_dict()})
                if format_ == "table":
                    where = f" [{result.task}]" if result.task else ""
                    # JSON has the whole message
                    more = f": {printable(result.message.strip().splitlines()[0])}" if result.message.strip() else ""
                    sys.stdout.write(f"  {result.status:<15} {result.check}{where} ({result.seconds:.1f} s){more}\n")
                    sys.stdout.flush()
    finally:
        abort_all()
    if format_ == "json":
        print_json(rows)
    else:
        counts = ", ".join(
            f"{sum(r['status'] == s for r in rows)} {s}" for s in dict.fromkeys(r["status"] for r in rows)
        )
        sys.stdout.write(f"{len(rows)} checks: {counts}\n")
    if n_bad:
        raise GateFailed(f"{n_bad} checks failed")
