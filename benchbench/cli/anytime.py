"""`bench anytime`: compare optimisers at every budget, on the problems of a suite."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.common import (
    DbOption,
    DeviceOption,
    MethodsOption,
    PresetOption,
    SuiteOption,
    TasksOption,
    ThreadsOption,
    db_path,
    format_option,
    print_json,
    split_list,
)
from benchbench.cli.leaderboard import make_board, no_results
from benchbench.cli.terminal import markdown_table, print_lines, print_that_fits
from benchbench.errors import InputError
from benchbench.stats.labels import plural
from benchbench.text import escape_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.results.reader import Readable
    from benchbench.stats.anytime import AnytimeRow, AnytimeTable, Incumbents
    from benchbench.stats.intervals import Estimate
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.suite_files import SuiteSpec

__all__ = ["anytime", "make_anytime"]

HEADERS = [
    "#",
    "method",
    "rank",
    "±",
    "regret",
    "±",
    "area",
    "±",
    "wins",
    "±",
    "log10 ratio",
    "±",
    "reached",
    "evaluations to",
    "from",
]
# omitted first on a narrow terminal
EXPENDABLE = ("from", "evaluations to", "reached")


def anytime(
    suite: SuiteOption,
    task: TasksOption = None,
    method: MethodsOption = None,
    preset: PresetOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    target: Annotated[float, typer.Option("--target", min=0.0, max=1.0, help="Normalised regret to reach.")] = 0.1,
    db: DbOption = None,
    format_: Annotated[str, format_option("table", "json", "markdown", note="JSON holds the curves.")] = "table",
) -> None:
    """Compare optimisers by regret over their budget.

    Also shown: rank, area under the regret curve, and wins against the baseline.
    """
    from benchbench.results.importers.suites import find_any_suite
    from benchbench.results.store import Store

    store = Store(db_path(db))
    spec = find_any_suite(suite, store)
    board = make_board(
        spec,
        store,
        preset=preset,
        device=device,
        threads=threads,
        tasks=split_list(task),
        methods=split_list(method),
        impute="none",
    )
    found = make_anytime(spec, store, board, target)
    if format_ == "json":
        print_json({"suite": spec.name, "baseline": spec.scores.baseline, **found.to_dict()})
        return
    _print(spec, board, found, is_markdown=format_ == "markdown")


def make_anytime(spec: SuiteSpec, store: Readable, board: Leaderboard, target: float = 0.1) -> AnytimeTable:
    """Return the any-time comparison of a board's trials.

    Raises
    ------
    InputError
        If the suite is of another track, its problems have no frozen scores of baseline and
        reference, or nothing can be compared.
    """
    from benchbench.protocols.base import tracks_where
    from benchbench.results.importers.suites import is_published
    from benchbench.results.load_curves import incumbents
    from benchbench.stats.anytime import measured_ends

    if spec.track not in (possible := tracks_where(lambda protocol: protocol.CURVES_OF_INCUMBENTS)):
        known = ", ".join(map(repr, possible))
        raise InputError(f"suite {spec.name!r} is of track {spec.track!r}; any-time regret is of track {known}")
    if board.conditions is None:
        raise no_results(spec, board)
    trials = incumbents(store, spec.name, board)
    if is_published(spec):
        return _compared(spec, trials, measured_ends(trials), target)
    anchors = {
        t.name: (-t.reference_score, -t.baseline_score)
        for t in spec.tasks
        if t.reference_score is not None and t.baseline_score is not None
    }
    if not anchors:
        raise InputError(
            f"the tasks of suite {spec.name!r} have no frozen scores; give them baseline_score (minus random search's "
            "median loss) and reference_score (minus the best known loss)"
        )
    return _compared(spec, trials, anchors, target)


def _compared(
    spec: SuiteSpec, trials: Sequence[Incumbents], anchors: Mapping[str, tuple[float, float]], target: float
) -> AnytimeTable:
    from benchbench.stats.anytime import anytime_table

    if not any(t.losses for t in trials):
        raise InputError(f"suite {spec.name!r} has no curves; import them with columns step and score or loss")
    try:
        return anytime_table(trials, anchors, baseline=spec.scores.baseline, target=target)
    except ValueError as error:
        raise InputError(f"cannot compare optimisers on suite {spec.name!r}: {error}") from error


def _print(spec: SuiteSpec, board: Leaderboard, found: AnytimeTable, *, is_markdown: bool) -> None:
    rows = [_cells(i, row) for i, row in enumerate(found.rows, 1)]
    right = [i for i, name in enumerate(HEADERS) if name != "method"]
    group = board.conditions
    head = f"{spec.title} (suite {spec.name} {spec.version}"
    if group is not None:
        head += f", protocol {group.protocol_version}, preset {group.preset}, {group.threads} thread{'s' * (group.threads != 1)}"
    sys.stdout.write(f"{escape_markdown(head) if is_markdown else head})\n\n")
    if is_markdown:
        sys.stdout.write(markdown_table(HEADERS, rows, right))
    else:
        print_that_fits(HEADERS, rows, right=right, expendable=EXPENDABLE)
    sys.stdout.write("\n")
    n_tasks, n_seeds = len(found.tasks), len(found.seeds)
    print_lines(
        [
            f"at {found.budget:g} evaluations (weighted by fidelity): means over {plural(n_tasks, 'problem')}",
            f"± is the half-width of a 95 % Student-t interval over {plural(n_seeds, 'paired seed')}, for these problems",
            *(
                [f"± -: all {n_seeds} seeds give the same value; the interval is unknown, not 0"]
                if _agreed(found)
                else []
            ),
            _ends(spec),
            "area: mean regret over the budget; before its first incumbent an optimiser counts as the worst of those that "
            "have one",
            *(
                [
                    f"wins: share of paired trials that end with a lower loss than {spec.scores.baseline}; log10 ratio:"
                    " of regrets, below 0 is better"
                ]
                if spec.scores.baseline
                else []
            ),
            f"reached: share of trials that reach regret {found.target:g}; evaluations to: expected number until then "
            "(all evaluations, divided by the trials that reach it); from: evaluations after which every trial has an "
            "incumbent",
            *found.left_out,
            *board.notes,
            *(f"left out: {line}" for line in board.left_out),
        ],
        is_markdown=is_markdown,
    )


def _ends(spec: SuiteSpec) -> str:
    if not spec.scores.baseline:
        return "regret: 0 = least loss of any method on the problem, 1 = greatest final loss; larger regrets count as 1"
    measured = f": {spec.scores.measured}" if spec.scores.measured else ""
    return (
        f"regret: 0 = best known loss, 1 = median final loss of {spec.scores.baseline}, both frozen in the suite"
        f" file{measured}; larger regrets count as 1"
    )


def _agreed(found: AnytimeTable) -> bool:
    """Whether a value has no interval although there are several seeds."""
    values = [v for r in found.rows for v in (r.rank, r.regret, r.area, r.log_regret_difference) if v is not None]
    return len(found.seeds) > 1 and any(v.ci95 is None for v in values)


def _cells(rank: int, row: AnytimeRow) -> list[str]:
    return [
        str(rank),
        row.label,
        *_estimate(row.rank, 2),
        *_estimate(row.regret, 3),
        *_estimate(row.area, 3),
        *_estimate(row.wins, 2),
        *_estimate(row.log_regret_difference, 2),
        f"{row.reached:.0%}",
        "-" if row.running_time is None else f"{row.running_time:.1f}",
        f"{row.first:g}",
    ]


def _estimate(value: Estimate | None, digits: int) -> list[str]:
    if value is None:
        return ["-", "-"]
    return [f"{value.mean:.{digits}f}", "-" if value.ci95 is None else f"{value.ci95:.{digits}f}"]
