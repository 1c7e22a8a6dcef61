"""`bench history`: past runs, and the attempts of one run."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any

import typer

from benchbench.cli.common import CONDITIONS, DbOption, FormatOption, db_path, print_json, print_table
from benchbench.cli.terminal import print_lines
from benchbench.errors import InputError
from benchbench.stats.labels import plural
from benchbench.text import printable

__all__ = ["history"]

_HEADERS = [
    "attempt",
    "method",
    "task",
    *CONDITIONS.values(),
    "seed",
    "try",
    "outcome",
    "metric",
    "score",
    "± 95 %",
    "n",
    "seconds",
    "error",
]
# omitted on a narrow terminal, the first one first
_EXPENDABLE = ("try", "seconds", "seed")
ROOM_FOR_ERRORS = 24


def history(
    run: Annotated[
        str | None, typer.Argument(help="Id of a run, or the beginning of it; lists the attempts of that run.")
    ] = None,
    remarks: Annotated[
        bool, typer.Option("--remarks", help="With RUN: show the remarks on trials that succeeded.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Number of runs to list.")] = 20,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """List past runs, newest first, or the attempts of one run."""
    from benchbench.results.store import Store

    store = Store(db_path(db))
    if run is None:
        if remarks:
            raise InputError("--remarks are of one run: name it, as in `bench history RUN --remarks`")
        _list_runs(store.runs(limit) if store.exists() else [], format_)
        return
    known = [r["run_id"] for r in store.runs()]
    found = [r for r in known if r.startswith(run)]
    if len(found) != 1:
        what = f"{len(found)} runs have" if found else "no run has"
        raise InputError(f"{what} an id that begins with {run!r}; list runs with `bench history`")
    rows, unprepared = store.attempts_of_run(found[0]), store.failed_preparations_of_run(found[0])
    if format_ == "json":
        print_json({"attempts": rows, "failed_preparations": unprepared})
        return
    _print_attempts(rows)
    _print_remarks(rows, in_full=remarks)
    _print_unprepared(unprepared)


def _print_remarks(rows: list[dict[str, Any]], *, in_full: bool) -> None:
    remarked = [r for r in rows if r["remarks"]]
    if remarked and not in_full:
        sys.stdout.write(f"\n{plural(len(remarked), 'attempt')} marked * with remarks: add --remarks to show them\n")
    elif in_full:
        sys.stdout.write("\nremarks\n" if remarked else "\nno attempt of this run has remarks\n")
        print_lines(
            [
                f"{r['attempt_id'][:10]}  {_label(r)} on {r['task']}, seed {r['seed']}: {printable('; '.join(r['remarks']))}"
                for r in remarked
            ]
        )


def _print_unprepared(failed: list[dict[str, Any]]) -> None:
    if failed:
        sys.stdout.write(f"\n{plural(len(failed), 'task')} could not be prepared\n")
        print_lines([printable(f"{p['task']}: {p['error_type']}: {p['error_message']}") for p in failed])


def _print_attempts(rows: list[dict[str, Any]]) -> None:
    from benchbench.cli.terminal import narrowed

    values = {name: {r[key] for r in rows} for key, name in CONDITIONS.items()}
    shared = [name for name, found in values.items() if len(found) < 2]
    # imported results may lack some of them
    facts = [f"{name} {value}" for name in shared for value in values[name] if value]
    if facts:
        sys.stdout.write(f"{', '.join(facts)}\n\n")
    cells = [_attempt_cells(r) for r in rows]
    # errors come last and take the remaining width
    others = [i for i, name in enumerate(_HEADERS[:-1]) if name not in shared]
    shown = narrowed(_HEADERS, cells, others, _EXPENDABLE, _columns() - ROOM_FOR_ERRORS - 2)
    used = sum(max(len(row[i]) for row in [_HEADERS, *cells]) + 2 for i in shown)
    room = max(_columns() - used, ROOM_FOR_ERRORS)
    for row in cells:
        row[-1] = row[-1] if len(row[-1]) <= room else row[-1][: room - 3] + "..."
    shown.append(len(_HEADERS) - 1)
    right = [
        at for at, i in enumerate(shown) if _HEADERS[i] in ("threads", "seed", "try", "score", "± 95 %", "n", "seconds")
    ]
    print_table([_HEADERS[i] for i in shown], [[row[i] for i in shown] for row in cells], right)


def _list_runs(rows: list[dict[str, Any]], format_: str) -> None:
    from benchbench.results.reader import is_quiet, state_text

    now = time.time()
    if format_ == "json":
        print_json([row | {"is_quiet": is_quiet(row, now)} for row in rows])
        return
    if not rows:
        sys.stdout.write("No runs yet. Start one with: bench run --suite fewshot\n")
        return
    headers = ["run", "suite", "preset", "state", "began (UTC)", "took", "attempts", "host"]
    cells = [_run_cells(r, state_text(r, now)) for r in rows]
    if _columns() < 110:
        # the id begins with the time, and the host is usually the same
        headers, *cells = [[c for i, c in enumerate(row) if i not in (4, 7)] for row in (headers, *cells)]
    print_table(headers, cells)
    if any(is_quiet(r, now) for r in rows):
        sys.stdout.write(
            "\nA run that has been silent for long may have been killed. Finished trials are recorded; run the same command "
            "for the rest.\n"
        )


def _columns() -> int:
    """Return the width of a line: that of the terminal, or 200 in a file or pipe."""
    from benchbench.cli.terminal import terminal_width

    return terminal_width() or 200


def _run_cells(row: dict[str, Any], state: str) -> list[str]:
    counts = ", ".join(f"{n} {outcome}" for outcome, n in row["outcomes"].items())
    return [
        row["run_id"],
        row["suite"],
        row["preset"],
        state,
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row["started_at"])),
        "" if row["ended_at"] is None else f"{row['ended_at'] - row['started_at']:.0f} s",
        f"{counts or 'none'} of {row['n_trials']}",
        row["host"],
    ]


def _label(row: dict[str, Any]) -> str:
    from benchbench.stats.labels import method_label

    return method_label(row["method"], json.dumps(row["params"]))


def _attempt_cells(row: dict[str, Any]) -> list[str]:
    half_width = row["ci95"]
    lines = f"{row['error_type']}: {row['error_message']}".removeprefix(": ").strip().splitlines()
    text = printable(lines[0]) if lines else ""
    return [
        row["attempt_id"][:10],
        _label(row),
        row["task"],
        *(str(row[key]) for key in CONDITIONS),
        str(row["seed"]),
        str(row["try_number"]),
        row["outcome"] + (" *" if row["remarks"] else ""),
        printable(row["metric"]),
        "" if row["score"] is None else f"{row['score']:.4f}",
        "" if half_width is None else f"{half_width:.4f}",
        "" if row["score"] is None or not row["n_units"] else _units(row["n_units"], row["unit"]),
        f"{row['seconds']:.1f}",
        text,
    ]


def _units(n: int, unit: str) -> str:
    return plural(n, unit) if unit else f"{n:,}"
