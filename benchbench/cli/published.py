"""`bench published`: what was measured here beside what the papers report."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.common import (
    DbOption,
    DeviceOption,
    MethodsOption,
    SuiteOption,
    TasksOption,
    ThreadsOption,
    check_format,
    db_path,
    print_json,
    split_list,
)
from benchbench.cli.leaderboard import generated_tasks, make_board, no_results
from benchbench.cli.terminal import markdown_table, print_lines, print_that_fits
from benchbench.errors import InputError
from benchbench.stats.labels import plural

if TYPE_CHECKING:
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.stats.reproduction import Cited, Comparison
    from benchbench.suite_files import SuiteSpec

__all__ = ["published"]

# of --preset: of each method and task the largest budget there is
BEST = "best"


def published(
    suite: SuiteOption,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Budget; best: of each method and task the largest one measured.")
    ] = None,
    task: TasksOption = None,
    method: MethodsOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    update: Annotated[
        Path | None,
        typer.Option("--update", help="Put the Markdown between <!-- published:SUITE --> and <!-- /published -->."),
    ] = None,
    db: DbOption = None,
    format_: Annotated[str, typer.Option("--format", help="table, markdown, json or csv.")] = "table",
) -> None:
    """Set the measured accuracies of a suite beside those of the methods' papers."""
    from benchbench.stats.reproduction import compare_with_papers
    from benchbench.suite_files import find_suite

    check_format(format_, ("table", "markdown", "md", "json", "csv"))
    spec = find_suite(suite)
    if spec.generated_splits:
        raise InputError(
            f"the splits of suite {spec.name!r} are generated here: its results are never set beside published figures"
        )
    cited = _cited(spec)
    boards = _boards(spec, db, preset, split_list(task), split_list(method), device, threads)
    for one in boards:
        generated = generated_tasks(spec, one)
        one.rows = [row for row in one.rows if row.task not in generated]
    rows = compare_with_papers(boards, cited)
    if not rows:
        raise InputError(
            f"no method measured on suite {spec.name!r} has a published figure on its card (MethodCard.published) for these tasks"
        )
    lines = _said(boards, cited, preset)
    if update is not None:
        _update(update.expanduser(), spec.name, _text(rows, lines))
    elif format_ == "json":
        print_json([{"suite": spec.name} | row.to_dict() for row in rows])
    elif format_ == "csv":
        _print_csv(spec.name, rows)
    elif format_ in ("markdown", "md"):
        sys.stdout.write(_text(rows, lines))
    else:
        _print_rows(spec, rows, lines)


def _cited(suite: SuiteSpec) -> dict[str, Cited]:
    from benchbench.registry import methods
    from benchbench.stats.reproduction import Cited

    names = {t.name for t in suite.tasks}
    return {
        name: Cited(entry.card.paper, entry.card.published)
        for name, entry in sorted(methods().items(), key=lambda item: (item[1].card.year, item[0]))
        if names & set(entry.card.published)
    }


def _boards(
    suite: SuiteSpec,
    db: Path | None,
    preset: str | None,
    tasks: list[str],
    methods: list[str],
    device: str | None,
    threads: int | None,
) -> list[Leaderboard]:
    """Return the board of the preset, or that of every preset. A failed seed is left out, never imputed.

    Raises
    ------
    InputError
        If there are no results.
    """
    from benchbench.results.store import Store

    store = Store(db_path(db))

    def board(name: str | None) -> Leaderboard:
        return make_board(
            suite, store, preset=name, device=device, threads=threads, tasks=tasks, methods=methods, impute="none"
        )

    first = board(None if preset == BEST else preset)
    if first.conditions is None:
        raise no_results(suite, first)
    if preset != BEST:
        return [first]
    found = [board(name) for name in suite.presets]
    return [b for b in found if b.conditions is not None] or [first]


def _said(boards: Sequence[Leaderboard], cited: dict[str, Cited], preset: str | None) -> list[str]:
    groups = [b.conditions for b in boards if b.conditions is not None]
    protocols = ", ".join(sorted({g.protocol_version for g in groups}))
    lines = [
        f"accuracy in per cent ± half-width of the 95 % interval, and in brackets the paper's figure; protocol {protocols}"
    ]
    units = {r.unit for b in boards for r in b.rows if r.task is not None and r.unit}
    if units - {"seed"}:
        lines.append(
            "intervals over episodes: Student's t, given this training (one seed, or seeds that all give the same); the papers' own are not"
            " shown"
        )
    if "seed" in units:
        lines.append("intervals over seeds: Student's t over the seeds' means")
    if preset == BEST:
        lines.append(
            "presets are mixed: of each method and task the largest budget; methods are not compared with each other"
        )
    shown = {r.method for b in boards for r in b.rows if r.task is not None}
    without = sorted(shown - set(cited))
    if without:
        lines.append(f"no published figure for this suite on the card of: {', '.join(without)}")
    variants = sorted({r.label for b in boards for r in b.rows if r.params != "{}" and r.method in cited})
    if variants:
        lines.append(f"not compared, since published figures hold for default parameters: {', '.join(variants)}")
    lines += dict.fromkeys(note for b in boards for note in b.notes)
    if preset != BEST:
        lines += [f"left out: {line}" for b in boards for line in b.left_out]
    return lines


def _groups(rows: Sequence[Comparison]) -> dict[str, list[str]]:
    """Return tasks by what their names share before the last dash: those stand in one table."""
    found: dict[str, list[str]] = {}
    for row in rows:
        tasks = found.setdefault(row.task.rpartition("-")[0] or row.task, [])
        if row.task not in tasks:
            tasks.append(row.task)
    return found


