"""Meta-SGD: MAML that also learns direction and size of the inner step, per parameter.

Li, Zhou, Chen & Li 2017, arXiv:1707.09835. One inner step, theta - alpha * gradient, where alpha
has theta's shape and is meta-learnt with it; the paper draws it uniformly from [0.005, 0.1].
Transductive, as `maml`.

What differs:

- All rates start at one value, MAML's for few ways (0.4 on drawings, also beyond 10 ways; 0.05 on
  photographs): within the small budgets here, drawings learn little from the paper's range.
- Adam moves the rates 3 times as fast as the parameters.
- After training at the quick and standard presets on drawings, the step at test is taken in five
  parts, each a fifth of the rates along a gradient of its own, as `maml` takes five steps there.

The other differences are described in `maml`; measurements are in docs/tuning/gradient-methods.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._learned_init import COLOUR, FEW_WAYS, MANY_WAYS, REGRESSION, LearnedInitialisation

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["MetaSGD"]

# Adam's rate for the learnt rates, in units of that for the parameters
RATES_FACTOR = 3.0


class MetaSGD(LearnedInitialisation):
    """MAML with a learnt rate for every parameter; one step."""

    card: ClassVar[MethodCard] = MethodCard(
        name="meta_sgd",
        track="fewshot",
        title="Meta-SGD",
        summary="Meta-learns an initialisation and a learning rate for every parameter; one inner step.",
        paper="Li, Zhou, Chen & Li 2017",
        url="https://arxiv.org/abs/1707.09835",
        year=2017,
        differs=(
            "rates start at 0.4 (photographs: 0.05), with 3 times Adam's rate; head on all positions, from zero; quick: 2 tasks; quick"
            " and standard: the step at test in 5 parts"
        ),
        family="gradient",
        tasks=("classification", "regression"),
        transductive=True,
        batched=True,
        iterations={"quick": 900, "standard": 3000, "paper": 60000},
        published={
            "omniglot-maml-5w1s": 0.9953,
            "omniglot-maml-5w5s": 0.9993,
            "omniglot-maml-20w1s": 0.9593,
            "omniglot-maml-20w5s": 0.9897,
            "miniimagenet-5w1s": 0.5047,
            "miniimagenet-5w5s": 0.6403,
        },
    )
    few_ways: ClassVar[Mapping[str, Any]] = {**FEW_WAYS, "test_steps": 1}
    colour: ClassVar[Mapping[str, Any]] = {**COLOUR, "train_steps": 1, "test_steps": 1}
    many_ways: ClassVar[Mapping[str, Any]] = {**MANY_WAYS, "train_steps": 1, "test_steps": 1, "inner_rate": 0.4}
    regression: ClassVar[Mapping[str, Any]] = {**REGRESSION, "test_steps": 1}
    standard: ClassVar[Mapping[str, Any]] = {"parts": 5}
    quick: ClassVar[Mapping[str, Any]] = standard
    at_test: ClassVar[tuple[str, ...]] = (*LearnedInitialisation.at_test, "parts")

    def initial_rates(self, generator: torch.Generator) -> list[Tensor]:
        import torch

        return [torch.full(p.shape, self.value("inner_rate")) for p in self._params]

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": self._params}, {"params": self._rates, "lr": RATES_FACTOR * self.meta_rate}]

    @classmethod
    def settings(cls, task: TaskInfo) -> dict[str, Any]:
        return {**super().settings(task), "parts": 1}

    def steps_at_test(self) -> tuple[list[Tensor], dict[str, Any]]:
        rates, inner = super().steps_at_test()
        n = self._settings["parts"]
        return [rate / n for rate in rates], {**inner, "n_steps": n * inner["n_steps"]}
