"""H2O AutoML: trains forests, boosted trees, linear and neural models, and stacks them.

After LeDell & Poirier 2020, ICML AutoML.

The library itself, in an environment of its own: a server in Java and its client. The server
listens on a free port of this host's loopback interface, gets a share of the trial's memory, and
ends with the trial.
"""

from __future__ import annotations

import shutil
import socket
import time
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.context import Context
from benchbench.methods.automl._encoding import Codes, class_codes
from benchbench.methods.automl._wrapping import library_seconds, plain_names, real_names, spread

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["H2O"]

METRICS = {"auc": "AUC", "log_loss": "logloss", "rmse": "RMSE"}
# the heap's share of what the client leaves; the rest is for the JVM itself and for libraries that
# allocate outside of it
HEAP_SHARE = 0.7
CLIENT_MIB = 300
LEAST_HEAP_MIB = 256


class H2O(AutoMLAdapter):
    """Lets H2O train as many models as the budget has time for, and takes the leader.

    Parameters
    ----------
    max_models : int
        At most; 0: as many as time allows. With a number the run repeats exactly, if time
        does not end it.
    nfolds : int
        Folds that models are rated on.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="h2o",
        track="automl",
        title="H2O AutoML",
        summary="Trains a fixed list of models and random searches, and stacks them.",
        paper="LeDell & Poirier 2020, ICML workshop on AutoML",
        url="https://www.automl.org/wp-content/uploads/2020/07/AutoML_2020_paper_61.pdf",
        year=2020,
        differs=(
            "The library, version 3.46. It is told nine tenths of the budget less two seconds and what sending the rows "
            "took; string columns become categories; "
            "the server is started before the clock."
        ),
        family="system",
        tasks=KINDS,
        deterministic=False,
        devices=("cpu",),
        requirements="requirements/h2o.txt",
    )

    def __init__(self, *, max_models: int = 0, nfolds: int = 5) -> None:
        self.max_models, self.nfolds = max_models, nfolds

    def supports(self, info: TableInfo) -> str | None:
        return super().supports(info) if shutil.which("java") else "H2O needs Java 8 to 17, which is not installed"

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        import h2o
        from h2o.automl import H2OAutoML
        from h2o.backend import H2OLocalServer

        super().setup(info, budget=budget, context=context)
        heap = max(LEAST_HEAP_MIB, int((budget.memory_mib - CLIENT_MIB) * HEAP_SHARE))
        port = _free_port()
        self.server = H2OLocalServer.start(
            nthreads=budget.threads,
            enable_assertions=False,
            max_mem_size=heap * 2**20,
            ice_root=str(context.scratch),
            port=port,
            name=f"trial_{port}",
            # its XGBoost unpacks 100 MB there, and leaves them
            jvm_custom_args=[
                f"-Djava.io.tmpdir={context.scratch}",
                *(["-XX:+UseSerialGC"] if budget.threads == 1 else []),
            ],
            verbose=False,
        )
        self.h2o, self.automl = h2o, H2OAutoML
        h2o.connect(server=self.server, verbose=False, telemetry=False)
        h2o.no_progress()

    def fit(self, rows: pd.DataFrame, target: pd.Series[Any]) -> None:
        import numpy as np

        started = time.monotonic()
        self.codes, self.names = Codes(self.info.columns).fit(rows), plain_names(self.info.columns)
        y = class_codes(target)
        is_regression = self.info.kind == "regression"
        self.present = np.unique(y)
        frame = self._frame(rows, y if is_regression else [f"c{label}" for label in y])
        # sending many rows takes long
        spent = time.monotonic() - started
        run = self.automl(
            max_runtime_secs=max(1, int(library_seconds(self.budget, 0.9, 2.0) - spent)),
            max_models=self.max_models or None,
            nfolds=self.nfolds,
            seed=self.context.derive("h2o"),
            sort_metric=METRICS[self.info.metric],
        )
        with real_names(self.names):
            run.train(y="target", training_frame=frame)
        if run.leader is None:
            raise RuntimeError(f"H2O trained no model within its {self.budget.seconds:g} s")
        self.leader = run.leader

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        if self.info.kind == "regression":
            return self._predicted(rows)["predict"].to_numpy("float64")
        return self._predicted(rows)["predict"].str.removeprefix("c").to_numpy("int64")

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[Any]:
        found = self._predicted(rows)[[f"c{label}" for label in self.present]]
        return spread(found, self.present, len(self.info.classes))

    def close(self) -> None:
        if hasattr(self, "server"):
            process = self.server._process
            self.server.shutdown()
            process.kill()
            process.wait(timeout=10)

    def _predicted(self, rows: pd.DataFrame) -> Any:
        with warnings.catch_warnings(), real_names(self.names):
            # that there are faster ways for large frames
            warnings.simplefilter("ignore")
            return self.leader.predict(self._frame(rows)).as_data_frame(use_multi_thread=False)

    def _frame(self, rows: pd.DataFrame, target: Any = None) -> Any:
        """Send rows to the server.

        Names and categories are numbered, so that no text of theirs can be misread on the way.
        """
        import pandas as pd

        types, columns = {}, {}
        for (plain, name), values in zip(self.names.items(), self.codes.transform(rows).T, strict=True):
            is_number = self.codes.columns[name] == "numeric"
            columns[plain] = values if is_number else [f"k{v:.0f}" if v == v else None for v in values]
            types[plain] = "real" if is_number else "enum"
        if target is not None:
            columns["target"] = target
            types["target"] = "real" if self.info.kind == "regression" else "enum"
        return self.h2o.H2OFrame(pd.DataFrame(columns), column_types=types)


def _free_port() -> int:
    """Return a port that is free, as is the next one: the server takes both."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
