"""Which results may share a leaderboard, and which are left out.

Results are compared under equal conditions (suite version, protocol version, preset, test units,
threads, device), and on each task with equal data (one fingerprint). All other results are left out
and listed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchbench.stats.facts import SuiteFacts
from benchbench.stats.labels import listed, plural, published_source
from benchbench.stats.table import ScoreTable
from benchbench.stats.trials import Cell, Conditions, CountedTrials, UnpreparedTask
from benchbench.text import printable

__all__ = ["Comparable", "choose"]

LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Comparable:
    """Comparable results of a suite.

    Parameters
    ----------
    conditions : Conditions or None
        None: no results match.
    everyone : ScoreTable
        All methods under these conditions, so that imputation does not depend on which methods are
        shown.
    table : ScoreTable
        The shown methods and tasks.
    cells : mapping of (label, task) to Cell
        Cells of `table`.
    everyones_cells : mapping of (label, task) to Cell
    tasks : tuple of str
        Requested tasks of the suite.
    fingerprints : mapping of task to fingerprint
    hardware : tuple of str
        Hardware classes behind the seconds.
    notes, left_out : tuple of str
        `left_out` also names the tasks whose data could not be prepared.
    n_left_out : int
        Number of trials in `left_out`.
    unprepared : tuple of str
        The tasks whose data could not be prepared.
    """

    conditions: Conditions | None
    everyone: ScoreTable
    table: ScoreTable
    cells: Mapping[tuple[str, str], Cell] = field(default_factory=dict)
    everyones_cells: Mapping[tuple[str, str], Cell] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    hardware: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    n_left_out: int = 0
    unprepared: tuple[str, ...] = ()

    def select(self, methods: Iterable[str], tasks: Iterable[str]) -> Comparable:
        """Return the part of some methods (by label) and tasks, with the imputation of all."""
        shown, wanted = set(methods), set(tasks)
        cells = {key: c for key, c in self.cells.items() if key[0] in shown and key[1] in wanted}
        labels, met = {label for label, _ in cells}, {task for _, task in cells}
        return replace(
            self,
            table=self.table.select(
                [m for m in self.table.methods if m in labels], [t for t in self.table.tasks if t in met]
            ),
            cells=cells,
            tasks=tuple(t for t in self.tasks if t in wanted),
            fingerprints={t: f for t, f in self.fingerprints.items() if t in met},
            hardware=tuple(sorted({h for c in cells.values() for h in c.hardware if h})),
        )


def choose(
    trials: CountedTrials,
    suite: SuiteFacts,
    *,
    preset: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    tasks: Iterable[str] = (),
    methods: Iterable[str] = (),
    keep: Callable[[Cell], bool] | None = None,
    conditions: Conditions | None = None,
) -> Comparable:
    """Return the results under the requested conditions, by default those of the newest results.

    Parameters
    ----------
    preset, device, threads : optional
        The conditions.
    tasks, methods : iterable of str
        Tasks and methods to show; empty: all.
    keep : callable, optional
        Predicate of the cells to show.
    conditions : Conditions, optional
        Exact conditions; overrides `preset`, `device` and `threads`.
    """
    wanted_tasks, wanted_methods = set(tasks), set(methods)
    asked = [i for i, c in enumerate(trials.cells) if not wanted_tasks or c.task in wanted_tasks]
    shown = [
        i
        for i in asked
        if (not wanted_methods or trials.cells[i].method in wanted_methods) and (keep is None or keep(trials.cells[i]))
    ]
    cells = [trials.cells[i] for i in shown]
    older = _older_sources(trials)
    n_older = sum(n for _, n in trials.superseded)
    if conditions is None:
        conditions = _conditions(cells, suite, preset, device, threads)
    version = suite.version if conditions is None else conditions.suite_version
    unprepared = [
        found
        for found in trials.unprepared
        if found.suite_version == version and (not wanted_tasks or found.task in wanted_tasks)
    ]
    if conditions is None:
        nothing = trials.table([], ())
        return Comparable(
            conditions=None,
            everyone=nothing,
            table=nothing,
            left_out=(*_elsewhere(cells), *older, *map(_unprepared, unprepared)),
            n_left_out=sum(c.n_trials for c in cells) + n_older,
            unprepared=tuple(found.task for found in unprepared),
        )
    names = tuple(t.name for t in suite.tasks if not wanted_tasks or t.name in wanted_tasks)
    is_same = _Same(conditions)
    known = set(names)
    here = [i for i in shown if is_same(trials.cells[i])]
    elsewhere = [c for c in cells if not is_same(c)]
    newest = _newest_data([trials.cells[i] for i in here])
    kept, other_data, removed = [], [], []
    for i in here:
        c = trials.cells[i]
        if c.fingerprint != newest[c.task]:
            other_data.append(c)
        elif c.task not in known:
            removed.append(c)
        else:
            kept.append(i)
    # on a task without shown results, the newest data of any method
    under = [i for i in asked if (c := trials.cells[i]).task in known and is_same(c)]
    newest_of_all = _newest_data([trials.cells[i] for i in under]) | newest
    everyone = [i for i in under if (c := trials.cells[i]).fingerprint == newest_of_all[c.task]]
    of_shown = {(c.label, c.task): c for i in kept if (c := trials.cells[i])}
    hardware = tuple(sorted({h for c in of_shown.values() for h in c.hardware if h}))
    met = {c.task for c in of_shown.values()}
    table_of_all = trials.table(everyone, names)
    is_all = len(kept) == len(everyone)
    return Comparable(
        conditions=conditions,
        everyone=table_of_all,
        table=(table_of_all if is_all else trials.table(kept, names)).select(tasks=[t for t in names if t in met]),
        cells=of_shown,
        everyones_cells=of_shown if is_all else {(c.label, c.task): c for i in everyone if (c := trials.cells[i])},
        tasks=names,
        fingerprints={c.task: c.fingerprint for c in of_shown.values()},
        hardware=hardware,
        notes=tuple(_notes(list(of_shown.values()), hardware, conditions, suite)),
        left_out=(
            *_elsewhere(elsewhere, conditions),
            *(f"{_count(c)} of {c.label} on {c.task}: other data ({c.fingerprint[:8]})" for c in other_data),
            *(f"{_count(c)} of {c.label} on {c.task}: the suite no longer has this task" for c in removed),
            *older,
            *map(_unprepared, unprepared),
        ),
        n_left_out=sum(c.n_trials for c in (*elsewhere, *other_data, *removed)) + n_older,
        unprepared=tuple(found.task for found in unprepared),
    )


def _conditions(
    cells: Sequence[Cell], suite: SuiteFacts, preset: str | None, device: str | None, threads: int | None
) -> Conditions | None:
    # named as by `bench run --preset NAME --threads N`
    presets = {preset, f"{preset},threads={threads}"} if preset else None
    newest: dict[Conditions, float] = {}
    # cells that were loaded together share their conditions, so check each object once
    by_identity: dict[int, tuple[Conditions, float]] = {}
    for c in cells:
        _, before = by_identity.get(id(c.conditions), (c.conditions, -math.inf))
        by_identity[id(c.conditions)] = (c.conditions, max(before, c.newest))
    for found, when in by_identity.values():
        newest[found] = max(newest.get(found, -math.inf), when)
    fitting = [
        c
        for c in newest
        if (presets is None or c.preset in presets)
        and c.device == (device or c.device)
        and c.threads == (threads or c.threads)
    ]
    fitting = [c for c in fitting if c.preset == preset] or fitting
    # prefer results of the suite file's version over older versions, then the newest
    return max(fitting, key=lambda c: (c.suite_version == suite.version, newest[c]), default=None)


class _Same:
    """Predicate of cells under given conditions.

    Cells that were loaded together share their conditions, which are compared once.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions, self._known = conditions, {id(conditions): True}

    def __call__(self, cell: Cell) -> bool:
        known = self._known.get(id(cell.conditions))
        if known is None:
            known = self._known[id(cell.conditions)] = cell.conditions == self._conditions
        return known


