"""`bench plot`: how scores grow with training time, and which methods are worth their cost."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.anytime import make_anytime
from benchbench.cli.common import (
    DbOption,
    DeviceOption,
    ImputeOption,
    MethodsOption,
    PresetOption,
    SuiteOption,
    TasksOption,
    ThreadsOption,
    check_format,
    db_path,
    print_json,
    split_list,
)
from benchbench.cli.leaderboard import make_board, no_results
from benchbench.cli.tables import print_lines
from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from benchbench.results.queries import Readable
    from benchbench.stats.board import Board, Group
    from benchbench.stats.curves import CurvePanel
    from benchbench.stats.frontier import CostPanel
    from benchbench.suite_files import SuiteSpec

__all__ = ["plot"]

KINDS = ("curves", "pareto", "anytime")


def plot(
    kind: Annotated[
        str,
        typer.Argument(
            help="curves (score against training time), pareto (score against cost) or anytime (regret and rank over the budget)."
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
    db: DbOption = None,
    format_: Annotated[str, typer.Option("--format", help="text, or json: the data behind the figure.")] = "text",
) -> None:
    """Draw the results of a suite, of the same trials as `bench leaderboard`."""
    from benchbench.results.store import Store
    from benchbench.suite_files import find_suite

    if kind not in KINDS:
        raise UnknownNameError("plot", kind, KINDS)
    check_format(format_, ("text", "json"))
    spec = find_suite(suite)
    if out is None and format_ != "json":
        raise InputError("name the figure to write with -o FILE.png (or .svg, .pdf), or ask for --format json")
    target = None if out is None else _checked(out.expanduser())
    store = Store(db_path(db))
    board = make_board(
        spec,
        store,
        preset=preset,
        device=device,
        threads=threads,
        tasks=split_list(task),
        methods=split_list(method),
        impute=impute,
    )
    if board.group is None:
        raise no_results(spec, board)
    if kind == "anytime":
        _plot_anytime(spec, store, board, target, format_)
        return
    panels, caption = _curves(spec, store, board) if kind == "curves" else _costs(spec, board)
    if not panels:
        raise InputError(
            f"no trial of suite {spec.name} that would stand in this figure ended well; see bench leaderboard"
        )
    said = [*_not_drawn(board), *board.notes, *(f"left out: {line}" for line in board.left_out)]
    if target is not None:
        _draw(kind, spec, board, panels, caption, target)
    if format_ == "json":
        print_json(_record(kind, spec, board, panels, caption, said))
    else:
        sys.stdout.write(f"wrote {out}: {len(panels)} panel{'' if len(panels) == 1 else 's'}\n")
        print_lines(said)


def _plot_anytime(spec: SuiteSpec, store: Readable, board: Board, target: Path | None, format_: str) -> None:
    found = make_anytime(spec, store, board)
    n_tasks, n_seeds = len(found.tasks), len(found.seeds)
    caption = [
        *([_facts(spec, board.group)] if board.group is not None else []),
        f"Means over {n_tasks} problem{'' if n_tasks == 1 else 's'}; bands: 95 % Student-t intervals over {n_seeds} paired "
        f"seed{'' if n_seeds == 1 else 's'}, these problems fixed. Regret: 0 = {spec.scores.reference}, "
        f"1 = {spec.scores.baseline}'s median ({spec.scores.measured or 'frozen in the suite file'}); more than 1 counts as 1. "
        "Before its first incumbent an optimiser counts as the worst of those that have one.",
        *(f"{line[:1].upper()}{line[1:]}." for line in found.left_out),
        *_splits(spec, board),
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


def _checked(target: Path) -> Path:
    from benchbench.plots import check_target

    return check_target(target)


def _curves(suite: SuiteSpec, store: Readable, board: Board) -> tuple[Sequence[CurvePanel], list[str]]:
    from benchbench.results.boards import seed_curves
    from benchbench.stats.curves import curve_panels

    if board.group is None:
        return [], []
    panels = curve_panels(board, seed_curves(store, suite.name, board.group))
    lines = [line for p in panels for line in p.lines]
    units = {line.unit for line in lines if line.unit}
    caption = [_facts(suite, board.group)]
    bands = []
    if "episode" in units:
        bands.append("over validation episodes, given this training (one seed)")
    if "seed" in units:
        bands.append("over seeds (Student's t; the curve is their mean at equal steps)")
    caption.append(
        "Curves: score on few validation episodes, of other classes than the test's. "
        + (f"Bands: 95 % {' or '.join(bands)}." if bands else "No bands: these results recorded none.")
    )
    if bands and any(line.points and not line.unit for line in lines):
        caption.append("Curves without a band: recorded without an interval.")
    caption.append(
        f"Large markers: final test score with its 95 % interval over {_over({(x.score_unit, x.score_n) for x in lines})}."
        + (
            " Level dashed lines: methods without meta-training, test score."
            if not all(x.is_trained for x in lines)
            else ""
        )
    )
    caption += _marks(lines, in_labels=False)
    return panels, [*caption, *_splits(suite, board)]


def _costs(suite: SuiteSpec, board: Board) -> tuple[Sequence[CostPanel], list[str]]:
    from benchbench.results.boards import suite_facts
    from benchbench.stats.frontier import cost_panels

    if board.group is None:
        return [], []
    panels = cost_panels(board, suite_facts(suite))
    points = [p for panel in panels if panel.task is not None for p in panel.points]
    caption = [
        _facts(suite, board.group),
        f"Bars: 95 % intervals over {_over({(p.unit, p.n) for p in points})}."
        + (" Points without a bar: no interval is known." if any(p.ci95 is None for p in points) else ""),
    ]
    whole = next((p for p in panels if p.task is None), None)
    if whole is not None:
        scale = ""
        if "normalised" in whole.metric:
            scale = f", 0 = {suite.scores.baseline}, 1 = {suite.scores.reference}"
        caption.append(
            f"Whole suite: {whole.metric.replace('_', ' ')} over tasks{scale}, against the tasks' seconds together."
        )
    elif len(panels) > 1:
        caption.append("No panel of the whole suite: its tasks have different metrics and no frozen ends.")
    return panels, [*caption, *_marks(points, in_labels=True), *_splits(suite, board)]


def _over(counts: set[tuple[str, int]]) -> str:
    """Return what intervals were taken over: "200 episodes", "3 to 5 seeds"."""
    parts = []
    for unit in sorted({u for u, _ in counts if u and u != "mixed"}):
        own = sorted(n for u, n in counts if u == unit)
        number = f"{own[0]:,}" if own[0] == own[-1] else f"{own[0]:,} to {own[-1]:,}"
        parts.append(f"{number} {unit}{'' if own[-1] == 1 else 's'}")
    return " or ".join(parts) or "nothing"


def _facts(suite: SuiteSpec, group: Group) -> str:
    return (
        f"Suite {suite.name} {group.suite_version}, protocol {group.protocol_version}, preset {group.preset}, "
        f"{group.test_units} test units, {group.threads} thread{'' if group.threads == 1 else 's'}, {group.device}."
    )


def _marks(shown: Sequence[Any], *, in_labels: bool) -> list[str]:
    """Say which methods bear a mark: in their labels, or here by name."""
    texts = {
        "is_transductive": ("t", "transductive"),
        "is_shared": ("s", "seconds hold training that was done once, in another trial"),
        "is_imputed": ("i", "some seeds failed, and their scores are imputed"),
    }
    found = []
    for name, (mark, text) in texts.items():
        labels = sorted({x.label for x in shown if getattr(x, name)})
        if labels:
            found.append(f"({mark}) {text}" if in_labels else f"{text[:1].upper()}{text[1:]}: {', '.join(labels)}")
    return [". ".join(found) + "."] if found else []


def _splits(suite: SuiteSpec, board: Board) -> list[str]:
    from benchbench.cli.leaderboard import splits_line

    line = splits_line(suite, board)
    return [f"{line[0].upper()}{line[1:]}."] if line else []


def _not_drawn(board: Board) -> list[str]:
    return [
        f"not drawn: {r.label} on {r.task} ({'declined' if r.n_declined else 'no trial that ended well'})"
        for r in board.rows
        if r.task is not None and not r.n_ok
    ]


def _draw(kind: str, suite: SuiteSpec, board: Board, panels: Sequence[Any], caption: list[str], target: Path) -> None:
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


def _record(
    kind: str, suite: SuiteSpec, board: Board, panels: Sequence[Any], caption: list[str], said: list[str]
) -> dict[str, Any]:
    from dataclasses import asdict

    from benchbench.cli.leaderboard import generated_tasks

    group = {} if board.group is None else asdict(board.group)
    return {
        "kind": kind,
        "suite": suite.name,
        **group,
        "generated_splits": bool(generated_tasks(suite, board)),
        "hardware": board.hardware,
        "caption": caption,
        "notes": said,
        "panels": [p.to_dict() for p in panels],
    }
