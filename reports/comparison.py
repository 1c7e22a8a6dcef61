"""Comparisons of two methods of a leaderboard, with their results per unit from the store.

Terminal, pages and site all use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchbench.reports.leaderboard import generated_tasks, imputation_facts
from benchbench.reports.report import Column, Sheet, number
from benchbench.results.load_units import UnitScores, unit_scores
from benchbench.stats.labels import plural
from benchbench.stats.pairwise import MethodComparison, TaskPair, compare_methods
from benchbench.stats.significance import least_p

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Leaderboard, Row
    from benchbench.suite_files import SuiteSpec

__all__ = [
    "comparison_lines",
    "comparison_record",
    "comparison_sheet",
    "first_against_others",
    "load_comparison",
    "others_sheet",
    "scale_words",
]

MOST_OTHERS = 10
"""Methods, by rank, that the first one is compared with."""

COLUMNS = (
    Column("task", "task"),
    Column("metric", "metric", expendable=1),
    Column("a", "A", "number", 4),
    Column("b", "B", "number", 4),
    Column("difference", "A - B", "number", 4),
    Column("ci95", "± 95 %", "number", 4),
    Column("pairs", "n", "count"),
    Column("scaled", "scaled", "number", 3, expendable=2),
    Column("better", "better"),
    Column("note", "notes"),
)
PAIRS_LINE = "± is the half-width of a 95 % Student-t interval over the pairs of a task: seeds or folds, or the units of a single one"


def load_comparison(
    results: Readable, suite: str, board: Leaderboard, a: str, b: str, rope: float | None = None
) -> MethodComparison:
    """Return the comparison of two methods of a leaderboard, by label.

    Raises
    ------
    InputError
        If both are the same, or `rope` is below 0.
    """
    return _compared(board, (a, b), (_units(results, suite, board, a), _units(results, suite, board, b)), rope)


def first_against_others(results: Readable, suite: str, board: Leaderboard) -> list[MethodComparison]:
    """Compare the first method by mean rank with each of the next ones.

    There are at most `MOST_OTHERS` comparisons.
    """
    ranked = [r.label for r in board.overall if r.rank is not None]
    if len(ranked) < 2:
        return []
    first = _units(results, suite, board, ranked[0])
    return [
        _compared(board, (ranked[0], other), (first, _units(results, suite, board, other)), None)
        for other in ranked[1 : MOST_OTHERS + 1]
    ]


_Units = dict[tuple[str, int], UnitScores]


def _units(results: Readable, suite: str, board: Leaderboard, label: str) -> _Units:
    row = _row(board, label)
    return unit_scores(results, suite, board.conditions, board.fingerprints, row.method, row.params)


def _compared(
    board: Leaderboard, labels: tuple[str, str], units: tuple[_Units, _Units], rope: float | None
) -> MethodComparison:
    first, second = ({k: u.scores for k, u in side.items()} for side in units)
    return compare_methods(
        board,
        *labels,
        units=(first, second),
        unit_names={task: u.unit for side in units for (task, _), u in side.items() if u.unit},
        rope=rope,
    )


def _row(board: Leaderboard, label: str) -> Row:
    return next(r for r in board.rows if r.label == label)


def scale_words(found: MethodComparison) -> str:
    """Return on what scale scores of different tasks were put together."""
    return "rank, turned round, among all methods of the leaderboard" if found.scale == "rank" else found.scale


def comparison_sheet(found: MethodComparison) -> Sheet:
    """Return the comparison task by task."""
    rows = [
        pair.to_dict() | {"pairs": "" if not pair.n else plural(pair.n, pair.unit), "better": _better(found, pair)}
        for pair in found.tasks
    ]
    return Sheet(title=f"A = {found.a}, B = {found.b}; above 0: A is better", task=None, columns=COLUMNS, rows=rows)


OTHERS_COLUMNS = (
    Column("name", "against"),
    Column("difference", "mean difference", "number", 3),
    Column("span", "95 %"),
    Column("scale", "scale"),
    Column("wins", "won / tied / lost"),
    Column("p", "Wilcoxon p", "count"),
    Column("chance", "P(first better)", "number", 3),
    Column("decided", "decided"),
    Column("imputed", "imputed pairs", "count"),
)


def others_sheet(found: Sequence[MethodComparison]) -> Sheet:
    """Return one row per comparison of the first method with another one.

    Above 0 the first method is better.
    """
    rows = []
    for one in found:
        overall, bayes = one.overall, one.bayes
        row: dict[str, Any] = {
            "name": one.b,
            "label": one.b,
            "method": one.b.partition("(")[0],
            "scale": one.scale,
            "decided": {one.a: "first is better", one.b: f"{one.b} is better"}.get(one.better, one.better or "no"),
            "imputed": f"{one.n_imputed}/{one.n_pairs}" if one.n_imputed else "",
            "chance": None if bayes is None else bayes.p_right,
        }
        if overall is not None:
            row |= {
                "difference": overall.mean_difference,
                "span": ""
                if overall.low is None or overall.high is None
                else f"{number(overall.low, 3)} to {number(overall.high, 3)}",
                "wins": f"{overall.wins} / {overall.ties} / {overall.losses}",
                "p": "" if overall.p is None else f"{overall.p:.4g}",
            }
        rows.append(row)
    title = f"{found[0].a} against the others" if found else "first against the others"
    return Sheet(title=title, task=None, columns=OTHERS_COLUMNS, rows=rows)


def _better(found: MethodComparison, pair: TaskPair) -> str:
    if pair.difference is None:
        return ""
    return {found.a: "A", found.b: "B"}.get(pair.better, "-")


def comparison_lines(suite: SuiteSpec, board: Leaderboard, found: MethodComparison) -> list[str]:
    """Return what stands below the table: over all tasks, then what the numbers rest on."""
    facts = imputation_facts(board)
    return [
        *_overall_lines(found, board.alpha),
        PAIRS_LINE,
        f"better: A or B where the interval excludes 0 and the difference exceeds ±{found.rope:g} ({found.scale}), else -",
        f"imputation: {facts['imputation']}; imputed on the whole leaderboard: {facts['imputed']};"
        f" left out: {plural(board.n_left_out, 'trial')}",
        *board.notes,
        *(f"left out: {line}" for line in board.left_out),
    ]


def _overall_lines(found: MethodComparison, alpha: float) -> list[str]:
    overall, bayes = found.overall, found.bayes
    if overall is None:
        return []
    n = overall.n_tasks
    interval = ""
    if overall.low is not None and overall.high is not None:
        interval = f", 95 % from {overall.low:.3f} to {overall.high:.3f} (Student's t over tasks)"
    lines = [
        f"mean difference: {overall.mean_difference:.3f} ({scale_words(found)}) over {plural(n, 'task')}{interval}"
    ]
    if overall.p is not None:
        lines.append(
            f"Wilcoxon's signed-rank test, two-sided: p = {overall.p:.4g},"
            f" {'below' if overall.p < alpha else 'not below'} {alpha:g}; matched-pairs rank-biserial correlation "
            f"{overall.effect_size:.2f} (1: A is better everywhere, -1: B)"
        )
        if least_p(n) >= alpha:
            lines.append(f"with {n} tasks that test cannot give p < {alpha:g}, whatever the scores")
    if bayes is None:
        lines.append("one task allows no test over tasks; its own row has all that is known")
    else:
        lines.append(
            f"Bayesian signed-rank test, region of practical equivalence ±{found.rope:g} ({found.scale}): "
            f"P(A better) = {bayes.p_right:.3f}, P(equivalent) = {bayes.p_rope:.3f}, P(B better) = {bayes.p_left:.3f}"
        )
    return [*lines, *_separation_lines(found)]


def _separation_lines(found: MethodComparison) -> list[str]:
    it = found.separation
    if it is None:
        return []
    if it.tasks_needed is None:
        return ["no number of tasks would distinguish them: the mean difference is 0"]
    more = max(0, it.tasks_needed - it.n_tasks)
    text = f"to show a difference as large as this one takes {it.tasks_needed} tasks"
    text += f", {more} more than now" if more else ", no more than there are"
    if it.seeds_needed is not None and it.seeds_needed > it.n_seeds:
        text += f"; or {it.seeds_needed} seeds per task in place of {it.n_seeds}"
    return [f"{text} ({it.note})"]


def comparison_record(suite: SuiteSpec, board: Leaderboard, found: MethodComparison) -> dict[str, Any]:
    """Return the comparison as plain data, with all that it must not be seen without."""
    conditions = {} if board.conditions is None else asdict(board.conditions)
    return {
        "suite": suite.name,
        **conditions,
        "generated_splits": bool(generated_tasks(suite, board)),
        "imputation": board.imputation,
        "alpha": board.alpha,
        "n_left_out": board.n_left_out,
        **found.to_dict(),
        "left_out_pairs": list(found.left_out),
        "notes": board.notes,
        "left_out": board.left_out,
    }