def _newest_data(cells: Sequence[Cell]) -> dict[str, str]:
    """Return the fingerprint of the newest results per task."""
    newest: dict[str, tuple[float, str]] = {}
    for c in cells:
        before = newest.get(c.task)
        if before is None or (c.newest, c.fingerprint) > before:
            newest[c.task] = c.newest, c.fingerprint
    return {task: fingerprint for task, (_, fingerprint) in newest.items()}


def _count(cell: Cell) -> str:
    return plural(cell.n_trials, "trial")


def _older_sources(trials: CountedTrials) -> list[str]:
    return [f"{plural(n, 'trial')} of {method} from an older source of the adapter" for method, n in trials.superseded]


def _unprepared(found: UnpreparedTask) -> str:
    return f"task {found.task}: its data could not be prepared in run {found.run_id}: {_short(found.reason)}"


def _short(reason: str) -> str:
    """Return a reason in one line."""
    line = printable(" ".join(reason.split()))
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."


def _elsewhere(cells: Iterable[Cell], shown: Conditions | None = None) -> list[str]:
    """List results under other conditions, with the options that show them instead."""
    counts: dict[Conditions, int] = defaultdict(int)
    for c in cells:
        counts[c.conditions] += c.n_trials
    lines = []
    for found, n in sorted(counts.items()):
        options = [
            f"--{name} {getattr(found, name)}"
            for name in ("preset", "device", "threads")
            if shown is None or getattr(found, name) != getattr(shown, name)
        ]
        lines.append(
            f"{plural(n, 'trial')} of suite version {found.suite_version}, {found.in_words()}"
            + (f": {' '.join(options)}" if options else "")
        )
    return lines


def _notes(cells: Sequence[Cell], hardware: Sequence[str], conditions: Conditions, suite: SuiteFacts) -> list[str]:
    source = published_source(conditions.protocol_version)
    notes = [] if source is None else [f"published elsewhere: {source}; do not compare with results measured here"]
    if len(hardware) > 1:
        notes.append(f"seconds come from different hardware and must not be compared: {'; '.join(hardware)}")
    changed = sorted({c.label for c in cells if c.n_environments > 1})
    if changed:
        notes.append(f"package versions changed between trials of: {listed(changed)}")
    if conditions.suite_version != suite.version:
        notes.append(
            f"these are results of suite version {conditions.suite_version}; the suite file has version {suite.version}"
        )
    return notes
