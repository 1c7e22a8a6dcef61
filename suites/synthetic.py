"""Synthetic optimisation problems: functions with a known optimum, on a clock of their own.

Definitions, domains and optima: Surjanovic & Bingham 2013, "Virtual Library of Simulation
Experiments". An evaluation at full fidelity takes one second of the problem's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.hpo import Evaluation, History, Problem, ProblemInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import InputError, UnknownNameError
from benchbench.spec import content_hash
from benchbench.suites._options import check_range, read_options

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

__all__ = ["FUNCTIONS", "Function", "SyntheticLoader"]

VERSION = 1
"""Raised when a function or its clock changes."""
MAX_DIMENSION = 100
N_KNOWN = 64
"""Evaluations that are known of a moved copy."""
# standard deviation of the steps that copies are moved by, on numbers from 0 to 1
STEP = 0.05


@dataclass(frozen=True, slots=True)
class Function:
    """A function to minimise.

    Parameters
    ----------
    call : callable
        (n, dimension) points to (n,) values.
    low, high : float or tuple of float
        Its domain, the same in every dimension or one bound each.
    dimension : int
        0 if it has a form for any.
    minimum : float
        Its smallest value over the domain.
    """

    call: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    low: float | tuple[float, ...]
    high: float | tuple[float, ...]
    dimension: int
    minimum: float


def branin(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Branin: three global minima."""
    import numpy as np

    a, b = x[:, 0], x[:, 1]
    bent = b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6
    value: NDArray[np.float64] = bent**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10
    return value


_HARTMANN_WEIGHTS = (1.0, 1.2, 3.0, 3.2)
_HARTMANN3_A = ((3, 10, 30), (0.1, 10, 35), (3, 10, 30), (0.1, 10, 35))
_HARTMANN3_P = ((3689, 1170, 2673), (4699, 4387, 7470), (1091, 8732, 5547), (381, 5743, 8828))
_HARTMANN6_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_HARTMANN6_P = (
    (1312, 1696, 5569, 124, 8283, 5886),
    (2329, 4135, 8307, 3736, 1004, 9991),
    (2348, 1451, 3522, 2883, 3047, 6650),
    (4047, 8828, 8732, 5743, 1091, 381),
)


def _hartmann(x: NDArray[np.float64], slopes: Any, centres: Any) -> NDArray[np.float64]:
    import numpy as np

    a, p = np.array(slopes), 1e-4 * np.array(centres)
    inner = (a * (x[:, None, :] - p) ** 2).sum(-1)
    value: NDArray[np.float64] = -(np.exp(-inner) @ np.array(_HARTMANN_WEIGHTS))
    return value


