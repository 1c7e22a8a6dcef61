"""Perfect scores are what a perfect prediction gets."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from benchbench.stats.facts import PERFECT_SCORES, SuiteFacts, TaskEnds
from benchbench.suite_files import BEST_KNOWN

TRUTH = np.array([0, 1, 1, 0, 1])
CERTAIN = np.eye(2)[TRUTH]


def suite(*tasks: TaskEnds, reference: str = "ref") -> SuiteFacts:
    return SuiteFacts(name="s", version="1", baseline="base", reference=reference, tasks=tasks)


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        ("accuracy", metrics.accuracy_score(TRUTH, TRUTH)),
        ("balanced_accuracy", metrics.balanced_accuracy_score(TRUTH, TRUTH)),
        ("predictive_accuracy", metrics.accuracy_score(TRUTH, TRUTH)),
        ("auc", metrics.roc_auc_score(TRUTH, CERTAIN[:, 1])),
        ("neg_log_loss", -metrics.log_loss(TRUTH, CERTAIN)),
        ("neg_mse", -metrics.mean_squared_error(TRUTH, TRUTH)),
        ("neg_rmse", -metrics.root_mean_squared_error(TRUTH, TRUTH)),
    ],
)
def test_a_perfect_prediction_gets_the_perfect_score(metric: str, score: float) -> None:
    assert score == pytest.approx(PERFECT_SCORES[metric], abs=1e-12)
    assert suite().perfect_scores({"t": metric, "u": "unheard of"}) == {"t": PERFECT_SCORES[metric]}


def test_the_best_known_score_of_a_problem_is_its_perfect_score() -> None:
    tasks = (TaskEnds(name="a", reference_score=-3.0), TaskEnds(name="b", reference_score=-np.inf), TaskEnds(name="c"))
    assert suite(*tasks, reference=BEST_KNOWN).perfect_scores({"a": "accuracy"}) == {"a": -3.0}
    assert suite(*tasks).perfect_scores({"a": "accuracy"}) == {"a": 1.0}


def test_a_scale_needs_a_reference_above_the_baseline() -> None:
    tasks = (
        TaskEnds(name="a", baseline_score=0.2, reference_score=0.7),
        TaskEnds(name="b", baseline_score=0.2, reference_score=0.2),
        TaskEnds(name="c", baseline_score=0.0),
        TaskEnds(name="d", reference_score=0.7),
    )
    assert suite(*tasks).ends() == {"a": (0.2, 0.7)}
    assert suite(*tasks).baselines() == {"a": 0.2, "b": 0.2, "c": 0.0}
