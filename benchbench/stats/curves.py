"""Any-time curves: validation score against seconds of meta-training, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchbench.stats.intervals import estimate
from benchbench.stats.labels import params_of
from benchbench.stats.leaderboard import Leaderboard, Row

__all__ = ["CurvePanel", "CurveValue", "Line", "SeedCurve", "curve_panels"]

# an empty meta_fit takes microseconds; iterations do not tell, since a preset may set them for
# every method
TRAINS_FROM_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class CurveValue:
    """A point of a curve; `ci95` is the half-width over validation episodes, if recorded."""

    step: int
    seconds: float
    value: float
    ci95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedCurve:
    """The curve of one successful counted trial; without points if none was reported.

    `fit_seconds` is the total time of its meta-training.
    """

    task: str
    fingerprint: str
    method: str
    params: str
    seed: int
    fit_seconds: float | None
    points: tuple[CurveValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A method on a task: its curve over steps and its test score.

    Parameters
    ----------
    points : tuple of CurveValue
        With one seed, the reported points; with several, means and `ci95` over seeds at the steps
        that all of them reported.
    unit : str
        What the curve's intervals are over: "episode", "seed", or "" if there are none.
    score, score_ci95, score_unit, score_n
        The test score on the leaderboard.
    fit_seconds : float or None
        Mean seconds of meta-training.
    is_trained : bool
        Whether the method has meta-training.
    """

    method: str
    params: str
    label: str
    points: tuple[CurveValue, ...]
    unit: str
    n_seeds: int
    score: float | None
    score_ci95: float | None
    score_unit: str
    score_n: int
    fit_seconds: float | None
    is_trained: bool
    is_transductive: bool
    is_shared: bool
    is_imputed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePanel:
    """The methods of one task, in the leaderboard's order."""

    task: str
    metric: str
    lines: tuple[Line, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"lines": [asdict(one) | {"params": params_of(one.params)} for one in self.lines]}


def curve_panels(board: Leaderboard, curves: Sequence[SeedCurve]) -> list[CurvePanel]:
    """Return one panel per task of the leaderboard, of the methods with a successful trial.

    Parameters
    ----------
    board : Leaderboard
    curves : sequence of SeedCurve
        Under the leaderboard's conditions; curves of other data are left out, as there.
    """
    found: dict[tuple[str, str, str], list[SeedCurve]] = {}
    for c in curves:
        if board.fingerprints.get(c.task) == c.fingerprint:
            found.setdefault((c.task, c.method, c.params), []).append(c)
    panels: dict[str, list[Line]] = {}
    metrics = {}
    for row in board.rows:
        if row.task is not None and row.n_ok:
            panels.setdefault(row.task, []).append(_line(row, found.get((row.task, row.method, row.params), [])))
            metrics[row.task] = row.metric
    return [CurvePanel(task=t, metric=metrics[t], lines=tuple(lines)) for t, lines in panels.items()]


def _line(row: Row, seeds: Sequence[SeedCurve]) -> Line:
    reported = [s for s in seeds if s.points]
    points = _over_seeds(reported) if len(reported) > 1 else reported[0].points if reported else ()
    unit = "" if all(p.ci95 is None for p in points) else "seed" if len(reported) > 1 else "episode"
    seconds = [s.fit_seconds for s in seeds if s.fit_seconds is not None]
    fit_seconds = math.fsum(seconds) / len(seconds) if seconds else None
    is_trained = row.iterations > 0 if fit_seconds is None else fit_seconds >= TRAINS_FROM_SECONDS
    return Line(
        method=row.method,
        params=row.params,
        label=row.label,
        points=points,
        unit=unit,
        n_seeds=len(seeds),
        score=row.score,
        score_ci95=row.ci95,
        score_unit=row.unit,
        score_n=row.n,
        fit_seconds=fit_seconds,
        is_trained=is_trained or bool(points),
        is_transductive=row.transductive,
        is_shared=row.n_shared > 0,
        is_imputed=row.n_imputed > 0,
    )


def _over_seeds(seeds: Sequence[SeedCurve]) -> tuple[CurveValue, ...]:
    by_step = [{p.step: p for p in s.points} for s in seeds]
    points = []
    for step in sorted(set.intersection(*(set(own) for own in by_step))):
        values = [own[step] for own in by_step]
        mean = estimate([v.value for v in values])
        points.append(CurveValue(step, math.fsum(v.seconds for v in values) / len(values), mean.mean, mean.ci95))
    return tuple(points)
