"""AutoGluon: bags and stacks many models, with little search.

After Erickson et al. 2020, "AutoGluon-Tabular: robust and accurate AutoML for structured data".

The library itself, in an environment of its own, with one of its presets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context
from benchbench.methods.automl._encoding import class_codes
from benchbench.methods.automl._wrapping import PlainFrames, library_seconds, real_names

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["AutoGluon"]

METRICS = {"auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}
TARGET = "__target__"


class AutoGluon(AutoMLAdapter):
    """Trains the models of a preset in turn for as long as the budget lasts, and weighs them.

    Parameters
    ----------
    presets : str
        One of the library's: "medium_quality", "good_quality", "high_quality", "best_quality", ...
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="autogluon",
        track="automl",
        title="AutoGluon",
        summary="Trains boosted trees, forests and neural networks of a preset, and weighs, bags or stacks them.",
        paper="Erickson et al. 2020, ICML workshop on AutoML",
        url="https://arxiv.org/abs/2003.06505",
        year=2020,
        differs=(
            "The library, version 1.6, with LightGBM, XGBoost, CatBoost and its torch networks, without fastai; its preset "
            "medium_quality unless another one is named; it is told 85 per cent of the budget less a second."
        ),
        family="system",
        tasks=KINDS,
        deterministic=False,
        devices=("cpu",),
        requirements="requirements/autogluon.txt",
    )

    def __init__(self, *, presets: str = "medium_quality") -> None:
        self.presets = presets

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        import os

        # what it believes the host has
        os.environ["AG_MEMORY_LIMIT_IN_GB"] = f"{budget.memory_mib / 1024:.3f}"
        os.environ["AG_CPU_COUNT"] = str(budget.threads)
        from autogluon.tabular import TabularPredictor

        super().setup(info, budget=budget, context=context)
        problem = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}[info.kind]
        self.model = TabularPredictor(
            label=TARGET,
            problem_type=problem,
            eval_metric=METRICS[info.metric],
            path=str(context.scratch / "autogluon"),
            verbosity=1,
            learner_kwargs={"random_state": context.derive("autogluon")},
        )

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        self.frames = PlainFrames(self.info.columns, keeps_texts=True).fit(rows)
        with real_names(self.frames.names):
            self.model.fit(
                self.frames.transform(rows).assign(**{TARGET: class_codes(target)}),
                time_limit=library_seconds(self.budget, 0.85, 1.0),
                presets=self.presets,
                num_cpus=self.budget.threads,
                num_gpus=0,
                # not among the requirements: it needs a build of torchvision that fits that of
                # torch
                excluded_model_types=["FASTAI"],
                ag_args_ensemble={"fold_fitting_strategy": "sequential_local"},
            )

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        with real_names(self.frames.names):
            return self.model.predict(self.frames.transform(rows)).to_numpy()

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        import numpy as np

        with real_names(self.frames.names):
            found = self.model.predict_proba(self.frames.transform(rows))
        probabilities = np.zeros((len(rows), len(self.info.classes)))
        # classes that are too rare for it have no column
        probabilities[:, [int(label) for label in found.columns]] = found.to_numpy()
        return probabilities
