"""BoTorch: a Gaussian process, and the logarithm of expected improvement.

Ament, Daulton, Eriksson, Balandat & Bakshy 2023, "Unexpected improvements to expected improvement",
arXiv:2310.20708; the library is Balandat et al. 2020, arXiv:1910.06403. The model is BoTorch's
default, with priors that scale with the dimension (Hvarfner, Hellsten & Nardi 2024,
arXiv:2402.02229), over the unit cube, categories one-hot. What is relaxed for the maximisation
(categories, integers) is rounded before it is evaluated, and the model is told the rounded point.

A failed evaluation has no loss, so it isn't in the model's data. It stays a pending one for ever
instead: the batch form of the acquisition averages over what it might have given, and so goes
elsewhere.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Context
from benchbench.contracts.hpo import KINDS, HPOAdapter, HPOBudget, Observation, ProblemInfo, Suggestion
from benchbench.contracts.hpo_spaces import is_constant

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["BoTorchLogEI"]

# of failed evaluations, the batch form takes this many of the latest: its cost grows with them
N_FAILED = 16


class BoTorchLogEI(HPOAdapter):
    """BoTorch's SingleTaskGP and (q)LogExpectedImprovement, after a scrambled Sobol design.

    Parameters
    ----------
    n_initial : int
        Suggestions of the Sobol design; it continues until two evaluations have succeeded.
    n_restarts : int
        Starts of the acquisition's maximisation by L-BFGS-B.
    n_raw : int
        Points that the starts are chosen from.
    n_samples : int
        Draws of the posterior that the batch form averages over.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="botorch_logei",
        track="hpo",
        title="BoTorch LogEI",
        summary="Models the loss with a Gaussian process, and evaluates where the log of the expected improvement is greatest.",
        paper="Ament, Daulton, Eriksson, Balandat & Bakshy 2023, NeurIPS",
        url="https://arxiv.org/abs/2310.20708",
        year=2023,
        differs=(
            "BoTorch's default model, whose priors scale with the dimension; categories one-hot, relaxed and rounded; inactive "
            "parameters in the middle; failed evaluations count as pending"
        ),
        family="bayesian",
        tasks=KINDS,
        devices=("cpu",),
    )

    def __init__(self, *, n_initial: int = 10, n_restarts: int = 10, n_raw: int = 512, n_samples: int = 128) -> None:
        self.n_initial = n_initial
        self.n_restarts = n_restarts
        self.n_raw = n_raw
        self.n_samples = n_samples

    def supports(self, problem: ProblemInfo) -> str | None:
        if importlib.util.find_spec("botorch") is None:
            return "BoTorch is not installed: pip install 'benchbench[hpo]'"
        return super().supports(problem)

    def setup(self, problem: ProblemInfo, *, budget: HPOBudget, context: Context) -> None:
        import torch
        from ConfigSpace.exceptions import ForbiddenValueError

        with warnings.catch_warnings():
            # linear_operator compiles functions in a way that torch has deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            from botorch.exceptions.errors import CandidateGenerationError, ModelFittingError
            from linear_operator.utils.errors import NanError, NotPSDError

        from benchbench.methods.hpo._spaces import Sampler

        super().setup(problem, budget=budget, context=context)
        self._sobol = torch.quasirandom.SobolEngine(len(problem.space), scramble=True, seed=context.derive("sobol"))
        self._random = Sampler(problem.space, context.derive("random"))
        self._columns = _Columns(problem.space)
        self._unusable = (ModelFittingError, CandidateGenerationError, NanError, NotPSDError, ForbiddenValueError)
        self._n_asked = 0
        self._seen: set[bytes] = set()
        self._pending: dict[int, NDArray[np.float64]] = {}
        self._failed: list[NDArray[np.float64]] = []
        self._points: list[NDArray[np.float64]] = []
        self._losses: list[float] = []

    def ask(self) -> Suggestion:
        number, self._n_asked = self._n_asked, self._n_asked + 1
        is_modelled = number >= self.n_initial and len(self._losses) >= 2 and self._columns.n_columns > 0
        try:
            config = self._maximise(number) if is_modelled else self._from_unit(self._sobol.draw(1)[0].double().numpy())
        except self._unusable:
            config = self._random.sample()
        if is_modelled and config.get_array().tobytes() in self._seen:
            # rounding may lead back to what was evaluated before, again and again
            config = self._random.sample()
        self._seen.add(config.get_array().tobytes())
        self._pending[number] = self._columns.encode(config)
        return Suggestion(config, tag=number)

    def tell(self, observation: Observation) -> None:
        point = self._pending.pop(observation.suggestion.tag)
        if observation.loss is None:
            self._failed.append(point)
        else:
            self._points.append(point)
            self._losses.append(observation.loss)

    def _from_unit(self, unit: NDArray[np.float64]) -> Configuration:
        from benchbench.methods.hpo._spaces import from_unit

        return from_unit(self.problem.space, unit)

    def _maximise(self, number: int) -> Configuration:
        """Fit the model, and return the configuration that maximises the acquisition."""
        import numpy as np
        import torch
        from botorch.optim.optimize import optimize_acqf
        from botorch.utils.sampling import manual_seed

        away = [*self._failed[-N_FAILED:], *self._pending.values()]
        bounds = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, self._columns.n_columns)
        with warnings.catch_warnings(), manual_seed(self.context.derive("maximise", number)):
            # fits and maximisations that do not converge are tried again by the library itself
            warnings.simplefilter("ignore")
            acquisition = _acquisition(
                torch.from_numpy(np.stack(self._points)),
                -torch.tensor(self._losses, dtype=torch.float64)[:, None],
                torch.from_numpy(np.stack(away)) if away else None,
                self.n_samples,
            )
            found, _ = optimize_acqf(acquisition, bounds, q=1, num_restarts=self.n_restarts, raw_samples=self.n_raw)
        return self._from_unit(self._columns.decode(found[0].numpy()))


