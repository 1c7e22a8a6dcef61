"""What a board says, as tables and sentences: the one place where a board's numbers are chosen for printing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchbench.reports.report import Column, Report, Sheet
from benchbench.stats.labels import params_of, published_source, share_text

if TYPE_CHECKING:
    from benchbench.stats.leaderboard import Board, Group, Row
    from benchbench.stats.statistics import Standing
    from benchbench.suite_files import SuiteSpec

__all__ = [
    "LOWER_IS_BETTER",
    "MEANINGS",
    "TITLES",
    "board_records",
    "board_report",
    "facts_line",
    "generated_tasks",
    "imputation_facts",
    "interval_lines",
    "machine_facts",
    "method_name",
    "splits_line",
    "standings_report",
    "standings_sheet",
    "task_notes",
    "task_standings_report",
    "too_few_methods",
]

# what places go by, on how much a number rests and whether it was made up: no terminal is too narrow for them
OVERALL = (
    Column("place", "#", "place"),
    Column("name", "method"),
    Column("mean_rank", "mean rank", "number", 2),
    Column("score", "score", "number", 3),
    Column("ci95", "± 95 %", "number", 3),
    Column("n", "n", "count"),
    Column("tasks", "tasks", "count"),
    Column("failed", "failed", "count"),
    Column("seconds", "seconds", "seconds", expendable=1),
    Column("notes", "notes"),
)
TASK = (
    Column("place", "#", "place"),
    Column("name", "method"),
    Column("score", "score", "number", 4),
    Column("ci95", "± 95 %", "number", 4),
    Column("n", "n", "count"),
    Column("failed", "failed", "count"),
    Column("seconds", "seconds", "seconds", expendable=1),
    Column("notes", "notes"),
)
DIGITS = {"rank": 2, "elo": 0}
"""After the point, by statistic; 3 for others."""
TITLES = {
    "rank": "mean rank",
    "winrate": "win rate",
    "norm": "normalised score",
    "improvability": "improvability",
    "elo": "Elo",
    "mrr": "mean reciprocal rank",
}
"""As column headings; kept apart from `stats.standings`, which needs numpy."""
LOWER_IS_BETTER = ("rank", "improvability")
OF_PAIRS = ("winrate", "elo")
"""Statistics that one method alone has no value of."""
NO_BOLD = "nothing is in bold: no interval tells the first from the second"


def generated_tasks(suite: SuiteSpec, board: Board) -> list[str]:
    """Return the tasks of a board whose splits were made here: all of some suites, of others those whose data say so."""
    from benchbench.contracts.loading import GENERATED

    return [task for task, data in board.fingerprints.items() if suite.generated_splits or data.endswith(GENERATED)]


def splits_line(suite: SuiteSpec, board: Board) -> str:
    """Say which splits were made here; empty if none were."""
    found = generated_tasks(suite, board)
    if not found:
        return ""
    what = "" if len(found) == len(board.fingerprints) else f" for {', '.join(found)}"
    return f"splits generated here{what}: not to be set beside published results"


def machine_facts(group: Group) -> dict[str, str]:
    """Return threads and device by name; published results do not say them."""
    return {
        "threads": str(group.threads or "not recorded"),
        "device": group.device if group.threads else "not recorded",
    }


def facts_line(group: Group) -> str:
    """Return what all results of a board have in common, in one line."""
    if published_source(group.protocol_version) is not None:
        return f"{group.protocol_version}; budgets, threads and devices as there"
    return group.in_words()


def board_report(suite: SuiteSpec, board: Board) -> Report:
    """Return the board by mean rank: the whole suite, then task by task.

    Raises
    ------
    ValueError
        If the board is empty.
    """
    overall = [r for r in board.rows if r.task is None]
    sheets = []
    if _n_tasks(board) > 1 and overall:
        sheets.append(_overall_sheet(overall))
    for name in dict.fromkeys(r.task for r in board.rows if r.task is not None):
        own = [r for r in board.rows if r.task == name]
        sheets.append(_task_sheet(name, own))
    return _report(suite, board, sheets, _legend(suite, board), board_records(suite, board))


def standings_report(
    suite: SuiteSpec, board: Board, statistic: str, found: Sequence[Standing], *, n_bootstrap: int
) -> Report:
    """Return one table of a whole suite by any statistic, with intervals over tasks."""
    overall = {r.label: r for r in board.rows if r.task is None}
    n_tasks = len({r.task for r in board.rows if r.task is not None}) - len(board.dropped_tasks)
    sheet = standings_sheet(f"whole suite by {TITLES[statistic]}", statistic, found, overall, n_tasks, task=None)
    records = [_standing_record(suite, board, statistic, s, overall.get(s.method), None) for s in found]
    return _report(suite, board, [sheet], _standing_legend(suite, board, statistic, found, n_bootstrap), records)


def task_standings_report(
    suite: SuiteSpec, board: Board, statistic: str, found: Mapping[str, Sequence[Standing]]
) -> Report:
    """Return one table a task by any statistic; of one task a statistic over tasks has no interval, its score has."""
    sheets, records = [], []
    for task, own in found.items():
        rows = {r.label: r for r in board.rows if r.task == task}
        title = _task_title(task, list(rows.values()))
        sheets.append(standings_sheet(title, statistic, own, rows, 1, task=task))
        records += [_standing_record(suite, board, statistic, s, rows.get(s.method), task) for s in own]
    everybody = [s for own in found.values() for s in own]
    return _report(suite, board, sheets, _standing_legend(suite, board, statistic, everybody, 0), records)


def _n_tasks(board: Board) -> int:
    return len({r.task for r in board.rows if r.task is not None})


def _report(
    suite: SuiteSpec,
    board: Board,
    sheets: Sequence[Sheet],
    notes: Sequence[str],
    records: Sequence[Mapping[str, Any]],
) -> Report:
    group = board.group
    if group is None:
        raise ValueError("an empty board has nothing to report")
    return Report(
        title=f"{suite.title} (suite {suite.name} {group.suite_version})",
        line=facts_line(group),
        facts={
            "suite": f"{suite.name} {group.suite_version}",
            "track": suite.track,
            "protocol": group.protocol_version,
            "preset": group.preset,
            "test units": str(group.test_units or "not recorded"),
            **machine_facts(group),
            **imputation_facts(board),
            "left out": f"{board.n_left_out} trial{'' if board.n_left_out == 1 else 's'}",
            "generated splits": _generated(suite, board),
            "hardware": "; ".join(board.hardware) or "not recorded",
        },
        splits=splits_line(suite, board),
        sheets=sheets,
        notes=notes,
        left_out=board.left_out,
        records=records,
    )


def _generated(suite: SuiteSpec, board: Board) -> str:
    n = len(generated_tasks(suite, board))
    return "none" if not n else f"{n} of {len(board.fingerprints)} tasks"


def imputation_facts(board: Board) -> dict[str, str]:
    """Return the policy and the share of all trials' scores that it made up."""
    rows = [r for r in board.rows if r.task is not None and r.task not in board.dropped_tasks]
    n = sum(r.n_ok + r.n_imputed for r in rows)
    n_imputed = sum(r.n_imputed for r in rows)
    share = f"{n_imputed} of {n} scores ({n_imputed / n:.1%})" if n else "no scores"
    return {"imputation": board.imputation, "imputed": share}


