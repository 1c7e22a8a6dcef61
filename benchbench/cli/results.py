"""`bench results`: put the results of several people or machines together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.common import DbOption, FormatOption, check_format, db_path, print_json

if TYPE_CHECKING:
    from benchbench.results.exchange import ImportReport

__all__ = ["results_export", "results_import", "results_merge"]

PathList = list[Path]


def results_export(
    folder: Annotated[Path, typer.Argument(help="New folder for the Parquet files and their manifest.")],
    suite: Annotated[str | None, typer.Option("--suite", help="Only this suite.")] = None,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Write results to a folder of Parquet files that `bench results import` reads anywhere."""
    from benchbench.errors import UnknownNameError
    from benchbench.results.exchange import export_results
    from benchbench.results.store import Store

    check_format(format_)
    store = Store(db_path(db))
    if suite is not None and suite not in (known := store.suites()):
        raise UnknownNameError(f"suite with results in {store.path}:", suite, known)
    counts = export_results(store, folder, suite)
    if format_ == "json":
        print_json({"folder": str(folder), "rows": counts})
        return
    sys.stdout.write(f"exported {counts['attempts']} attempts of {counts['runs']} runs to {folder}\n")


def results_import(
    folders: Annotated[PathList, typer.Argument(help="Folders made by `bench results export`.")],
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Add exported results to the database; what is known already is ignored."""
    from benchbench.results.exchange import import_results
    from benchbench.results.store import Store

    check_format(format_)
    store = Store(db_path(db))
    _report([(folder, import_results(store, folder)) for folder in folders], store.path, format_)


def results_merge(
    sources: Annotated[PathList, typer.Argument(help="Databases, or folders made by `bench results export`.")],
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Add the results of other databases to this one; they are not changed."""
    from benchbench.results.exchange import merge_results
    from benchbench.results.store import Store

    check_format(format_)
    store = Store(db_path(db))
    _report([(source, merge_results(store, source)) for source in sources], store.path, format_)


def _report(reports: list[tuple[Path, ImportReport]], into: Path, format_: str) -> None:
    if format_ == "json":
        print_json([{"source": str(s), "n_new": r.n_new, "n_known": r.n_known, "n_runs": r.n_runs} for s, r in reports])
        return
    for source, report in reports:
        sys.stdout.write(f"{source}: {report.n_new} attempts new, {report.n_known} known already; now in {into}\n")
