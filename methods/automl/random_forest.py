"""Random forest with scikit-learn's settings. Breiman 2001, "Random forests".

AMLB's baseline of this name: 2000 trees there, 500 here, fewer if the budget ends first. Categories
are their declared places, missing ones -1; missing numbers the training rows' median.
"""

from __future__ import annotations

from typing import ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS
from benchbench.methods.automl._forests import ForestAdapter

__all__ = ["RandomForest"]


class RandomForest(ForestAdapter):
    """Averages trees grown on bootstrap samples, each split chosen among random features."""

    card: ClassVar[MethodCard] = MethodCard(
        name="random_forest",
        track="automl",
        title="Random forest",
        summary="Averages 500 trees grown on bootstrap samples with random features.",
        paper="Breiman 2001, Machine Learning 45",
        url="https://doi.org/10.1023/A:1010933404324",
        year=2001,
        differs="AMLB's baseline has 2000 trees.",
        family="baseline",
        tasks=KINDS,
        devices=("cpu",),
    )
    classifier = "RandomForestClassifier"
    regressor = "RandomForestRegressor"