# --------------------------------------------------------------------------------------------------------------------------
# by mean rank, as `bench leaderboard` has it


def _overall_sheet(rows: Sequence[Row]) -> Sheet:
    cells = []
    for row in rows:
        notes = [f"{row.n_declined} declined"] if row.n_declined else []
        if row.n_imputed:
            notes.append(f"{share_text(row.imputed_share)} imputed")
        cells.append(
            _common(row)
            | {"mean_rank": row.mean_rank, "tasks": f"{row.n_tasks_scored}/{row.n_tasks}"}
            | {"notes": ", ".join([*notes, *_shared(row)])}
        )
    best, rule = _bold(rows)
    return Sheet(title="whole suite", task=None, columns=OVERALL, rows=cells, best=best, best_rule=rule)


def _task_sheet(name: str, rows: Sequence[Row]) -> Sheet:
    best, rule = _bold(rows)
    return Sheet(
        title=_task_title(name, rows),
        task=name,
        columns=TASK,
        rows=[_common(r) | {"notes": ", ".join(task_notes(r))} for r in rows],
        best=best,
        best_rule=rule,
    )


def _task_title(name: str, rows: Sequence[Row]) -> str:
    """Return the task with its metric, which only trials that ended well know."""
    unknown = "all imputed" if any(r.score is not None for r in rows) else "no score"
    return f"{name} ({next((r.metric for r in rows if r.metric), unknown)})"


