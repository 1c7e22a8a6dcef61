"""Exports, imports and merges of results databases.

An export is a folder with one Parquet file per table and ``manifest.json`` with the schema's
version and each file's rows and sha256. An import checks all of that and every value before it adds
the first row, and ignores known attempts, so that importing twice changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench import __version__
from benchbench.errors import InputError, StoreError
from benchbench.results import ingest
from benchbench.results.batches import CHILDREN, add_tables, limit_memory
from benchbench.results.checks import check_values
from benchbench.results.finite import NON_FINITE_UNITS, with_finite_scores
from benchbench.results.ingest import connect
from benchbench.results.kinds import ADDED, KINDS_BY_KEY, VERSION
from benchbench.results.reader import Readable
from benchbench.results.store import Store

if TYPE_CHECKING:
    import duckdb

__all__ = ["Export", "ImportReport", "export_results", "import_results", "merge_results", "open_results"]

FORMAT = "benchbench-results"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import."""

    n_new: int
    n_known: int
    n_runs: int


class Export(Readable):
    """A folder made by `export_results`, read in place.

    Raises
    ------
    InputError
        If the folder is not an export, is damaged, or has a newer schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts, self._version = _check_files(path)

    def exists(self) -> bool:
        """Return whether there is anything to read."""
        return True

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection with one view per table."""
        con = connect()
        try:
            con.execute("CREATE SCHEMA recorded")
            self.make_views(con, "recorded")
            for table in ingest.BASE_TABLES:
                query = f"SELECT * FROM recorded.{table}"
                con.execute(
                    f"CREATE VIEW main.{table} AS {with_finite_scores(query) if table == 'attempts' else query}"
                )
            yield con
        finally:
            con.close()

    def make_views(self, con: duckdb.DuckDBPyConnection, where: str, *, numbered: bool = False) -> None:
        """Create one view per table in the schema `where`, after checking the columns of each file.

        `numbered` adds a column ``row_number``, from 1.

        Raises
        ------
        InputError
        """
        con.execute("CREATE SCHEMA memory.wanted")
        ingest.create_tables(con, "memory.wanted")
        number = ", file_row_number + 1 AS row_number" if numbered else ""
        for table in ingest.BASE_TABLES:
            if table not in self.counts:
                number_of_none = ", 0 AS row_number" if numbered else ""
                con.execute(f"CREATE VIEW {where}.{table} AS SELECT *{number_of_none} FROM memory.wanted.{table}")
                continue
            names = self._checked_columns(con, table)
            file = f"read_parquet({ingest.quoted(str(self.path / table))} || '.parquet', file_row_number = true)"
            con.execute(f"CREATE VIEW {where}.{table} AS SELECT {names}{number} FROM {file}")

    def _checked_columns(self, con: duckdb.DuckDBPyConnection, table: str) -> str:
        """Return the SQL that selects the columns of a table from its file.

        Raises
        ------
        InputError
            If the file has other columns, types or rows than the table and the manifest.
        """
        import duckdb

        path = self.path / f"{table}.parquet"
        want = _columns(con, f"SELECT * FROM memory.wanted.{table}")
        names = ", ".join(ingest.selected(table, name, self._version) for name in want)
        file = f"read_parquet({ingest.quoted(str(path))})"
        try:
            given = _columns(con, f"SELECT * FROM {file}")
            added = {name for (of, name), (since, _) in ADDED.items() if of == table and since > self._version}
            missing = want.keys() - given.keys() - added
            have = given if missing else _columns(con, f"SELECT {names} FROM {file}") | given
            rows = con.execute(f"SELECT count(*) FROM {file}").fetchone()
        except duckdb.Error as error:
            raise InputError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}") from error
        if have != want:
            wrong = sorted(f"{name} {kind}" for name, kind in set(have.items()) ^ set(want.items())) or ["their order"]
            raise InputError(f"{path} does not have the columns of {table}; they differ in: {', '.join(wrong)}")
        if rows is None or rows[0] != self.counts[table]:
            raise InputError(f"{path} has {rows and rows[0]} rows, its manifest says {self.counts[table]}")
        return names


def open_results(path: Path) -> Readable:
    """Return the results at `path`: a database, or the folder of an export.

    Raises
    ------
    InputError
        If there is neither.
    """
    if path.is_dir():
        return Export(path)
    store = Store(path)
    if not store.is_recorded():
        raise InputError(
            f"there are no results at {path}; expected a database or a folder made by `bench results export`"
        )
    return store


