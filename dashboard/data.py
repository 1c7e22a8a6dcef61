"""What the views are made of, read from a store.

There is one short read per kind of data. Everything that a filter needs is kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from benchbench.cards import MethodCard
from benchbench.dashboard import queries
from benchbench.errors import UnknownNameError
from benchbench.reports.filters import card_tags
from benchbench.results.importers.suites import find_any_suite
from benchbench.results.load import counted_trials, suite_facts
from benchbench.stats.comparability import Comparable, choose
from benchbench.stats.leaderboard import Leaderboard, rank_comparable
from benchbench.suite_files import ScoreSpec, SuiteSpec, TaskSpec

if TYPE_CHECKING:
    from benchbench.results.store import Store
    from benchbench.stats.table import ScoreTable
    from benchbench.stats.trials import Cell, CountedTrials

__all__ = [
    "BoardData",
    "Choice",
    "Filters",
    "SuiteData",
    "cards",
    "load_board",
    "load_suite",
    "open_store",
    "spec_of",
]

# how long a page waits for a writer before it says that the database is in use;
# runs hold the database for milliseconds
WAIT_SECONDS = 2.0
# restricted leaderboards that are kept of one leaderboard
MOST_PARTS = 4


def open_store(path: str | os.PathLike[str]) -> Store:
    """Return the store to read from."""
    from benchbench.results.store import Store

    return Store(path, wait_seconds=WAIT_SECONDS)


def cards() -> Mapping[str, MethodCard]:
    """Return the cards of the methods that are installed here, by name."""
    import warnings

    from benchbench.registry import methods

    with warnings.catch_warnings():
        # a plug-in that cannot be imported is of no concern to a reader
        warnings.simplefilter("ignore")
        return {name: entry.card for name, entry in methods().items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which of the results of a suite: the conditions of a leaderboard."""

    preset: str = ""
    device: str = ""
    threads: int = 0
    imputation: str = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which methods and tasks of a leaderboard are shown; empty means all.

    Parameters
    ----------
    tags : tuple of str
        What `bench leaderboard --filter tag=...` takes; one of them is enough.
    kind : str
        "transductive", "inductive" or "".
    hardware : str
        A class of machines that all counted trials of a method ran on.
    """

    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    kind: str = ""
    hardware: str = ""


@dataclass(frozen=True, kw_only=True)
class SuiteData:
    """The counted trials of a suite; `is_known` says whether its file is installed here."""

    spec: SuiteSpec
    is_known: bool
    trials: CountedTrials

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Methods on tasks that there are results of, under whatever conditions."""
        return self.trials.cells

    @cached_property
    def conditions(self) -> list[tuple[str, str, int]]:
        """Presets, devices and threads there are results of, those with the newest first."""
        newest: dict[tuple[str, str, int], float] = {}
        for c in self.cells:
            key = (c.conditions.preset, c.conditions.device, c.conditions.threads)
            newest[key] = max(newest.get(key, 0.0), c.newest)
        return sorted(newest, key=lambda k: -newest[k])


@dataclass(frozen=True, kw_only=True)
class BoardData:
    """A leaderboard with all its methods and where its trials come from.

    It keeps the parts that were asked for last.
    """

    suite: SuiteData
    comparable: Comparable
    board: Leaderboard
    sources: Mapping[tuple[str, str], queries.Provenance]
    parts: dict[tuple[tuple[str, ...], tuple[str, ...]], Leaderboard] = field(default_factory=dict)

    @property
    def table(self) -> ScoreTable:
        """The scores as measured, unit by unit; nothing imputed."""
        return self.board.measured

    @property
    def methods(self) -> list[str]:
        """Labels of the methods, by rank."""
        return self.board.methods

    @property
    def tasks(self) -> list[str]:
        """Tasks with results, in the suite's order."""
        return list(self.board.measured.tasks)

    @cached_property
    def keys(self) -> dict[str, tuple[str, str]]:
        """Method and parameters of each label."""
        return {r.label: (r.method, r.params) for r in self.board.rows}

    @cached_property
    def transductive(self) -> frozenset[str]:
        """Labels of transductive methods."""
        return frozenset(r.label for r in self.board.rows if r.transductive)

    @property
    def metrics(self) -> dict[str, str]:
        """Metric of each task."""
        return self.board.metrics

    def labels(self, filters: Filters, known: Mapping[str, MethodCard]) -> list[str]:
        """Return the labels of the methods that pass, in the leaderboard's order."""
        found = []
        for label in self.methods:
            key = self.keys[label]
            source = self.sources.get(key)
            card = known.get(key[0])
            if filters.methods and label not in filters.methods and key[0] not in filters.methods:
                continue
            if filters.tags and (card is None or card_tags(card).isdisjoint(filters.tags)):
                continue
            if filters.kind and (label in self.transductive) != (filters.kind == "transductive"):
                continue
            if filters.hardware and (source is None or source.hardware != (filters.hardware,)):
                continue
            found.append(label)
        return found

    def part(self, labels: Sequence[str], tasks: Sequence[str] = ()) -> Leaderboard:
        """Return the leaderboard of some methods and tasks (all if empty), ranked among themselves.

        Failures count as on the whole leaderboard: what is imputed does not depend on who is shown.
        """
        wanted = tuple(tasks) or tuple(self.tasks)
        if set(labels) >= set(self.methods) and set(wanted) >= set(self.tasks):
            return self.board
        key = tuple(labels), wanted
        if key not in self.parts:
            # readers of one leaderboard share it: a few of their choices are kept
            for oldest in list(self.parts)[: 1 - MOST_PARTS]:
                self.parts.pop(oldest, None)
            found = self.comparable.select(labels, wanted)
            self.parts[key] = rank_comparable(found, self.board.suite, imputation=self.board.imputation)
        return self.parts[key]


def load_suite(store: Store, name: str) -> SuiteData:
    """Read the counted trials of a suite.

    Raises
    ------
    BenchbenchError
    """
    trials = counted_trials(store, name)
    spec, is_known = spec_of(store, name, trials.cells)
    return SuiteData(spec=spec, is_known=is_known, trials=trials)


def spec_of(store: Store, name: str, cells: Sequence[Cell]) -> tuple[SuiteSpec, bool]:
    """Return the suite as its file has it, or as it was published elsewhere.

    If both are missing, return it as its results show it.
    """
    try:
        return find_any_suite(name, store), True
    except UnknownNameError:
        newest = max(cells, key=lambda c: c.newest, default=None)
        spec = SuiteSpec(
            name=name,
            version=newest.conditions.suite_version if newest is not None else "",
            track="",
            title=name,
            presets={},
            scores=ScoreSpec(baseline="", reference=""),
            tasks=tuple(TaskSpec(name=t, loader="") for t in sorted({c.task for c in cells})),
        )
        return spec, False


def load_board(store: Store, suite: SuiteData, choice: Choice) -> BoardData:
    """Read and compute the leaderboard of a suite that the choice names, or of the newest results.

    Raises
    ------
    BenchbenchError
    """
    facts = suite_facts(suite.spec)
    found = choose(
        suite.trials,
        facts,
        preset=choice.preset or None,
        device=choice.device or None,
        threads=choice.threads or None,
    )
    board = rank_comparable(found, facts, imputation=choice.imputation)
    sources = {}
    if board.conditions is not None:
        sources = queries.provenance(store, suite.spec.name, board.conditions)
    return BoardData(suite=suite, comparable=found, board=board, sources=sources)
