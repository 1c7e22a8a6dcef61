"""`bench artefacts`: what meta-training has left in the cache."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from benchbench.cli.common import FormatOption, check_format, names_something, print_json, print_table, split_list
from benchbench.errors import InputError, UnknownNameError

__all__ = ["artefacts_list", "artefacts_remove"]

MethodOption = Annotated[
    list[str] | None,
    typer.Option("--method", help="Only of these methods; comma-separated.", callback=names_something),
]


def artefacts_list(method: MethodOption = None, format_: FormatOption = "table") -> None:
    """List what was learnt once and is taken over by every trial that would learn the same."""
    check_format(format_)
    rows = [_row(entry) for entry in _chosen(method)]
    if format_ == "json":
        print_json(rows)
        return
    if not rows:
        sys.stdout.write("No artefacts. Trials whose method shares its training make them.\n")
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
    keys: Annotated[list[str] | None, typer.Argument(help="Artefacts, or the beginnings of their names.")] = None,
    method: MethodOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Remove every artefact.")] = False,
) -> None:
    """Remove artefacts, so that the next trial trains anew."""
    from benchbench.artefacts import remove

    given = [
        what for what, is_given in (("names of artefacts", keys), ("--method", method), ("--all", all_)) if is_given
    ]
    if not given:
        raise InputError("say what to remove: names of artefacts, or --method, or --all")
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other; give one of them")
    found = _chosen(method)
    if keys:
        unknown = [key for key in keys if sum(entry.key.startswith(key) for entry in found) != 1]
        if unknown:
            raise InputError(
                f"not the beginning of exactly one artefact: {', '.join(unknown)}; see `bench artefacts list`"
            )
        found = [entry for entry in found if entry.key.startswith(tuple(keys))]
    for entry in found:
        remove(entry)
    sys.stdout.write(f"removed {len(found)} artefacts, {sum(e.n_bytes for e in found) / 2**20:.1f} MiB\n")


def _chosen(methods: list[str] | None) -> list[Any]:
    """Return the artefacts of those methods, or all.

    Raises
    ------
    UnknownNameError
        If there is neither a method of that name nor an artefact of one: those of methods that are gone can be removed, too.
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
        row["problem"] or ("unfinished, goes on from there" if row["unfinished"] else ""),
    ]
