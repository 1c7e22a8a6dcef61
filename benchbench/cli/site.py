"""`bench site`: leaderboards as a static web site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchbench.cli.common import (
    DbOption,
    DeviceOption,
    FilterOption,
    FormatOption,
    ImputeOption,
    MethodsOption,
    PresetOption,
    ThreadsOption,
    db_path,
    print_json,
    split_list,
)
from benchbench.cli.leaderboard import find_suites, make_board, no_results
from benchbench.errors import InputError

__all__ = ["site"]


def site(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to create; a site in it is replaced.")],
    suite: Annotated[
        str, typer.Option("--suite", help="Suite, or several suites (comma-separated); all: those with results.")
    ] = "all",
    method: MethodsOption = None,
    where: FilterOption = None,
    preset: PresetOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    impute: ImputeOption = "baseline",
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Write leaderboards as a static web site.

    With tables, figures, a page per method and task, and downloads.
    """
    from benchbench.registry import methods as known_methods
    from benchbench.reports.site.writing import check_folder, write_site
    from benchbench.results.store import Store

    folder = folder.expanduser().absolute()
    check_folder(folder)
    store = Store(db_path(db))
    boards = []
    for spec in find_suites(suite, store):
        board = make_board(
            spec,
            store,
            preset=preset,
            device=device,
            threads=threads,
            methods=split_list(method),
            impute=impute,
            filters=where or (),
        )
        if board.rows:
            boards.append((spec, board))
        elif suite != "all":
            raise no_results(spec, board)
        else:
            sys.stderr.write(f"warning: {no_results(spec, board)}\n")
    if not boards:
        raise InputError("no suite has results that match the options")
    from benchbench.reports.site.build import build_site

    files = build_site(store, boards, {name: entry.card for name, entry in known_methods().items()})
    write_site(folder, files)
    n_pages = sum(name.endswith(".html") for name in files)
    names = [spec.name for spec, _ in boards]
    if format_ == "json":
        print_json({"folder": str(folder), "suites": names, "n_pages": n_pages, "files": sorted(files)})
        return
    sys.stdout.write(f"wrote {n_pages} pages and {len(files) - n_pages} other files to {folder}: {', '.join(names)}\n")
