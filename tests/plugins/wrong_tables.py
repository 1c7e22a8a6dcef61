"""Methods for tables (2026, for tests) that each break one promise; the conformance checks must name it."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.automl import KINDS, AutoMLAdapter


def wrong_card(name: str, **more: Any) -> MethodCard:
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


class HonestTables(AutoMLAdapter):
    """The classes' shares or the mean, a little more certain where the first number is high."""

    card: ClassVar[MethodCard] = wrong_card("honest_tables")

    def fit(self, rows: Any, target: Any) -> None:
        import numpy as np

        y = target.to_numpy() if self.info.kind == "regression" else target.cat.codes.to_numpy()
        self.answer = (
            float(y.mean())
            if self.info.kind == "regression"
            else np.bincount(y, minlength=len(self.info.classes)) / len(y)
        )

    def predict(self, rows: Any) -> Any:
        import numpy as np

        return np.full(len(rows), self.answer if self.info.kind == "regression" else self.answer.argmax())

    def predict_proba(self, rows: Any) -> Any:
        import numpy as np

        return np.tile(self.answer, (len(rows), 1))


class JsonNames(HonestTables):
    card: ClassVar[MethodCard] = wrong_card("json_names")

    def fit(self, rows: Any, target: Any) -> None:
        if any('"' in name for name in rows):
            raise ValueError("Do not support special JSON characters in feature name.")
        super().fit(rows, target)


class ByName(HonestTables):
    card: ClassVar[MethodCard] = wrong_card("by_name", tasks=("regression",))

    def fit(self, rows: Any, target: Any) -> None:
        super().fit(rows, target)
        self.answer += len(min(rows))


class Improbable(HonestTables):
    card: ClassVar[MethodCard] = wrong_card("improbable", tasks=("binary", "multiclass"))

    def predict_proba(self, rows: Any) -> Any:
        return 2 * super().predict_proba(rows)


class AlphabeticalClasses(HonestTables):
    """As scikit-learn orders classes that it is given as text."""

    card: ClassVar[MethodCard] = wrong_card("alphabetical_classes", tasks=("binary", "multiclass"))

    def fit(self, rows: Any, target: Any) -> None:
        from sklearn.tree import DecisionTreeClassifier

        self.tree = DecisionTreeClassifier(random_state=0).fit(rows[["number"]], target.astype(str))

    def predict(self, rows: Any) -> Any:
        return self.predict_proba(rows).argmax(axis=1)

    def predict_proba(self, rows: Any) -> Any:
        return self.tree.predict_proba(rows[["number"]])


class KnownCategoriesOnly(HonestTables):
    card: ClassVar[MethodCard] = wrong_card("known_categories_only")

    def fit(self, rows: Any, target: Any) -> None:
        super().fit(rows, target)
        self.known = set(rows["category"].dropna()) if "category" in rows else set()

    def predict(self, rows: Any) -> Any:
        self._look(rows)
        return super().predict(rows)

    def predict_proba(self, rows: Any) -> Any:
        self._look(rows)
        return super().predict_proba(rows)

    def _look(self, rows: Any) -> None:
        for value in rows["category"].dropna():
            if value not in self.known:
                raise KeyError(value)


class FillsInPlace(HonestTables):
    card: ClassVar[MethodCard] = wrong_card("fills_in_place")

    def fit(self, rows: Any, target: Any) -> None:
        rows["gaps"] = rows["gaps"].fillna(0.0)
        super().fit(rows, target)


class NoMetrics(HonestTables):
    card: ClassVar[MethodCard] = wrong_card("no_metrics", tasks=("regression",))

    def metrics(self) -> Any:
        return None


class LooksAround(HonestTables):
    """Scales by the rows that are asked for together."""

    card: ClassVar[MethodCard] = wrong_card("looks_around", tasks=("regression",))

    def predict(self, rows: Any) -> Any:
        return self.answer + rows["number"].to_numpy() - rows["number"].mean()


class GlobalTables(HonestTables):
    card: ClassVar[MethodCard] = wrong_card("global_tables", tasks=("regression",))

    def fit(self, rows: Any, target: Any) -> None:
        import numpy as np

        super().fit(rows, target)
        self.answer += np.random.random()


class NeverEnds(HonestTables):
    """It does not look at its budget; the harness ends it."""

    card: ClassVar[MethodCard] = wrong_card("never_ends")

    def fit(self, rows: Any, target: Any) -> None:
        while True:
            time.sleep(0.1)
