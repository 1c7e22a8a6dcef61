"""The contract of task loaders; loaders are in `benchbench.suites`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["GENERATED", "Progress", "TaskLoader"]

GENERATED = "-generated"
"""Suffix of the fingerprints of tasks without official splits."""

Progress = Callable[[str], None]
"""Receives one line of progress for people."""


class TaskLoader(ABC):
    """Turns a task's options (plain data from a suite file) into a task.

    A loader's module must be cheap to import: import heavy packages inside methods.
    """

    name: ClassVar[str]
    track: ClassVar[str]
    """One of `benchbench.cards.TRACKS`."""

    @abstractmethod
    def check(self, options: Mapping[str, Any]) -> None:
        """Validate the options.

        Raises
        ------
        InputError
            If options are unknown, missing or invalid; the message says what was got and what was
            expected.
        """

    @abstractmethod
    def info(self, name: str, options: Mapping[str, Any]) -> Any:
        """Describe the task without touching data: the track's `TaskInfo`, `ProblemInfo`, ..."""

    @abstractmethod
    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Build, convert or download the data into the cache, under a lock; quick if they are
        there.

        Raises
        ------
        DataMissingError
            If the data are not on disk and cannot be obtained; the message says what to do.
        """

    @abstractmethod
    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """Return the hash of the data and of the protocol's options, from the prepared data's
        manifest.

        It ends in `GENERATED` if the splits were generated here and published results use others;
        leaderboards then say so.

        Raises
        ------
        DataMissingError
            If `prepare` has not been called.
        """

    @abstractmethod
    def load(self, name: str, options: Mapping[str, Any]) -> Any:
        """Load the task (the track's `FewShotTask`, `Problem`, ...).

        The prepared data are memory-mapped read-only.
        """

    def n_splits(self, options: Mapping[str, Any]) -> int | None:
        """Return the number of splits into training and test rows, or None.

        With splits, a trial's seed is the number of its split; else seeds do not affect the data.
        Raises as `fingerprint` does.
        """
        return None

    def n_folds(self, options: Mapping[str, Any]) -> int | None:
        """Return the folds of each repeat: split = repeat x folds + fold. None without splits."""
        return self.n_splits(options)

    def training_fingerprint(self, options: Mapping[str, Any]) -> str | None:
        """Return the hash of the meta-training and validation data alone, or None.

        Tasks with equal hashes may share what a method learnt in meta-training. None: nothing is
        shared.
        """
        return None

    def warnings(self, options: Mapping[str, Any]) -> Sequence[str]:
        """Return what is questionable about the prepared data, one sentence each.

        `prepare` reports the same. Raises as `fingerprint` does.
        """
        return ()

    def mirror(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Do what `prepare` does and keep the originals, so that no network is needed afterwards.

        Damaged files are built or fetched again. Raises as `prepare` does.
        """
        self.prepare(options, progress)

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """Return the folders of the cache that the task is loaded from, existing or not.

        Each existing one has a manifest with the hash of its contents. Existing folders of
        originals follow. Empty: nothing is kept.
        """
        return ()
