"""A leaderboard from counted results: a table in, a table out.

What may stand on one board is decided here: equal suite version, protocol version, budget (preset, test units, threads) and
device, and for each task one fingerprint. What is left out is said.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.intervals import Estimate, agree, estimate_of_summary, estimate_of_trials
from benchbench.stats.labels import method_label, params_of, plural, published_source
from benchbench.stats.ranks import mean_ranks, ranks, to_compare

__all__ = ["IMPUTATIONS", "Board", "Cell", "Group", "Row", "SuiteFacts", "TaskFacts", "leaderboard"]

FOLD = "fold"
IMPUTATIONS = ("baseline", "worst", "none", "drop-task")
BASELINE_PREFIX = "baseline="
"""Before the name of a method whose own scores stand for failures."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Group:
    """What results must have in common to be compared, apart from the tasks' fingerprints."""

    suite_version: str
    protocol_version: str
    preset: str
    test_units: int
    threads: int
    device: str

    def in_words(self) -> str:
        """Return "protocol fewshot/2, preset quick, 300 test units, 1 thread, cpu", without what published results do not say."""
        parts = [f"protocol {self.protocol_version}", f"preset {self.preset}"]
        if self.test_units:
            parts.append(plural(self.test_units, "test unit"))
        if self.threads:
            parts += [plural(self.threads, "thread"), self.device]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The counted trials of one method on one task within a group: one trial a seed.

    Parameters
    ----------
    method, params : str
        `params` is canonical JSON.
    seed_scores, seed_deviations, seed_units : tuples
        Of the trials that ended well, by seed: mean score, standard deviation over units (or None), number of units.
    n_failed, n_declined, n_lost : int
        Trials by how they ended; lost are those of which only `infra` attempts exist.
    seconds : float or None
        Mean timed seconds of a trial that ended well.
    n_shared, shared_seconds : int, float
        Trials that ended well with training that another trial had done, and the mean over all that ended well of the seconds
        spent there; they are part of `seconds`.
    iterations : int
        Meta-training iterations of a trial; 0 if there is no meta-training.
    newest : float
        When the newest attempt began, seconds since the epoch.
    """

    group: Group
    task: str
    fingerprint: str
    method: str
    params: str
    transductive: bool
    metric: str
    unit: str
    seed_scores: tuple[float, ...]
    seed_deviations: tuple[float | None, ...]
    seed_units: tuple[int, ...]
    n_failed: int
    n_declined: int
    n_lost: int
    seconds: float | None
    hardware: tuple[str, ...]
    n_environments: int
    newest: float
    n_shared: int = 0
    shared_seconds: float = 0.0
    iterations: int = 0

    @property
    def n_ok(self) -> int:
        """Trials that ended well."""
        return len(self.seed_scores)

    @property
    def label(self) -> str:
        """The method with its parameters, as a reader sees it."""
        return method_label(self.method, self.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """A task of the suite and the frozen ends of its normalised score."""

    name: str
    baseline_score: float | None = None
    reference_score: float | None = None

    @property
    def width(self) -> float | None:
        """By how much the reference is above the baseline: the unit of the normalised score. None where it is not: there is none."""
        if self.baseline_score is None or self.reference_score is None or self.reference_score <= self.baseline_score:
            return None
        return self.reference_score - self.baseline_score

    def normalised(self, score: float, ci95: float | None) -> tuple[float, float | None] | None:
        """Return a score and its half-width on the scale from baseline to reference; None where there is none."""
        if self.baseline_score is None or self.width is None:
            return None
        return (score - self.baseline_score) / self.width, None if ci95 is None else ci95 / self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFacts:
    """What the board needs to know of the suite."""

    name: str
    version: str
    baseline: str
    reference: str
    tasks: tuple[TaskFacts, ...]


@dataclass(slots=True, kw_only=True)
class Row:
    """One line of a board: a method on a task, or on the whole suite (`task` is None).

    `ci95` is the half-width of the 95 % interval of `score`; `unit` says over what it was taken and `n` over how many. Tasks of
    different units make the suite's `unit` "mixed"; `n_by_unit` has the number of each. On the suite's rows `score` is the mean
    normalised score (0 = baseline, 1 = reference) and `rank` the place by `mean_rank`. A task is scored if it has a score, imputed or
    not, and ok if a trial of it ended well. `shared_seconds` is the part of `seconds` that other trials spent on training that
    `n_shared` of its trials used.
    """

    method: str
    params: str
    task: str | None
    rank: float | None = None
    mean_rank: float | None = None
    score: float | None = None
    ci95: float | None = None
    unit: str = ""
    n: int = 0
    n_by_unit: dict[str, int] = field(default_factory=dict)
    n_units: int = 0
    n_seeds: int = 0
    n_ok: int = 0
    n_failed: int = 0
    n_declined: int = 0
    n_lost: int = 0
    n_imputed: int = 0
    imputed_share: float = 0.0
    n_tasks: int = 1
    n_tasks_ok: int = 0
    n_tasks_scored: int = 0
    seconds: float | None = None
    n_shared: int = 0
    shared_seconds: float = 0.0
    iterations: int = 0
    metric: str = ""
    transductive: bool = False
    preset: str = ""
    device: str = ""
    threads: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The method with its parameters, as a reader sees it."""
        return method_label(self.method, self.params)

    @property
    def n_in_words(self) -> str:
        """Over what the interval was taken, as in "400 episodes, 3 seeds"."""
        return ", ".join(plural(n, unit) for unit, n in self.n_by_unit.items())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"params": params_of(self.params)}


