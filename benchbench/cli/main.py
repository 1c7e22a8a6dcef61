"""The entry point of `bench`: registers the commands, turns errors into messages and exit codes.

Exit codes: 0 done, 1 the platform failed, 2 bad input, 3 a gate failed, 130 interrupted (the same
command resumes), 141 the reader of the output has closed it.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from benchbench import __version__
from benchbench.cli import (
    anytime,
    artefacts,
    attempt,
    check,
    dashboard,
    data,
    env,
    history,
    leaderboard,
    listing,
    orderings,
    plot,
    regressions,
    reproduction,
    results,
    run,
    sample,
    score,
    site,
    tabulate,
    versus,
)
from benchbench.errors import BenchbenchError, BrokenPluginWarning, InputError, MissingPackageError
from benchbench.extras import remedy
from benchbench.text import printable

__all__ = ["FORMER_COMMANDS", "FORMER_OPTIONS", "PANELS", "app", "main"]

FORMER_COMMANDS = {
    "compare": "regressions",
    "compare-methods": "versus",
    "publish": "site",
    "published": "reproduction",
    "runs": "history",
    "show": "attempt",
}
"""Former names of commands and what they are called now; kept as hidden aliases for one release."""
FORMER_OPTIONS = {"profile": "preset"}
"""The same for options, without their dashes."""

RUN, READ, CHECK, SHARE, MAINTAIN = PANELS = ("Run", "Read results", "Check results", "Share results", "Maintain")
"""Headings of `bench --help`, by what a user does."""

READER_LEFT = 141
"""The exit code of a process that dies of SIGPIPE.

Not 0: a gate whose output was cut off has not been seen to pass.
"""

WIDEST_HELP = 60
"""Columns of a command's description in `bench --help`."""

_PLAIN = "benchbench.plain"
_PLAINLY = {"±": "+-", "≥": ">=", "→": "->"}


class _Printable(io.TextIOWrapper):
    """A standard stream on which names and messages from outside cannot steer the terminal."""

    def __init__(self, stream: io.TextIOWrapper, errors: str) -> None:
        super().__init__(stream.buffer, stream.encoding, errors, line_buffering=stream.line_buffering)
        # which would close the buffer at its end
        self._stream = stream

    def write(self, text: str, /) -> int:
        return super().write(printable(text, keep_lines=True))