def _wide(rows: Sequence[Comparison], tasks: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return the table of methods by tasks: "98.24 ± 0.22 (98.8)"."""
    is_mixed = len({r.preset for r in rows if r.preset}) > 1
    cells = {(r.method, r.task): _cell(r, is_mixed=is_mixed) for r in rows if r.task in tasks}
    names = list(dict.fromkeys(method for method, _ in cells))
    transductive = {r.method for r in rows if r.is_transductive}
    body = [
        [name + (" (t)" if name in transductive else ""), *(cells.get((name, t), "") for t in tasks)] for name in names
    ]
    return ["method", *(t.rpartition("-")[2] for t in tasks)], body


def _cell(row: Comparison, *, is_mixed: bool) -> str:
    if row.score is None:
        return f"- ({_figure(row)})"
    budget = f", {row.preset} {row.iterations:,}" if is_mixed else ""
    return f"{_measured(row)} ({_figure(row)}){budget}"


def _figure(row: Comparison) -> str:
    """Return the published accuracy in per cent, with as many places as it was printed with and at least one."""
    text = f"{100 * row.published:.2f}"
    return text.removesuffix("0")


def _measured(row: Comparison) -> str:
    if row.score is None:
        return ""
    return f"{100 * row.score:.2f}" + ("" if row.ci95 is None else f" ± {100 * row.ci95:.2f}")


_LONG = (
    "method",
    "task",
    "measured",
    "paper",
    "difference",
    "preset",
    "iterations",
    "n",
    "threads",
    "device",
    "seconds",
)
# what a narrow terminal goes without, the first first
_EXPENDABLE = ("device", "threads", "seconds", "preset")


def _long(rows: Sequence[Comparison]) -> list[list[str]]:
    return [
        [
            row.method + (" (t)" if row.is_transductive else ""),
            row.task,
            _measured(row),
            _figure(row),
            "" if row.difference_points is None else f"{row.difference_points:+.2f}",
            row.preset,
            "" if row.iterations is None else f"{row.iterations:,}",
            plural(row.n, row.unit) if row.n else "",
            "" if row.threads is None else str(row.threads),
            row.device,
            "" if row.seconds is None else f"{row.seconds:,.0f}" + (" (s)" if row.is_shared else ""),
        ]
        for row in rows
        if row.score is not None
    ]


def _legend(rows: Sequence[Comparison], lines: Sequence[str]) -> list[str]:
    marks = []
    if any(r.is_transductive for r in rows):
        marks.append("(t) transductive: a query's prediction uses the episode's other queries")
    if any(r.is_shared for r in rows):
        marks.append("(s) training shared: the seconds hold meta-training that was done once, in another trial")
    failed = sum(r.n_failed for r in rows)
    if failed:
        marks.append(f"{plural(failed, 'trial')} failed or lost, and left out of the means")
    return [*lines, *marks]


def _print_rows(suite: SuiteSpec, rows: Sequence[Comparison], lines: Sequence[str]) -> None:
    sys.stdout.write(f"{suite.title} (suite {suite.name}): measured here, and published\n")
    for group, tasks in _groups(rows).items():
        headers, body = _wide(rows, tasks)
        sys.stdout.write(f"\n{group}\n")
        print_that_fits(headers, body, right=range(1, len(headers)))
    long = _long(rows)
    if long:
        right = [i for i, name in enumerate(_LONG) if name not in ("method", "task", "preset", "device")]
        sys.stdout.write("\none by one (difference: measured minus paper, in percentage points)\n")
        print_that_fits(_LONG, long, right=right, expendable=_EXPENDABLE)
    sys.stdout.write("\n")
    print_lines(_legend(rows, lines))


def _text(rows: Sequence[Comparison], lines: Sequence[str]) -> str:
    """Return the tables and what is to be said of them as Markdown."""
    parts = []
    for group, tasks in _groups(rows).items():
        headers, body = _wide(rows, tasks)
        parts.append(f"**{group}**\n\n" + markdown_table(headers, body, range(1, len(headers))))
    long = _long(rows)
    if long:
        right = [i for i, name in enumerate(_LONG) if name not in ("method", "task", "preset", "device")]
        parts.append("Difference: measured minus paper, in percentage points.\n\n" + markdown_table(_LONG, long, right))
    parts.append("".join(f"- {line}\n" for line in _legend(rows, lines)))
    return "\n".join(parts)


def _print_csv(suite: str, rows: Sequence[Comparison]) -> None:
    text = io.StringIO()
    plain = [{"suite": suite} | row.to_dict() for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(plain[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    sys.stdout.write(text.getvalue())


def _update(path: Path, suite: str, text: str) -> None:
    """Replace what stands between the suite's markers in a file.

    Raises
    ------
    InputError
        If the file cannot be read or written, or does not have the markers exactly once.
    """
    first, last = f"<!-- published:{suite} -->", "<!-- /published -->"
    try:
        old = path.read_text(encoding="utf-8")
        if old.count(first) != 1 or last not in old.split(first)[1]:
            raise InputError(f"{path} must have one line {first} and, below it, one {last}")
        between = re.compile(f"({re.escape(first)}\n).*?({re.escape(last)})", re.DOTALL)
        path.write_text(between.sub(lambda m: f"{m[1]}\n{text}\n{m[2]}", old, count=1), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot update {path}: {error}") from error
    sys.stdout.write(f"updated {path}\n")