def hartmann3(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hartmann's function of 3 variables: four local minima."""
    return _hartmann(x, _HARTMANN3_A, _HARTMANN3_P)


def hartmann6(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hartmann's function of 6 variables: six local minima."""
    return _hartmann(x, _HARTMANN6_A, _HARTMANN6_P)


def ackley(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ackley: a nearly flat outer region, and a hole at the origin."""
    import numpy as np

    flat = -20 * np.exp(-0.2 * np.sqrt((x**2).mean(1)))
    value: NDArray[np.float64] = flat - np.exp(np.cos(2 * np.pi * x).mean(1)) + 20 + np.e
    return value


def rosenbrock(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rosenbrock: a bent valley with the minimum at (1, ..., 1)."""
    value: NDArray[np.float64] = (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(1)
    return value


def levy(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Levy: many local minima, the global one at (1, ..., 1)."""
    import numpy as np

    w = 1 + (x - 1) / 4
    inner = (w[:, :-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:, :-1] + 1) ** 2)
    last = (w[:, -1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[:, -1]) ** 2)
    value: NDArray[np.float64] = np.sin(np.pi * w[:, 0]) ** 2 + inner.sum(1) + last
    return value


# optima not at lattice points are those of the library, to as many digits as a local search from
# them confirms
FUNCTIONS: dict[str, Function] = {
    "branin": Function(branin, (-5.0, 0.0), (10.0, 15.0), 2, 0.39788735772973816),
    "hartmann3": Function(hartmann3, 0.0, 1.0, 3, -3.862779787332663),
    "hartmann6": Function(hartmann6, 0.0, 1.0, 6, -3.322368011415514),
    "ackley": Function(ackley, -32.768, 32.768, 0, 0.0),
    "rosenbrock": Function(rosenbrock, -5.0, 10.0, 0, 0.0),
    "levy": Function(levy, -10.0, 10.0, 0, 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticOptions:
    """Options of the loader.

    Parameters
    ----------
    function : str
    dimension : int
        0 for functions that have only one.
    noise_percent : int
        Standard deviation of Gaussian noise, in per cent of the standard deviation of the function
        over its domain. Optimisers see the noisy value; the score is the value without.
    categories : int
        How many of the last dimensions are categorical, with `levels` values each.
    levels : int
    fidelity_levels : int
        1 for full fidelity only; k for 3^-(k-1), ..., 1/3, 1. At share z a smooth function of the
        point, as large as the function's own spread, is added 1 - z times, and an evaluation takes
        z seconds.
    relatives : int
        How many copies of the function, each moved by another step, are known at `N_KNOWN` points,
        for optimisers that learn from related problems. The steps are the meta-features: those of
        the problem itself are 0.
    seconds : int
        Budget of the clock; 0 for none.
    workers : int
        Evaluations that run at once.
    """

    function: str
    dimension: int = 0
    noise_percent: int = 0
    categories: int = 0
    levels: int = 5
    fidelity_levels: int = 1
    relatives: int = 0
    seconds: int = 0
    workers: int = 1


class SyntheticLoader(TaskLoader):
    """Functions with a known minimum; with noise and with categorical dimensions."""

    name = "synthetic"
    track: ClassVar[str] = "hpo"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        found = read_options(SyntheticOptions, options, self.name)
        if found.function not in FUNCTIONS:
            raise UnknownNameError("synthetic function", found.function, FUNCTIONS)
        fixed = FUNCTIONS[found.function].dimension
        if fixed and found.dimension not in (0, fixed):
            raise InputError(f"function {found.function!r} has {fixed} dimensions, got dimension = {found.dimension}")
        if not fixed:
            check_range(
                self.name, "dimension", found.dimension, 2, MAX_DIMENSION, "this function has a form for any dimension"
            )
        check_range(self.name, "noise_percent", found.noise_percent, 0, 1000)
        check_range(self.name, "categories", found.categories, 0, _dimension(found))
        check_range(self.name, "levels", found.levels, 2, 1000)
        check_range(self.name, "fidelity_levels", found.fidelity_levels, 1, 10)
        check_range(self.name, "relatives", found.relatives, 0, 100)
        check_range(self.name, "seconds", found.seconds, 0, 10**9)
        check_range(self.name, "workers", found.workers, 1, 1000)

    def info(self, name: str, options: Mapping[str, Any]) -> ProblemInfo:
        """See the base class."""
        self.check(options)
        found = read_options(SyntheticOptions, options, self.name)
        fidelities = tuple(3.0**-k for k in reversed(range(found.fidelity_levels)))
        space = _space(found)
        numbers = _dimension(found) - found.categories
        return ProblemInfo(
            name=name,
            space=space,
            fidelities=fidelities,
            fidelity_name="share" if len(fidelities) > 1 else "",
            meta_features={f"step_{i}": 0.0 for i in range(numbers)} if found.relatives else {},
            histories=cache(partial(_histories, found)),
        )

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Check the options: there are no data to prepare."""
        self.check(options)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        self.check(options)
        found = read_options(SyntheticOptions, options, self.name)
        # what is not used does not count
        plain = {key: value for key, value in asdict(found).items() if value or key not in ("relatives", "seconds")}
        return content_hash({"loader": self.name, "version": VERSION, "options": plain})

    def load(self, name: str, options: Mapping[str, Any]) -> Problem:
        """See the base class."""
        return SyntheticProblem(self.info(name, options), read_options(SyntheticOptions, options, self.name))


def _histories(options: SyntheticOptions) -> tuple[History, ...]:
    """Return what is known of the moved copies: without noise, at the same points for all."""
    import numpy as np

    rng = np.random.Generator(np.random.PCG64(VERSION))
    n_numbers = _dimension(options) - options.categories
    points = rng.random((N_KNOWN, _dimension(options)))
    points[:, n_numbers:] = rng.integers(options.levels, size=(N_KNOWN, options.categories))
    surface = _Surface(options)
    found = []
    for i in range(options.relatives):
        step = STEP * rng.standard_normal(n_numbers)
        moved = points.copy()
        moved[:, :n_numbers] = np.clip(points[:, :n_numbers] - step, 0.0, 1.0)
        found.append(
            History(
                problem=f"copy {i}",
                meta_features={f"step_{k}": float(value) for k, value in enumerate(step)},
                vectors=points,
                losses=surface.values(moved),
            )
        )
    return tuple(found)


def _dimension(options: SyntheticOptions) -> int:
    return FUNCTIONS[options.function].dimension or options.dimension


def _bounds(options: SyntheticOptions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    function, n = FUNCTIONS[options.function], _dimension(options)
    low, high = (np.broadcast_to(np.asarray(b, np.float64), n) for b in (function.low, function.high))
    return low, high


def _space(options: SyntheticOptions) -> ConfigurationSpace:
    from ConfigSpace import Categorical, ConfigurationSpace, Float

    low, high = _bounds(options)
    n = _dimension(options)
    width = len(str(n - 1))
    space = ConfigurationSpace()
    for i in range(n):
        name = f"x{i:0{width}d}"
        if i < n - options.categories:
            space.add(Float(name, (float(low[i]), float(high[i]))))
        else:
            space.add(Categorical(name, [f"level{k}" for k in range(options.levels)]))
    return space


class _Surface:
    """A function of vectors of the space.

    A categorical dimension takes one of a few values, in an order without meaning.
    """

    def __init__(self, options: SyntheticOptions) -> None:
        import numpy as np

        self._function = FUNCTIONS[options.function]
        self._low, self._high = _bounds(options)
        self._n_categories = options.categories
        rng = np.random.Generator(np.random.PCG64(VERSION))
        points = rng.random((10_000, len(self._low)))
        if options.categories:
            # the value of a level says nothing of its neighbours
            self._levels = np.stack([rng.permutation(options.levels) for _ in range(options.categories)])
            points[:, -options.categories :] = rng.integers(options.levels, size=(10_000, options.categories))
        self.spread = float(self.values(points).std())
        """Standard deviation over the domain."""
        self.phases = 2 * np.pi * rng.random(len(self._low))

    def values(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n,) values at vectors (n, n_parameters) of the space."""
        unit = self.places(vectors)
        return self._function.call(self._low + unit * (self._high - self._low))

    def places(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points of the unit cube: a category is where its level is."""
        import numpy as np

        unit = np.array(vectors, np.float64)
        if self._n_categories:
            chosen = unit[:, -self._n_categories :].astype(int)
            rows = np.arange(self._n_categories)
            unit[:, -self._n_categories :] = self._levels[rows, chosen] / (self._levels.shape[1] - 1)
        return unit


class SyntheticProblem(Problem):
    """A function on its domain."""

    def __init__(self, info: ProblemInfo, options: SyntheticOptions) -> None:
        self.info, self.workers, self.seconds = info, options.workers, options.seconds or None
        self._surface = _Surface(options)
        self._noise = options.noise_percent / 100 * self._surface.spread

    def evaluate(self, config: Configuration, fidelity: float, rng: np.random.Generator) -> Evaluation:
        """See the base class."""
        import numpy as np

        vectors = np.asarray(config.get_array(), np.float64)[None]
        value = float(self._surface.values(vectors)[0])
        if fidelity < 1:
            point = self._surface.places(vectors)[0]
            waves = np.sqrt(2 / len(point)) * np.sin(2 * np.pi * point + self._surface.phases).sum()
            value += (1 - fidelity) * self._surface.spread * float(waves)
        if not self._noise:
            return Evaluation(value, fidelity)
        return Evaluation(value + self._noise * float(rng.standard_normal()), fidelity, true_loss=value)