def _common(row: Row) -> dict[str, Any]:
    return {
        "place": row.rank,
        "name": method_name(row),
        "label": row.label,
        "method": row.method,
        "score": row.score,
        "ci95": row.ci95,
        "n": row.n_in_words,
        "failed": row.n_failed + row.n_lost,
        "seconds": row.seconds,
    }


def method_name(row: Row) -> str:
    """Return a method as boards show it, with the mark of transductive ones."""
    return row.label + (" (t)" if row.transductive else "")


def task_notes(row: Row) -> list[str]:
    """Return what must be said of a method on one task."""
    notes = ["declined"] if row.n_declined else []
    if row.n_imputed:
        notes.append("imputed" if row.n_imputed == row.n_seeds else f"{row.n_imputed} of {row.n_seeds} trials imputed")
    if row.n_lost:
        notes.append(f"{row.n_lost} lost with their workers")
    return [*notes, *_shared(row)]


def _shared(row: Row) -> list[str]:
    """Mark seconds of which another trial spent a part."""
    if not row.n_shared:
        return []
    return ["training shared" if row.n_shared == row.n_ok else f"training shared ({row.n_shared} of {row.n_ok} trials)"]


def _bold(rows: Sequence[Row]) -> tuple[tuple[int, ...], str]:
    """Return the row that is better than every other one beyond both intervals, and the rule that says so."""
    placed = [(i, r) for i, r in enumerate(rows) if r.score is not None]
    if len(placed) < 2:
        return (), NO_BOLD
    first, others = placed[0][1], [r for _, r in placed[1:]]
    top = first.score or 0.0
    rule = (
        "in bold: the best, where its score exceeds every other one's by more than the root of the sum of both squared half-widths"
        " (95 %, unpaired)"
    )
    if first.ci95 is None or any(r.ci95 is None for r in others if top - (r.score or 0.0) <= 0):
        return (), NO_BOLD
    second = max(others, key=lambda r: r.score or 0.0)
    if second.ci95 is None:
        return (), NO_BOLD
    is_real = all(top - (r.score or 0.0) > math.hypot(first.ci95, r.ci95 or 0.0) for r in others)
    return ((placed[0][0],), rule) if is_real else ((), NO_BOLD)


def _legend(suite: SuiteSpec, board: Board) -> list[str]:
    task_rows = [r for r in board.rows if r.task is not None]
    lines = [*interval_lines(task_rows), *_score_lines(suite, board), *_marks(board)]
    return lines + board.notes


def _marks(board: Board) -> list[str]:
    task_rows = [r for r in board.rows if r.task is not None]
    lines = []
    if any(r.transductive for r in board.rows):
        lines.append("(t) transductive: a query's prediction uses the episode's other queries")
    if any(r.n_shared for r in task_rows):
        lines.append("training shared: the seconds hold meta-training that was done once, in another trial")
    n_failed = sum(r.n_failed for r in task_rows)
    if n_failed:
        is_imputed = any(r.n_imputed for r in task_rows)
        lines.append(
            f"{n_failed} trial{'' if n_failed == 1 else 's'} failed (why: bench runs, bench show ID); "
            + ("imputed" if is_imputed else "nothing stands for them,")
            + f" by policy `{board.imputation}` (--impute)"
        )
    return lines


def interval_lines(rows: Sequence[Row]) -> list[str]:
    """Say over what the intervals of scores were taken, of those that there are."""
    rows = [r for r in rows if r.ci95 is not None]
    lines = []
    units = sorted({r.unit for r in rows if r.unit not in ("", "seed", "fold")})
    if units:
        lines.append(
            f"± is the half-width of a 95 % Student-t interval over {'s, '.join(units)}s, given this training (one seed)"
        )
        if any(r.unit in units and r.n_seeds > 1 for r in rows if r.task is not None):
            lines.append(f"where all seeds give the same, ± is over the {'s, '.join(units)}s of one of them")
    if any(r.unit == "fold" for r in rows):
        lines.append(
            "± over folds is the half-width of a 95 % Student-t interval over the folds' scores; folds share training rows, so that it"
            " is rather too narrow"
        )
    if any(r.unit == "seed" for r in rows):
        lines.append("± over seeds is the half-width of a 95 % Student-t interval over the seeds' means")
    return lines


