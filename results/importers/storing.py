"""Stores published results: whole, once, and separate from results measured here."""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench import __version__
from benchbench.errors import InputError, suggest
from benchbench.records import Attempt, RunRecord
from benchbench.results.batches import add_attempts
from benchbench.results.importers.amlb import read_amlb
from benchbench.results.importers.aslib import read_aslib
from benchbench.results.importers.long import read_long
from benchbench.results.importers.metadataset import read_metadataset
from benchbench.results.importers.published_rows import PublishedResult, PublishedSuite, mixed_scales
from benchbench.results.importers.traces import TRACES
from benchbench.results.removal import remove_published, sources_of
from benchbench.spec import content_hash
from benchbench.stats.labels import PUBLISHED, published_source
from benchbench.suite_files import list_suites
from benchbench.text import clean_name

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.results.store import Store

__all__ = ["FORMATS", "PublishedReport", "import_published", "published_suites", "read_published"]

FORMATS = ("amlb", "aslib", "carps", "hpob", "long", "metadataset", "synetune")
FOLDERS = ("aslib", "synetune")
"""Formats whose path may be a folder."""
KIND = "published"


@dataclass(frozen=True, slots=True)
class PublishedReport:
    """The result of an import into one suite."""

    suite: str
    n_new: int
    n_known: int
    notes: tuple[str, ...] = ()
    n_removed: int = 0


def read_published(
    path: Path,
    format_: str,
    suite: str,
    *,
    track: str | None = None,
    metric: str | None = None,
    repeated: str | None = None,
    na: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
    lower_is_better: bool = False,
) -> list[PublishedSuite]:
    """Read published results without storing them.

    Parameters
    ----------
    path : Path
    format_ : str
        One of `FORMATS`.
    suite : str
        Name of the suite, or prefix of the suites if the file has several tables.
    track, metric : str, optional
        For "long", which needs a track, and the metric for traces; other formats have fixed ones.
    repeated : str, optional
        Which of repeated results counts, "newest" or "first"; None: they are refused.
    na : collection of str
        Words for a missing value.
    columns : mapping of str to str, optional
        Columns here to columns of the file ("score" to "metric_error"); the others are not read.
    lower_is_better : bool
        Whether the file's scores are losses.

    Raises
    ------
    InputError
    """
    if format_ not in FORMATS:
        raise InputError(f"unknown format {format_!r}{suggest(format_, FORMATS)}")
    if format_ not in FOLDERS and not path.is_file():
        raise InputError(f"file {path} does not exist")
    if format_ == "long":
        return read_long(
            path,
            suite,
            track=track or "",
            metric=metric,
            repeated=repeated,
            na=na,
            columns=columns,
            lower_is_better=lower_is_better,
        )
    if track is not None:
        raise InputError(f"--track is only for --from long; {format_} has its own")
    if format_ in TRACES:
        return TRACES[format_](path, suite, metric=metric, columns=columns or {}, lower_is_better=lower_is_better)
    given: dict[str, object] = {"--metric": metric, "--map": columns, "--lower-is-better": lower_is_better}
    if format_ != "amlb":
        given |= {"--repeated": repeated, "--na": na}
    for name, value in given.items():
        if value:
            raise InputError(f"{name} is only for other formats than {format_}; it has its own")
    if format_ == "amlb":
        return read_amlb(path, suite, repeated=repeated, na=na)
    readers = {"aslib": read_aslib, "metadataset": read_metadataset}
    return readers[format_](path, suite)


def import_published(
    store: Store,
    suites: Iterable[PublishedSuite],
    source: str,
    command: str = "",
    *,
    replace: bool = False,
    dry_run: bool = False,
) -> list[PublishedReport]:
    """Add published results to a database as runs of kind `published`; known ones are ignored.

    Parameters
    ----------
    store : Store
    suites : iterable of PublishedSuite
    source : str
        Where they were published: an address or a citation, shown on their leaderboards.
    command : str
        The command, for the record of the run.
    replace : bool
        Remove what a suite has from this source, once the new results are stored.
    dry_run : bool
        Only count; the database is not changed.

    Raises
    ------
    InputError
        If the source is empty, or a suite's name is invalid or taken: by a suite file, or by
        measured results. Nothing is then changed.
    StoreError
        If the database cannot be written.
    """
    source = clean_name(source)
    if not source:
        raise InputError("the source of published results is missing: --source ADDRESS_OR_CITATION")
    suites = list(suites)
    for suite in suites:
        _check_name(suite.name)
    if not dry_run:
        # only now: refused results must not leave an empty database
        store.open_for_writing()
    presets = {suite.name: _preset(store, suite.name, source) for suite in suites}
    return [
        _import_one(store, suite, source, presets[suite.name], command, replace=replace, dry_run=dry_run)
        for suite in suites
    ]


