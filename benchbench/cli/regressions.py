"""`bench regressions`: what is worse in HEAD than in BASE; a gate for CI."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchbench.cli.common import CONDITIONS, FormatOption, print_json
from benchbench.cli.terminal import print_lines, print_that_fits
from benchbench.errors import GateFailed, InputError
from benchbench.stats.labels import plural

if TYPE_CHECKING:
    from benchbench.stats.regression import Verdict

__all__ = ["regressions"]


def regressions(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Database or export to compare with.")],
    head: Annotated[Path, typer.Argument(metavar="HEAD", help="Database or export to check.")],
    suite: Annotated[str | None, typer.Option("--suite", help="Only this suite.")] = None,
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression",
            help="Exit with code 3 if anything is worse or missing, with code 2 if nothing can be compared.",
        ),
    ] = False,
    margin: Annotated[
        float, typer.Option("--margin", min=0.0, help="Smallest difference in accuracy that matters.")
    ] = 0.01,
    relative_margin: Annotated[
        float, typer.Option("--relative-margin", min=0.0, help="The same for other scores, as a share of BASE's score.")
    ] = 0.05,
    format_: FormatOption = "table",
) -> None:
    """Find what is worse in HEAD than in BASE.

    Scores are paired over episodes (or seeds), and differences tested against a margin.
    """
    from benchbench.results.load_units import compare_sides
    from benchbench.results.transfer import open_results
    from benchbench.stats.regression import COMPARED
    from benchbench.stats.regression import compare as judge

    if not base.exists() and not head.exists():
        raise InputError(
            f"neither {base} nor {head} exists; expected two databases or exports. "
            f"To compare two methods: bench versus {base} {head} --suite SUITE"
        )
    sides = [compare_sides(open_results(path), suite) for path in (base, head)]
    if not sides[0]:
        raise InputError(f"{base} has no results{f' of suite {suite}' if suite else ''} to compare with")
    verdicts = judge(*sides, margin=margin, relative_margin=relative_margin)
    if format_ == "json":
        print_json([v.to_dict() for v in verdicts])
    else:
        _print_verdicts(verdicts, margin, relative_margin)
    bad = [v for v in verdicts if v.verdict in ("worse", "missing")]
    if bad and fail_on_regression:
        raise GateFailed(f"{len(bad)} of {len(verdicts)} comparisons are worse or missing in HEAD")
    if fail_on_regression and not any(v.verdict in COMPARED for v in verdicts):
        raise InputError(
            f"nothing in {base} could be compared with {head}: {_counts(verdicts)}; a gate without any comparison fails"
        )


_HEADERS = (
    "verdict",
    "method",
    "task",
    *CONDITIONS.values(),
    "BASE",
    "HEAD",
    "HEAD - BASE",
    "p (Holm)",
    "n",
    "seconds",
)
# omitted on a narrow terminal, the first one first
_EXPENDABLE = ("seconds", "p (Holm)")


def _print_verdicts(verdicts: list[Verdict], margin: float, relative: float) -> None:
    words = ("verdict", "method", "task", "suite", "preset", "device", "protocol")
    right = {i for i, name in enumerate(_HEADERS) if name not in words}
    differing = [name for name in CONDITIONS if len({getattr(v, name) for v in verdicts}) > 1]
    print_that_fits(_HEADERS, [_cells(v, differing) for v in verdicts], right=right, expendable=_EXPENDABLE)
    reasons = [
        f"{v.verdict}: {v.label} on {v.task}{_conditions(v, differing)}: {v.reason}"
        for v in verdicts
        if v.reason and v.verdict != "new"
    ]
    sys.stdout.write(f"\n{_counts(verdicts)}\n")
    print_lines(
        [
            *reasons,
            f"worse, better: by more than the margin ({margin:g} of accuracy, {relative:.0%} of other scores) and p < 0.05 "
            "after Holm's correction; same: the whole 95 % interval lies within the margin",
        ]
    )


def _counts(verdicts: list[Verdict]) -> str:
    return ", ".join(f"{n} {name}" for name, n in Counter(v.verdict for v in verdicts).items())


def _conditions(verdict: Verdict, differing: list[str]) -> str:
    found = [f"{CONDITIONS[name]} {getattr(verdict, name)}" for name in differing]
    return f" ({', '.join(found)})" if found else ""


def _cells(verdict: Verdict, differing: list[str]) -> list[str]:
    v = verdict
    difference = "" if v.difference is None else f"{v.difference:+.4f}"
    seconds = [_number(s, 1) or "-" for s in (v.base_seconds, v.head_seconds)]
    return [
        v.verdict,
        v.label,
        v.task,
        *(str(getattr(v, name)) if name in differing else "" for name in CONDITIONS),
        _number(v.base, 4),
        _number(v.head, 4),
        difference if v.ci95 is None else f"{difference} ± {v.ci95:.4f}",
        "" if v.p_holm is None else f"{v.p_holm:.2g}",
        plural(v.n, v.unit) if v.n else "",
        " → ".join(seconds) if seconds != ["-", "-"] else "",
    ]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