def _score_lines(suite: SuiteSpec, board: Board) -> list[str]:
    """Say what the scores of the whole suite are; of one task there is no such table."""
    overall = [r for r in board.rows if r.task is None]
    if not overall or _n_tasks(board) < 2:
        return []
    if any(r.score is not None for r in overall):
        from benchbench.results.boards import suite_facts

        how = f"; {suite.scores.measured}" if suite.scores.measured else ""
        bare = [t.name for t in suite_facts(suite).tasks if t.width is None]
        left_out = f"; without {', '.join(bare)}, which have no reference above the baseline" if bare else ""
        return [
            f"whole-suite score: mean over tasks of (score - baseline) / (reference - baseline), "
            f"0 = {suite.scores.baseline}, 1 = {suite.scores.reference}, frozen in the suite file{how}{left_out}"
        ]
    if board.group is not None and published_source(board.group.protocol_version) is not None:
        return ["no whole-suite score: published results have no frozen scores of a baseline and a reference"]
    return ["no whole-suite score: the suite file holds no frozen scores of its baseline and reference"]


def board_records(suite: SuiteSpec, board: Board) -> list[dict[str, Any]]:
    """Return the rows of a board, unrounded, each with all that it must not be seen without."""
    if board.group is None:
        return []
    common = {
        "suite": suite.name,
        "suite_version": board.group.suite_version,
        "protocol_version": board.group.protocol_version,
    }
    shared = {"test_units": board.group.test_units, "imputation": board.imputation, "n_left_out": board.n_left_out}
    generated = set(generated_tasks(suite, board))
    # of the whole suite: if those of any task are
    return [
        common
        | {"generated_splits": row.task in generated if row.task is not None else bool(generated)}
        | row.to_dict()
        | shared
        for row in board.rows
    ]


# --------------------------------------------------------------------------------------------------------------------------
# by any statistic


def standings_sheet(
    title: str,
    statistic: str,
    found: Sequence[Standing],
    rows: Mapping[str, Row],
    n_tasks: int,
    *,
    task: str | None,
) -> Sheet:
    """Return a table of standings, beside what the board knows of each method.

    Parameters
    ----------
    rows : mapping of method's label to Row
        Of the whole suite, or of the task.
    n_tasks : int
        That could be had.
    """
    digits = DIGITS.get(statistic, 3)
    columns = [
        Column("place", "#", "place"),
        Column("name", "method"),
        Column("value", TITLES[statistic], "number", digits),
        *(
            [Column("low", "95 % from", "number", digits), Column("high", "to", "number", digits)]
            if task is None
            else [
                Column("score", "score", "number", 4),
                Column("ci95", "± 95 %", "number", 4),
                Column("n", "n", "count"),
            ]
        ),
        *([Column("tasks", "n tasks", "count")] if task is None else []),
        Column("imputed_share", "imputed", "share"),
        Column("failed", "failed", "count"),
        Column("seconds", "seconds", "seconds", expendable=1),
        Column("notes", "notes"),
    ]
    cells = []
    for s in found:
        row = rows.get(s.method)
        notes = [] if row is None else task_notes(row) if task is not None else _shared(row)
        if task is None and row is not None and row.n_declined:
            notes.insert(0, f"{row.n_declined} trial{'' if row.n_declined == 1 else 's'} declined")
        cells.append(
            ({} if row is None else _common(row) | {"score": row.score})
            | {
                "place": s.place,
                "name": s.method if row is None else method_name(row),
                "label": s.method,
                "value": s.value,
                "low": s.low,
                "high": s.high,
                "tasks": f"{s.n_tasks}/{n_tasks}",
                "imputed_share": s.imputed_share,
                "notes": ", ".join(notes),
            }
        )
    best, rule = _bold_standing(statistic, found) if task is None else ((), NO_BOLD)
    return Sheet(title=title, task=task, columns=columns, rows=cells, best=best, best_rule=rule)


