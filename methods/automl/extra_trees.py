"""Extremely randomised trees with scikit-learn's settings.

Geurts, Ernst & Wehenkel 2006, "Extremely randomized trees".

500 trees, fewer if the budget ends first. Categories are their declared places, missing ones -1;
missing numbers the training rows' median.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS
from benchbench.methods.automl._forests import ForestAdapter

__all__ = ["ExtraTrees"]


class ExtraTrees(ForestAdapter):
    """Averages trees whose splits are drawn at random, the best of a few."""

    card: ClassVar[MethodCard] = MethodCard(
        name="extra_trees",
        track="automl",
        title="Extra trees",
        summary="Averages 500 trees grown on all rows with random thresholds.",
        paper="Geurts, Ernst & Wehenkel 2006, Machine Learning 63",
        url="https://doi.org/10.1007/s10994-006-6226-1",
        year=2006,
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )
    classifier = "ExtraTreesClassifier"
    regressor = "ExtraTreesRegressor"