@dataclass(slots=True, kw_only=True)
class Board:
    """Rows (the suite's first, by rank; then task by task), what they have in common, and what was left out.

    `fingerprints` are those of the tasks' data; `hardware` lists the classes of machines that the seconds come from. `fills` holds
    of each task what stands for a failed trial (None: nothing), `dropped_tasks` those that "drop-task" takes out of the suite's
    rows. `n_left_out` counts the trials behind `left_out` that another choice of options would show.
    """

    group: Group | None
    rows: list[Row]
    left_out: list[str]
    notes: list[str]
    imputation: str
    fingerprints: dict[str, str] = field(default_factory=dict)
    hardware: list[str] = field(default_factory=list)
    fills: dict[str, float | None] = field(default_factory=dict)
    dropped_tasks: list[str] = field(default_factory=list)
    n_left_out: int = 0


def leaderboard(
    cells: Sequence[Cell],
    suite: SuiteFacts,
    *,
    preset: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    tasks: Iterable[str] = (),
    methods: Iterable[str] = (),
    imputation: str = "baseline",
    keep: Callable[[Cell], bool] | None = None,
) -> Board:
    """Return the board of the group that was asked for, or of the one with the newest results.

    Parameters
    ----------
    cells : sequence of Cell
        Counted results of the suite, of any group.
    preset, device, threads : optional
        Choose the group.
    tasks, methods : iterable of str
        Restrict the board; all if empty.
    imputation : str
        What stands for a failed trial: "baseline" (the suite's frozen baseline score), "baseline=NAME" (that method's mean score
        on the task, on this board), "worst" (the lowest score on that task), "none" (nothing: it is left out of the mean).
        "drop-task" imputes nothing and takes tasks on which a shown method failed out of the suite's rows, for all methods.
        Declined trials are never imputed.
    keep : callable, optional
        Further restricts the board to the cells for which it is true.

    Raises
    ------
    InputError
        On an unknown imputation.
    UnknownNameError
        If the method to impute with has no results on this board.
    """
    _check_imputation(imputation)
    wanted_tasks, wanted_methods = set(tasks), set(methods)
    everybody = [c for c in cells if not wanted_tasks or c.task in wanted_tasks]
    cells = [c for c in everybody if (not wanted_methods or c.method in wanted_methods) and (keep is None or keep(c))]
    # as `bench run --preset NAME --threads N` names it
    names_of_preset = {preset, f"{preset},threads={threads}"} if preset else {c.group.preset for c in cells}
    fitting = [
        c
        for c in cells
        if c.group.preset in names_of_preset
        and c.group.device == (device or c.group.device)
        and c.group.threads == (threads or c.group.threads)
    ]
    fitting = [c for c in fitting if c.group.preset == preset] or fitting
    if not fitting:
        return Board(
            group=None,
            rows=[],
            left_out=_left_out(cells),
            notes=[],
            imputation=imputation,
            n_left_out=sum(_n_trials(c) for c in cells),
        )
    # results of the suite as its file stands now come before those of older versions, then the newest
    group = max(fitting, key=lambda c: (c.group.suite_version == suite.version, c.newest)).group
    chosen, other_data = _one_fingerprint_a_task([c for c in fitting if c.group == group])
    names = [t.name for t in suite.tasks if not wanted_tasks or t.name in wanted_tasks]
    removed = [c for c in chosen if c.task not in names]
    chosen = [c for c in chosen if c.task in names]
    board = Board(group=group, rows=[], left_out=[], notes=_notes(chosen, group, suite), imputation=imputation)
    board.fingerprints = {c.task: c.fingerprint for c in chosen}
    board.hardware = _hardware(chosen)
    # of all methods, so that what stands for a failure does not depend on which methods are shown
    of_group = [c for c in everybody if c.group == group]
    stand_in = _stand_in(of_group, imputation)
    by_task = _by_task(of_group)
    noted: dict[str, list[str]] = defaultdict(list)
    for task in suite.tasks:
        here = by_task.get(task.name, [])
        board.fills[task.name], note = _fill_value(here, task, suite, imputation, stand_in)
        if note and any(c.n_failed for c in chosen if c.task == task.name):
            noted[note].append(task.name)
    board.notes += [f"{note} on {', '.join(where)}" for note, where in noted.items()]
    rows = _task_rows(chosen, names, board.fills)
    board.notes += _made_up(rows)
    if imputation == "drop-task":
        board.dropped_tasks = [t for t in names if any(c.n_failed for c in chosen if c.task == t)]
        board.notes += _dropped_notes(chosen, board.dropped_tasks)
    kept = [t for t in names if t not in board.dropped_tasks]
    board.rows = [*_suite_rows([r for r in rows if r.task in kept], suite, kept), *rows]
    elsewhere = [c for c in cells if c.group != group]
    board.left_out = _left_out(elsewhere, group)
    board.left_out += [f"{_count(c)} of {c.label} on {c.task}: other data ({c.fingerprint[:8]})" for c in other_data]
    board.left_out += [f"{_count(c)} of {c.label} on {c.task}: the suite no longer has this task" for c in removed]
    board.n_left_out = sum(_n_trials(c) for c in (*elsewhere, *other_data, *removed))
    return board


