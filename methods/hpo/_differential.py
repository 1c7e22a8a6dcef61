"""Steps of differential evolution in the unit cube. Importing this is light.

Shapes: d parameters, n members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Population", "trial_vector"]


def trial_vector(
    rng: np.random.Generator,
    target: NDArray[np.float64],
    parents: NDArray[np.float64],
    *,
    scale: float,
    crossover: float,
) -> NDArray[np.float64]:
    """Return the trial vector of rand/1/bin: ``a + scale * (b - c)``, crossed with the target.

    Coordinates outside the unit cube are drawn again, as in Awad et al. 2021.

    Parameters
    ----------
    rng : numpy Generator
    target : (d,) float64
    parents : (n, d) float64
        Three of them at least.
    scale : float
        F of Storn & Price 1997.
    crossover : float
        CR of theirs: how likely a coordinate is the mutant's; one always is.
    """
    import numpy as np

    a, b, c = parents[rng.choice(len(parents), 3, replace=False)]
    mutant = a + scale * (b - c)
    mutant = np.where((mutant < 0) | (mutant > 1), rng.random(len(mutant)), mutant)
    is_crossed = rng.random(len(mutant)) < crossover
    is_crossed[rng.integers(len(mutant))] = True
    return np.where(is_crossed, mutant, target)


class Population:
    """Members with the loss of each.

    A member whose evaluation has not ended, or failed, has an infinite loss.

    Selection is by replacement as soon as a trial is told, so it makes no difference in which order
    trials end.

    Parameters
    ----------
    rng : numpy Generator
    size, n_parameters : int

    Attributes
    ----------
    units : (size, n_parameters) float64 in [0, 1]
    losses : (size,) float64
    """

    def __init__(self, rng: np.random.Generator, size: int, n_parameters: int) -> None:
        import numpy as np

        self.units = rng.random((size, n_parameters))
        self.losses = np.full(size, np.inf)
        self._n_taken = 0

    def next_member(self) -> tuple[int, bool]:
        """Return the next member in turn, and whether this is its first turn.

        In its first turn the member itself is evaluated.
        """
        turn, self._n_taken = self._n_taken, self._n_taken + 1
        return turn % len(self.units), turn < len(self.units)

    def select(self, member: int, unit: NDArray[np.float64], loss: float | None) -> None:
        """Let a vector take the member's place if it is as good; a failed one never does."""
        if loss is not None and loss <= self.losses[member]:
            self.units[member], self.losses[member] = unit, loss

    def best(self, n: int) -> NDArray[np.float64]:
        """Return the n best of those evaluated, the best first."""
        import numpy as np

        order = np.argsort(self.losses, kind="stable")
        return self.units[order[np.isfinite(self.losses[order])][:n]]
