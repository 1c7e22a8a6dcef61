"""Typed rows in, numbers out; learnt from the training rows, and the same for every method here.

Categories are those that the task declares; values of string columns are those of the training
rows. A category that was not declared, a text that was not seen, and a missing one are all
"missing", and so are numbers that are infinite or too large for float32. Shapes: n rows, p columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Codes", "Encoder", "Imputed", "OneHot", "class_codes", "known_numbers"]


class Encoder(Protocol):
    """Turns rows into an array."""

    def fit(self, rows: pd.DataFrame) -> Any:
        """Learn from the training rows."""
        ...

    def transform(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return (n, p) numbers; p may differ from the number of columns."""
        ...


@dataclass(slots=True)
class Codes:
    """Numbers as they are; categories as their places, in the declared order.

    Both NaN where missing.

    Parameters
    ----------
    columns : mapping of str to str
        Features in their order, each with its kind: "numeric", "nominal" or "string".
    max_categories : int
        Of a column with more, the most frequent ones are kept; the others become missing. 0: all
        are kept.
    is_filled : bool
        A column without any value in the training rows is 0 everywhere, for estimators that cannot
        take it.
    """

    columns: Mapping[str, str]
    max_categories: int = 0
    is_filled: bool = False
    labels: dict[str, list[Any]] = field(default_factory=dict)
    empty: Any = None

    @property
    def is_category(self) -> list[bool]:
        """Of each column, whether it holds places of categories."""
        return [kind != "numeric" for kind in self.columns.values()]

    def fit(self, rows: pd.DataFrame) -> Codes:
        """See the base class."""
        for name, kind in self.columns.items():
            if kind != "numeric":
                self.labels[name] = self._kept(rows[name], is_text=kind == "string")
        if self.is_filled:
            import numpy as np

            self.empty = np.isnan(self.transform(rows)).all(axis=0)
        return self

    def _kept(self, column: pd.Series[Any], *, is_text: bool) -> list[Any]:
        known = sorted(column.dropna().unique()) if is_text else column.cat.categories.tolist()
        if not self.max_categories or len(known) <= self.max_categories:
            return known
        counts = column.value_counts()
        # ties in the order of the labels, which is the same everywhere
        kept = set(sorted(known, key=lambda label: -counts.get(label, 0))[: self.max_categories])
        return [label for label in known if label in kept]

    def transform(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """See the base class."""
        import numpy as np

        x = np.empty((len(rows), len(self.columns)))
        for i, (name, kind) in enumerate(self.columns.items()):
            x[:, i] = known_numbers(rows[name]) if kind == "numeric" else self._places(rows[name], name)
        if self.empty is not None:
            x[:, self.empty] = 0.0
        return x

    def _places(self, column: pd.Series[Any], name: str) -> NDArray[np.float64]:
        import numpy as np
        import pandas as pd

        as_category = column if column.dtype.name == "category" else column.astype("category")
        # the last place is that of the code -1, which is missing
        places = np.append(pd.Index(self.labels[name], dtype=object).get_indexer(list(as_category.cat.categories)), -1)
        found = places[as_category.cat.codes.to_numpy()].astype(np.float64)
        found[found < 0] = np.nan
        return found


class Imputed:
    """`Codes` without NaN.

    Missing numbers become the median of the training rows (0 if there is none), missing categories
    -1.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.codes = Codes(columns)

    def fit(self, rows: pd.DataFrame) -> Imputed:
        """See the base class."""
        import numpy as np

        x = self.codes.fit(rows).transform(rows)
        self.fills = np.array(
            [-1.0 if category else _median(x[:, i]) for i, category in enumerate(self.codes.is_category)]
        )
        return self

    def transform(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """See the base class."""
        import numpy as np

        x = self.codes.transform(rows)
        return np.where(np.isnan(x), self.fills, x)


class OneHot:
    """Numbers with the median for missing ones, scaled to mean 0 and deviation 1.

    A column of 0 and 1 for each category.

    Missing categories are 0 everywhere, and so are all except the 100 most frequent ones of a
    column.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.codes = Codes(columns, max_categories=100)

    def fit(self, rows: pd.DataFrame) -> OneHot:
        """See the base class."""
        import numpy as np

        x = self.codes.fit(rows).transform(rows)
        self.numbers = np.flatnonzero(~np.array(self.codes.is_category, dtype=bool))
        self.fills = np.array([_median(x[:, i]) for i in self.numbers])
        filled = self._filled(x)
        self.means, deviations = filled.mean(axis=0), filled.std(axis=0)
        self.deviations = np.where(deviations > 0, deviations, 1.0)
        return self

    def _filled(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        numbers = x[:, self.numbers]
        return np.where(np.isnan(numbers), self.fills, numbers)

    def transform(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """See the base class."""
        import numpy as np

        x = self.codes.transform(rows)
        parts = [(self._filled(x) - self.means) / self.deviations]
        names = list(self.codes.columns)
        for i, category in enumerate(self.codes.is_category):
            if category:
                parts.append((x[:, [i]] == np.arange(len(self.codes.labels[names[i]]))).astype(np.float64))
        return np.concatenate(parts, axis=1)


def _median(values: NDArray[np.float64]) -> float:
    import numpy as np

    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def known_numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Return a numeric column as (n,) float64, NaN where it is missing, infinite or too large.

    Too large is what float32, in which forests and most libraries compute, cannot hold.
    """
    import numpy as np

    x = column.to_numpy(np.float64)
    with np.errstate(over="ignore"):
        is_beyond = np.isinf(x.astype(np.float32))
    return np.where(is_beyond, np.nan, x) if is_beyond.any() else x


def class_codes(target: pd.Series[Any]) -> NDArray[Any]:
    """Return a target as (n,) places of classes, or as float64 values."""
    import numpy as np

    return target.cat.codes.to_numpy(np.int64) if target.dtype.name == "category" else target.to_numpy(np.float64)
