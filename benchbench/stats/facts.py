"""A suite as statistics need it: its tasks, and the frozen scores at both ends of their scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchbench.suite_files import BEST_KNOWN

__all__ = ["PERFECT_SCORES", "SuiteFacts", "TaskEnds"]


PERFECT_SCORES: Mapping[str, float] = {
    "accuracy": 1.0,
    "balanced_accuracy": 1.0,
    "predictive_accuracy": 1.0,
    "auc": 1.0,
    "neg_log_loss": 0.0,
    "neg_mse": 0.0,
    "neg_rmse": 0.0,
}
"""Score of a perfect prediction by metric; improvability measures errors relative to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnds:
    """A task of a suite and the frozen ends of its normalised score."""

    name: str
    baseline_score: float | None = None
    reference_score: float | None = None

    @property
    def has_scale(self) -> bool:
        """Whether the reference is above the baseline; else there is no normalised score."""
        zero, one = self.baseline_score, self.reference_score
        return zero is not None and one is not None and one > zero


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFacts:
    """Name, version, the methods at both ends of the normalised score, and the tasks."""

    name: str
    version: str
    baseline: str
    reference: str
    tasks: tuple[TaskEnds, ...]

    def ends(self) -> dict[str, tuple[float, float]]:
        """Return the frozen (baseline score, reference score) of each task that has a scale."""
        return {
            t.name: (t.baseline_score, t.reference_score)
            for t in self.tasks
            if t.has_scale and t.baseline_score is not None and t.reference_score is not None
        }

    def baselines(self) -> dict[str, float]:
        """Return the frozen baseline score of each task that has one."""
        return {t.name: t.baseline_score for t in self.tasks if t.baseline_score is not None}

    def perfect_scores(self, metrics: Mapping[str, str]) -> dict[str, float]:
        """Return the known perfect scores: by metric, or the best known score of a problem.

        Parameters
        ----------
        metrics : mapping of task to metric
        """
        found = {task: PERFECT_SCORES[metric] for task, metric in metrics.items() if metric in PERFECT_SCORES}
        if self.reference == BEST_KNOWN:
            best = {t.name: t.reference_score for t in self.tasks}
            found |= {task: score for task, score in best.items() if score is not None and math.isfinite(score)}
        return found
