"""A method for tables in another interpreter, which reads its rows from the table in the cache.

Targets are Arrow files in the trial's scratch folder; row numbers and predictions are .npy files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.automl import AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.execution.remote.interpreter import Remote
from benchbench.frames import read_array, write_array, write_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from benchbench.contracts.context import Context

__all__ = ["Proxy"]


class Proxy(AutoMLAdapter):
    """Forwards each call to the adapter in its own interpreter and returns its answer.

    Parameters
    ----------
    remote : Remote

    Notes
    -----
    Any call may raise `RemoteError` (the method's own error), `InterpreterDiedError` or
    `MemoryError`.
    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.card = remote.entry.card  # type: ignore[misc]
        self._written: dict[str, Any] = {}

    def supports(self, info: TableInfo) -> str | None:
        """See the base class."""
        reason: str | None = self.remote.ask("supports", info=_plain(info))
        if reason is not None:
            self.close()
        return reason

    def setup(self, info: TableInfo, *, budget: AutoMLBudget, context: Context) -> None:
        """See the base class."""
        super().setup(info, budget=budget, context=context)
        self.remote.setup(info=_plain(info), budget=asdict(budget))

    def metrics(self) -> dict[str, float]:
        """Return figures to record beside the scores."""
        return self.remote.metrics()

    def hand_over(self, table: Path, numbers: NDArray[np.int32], target: pd.Series[Any] | None = None) -> _Rows:
        """See the base class; the interpreter reads the table itself."""
        path = self.remote.file("npy")
        write_array(numbers, path)
        self.remote.ask("load", name=str(path), table=str(table), numbers=str(path))
        if target is not None:
            self._name(target)
        return _Rows(str(path), len(numbers))

    def row(self, rows: Any, number: int) -> _Rows:
        """See the base class."""
        name = self._name(rows)
        one = _Rows(f"{name}:{number}", 1)
        self.remote.ask("row", name=one.name, rows=name, number=number)
        return one

    def fit(self, rows: Any, target: pd.Series[Any]) -> None:
        """See the base class; rows that were not handed over are sent now."""
        self.remote.ask("fit", None, rows=self._name(rows), target=self._name(target), **self.remote.clock())
        # the interpreter has dropped them
        for name in self._written:
            Path(name).unlink()
        self._written.clear()

    def predict(self, rows: Any) -> NDArray[Any]:
        """See the base class."""
        return self._predictions("predict", rows)

    def predict_proba(self, rows: Any) -> NDArray[Any]:
        """See the base class."""
        return self._predictions("predict_proba", rows)

    def close(self) -> None:
        """See the base class."""
        self.remote.close()

    def _predictions(self, what: str, rows: Any) -> NDArray[Any]:
        answer = self.remote.file("npy")
        self.remote.ask(what, rows=self._name(rows), answer=str(answer))
        return read_array(answer)

    def _name(self, rows: Any) -> str:
        """Return the interpreter's name for rows or a target; write them to a file once."""
        if isinstance(rows, _Rows):
            return rows.name
        for name, known in self._written.items():
            if known is rows:
                return name
        path = str(self.remote.file("arrow"))
        write_table(rows if hasattr(rows, "columns") else rows.to_frame("target"), Path(path))
        self.remote.ask("load", name=path, table=path, numbers=None)
        # holds a reference, so that no other rows get the same id()
        self._written[path] = rows
        return path


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that the interpreter holds under this name."""

    name: str
    n_rows: int

    def __len__(self) -> int:
        return self.n_rows


def _plain(info: TableInfo) -> dict[str, Any]:
    plain = {name: getattr(info, name) for name in ("name", "kind", "metric", "target", "n_rows")}
    pairs = {name: [list(pair) for pair in getattr(info, name).items()] for name in ("columns", "out_of_range")}
    return plain | pairs | {"classes": list(info.classes), "warnings": list(info.warnings)}
