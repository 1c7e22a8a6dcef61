"""Auto-Keras: searches small neural networks for tables. After Jin, Song & Hu 2019, "Auto-Keras: an efficient neural architecture
search system", KDD.

The library itself, in an environment of its own. It has no budget in seconds: networks are searched for half of it, then
the best one is trained anew until eight tenths; what trains at these times is stopped.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context
from benchbench.methods.automl._tables import OneHot, class_codes
from benchbench.methods.automl._wrapping import spread

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["AutoKeras"]

SEARCH_SHARE, FIT_SHARE = 0.5, 0.8


class AutoKeras(AutoMLAdapter):
    """Trains networks of different depths, widths and regularisation, and keeps the best one.

    Parameters
    ----------
    max_trials : int
        Networks at most.
    epochs : int
        Of each network; 0: until its validation loss no longer falls.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="autokeras",
        track="automl",
        title="Auto-Keras",
        summary="Searches dense networks greedily from a few that are known to work.",
        paper="Jin, Song & Hu 2019, KDD",
        url="https://arxiv.org/abs/1806.10282",
        year=2019,
        differs=(
            "The library, version 3.0, on TensorFlow. It gets one column for each category, scaled numbers, and no missing values; "
            "a budget in seconds is held by stopping it."
        ),
        family="system",
        tasks=KINDS,
        deterministic=False,
        devices=("cpu",),
        requirements="requirements/autokeras.txt",
    )

    def __init__(self, *, max_trials: int = 100, epochs: int = 0) -> None:
        self.max_trials, self.epochs = max_trials, epochs

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        import os

        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import autokeras
        import keras

        super().setup(info, budget=budget, context=context)
        keras.utils.set_random_seed(context.derive("keras"))
        cls: Any = autokeras.StructuredDataRegressor
        if info.kind != "regression":
            cls = autokeras.StructuredDataClassifier
        self.search = cls(
            max_trials=self.max_trials,
            objective="val_loss",
            directory=str(context.scratch / "autokeras"),
            seed=context.derive("autokeras"),
            overwrite=True,
        )

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        import numpy as np

        now = time.monotonic()
        stopper = _stopper(now + SEARCH_SHARE * self.budget.seconds, now + FIT_SHARE * self.budget.seconds)
        stopper.oracle = self.search.tuner.oracle
        self.encoder = OneHot(self.info.columns).fit(rows)
        y = class_codes(target)
        self.present = np.unique(y)
        if self.info.kind != "regression":
            y = np.searchsorted(self.present, y)
        self.search.fit(
            self.encoder.transform(rows),
            y,
            epochs=self.epochs or None,
            validation_split=0.2,
            callbacks=[stopper],
            verbose=0,
        )
        self.model = self.search.export_model()

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        if self.info.kind == "regression":
            return self._outputs(rows)[:, 0].astype("float64")
        return self.predict_proba(rows).argmax(axis=1)

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        import numpy as np

        found = self._outputs(rows)
        if found.shape[1] == 1:
            found = np.concatenate([1 - found, found], axis=1)
        return spread(found, self.present, len(self.info.classes))

    def _outputs(self, rows: pd.DataFrame) -> NDArray[Any]:
        return self.model.predict(self.encoder.transform(rows), verbose=0)


def _stopper(search_end: float, fit_end: float) -> Any:
    """Return a callback that stops the search at its end, and then the training of the best network at the end of that."""
    from keras.callbacks import Callback

    class Stopper(Callback):  # type: ignore[misc]
        oracle: Any = None
        end = search_end

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            # the tuner copies callbacks for each network
            return self

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if time.monotonic() < self.end:
                return
            self.model.stop_training = True
            if self.end == search_end:
                self.end = fit_end
                # no further network is asked for
                self.oracle.max_trials = max(1, len(self.oracle.trials))

    return Stopper()
