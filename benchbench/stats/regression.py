"""Paired comparisons of the same trials in two sets of results."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchbench.stats.labels import method_label, params_of
from benchbench.stats.significance import holm, paired_t
from benchbench.stats.ties import differences as rounded_differences

__all__ = ["COMPARED", "VERDICTS", "Side", "Verdict", "compare"]

VERDICTS = (
    "worse",
    "better",
    "same",
    "cannot tell",
    "missing",
    "new",
    "incomparable",
    "failed in both",
    "declined in both",
)
"""`missing`: in BASE but not in HEAD. `worse` and `missing` fail the gate, as does a comparison
without any of `COMPARED`.
"""

COMPARED = ("worse", "better", "same", "cannot tell")
"""The verdicts that compare HEAD with BASE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One counted trial of one side; fields in the order of the query in
    `benchbench.results.load_units`.
    """

    suite: str
    suite_version: str
    task: str
    fingerprint: str
    protocol_version: str
    method: str
    params: str
    preset: str
    threads: int
    device: str
    seed: int
    outcome: str
    metric: str
    score: float | None
    seconds: float
    error_message: str
    unit: str
    unit_scores: tuple[float, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Key of what is compared: equal on both sides."""
        return (self.suite, self.task, self.method, self.params, self.preset, str(self.threads), self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The comparison of one method on one task.

    `difference` is HEAD minus BASE (above 0: HEAD is better), `ci95` its half-width, `p` the
    two-sided p-value, `p_holm` the same corrected for the number of comparisons, `n` the number of
    pairs, `unit` what was paired. `protocol_version` is BASE's, or HEAD's if BASE has no result.
    """

    suite: str
    task: str
    method: str
    params: str
    preset: str
    threads: int
    device: str
    protocol_version: str
    verdict: str
    reason: str = ""
    base: float | None = None
    head: float | None = None
    difference: float | None = None
    ci95: float | None = None
    p: float | None = None
    p_holm: float | None = None
    n: int = 0
    unit: str = ""
    margin: float | None = None
    base_seconds: float | None = None
    head_seconds: float | None = None

    @property
    def label(self) -> str:
        """The method with its parameters, for people."""
        return method_label(self.method, self.params)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"params": params_of(self.params)}


def compare(
    base: Sequence[Side],
    head: Sequence[Side],
    *,
    margin: float = 0.01,
    relative_margin: float = 0.05,
    level: float = 0.05,
) -> list[Verdict]:
    """Compare every method and task of the two sides.

    Parameters
    ----------
    base, head : sequence of Side
    margin : float
        Smallest difference that matters for accuracy-like scores (in [0, 1]).
    relative_margin : float
        Smallest difference that matters for other scores, as a share of BASE's absolute score.
    level : float
        Family-wise error level: p-values are corrected by Holm's method over all comparisons.

    Returns
    -------
    list of Verdict
        "worse" and "better": the difference exceeds the margin and is significant. "same": the
        whole interval is within the margin. Else: "cannot tell".
    """
    sides: dict[tuple[str, ...], tuple[list[Side], list[Side]]] = defaultdict(lambda: ([], []))
    for i, rows in enumerate((base, head)):
        for row in rows:
            sides[row.key][i].append(row)
    measured = [_measure(b, h, margin, relative_margin) for _, (b, h) in sorted(sides.items())]
    corrected = iter(holm([v.p for v in measured if v.p is not None]))
    return [
        _decide(v, None if v.p is None else next(corrected), level) if v.difference is not None else v for v in measured
    ]


def _measure(base: list[Side], head: list[Side], margin: float, relative: float) -> Verdict:
    one = (base or head)[0]
    plain = Verdict(
        suite=one.suite,
        task=one.task,
        method=one.method,
        params=one.params,
        preset=one.preset,
        threads=one.threads,
        device=one.device,
        protocol_version=one.protocol_version,
        verdict="",
        base_seconds=_mean([s.seconds for s in base if s.outcome == "ok"]),
        head_seconds=_mean([s.seconds for s in head if s.outcome == "ok"]),
    )
    for rule in _RULES:
        found = rule(base, head)
        if found is not None:
            return replace(plain, verdict=found[0], reason=found[1])
    return _paired(plain, base, head, margin, relative)


_Found = tuple[str, str] | None


def _lost(base: list[Side], head: list[Side]) -> _Found:
    """Return a verdict on trials lost with their workers, which say nothing about the method."""
    for name, side in (("BASE", base), ("HEAD", head)):
        if side and all(s.outcome == "infra" for s in side):
            return ("missing" if side is head else "new"), f"{name} lost it with its workers: run it again"
    return None


def _absent(base: list[Side], head: list[Side]) -> _Found:
    if not head:
        return "missing", "HEAD has no result"
    return ("new", "BASE has no result") if not base else None


def _unlike(base: list[Side], head: list[Side]) -> _Found:
    for name in ("suite_version", "protocol_version", "fingerprint"):
        b, h = ({getattr(s, name) for s in side} for side in (base, head))
        if b != h:
            return (
                "incomparable",
                f"{name.replace('_', ' ')} differs: {', '.join(sorted(b))} and {', '.join(sorted(h))}",
            )
    return None


def _failed(base: list[Side], head: list[Side]) -> _Found:
    """Return a verdict on failures: a method that newly fails is worse, whatever else."""
    base_by_seed, head_by_seed = ({s.seed: s for s in side} for side in (base, head))
    for seed, before in sorted(base_by_seed.items()):
        after = head_by_seed.get(seed)
        if after is not None and before.outcome == "ok" and after.outcome not in ("ok", "infra"):
            return "worse", f"seed {seed}: ok in BASE, {after.outcome} in HEAD: {after.error_message[:200]}"
    if any(s.outcome == "ok" for s in base) and all(s.outcome not in ("ok", "infra", "declined") for s in head):
        return "worse", f"ok in BASE, {head[0].outcome} in HEAD: {head[0].error_message[:200]}"
    if not any(s.outcome == "ok" for s in base):
        if any(s.outcome == "ok" for s in head):
            return "better", f"{base[0].outcome} in BASE, ok in HEAD"
        if all(s.outcome == "declined" for s in (*base, *head)):
            return "declined in both", ""
        return "failed in both", f"{base[0].outcome} in BASE, {head[0].outcome} in HEAD"
    return None


def _paired(plain: Verdict, base: list[Side], head: list[Side], margin: float, relative: float) -> Verdict:
    after = {s.seed: s for s in head if s.outcome == "ok"}
    pairs = [(s, after[s.seed]) for s in base if s.outcome == "ok" and s.seed in after]
    if not pairs:
        return replace(plain, verdict="incomparable", reason="no seed that succeeded on both sides")
    if len(pairs) > 1:
        values = [(float(b.score or 0.0), float(h.score or 0.0)) for b, h in pairs]
        # on tasks with splits, the seed is the number of a split
        unit = "fold" if pairs[0][0].unit == "fold" else "seed"
    else:
        (b, h), unit = pairs[0], pairs[0][0].unit or "unit"
        n_base, n_head = len(b.unit_scores), len(h.unit_scores)
        if n_base != n_head:
            return replace(plain, verdict="incomparable", reason=f"{n_base} units in BASE, {n_head} in HEAD")
        values = list(zip(b.unit_scores, h.unit_scores, strict=True))
    if not values:
        return replace(plain, verdict="incomparable", reason="no scores by unit were recorded")
    base_mean, head_mean = (math.fsum(v[i] for v in values) / len(values) for i in (0, 1))
    is_accuracy = "accuracy" in pairs[0][0].metric or "auc" in pairs[0][0].metric
    tested = paired_t(rounded_differences([h for _, h in values], [b for b, _ in values]).tolist())
    return replace(
        plain,
        base=base_mean,
        head=head_mean,
        difference=tested.mean,
        ci95=tested.ci95,
        p=tested.p,
        n=len(values),
        unit=unit,
        margin=margin if is_accuracy else relative * abs(base_mean),
        reason=_unpaired(base, head, {b.seed for b, _ in pairs}),
    )


def _unpaired(base: list[Side], head: list[Side], paired: set[int]) -> str:
    """Return which seeds were left out because only one side has a score."""
    left = sorted({s.seed for s in (*base, *head)} - paired)
    return f"without seed{'s' if len(left) > 1 else ''} {', '.join(map(str, left))}: on one side only" if left else ""


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _decide(verdict: Verdict, p_holm: float | None, level: float) -> Verdict:
    margin, difference, ci95 = verdict.margin, verdict.difference, verdict.ci95
    if margin is None or difference is None:
        raise ValueError("a verdict is decided on a measured difference")
    reasons = [verdict.reason] if verdict.reason else []
    if p_holm is not None and p_holm < level and abs(difference) > margin:
        name = "worse" if difference < 0 else "better"
    elif ci95 is not None and abs(difference) + ci95 <= margin:
        name = "same"
    else:
        name = "cannot tell"
        reasons.insert(0, "one pair only" if ci95 is None else "the interval reaches beyond the margin")
    return replace(verdict, verdict=name, reason="; ".join(reasons), p_holm=p_holm)


_RULES: tuple[Callable[[list[Side], list[Side]], _Found], ...] = (_absent, _lost, _unlike, _failed)
