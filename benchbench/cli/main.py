"""The entry point of `bench`: registers the commands, turns errors into messages and exit codes.

Exit codes: 0 done, 1 the platform failed, 2 bad input, 3 a gate failed, 130 interrupted (the same command resumes), 141 who read the
output has left.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from benchbench import __version__
from benchbench.cli import (
    anytime,
    artefacts,
    check,
    compare,
    compare_methods,
    dashboard,
    data,
    env,
    leaderboard,
    listing,
    orderings,
    plot,
    publish,
    published,
    results,
    run,
    runs,
    sample,
    show,
    tabulate,
)
from benchbench.errors import BenchbenchError, BrokenPluginWarning, InputError

__all__ = ["app", "main"]

READER_LEFT = 141
"""As of what dies of SIGPIPE: not 0, since a gate whose output was cut off has not been seen to pass."""

_PLAIN = "benchbench.plain"
_PLAINLY = {"±": "+-", "≥": ">=", "→": "->"}


class _Commands(TyperGroup):
    """The commands; of a number that cannot be read, or is out of range, they say what was got, which typer does not."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            message = _bad_number(error)
            if not message:
                raise
            raise InputError(message) from error


def _bad_number(error: typer.BadParameter) -> str:
    """Return what a number was expected to be and what was got; empty if the error is of something else."""
    # of pydantic, with which typer reads values
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
    help="Benchmark methods that learn how to learn, and read honest leaderboards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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


def _group(help_: str) -> typer.Typer:
    """Return a command that holds others."""
    return typer.Typer(help=help_, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


app.command("run")(run.run)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("list")(listing.list_things)
app.command("runs")(runs.runs)
app.command("show")(show.show)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("compare-methods")(compare_methods.compare_methods)
app.command("plot")(plot.plot)
app.command("publish")(publish.publish)
app.command("published")(published.published)
app.command("anytime")(anytime.anytime)
app.command("tabulate")(tabulate.tabulate)
app.command("orderings")(orderings.orderings)
app.command("dashboard")(dashboard.dashboard)
app.command("sample")(sample.sample)
results_app = _group("Move results between databases.")
results_app.command("export")(results.results_export)
results_app.command("import")(results.results_import)
results_app.command("merge")(results.results_merge)
app.add_typer(results_app, name="results")
artefacts_app = _group("List or remove what meta-training has left in the cache.")
artefacts_app.command("list")(artefacts.artefacts_list)
artefacts_app.command("remove")(artefacts.artefacts_remove)
app.add_typer(artefacts_app, name="artefacts")
data_app = _group("Fetch, list or check the data of suites.")
data_app.command("fetch")(data.data_fetch)
data_app.command("list")(data.data_list)
data_app.command("verify")(data.data_verify)
app.add_typer(data_app, name="data")
env_app = _group("Build, list, remove or verify the environments that methods have of their own.")
env_app.command("build")(env.env_build)
env_app.command("list")(env.env_list)
env_app.command("remove")(env.env_remove)
env_app.command("verify")(env.env_verify)
app.add_typer(env_app, name="env")


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.stderr is None:  # closed: nobody wants the messages
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(_PLAIN, _in_plain_letters)
        sys.stdout.reconfigure(errors=_PLAIN)
    try:
        code = _run()
    except BenchbenchError as error:
        sys.stderr.write(f"error: {error}\n")
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Say otherwise what the encoding of the output lacks: half a board and a traceback help nobody."""
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
        if sys.stdout is not out:  # typer silences what is written to a pipe whose reader (head, less) has left
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
