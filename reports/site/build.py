"""From results to the files of a site; equal results give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

from benchbench.errors import InputError
from benchbench.plots import figure_bytes
from benchbench.reports.figures import BOARD_KINDS, Drawing, board_drawing
from benchbench.reports.leaderboard import TITLES, board_report, standings_report
from benchbench.reports.site.names import slug
from benchbench.reports.standings import N_BOOTSTRAP, board_grid, board_standings
from benchbench.reports.text import as_csv, as_json

if TYPE_CHECKING:
    from benchbench.cards import MethodCard
    from benchbench.reports.report import Report
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Board
    from benchbench.suite_files import SuiteSpec

__all__ = ["Failure", "SuitePage", "build_site"]

_NEWEST = "SELECT max(started_at) FROM attempts WHERE suite IN (SELECT unnest(CAST($1 AS VARCHAR[])))"

# what failed and was not mended by a later attempt; without tracebacks and hosts, which are nobody's business
_FAILURES = """
SELECT suite, task, method, params_json, seed, preset, outcome, error_type, error_message FROM attempts
WHERE suite IN (SELECT unnest(CAST($1 AS VARCHAR[])))
QUALIFY row_number() OVER (PARTITION BY trial_id ORDER BY started_at DESC, attempt_key) = 1
    AND outcome NOT IN ('ok', 'declined')
ORDER BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A trial that did not end well."""

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
        The board by mean rank, with its tables a task.
    statistics : mapping of name to Report
        Whole-suite tables.
    drawings : mapping of kind to Drawing, or to the reason why there is none
    """

    suite: SuiteSpec
    board: Board
    report: Report
    statistics: Mapping[str, Report]
    drawings: Mapping[str, Drawing | str] = field(default_factory=dict)


def build_site(
    results: Readable, boards: Sequence[tuple[SuiteSpec, Board]], cards: Mapping[str, MethodCard]
) -> dict[str, bytes]:
    """Return the files of a site by path.

    Parameters
    ----------
    boards : sequence of (suite, board)
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


def _suite_page(results: Readable, suite: SuiteSpec, board: Board) -> SuitePage:
    imputed = board_grid(results, suite.name, board)
    statistics = {}
    for statistic in TITLES if imputed.grid.tasks else ():
        try:
            found = board_standings(imputed, suite, board, statistic)
        except InputError:
            continue  # as normalised scores without frozen ends; the page lists what there is
        if any(s.value is not None for s in found):
            statistics[statistic] = standings_report(suite, board, statistic, found, n_bootstrap=N_BOOTSTRAP)
    drawings: dict[str, Drawing | str] = {}
    for kind in BOARD_KINDS:
        try:
            drawings[kind] = board_drawing(kind, suite, board, imputed)
        except InputError as error:
            drawings[kind] = str(error)
    return SuitePage(
        suite=suite, board=board, report=board_report(suite, board), statistics=statistics, drawings=drawings
    )


def _files_of(page: SuitePage) -> dict[str, str | bytes]:
    """Return figures and downloads of a suite."""
    base = slug(page.suite.name)
    found: dict[str, str | bytes] = {
        f"data/{base}.csv": as_csv(page.report.records),
        f"data/{base}.json": as_json(page.report.records),
    }
    for statistic, report in page.statistics.items():
        found[f"data/{base}-{statistic}.csv"] = as_csv(report.records)
        found[f"data/{base}-{statistic}.json"] = as_json(report.records)
    for kind, drawing in page.drawings.items():
        if isinstance(drawing, Drawing):
            found[f"figures/{base}-{kind}.svg"] = figure_bytes(drawing.draw(), "svg")
    return found
