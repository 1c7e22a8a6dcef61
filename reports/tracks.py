"""Boards of a whole track: methods over the tasks of several suites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchbench.reports.standings import board_grid
from benchbench.results.boards import suite_facts
from benchbench.results.grids import frozen_ends, perfect_scores
from benchbench.stats.imputation import Imputed
from benchbench.stats.leaderboard import Board, Row
from benchbench.stats.table import ScoreGrid, State

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.suite_files import SuiteSpec

__all__ = ["TrackBoard", "track_boards"]

Shown = tuple["SuiteSpec", Board]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBoard:
    """The boards of a track that may be put together, as one grid; its tasks are named ``suite/task``.

    `rows` sums up each method over the suites; `ends` and `perfect` are those of `stats.standings.standings`.
    """

    track: str
    boards: Sequence[Shown]
    imputed: Imputed
    rows: Mapping[str, Row]
    ends: Mapping[str, tuple[float, float]]
    perfect: Mapping[str, float]
    left_out: Sequence[str]


def track_boards(results: Readable, boards: Sequence[Shown]) -> list[TrackBoard]:
    """Return one board a track of the suites' boards with equal protocol, preset, threads and device.

    Where a track has several such groups, the one with most suites is taken, and the others are left out.
    """
    by_track: dict[str, list[Shown]] = defaultdict(list)
    for suite, board in boards:
        if board.group is not None:
            by_track[suite.track].append((suite, board))
    return [_track_board(results, track, own) for track, own in sorted(by_track.items())]


def _conditions(board: Board) -> tuple[str, str, int, str]:
    group = board.group
    if group is None:
        raise ValueError("an empty board has no conditions")
    return group.protocol_version, group.preset, group.threads, group.device


def _track_board(results: Readable, track: str, boards: Sequence[Shown]) -> TrackBoard:
    counts = Counter(_conditions(board) for _, board in boards)
    chosen = min(counts, key=lambda key: (-counts[key], key))
    kept = [(s, b) for s, b in boards if _conditions(b) == chosen]
    left_out = [
        f"suite {suite.name}: protocol {c[0]}, preset {c[1]}, {c[2]} threads, {c[3]}"
        for suite, board in boards
        if (c := _conditions(board)) != chosen
    ]
    ends: dict[str, tuple[float, float]] = {}
    perfect: dict[str, float] = {}
    for suite, board in kept:
        facts = suite_facts(suite)
        ends |= {f"{suite.name}/{task}": pair for task, pair in frozen_ends(facts).items()}
        perfect |= {f"{suite.name}/{task}": score for task, score in perfect_scores(board, facts).items()}
        left_out += [f"of suite {suite.name}: {line}" for line in board.left_out]
    return TrackBoard(
        track=track,
        boards=kept,
        imputed=_joined([(suite.name, board_grid(results, suite.name, board)) for suite, board in kept]),
        rows=_rows([board for _, board in kept]),
        ends=ends,
        perfect=perfect,
        left_out=left_out,
    )


def _joined(parts: Sequence[tuple[str, Imputed]]) -> Imputed:
    methods = sorted({m for _, part in parts for m in part.grid.methods})
    units = sorted({u for _, part in parts for u in part.grid.units})
    tasks = [f"{name}/{task}" for name, part in parts for task in part.grid.tasks]
    shape = (len(methods), len(tasks), len(units))
    scores, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    states, imputed = np.full(shape, State.ABSENT, dtype=np.int8), np.zeros(shape, dtype=np.bool_)
    first = 0
    for _, part in parts:
        grid = part.grid
        place = np.ix_(
            [methods.index(m) for m in grid.methods],
            range(first, first + len(grid.tasks)),
            [units.index(u) for u in grid.units],
        )
        scores[place], states[place], imputed[place] = grid.scores, grid.states, part.imputed
        if grid.seconds is not None:
            seconds[place] = grid.seconds
        first += len(grid.tasks)
    grid = ScoreGrid(tuple(methods), tuple(tasks), tuple(units), scores, states, seconds)
    return Imputed(grid=grid, imputed=imputed, policy=parts[0][1].policy)


def _rows(boards: Sequence[Board]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in (r for board in boards for r in board.rows if r.task is None):
        old = found.get(row.label)
        if old is None:
            found[row.label] = replace(row, score=None, ci95=None, n=0, unit="", notes=[])
            continue
        for name in ("n_ok", "n_failed", "n_declined", "n_lost", "n_imputed", "n_seeds", "n_shared"):
            setattr(old, name, getattr(old, name) + getattr(row, name))
        old.transductive = old.transductive or row.transductive
        if row.seconds is not None:
            old.seconds = row.seconds + (old.seconds or 0.0)
    return found