def _acquisition(x: Tensor, y: Tensor, away: Tensor | None, n_samples: int) -> Any:
    """Fit a Gaussian process and return the acquisition.

    Parameters
    ----------
    x : (n, n_columns) float64 in [0, 1]
    y : (n, 1) float64
        To be maximised.
    away : (n_away, n_columns) float64, optional
        Points that have no value yet.
    n_samples : int
    """
    import torch
    from botorch import fit_gpytorch_mll
    from botorch.acquisition.analytic import LogExpectedImprovement
    from botorch.acquisition.logei import qLogExpectedImprovement
    from botorch.models import SingleTaskGP
    from botorch.sampling.normal import SobolQMCNormalSampler
    from gpytorch.mlls import ExactMarginalLogLikelihood

    model = SingleTaskGP(x, y)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    if away is None:
        return LogExpectedImprovement(model, best_f=y.max())
    seed = int(torch.randint(2**31 - 1, ()))
    draws = SobolQMCNormalSampler(torch.Size([n_samples]), seed=seed)
    return qLogExpectedImprovement(model, best_f=y.max(), sampler=draws, X_pending=away)


class _Columns:
    """The model's columns: one per number, one per choice of a category, none for constants."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self._n_choices = [_n_choices(parameter) for parameter in space.values()]
        self._widths = [1 if n is None else n if n > 1 else 0 for n in self._n_choices]
        self.n_columns = sum(self._widths)

    def encode(self, config: Configuration) -> NDArray[np.float64]:
        """Return the columns (n_columns,) of a configuration.

        What is inactive is in the middle of its range or choices.
        """
        import numpy as np

        from benchbench.methods.hpo._spaces import to_unit

        parts = []
        for n, unit, place in zip(self._n_choices, to_unit(config), config.get_array(), strict=True):
            if n is None:
                parts.append(np.array([unit]))
            elif n > 1:
                parts.append(np.full(n, 1 / n) if np.isnan(place) else np.eye(n)[int(place)])
        return np.concatenate(parts) if parts else np.empty(0)

    def decode(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the point (n_parameters,) of the unit cube.

        Of a category it is the choice with the greatest column.
        """
        import numpy as np

        unit = np.full(len(self._n_choices), 0.5)
        start = 0
        for i, (n, width) in enumerate(zip(self._n_choices, self._widths, strict=True)):
            part = columns[start : start + width]
            start += width
            if width:
                unit[i] = part[0] if n is None else (part.argmax() + 0.5) / n
        return unit


def _n_choices(parameter: Any) -> int | None:
    """Return how many choices a category has, 1 for a constant.

    None for numbers and what has an order.
    """
    if hasattr(parameter, "choices"):
        return len(parameter.choices)
    return 1 if is_constant(parameter) else None
