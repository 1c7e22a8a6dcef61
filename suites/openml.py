"""OpenML tasks by number, with their own splits.

Vanschoren et al. 2014, "OpenML: networked science in machine learning".

For where files and splits come from, see `benchbench.suites._openml_files`. Tables whose splits
are not OpenML's own have a fingerprint that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.automl import METRICS, TableInfo, TableTask
from benchbench.contracts.loading import GENERATED, Progress, TaskLoader
from benchbench.errors import InputError
from benchbench.spec import content_hash
from benchbench.suites import _openml_tasks as tasks
from benchbench.suites._options import check_range, read_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.suites._openml_tasks import TaskFacts

__all__ = ["OpenMLLoader", "OpenMLOptions"]

VERSION = 1
"""Raised when what adapters are given of a task changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMLOptions:
    """Options of the loader.

    Parameters
    ----------
    task : int
        OpenML's number of the task.
    """

    task: int


class OpenMLLoader(TaskLoader):
    """Tables of OpenML."""

    name = "openml"
    track: ClassVar[str] = "automl"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        check_range(self.name, "task", read_options(OpenMLOptions, options, self.name).task, 1, 10**9)

    def info(self, name: str, options: Mapping[str, Any]) -> TableInfo:
        """See the base class; the task has to be ready, since only its files say what it is."""
        return _info(name, tasks.task_facts(self._number(options)))

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """See the base class."""
        tasks.prepare_task(self._number(options), progress)

    def warnings(self, options: Mapping[str, Any]) -> Sequence[str]:
        """See the base class."""
        return tasks.task_facts(self._number(options)).warnings

    def mirror(self, options: Mapping[str, Any], progress: Progress) -> None:
        """See the base class."""
        tasks.mirror_task(self._number(options), progress)

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """See the base class."""
        return tasks.task_folders(self._number(options))

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        number = self._number(options)
        found = content_hash({"loader": self.name, "version": VERSION, "data": tasks.fingerprint_task(number)})
        return found if tasks.task_facts(number).has_official_splits else found + GENERATED

    def n_splits(self, options: Mapping[str, Any]) -> int:
        """See the base class: repeats x folds.

        Of learning curves, samples of growing size, only the first sample is used.
        """
        facts = tasks.task_facts(self._number(options))
        return facts.n_repeats * facts.n_folds

    def n_folds(self, options: Mapping[str, Any]) -> int:
        """See the base class."""
        return tasks.task_facts(self._number(options)).n_folds

    def load(self, name: str, options: Mapping[str, Any]) -> TableTask:
        """See the base class."""
        task = tasks.load_task(self._number(options))
        n_folds = task.facts.n_folds

        def split(number: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
            return task.fold(*divmod(number, n_folds))

        return TableTask(info=_info(name, task.facts), table=task.table, target=task.target, split=split)

    def _number(self, options: Mapping[str, Any]) -> int:
        self.check(options)
        return read_options(OpenMLOptions, options, self.name).task


def _info(name: str, facts: TaskFacts) -> TableInfo:
    if facts.kind not in METRICS:
        raise InputError(f"OpenML task {facts.task_id} is of kind {facts.kind!r}, expected {', '.join(METRICS)}")
    return TableInfo(
        name=name,
        kind=facts.kind,
        metric=METRICS[facts.kind],
        target=facts.target,
        classes=facts.classes,
        columns=facts.columns,
        n_rows=facts.n_rows,
        out_of_range=facts.out_of_range,
        warnings=facts.warnings,
    )