def _check_imputation(imputation: str) -> None:
    if imputation not in IMPUTATIONS and not imputation.removeprefix(BASELINE_PREFIX).strip():
        raise InputError("--impute baseline= names no method; expected baseline=NAME")
    if imputation not in IMPUTATIONS and not imputation.startswith(BASELINE_PREFIX):
        raise InputError(
            f"unknown imputation {imputation!r}; expected {', '.join(IMPUTATIONS)} or {BASELINE_PREFIX}NAME"
        )


def _stand_in(cells: Sequence[Cell], imputation: str) -> tuple[str, str] | None:
    """Return method and parameters of the method whose scores stand for failures; of several parameters the default ones."""
    if not imputation.startswith(BASELINE_PREFIX):
        return None
    name = imputation.removeprefix(BASELINE_PREFIX).strip()
    known = {(c.method, c.params): c.label for c in cells if c.n_ok}
    found = [key for key, label in known.items() if name in (label, key[0])]
    if not found:
        raise UnknownNameError("method to impute with:", name, {*known.values()})
    exact = [key for key in found if known[key] == name]
    if not exact and len(found) > 1:
        raise InputError(f"{name!r} stands on this board more than once; name one of {sorted(known[k] for k in found)}")
    return (exact or found)[0]


def _dropped_notes(cells: Sequence[Cell], dropped: Sequence[str]) -> list[str]:
    return [
        f"drop-task: {task} is not in the whole suite's numbers, since trials failed there of: "
        + ", ".join(sorted({c.label for c in cells if c.task == task and c.n_failed}))
        for task in dropped
    ]


def _made_up(rows: Sequence[Row]) -> list[str]:
    """Name the methods that have no score but imputed ones: their places are no results."""
    scored = [r for r in rows if r.score is not None]
    measured = {r.label for r in scored if r.n_ok}
    only = sorted({r.label for r in scored if r.n_imputed} - measured)
    if not only:
        return []
    return [
        f"all imputed, no result: no trial ended well of {', '.join(only)}; place and score are what stands for a failure"
    ]


def _one_fingerprint_a_task(cells: list[Cell]) -> tuple[list[Cell], list[Cell]]:
    newest: dict[str, tuple[float, str]] = {}
    for c in cells:
        newest[c.task] = max(newest.get(c.task, (-math.inf, "")), (c.newest, c.fingerprint))
    return (
        [c for c in cells if newest[c.task][1] == c.fingerprint],
        [c for c in cells if newest[c.task][1] != c.fingerprint],
    )


def _n_trials(cell: Cell) -> int:
    return cell.n_ok + cell.n_failed + cell.n_declined + cell.n_lost


def _count(cell: Cell) -> str:
    n = _n_trials(cell)
    return plural(n, "trial")


