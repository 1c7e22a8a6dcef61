"""`bench artefacts`: cached results of meta-training."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from benchbench.cli.common import FormatOption, names_something, print_json, print_table, split_list
from benchbench.errors import InputError, UnknownNameError

__all__ = ["artefacts_list", "artefacts_remove"]

MethodOption = Annotated[
    list[str] | None,
    typer.Option("--method", help="Only artefacts of these methods; comma-separated.", callback=names_something),
]


def artefacts_list(method: MethodOption = None, format_: FormatOption = "table") -> None:
    """List cached results of meta-training.

    Tasks that share meta-training are trained once.
    """
    rows = [_row(entry) for entry in _chosen(method)]
    if format_ == "json":
        print_json(rows)
        return
    if not rows:
        sys.stdout.write("No artefacts. Methods that share meta-training between tasks store them.\n")
        return
    headers = [
        "artefact",
        "method",
        "preset",
        "iterations",
        "seed",
        "trained on",
        "took",
        "MiB",
        "made (UTC)",
        "notes",
    ]
    print_table(headers, [_cells(row) for row in rows], right=(3, 4, 6, 7))
    total = sum(row["bytes"] for row in rows) / 2**20
    sys.stdout.write(f"{len(rows)} artefacts, {total:.1f} MiB\n")


def artefacts_remove(
    keys: Annotated[list[str] | None, typer.Argument(help="Artefacts, by name or the beginning of it.")] = None,
    method: MethodOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Remove every artefact.")] = False,
    format_: FormatOption = "table",
) -> None:
    """Remove artefacts; the next trial trains again."""
    from benchbench.artefacts import remove

    given = [
        what for what, is_given in (("names of artefacts", keys), ("--method", method), ("--all", all_)) if is_given
    ]
    if not given:
        raise InputError("nothing to remove is named; give names of artefacts, --method or --all")
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} are mutually exclusive; give one of them")
    found = _chosen(method)
    if keys:
        unknown = [key for key in keys if sum(entry.key.startswith(key) for entry in found) != 1]
        if unknown:
            raise InputError(
                f"no single artefact has a name that begins with: {', '.join(unknown)}; list them with `bench artefacts list`"
            )
        found = [entry for entry in found if entry.key.startswith(tuple(keys))]
    for entry in found:
        remove(entry)
    if format_ == "json":
        print_json([_row(entry) for entry in found])
        return
    sys.stdout.write(f"removed {len(found)} artefacts, {sum(e.n_bytes for e in found) / 2**20:.1f} MiB\n")


def _chosen(methods: list[str] | None) -> list[Any]:
    """Return the artefacts of the named methods; all artefacts if none is named.

    Raises
    ------
    UnknownNameError
        If neither a method nor an artefact has that method name. Artefacts of methods that no
        longer exist can still be removed.
    """
    from benchbench.artefacts import entries
    from benchbench.registry import methods as known_methods

    names, found = split_list(methods), list(entries())
    if unknown := set(names) - {entry.method for entry in found}:
        known = {*known_methods(), *(entry.method for entry in found)}
        for name in names:
            if name in unknown - known:
                raise UnknownNameError("method", name, known, "List them with: bench list methods")
    return [entry for entry in found if not names or entry.method in names]


def _row(entry: Any) -> dict[str, Any]:
    return {
        "artefact": entry.key,
        "method": entry.method,
        "seconds": entry.seconds,
        "bytes": entry.n_bytes,
        "created_at": entry.created_at,
        "path": str(entry.path),
        "unfinished": entry.is_unfinished,
        "problem": entry.problem,
        "made_of": dict(entry.made_of),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    made_of = row["made_of"]
    return [
        row["artefact"][:10],
        row["method"],
        str(made_of.get("preset", "")),
        str(made_of.get("iterations", "")),
        str(made_of.get("seed", "")),
        ", ".join(f"{name} {value}" for name, value in made_of.get("training_key", {}).items()),
        f"{row['seconds']:.1f} s",
        f"{row['bytes'] / 2**20:.1f}",
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row["created_at"])) if row["created_at"] else "",
        row["problem"] or ("unfinished; training resumes from it" if row["unfinished"] else ""),
    ]
