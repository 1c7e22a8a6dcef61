"""What the commands share: options, splitting of lists, output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.errors import InputError

if TYPE_CHECKING:
    from benchbench.suite_files import SuiteSpec, TaskSpec

__all__ = [
    "CONDITIONS",
    "DbOption",
    "DeviceOption",
    "FilterOption",
    "FormatOption",
    "ImputeOption",
    "MethodsOption",
    "PresetOption",
    "SuiteOption",
    "TasksOption",
    "ThreadsOption",
    "check_format",
    "chosen_tasks",
    "db_path",
    "names_something",
    "print_json",
    "print_table",
    "split_list",
]


CONDITIONS = {
    "suite": "suite",
    "preset": "preset",
    "threads": "threads",
    "device": "device",
    "protocol_version": "protocol",
}
"""What trials are told apart by besides method, task and seed, as a reader calls it: shown row by row where rows differ in it."""


def names_something(param: typer.CallbackParam, value: list[str] | None) -> list[str] | None:
    """Refuse an option that is there but names nothing, as with an unset variable: it does not mean everything."""
    if value and not split_list(value):
        got = ", ".join(map(repr, value))
        raise InputError(
            f"{param.opts[0]} names no {param.name}, got {got}; leave the option out if you do not want to choose"
        )
    return value


DbOption = Annotated[
    Path | None,
    typer.Option("--db", envvar="BENCHBENCH_DB", help="Results database; default .benchbench/benchbench.duckdb here."),
]
FormatOption = Annotated[str, typer.Option("--format", help="table or json.")]
SuiteOption = Annotated[str, typer.Option("--suite", help="Suite name, or a path to a suite's .toml file.")]
# which of the recorded trials a command shows
TasksOption = Annotated[list[str] | None, typer.Option("--task", help="Only these tasks.", callback=names_something)]
MethodsOption = Annotated[
    list[str] | None, typer.Option("--method", help="Only these methods.", callback=names_something)
]
PresetOption = Annotated[str | None, typer.Option("--preset", help="Budget; default: that of the newest results.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu or cuda.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", help="CPU threads a trial.")]
ImputeOption = Annotated[
    str,
    typer.Option("--impute", help="What stands for failures: baseline, baseline=NAME, worst, none; or drop-task."),
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option("--filter", help="KEY=VALUE: track, tag, family, year, transductive, hardware, ... (repeatable)."),
]


def db_path(chosen: Path | None) -> Path:
    """Return the chosen database, or the default one."""
    from benchbench.paths import default_db

    return chosen.expanduser() if chosen is not None else default_db()


def check_format(name: str, allowed: Iterable[str] = ("table", "json")) -> str:
    """Return the format if it is one of those allowed, else raise `InputError`."""
    allowed = tuple(allowed)
    if name not in allowed:
        raise InputError(f"unknown format {name!r}; expected {', '.join(allowed)}")
    return name


def split_list(texts: Iterable[str] | None) -> list[str]:
    """Split repeated and comma-separated values; commas inside brackets and quotes do not count.

    ``["maml(inner_lr=0.1,first_order=True),protonet", "pixel_nn"]`` gives three items.
    """
    items: list[str] = []
    for text in texts or ():
        depth, quote, start = 0, "", 0
        for i, c in enumerate(text):
            if quote:
                quote = "" if c == quote else quote
            elif c in "'\"":
                quote = c
            elif c in "([{":
                depth += 1
            elif c in ")]}":
                depth -= 1
            elif c == "," and depth == 0:
                items.append(text[start:i])
                start = i + 1
        items.append(text[start:])
    return [item.strip() for item in items if item.strip()]


def chosen_tasks(suite: SuiteSpec, texts: Iterable[str] | None) -> list[TaskSpec]:
    """Return the tasks of a suite that are named, all of them if none is.

    Raises
    ------
    UnknownNameError, InputError
        If there is no such task, or one is named twice.
    """
    names = split_list(texts)
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"task {name!r} is named more than once")
    return [suite.task(name) for name in names] if names else list(suite.tasks)


def print_json(value: Any) -> None:
    """Print JSON on standard output, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, allow_nan=False) + "\n")


def print_table(headers: list[str], rows: list[list[str]], right: Iterable[int] = ()) -> None:
    """Print an aligned table as plain text; columns in `right` are flushed right."""
    flush = set(right)
    widths = [max(len(str(r[i])) for r in [headers, *rows]) for i in range(len(headers))]
    for row in [headers, ["-" * w for w in widths], *rows]:
        cells = [
            str(c).rjust(w) if i in flush else str(c).ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
