"""Suites that exist only as imported results, for leaderboards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.errors import UnknownNameError
from benchbench.results.importers.storing import KIND, published_suites
from benchbench.results.removal import sources_of
from benchbench.suite_files import PresetSpec, ScoreSpec, SuiteSpec, TaskSpec, find_suite, list_suites

if TYPE_CHECKING:
    from benchbench.results.reader import Readable

__all__ = ["find_any_suite", "is_published"]


def find_any_suite(name: str, results: Readable) -> SuiteSpec:
    """Return the suite of that name (or file), or one that exists only as imported results.

    The latter has tasks by name, no frozen scores, and its source in title and description.

    Raises
    ------
    UnknownNameError, SuiteFileError
    """
    files = list_suites()
    if name.endswith(".toml") or name in files:
        return find_suite(name)
    published = published_suites(results)
    if name not in published:
        imported = f"; imported here: {', '.join(published)}" if published else ""
        raise UnknownNameError("suite", name, [*files, *published], f"List them with: bench list suites{imported}")
    with results.reading() as con:
        rows = con.execute(
            "SELECT task, min(track) FROM attempts WHERE suite = $1 GROUP BY task ORDER BY task", [name]
        ).fetchall()
    source = published[name]
    sources = sources_of(results, name)
    return SuiteSpec(
        name=name,
        version=KIND,
        track=rows[0][1],
        title=f"Published elsewhere: {source}",
        description=f"Results imported from {source}; nothing of this was measured here.",
        default_preset=sources[-1].preset,
        presets={one.preset: PresetSpec(test_units=0) for one in sources},
        scores=ScoreSpec(baseline="", reference=""),
        tasks=tuple(TaskSpec(name=task, loader="") for task, _ in rows),
    )


def is_published(suite: SuiteSpec) -> bool:
    """Return whether a suite exists only as imported results."""
    return suite.version == KIND
