"""`bench orderings`: check orderings known from the literature on measured results."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.common import (
    DbOption,
    DeviceOption,
    PresetOption,
    SuiteOption,
    ThreadsOption,
    db_path,
    format_option,
    print_json,
)
from benchbench.cli.leaderboard import make_board, no_results
from benchbench.cli.terminal import columns_that_fit, markdown_table, print_lines, print_that_fits
from benchbench.errors import GateFailed, InputError
from benchbench.stats.labels import plural
from benchbench.text import csv_cell, escape_markdown

if TYPE_CHECKING:
    from benchbench.results.reader import Readable
    from benchbench.stats.leaderboard import Leaderboard
    from benchbench.stats.orderings import Finding
    from benchbench.stats.trials import Conditions
    from benchbench.suite_files import SuiteSpec

__all__ = ["orderings"]


def orderings(
    suite: SuiteOption,
    preset: PresetOption = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="Only these seeds, for example 0,1,2.")] = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on missing results too.")] = False,
    db: DbOption = None,
    format_: Annotated[str, format_option("table", "json", "csv", "markdown")] = "table",
) -> None:
    """Check orderings of methods known from the literature.

    The suite's file names them. Exit code 3 if one is violated or not shown by the results.
    """
    from benchbench.stats.orderings import VERDICTS, over_tasks
    from benchbench.suite_files import find_suite

    spec = find_suite(suite)
    if not spec.orderings:
        raise InputError(f"suite {spec.name!r} has no orderings to check; they are [[orderings]] tables in its file")
    from benchbench.results.store import Store

    store = Store(db_path(db))
    board = make_board(spec, store, preset=preset, device=device, threads=threads, impute="none")
    if board.conditions is None:
        raise no_results(spec, board)
    found = _check(spec, store, board, board.conditions, None if seeds is None else _seeds(seeds))
    over = sorted(over_tasks(found), key=lambda f: VERDICTS.index(f.verdict))
    found = sorted(found, key=lambda f: VERDICTS.index(f.verdict))
    if format_ in ("json", "csv"):
        _print_records(spec, board.conditions, [*found, *over], format_)
    else:
        _print_findings(spec, board, board.conditions, found, over, is_markdown=format_ != "table", lists_all=strict)
    bad = ("violated", "not shown", "missing") if strict else ("violated", "not shown")
    n_bad = sum(f.verdict in bad for f in found)
    if n_bad:
        raise GateFailed(f"{n_bad} of {len(found)} orderings are {', '.join(bad[:-1])} or {bad[-1]}")
    if all(f.difference is None for f in found):
        raise InputError(
            f"none of the {plural(len(found), 'ordering')} of suite {spec.name!r} could be checked: each needs "
            "results of both its methods on the same task and seed; --strict lists what is missing"
        )


def _seeds(text: str) -> set[int]:
    try:
        return {int(part) for part in text.split(",")}
    except ValueError:
        raise InputError(f"--seeds expects whole numbers like 0,1,2, got {text!r}") from None


def _check(
    spec: SuiteSpec, store: Readable, board: Leaderboard, group: Conditions, seeds: set[int] | None
) -> list[Finding]:
    from benchbench.results.load_units import ordering_trials
    from benchbench.stats.orderings import check_orderings

    names = {name for o in spec.orderings for name in (*o.above, *o.below)}
    trials = [
        t
        for t in ordering_trials(store, spec.name, group, names)
        if t.fingerprint == board.fingerprints.get(t.task) and (seeds is None or t.seed in seeds)
    ]
    if not trials:
        raise InputError(
            f"none of the methods in the orderings of suite {spec.name!r} has a result"
            + (f" with seed {', '.join(map(str, sorted(seeds)))}" if seeds is not None else "")
            + f" at preset {group.preset}"
        )
    return check_orderings(spec.orderings, trials, [t.name for t in spec.tasks])


def _print_records(spec: SuiteSpec, group: Conditions, found: Sequence[Finding], format_: str) -> None:
    common = {
        "suite": spec.name,
        "suite_version": group.suite_version,
        "protocol_version": group.protocol_version,
        "preset": group.preset,
        "threads": group.threads,
        "device": group.device,
    }
    records = [common | f.to_dict() for f in found]
    if format_ == "json":
        print_json(records)
        return
    names = [name for name in records[0] if name != "by_seed"]
    writer = csv.DictWriter(sys.stdout, fieldnames=names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for r, f in zip(records, found, strict=True):
        writer.writerow({k: csv_cell(v) for k, v in {**r, "over": " ".join(f.over)}.items()})


_HEADERS = (
    "verdict",
    "ordering",
    "task",
    "first",
    "second",
    "difference",
    "± 95 %",
    "n",
    "seeds won",
    "± seeds",
    "notes",
)
# omitted on a narrow terminal, the first one first
_EXPENDABLE = ("second", "first", "± seeds", "seeds won")


def _print_findings(
    spec: SuiteSpec,
    board: Leaderboard,
    group: Conditions,
    found: Sequence[Finding],
    over: Sequence[Finding],
    *,
    is_markdown: bool,
    lists_all: bool,
) -> None:
    # a suite that was run in part would fill hundreds of lines
    listed = [f for f in found if lists_all or not f.was_not_run]
    title = f"{spec.title} (suite {spec.name} {group.suite_version}): orderings known from the literature"
    facts = group.in_words()
    sys.stdout.write(
        f"## {escape_markdown(title)}\n\n{escape_markdown(facts)}\n\n" if is_markdown else f"{title}\n{facts}\n\n"
    )
    if listed:
        _print_table(listed, is_markdown=is_markdown)
    sys.stdout.write(_summary(found) + ("\n\n" if is_markdown else "\n"))
    if over:
        sys.stdout.write("### Over several tasks\n\n" if is_markdown else "\nover several tasks\n")
        _print_table(over, is_markdown=is_markdown)
        sys.stdout.write(_summary(over) + ("\n\n" if is_markdown else "\n"))
    lines = _legend(spec, board, found)
    if over:
        lines.append(
            "over several tasks: the unweighted mean of the tasks' differences; it does not affect the exit code"
        )
    if len(listed) < len(found):
        tasks = len({f.task for f in found if f.was_not_run})
        lines.insert(
            0,
            f"{len(found) - len(listed)} of the missing orderings, on {plural(tasks, 'task')}, are not listed: "
            "a method was not run; --strict lists them and fails on them",
        )
    print_lines(lines, is_markdown=is_markdown)


def _print_table(found: Sequence[Finding], *, is_markdown: bool) -> None:
    rows = [_cells(f) for f in found]
    right = [i for i, name in enumerate(_HEADERS) if name not in ("verdict", "ordering", "task", "notes")]
    if is_markdown:
        shown = columns_that_fit(_HEADERS, rows, (), None)
        flushed = [at for at, i in enumerate(shown) if i in right]
        sys.stdout.write(
            markdown_table([_HEADERS[i] for i in shown], [[row[i] for i in shown] for row in rows], flushed)
        )
    else:
        print_that_fits(_HEADERS, rows, right=right, expendable=_EXPENDABLE)
    sys.stdout.write("\n")


def _summary(found: Sequence[Finding]) -> str:
    n = Counter(f.verdict for f in found)
    text = f"{n['holds']} of {len(found)} hold, {n['not shown']} not shown, {n['violated']} violated, {n['missing']} missing"
    return text + (f", {n['declined']} declined" if n["declined"] else "")


def _cells(found: Finding) -> list[str]:
    f = found
    return [
        f.verdict,
        f.label,
        f.task if f.task is not None else f"{len(f.over)} tasks",
        _number(f.above_score),
        _number(f.below_score),
        "" if f.difference is None else f"{f.difference:+.4f}",
        _number(f.ci95),
        plural(f.n, f.unit) if f.n else "",
        f"{f.seeds_won}/{f.n_seeds}" if f.n_seeds else "",
        _number(f.seed_ci95),
        f.reason,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _legend(spec: SuiteSpec, board: Leaderboard, found: Sequence[Finding]) -> list[str]:
    lines = []
    for why in dict.fromkeys(f.why for f in found if f.why):
        n = Counter(f.verdict for f in found if f.why == why and f.verdict in ("violated", "not shown"))
        if n:
            lines.append(
                f"{', '.join(f'{count} {verdict}' for verdict, count in n.items())}, although reported by: {why}"
            )
    units = sorted({f.unit for f in found if f.unit})
    if units:
        unit = "s, ".join(units)
        lines.append(
            f"difference: first minus second, paired by {unit} and seed; ± 95 %: half-width of Student's t interval over "
            f"{unit}s, each averaged over common seeds, given these trainings. The verdict uses this interval"
        )
    if any(f.n_seeds > 1 for f in found):
        lines.append("± seeds: half-width of the 95 % Student's t interval over the seeds' mean differences")
    lines.append(
        "holds: the interval lies above 0; violated: below 0; not shown: it includes 0; an ordering with ≥ holds unless "
        "violated. Intervals are not corrected for the number of orderings"
    )
    named = {name for f in found for name in (f.above, f.below)}
    variants = sorted({r.label for r in board.rows if r.params != "{}" and r.method in named})
    if variants:
        lines.append(f"not compared, since orderings concern default parameters: {', '.join(variants)}")
    return [*lines, *board.notes, *(f"left out: {line}" for line in board.left_out)]
