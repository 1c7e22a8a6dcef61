"""Budget and context, which the harness hands to adapters of every track."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.seeding import derive_seed, generator

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Budget", "Context", "base_preset", "fit_limit_seconds"]

FIT_GRACE_SECONDS = 10.0
FIT_GRACE_SHARE = 0.1


def base_preset(name: str) -> str:
    """Return a budget's preset without overrides: "quick" for "quick,threads=2"."""
    return name.partition(",")[0]


def fit_limit_seconds(fit_seconds: float) -> float:
    """Return after how many seconds training is killed: its budget, a tenth of it and 10 s."""
    return fit_seconds * (1 + FIT_GRACE_SHARE) + FIT_GRACE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a method may spend.

    Parameters
    ----------
    preset : str
        Name of the preset that this budget comes from, with overrides: see `base_preset`.
    iterations : int
        Training iterations: the reproducible budget.
    threads : int
        CPU threads of the trial.
    time_limit_seconds : float
        Wall-clock limit of the whole trial; reaching it is a failure (`timeout`), not an early
        stop.
    memory_limit_mib : int
        Memory limit of the trial's whole process tree.
    grace_seconds : float
        Time between SIGTERM and SIGKILL once a limit is reached.
    test_units : int
        Test episodes (few-shot) or other units that the score is averaged over; 0 where the task
        fixes them.
    fit_seconds : float or None
        Training budget in wall-clock seconds, for methods that use the time they are given;
        training is killed at `fit_limit_seconds` of it. None: training has no such limit.
    """

    preset: str
    iterations: int
    threads: int = 1
    time_limit_seconds: float = 600.0
    memory_limit_mib: int = 4096
    grace_seconds: float = 2.0
    test_units: int = 0
    fit_seconds: float | None = None


class Context(ABC):
    """What an adapter may know and use of its trial.

    Seed, device, threads, scratch folder, deadline, any-time curves and checkpoints.

    The harness (`benchbench.execution.harness.TrialHarness`) creates it and passes it with the
    task.
    """

    seed: int
    """The trial's seed; derive streams from it with `rng` or `derive`."""
    device: str
    """"cpu" or "cuda"."""
    threads: int
    """CPU threads; already set in torch and the BLAS libraries."""
    scratch: Path
    """Folder of this trial, empty at first, removed afterwards."""

    @property
    @abstractmethod
    def deadline(self) -> float:
        """`time.monotonic()` at which the trial is killed."""

    def seconds_left(self) -> float:
        """Return the wall-clock seconds until the trial is killed."""
        return self.deadline - time.monotonic()

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return a numpy generator for a named stream of the trial's seed."""
        return generator(self.seed, *names)

    def derive(self, *names: str | int) -> int:
        """Return an integer seed for a named stream of the trial's seed."""
        return derive_seed(self.seed, *names) % (2**31)

    @abstractmethod
    def report(self, step: int, **metrics: float) -> None:
        """Record a point of any-time curves: `report(iteration, accuracy=0.91, train_loss=0.3)`.

        Points are sent at once, so that they survive a killed trial. Their seconds count from the
        beginning of training.
        """

    @abstractmethod
    def progress(self, done: float, total: float) -> None:
        """Report the trial's progress to observers: `progress(iteration, n_iterations)`.

        It is forwarded once every few seconds, so call it as often as you like.
        """

    @abstractmethod
    def last_checkpoint(self) -> bytes | None:
        """Return the last checkpoint of an interrupted training, or None to start afresh.

        Only `meta_fit` of methods with a `training_key` has checkpoints.
        """

    @abstractmethod
    def checkpoint(self, make: Callable[[], bytes]) -> None:
        """Offer to save a checkpoint of training; cheap enough to call after every iteration.

        Parameters
        ----------
        make : callable
            Returns all that is needed to resume with the same final result; called about once per
            minute. Only the method reads the bytes; never unpickle them (`torch.load` with
            ``weights_only=True``).
        """
