"""What the harness hands to every adapter of every track."""

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
    """Return the preset that a budget began as: `name` without what was overridden ("quick" of "quick,threads=2")."""
    return name.partition(",")[0]


def fit_limit_seconds(fit_seconds: float) -> float:
    """Return when training is stopped from outside: 10 s and a tenth of its budget later than it should have ended."""
    return fit_seconds * (1 + FIT_GRACE_SHARE) + FIT_GRACE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a method may spend.

    Parameters
    ----------
    preset : str
        Name of the preset that this budget comes from, with what was overridden: see `base_preset`.
    iterations : int
        Training iterations: the budget that counts, because it repeats.
    threads : int
        CPU threads of the trial.
    time_limit_seconds : float
        Wall-clock guard of the whole trial; reaching it is a failure (`timeout`), not an early
        stop.
    memory_limit_mib : int
        Guard on the memory of the trial's whole process tree.
    grace_seconds : float
        Time between SIGTERM and SIGKILL once a guard is reached.
    test_units : int
        Test episodes (few-shot) or other units that the score is taken over; 0 where the task says
        it.
    fit_seconds : float or None
        Wall-clock seconds that training alone may take, for methods that use the time they are
        given; it is stopped at `fit_limit_seconds` of it. None: training has no limit of its own.
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

    The harness makes it (`benchbench.execution.harness.TrialHarness`) and hands it over with the
    task.
    """

    seed: int
    """The trial's seed; derive streams of it with `rng` or `derive`."""
    device: str
    """"cpu" or "cuda"."""
    threads: int
    """CPU threads; already set in torch and the BLAS libraries."""
    scratch: Path
    """Empty folder of this trial, removed afterwards."""

    @property
    @abstractmethod
    def deadline(self) -> float:
        """`time.monotonic()` at which the trial is stopped from outside."""

    def seconds_left(self) -> float:
        """Return the wall-clock seconds until the trial is stopped from outside."""
        return self.deadline - time.monotonic()

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return numpy's generator for a named stream of the trial's seed."""
        return generator(self.seed, *names)

    def derive(self, *names: str | int) -> int:
        """Return an integer seed for a named stream of the trial's (for `torch.manual_seed`)."""
        return derive_seed(self.seed, *names) % (2**31)

    @abstractmethod
    def report(self, step: int, **metrics: float) -> None:
        """Record a point of the any-time curves: `report(iteration, accuracy=0.91, train_loss=0.3)`.

        Points are sent at once, so that they survive a trial that is stopped. Their seconds count
        from the beginning of training.
        """

    @abstractmethod
    def progress(self, done: float, total: float) -> None:
        """Say how far the trial is, for who watches: `progress(iteration, n_iterations)`.

        It is passed on once every few seconds, so call it as often as you like.
        """

    @abstractmethod
    def last_checkpoint(self) -> bytes | None:
        """Return the last checkpoint of this very training if it was interrupted, or None: begin at the beginning.

        Only `meta_fit` has checkpoints, and only of methods with a `training_key`.
        """

    @abstractmethod
    def checkpoint(self, make: Callable[[], bytes]) -> None:
        """Offer to keep how far training has come; cheap enough to be called after every iteration.

        Parameters
        ----------
        make : callable
            Returns all that is needed to go on to the very same end; called once a minute or so.
            Nothing but the method reads the bytes, so never unpickle them (`torch.load` with
            ``weights_only=True``).
        """
