"""Methods for tables (2026, for tests) that do as their parameter says; the protocol must name what is wrong."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter


def table_card(name: str, **more: Any) -> MethodCard:
    values: dict[str, Any] = {
        "name": name,
        "track": "automl",
        "title": name,
        "summary": "A method for tables, for tests.",
        "paper": "none",
        "url": "https://example.invalid",
        "year": 2026,
        "tasks": KINDS,
        "devices": ("cpu",),
    }
    return MethodCard(**{**values, **more})


class OddTables(AutoMLAdapter):
    """Uniform probabilities, or zeros, or something else."""

    card: ClassVar[MethodCard] = table_card("odd_tables")

    def __init__(self, how: str = "honest", seconds: float = 0.0) -> None:
        self.how, self.seconds = how, seconds

    def fit(self, rows: Any, target: Any) -> None:
        print(f"index={rows.index[0]}..{rows.index[-1]} left={self.context.seconds_left():.0f} rows={self.info.n_rows}")
        print(f"budget={self.budget.seconds:g} {self.budget.threads} {self.budget.memory_mib}")
        assert "target" not in rows and len(rows) == len(target) == self.info.n_rows
        if self.how == "sleep":
            time.sleep(self.seconds)
        if self.how == "raise":
            raise RuntimeError("cannot fit this")

    def predict(self, rows: Any) -> Any:
        import numpy as np

        if self.how == "slow_predict":
            time.sleep(self.seconds)
        n = len(rows)
        if self.how == "labels_shuffled":
            import pandas as pd

            return pd.Series(np.zeros(n, np.int64), index=np.arange(n)[::-1])
        found: dict[str, Any] = {
            "flipped": (rows.iloc[:, 0].to_numpy() < 13.0).astype(np.int64),
            "labels_as_names": np.full(n, self.info.classes[0] if self.info.classes else "", dtype=object),
            "labels_beyond": np.full(n, len(self.info.classes)),
            "labels_as_text": np.full(n, "yes"),
            "nan": np.full(n, np.nan),
            "short": np.zeros(n - 1),
        }
        return found.get(self.how, np.zeros(n, np.int64))

    def predict_proba(self, rows: Any) -> Any:
        import numpy as np

        n, k = len(rows), len(self.info.classes)
        if self.how in ("labels_only", "labels_beyond"):
            raise NotImplementedError
        even = np.full((n, k), 1 / k)
        if self.how.startswith(("columns_", "rows_")):
            return self.named(even)
        found: dict[str, Any] = {
            "flipped": np.eye(k)[1 - self.predict(rows)] if self.how == "flipped" else even,
            "short": even[:-1],
            "nan": np.full((n, k), np.nan),
            "negative": np.tile([1.5, -0.5] + [0.0] * (k - 2), (n, 1)),
            "sums": even * 0.9,
            "rounded": (even * (1 + 1e-5)).astype(np.float32),
        }
        return found.get(self.how, even)

    def named(self, even: Any) -> Any:
        """Return the first class as certain, in a DataFrame whose rows or columns have the names in question."""
        import numpy as np
        import pandas as pd

        n, k = even.shape
        found = pd.DataFrame(np.eye(k)[np.zeros(n, np.int64)], columns=list(self.info.classes))
        if self.how == "columns_reordered":
            return found[list(self.info.classes)[::-1]]
        if self.how == "columns_renumbered":
            return found.set_axis(range(k), axis=1)[list(range(k))[::-1]]
        if self.how == "columns_unknown":
            return found.set_axis([f"class {name}" for name in found], axis=1)
        return found if self.how == "columns_named" else found.set_index(np.arange(n)[::-1])

    def close(self) -> None:
        print("closed")


class OnlyBinary(OddTables):
    card: ClassVar[MethodCard] = table_card("only_binary", tasks=("binary",))
