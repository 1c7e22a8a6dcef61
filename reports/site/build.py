"""From results to the files of a site; equal results give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

from benchbench.errors import InputError
from benchbench.plots import figure_bytes
from benchbench.reports.comparison import comparison_record, first_against_others
from benchbench.reports.costs import cost_records
from benchbench.reports.figures import BOARD_KINDS, Drawing, board_drawing
from benchbench.reports.leaderboard import board_report, statistic_report
from benchbench.reports.site.names import slug
from benchbench.reports.text import as_csv, as_json
from benchbench.results.counted import select_counted
from benchbench.stats.frontier import cost_panels
from benchbench.stats.pairwise import verdict_on
from benchbench.stats.statistics import STATISTICS

if TYPE_CHECKING:
    from benchbench.cards import MethodCard
    from benchbench.reports.report import Report
    from benchbench.results.reader import Readable
    from benchbench.stats.frontier import CostPanel
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.stats.pairwise import MethodComparison, Verdict
    from benchbench.suite_files import SuiteSpec

__all__ = ["Failure", "SuitePage", "build_site"]

_NEWEST = "SELECT max(started_at) FROM attempts WHERE suite IN (SELECT unnest(CAST($1 AS VARCHAR[])))"

# without tracebacks and hosts, which are nobody's business
_FAILURES = """
SELECT suite, task, method, params_json, seed, preset, outcome, error_type, error_message FROM counted
WHERE suite IN (SELECT unnest(CAST($1 AS VARCHAR[]))) AND outcome NOT IN ('ok', 'declined')
ORDER BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A counted trial that failed, or was lost with its worker."""

    suite: str
    task: str
    method: str
    params: str
    seed: int
    preset: str
    outcome: str
    error_type: str
    error_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePage:
    """All that the pages of a suite are made of.

    Parameters
    ----------
    report : Report
        The leaderboard by mean rank, with one table per task.
    verdict : Verdict or None
        Who leads by mean rank; None if no task is left.
    statistics : mapping of name to Report
        Whole-suite tables.
    comparisons : sequence of MethodComparison
        The first by mean rank against each of the next methods.
    costs : sequence of CostPanel
    drawings : mapping of kind to Drawing, or to the reason why there is none
    """

    suite: SuiteSpec
    board: Leaderboard
    report: Report
    verdict: Verdict | None
    statistics: Mapping[str, Report]
    comparisons: Sequence[MethodComparison] = ()
    costs: Sequence[CostPanel] = ()
    drawings: Mapping[str, Drawing | str] = field(default_factory=dict)


def build_site(
    results: Readable, boards: Sequence[tuple[SuiteSpec, Leaderboard]], cards: Mapping[str, MethodCard]
) -> dict[str, bytes]:
    """Return the files of a site by path.

    Parameters
    ----------
    boards : sequence of (suite, leaderboard)
        None of them empty.
    cards : mapping of method to card
        Of the methods that are known here; others have a page without a card.

    Raises
    ------
    InputError
        If two suites have one name.
    """
    from benchbench.reports.site import pages

    names = [suite.name for suite, _ in boards]
    if len(set(names)) < len(names):
        raise InputError(f"cannot publish two suites of one name: {', '.join(names)}")
    with results.reading() as con:
        newest = (con.execute(_NEWEST, [names]).fetchone() or (None,))[0]
        keys = tuple(Failure.__dataclass_fields__)
        select_counted(con, None)
        failures = [Failure(**dict(zip(keys, row, strict=True))) for row in con.execute(_FAILURES, [names]).fetchall()]
    suites = [_suite_page(results, suite, board) for suite, board in boards]
    found: dict[str, str | bytes] = {}
    for name in ("style.css", "site.js"):
        found[name] = files("benchbench.reports.site").joinpath(name).read_bytes()
    site = pages.Site(suites=suites, cards=cards, failures=failures, newest=newest)
    for page in suites:
        found |= _files_of(page)
    found |= pages.render(site)
    return {name: text if isinstance(text, bytes) else text.encode() for name, text in sorted(found.items())}


def _suite_page(results: Readable, suite: SuiteSpec, board: Leaderboard) -> SuitePage:
    statistics = {}
    for statistic in STATISTICS if board.imputed.table.tasks else ():
        if any(v.value is not None for v in board.values(statistic)):
            statistics[statistic] = statistic_report(suite, board, statistic)
    drawings: dict[str, Drawing | str] = {}
    for kind in BOARD_KINDS:
        try:
            drawings[kind] = board_drawing(kind, suite, board)
        except InputError as error:
            drawings[kind] = str(error)
    has_tasks = bool(board.imputed.table.tasks)
    return SuitePage(
        suite=suite,
        board=board,
        report=board_report(suite, board),
        verdict=verdict_on(board, "rank") if has_tasks else None,
        statistics=statistics,
        comparisons=first_against_others(results, suite.name, board) if has_tasks else (),
        costs=cost_panels(board),
        drawings=drawings,
    )


def _files_of(page: SuitePage) -> dict[str, str | bytes]:
    """Return figures and downloads of a suite."""
    base = slug(page.suite.name)
    found: dict[str, str | bytes] = {
        f"data/{base}.csv": as_csv(records := page.report.records),
        f"data/{base}.json": as_json(records),
    }
    for statistic, report in page.statistics.items():
        records = report.records
        found |= {f"data/{base}-{statistic}.csv": as_csv(records), f"data/{base}-{statistic}.json": as_json(records)}
    if page.comparisons:
        compared = [comparison_record(page.suite, page.board, one) for one in page.comparisons]
        found[f"data/{base}-comparisons.json"] = as_json(compared)
    if page.costs:
        costs = cost_records(page.costs)
        found |= {f"data/{base}-costs.csv": as_csv(costs), f"data/{base}-costs.json": as_json(costs)}
    for kind, drawing in page.drawings.items():
        if isinstance(drawing, Drawing):
            found[f"figures/{base}-{kind}.svg"] = figure_bytes(drawing.draw(), "svg")
    return found
