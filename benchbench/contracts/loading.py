"""What a loader of tasks implements; loaders live in `benchbench.suites`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

__all__ = ["Progress", "TaskLoader"]

Progress = Callable[[str], None]
"""Receives one line of what is being done, for people."""


class TaskLoader(ABC):
    """Turns a task's options (plain data from a suite file) into a task.

    Importing the module of a loader must be light; whatever is heavy is imported inside the methods.
    """

    name: ClassVar[str]
    track: ClassVar[str] = "fewshot"

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

        Raises
        ------
        DataMissingError
            If `prepare` has not been called.
        """

    @abstractmethod
    def load(self, name: str, options: Mapping[str, Any]) -> Any:
        """Load the task (the track's `FewShotTask`, `Problem`, ...); the data are memory-mapped read-only from what `prepare` left."""

    def training_fingerprint(self, options: Mapping[str, Any]) -> str | None:
        """Return a hash of the meta-training and validation data alone, whatever is tested: or None.

        Tasks with equal hashes may share what a method learnt in meta-training. None: nothing is shared.
        """
        return None
