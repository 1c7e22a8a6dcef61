"""The results store: one DuckDB file and its landing folder.

Any process may land results at any time. Ingesting them into the file and reading it happen under
locks that last milliseconds.
"""

from __future__ import annotations

import glob
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError, StoreError
from benchbench.locking import LockTimeout, exclusive, locked, shared
from benchbench.paths import DEFAULT_DB, nearest_above
from benchbench.records import Attempt, PreparationRecord, RunRecord
from benchbench.results import ingest, landing
from benchbench.results.attached import StoreInUse, attach, identity, make_views
from benchbench.results.ingest import connect
from benchbench.results.kinds import VERSION
from benchbench.results.landing import Landed
from benchbench.results.migrations import migrate, readable_version
from benchbench.results.reader import Readable
from benchbench.results.staging import Staged, stage

if TYPE_CHECKING:
    import duckdb

__all__ = ["IngestReport", "Store", "StoreInUse"]

log = logging.getLogger(__name__)

# most files and bytes per transaction; they bound its memory and the waiting time of readers
FILES_AT_ONCE = 500
BYTES_AT_ONCE = 16 * 2**20


@dataclass(slots=True)
class IngestReport:
    """The result of one call of `Store.ingest`."""

    n_files: int = 0
    n_attempts: int = 0
    set_aside: list[Path] = field(default_factory=list)
    """Damaged or foreign landing files, under their new names where they could be renamed."""
    n_newer: int = 0
    """Landing files that wait for a newer benchbench."""
    is_deferred: bool = False
    """Whether the database was in use all the time; landed files are safe, and the next call
    ingests them.
    """