def _left_out(cells: Iterable[Cell], shown: Group | None = None) -> list[str]:
    """Say what is on other boards, and with which options those are seen beside the one that is shown."""
    counts: dict[Group, int] = defaultdict(int)
    for c in cells:
        counts[c.group] += _n_trials(c)
    lines = []
    for g, n in sorted(counts.items()):
        options = [
            f"--{name} {getattr(g, name)}"
            for name in ("preset", "device", "threads")
            if shown is None or getattr(g, name) != getattr(shown, name)
        ]
        lines.append(
            f"{plural(n, 'trial')} of suite version {g.suite_version}, {g.in_words()}"
            + (f": {' '.join(options)}" if options else "")
        )
    return lines


def _notes(cells: list[Cell], group: Group, suite: SuiteFacts) -> list[str]:
    source = published_source(group.protocol_version)
    notes = [] if source is None else [f"published elsewhere: {source}; not to be set beside results measured here"]
    hardware = _hardware(cells)
    if len(hardware) > 1:
        notes.append(f"seconds mix hardware and must not be compared: {'; '.join(hardware)}")
    if any(c.n_environments > 1 for c in cells):
        changed = sorted({c.label for c in cells if c.n_environments > 1})
        notes.append(f"package versions changed between trials of: {', '.join(changed)}")
    if group.suite_version != suite.version:
        notes.append(f"these are results of suite version {group.suite_version}; the suite file is at {suite.version}")
    return notes


def _hardware(cells: list[Cell]) -> list[str]:
    return sorted({h for c in cells for h in c.hardware if h})


