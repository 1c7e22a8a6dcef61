"""Tabulated optimisation problems: evaluations made once, looked up thousands of times per second.

A table holds the evaluations of a design at every fidelity: losses, test losses and recorded
seconds. A configuration is given those of the nearest one of the design: numbers by their distance
on the space's own scale, which runs from 0 to 1, and 1 for every category that differs; an inactive
number counts as the middle. The clock is that of the recorded seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.hpo import Evaluation, Problem, ProblemInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.spec import content_hash
from benchbench.suites._options import check_range, read_options
from benchbench.suites.evaluation_tables import (
    Table,
    check_related,
    digest,
    find_table,
    read_facts,
    read_histories,
    read_space,
    read_table,
)

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration
    from numpy.typing import NDArray

__all__ = ["TabulatedLoader", "TabulatedProblem"]

VERSION = 1
"""Raised when the look-up changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TabulatedOptions:
    """Options of the loader.

    Parameters
    ----------
    table : str
    related : tuple of str
        Tables of the same space on other data sets, for optimisers that learn from them.
    seconds : int
        Budget of the clock of recorded seconds; 0 for none.
    workers : int
        Evaluations that run at once.
    """

    table: str
    related: tuple[str, ...] = ()
    seconds: int = 0
    workers: int = 1


class TabulatedLoader(TaskLoader):
    """Look-ups in tables of evaluations."""

    name = "tabulated"
    track: ClassVar[str] = "hpo"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class.

        Related tables are compared with this one only here and in `prepare`, since it takes a
        while.
        """
        found = _read(options)
        facts = read_facts(find_table(found.table))
        if found.related:
            check_related(found.related, facts.data_set, read_space(facts))

    def info(self, name: str, options: Mapping[str, Any]) -> ProblemInfo:
        """See the base class."""
        found = _read(options)
        facts = read_facts(find_table(found.table))
        return ProblemInfo(
            name=name,
            space=read_space(facts),
            fidelities=tuple(facts.fidelities),
            fidelity_name=facts.fidelity_name,
            data_set=facts.data_set,
            meta_features=facts.meta_features,
            histories=cache(partial(read_histories, found.related)),
        )

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Check that the table exists."""
        self.check(options)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class: a hash of the bytes of the table and of the related ones."""
        found = _read(options)
        return content_hash(
            {
                "loader": self.name,
                "version": VERSION,
                "tables": digest([found.table, *found.related]),
                "seconds": found.seconds,
                "workers": found.workers,
            }
        )

    def load(self, name: str, options: Mapping[str, Any]) -> Problem:
        """See the base class."""
        found = _read(options)
        return TabulatedProblem(
            self.info(name, options),
            read_table(find_table(found.table)),
            workers=found.workers,
            seconds=found.seconds or None,
        )


def _read(options: Mapping[str, Any]) -> TabulatedOptions:
    found = read_options(TabulatedOptions, options, TabulatedLoader.name)
    check_range(TabulatedLoader.name, "workers", found.workers, 1, 1000)
    check_range(TabulatedLoader.name, "seconds", found.seconds, 0, 10**9)
    return found


class TabulatedProblem(Problem):
    """Evaluations of a design; see the module."""

    def __init__(self, info: ProblemInfo, table: Table, *, workers: int = 1, seconds: float | None = None) -> None:
        import numpy as np

        self.info, self.workers, self.seconds = info, workers, seconds
        self._is_number = np.array([hasattr(p, "lower") for p in info.space.values()])
        self._numbers = np.nan_to_num(table.vectors[:, self._is_number], nan=0.5)
        self._categories = table.vectors[:, ~self._is_number]
        self._table = table
        self._rungs = {z: i for i, z in enumerate(info.fidelities)}

    def nearest(self, vector: NDArray[np.float64]) -> int:
        """Return the design's configuration (its index) nearest to a vector (n_parameters,)."""
        import numpy as np

        numbers = vector[self._is_number]
        distance = ((self._numbers - np.where(np.isnan(numbers), 0.5, numbers)) ** 2).sum(1)
        if self._categories.shape[1]:
            # NaN, an inactive category, differs from everything, in all rows alike
            distance += (self._categories != vector[~self._is_number]).sum(1)
        return int(distance.argmin())

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        """See the base class."""
        row, rung = self.nearest(config.get_array()), self._rungs[fidelity]
        table = self._table
        loss, test_loss = float(table.losses[row, rung]), float(table.test_losses[row, rung])
        seconds = float(table.seconds[row, rung])
        if loss != loss:
            return Evaluation(None, seconds, reason="the evaluation failed when the table was made")
        return Evaluation(loss, seconds, test_loss=None if test_loss != test_loss else test_loss)