def _import_one(
    store: Store, suite: PublishedSuite, source: str, preset: str, command: str, *, replace: bool, dry_run: bool
) -> PublishedReport:
    run_id, started_at = _run_of(store, suite, source)
    run = RunRecord(
        run_id=run_id,
        suite=suite.name,
        preset=preset,
        command=command,
        started_at=started_at,
        ended_at=started_at,
        n_trials=len(suite.results),
        state="done",
        kind=KIND,
        benchbench_version=__version__,
    )
    n_all = len(suite.results)
    n_before = _count(store, run_id)
    notes = suite.notes + mixed_scales(suite, _ranges(store, suite.name))
    if not dry_run and n_before < n_all:
        add_attempts(store, (_attempt(suite, one, run, source) for one in suite.results), run)
    n_new = (n_all if dry_run else _count(store, run_id)) - n_before
    n_removed = 0
    if replace and store.is_recorded() and any(one.source == source for one in sources_of(store, suite.name)):
        # the new ones are stored: whatever happens now, no result is lost
        n_removed = remove_published(store, suite.name, source, keep_runs=[run_id], dry_run=dry_run)
    return PublishedReport(suite.name, n_new, n_all - n_new, notes, n_removed)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"{name!r} is not a valid suite name (letters, digits, dot, dash, underscore)")
    if name in list_suites():
        raise InputError(f"{name} is the name of a suite file; published results need another: --suite NAME")


def _preset(store: Store, name: str, source: str) -> str:
    """Return the preset that stands for a source of a suite: the suite's name, then name-2, ..."""
    if not store.is_recorded():
        return name
    with store.reading() as con:
        rows = con.execute("SELECT DISTINCT protocol_version, preset FROM attempts WHERE suite = $1", [name]).fetchall()
    for protocol, preset in rows:
        own = published_source(protocol)
        if own is None:
            raise InputError(f"suite {name} has measured results; published ones need another: --suite NAME")
        if own == source:
            return str(preset)
    taken = {preset for _, preset in rows}
    return name if name not in taken else next(p for i in count(2) if (p := f"{name}-{i}") not in taken)


def _ranges(store: Store, name: str) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest stored score of a suite, by metric."""
    if not store.is_recorded():
        return {}
    with store.reading() as con:
        rows = con.execute(
            "SELECT metric, min(score), max(score) FROM attempts WHERE suite = $1 AND score IS NOT NULL GROUP BY metric",
            [name],
        ).fetchall()
    return {metric: (low, high) for metric, low, high in rows}


def _run_of(store: Store, suite: PublishedSuite, source: str) -> tuple[str, float]:
    """Return the run's id, which depends only on its contents, and the time of its first import."""
    digest = hashlib.sha256()
    for one in sorted(suite.results, key=lambda r: (r.method, r.task, r.unit)):
        digest.update(repr(_content(one)).encode("utf-8", "backslashreplace"))
    run_id = f"{KIND}-{content_hash([suite.name, source, digest.hexdigest()], 12)}"
    if not store.is_recorded():
        return run_id, time.time()
    with store.reading() as con:
        row = con.execute("SELECT min(started_at) FROM attempts WHERE run_id = $1", [run_id]).fetchone()
    return run_id, float(row[0]) if row and row[0] is not None else time.time()


def _count(store: Store, run_id: str) -> int:
    if not store.is_recorded():
        return 0
    with store.reading() as con:
        row = con.execute("SELECT count(*) FROM attempts WHERE run_id = $1", [run_id]).fetchone()
    return int(row[0]) if row else 0


def _content(one: PublishedResult) -> tuple[object, ...]:
    return (
        *(one.method, one.task, one.unit, one.status, one.score, one.metric, one.seconds, one.message),
        *(one.unit_name, one.sd, one.n_units, sorted(one.metrics.items())),
        *((one.budget, one.curve) if one.curve else ()),
    )


def _attempt(suite: PublishedSuite, one: PublishedResult, run: RunRecord, source: str) -> Attempt:
    trial_id = content_hash([KIND, suite.name, source, one.method, one.task, one.unit])
    return Attempt(
        attempt_id=content_hash([run.run_id, trial_id]),
        run_id=run.run_id,
        trial_id=trial_id,
        try_number=1,
        suite=suite.name,
        suite_version=KIND,
        track=suite.track,
        task=one.task,
        task_fingerprint=content_hash([KIND, suite.name, one.task]),
        protocol_version=PUBLISHED + source,
        method=one.method,
        params={},
        transductive=False,
        seed=one.unit,
        # budgets are unknown; a separate one also keeps two published tables apart
        preset=run.preset,
        budget={"preset": run.preset, "test_units": 0} | _iterations(one.budget),
        threads=0,
        device="unknown",
        outcome=one.status,
        error_type="" if one.status in ("ok", "declined") else KIND,
        error_message=one.message,
        metric=one.metric,
        score=one.score,
        score_sd=one.sd,
        n_units=one.n_units if one.score is not None else 0,
        unit=one.unit_name,
        metrics=dict(one.metrics),
        curve=list(one.curve),
        seconds=one.seconds,
        wall_seconds=one.seconds,
        started_at=run.started_at,
        benchbench_version=__version__,
    )


def _iterations(budget: float | None) -> dict[str, int]:
    return {} if budget is None else {"iterations": math.ceil(budget)}


def published_suites(results: Readable) -> dict[str, str]:
    """Return the sources of published results, by the name of their suite; several are joined."""
    found: dict[str, list[str]] = {}
    for one in sources_of(results):
        found.setdefault(one.suite, []).append(one.source)
    return {suite: "; ".join(sources) for suite, sources in found.items()}
