"""Auto-Keras: searches small neural networks for tables.

After Jin, Song & Hu 2019, "Auto-Keras: an efficient neural architecture search system", KDD.

The library itself, in an environment of its own. It has no budget in seconds: networks are searched
for half of it, then the best one is trained again until eight tenths; what trains at these times is
stopped. Making a network ready takes seconds in which nothing can be stopped: no further one is
begun where that would take too long, judged by those before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context
from benchbench.methods.automl._encoding import OneHot, class_codes
from benchbench.methods.automl._wrapping import spread

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["AutoKeras"]

# of the budget: when the search ends at the latest, then the training of the best network, and when
# all should be done
SEARCH_SHARE, FIT_SHARE, END_SHARE = 0.5, 0.8, 0.9


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
            "The library, version 3.0, on TensorFlow. It gets one column for each category, scaled numbers and values to predict, and no "
            "missing values; a budget in seconds is held by stopping it."
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
        self.library = autokeras

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        import numpy as np

        started = time.monotonic()
        self.encoder = OneHot(self.info.columns).fit(rows)
        x, y = self.encoder.transform(rows), class_codes(target)
        if self.info.kind == "regression":
            # it leaves them as they are, and its networks take long to get to 150 from 0
            self.mean, self.deviation = y.mean(), y.std() or 1.0
            y = (y - self.mean) / self.deviation
        else:
            self.present, y = np.unique(y, return_inverse=True)
        search = self._search(x.shape[1])
        search.fit(
            x,
            y,
            epochs=self.epochs or None,
            validation_split=0.2,
            callbacks=[_stopper(started, self.budget.seconds, search.tuner.oracle)],
            verbose=0,
        )
        # the network alone is not the model: what is done to its inputs belongs to it
        self.pipeline, self.model = search.tuner.get_best_pipeline(), search.tuner.get_best_model()

    def _search(self, n_columns: int) -> Any:
        cls: Any = self.library.StructuredDataRegressor
        if self.info.kind != "regression":
            cls = self.library.StructuredDataClassifier
        names = [str(i) for i in range(n_columns)]
        return cls(
            column_names=names,
            # else it takes numbers with few different values for categories, and replaces them by
            # their places
            column_types=dict.fromkeys(names, "numerical"),
            max_trials=self.max_trials,
            objective="val_loss",
            directory=str(self.context.scratch / "autokeras"),
            seed=self.context.derive("autokeras"),
            overwrite=True,
        )

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        if self.info.kind == "regression":
            return self._outputs(rows)[:, 0].astype("float64") * self.deviation + self.mean
        return self.predict_proba(rows).argmax(axis=1)

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        import numpy as np

        found = self._outputs(rows)
        if found.shape[1] == 1:
            found = np.concatenate([1 - found, found], axis=1)
        return spread(found, self.present, len(self.info.classes))

    def _outputs(self, rows: pd.DataFrame) -> NDArray[Any]:
        return self.model.predict(self.pipeline.transform_x(self.encoder.transform(rows)), verbose=0)


def _stopper(started: float, seconds: float, oracle: Any) -> Any:
    """Return a callback that stops the search in time, and then the training of the best network.

    Parameters
    ----------
    started : float
        `time.monotonic()` at which the budget began.
    seconds : float
        The budget.
    oracle : keras_tuner Oracle
        Says which networks are tried; it is told when to stop.
    """
    from keras.callbacks import Callback

    class Stopper(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.started, self.last_end = started, time.monotonic()
            self.is_searching, self.is_ready = True, False
            self.longest = 0.0

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            # the tuner copies callbacks for each network
            return self

        def seconds_left(self) -> float:
            """Return the seconds until what trains now has to stop.

            It leaves time for what cannot be stopped afterwards.
            """
            share, n_later = (SEARCH_SHARE, 2) if self.is_searching else (FIT_SHARE, 1)
            end = min(share * seconds, END_SHARE * seconds - n_later * self.longest)
            return self.started + end - time.monotonic()

        def on_train_begin(self, logs: Any = None) -> None:
            self.is_ready = False

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if not self.is_ready:
                self.is_ready = True
                self.longest = max(self.longest, time.monotonic() - self.last_end)
            if self.seconds_left() < 0:
                self.model.stop_training = True

        def on_train_end(self, logs: Any = None) -> None:
            self.last_end = time.monotonic()
            if self.is_searching and self.seconds_left() < self.longest:
                self.is_searching = False
                oracle.max_trials = max(1, len(oracle.trials))

    return Stopper()
