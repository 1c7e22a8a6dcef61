"""`bench runs`: what was run, and the attempts of one run."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from benchbench.cli.common import DbOption, FormatOption, check_format, db_path, print_json, print_table
from benchbench.errors import InputError

__all__ = ["runs"]


def runs(
    run: Annotated[str | None, typer.Argument(help="A run (or the beginning of its id): lists its attempts.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many runs.")] = 20,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """List the runs, newest first, or the attempts of one."""
    from benchbench.results.store import Store

    check_format(format_)
    store = Store(db_path(db))
    if run is None:
        _list_runs(store.runs(limit) if store.exists() else [], format_)
        return
    known = [r["run_id"] for r in store.runs()]
    found = [r for r in known if r.startswith(run)]
    if len(found) != 1:
        what = f"{len(found)} runs have" if found else "no run has"
        raise InputError(f"{what} an id that begins with {run!r}; `bench runs` lists them")
    rows = store.attempts_of_run(found[0])
    if format_ == "json":
        print_json(rows)
        return
    headers = ["attempt", "method", "task", "seed", "try", "outcome", "score", "seconds", "error"]
    cells = [_attempt_cells(r) for r in rows]
    used = sum(max(len(row[i]) for row in [headers, *cells]) + 2 for i in range(8))
    room = max(_columns() - used, 24)
    for row in cells:
        row[8] = row[8] if len(row[8]) <= room else row[8][: room - 3] + "..."
    print_table(headers, cells, right=(3, 4, 6, 7))


def _list_runs(rows: list[dict[str, Any]], format_: str) -> None:
    if format_ == "json":
        print_json(rows)
        return
    if not rows:
        sys.stdout.write("No runs yet. Make one: bench run --suite fewshot\n")
        return
    headers = ["run", "suite", "preset", "state", "trials began (UTC)", "trials took", "attempts", "host"]
    cells = [_run_cells(r) for r in rows]
    if _columns() < 110:
        # what the id begins with, and what is most often one machine
        headers, *cells = [[c for i, c in enumerate(row) if i not in (4, 7)] for row in (headers, *cells)]
    print_table(headers, cells)


def _columns() -> int:
    """Return the room for a line: the terminal's width, and plenty in a file or a pipe."""
    from benchbench.cli.tables import terminal_width

    return terminal_width() or 200


def _run_cells(row: dict[str, Any]) -> list[str]:
    counts = ", ".join(f"{n} {outcome}" for outcome, n in row["outcomes"].items())
    return [
        row["run_id"],
        row["suite"],
        row["preset"],
        row["state"],
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row["started_at"])),
        "" if row["ended_at"] is None else f"{row['ended_at'] - row['started_at']:.0f} s",
        f"{counts or 'none'} of {row['n_trials']}",
        row["host"],
    ]


def _attempt_cells(row: dict[str, Any]) -> list[str]:
    from benchbench.stats.labels import method_label

    lines = f"{row['error_type']}: {row['error_message']}".removeprefix(": ").strip().splitlines()
    text = lines[0] if lines else ""
    return [
        row["attempt_id"][:10],
        method_label(row["method"], row["params"]),
        row["task"],
        str(row["seed"]),
        str(row["try_number"]),
        row["outcome"],
        "" if row["score"] is None else f"{row['score']:.4f}",
        f"{row['seconds']:.1f}",
        text,
    ]
