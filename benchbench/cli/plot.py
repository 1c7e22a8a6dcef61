"""`bench plot`: figures of the results of a suite."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.anytime import make_anytime
from benchbench.cli.common import (
    AnchorOption,
    DbOption,
    DeviceOption,
    FilterOption,
    ImputeOption,
    MethodsOption,
    PresetOption,
    SuiteOption,
    TasksOption,
    ThreadsOption,
    db_path,
    format_option,
    level,
    print_json,
    split_list,
)
from benchbench.cli.labels import set_anchor
from benchbench.cli.leaderboard import make_board, no_results
from benchbench.cli.terminal import print_lines
from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.labels import plural

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.curves import CurvePanel
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.suite_files import SuiteSpec

__all__ = ["plot"]

OF_BOARDS = ("cd", "heatmap", "elo", "winrate")
TESTED = ("cd", "elo", "winrate")
KINDS = ("curves", "pareto", "anytime", *OF_BOARDS)


def plot(
    kind: Annotated[
        str,
        typer.Argument(
            help="curves (score against training time), pareto (score against cost), anytime (regret and rank over the "
            "budget), cd (critical differences of mean ranks), heatmap (methods by tasks), elo or winrate."
        ),
    ],
    suite: SuiteOption,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Figure to write: .png, .svg or .pdf.")] = None,
    task: TasksOption = None,
    method: MethodsOption = None,
    preset: PresetOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    impute: ImputeOption = "baseline",
    where: FilterOption = None,
    stat: Annotated[
        str | None,
        typer.Option(
            "--stat",
            help="For a heatmap: norm (normalised scores) or rank; default: norm if the suite has frozen scores.",
        ),
    ] = None,
    anchor: AnchorOption = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="For cd, elo, winrate: level of tests.", callback=level)
    ] = None,
    db: DbOption = None,
    format_: Annotated[str, format_option("table", "json", note="JSON holds the data of the figure.")] = "table",
) -> None:
    """Draw a figure of the results of a suite.

    It shows the same trials as `bench leaderboard` with the same options.
    """
    from benchbench.results.importers.suites import find_any_suite
    from benchbench.results.store import Store

    if kind not in KINDS:
        raise UnknownNameError("plot", kind, KINDS)
    if stat is not None and (kind != "heatmap" or stat not in ("norm", "rank")):
        raise InputError(
            f"--stat expects norm or rank, and applies only to `bench plot heatmap`; got {stat!r} for {kind}"
        )
    if anchor is not None and kind != "elo":
        raise InputError(f"--anchor applies only to `bench plot elo`; got {anchor!r} for {kind}")
    if alpha is not None and kind not in TESTED:
        raise InputError(f"--alpha applies only to `bench plot cd`, elo and winrate; {kind} shows no test")
    store = Store(db_path(db))
    spec = find_any_suite(suite, store)
    if out is None and format_ != "json":
        raise InputError("no output file is named; add -o FILE.png (or .svg, .pdf), or --format json")
    target = None if out is None else _checked(out.expanduser())
    board = make_board(
        spec,
        store,
        preset=preset,
        device=device,
        threads=threads,
        tasks=split_list(task),
        methods=split_list(method),
        impute=impute,
        filters=where or (),
    )
    if board.conditions is None:
        raise no_results(spec, board)
    board.alpha = board.alpha if alpha is None else alpha
    if anchor is not None:
        set_anchor(board, anchor)
    if kind == "anytime":
        _plot_anytime(spec, store, board, target, format_)
        return
    if kind in OF_BOARDS:
        _plot_board(kind, spec, board, stat, target, format_)
        return
    from benchbench.reports.figures import MOST_PANELS, cost_panels_of, drawn_panels, most_cost_panels

    panels: Sequence[Any]
    panels, caption = _curves(spec, store, board) if kind == "curves" else cost_panels_of(spec, board)
    if not panels:
        raise InputError(f"no trial of suite {spec.name} in this figure succeeded; see `bench leaderboard`")
    said = [*_not_drawn(board), *board.notes, *(f"left out: {line}" for line in board.left_out)]
    # tasks that were named are drawn, however many they are
    most = MOST_PANELS if kind == "curves" else most_cost_panels(panels)
    drawn, others = drawn_panels(kind, panels, most=len(panels) if task else most)
    if target is not None:
        _draw(kind, spec, board, drawn, [*caption, *others], target)
    if format_ == "json":
        print_json(_record(kind, spec, board, caption, said) | {"panels": [p.to_dict() for p in panels]})
    else:
        sys.stdout.write(f"wrote {out}: {plural(len(drawn), 'panel')}\n")
        print_lines([*others, *said])


def _plot_anytime(spec: SuiteSpec, store: Readable, board: Leaderboard, target: Path | None, format_: str) -> None:
    found = make_anytime(spec, store, board)
    from benchbench.reports.figures import facts_of, splits_of

    n_tasks, n_seeds = len(found.tasks), len(found.seeds)
    caption = [
        *([facts_of(spec, board.conditions)] if board.conditions is not None else []),
        f"Means over {plural(n_tasks, 'problem')}; bands: 95 % Student-t intervals over {plural(n_seeds, 'paired seed')}, "
        f"these problems fixed. Regret: 0 = {spec.scores.reference}, "
        f"1 = {spec.scores.baseline}'s median ({spec.scores.measured or 'frozen in the suite file'}); larger regrets count as 1. "
        "Before its first incumbent an optimiser counts as the worst of those that have one.",
        *(f"{line[:1].upper()}{line[1:]}." for line in found.left_out),
        *splits_of(spec, board),
    ]
    if target is not None:
        from benchbench.plots import anytime_figure, write_figure

        figure = anytime_figure(found, title=f"{spec.title}: regret and rank over the budget", caption=caption)
        write_figure(figure, target)
    if format_ == "json":
        print_json({"kind": "anytime", "suite": spec.name, "caption": caption, **found.to_dict()})
    else:
        sys.stdout.write(f"wrote {target}: {len(found.rows)} optimisers\n")
        print_lines([*found.left_out, *board.notes, *(f"left out: {line}" for line in board.left_out)])


def _plot_board(
    kind: str, spec: SuiteSpec, board: Leaderboard, stat: str | None, target: Path | None, format_: str
) -> None:
    from benchbench.reports.figures import board_drawing

    drawing = board_drawing(kind, spec, board, statistic=stat)
    said = [*board.notes, *(f"left out: {line}" for line in board.left_out)]
    if target is not None:
        from benchbench.plots import write_figure

        write_figure(drawing.draw(), target)
    if format_ == "json":
        print_json(_record(kind, spec, board, list(drawing.caption), said) | drawing.data)
    else:
        sys.stdout.write(f"wrote {target}\n")
        print_lines(said)


def _checked(target: Path) -> Path:
    from benchbench.plots import check_target

    return check_target(target)


def _curves(suite: SuiteSpec, store: Readable, board: Leaderboard) -> tuple[Sequence[CurvePanel], list[str]]:
    from benchbench.reports.figures import facts_of, marks_of, over, splits_of
    from benchbench.results.load_curves import seed_curves
    from benchbench.stats.curves import curve_panels

    if board.conditions is None:
        return [], []
    panels = curve_panels(board, seed_curves(store, suite.name, board.conditions))
    lines = [line for p in panels for line in p.lines]
    units = {line.unit for line in lines if line.unit}
    caption = [facts_of(suite, board.conditions)]
    bands = []
    if "episode" in units:
        bands.append("over validation episodes, given this training (one seed)")
    if "seed" in units:
        bands.append("over seeds (Student's t; the curve is their mean at equal steps)")
    caption.append(
        "Curves: score on a few validation episodes, whose classes are not those of the test. "
        + (f"Bands: 95 % {' or '.join(bands)}." if bands else "No bands: these results recorded none.")
    )
    if bands and any(line.points and not line.unit for line in lines):
        caption.append("Curves without a band: recorded without an interval.")
    caption.append(
        f"Large markers: final test score with its 95 % interval over {over({(x.score_unit, x.score_n) for x in lines})}."
        + (
            " Level dashed lines: methods without meta-training, test score."
            if not all(x.is_trained for x in lines)
            else ""
        )
    )
    caption += marks_of(lines, in_labels=False)
    return panels, [*caption, *splits_of(suite, board)]


def _not_drawn(board: Leaderboard) -> list[str]:
    return [
        f"not drawn: {r.label} on {r.task} ({'declined' if r.n_declined else 'no trial succeeded'})"
        for r in board.rows
        if r.task is not None and not r.n_ok
    ]


def _draw(
    kind: str, suite: SuiteSpec, board: Leaderboard, panels: Sequence[Any], caption: list[str], target: Path
) -> None:
    from benchbench.plots import curves_figure, pareto_figure, write_figure

    draw = curves_figure if kind == "curves" else pareto_figure
    what = "validation score while training" if kind == "curves" else "score against cost"
    figure = draw(
        panels,
        title=f"{suite.title}: {what}",
        caption=[*caption, *(f"{note[:1].upper()}{note[1:]}." for note in board.notes)],
        mixes_hardware=len(board.hardware) > 1,
    )
    write_figure(figure, target)


def _record(kind: str, suite: SuiteSpec, board: Leaderboard, caption: list[str], said: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    from benchbench.reports.leaderboard import generated_tasks

    group = {} if board.conditions is None else asdict(board.conditions)
    return {
        "kind": kind,
        "suite": suite.name,
        **group,
        "generated_splits": bool(generated_tasks(suite, board)),
        "imputation": board.imputation,
        "n_left_out": board.n_left_out,
        "hardware": board.hardware,
        "caption": caption,
        "notes": said,
    }
