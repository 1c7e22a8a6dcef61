"""Exports, imports and merges of results databases.

An export is a folder with one Parquet file per table and ``manifest.json`` with the schema's
version and each file's rows and sha256. An import checks all of that before it adds the first row,
and ignores known attempts, so that importing twice changes nothing.
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
from benchbench.records import OUTCOMES
from benchbench.results import ingest
from benchbench.results.landing import VERSION
from benchbench.results.reader import Readable
from benchbench.results.store import Store, connect

if TYPE_CHECKING:
    import duckdb

__all__ = ["Export", "ImportReport", "export_results", "import_results", "merge_results", "open_results"]

FORMAT = "benchbench-results"
MANIFEST = "manifest.json"
_CHILDREN = ("unit_scores", "metrics", "curves")


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
            self.make_views(con, "main")
            yield con
        finally:
            con.close()

    def make_views(self, con: duckdb.DuckDBPyConnection, where: str) -> None:
        """Create one view per table in the schema `where`, after checking the columns of each file.

        Raises
        ------
        InputError
        """
        import duckdb

        con.execute("CREATE SCHEMA memory.wanted")
        ingest.create_tables(con, "memory.wanted")
        for table in ingest.BASE_TABLES:
            if table not in self.counts:
                con.execute(f"CREATE VIEW {where}.{table} AS SELECT * FROM memory.wanted.{table}")
                continue
            path = self.path / f"{table}.parquet"
            want = _columns(con, f"SELECT * FROM memory.wanted.{table}")
            names = ", ".join(ingest.selected(name, self._version) for name in want)
            file = f"read_parquet({ingest.quoted(str(path))})"
            try:
                given = _columns(con, f"SELECT * FROM {file}")
                missing = {name for name in want if ingest.selected(name, self._version) == name} - given.keys()
                have = given if missing else _columns(con, f"SELECT {names} FROM {file}") | given
            except duckdb.Error as error:
                raise InputError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}") from error
            if have != want:
                wrong = sorted(f"{name} {kind}" for name, kind in set(have.items()) ^ set(want.items())) or [
                    "their order"
                ]
                raise InputError(f"{path} does not have the columns of {table}; they differ in: {', '.join(wrong)}")
            con.execute(f"CREATE VIEW {where}.{table} AS SELECT {names} FROM {file}")


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
        "preparations": f"SELECT * FROM preparations WHERE {keep} ORDER BY recorded_at, preparation_id",
        "methods": f"SELECT * FROM methods WHERE adapter_source_hash IN (SELECT adapter_source_hash FROM ({wanted}))",
        "environments": f"SELECT * FROM environments WHERE environment_hash IN (SELECT environment_hash FROM ({wanted}))",
    }
    for child in _CHILDREN:
        queries[child] = f"SELECT * FROM {child} WHERE attempt_key IN (SELECT attempt_key FROM ({wanted}))"
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

    Raises
    ------
    InputError
        If `folder` is not an intact export; nothing is then changed.
    StoreError
        If the database cannot be written.
    """
    import duckdb

    export = Export(folder)
    store.open_for_writing()
    # so that landed attempts count as known
    if store.ingest(store.wait_seconds).is_deferred:
        raise StoreError(f"{store.path} is in use by another process; try again")
    with store.writing() as con:
        con.execute("CREATE SCHEMA memory.incoming")
        try:
            export.make_views(con, "memory.incoming")
            _check_values(con, folder)
            con.execute("CREATE TABLE memory.main.known AS SELECT attempt_key FROM store.attempts")
            con.execute("BEGIN")
            n_new = _insert(con)
            con.execute("COMMIT")
        except duckdb.Error as error:
            raise InputError(f"the export {folder} cannot be imported: {str(error).splitlines()[0]}") from error
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


def _insert(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute(
        "INSERT INTO store.attempts SELECT * FROM memory.incoming.attempts"
        " WHERE attempt_key NOT IN (SELECT attempt_key FROM memory.main.known)"
    ).fetchone()
    for child in _CHILDREN:
        con.execute(
            f"INSERT INTO store.{child} SELECT * FROM memory.incoming.{child}"
            " WHERE attempt_key NOT IN (SELECT attempt_key FROM memory.main.known)"
        )
    for table in ("tasks", "methods"):
        con.execute(
            f"INSERT INTO store.{table} SELECT * FROM memory.incoming.{table} EXCEPT SELECT * FROM store.{table}"
        )
    con.execute(
        "INSERT INTO store.environments SELECT * FROM memory.incoming.environments"
        " WHERE environment_hash NOT IN (SELECT environment_hash FROM store.environments)"
    )
    ingest.fold_runs(con, "store", "memory.incoming.runs")
    ingest.fold_preparations(con, "store", "memory.incoming.preparations")
    return int(row[0]) if row else 0


def _columns(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE {query}").fetchall()}


def _check_values(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Check that the incoming tables hold only values that benchbench writes.

    Raises
    ------
    InputError
    """
    outcomes = ", ".join(ingest.quoted(o) for o in OUTCOMES)
    checks = {
        "ids that do not match their keys": "attempts WHERE attempt_key <> md5_number_lower(attempt_id)",
        "unknown outcomes": f"attempts WHERE outcome NOT IN ({outcomes})",
        "parameters or budgets that are not JSON": "attempts WHERE NOT (json_valid(params_json) AND json_valid(budget_json))",
        "unknown outcomes of preparations": "preparations WHERE outcome NOT IN ('ok', 'failed')",
        "hardware that is not JSON": "runs WHERE NOT json_valid(hardware_json)",
        "versions that are not JSON": "environments WHERE NOT json_valid(versions_json)",
    }
    for child in _CHILDREN:
        checks[f"{child} of no attempt"] = (
            f"{child} WHERE attempt_key NOT IN (SELECT attempt_key FROM memory.incoming.attempts)"
        )
    for what, query in checks.items():
        row = con.execute(f"SELECT count(*) FROM memory.incoming.{query}").fetchone()
        if row and row[0]:
            raise InputError(
                f"the export {folder} was not made by benchbench or was changed: {row[0]} rows with {what}"
            )


def _check_files(folder: Path) -> tuple[dict[str, int], int]:
    """Check the manifest and every file of an export; return rows per table, and its schema version.

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
    tables = manifest.get("tables")
    expected = [table for table in ingest.BASE_TABLES if ingest.ADDED_TABLES.get(table, 1) <= version]
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
