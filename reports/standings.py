"""Standings of a board by any statistic: the board's trials, imputed as the board is, and then ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.errors import InputError
from benchbench.results.boards import score_grid, suite_facts
from benchbench.results.grids import frozen_ends, perfect_scores
from benchbench.stats.imputation import impute
from benchbench.stats.statistics import standings

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.imputation import Imputed
    from benchbench.stats.leaderboard import Board
    from benchbench.stats.statistics import Standing
    from benchbench.stats.table import ScoreGrid
    from benchbench.suite_files import SuiteSpec

__all__ = ["N_BOOTSTRAP", "board_grid", "board_standings", "impute_as_board", "task_standings"]

N_BOOTSTRAP = 200
"""Resamples of the tasks behind an interval."""


def board_grid(results: Readable, suite: str, board: Board) -> Imputed:
    """Return the counted trials of a board, with failures imputed by the board's policy and with the very values of the board."""
    return impute_as_board(score_grid(results, suite, board), board)


def impute_as_board(grid: ScoreGrid, board: Board) -> Imputed:
    """Return trials of a board, or of some of its methods and tasks, with failures imputed by its policy and with its very values."""
    if board.imputation in ("none", "drop-task"):
        return impute(grid, board.imputation)
    # the board chose what stands for a failure, of all methods and not only of those that are shown
    fills = {task: value for task, value in board.fills.items() if value is not None}
    found = impute(grid, "baseline", fills=fills) if fills else impute(grid, "none")
    return replace(found, policy=board.imputation, notes=())


def board_standings(
    imputed: Imputed, suite: SuiteSpec, board: Board, statistic: str, *, n_bootstrap: int = N_BOOTSTRAP
) -> list[Standing]:
    """Return a board's methods by one statistic over all its tasks.

    Raises
    ------
    InputError
        If the statistic cannot be had, as the normalised score without frozen ends, or no task is left.
    """
    if not imputed.grid.tasks:
        raise InputError(
            f"no task of suite {suite.name} is left to compare methods on"
            + (": trials failed on each; choose another --impute" if board.dropped_tasks else "")
        )
    facts = suite_facts(suite)
    return standings(
        imputed,
        statistic,
        # frozen ends or none: scores of the methods at both ends, as measured here, would move the scale with every run
        ends=frozen_ends(facts),
        perfect=perfect_scores(board, facts),
        n_bootstrap=n_bootstrap,
    )


def task_standings(
    imputed: Imputed, suite: SuiteSpec, board: Board, statistic: str, tasks: Sequence[str] | None = None
) -> dict[str, list[Standing]]:
    """Return the same for each task alone, without intervals; all tasks if None are named."""
    found = {}
    for i, task in enumerate(imputed.grid.tasks):
        if tasks is None or task in tasks:
            one = replace(imputed, grid=imputed.grid.select(tasks=[task]), imputed=imputed.imputed[:, i : i + 1])
            found[task] = board_standings(one, suite, board, statistic, n_bootstrap=0)
    return found