class _Commands(TyperGroup):
    """The commands, under headings.

    A number that cannot be read, or is out of range, is reported with what was given, which typer
    does not do.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for panel in PANELS:
            shown = [(n, c) for n, c in self.commands.items() if getattr(c, "rich_help_panel", None) == panel]
            with formatter.section(panel):
                formatter.write_dl([(name, command.get_short_help_str(WIDEST_HELP)) for name, command in shown])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        found = super().resolve_command(ctx, args)
        if args[0] in FORMER_COMMANDS and _is_terminal():
            sys.stderr.write(f"note: `bench {args[0]}` is called `bench {FORMER_COMMANDS[args[0]]}` now\n")
        return found

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            message = _bad_number(error)
            if not message:
                raise
            raise InputError(message) from error


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _bad_number(error: typer.BadParameter) -> str:
    """Return the expected number and what was given; empty if the error concerns something else."""
    # typer reads values with pydantic
    details: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    option = error.param
    if not details or option is None:
        return ""
    least, most = getattr(option, "min", None), getattr(option, "max", None)
    kind, given = details[0]["type"], details[0]["input"]
    if kind.startswith("int") or isinstance(least, int):
        number = "a whole number"
    elif kind.startswith("float") or least is not None:
        number = "a number"
    else:
        return ""
    if least is not None:
        number += f" of {least:g} or more" if most is None else f" from {least:g} to {most:g}"
    got = repr(given) if kind.endswith("_parsing") else given
    return f"{option.opts[0]} expects {number}, got {got}"


app = typer.Typer(
    name="bench",
    cls=_Commands,
    help="Benchmark meta-learning and AutoML methods, and read the results as leaderboards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    # typer looks here for a command or an option that it does not find
    context_settings={"token_normalize_func": lambda name: (FORMER_COMMANDS | FORMER_OPTIONS).get(name, name)},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"benchbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def _group(name: str, help_: str, panel: str, commands: Mapping[str, Callable[..., None]]) -> None:
    """Add a command that holds others."""
    group = typer.Typer(help=help_, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
    for inner, function in commands.items():
        group.command(inner)(function)
    app.add_typer(group, name=name, rich_help_panel=panel)


app.command("list", rich_help_panel=RUN)(listing.list_things)
app.command("check", rich_help_panel=RUN)(check.check)
app.command("run", rich_help_panel=RUN)(run.run)
app.command("tabulate", rich_help_panel=RUN)(tabulate.tabulate)
app.command("sample", rich_help_panel=RUN)(sample.sample)
app.command("leaderboard", rich_help_panel=READ)(leaderboard.leaderboard)
app.command("versus", rich_help_panel=READ)(versus.versus)
app.command("anytime", rich_help_panel=READ)(anytime.anytime)
app.command("plot", rich_help_panel=READ)(plot.plot)
app.command("dashboard", rich_help_panel=READ)(dashboard.dashboard)
app.command("history", rich_help_panel=READ)(history.history)
app.command("attempt", rich_help_panel=READ)(attempt.attempt)
app.command("regressions", rich_help_panel=CHECK)(regressions.regressions)
app.command("reproduction", rich_help_panel=CHECK)(reproduction.reproduction)
app.command("orderings", rich_help_panel=CHECK)(orderings.orderings)
app.command("score", rich_help_panel=CHECK)(score.score)
app.command("site", rich_help_panel=SHARE)(site.site)
_group(
    "results",
    "Export, import or merge results.",
    SHARE,
    {
        "export": results.results_export,
        "import": results.results_import,
        "list": results.results_list,
        "merge": results.results_merge,
        "remove": results.results_remove,
    },
)
_group(
    "data",
    "Fetch, list or verify the data of suites.",
    MAINTAIN,
    {"fetch": data.data_fetch, "list": data.data_list, "verify": data.data_verify},
)
_group(
    "env",
    "Build, list, remove or verify the environments of methods.",
    MAINTAIN,
    {"build": env.env_build, "list": env.env_list, "remove": env.env_remove, "verify": env.env_verify},
)
_group(
    "artefacts",
    "List or remove cached results of meta-training.",
    MAINTAIN,
    {"list": artefacts.artefacts_list, "remove": artefacts.artefacts_remove},
)


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.stderr is None:  # closed: nobody wants the messages
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    warnings.showwarning = _show_warning
    codecs.register_error(_PLAIN, _in_plain_letters)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _Printable(sys.stdout, _PLAIN)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _Printable(sys.stderr, "backslashreplace")
    try:
        code = _run()
    except BenchbenchError as error:
        sys.stderr.write(f"error: {error}\n")
        code = error.exit_code
    except ModuleNotFoundError as error:
        code = _missing(error)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _missing(error: ModuleNotFoundError) -> int:
    """Say how a package that not everybody needs is installed; any other one is a bug."""
    told = remedy(error)
    if not told:
        raise error
    sys.stderr.write(f"error: this needs {error.name}; {told}\n")
    return MissingPackageError.exit_code


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Replace letters that the output encoding lacks, so that no traceback interrupts a table."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAINLY.get(letter, "?") for letter in lacking), error.end


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show what concerns the user's own files in one line, and other warnings as Python does."""
    out = sys.stderr if file is None else file
    if issubclass(category, BrokenPluginWarning):
        out.write(f"warning: {message}\n")
    else:
        out.write(warnings.formatwarning(message, category, filename, lineno, line))


def _run() -> int:
    """Run the command line and return its exit code.

    Raises
    ------
    BenchbenchError
        What a command says, or that its output has nowhere to go.
    """
    out = sys.stdout
    if out is None:
        raise InputError("standard output is closed; send it to /dev/null if you do not want it")
    code = 0
    try:
        try:
            app()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        # typer replaces stdout when the reader of the pipe (head, less) has closed it
        if sys.stdout is not out:
            raise BrokenPipeError
        out.flush()
    except OSError as error:
        is_gone = isinstance(error, BrokenPipeError)
        if not is_gone and _is_writable(out):
            raise
        # Python must not complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        if is_gone:
            return READER_LEFT
        raise BenchbenchError(f"cannot write to standard output: {error.strerror}") from error
    return code


def _is_writable(out: TextIO) -> bool:
    try:
        out.write("\n")
        out.flush()
    except OSError:
        return False
    return True