def _by_task(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for c in cells:
        found.setdefault(c.task, []).append(c)
    return found


def _task_rows(cells: list[Cell], names: list[str], fills: Mapping[str, float | None]) -> list[Row]:
    rows = []
    by_task = _by_task(cells)
    for task in names:
        task_rows = [_task_row(c, fills[task]) for c in by_task.get(task, [])]
        found = ranks({i: to_compare(r.score) for i, r in enumerate(task_rows) if r.score is not None})
        for i, row in enumerate(task_rows):
            row.rank = found.get(i)
        rows += sorted(task_rows, key=lambda r: (r.rank is None, r.rank or 0.0, r.label))
    return rows


def _fill_value(
    cells: list[Cell], task: TaskFacts, suite: SuiteFacts, imputation: str, stand_in: tuple[str, str] | None
) -> tuple[float | None, str | None]:
    """Return what stands for a failed trial of the task, and a note where it is not what the policy's name says."""
    scores = {(c.method, c.params): math.fsum(c.seed_scores) / c.n_ok for c in cells if c.n_ok}
    if imputation in ("none", "drop-task") or (not scores and task.baseline_score is None):
        return None, None
    if imputation == "worst":
        return (min(scores.values()), None) if scores else (None, None)
    if stand_in is not None:
        if stand_in in scores:
            return scores[stand_in], None
        note = f"no score of {method_label(*stand_in)}: the lowest of this board stands for failures"
        return (min(scores.values()), note) if scores else (None, None)
    if task.baseline_score is not None:
        return task.baseline_score, None
    measured = {key[1]: score for key, score in scores.items() if key[0] == suite.baseline}
    if measured:
        own = measured.get("{}", min(measured.values()))
        return own, f"no frozen baseline score: {suite.baseline}'s of this board stands for failures"
    return min(scores.values()), "no baseline score: the lowest of this board stands for failures"


def _task_row(cell: Cell, fill: float | None) -> Row:
    row = Row(
        method=cell.method,
        params=cell.params,
        task=cell.task,
        n_ok=cell.n_ok,
        n_failed=cell.n_failed,
        n_declined=cell.n_declined,
        n_lost=cell.n_lost,
        n_seeds=cell.n_ok + cell.n_failed,
        n_units=sum(cell.seed_units),
        seconds=cell.seconds,
        n_shared=cell.n_shared,
        shared_seconds=cell.shared_seconds,
        iterations=cell.iterations,
        metric=cell.metric,
        transductive=cell.transductive,
        preset=cell.group.preset,
        device=cell.group.device,
        threads=cell.group.threads,
    )
    n_imputed = cell.n_failed if fill is not None else 0
    scores = [*cell.seed_scores, *([fill] * n_imputed if fill is not None else [])]
    if not scores:
        return row
    if n_imputed:
        # an interval over seeds of which some are made up would pretend to know
        found, row.unit = Estimate(math.fsum(scores) / len(scores), None, len(scores)), _trial_unit(cell)
    else:
        found, row.unit, note = _measured(cell)
        row.notes += [note] if note else []
    row.score, row.ci95, row.n = found.mean, found.ci95, found.n
    if n_imputed == len(scores):
        row.unit, row.n = "", 0
    elif row.unit:
        row.n_by_unit = {row.unit: row.n}
    row.n_tasks_ok, row.n_tasks_scored = int(row.n_ok > 0), 1
    row.n_imputed, row.imputed_share = n_imputed, n_imputed / len(scores)
    if n_imputed:
        row.notes.append(f"{n_imputed} of {len(scores)} {_trial_unit(cell)}s failed and are imputed")
    return row


def _measured(cell: Cell) -> tuple[Estimate, str, str]:
    """Return the mean of a cell's scores, over what its interval was taken, and a note on that."""
    scores, trial_unit = cell.seed_scores, _trial_unit(cell)
    if len(scores) > 1 and not agree(scores):
        return estimate_of_trials(scores), trial_unit, ""
    # one trial, or several of a method that chance does not touch: what is sampled are the units in it
    within = estimate_of_summary(scores[0], cell.seed_deviations[0], cell.seed_units[0])
    if len(scores) == 1:
        return within, cell.unit, "" if cell.unit == FOLD else "interval given this training: one seed"
    note = f"all {len(scores)} {trial_unit}s give the same"
    if within.ci95 is None:
        return estimate_of_trials(scores), trial_unit, note
    return within, cell.unit, note


def _trial_unit(cell: Cell) -> str:
    """Return what one trial of a cell is a sample of: of tasks with splits the seed is the number of one."""
    return FOLD if cell.unit == FOLD else "seed"


def _suite_rows(rows: list[Row], suite: SuiteFacts, names: list[str]) -> list[Row]:
    by_task: dict[str, dict[tuple[str, str], float]] = {}
    by_method: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for r in rows:
        by_method[r.method, r.params].append(r)
        if r.score is not None and r.task is not None:
            by_task.setdefault(r.task, {})[r.method, r.params] = to_compare(r.score)
    places = mean_ranks(by_task)
    order = ranks({key: -value for key, value in places.items()})
    facts = {t.name: t for t in suite.tasks}
    found = []
    for key, own in by_method.items():
        row = _suite_row(key, own, facts, len(names))
        row.mean_rank, row.rank = places.get(key), order.get(key)
        found.append(row)
    return sorted(found, key=lambda r: (r.rank is None, r.rank or 0.0, r.label))


def _suite_row(key: tuple[str, str], own: list[Row], facts: Mapping[str, TaskFacts], n_tasks: int) -> Row:
    row = Row(method=key[0], params=key[1], task=None, n_tasks=n_tasks)
    for name in ("n_ok", "n_failed", "n_declined", "n_lost", "n_units", "n_imputed", "n_seeds", "n_shared"):
        setattr(row, name, sum(getattr(r, name) for r in own))
    row.n_tasks_ok = sum(r.n_tasks_ok for r in own)
    row.n_tasks_scored = sum(r.score is not None for r in own)
    seconds = [r.seconds for r in own if r.seconds is not None]
    row.seconds = math.fsum(seconds) if seconds else None
    row.shared_seconds = math.fsum(r.shared_seconds for r in own)
    row.iterations = sum(r.iterations for r in own)
    row.imputed_share = row.n_imputed / row.n_seeds if row.n_seeds else 0.0
    row.transductive = any(r.transductive for r in own)
    row.preset, row.device, row.threads = own[0].preset, own[0].device, own[0].threads
    scored = [(r, found) for r in own if (found := _normalised(r, facts)) is not None]
    if scored:
        normalised = [found for _, found in scored]
        row.metric = "normalised score"
        row.score = math.fsum(n[0] for n in normalised) / len(normalised)
        # tasks are fixed, not sampled: the interval is the tasks' own, propagated
        widths = [n[1] for n in normalised if n[1] is not None]
        if len(widths) == len(normalised):
            row.ci95 = math.sqrt(math.fsum(w * w for w in widths)) / len(normalised)
        counts: Counter[str] = Counter()
        for r, _ in scored:
            counts.update(r.n_by_unit)
        row.n_by_unit = dict(sorted(counts.items()))
        row.unit = next(iter(counts)) if len(counts) == 1 else "mixed" if counts else ""
        row.n = counts.total()
    if row.n_declined:
        row.notes.append(f"{row.n_tasks_scored}/{n_tasks} tasks, the others declined")
    elif row.n_tasks_scored < n_tasks:
        row.notes.append(f"{row.n_tasks_scored}/{n_tasks} tasks")
    if row.n_imputed:
        row.notes.append(f"{row.imputed_share:.0%} imputed")
    return row


def _normalised(row: Row, facts: Mapping[str, TaskFacts]) -> tuple[float, float | None] | None:
    if row.score is None or row.task is None:
        return None
    return facts[row.task].normalised(row.score, row.ci95)
