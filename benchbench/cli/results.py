"""`bench results`: export, import and merge results."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cards import TRACKS
from benchbench.cli.common import DbOption, FormatOption, db_path, print_json
from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from benchbench.results.importers import PublishedReport, PublishedSuite
    from benchbench.results.transfer import ImportReport

__all__ = ["results_export", "results_import", "results_list", "results_merge", "results_remove"]

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
        typer.Option(
            "--from",
            help="Format: benchbench, or of published results: amlb, aslib, carps, hpob, long, metadataset or synetune.",
        ),
    ] = OWN,
    suite: Annotated[str | None, typer.Option("--suite", help="Name of a new suite for published results.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Where the results were published: an address or a citation.")
    ] = None,
    track: Annotated[
        str | None, typer.Option("--track", help=f"With --from long: {', '.join(TRACKS)}, or another.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="With --from long or traces, if the files name no metric.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=THEIRS", help="Column of the files, as score=metric_error; repeatable."),
    ] = None,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="The scores are losses.")] = False,
    na: Annotated[
        list[str] | None, typer.Option("--na", help="Word that stands for a missing value, as NaN; repeatable.")
    ] = None,
    repeated: Annotated[
        str | None,
        typer.Option("--repeated", help="Which of repeated results counts: newest or first. Otherwise refused."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove what the suite has from this source, after the import.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count; change nothing.")] = False,
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
        options: dict[str, object] = {
            "suite": suite,
            "source": source,
            "track": track,
            "metric": metric,
            "map": columns,
        }
        options |= {"lower-is-better": lower_is_better, "na": na, "repeated": repeated}
        if given := [n for n, v in (options | {"replace": replace, "dry-run": dry_run}).items() if v]:
            raise InputError(f"--{given[0]} applies only to published results; add --from FORMAT")
        for path in paths:
            _refuse_file(path)
        _report([(path, import_results(store, path)) for path in paths], store.path, format_)
        return
    if not suite or not source:
        missing = "--suite NAME" if not suite else "--source ADDRESS_OR_CITATION"
        raise InputError(f"published results need a suite of their own and a source; add {missing}")
    from benchbench.results.importers.storing import import_published, read_published

    mapped = _mapping(columns or ())
    # read all of them before storing the first
    read = [
        (
            path,
            read_published(
                path,
                from_,
                suite,
                track=track,
                metric=metric,
                repeated=repeated,
                na=na or (),
                columns=mapped,
                lower_is_better=lower_is_better,
            ),
        )
        for path in paths
    ]
    if replace:
        # several files are one import: each must not replace the one before it
        read = [(paths[0], _joined([one for _, suites in read for one in suites]))]
    lines = []
    for path, suites in read:
        command = shlex.join(
            ["bench", "results", "import", path.name, "--from", from_, "--suite", suite, "--source", source]
        )
        found = import_published(store, suites, source, command, replace=replace, dry_run=dry_run)
        lines += [(path, report) for report in found]
    _print_published(lines, store.path, format_, is_dry=dry_run)


def _refuse_file(path: Path) -> None:
    """Raise `InputError` for a file, which cannot be an export, and for a missing folder."""
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a folder made by `bench results export`")
    if path.is_file():
        raise InputError(
            f"{path} is a file; expected the folder of an export. Published results need --from FORMAT,"
            f" --suite and --source. To add a database: bench results merge {path}"
        )


def _mapping(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        ours, sign, theirs = text.partition("=")
        if not sign or not ours.strip() or not theirs.strip():
            raise InputError(f"--map {text!r} is not COLUMN=THEIRS, as score=metric_error")
        if ours.strip() in found:
            raise InputError(f"--map names {ours.strip()!r} twice")
        found[ours.strip()] = theirs.strip()
    return found


def _joined(suites: Sequence[PublishedSuite]) -> list[PublishedSuite]:
    """Return one suite of each name, with the results of all."""
    from benchbench.results.importers import PublishedSuite

    by_name: dict[str, list[PublishedSuite]] = {}
    for one in suites:
        by_name.setdefault(one.name, []).append(one)
    return [
        PublishedSuite(
            name=name,
            track=own[0].track,
            results=[result for one in own for result in one.results],
            notes=tuple(note for one in own for note in one.notes),
        )
        for name, own in by_name.items()
    ]


def _print_published(lines: list[tuple[Path, PublishedReport]], into: Path, format_: str, *, is_dry: bool) -> None:
    if format_ == "json":
        print_json(
            [
                {
                    "source": str(p),
                    "suite": r.suite,
                    "n_new": r.n_new,
                    "n_known": r.n_known,
                    "n_removed": r.n_removed,
                    "dry_run": is_dry,
                    "notes": list(r.notes),
                }
                for p, r in lines
            ]
        )
        return
    for path, report in lines:
        removed = f", {report.n_removed} former ones removed" if report.n_removed else ""
        end = "nothing changed (--dry-run)" if is_dry else f"stored in {into}"
        sys.stdout.write(
            f"{path}: suite {report.suite}, {report.n_new} new results, {report.n_known} already known{removed}; {end}\n"
        )
        sys.stdout.writelines(f"  note: {note}\n" for note in report.notes)
    if not is_dry:
        sys.stdout.write(f"show them with: bench leaderboard --suite {lines[0][1].suite}\n")


def results_remove(
    suite: Annotated[str, typer.Option("--suite", help="Suite of imported results.")],
    source: Annotated[
        str | None, typer.Option("--source", help="Source, as given at the import, if the suite has several.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; change nothing.")] = False,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Remove published results that were imported by mistake.

    Results measured here are never removed.
    """
    from benchbench.results.removal import remove_published
    from benchbench.results.store import Store

    store = Store(db_path(db))
    n = remove_published(store, suite, source, dry_run=dry_run)
    if format_ == "json":
        print_json({"suite": suite, "n_removed": n, "dry_run": dry_run})
        return
    what = f"would remove {n} results" if dry_run else f"removed {n} results"
    sys.stdout.write(f"{what} of suite {suite} in {store.path}\n")


def results_list(db: DbOption = None, format_: FormatOption = "table") -> None:
    """List imported results by suite and source."""
    from benchbench.cli.terminal import print_that_fits
    from benchbench.results.removal import sources_of
    from benchbench.results.store import Store

    store = Store(db_path(db))
    found = sources_of(store)
    if format_ == "json":
        print_json([asdict(one) for one in found])
        return
    if not found:
        sys.stdout.write(f"no imported results in {store.path}; import some with: bench results import\n")
        return
    headers = ["suite", "source", "results", "methods", "tasks", "preset"]
    rows = [[o.suite, o.source, *(str(n) for n in (o.n_results, o.n_methods, o.n_tasks)), o.preset] for o in found]
    print_that_fits(headers, rows, right=[2, 3, 4], expendable=("tasks", "methods"))


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
