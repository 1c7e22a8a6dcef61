"""`bench results`: export, import and merge results."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cards import TRACKS
from benchbench.cli.common import DbOption, FormatOption, db_path, print_json
from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from benchbench.results.store import Store
    from benchbench.results.transfer import ImportReport

__all__ = ["results_export", "results_import", "results_merge"]

PathList = list[Path]
OWN = "benchbench"


def results_export(
    folder: Annotated[Path, typer.Argument(help="Folder to create, for Parquet files and their manifest.")],
    suite: Annotated[str | None, typer.Option("--suite", help="Only this suite.")] = None,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Export results to a folder of Parquet files.

    `bench results import` reads it on any machine.
    """
    from benchbench.results.store import Store
    from benchbench.results.transfer import export_results

    store = Store(db_path(db))
    if suite is not None and suite not in (known := store.suites()):
        raise UnknownNameError(f"suite with results in {store.path}:", suite, known)
    counts = export_results(store, folder, suite)
    if format_ == "json":
        print_json({"folder": str(folder), "rows": counts})
        return
    sys.stdout.write(f"exported {counts['attempts']} attempts of {counts['runs']} runs to {folder}\n")


def results_import(
    paths: Annotated[PathList, typer.Argument(help="Folders made by `bench results export`, or published results.")],
    from_: Annotated[
        str,
        typer.Option("--from", help="Format: benchbench, or of published results amlb, aslib, long or metadataset."),
    ] = OWN,
    suite: Annotated[str | None, typer.Option("--suite", help="Name of a new suite for published results.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Where the results were published: an address or a citation.")
    ] = None,
    track: Annotated[str | None, typer.Option("--track", help=f"With --from long: {', '.join(TRACKS)}.")] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="With --from long, if the files have no column metric.")
    ] = None,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Import exported or published results.

    Results that the database already has are ignored.
    """
    from benchbench.results.store import Store
    from benchbench.results.transfer import import_results

    store = Store(db_path(db))
    if from_ == OWN:
        if given := [n for n, v in (("suite", suite), ("source", source), ("track", track), ("metric", metric)) if v]:
            raise InputError(
                f"--{given[0]} applies only to published results; add --from amlb, aslib, long or metadataset"
            )
        for path in paths:
            _refuse_file(path)
        _report([(path, import_results(store, path)) for path in paths], store.path, format_)
        return
    if not suite or not source:
        missing = "--suite NAME" if not suite else "--source ADDRESS_OR_CITATION"
        raise InputError(f"published results need a suite of their own and a source; add {missing}")
    _import_published(store, paths, from_, suite, source, track, metric, format_)


def _refuse_file(path: Path) -> None:
    """Raise `InputError` for a file, which cannot be an export, and for a missing folder."""
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a folder made by `bench results export`")
    if path.is_file():
        raise InputError(
            f"{path} is a file; expected the folder of an export. Published results need --from amlb, aslib, long or"
            f" metadataset, --suite and --source. To add a database: bench results merge {path}"
        )


def _import_published(
    store: Store,
    paths: PathList,
    from_: str,
    suite: str,
    source: str,
    track: str | None,
    metric: str | None,
    format_: str,
) -> None:
    from benchbench.results.importers.storing import import_published, read_published

    # read all of them before storing the first
    read = [(path, read_published(path, from_, suite, track=track, metric=metric)) for path in paths]
    lines = []
    for path, suites in read:
        command = shlex.join(
            ["bench", "results", "import", path.name, "--from", from_, "--suite", suite, "--source", source]
        )
        lines += [(path, report) for report in import_published(store, suites, source, command)]
    if format_ == "json":
        print_json(
            [
                {"source": str(p), "suite": r.suite, "n_new": r.n_new, "n_known": r.n_known, "notes": list(r.notes)}
                for p, r in lines
            ]
        )
        return
    for path, report in lines:
        sys.stdout.write(
            f"{path}: suite {report.suite}, {report.n_new} new results, {report.n_known} already known; stored in {store.path}\n"
        )
        sys.stdout.writelines(f"  note: {note}\n" for note in report.notes)
    sys.stdout.write(f"show them with: bench leaderboard --suite {lines[0][1].suite}\n")


def results_merge(
    sources: Annotated[PathList, typer.Argument(help="Databases, or folders made by `bench results export`.")],
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Add the results of other databases to this one.

    The other databases are not changed.
    """
    from benchbench.results.store import Store
    from benchbench.results.transfer import merge_results

    store = Store(db_path(db))
    _report([(source, merge_results(store, source)) for source in sources], store.path, format_)


def _report(reports: list[tuple[Path, ImportReport]], into: Path, format_: str) -> None:
    if format_ == "json":
        print_json([{"source": str(s), "n_new": r.n_new, "n_known": r.n_known, "n_runs": r.n_runs} for s, r in reports])
        return
    for source, report in reports:
        sys.stdout.write(f"{source}: {report.n_new} new attempts, {report.n_known} already known; stored in {into}\n")
