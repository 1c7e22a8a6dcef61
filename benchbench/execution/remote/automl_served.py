"""The commands of AutoML methods in their own interpreter; see `shim`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchbench.contracts.automl import AutoMLAdapter, AutoMLBudget, TableInfo
from benchbench.contracts.automl_predictions import by_position
from benchbench.frames import read_array, read_table, write_array

__all__ = ["Served"]


class Served:
    """Holds the tables; each `do_*` is a command."""

    NEEDS = ("numpy", "pandas", "pyarrow")

    def __init__(self, adapter: AutoMLAdapter, server: Any) -> None:
        self.adapter, self.server = adapter, server
        self.frames: dict[str, Any] = {}

    def do_supports(self, info: dict[str, Any]) -> str | None:
        """Return the reason to decline the task, or None."""
        return self.adapter.supports(_info(info))

    def do_setup(self, info: dict[str, Any], budget: dict[str, Any], trial: dict[str, Any]) -> None:
        """Receive the task; `trial` holds the fields of its harness."""
        # imports for tables count as the interpreter's start, like all imports
        self.server.do_probe()
        self.harness = self.server.harness(trial)
        self.adapter.setup(_info(info), budget=AutoMLBudget(**budget), context=self.harness.context)

    def do_load(self, name: str, table: str, numbers: str | None) -> None:
        """Read a table or some of its rows, so that reading does not count as fit or predict."""
        self.frames[name] = read_table(Path(table), read_array(Path(numbers)) if numbers else None)

    def do_row(self, name: str, rows: str, number: int) -> None:
        """Give one of the loaded rows a name."""
        self.frames[name] = self.adapter.row(self.frames[rows], number)

    def do_fit(self, rows: str, target: str, elapsed: float, deadline: float) -> None:
        """Fit, then drop the tables; seconds of curves continue from `elapsed`."""
        self.harness.deadline = deadline
        self.harness.start_clock(elapsed)
        self.adapter.fit(self.frames.pop(rows), self.frames.pop(target).iloc[:, 0])

    def do_predict(self, rows: str, answer: str) -> None:
        """Predict; the result is an .npy file."""
        regression = self.adapter.info.kind == "regression"
        found = self.adapter.predict(self.frames[rows])
        self._write(by_position(found, "predicted values" if regression else "predicted classes"), answer)

    def do_predict_proba(self, rows: str, answer: str) -> None:
        """Predict probabilities; the result is an .npy file."""
        found = self.adapter.predict_proba(self.frames[rows])
        self._write(by_position(found, "probabilities", self.adapter.info.classes), answer)

    def _write(self, found: Any, answer: str) -> None:
        if found.dtype.hasobject:
            # numbers, or texts, which the protocol refuses by name
            found = found.astype("U" if any(isinstance(value, str) for value in found.ravel()) else "f8")
        write_array(found, Path(answer))


def _info(plain: dict[str, Any]) -> TableInfo:
    # columns are pairs, since their order matters
    pairs = {name: dict(plain[name]) for name in ("columns", "out_of_range")}
    lists = {name: tuple(plain[name]) for name in ("classes", "warnings")}
    return TableInfo(**plain | pairs | lists)