def _bold_standing(statistic: str, found: Sequence[Standing]) -> tuple[tuple[int, ...], str]:
    placed = [s for s in found if s.value is not None]
    if len(placed) < 2 or any(s.low is None or s.high is None for s in placed):
        return (), NO_BOLD
    sign = -1 if statistic in LOWER_IS_BETTER else 1
    first = min(sign * (v or 0.0) for v in (placed[0].low, placed[0].high))
    others = max(sign * (v or 0.0) for s in placed[1:] for v in (s.low, s.high))
    return ((0,), "in bold: the best, where its interval meets no other one's") if first > others else ((), NO_BOLD)


def _standing_legend(
    suite: SuiteSpec, board: Board, statistic: str, found: Sequence[Standing], n_bootstrap: int
) -> list[str]:
    lines = [MEANINGS[statistic]]
    if statistic == "norm" and any(t.baseline_score is not None for t in suite.tasks):
        how = f"; {suite.scores.measured}" if suite.scores.measured else ""
        lines.append(
            f"(score - baseline) / (reference - baseline), 0 = {suite.scores.baseline}, 1 = {suite.scores.reference},"
            f" frozen in the suite file{how}"
        )
    if too_few := too_few_methods(statistic, found):
        lines.append(too_few)
    elif any(s.low is not None for s in found):
        lines.append(
            f"95 %: percentile interval of {n_bootstrap} bootstrap resamples of the tasks, widened for their small number; it says how"
            " far the number would move with other tasks of the kind"
        )
    elif n_bootstrap:
        lines.append("no interval: it would be over tasks, and there is but one")
    else:
        lines += interval_lines([r for r in board.rows if r.task is not None])
    # what each row says of its own tasks stands in the table
    common = [n for s in found[:1] for n in s.notes if all(n in other.notes for other in found) and "/" not in n]
    return [*lines, *common, *_marks(board), *board.notes]


def too_few_methods(statistic: str, found: Sequence[Standing]) -> str:
    """Say that no method has a value because there are no two to compare; empty if one has, or needs no other one."""
    if statistic not in OF_PAIRS or any(s.value is not None for s in found):
        return ""
    n = len({s.method for s in found})
    there = "there is 1 method" if n == 1 else f"no two of the {n} methods have one"
    return f"{TITLES[statistic]} needs at least two methods with a common task; {there}"


MEANINGS = {
    "rank": "mean rank over tasks, 1 = best; methods are compared on the tasks that both have",
    "winrate": "win rate: mean over the other methods of the share of common tasks won, ties counted by half",
    "norm": "normalised score: mean over tasks of the score on a scale of each task's own",
    "improvability": "improvability: mean over tasks of (error - best error) / error; 0 = nobody is better",
    "elo": "Elo: Bradley-Terry ratings of all pairs and tasks, with one imagined draw a method; mean 1000, 400 points a factor of ten",
    "mrr": "mean reciprocal rank: mean over tasks of 1 / rank",
}
"""One sentence a statistic."""


def _standing_record(
    suite: SuiteSpec, board: Board, statistic: str, standing: Standing, row: Row | None, task: str | None
) -> dict[str, Any]:
    group = board.group
    if group is None:
        raise ValueError("an empty board has no standings")
    generated = generated_tasks(suite, board)
    return {
        "suite": suite.name,
        "suite_version": group.suite_version,
        "protocol_version": group.protocol_version,
        "preset": group.preset,
        "test_units": group.test_units,
        "threads": group.threads,
        "device": group.device,
        "generated_splits": bool(generated) if task is None else task in generated,
        "statistic": statistic,
        "imputation": board.imputation,
        "n_left_out": board.n_left_out,
        "task": task,
        "method": standing.method if row is None else row.method,
        "params": {} if row is None else params_of(row.params),
        "label": standing.method,
        "rank": standing.place,
        "value": standing.value,
        "low": standing.low,
        "high": standing.high,
        "n": standing.n_tasks,
        "unit": "task",
        "score": None if row is None else row.score,
        "ci95": None if row is None else row.ci95,
        "score_n": 0 if row is None else row.n,
        "score_unit": "" if row is None else row.unit,
        "imputed_share": standing.imputed_share,
        "n_failed": 0 if row is None else row.n_failed,
        "n_declined": 0 if row is None else row.n_declined,
        "n_lost": 0 if row is None else row.n_lost,
        "seconds": None if row is None else row.seconds,
        "transductive": False if row is None else row.transductive,
        "notes": list(standing.notes),
    }