def export_results(source: Readable, target: Path, suite: str | None = None) -> dict[str, int]:
    """Write the results of one suite or all to the new folder `target`; return rows per table.

    Raises
    ------
    InputError
        If the folder exists and is not empty, or cannot be created.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists already; give the path of a new folder")
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
        counts = _write_tables(source, part, suite)
        if target.exists():
            target.rmdir()
        part.rename(target)
    except OSError as error:
        raise InputError(f"cannot write the export {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts


def _write_tables(source: Readable, folder: Path, suite: str | None) -> dict[str, int]:
    keep = "true" if suite is None else f"suite = {ingest.quoted(suite)}"
    wanted = f"SELECT * FROM attempts WHERE {keep}"
    queries = {
        "attempts": f"{wanted} ORDER BY started_at, attempt_key",
        "runs": f"SELECT * FROM runs WHERE {keep} OR run_id IN (SELECT run_id FROM ({wanted})) ORDER BY started_at, run_id",
        "tasks": f"SELECT * FROM tasks WHERE {keep}",
        "methods": f"SELECT * FROM methods WHERE adapter_source_hash IN (SELECT adapter_source_hash FROM ({wanted}))",
        "environments": f"SELECT * FROM environments WHERE environment_hash IN (SELECT environment_hash FROM ({wanted}))",
    }
    for child in CHILDREN:
        queries[child] = f"SELECT * FROM {child} WHERE attempt_key IN (SELECT attempt_key FROM ({wanted}))"
    queries["unit_scores"] += f" AND NOT {NON_FINITE_UNITS}"
    for kind in KINDS_BY_KEY:
        queries.setdefault(
            kind.name, f"SELECT * FROM {kind.name} WHERE run_id IN (SELECT run_id FROM ({queries['runs']}))"
        )
    tables: dict[str, dict[str, Any]] = {}
    with source.reading() as con:
        for table in ingest.BASE_TABLES:
            path = folder / f"{table}.parquet"
            # COPY takes no parameters, hence the quoting
            row = con.execute(
                f"COPY ({queries[table]}) TO {ingest.quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
            ).fetchone()
            tables[table] = {"rows": int(row[0]) if row else 0, "sha256": _sha256(path)}
    manifest = {
        "format": FORMAT,
        "schema_version": VERSION,
        "benchbench_version": __version__,
        "created_at": time.time(),
        "suite": suite,
        "tables": tables,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return {table: facts["rows"] for table, facts in tables.items()}


def import_results(store: Store, folder: Path) -> ImportReport:
    """Add the results of an export to a database; known attempts are ignored.

    Nothing that was recorded here is changed: neither an attempt, nor a run and its state. Readers
    see all of the export or nothing.

    Raises
    ------
    InputError
        If `folder` is not an intact export, or has values that benchbench does not write; nothing
        is then changed.
    StoreError
        If the database cannot be written.
    """
    import duckdb

    export = Export(folder)
    n_bytes = sum((folder / f"{table}.parquet").stat().st_size for table in export.counts)
    with tempfile.TemporaryDirectory(prefix="benchbench-import-") as scratch:
        con = connect()
        try:
            limit_memory(con, n_bytes, Path(scratch))
            export.make_views(con, "main", numbered=True)
            check_values(con, folder)
        except duckdb.Error as error:
            raise InputError(f"the export {folder} cannot be imported: {str(error).splitlines()[0]}") from error
        finally:
            con.close()
    store.open_for_writing()
    # so that landed attempts count as known
    if store.ingest(store.wait_seconds).is_deferred:
        raise StoreError(f"{store.path} is in use by another process; try again")
    n_new = add_tables(store, export.make_views, n_bytes)
    return ImportReport(n_new, export.counts["attempts"] - n_new, export.counts["runs"])


def merge_results(store: Store, source: Path) -> ImportReport:
    """Add the results of another database or an export to a database.

    Raises
    ------
    InputError, StoreError
    """
    results = open_results(source)
    if isinstance(results, Export):
        return import_results(store, source)
    with tempfile.TemporaryDirectory(prefix="benchbench-merge-") as scratch:
        folder = Path(scratch) / "export"
        export_results(results, folder)
        return import_results(store, folder)


def _columns(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE {query}").fetchall()}


def _check_files(folder: Path) -> tuple[dict[str, int], int]:
    """Check manifest and files of an export; return rows per table, and the schema version.

    Raises
    ------
    InputError
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not an export of results: it has no {MANIFEST}; create one with `bench results export FOLDER`"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{folder / MANIFEST} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{folder / MANIFEST} is not the manifest of an export of results")
    version = manifest.get("schema_version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise InputError(
            f"{folder} has schema {version}, this benchbench reads 1 to {VERSION}; use the benchbench that made it"
        )
    tables, expected = manifest.get("tables"), ingest.tables_of(version)
    if not isinstance(tables, dict) or not set(expected) <= set(tables) <= set(ingest.BASE_TABLES):
        raise InputError(f"{folder / MANIFEST} does not list the tables {', '.join(expected)}")
    counts = {}
    for table, facts in tables.items():
        path = folder / f"{table}.parquet"
        try:
            found = _sha256(path)
        except OSError as error:
            raise InputError(f"{path} of the export cannot be read: {error.strerror}") from error
        if not isinstance(facts, dict) or found != facts.get("sha256") or not isinstance(facts.get("rows"), int):
            raise InputError(
                f"{path} is not as it was exported (its sha256 differs from the manifest's); copy it again"
            )
        counts[table] = facts["rows"]
    return counts, version


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
