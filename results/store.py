"""The results store: one DuckDB file and the landing folder beside it.

Anybody may land results at any time; folding them into the file and reading it happen under locks that last milliseconds.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import InputError, StoreError
from benchbench.locking import LockTimeout, exclusive, shared
from benchbench.paths import DEFAULT_DB, nearest_above
from benchbench.records import Attempt, RunRecord
from benchbench.results import ingest, landing
from benchbench.results.landing import VERSION
from benchbench.results.migrations import check_version, migrate, version_of
from benchbench.results.reader import Readable

if TYPE_CHECKING:
    import duckdb

__all__ = ["IngestReport", "Store", "StoreInUse"]

log = logging.getLogger(__name__)

# files folded in by one transaction; bounds its memory and how long it keeps readers waiting
FILES_AT_ONCE = 500


@dataclass(slots=True)
class IngestReport:
    """What one call of `Store.ingest` did."""

    n_files: int = 0
    n_attempts: int = 0
    set_aside: list[Path] = field(default_factory=list)
    """Damaged or foreign landing files, under their new names."""
    n_newer: int = 0
    """Landing files that wait for a newer benchbench."""
    is_deferred: bool = False
    """The database was in use all the time; what has landed is safe and the next call takes it."""


class Store(Readable):
    """Results of all runs.

    Parameters
    ----------
    path : Path
        The DuckDB file. Landing files and locks live in ``<path>.landing/``.
    wait_seconds : float
        How long to wait for others who use the file before giving up.

    Raises
    ------
    InputError
        If the path has no name, like "" or "/".
    """

    def __init__(self, path: str | os.PathLike[str], *, wait_seconds: float = 15.0) -> None:
        self.path = Path(path).expanduser()
        if not self.path.name:
            what = "the current folder" if str(path) in ("", ".") else "a folder"
            raise InputError(
                f"{str(path)!r} as results database means {what}; give the path of a file, like results.duckdb"
            )
        self.landing = self.path.with_name(self.path.name + ".landing")
        self.wait_seconds = wait_seconds

    def open_for_writing(self) -> None:
        """Make the folder and the file if they are not there, and bring an older file up to date.

        Raises
        ------
        InputError
            If the path cannot be written, or holds something that is not a results database.
        StoreError
            If the database is newer than this code, or others keep it in use.
        """
        if self.path.is_dir():
            raise InputError(
                f"{self.path} is a folder; give the path of a database file, like {self.path}/results.duckdb"
            )
        self._refuse_foreign()
        try:
            self.landing.mkdir(parents=True, exist_ok=True)
            probe = self.landing / f".{uuid.uuid4().hex}.part"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(
                f"cannot write results to {self.path}: {error.strerror or error}; choose another place with --db PATH"
            ) from error
        with self._attached(self.wait_seconds):
            pass

    def _refuse_foreign(self) -> None:
        """Refuse a file that is no database of ours, or of a newer benchbench, before a landing folder is made beside it."""
        try:
            if self.landing.is_dir() or not self.path.exists():
                return
            if not self.path.is_file():
                raise InputError(f"{self.path} is not a regular file; give the path of a database file")
        except OSError as error:
            raise InputError(
                f"cannot write results to {self.path}: {error.strerror or error}; choose another place with --db PATH"
            ) from error
        con = connect()
        try:
            attach(con, self.path, read_only=True, deadline=time.monotonic() + self.wait_seconds)
            if version_of(con, self.path) > VERSION:
                check_version(con, self.path)
        finally:
            con.close()

    def land_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Make a batch of attempts durable; they are safe, and seen by readers, when this returns.

        Raises
        ------
        StoreError
        """
        if attempts:
            with self._landing_errors():
                landing.write_attempts(self.landing, attempts)

    def land_run(self, run: RunRecord) -> None:
        """Make the present state of a run durable; of two records of one run the later counts.

        Raises
        ------
        StoreError
        """
        with self._landing_errors():
            landing.write_run(self.landing, run)

    @contextmanager
    def _landing_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise StoreError(
                f"the landing folder {self.landing} is gone; was the database moved while in use?"
            ) from error
        except OSError as error:
            raise StoreError(f"cannot write results to {self.landing}: {error.strerror or error}") from error

    def ingest(self, wait_seconds: float = 2.0) -> IngestReport:
        """Fold what has landed into the database file: all of it, in bounded transactions.

        A file in use is no error: what has landed is durable and seen by readers, and the next call takes it.

        Raises
        ------
        StoreError, InputError
            If the database cannot be used at all.
        """
        report = IngestReport()
        seen: set[Path] = set()
        while batch := [one for one in landing.list_landed(self.landing) if one.path not in seen][:FILES_AT_ONCE]:
            seen.update(one.path for one in batch)
            try:
                with self._attached(wait_seconds) as con:
                    self._fold(con, batch, report)
            except StoreInUse:
                report.is_deferred = True
                break
        return report

    def _fold(self, con: duckdb.DuckDBPyConnection, batch: Sequence[landing.Landed], report: IngestReport) -> None:
        staged = ingest.stage(con, batch)
        report.n_newer += len(staged.newer)
        if staged.newer:
            log.warning(
                "%d result files in %s are of a newer benchbench and wait for it", len(staged.newer), self.landing
            )
        for path, reason in staged.bad.items():
            aside = path.with_name(path.name + ".bad")
            path.rename(aside)
            report.set_aside.append(aside)
            log.warning("set aside a damaged result file as %s: %s", aside, reason)
        if not staged.read:
            return
        n_fresh = ingest.select_fresh(con)
        con.execute("BEGIN")
        ingest.fold_in(con, "store")
        con.execute("COMMIT")
        # only now: had we died before, the next ingest would find them again and ignore what it knows
        for one in staged.read:
            one.path.unlink(missing_ok=True)
        report.n_files += len(staged.read)
        report.n_attempts += n_fresh

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection with the database attached as `store`, alone.

        Raises
        ------
        StoreError, InputError
        """
        with self._attached(self.wait_seconds) as con:
            yield con

    @contextmanager
    def _attached(self, wait_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        deadline = time.monotonic() + wait_seconds
        try:
            with exclusive(self.landing, wait_seconds):
                if not self.path.exists():
                    self._create()
                con = connect()
                try:
                    attach(con, self.path, read_only=False, deadline=deadline)
                    migrate(con, self.path)
                    yield con
                finally:
                    con.close()
        except LockTimeout:
            raise StoreInUse(self.path, wait_seconds) from None
        except OSError as error:
            raise StoreError(f"cannot use {self.path}: {error.strerror or error}") from error

    def _create(self) -> None:
        """Make the database under another name and rename it, so that nobody ever sees half of one."""
        part = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.part")
        con = connect()
        try:
            con.execute(f"ATTACH {ingest.quoted(str(part.absolute()))} AS store (TYPE duckdb)")
            ingest.create_tables(con, "store")
        finally:
            con.close()
        part.rename(self.path)
        landing.sync_folder(self.path.parent)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection with one view a table, landed results included. Keep it for one query, not for a session.

        Raises
        ------
        InputError
            If there is no such database, or it is none.
        StoreError
            If others keep it in use, or it is newer than this code.
        """
        if not self.is_recorded():
            raise self._missing()
        landed = landing.list_landed(self.landing)
        con = connect()
        try:
            # first what has landed, then the file: whatever is folded in between is then seen twice rather than never
            staged = ingest.stage(con, landed)
            for path, reason in staged.bad.items():
                log.warning("left out a damaged result file, %s: %s", path, reason)
            if staged.newer:
                log.warning("left out %d result files of a newer benchbench in %s", len(staged.newer), self.landing)
            with shared(self.landing, self.wait_seconds):
                try:
                    self._attach_read_only(con)
                    make_views(con, bool(staged.read))
                    yield con
                finally:
                    # before the lock goes: an open file shuts out writers
                    con.close()
        except LockTimeout:
            raise StoreInUse(self.path, self.wait_seconds) from None
        finally:
            con.close()

    def _attach_read_only(self, con: duckdb.DuckDBPyConnection) -> None:
        if not self.path.is_file():
            con.execute("ATTACH ':memory:' AS store")
            ingest.create_tables(con, "store")
            return
        attach(con, self.path, read_only=True, deadline=time.monotonic() + self.wait_seconds)
        check_version(con, self.path)

    def exists(self) -> bool:
        """Whether there is anything to read; only the default database may be missing, and that only as long as nothing is there.

        Raises
        ------
        InputError
            If another path holds no database, or the path cannot be looked at.
        """
        if self.is_recorded():
            return True
        # one that appears just now is no other thing
        if self.path != DEFAULT_DB or (self.path.exists() and not self.path.is_file()):
            raise self._missing()
        return False

    def is_recorded(self) -> bool:
        """Whether anything was ever recorded here.

        Raises
        ------
        InputError
            If the path cannot be looked at.
        """
        try:
            return self.path.is_file() or bool(landing.list_landed(self.landing))
        except OSError as error:
            raise InputError(f"cannot read the results database {self.path}: {error.strerror or error}") from error

    def _missing(self) -> InputError:
        """Return the error that says what there is in place of a database."""
        above = nearest_above(self.path)
        if self.path.is_dir():
            what = "is a folder"
        elif self.path.exists():
            what = "is not a regular file"
        elif above.is_file():
            what = f"does not exist: {above} is a file, not a folder"
        else:
            what = "does not exist"
        return InputError(
            f"the results database {self.path} {what}; make one with `bench run`, or name another with --db"
        )


