"""What the commands share: options, names of formats, splitting of lists, output."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.errors import InputError

if TYPE_CHECKING:
    from benchbench.suite_files import SuiteSpec, TaskSpec

__all__ = [
    "CONDITIONS",
    "FORMATS",
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
    "format_option",
    "in_words",
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
"""What distinguishes trials besides method, task and seed, with its name for readers.

Shown in every row where rows differ in it.
"""
FORMATS = ("table", "json", "csv", "markdown", "latex", "html")
"""The names of output formats; each command offers some of them."""
_FORMER_FORMATS = {"md": "markdown", "text": "table"}


def names_something(param: typer.CallbackParam, value: list[str] | None) -> list[str] | None:
    """Refuse an option whose value names nothing, as that of an unset variable does."""
    if value and not split_list(value):
        got = ", ".join(map(repr, value))
        raise InputError(f"{param.opts[0]} expects at least one {param.name}, got {got}; omit the option to choose all")
    return value


def check_format(name: str, offered: Sequence[str]) -> str:
    """Return the name in `FORMATS` of a format that a command offers; "md" and "text" are aliases.

    Raises
    ------
    InputError
        If the command does not offer it.
    """
    found = _FORMER_FORMATS.get(name, name)
    if found not in offered:
        raise InputError(f"--format expects {in_words(offered)}, got {name!r}")
    return found


def in_words(names: Sequence[str]) -> str:
    """Return names as a choice: "table, json or csv"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def format_option(*offered: str, note: str = "") -> Any:
    """Return a `--format` option; the command receives one of the names offered.

    Parameters
    ----------
    *offered : str
        Names in `FORMATS`.
    note : str
        A sentence on a format, for the help.
    """

    def chosen(value: str) -> str:
        return check_format(value, offered)

    text = f"Output format: {in_words(offered)}.{f' {note}' if note else ''}"
    return typer.Option("--format", help=text, callback=chosen)


DbOption = Annotated[
    Path | None,
    typer.Option("--db", envvar="BENCHBENCH_DB", help="Results database; default: .benchbench/benchbench.duckdb."),
]
FormatOption = Annotated[str, format_option("table", "json")]
SuiteOption = Annotated[str, typer.Option("--suite", help="Suite name, or path to a suite's .toml file.")]
TasksOption = Annotated[
    list[str] | None, typer.Option("--task", help="Only these tasks; comma-separated.", callback=names_something)
]
MethodsOption = Annotated[
    list[str] | None, typer.Option("--method", help="Only these methods; comma-separated.", callback=names_something)
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", help="Preset (budget); default: that of the newest results.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Device: cpu or cuda.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", help="CPU threads per trial.")]
ImputeOption = Annotated[
    str,
    typer.Option(
        "--impute", help="How failed trials are imputed: baseline, baseline=NAME, amlb=NAME, worst, none or drop-task."
    ),
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option("--filter", help="KEY=VALUE: track, tag, family, year, transductive, hardware, ...; repeatable."),
]


def db_path(chosen: Path | None) -> Path:
    """Return the chosen database, or the default one."""
    from benchbench.paths import default_db

    return chosen.expanduser() if chosen is not None else default_db()


def split_list(texts: Iterable[str] | None) -> list[str]:
    """Split repeated and comma-separated values; commas inside brackets and quotes do not count.

    Letters are composed, as those of stored names are.

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
    return [unicodedata.normalize("NFC", item.strip()) for item in items if item.strip()]


def chosen_tasks(suite: SuiteSpec, texts: Iterable[str] | None) -> list[TaskSpec]:
    """Return the named tasks of a suite; all tasks if none is named.

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
    """Print JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, allow_nan=False) + "\n")


def print_table(headers: list[str], rows: list[list[str]], right: Iterable[int] = ()) -> None:
    """Print a table as plain text; columns in `right` are right-aligned."""
    flush = set(right)
    widths = [max(len(str(r[i])) for r in [headers, *rows]) for i in range(len(headers))]
    for row in [headers, ["-" * w for w in widths], *rows]:
        cells = [
            str(c).rjust(w) if i in flush else str(c).ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
