"""What a loader of tasks implements; loaders live in `benchbench.suites`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["GENERATED", "Progress", "TaskLoader"]

GENERATED = "-generated"
"""End of the fingerprints of tasks whose splits are not the official ones."""

Progress = Callable[[str], None]
"""Receives one line of what is being done, for people."""


class TaskLoader(ABC):
    """Turns a task's options (plain data from a suite file) into a task.

    Importing the module of a loader must be light; whatever is heavy is imported inside the
    methods.
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
            On unknown, missing or impossible options: what was got and what was expected.
        """

    @abstractmethod
    def info(self, name: str, options: Mapping[str, Any]) -> Any:
        """Describe the task without touching data: the track's `TaskInfo`, `ProblemInfo`, ..."""

    @abstractmethod
    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Make the data ready in the cache (build, convert or download), under a lock; quick if they are.

        Raises
        ------
        DataMissingError
            If the data are neither on disk nor to be had; the message says what to do.
        """

    @abstractmethod
    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """Return a hash of the data and of the protocol's options, from the manifest beside the prepared data.

        It ends in `GENERATED` if the splits were made here though published results have others:
        boards then say so.

        Raises
        ------
        DataMissingError
            If `prepare` has not been called.
        """

    @abstractmethod
    def load(self, name: str, options: Mapping[str, Any]) -> Any:
        """Load the task (the track's `FewShotTask`, `Problem`, ...); the data are memory-mapped read-only from what `prepare` left."""

    def n_splits(self, options: Mapping[str, Any]) -> int | None:
        """Return how many splits into training and test rows the task has: the trial's seed is then the number of one of them.

        None: seeds say nothing about the data. May raise as `fingerprint` does.
        """
        return None

    def training_fingerprint(self, options: Mapping[str, Any]) -> str | None:
        """Return a hash of the meta-training and validation data alone, whatever is tested: or None.

        Tasks with equal hashes may share what a method learnt in meta-training. None: nothing is
        shared.
        """
        return None

    def mirror(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Do what `prepare` does, and keep the originals as well, so that no network is needed ever after.

        What is found damaged is made or fetched again. Raises as `prepare` does.
        """
        self.prepare(options, progress)

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """Return the folders of the cache that the task is loaded from, whether they are there yet or not.

        Each, once it is there, has a manifest with the hash of all that is in it. Folders of
        originals come after them, those that are there. Empty: nothing is kept.
        """
        return ()
