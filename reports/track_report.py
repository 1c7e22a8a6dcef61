"""The board of a track as a report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchbench.reports.leaderboard import (
    MEANINGS,
    TITLES,
    imputation_facts,
    machine_facts,
    splits_line,
    standings_sheet,
)
from benchbench.reports.report import Report
from benchbench.reports.standings import N_BOOTSTRAP
from benchbench.stats.statistics import few_tasks, standings

if TYPE_CHECKING:
    from benchbench.reports.tracks import TrackBoard

__all__ = ["track_report"]


def track_report(board: TrackBoard, statistic: str) -> Report:
    """Return one table of a track over the tasks of its suites, with intervals over tasks."""
    found = standings(board.imputed, statistic, ends=board.ends, perfect=board.perfect, n_bootstrap=N_BOOTSTRAP)
    group = board.boards[0][1].group
    if group is None:
        raise ValueError("a track's board is made of boards that are not empty")
    names = [suite.name for suite, _ in board.boards]
    n_tasks = len(board.imputed.grid.tasks)
    sheet = standings_sheet(
        f"{n_tasks} task{'' if n_tasks == 1 else 's'} of {len(names)} suite{'' if len(names) == 1 else 's'} by {TITLES[statistic]}",
        statistic,
        found,
        board.rows,
        n_tasks,
        task=None,
    )
    n_left_out = sum(b.n_left_out for _, b in board.boards)
    splits = [f"{suite.name}: {line}" for suite, b in board.boards if (line := splits_line(suite, b))]
    scores = int((~np.isnan(board.imputed.grid.scores)).sum())
    n_imputed = int(board.imputed.imputed.sum())
    facts = {
        "track": board.track,
        "suites": ", ".join(f"{suite.name} {b.group.suite_version}" for suite, b in board.boards if b.group),
        "protocol": group.protocol_version,
        "preset": group.preset,
        **machine_facts(group),
        "imputation": imputation_facts(board.boards[0][1])["imputation"],
        "imputed": f"{n_imputed} of {scores} scores ({n_imputed / max(scores, 1):.1%})",
        "left out": f"{n_left_out} trial{'' if n_left_out == 1 else 's'}",
        "generated splits": "some" if splits else "none",
    }
    records = [
        {
            "track": board.track,
            "suites": names,
            "protocol_version": group.protocol_version,
            "preset": group.preset,
            "threads": group.threads,
            "device": group.device,
            "generated_splits": bool(splits),
            "statistic": statistic,
            "imputation": facts["imputation"],
            "n_left_out": n_left_out,
            "label": s.method,
            "rank": s.place,
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
        line=replace(group, test_units=0).in_words(),  # the suites differ in them
        facts=facts,
        splits="; ".join(splits),
        sheets=[sheet],
        notes=[
            MEANINGS[statistic],
            "every task counts alike, so that a suite with more tasks weighs more",
            *(
                [
                    f"95 %: percentile interval of {N_BOOTSTRAP} bootstrap resamples of the tasks, widened for their small number"
                ]
                if any(s.low is not None for s in found)
                else []
            ),
            *dict.fromkeys(note for _, b in board.boards for note in b.notes),
            *(few_tasks(n_tasks) if n_tasks > 1 else ()),
        ],
        left_out=board.left_out,
        records=records,
    )
