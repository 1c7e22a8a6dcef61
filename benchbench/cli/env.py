"""`bench env`: environments of methods whose dependencies conflict with those of others."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import FormatOption, print_json, print_table, split_list
from benchbench.errors import EnvironmentBuildError, InputError

if TYPE_CHECKING:
    from benchbench.registry import MethodEntry

__all__ = ["env_build", "env_list", "env_remove", "env_verify"]

MethodsArgument = Annotated[
    list[str] | None, typer.Argument(help="Methods; default: all that have an environment of their own.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


def env_build(
    methods: MethodsArgument = None,
    again: Annotated[bool, typer.Option("--again", help="Rebuild existing environments.")] = False,
    quiet: QuietOption = False,
    format_: FormatOption = "table",
) -> None:
    """Build environments before trials need them.

    Works offline if uv has the packages in its cache. Continues after a failure, reports all
    failures at the end, and exits with code 1.
    """
    from benchbench.cli.run import interruptible
    from benchbench.execution import environments

    rows, done = [], set()
    with interruptible():
        for entry in _chosen(methods):
            needed = environments.wanted(entry)
            try:
                # two methods may share one
                environments.build(needed, _silent if quiet else _say, again=again and needed.folder not in done)
                done.add(needed.folder)
                rows.append(_row(entry))
            except EnvironmentBuildError as error:
                rows.append(_row(entry) | {"state": "failed", "problem": str(error)})
            except KeyboardInterrupt:
                _say("interrupted; run the same command to continue")
                raise typer.Exit(130) from None
    _show(rows, format_)


def env_list(methods: MethodsArgument = None, format_: FormatOption = "table") -> None:
    """List environments, used and unused, with state and size."""
    rows = [_row(entry) for entry in _chosen(methods)]
    if not methods:
        rows += [_environment_row(found, "unused") for found in _unused()]
    _show(rows, format_, gate=False)


def env_verify(methods: MethodsArgument = None, format_: FormatOption = "table") -> None:
    """Verify installed packages, and import the adapters.

    Versions are compared with the pins, and files with their recorded sizes. Exit code 1 if
    anything is missing or wrong.
    """
    rows = []
    for entry in _chosen(methods):
        row = _row(entry)
        problems = _problems(entry) if row["state"] == "ready" else [row["problem"] or "not built"]
        rows.append(row | {"state": "wrong" if problems else "verified", "problem": "\n".join(problems)})
    _show(rows, format_)


def env_remove(
    methods: Annotated[list[str] | None, typer.Argument(help="Methods whose environments are removed.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Remove every environment.")] = False,
    unused: Annotated[bool, typer.Option("--unused", help="Remove those that no method needs any more.")] = False,
    format_: FormatOption = "table",
) -> None:
    """Remove environments.

    The next trial that needs one rebuilds it.
    """
    from benchbench.execution import environments

    if sum(map(bool, (methods, all_, unused))) != 1:
        raise InputError("nothing to remove is named; give one of: methods, --unused, --all")
    if methods:
        folders = {environments.wanted(entry).folder for entry in _chosen(methods)}
        found = [environment for environment in environments.entries() if environment.folder in folders]
    else:
        found = list(environments.entries()) if all_ else _unused()
    for environment in found:
        environments.remove(environment)
    if format_ == "json":
        print_json([_environment_row(environment, "removed") for environment in found])
        return
    sys.stdout.write(f"removed {len(found)} environments, {sum(e.n_bytes for e in found) / 2**20:.0f} MiB\n")


def _chosen(methods: list[str] | None) -> list[MethodEntry]:
    from benchbench.registry import get_method
    from benchbench.registry import methods as all_methods

    if methods:
        return [get_method(name) for name in split_list(methods)]
    return [entry for _, entry in sorted(all_methods().items()) if entry.card.requirements]


def _unused() -> list[Any]:
    from benchbench.execution import environments

    used = set()
    for entry in _chosen(None):
        try:
            used.add(environments.wanted(entry).folder)
        except InputError:
            # reported when the method itself is named
            continue
    return [environment for environment in environments.entries() if environment.folder not in used]


def _problems(entry: MethodEntry) -> list[str]:
    from benchbench.execution import environments
    from benchbench.execution.remote.adapters import probe
    from benchbench.execution.remote.interpreter import InterpreterDiedError, RemoteError

    needed = environments.wanted(entry)
    found = environments.find(needed)
    if found is None:
        return ["not built"]
    problems = environments.differences(needed, found)
    try:
        probe(entry, found.python)
    except (RemoteError, InterpreterDiedError, OSError) as error:
        problems.append(f"the adapter cannot be imported there: {type(error).__name__}: {error}")
    return problems


def _row(entry: MethodEntry) -> dict[str, Any]:
    from benchbench.execution import environments

    needed = environments.wanted(entry)
    found = environments.find(needed)
    damaged = [e for e in environments.entries() if e.folder == needed.folder and e.problem]
    problem = damaged[0].problem if damaged else "" if found else environments.last_failure(needed)
    state = "ready" if found else "damaged" if damaged else "failed" if problem else "not built"
    return {
        "method": entry.name,
        "environment": needed.name,
        "key": needed.key,
        "state": state,
        "packages": len(needed.pins),
        "bytes": found.n_bytes if found else 0,
        "seconds": found.seconds if found else None,
        "created_at": found.created_at if found else None,
        "folder": str(needed.folder),
        "problem": problem,
    }


def _environment_row(found: Any, state: str) -> dict[str, Any]:
    return {
        "method": "",
        "environment": found.name,
        "key": found.key,
        "state": state,
        "packages": len(found.versions),
        "bytes": found.n_bytes,
        "seconds": found.seconds,
        "created_at": found.created_at,
        "folder": str(found.folder),
        "problem": found.problem,
    }


def _show(rows: list[dict[str, Any]], format_: str, gate: bool = True) -> None:
    """Print the rows; if `gate`, exit with code 1 if one has a problem."""
    if format_ == "json":
        print_json(rows)
    else:
        headers = ["method", "environment", "key", "state", "packages", "MiB", "took", "built (UTC)"]
        print_table(headers, [_cells(row) for row in rows], right=(4, 5, 6))
        for row in rows:
            if row["problem"] and row["state"] != "unused":
                sys.stdout.write(f"\n{row['method']}: {row['problem']}\n")
    if gate and any(row["problem"] for row in rows):
        raise typer.Exit(1)


def _cells(row: dict[str, Any]) -> list[str]:
    made = row["created_at"]
    return [
        row["method"],
        row["environment"],
        row["key"][:10],
        row["state"],
        str(row["packages"]),
        f"{row['bytes'] / 2**20:.0f}" if row["bytes"] else "",
        f"{row['seconds']:.1f} s" if row["seconds"] else "",
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(made)) if made else "",
    ]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _silent(line: str) -> None:
    return
