"""What the views are made of, read from a store: one short read a kind of thing, and everything kept that a filter needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from benchbench.cards import MethodCard
from benchbench.dashboard import queries
from benchbench.errors import UnknownNameError
from benchbench.reports.filters import card_tags
from benchbench.reports.standings import impute_as_board
from benchbench.results.boards import board_cells, score_grid, suite_facts
from benchbench.results.importers.suites import find_any_suite
from benchbench.stats.imputation import Imputed
from benchbench.stats.leaderboard import Board, Cell, leaderboard
from benchbench.suite_files import ScoreSpec, SuiteSpec, TaskSpec

if TYPE_CHECKING:
    from benchbench.results.store import Store
    from benchbench.stats.table import ScoreGrid

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

# a page waits so long for a writer before it says that the database is in use; runs hold it for milliseconds
WAIT_SECONDS = 2.0


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
    """Which of the results of a suite: the conditions of a board."""

    preset: str = ""
    device: str = ""
    threads: int = 0
    imputation: str = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which methods and tasks of a board are shown; empty means all.

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
    cells: list[Cell]
    older: list[str]

    @cached_property
    def conditions(self) -> list[tuple[str, str, int]]:
        """Presets, devices and threads there are results of, those with the newest first."""
        newest: dict[tuple[str, str, int], float] = {}
        for c in self.cells:
            key = (c.group.preset, c.group.device, c.group.threads)
            newest[key] = max(newest.get(key, 0.0), c.newest)
        return sorted(newest, key=lambda k: -newest[k])


@dataclass(frozen=True, kw_only=True)
class BoardData:
    """A board with all its methods, its trials unit by unit, and where they come from."""

    suite: SuiteData
    board: Board
    grid: ScoreGrid
    sources: Mapping[tuple[str, str], queries.Provenance]

    @cached_property
    def keys(self) -> dict[str, tuple[str, str]]:
        """Method and parameters of each label."""
        return {r.label: (r.method, r.params) for r in self.board.rows}

    @cached_property
    def transductive(self) -> frozenset[str]:
        """Labels of transductive methods."""
        return frozenset(r.label for r in self.board.rows if r.transductive)

    @cached_property
    def metrics(self) -> dict[str, str]:
        """Metric of each task."""
        return {r.task: r.metric for r in reversed(self.board.rows) if r.task is not None and r.metric}

    def labels(self, filters: Filters, known: Mapping[str, MethodCard]) -> list[str]:
        """Return the labels of the methods that pass, in the board's order."""
        found = []
        for label in self.grid.methods:
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

    def imputed(self, labels: Sequence[str] | None = None, tasks: Sequence[str] = ()) -> Imputed:
        """Return the grid of those methods and tasks with failures imputed as on the board, and with the board's own values."""
        chosen = [t for t in self.grid.tasks if t in tasks] if tasks else None
        everything = labels is not None and len(labels) == len(self.grid.methods)
        grid = self.grid.select(methods=None if everything else labels, tasks=chosen)
        return impute_as_board(grid, self.board)


def load_suite(store: Store, name: str) -> SuiteData:
    """Read the counted trials of a suite.

    Raises
    ------
    BenchbenchError
    """
    cells, older = board_cells(store, name)
    spec, is_known = spec_of(store, name, cells)
    return SuiteData(spec=spec, is_known=is_known, cells=cells, older=older)


def spec_of(store: Store, name: str, cells: Sequence[Cell]) -> tuple[SuiteSpec, bool]:
    """Return the suite as its file has it, or as it was published elsewhere; or, if there is neither, as its results show it."""
    try:
        return find_any_suite(name, store), True
    except UnknownNameError:
        newest = max(cells, key=lambda c: c.newest, default=None)
        spec = SuiteSpec(
            name=name,
            version=newest.group.suite_version if newest is not None else "",
            track="",
            title=name,
            presets={},
            scores=ScoreSpec(baseline="", reference=""),
            tasks=tuple(TaskSpec(name=t, loader="") for t in sorted({c.task for c in cells})),
        )
        return spec, False


def load_board(store: Store, suite: SuiteData, choice: Choice) -> BoardData:
    """Read and compute the board of a suite that the choice names, or of the newest results.

    Raises
    ------
    BenchbenchError
    """
    board = leaderboard(
        suite.cells,
        suite_facts(suite.spec),
        preset=choice.preset or None,
        device=choice.device or None,
        threads=choice.threads or None,
        imputation=choice.imputation,
    )
    board.left_out = [*board.left_out, *suite.older]
    sources = queries.provenance(store, suite.spec.name, board.group) if board.group is not None else {}
    return BoardData(suite=suite, board=board, grid=score_grid(store, suite.spec.name, board), sources=sources)
