"""Methods that meta-learn an initialisation by gradient descent through the inner steps.

They are vectorised over the meta-batch.

Finn, Abbeel & Levine 2017, arXiv:1703.03400, and what grew from it. Importing this is light.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.context import Budget, Context, base_preset
from benchbench.contracts.fewshot import EpisodeSource, TaskInfo
from benchbench.methods.fewshot._image_settings import is_colour, size_factor
from benchbench.methods.fewshot._side_by_side import InitialisationAdapter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor

__all__ = ["COLOUR", "FEW_WAYS", "MANY_WAYS", "QUICK", "REGRESSION", "STANDARD", "LearnedInitialisation"]

# the paper's appendix A: up to 10 ways, more ways, and the sinusoid of section 5.1
FEW_WAYS: Mapping[str, Any] = {"meta_batch": 32, "inner_rate": 0.4, "train_steps": 1, "test_steps": 3}
MANY_WAYS: Mapping[str, Any] = {"meta_batch": 16, "inner_rate": 0.1, "train_steps": 5, "test_steps": 5}
# the same appendix for miniImageNet; with more than one shot a meta-batch has two tasks. The rate
# is the paper's 0.01 times five ways: its code goes down a loss that is summed over classes, not
# their mean. Measurements behind this and the settings below: docs/tuning/gradient-methods.md
COLOUR: Mapping[str, Any] = {
    "meta_batch": 4,
    "inner_rate": 0.05,
    "train_steps": 5,
    "test_steps": 10,
    "train_queries": 15,
}
MANY_SHOTS_META_BATCH = 2
REGRESSION: Mapping[str, Any] = {"meta_batch": 25, "inner_rate": 0.01, "train_steps": 1, "test_steps": 10}
# tasks per meta-batch of images at the quick preset: with so few images to train on in all, many
# small updates do better than a few of the paper's size
QUICK_META_BATCH = 2
# at the standard preset, whose meta-training is the paper's, and at the quick one: the paper's five
# steps for many ways at test
STANDARD: Mapping[str, Any] = {"test_steps": 5, "inner_rate": 0.1}
# in meta-training the paper's step for few ways, at test its five for many, which go about as far.
# With many ways one step in place of five leaves five times the updates; with few ways more steps
# of 0.4 at test than in training overshoot
QUICK: Mapping[str, Any] = {**STANDARD, "train_steps": 1, "train_rate": 0.4}
# MAML's iterations at the quick and standard presets: their maximum; and the total over iterations
# of one task's support images times inner steps. With twice as many tasks, half. Other methods have
# as many iterations as take about as long (see `cost`)
ITERATIONS = {"quick": (1200, 20_000), "standard": (3000, 40_000)}
ITERATIONS_META_BATCH = 16
REGRESSION_ITERATIONS = {"quick": 4000, "standard": 20_000, "paper": 70_000}
N_REPORTS = 8


class LearnedInitialisation(InitialisationAdapter):
    """Learns parameters from which gradient steps on a support set do well on the queries.

    None means the paper's value.

    Parameters
    ----------
    meta_rate : float
        Adam's rate in meta-training.
    meta_batch : int, optional
        Tasks per iteration.
    inner_rate : float, optional
    train_rate : float, optional
        The inner rate in meta-training; by default `inner_rate`, if that is given. Of no effect
        where rates are learnt.
    train_steps, test_steps : int, optional
        Inner steps in meta-training and at test.
    train_queries : int, optional
        Queries per class in meta-training; by default as many as shots, and 15 of photographs.
    averages : bool
        Whether the head sees the mean over positions.
    """

    mode: ClassVar[str] = "second_order"
    head_only: ClassVar[bool] = False
    prototype_head: ClassVar[bool] = False
    few_ways: ClassVar[Mapping[str, Any]] = FEW_WAYS
    many_ways: ClassVar[Mapping[str, Any]] = MANY_WAYS
    colour: ClassVar[Mapping[str, Any]] = COLOUR
    regression: ClassVar[Mapping[str, Any]] = REGRESSION
    quick: ClassVar[Mapping[str, Any]] = QUICK
    standard: ClassVar[Mapping[str, Any]] = STANDARD
    """What the quick preset, and the standard one, change on drawings."""
    at_test: ClassVar[tuple[str, ...]] = ("test_steps", "inner_rate")
    """Settings for the steps at test. The preset of the meta-training has chosen them, so they are
    kept with what was learnt.
    """

    def __init__(
        self,
        *,
        meta_rate: float = 1e-3,
        meta_batch: int | None = None,
        inner_rate: float | None = None,
        train_rate: float | None = None,
        train_steps: int | None = None,
        test_steps: int | None = None,
        train_queries: int | None = None,
        averages: bool = False,
    ) -> None:
        self.meta_rate = meta_rate
        self.meta_batch = meta_batch
        self.inner_rate = inner_rate
        self.train_rate = inner_rate if train_rate is None else train_rate
        self.train_steps = train_steps
        self.test_steps = test_steps
        self.train_queries = train_queries
        self.averages = averages

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        if task.kind == "regression":
            return REGRESSION_ITERATIONS.get(preset, 0)
        if preset not in ITERATIONS:
            return super().iterations(preset, task)
        most, work = ITERATIONS[preset]
        settings = cls.settings_at(preset, task)
        cost = cls.cost(settings["train_steps"])
        n_times = cost * max(1, settings["meta_batch"] // ITERATIONS_META_BATCH)
        n = min(most / min(1, cost), work / (task.n_way * task.k_shot * n_times))
        if preset == "quick" and is_colour(task):  # more pixels, and more queries
            n /= 2 * size_factor(preset, task)
        return max(1, int(n + 1e-9))

    @classmethod
    def cost(cls, n_steps: int) -> float:
        """Return the cost of an iteration with this many inner steps; 1 is MAML's with one step."""
        return float(n_steps)

    @classmethod
    def settings(cls, task: TaskInfo) -> dict[str, Any]:
        found = {"train_queries": task.k_shot, **super().settings(task)}
        found["train_rate"] = found["inner_rate"]
        if is_colour(task) and task.k_shot > 1:
            found["meta_batch"] = min(found["meta_batch"], MANY_SHOTS_META_BATCH)
        return found

    @classmethod
    def settings_at(cls, preset: str, task: TaskInfo) -> dict[str, Any]:
        """Return the settings of a preset.

        They are the paper's, except at `quick` and `standard`, and for small quick updates on
        images.
        """
        found, base = cls.settings(task), base_preset(preset)
        if task.kind == "classification":
            if base == "quick":
                found["meta_batch"] = min(found["meta_batch"], QUICK_META_BATCH)
            if not is_colour(task):
                found |= {"quick": cls.quick, "standard": cls.standard}.get(base, {})
        return found

    def initialise(self, generator: Generator) -> None:
        super().initialise(generator)
        if self.prototype_head:
            self._params = self._params[:-2]
        self._rates: list[Tensor] = [p.to(self.context.device) for p in self.initial_rates(generator)]

    def initial_rates(self, generator: Generator) -> list[Tensor]:
        """Return learnt rates, one per element of the parameters; none by default.

        Called once `_params` are set.
        """
        return []

    def groups(self) -> list[dict[str, Any]]:
        """Return what Adam trains in groups, each with its own settings if it names any."""
        return [{"params": self._params}, {"params": self._rates}] if self._rates else [{"params": self._params}]

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._gradient import meta_gradient
        from benchbench.methods.fewshot._meta_training import MetaTraining
        from benchbench.methods.fewshot._supply import Supply

        task, rng = self.task, context.rng(self.card.name, "episodes")
        self._settings = self.settings_at(budget.preset, task)
        inner = self._inner("train_rate", "train_steps", self.mode)
        n_query_per_class = self.value("train_queries")
        n_tasks = self.value("meta_batch")
        supply = Supply(episodes, context.device)
        learnt = [*self._params, *self._rates]
        optimiser = torch.optim.Adam(self.groups(), lr=self.meta_rate)
        training = MetaTraining(
            self, validation, budget=budget, rng=rng, parts=[*learnt, optimiser], n_reports=N_REPORTS
        )
        for iteration in training.iterations():
            batch = supply.sample(
                rng, n_way=task.n_way, k_shot=task.k_shot, n_query_per_class=n_query_per_class, n_tasks=n_tasks
            )
            grads, loss = meta_gradient(
                self._network,
                self._params,
                batch,
                rates=self._rates or None,
                is_inductive=not self.card.transductive,
                **inner,
            )
            for param, grad in zip(learnt, grads, strict=True):
                param.grad = grad
            optimiser.step()
            training.after(iteration, loss)

    def state(self) -> dict[str, NDArray[Any]]:
        import numpy as np

        learnt = {str(i): p.detach().cpu().numpy() for i, p in enumerate([*self._params, *self._rates])}
        return {**learnt, **{name: np.array(self._settings[name]) for name in self.at_test}}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        import torch

        self._settings |= {name: state[name].item() for name in self.at_test}
        n_learnt = len(self._params) + len(self._rates)
        loaded = [torch.tensor(state[str(i)], device=self.context.device) for i in range(n_learnt)]
        self._params, self._rates = loaded[: len(self._params)], loaded[len(self._params) :]

    def learn(self, x: Tensor, y: Tensor) -> Any:
        from benchbench.methods.fewshot._gradient import adapt, expand

        rates, inner = self.steps_at_test()
        return adapt(self._network, expand(self._params, len(x)), x, y, rates=expand(rates, len(x)) or None, **inner), x

    def steps_at_test(self) -> tuple[list[Tensor], dict[str, Any]]:
        """Return the learnt rates, if any, and other arguments of `adapt` for the steps at test."""
        return [r.detach() for r in self._rates], self._inner("inner_rate", "test_steps", "detached")

    def _inner(self, rate: str, steps: str, mode: str) -> dict[str, Any]:
        return {
            "rate": self.value(rate),
            "n_steps": self.value(steps),
            "mode": mode,
            "head_only": self.head_only,
            "prototype_head": self.prototype_head,
        }
