"""Leaderboards of a whole track: methods over the tasks of several suites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchbench.reports.leaderboard import (
    anchor_facts,
    imputation_facts,
    machine_facts,
    splits_line,
    statistic_sheet,
)
from benchbench.reports.report import Report
from benchbench.stats.imputation import ImputedTable
from benchbench.stats.labels import plural
from benchbench.stats.leaderboard import Leaderboard, Row
from benchbench.stats.statistics import N_BOOTSTRAP, STATISTICS, Options, few_tasks, statistic_values
from benchbench.stats.table import ScoreTable, TrialState

if TYPE_CHECKING:
    from benchbench.suite_files import SuiteSpec

__all__ = ["TrackBoard", "track_boards", "track_report"]

Shown = tuple["SuiteSpec", Leaderboard]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBoard:
    """The leaderboards of a track that may be put together, as one table.

    Its tasks are named ``suite/task``. `rows` sums up each method over the suites.
    """

    track: str
    boards: Sequence[Shown]
    imputed: ImputedTable
    rows: Mapping[str, Row]
    options: Options
    left_out: Sequence[str]


def track_boards(boards: Sequence[Shown]) -> list[TrackBoard]:
    """Return one leaderboard per track, of suites with equal protocol, preset, threads and device.

    If a track has several such conditions, the one with most suites is taken and the others are
    left out.
    """
    by_track: dict[str, list[Shown]] = defaultdict(list)
    for suite, board in boards:
        if board.conditions is not None:
            by_track[suite.track].append((suite, board))
    return [_track_board(track, own) for track, own in sorted(by_track.items())]


def _shared(board: Leaderboard) -> tuple[str, str, int, str]:
    conditions = board.conditions
    if conditions is None:
        raise ValueError("an empty board has no conditions")
    return conditions.protocol_version, conditions.preset, conditions.threads, conditions.device


def _track_board(track: str, boards: Sequence[Shown]) -> TrackBoard:
    counts = Counter(_shared(board) for _, board in boards)
    chosen = min(counts, key=lambda key: (-counts[key], key))
    kept = [(s, b) for s, b in boards if _shared(b) == chosen]
    left_out = [
        f"suite {suite.name}: protocol {c[0]}, preset {c[1]}, {c[2]} threads, {c[3]}"
        for suite, board in boards
        if (c := _shared(board)) != chosen
    ]
    ends: dict[str, tuple[float, float]] = {}
    perfect: dict[str, float] = {}
    for suite, board in kept:
        options = board.options()
        ends |= {f"{suite.name}/{task}": pair for task, pair in options.ends.items()}
        perfect |= {f"{suite.name}/{task}": score for task, score in options.perfect.items()}
        left_out += [f"of suite {suite.name}: {line}" for line in board.left_out]
    return TrackBoard(
        track=track,
        boards=kept,
        imputed=_joined([(suite.name, board.imputed) for suite, board in kept]),
        rows=_rows([board for _, board in kept]),
        options=Options(ends=ends, perfect=perfect, anchor=kept[0][1].anchor),
        left_out=left_out,
    )


def _joined(parts: Sequence[tuple[str, ImputedTable]]) -> ImputedTable:
    methods = sorted({m for _, part in parts for m in part.table.methods})
    units = sorted({u for _, part in parts for u in part.table.units})
    tasks = [f"{name}/{task}" for name, part in parts for task in part.table.tasks]
    shape = (len(methods), len(tasks), len(units))
    scores, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    states, imputed = np.full(shape, TrialState.ABSENT, dtype=np.int8), np.zeros(shape, dtype=np.bool_)
    first = 0
    for _, part in parts:
        table = part.table
        place = np.ix_(
            [methods.index(m) for m in table.methods],
            range(first, first + len(table.tasks)),
            [units.index(u) for u in table.units],
        )
        scores[place], states[place], imputed[place] = table.scores, table.states, part.imputed
        if table.seconds is not None:
            seconds[place] = table.seconds
        first += len(table.tasks)
    table = ScoreTable(tuple(methods), tuple(tasks), tuple(units), scores, states, seconds)
    return ImputedTable(table=table, imputed=imputed, policy=parts[0][1].policy)


def _rows(boards: Sequence[Leaderboard]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in (r for board in boards for r in board.rows if r.task is None):
        old = found.get(row.label)
        if old is None:
            found[row.label] = replace(row, score=None, ci95=None, n=0, unit="", notes=[])
            continue
        for name in ("n_ok", "n_failed", "n_declined", "n_lost", "n_remarked", "n_imputed", "n_seeds", "n_shared"):
            setattr(old, name, getattr(old, name) + getattr(row, name))
        old.transductive = old.transductive or row.transductive
        if row.seconds is not None:
            old.seconds = row.seconds + (old.seconds or 0.0)
    return found


def track_report(board: TrackBoard, statistic: str) -> Report:
    """Return one table of a track over the tasks of its suites, with intervals over tasks."""
    kind = STATISTICS[statistic]
    found = statistic_values(board.imputed, statistic, board.options)
    conditions = board.boards[0][1].conditions
    if conditions is None:
        raise ValueError("a track's board is made of boards that are not empty")
    names = [suite.name for suite, _ in board.boards]
    n_tasks = len(board.imputed.table.tasks)
    sheet = statistic_sheet(
        f"{plural(n_tasks, 'task')} of {plural(len(names), 'suite')} by {kind.title}", kind, found, board.rows, n_tasks
    )
    n_left_out = sum(b.n_left_out for _, b in board.boards)
    splits = [f"{suite.name}: {line}" for suite, b in board.boards if (line := splits_line(suite, b))]
    scores = int((~np.isnan(board.imputed.table.scores)).sum())
    n_imputed = int(board.imputed.imputed.sum())
    facts = {
        "track": board.track,
        "suites": ", ".join(f"{suite.name} {b.conditions.suite_version}" for suite, b in board.boards if b.conditions),
        "protocol": conditions.protocol_version,
        "preset": conditions.preset,
        **machine_facts(conditions),
        "imputation": imputation_facts(board.boards[0][1])["imputation"],
        "imputed": f"{n_imputed} of {scores} scores ({n_imputed / max(scores, 1):.1%})",
        "left out": plural(n_left_out, "trial"),
        "generated splits": "some" if splits else "none",
    }
    records = [
        {
            "track": board.track,
            "suites": names,
            "protocol_version": conditions.protocol_version,
            "preset": conditions.preset,
            "threads": conditions.threads,
            "device": conditions.device,
            "generated_splits": bool(splits),
            "statistic": statistic,
            **(anchor_facts(board.boards[0][1]) if statistic == "elo" else {}),
            "imputation": facts["imputation"],
            "n_left_out": n_left_out,
            "label": s.method,
            "rank": s.rank,
            "value": s.value,
            "low": s.low,
            "high": s.high,
            "n": s.n_tasks,
            "unit": "task",
            "imputed_share": s.imputed_share,
            "notes": list(s.notes),
        }
        for s in found
    ]
    return Report(
        title=f"Track {board.track}: {', '.join(names)}",
        line=replace(conditions, test_units=0).in_words(),  # the suites differ in them
        facts=facts,
        splits="; ".join(splits),
        sheets=[sheet],
        notes=[
            f"{kind.title}: {kind.help}; {kind.direction}",
            "every task counts alike, so that a suite with more tasks weighs more",
            *(
                [
                    f"95 %: percentile interval of {N_BOOTSTRAP} bootstrap resamples of the tasks, widened for their small number"
                ]
                if any(s.low is not None for s in found)
                else []
            ),
            *([note for note in found[0].notes if "anchored: " in note] if found else []),
            *dict.fromkeys(note for _, b in board.boards for note in b.notes),
            *(few_tasks(n_tasks) if n_tasks > 1 else ()),
        ],
        left_out=board.left_out,
        make_records=lambda: records,
    )