class StoreInUse(StoreError):
    """Another process kept the database all the time."""

    def __init__(self, path: Path, wait_seconds: float, detail: str = "") -> None:
        who = f" ({detail})" if detail else ""
        super().__init__(
            f"{path} was in use by another process for {wait_seconds:.0f} s{who}; close programs that hold it open"
            " (a DuckDB shell, a notebook) and try again"
        )


def connect() -> duckdb.DuckDBPyConnection:
    """Return a connection to nothing but memory, which fetches and loads no extension from anywhere."""
    import duckdb

    return duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )


def attach(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool, deadline: float) -> None:
    """Attach the database file as `store`, waiting for programs that know nothing of our locks.

    Raises
    ------
    InputError
        If the file is no database of ours.
    StoreError
        If it is in use until the deadline or cannot be opened.
    """
    import duckdb

    began, pause = time.monotonic(), 0.005
    # the type, or DuckDB looks for an extension that reads what it finds (SQLite); absolute, or it takes the name for something
    # else than a file (`:memory:`, `md:x`)
    mode = "TYPE duckdb, READ_ONLY" if read_only else "TYPE duckdb"
    while True:
        try:
            con.execute(f"ATTACH {ingest.quoted(str(path.absolute()))} AS store ({mode})")
            return
        except duckdb.Error as error:
            text = str(error).splitlines()[0]
            if "not a valid DuckDB database" in text:
                raise InputError(f"{path} is not a DuckDB database; give the path of a results database") from error
            if not ("set lock" in text or isinstance(error, duckdb.ResourceInUseException)):
                raise StoreError(f"cannot open {path}: {text}") from error
            if time.monotonic() >= deadline:
                holder = text[text.find("(PID") :].split(")")[0].strip("(") if "(PID" in text else ""
                raise StoreInUse(path, time.monotonic() - began, holder) from error
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def make_views(con: duckdb.DuckDBPyConnection, has_landed: bool) -> None:
    """Make one view a table: what the file holds, and what has landed but is not folded in."""
    if has_landed:
        ingest.select_fresh(con)
        con.execute("CREATE SCHEMA landed")
        ingest.create_tables(con, "memory.landed")
        ingest.fold_in(con, "memory.landed")
    for table in ingest.BASE_TABLES:
        query = f"SELECT * FROM store.main.{table}"
        if has_landed:
            union = "UNION" if table in ("tasks", "methods", "environments") else "UNION ALL"
            query += f" {union} SELECT * FROM memory.landed.{table}"
        if has_landed and table == "runs":
            query = (
                f"SELECT * FROM ({query}) QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY updated_at DESC) = 1"
            )
        con.execute(f"CREATE VIEW memory.main.{table} AS {query}")