class Store(Readable):
    """Results of all runs.

    Parameters
    ----------
    path : Path
        The DuckDB file. Landing files and locks live in ``<path>.landing/``.
    wait_seconds : float
        How long to wait for other users of the file.

    Raises
    ------
    InputError
        If the path has no name, as "" or "/".
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
        """Create folder and file if they are missing, and migrate an older file.

        Raises
        ------
        InputError
            If the path cannot be written, or is not a results database.
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
        """Raise for a file that is not a results database or is newer than this code.

        Called before a landing folder is created beside it.
        """
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
            with self._plain_errors():
                attach(con, self.path, read_only=True, deadline=time.monotonic() + self.wait_seconds)
                readable_version(con, self.path)
        finally:
            con.close()

    def land_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Write a batch of attempts durably; on return they are safe and visible to readers.

        Raises
        ------
        StoreError
        """
        if attempts:
            with self._landing_errors():
                landing.write_attempts(self.landing, attempts)

    def land_run(self, run: RunRecord) -> None:
        """Write the current state of a run durably; of two records of a run the later one counts.

        Raises
        ------
        StoreError
        """
        self._land_records("runs", [run])

    def _land_records(self, kind: str, records: Sequence[Any]) -> None:
        with self._landing_errors():
            landing.write_records(self.landing, kind, records)

    def land_preparations(self, preparations: Sequence[PreparationRecord]) -> None:
        """Write a batch of preparations durably; on return they are safe and visible to readers.

        Raises
        ------
        StoreError
        """
        if preparations:
            self._land_records("preparations", preparations)

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
        """Ingest all landed files into the database file, in bounded transactions.

        A database in use is not an error: landed files are durable and visible to readers, and the
        next call ingests them.

        Raises
        ------
        StoreError, InputError
            If the database cannot be used.
        """
        report = IngestReport()
        seen: set[Path] = set()
        while batch := self._batch(seen):
            seen.update(one.path for one in batch)
            # parse before the lock: readers wait for nothing but the insertion
            con, staged = stage(batch)
            try:
                self._set_aside(staged, report)
                if staged.read:
                    with self._attached(wait_seconds, con):
                        self._fold(con, staged, report)
            except StoreInUse:
                report.is_deferred = True
                break
            finally:
                con.close()
        return report

    def _batch(self, seen: Set[Path]) -> list[Landed]:
        """Return the landing files of the next transaction, oldest first."""
        batch: list[Landed] = []
        n_bytes = 0
        for one in landing.list_landed(self.landing):
            if one.path in seen:
                continue
            with suppress(OSError):
                n_bytes += one.path.stat().st_size
            if batch and (len(batch) == FILES_AT_ONCE or n_bytes > BYTES_AT_ONCE):
                break
            batch.append(one)
        return batch

    def _set_aside(self, staged: Staged, report: IngestReport) -> None:
        report.n_newer += len(staged.newer)
        self._warn_of_waiting(staged)
        for path, reason in staged.bad.items():
            aside = path.with_name(path.name + ".bad")
            try:
                path.rename(aside)
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                aside = path
                reason += f" (and it cannot be renamed: {error.strerror})"
            report.set_aside.append(aside)
            log.warning("set aside a damaged result file as %s: %s", aside, reason)

    def _warn_of_waiting(self, staged: Staged) -> None:
        if staged.newer:
            log.warning(
                "%d result files in %s are of a newer benchbench and wait for it", len(staged.newer), self.landing
            )
        for path, reason in staged.unreadable.items():
            log.warning("left out a result file, %s: %s", path, reason)

    def _fold(self, con: duckdb.DuckDBPyConnection, staged: Staged, report: IngestReport) -> None:
        n_fresh = ingest.select_fresh(con)
        con.execute("BEGIN")
        ingest.fold_in(con, "store")
        con.execute("COMMIT")
        # only now: after a crash before this line, the next ingest reads them again and ignores
        # known attempts
        for one in staged.read:
            one.path.unlink(missing_ok=True)
        report.n_files += len(staged.read)
        report.n_attempts += n_fresh

    @contextmanager
    def writing(self, con: duckdb.DuckDBPyConnection | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection with exclusive access to the database, attached as `store`.

        `con` is a connection to use (None: a new one); it is closed before the lock is released.

        Raises
        ------
        StoreError, InputError
        """
        with self._attached(self.wait_seconds, con) as attached:
            yield attached

    @contextmanager
    def rewriting(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to a copy of the database, which replaces it at the end.

        The copy is attached as `store`.

        Readers go on with the database as it was. Writers wait: what lands meanwhile is ingested
        afterwards. After an error nothing has changed.

        Raises
        ------
        StoreError, InputError
        """
        deadline = time.monotonic() + self.wait_seconds
        with self._writers_turn(self.wait_seconds):
            with self._locked(self.wait_seconds, connect()) as con:
                # copies of a process that was killed
                for rest in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.part*"):
                    rest.unlink(missing_ok=True)
                con.execute("CHECKPOINT store")
            part = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.part")
            try:
                before = identity(self.path)
                with self._plain_errors():
                    shutil.copyfile(self.path, part)
                    con = connect()
                    try:
                        attach(con, part, read_only=False, deadline=deadline)
                        yield con
                        con.execute("CHECKPOINT store")
                    finally:
                        con.close()
                with part.open("rb") as file:
                    os.fsync(file.fileno())
                with exclusive(self.landing, self.wait_seconds):
                    if identity(self.path) != before:
                        raise StoreError(f"another program changed {self.path} meanwhile; try again")
                    part.rename(self.path)
                    landing.sync_folder(self.path.parent)
            except LockTimeout:
                raise StoreInUse(self.path, self.wait_seconds) from None
            except OSError as error:
                raise self._explained(error.strerror or str(error)) from error
            finally:
                for rest in (part, part.with_name(part.name + ".wal")):
                    rest.unlink(missing_ok=True)

    @contextmanager
    def _writers_turn(self, wait_seconds: float) -> Iterator[None]:
        """Keep other writers out, but no readers."""
        try:
            with locked(self.landing / "write.lock", time.monotonic() + wait_seconds, is_shared=False):
                yield
        except LockTimeout:
            raise StoreInUse(self.path, wait_seconds) from None

    @contextmanager
    def _attached(
        self, wait_seconds: float, con: duckdb.DuckDBPyConnection | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Attach the database to `con` (None: a new one), closed before the lock is released."""
        began = time.monotonic()
        try:
            with self._writers_turn(wait_seconds):
                left = max(began + wait_seconds - time.monotonic(), 0.0)
                with self._locked(left, con or connect()) as attached:
                    yield attached
        except OSError as error:
            raise StoreError(f"cannot use {self.path}: {error.strerror or error}") from error

    @contextmanager
    def _locked(self, wait_seconds: float, con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
        """Attach the database, created if missing, under the lock that keeps readers out."""
        deadline = time.monotonic() + wait_seconds
        try:
            with exclusive(self.landing, wait_seconds), self._plain_errors():
                if not self.path.exists():
                    self._create()
                try:
                    attach(con, self.path, read_only=False, deadline=deadline)
                    migrate(con, self.path)
                    yield con
                finally:
                    con.close()
        except LockTimeout:
            raise StoreInUse(self.path, wait_seconds) from None

    def _create(self) -> None:
        """Create the database under a temporary name, then rename it: it is never incomplete."""
        part = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.part")
        log_of_former = self.path.with_name(self.path.name + ".wal")
        try:
            con = connect()
            try:
                con.execute(f"ATTACH {ingest.quoted(str(part.absolute()))} AS store (TYPE duckdb)")
                ingest.create_tables(con, "store")
            finally:
                con.close()
            if log_of_former.exists():
                # the log of a database that was moved away must not be replayed into this one
                log_of_former.rename(log_of_former.with_name(log_of_former.name + ".bad"))
            part.rename(self.path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        landing.sync_folder(self.path.parent)

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Turn DuckDB's errors about a damaged file, a full disk or memory into `StoreError`.

        Errors of a query pass.
        """
        import duckdb

        try:
            yield
        except (duckdb.ProgrammingError, duckdb.IntegrityError, duckdb.DataError, duckdb.NotSupportedError):
            raise
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise self._explained(str(error).splitlines()[0]) from error

    def _explained(self, text: str) -> StoreError:
        landed = f"Results that have landed are safe in {self.landing}, and the next command that records ingests them"
        if "No space left" in text or "Disk quota" in text or "File too large" in text:
            return StoreError(f"cannot write {self.path}: {text}. Free some space. {landed}")
        if "Out of Memory" in text or "out of memory" in text:
            return StoreError(f"not enough memory to use {self.path}: {text}")
        return StoreError(
            f"{self.path} is damaged, or cannot be read or written: {text}. Restore it from a copy or an export, or move"
            f" it away for a new one. {landed}"
        )

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection with one view per table, landed results included.

        Keep it for one query, not for a session.

        Raises
        ------
        InputError
            If the database is missing, or the file is not one.
        StoreError
            If other processes keep it in use, or it is newer than this code.
        """
        if not self.is_recorded():
            raise self._missing()
        # first landed files, then the database: what is ingested in between is then seen twice, not
        # missed
        con, staged = stage(landing.list_landed(self.landing))
        try:
            self._warn_of_waiting(staged)
            for path, reason in staged.bad.items():
                log.warning("left out a damaged result file, %s: %s", path, reason)
            with shared(self.landing, self.wait_seconds):
                try:
                    with self._plain_errors():
                        make_views(con, self._attach_read_only(con), bool(staged.read))
                        yield con
                finally:
                    # before the lock is released: an open file blocks writers
                    con.close()
        except LockTimeout:
            raise StoreInUse(self.path, self.wait_seconds) from None
        finally:
            con.close()

    def _attach_read_only(self, con: duckdb.DuckDBPyConnection) -> int:
        """Attach the database as `store`; return its schema version."""
        if not self.path.is_file():
            con.execute("ATTACH ':memory:' AS store")
            ingest.create_tables(con, "store")
            return VERSION
        attach(con, self.path, read_only=True, deadline=time.monotonic() + self.wait_seconds)
        return readable_version(con, self.path)

    def exists(self) -> bool:
        """Return whether there is anything to read; only the default database may be missing.

        Raises
        ------
        InputError
            If another path is not a database, or the path cannot be accessed.
        """
        if self.is_recorded():
            return True
        # it may appear just now
        if self.path != DEFAULT_DB or (self.path.exists() and not self.path.is_file()):
            raise self._missing()
        return False

    def is_recorded(self) -> bool:
        """Return whether anything was recorded here.

        Raises
        ------
        InputError
            If the path cannot be accessed.
        """
        try:
            return self.path.is_file() or bool(landing.list_landed(self.landing))
        except OSError as error:
            raise InputError(f"cannot read the results database {self.path}: {error.strerror or error}") from error

    def _missing(self) -> InputError:
        """Return the error that says what is at the path instead of a database."""
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
            f"the results database {self.path} {what}; create one with `bench run`, or name another with --db"
        )
