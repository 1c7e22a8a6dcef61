"""Meta-LSTM: an LSTM learns to train a learner.

Its cell state is the learner's parameters, its input gate their learning rate.

Ravi & Larochelle 2017, "Optimization as a model for few-shot learning". Each step on the support
set is theta = f * theta + i * (-gradient). The gates come from an ordinary LSTM over the
preprocessed gradient and loss, from the parameter and from their last values, with the same weights
for every parameter. The initial parameters are learnt; gradients and losses count as constants. 12
steps for 1 shot and 5 for 5, each on the whole support set, so its order does not matter. 15
queries per class in training, Adam, gradients of the meta-learner clipped to norm 0.25. The best
state on validation episodes is kept.

What differs:

- On drawings the learner has stride 2 in place of pooling (`_backbones`), and its head starts at
  zero.
- The first LSTM has 8 units, not 20.
- Input gates start at 0.3 for drawings and 0.05 for photographs, not near 0.01. Adam's rate is
  3e-3, not 1e-3.
- Batch norm: queries are normalised by the moments of the support set under the learner's last
  parameters, in training as at test, so queries are predicted one by one (inductive). The paper
  uses the queries' own in training and running averages at test.
- At the quick preset there are 5 steps also for 1 shot.
- Sinusoids, which the paper lacks: 8 tasks per iteration, input gates from 0.05, gradients clipped
  to norm 1.

Measurements behind these choices are in docs/tuning/recurrent-methods.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Budget, Context, base_preset
from benchbench.contracts.fewshot import EpisodeSource, TaskInfo
from benchbench.methods.fewshot._image_settings import is_colour, size_factor
from benchbench.methods.fewshot._network_state import NetworkState
from benchbench.methods.fewshot._side_by_side import SideBySideAdapter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from benchbench.methods.fewshot._meta_lstm import Learnt, MetaLearner

__all__ = ["MetaLSTM"]

ONE_SHOT_STEPS, STEPS = 12, 5
# from this many shots on, `STEPS`: the paper has 1 and 5
MANY_SHOTS = 5
# initial values of input gates, the learner's rates (docs/tuning/recurrent-methods.md)
IMAGE_GATE, COLOUR_GATE, VECTOR_GATE = 0.3, 0.05, 0.05
FORGET_BIAS = 5.0
CLIP_NORM, REGRESSION_CLIP_NORM = 0.25, 1.0
N_FILTERS = 32
# per iteration; more tasks of images cost proportionally more on a CPU, and did no better there
IMAGE_TASKS, VECTOR_TASKS = 1, 8
# queries over all classes of a training episode: 15 a class for 5 ways, as in the paper
TRAIN_QUERIES = 75
N_REPORTS = 5
# of the quick and standard presets: their maximum; and images of the support sets, times steps
ITERATIONS = {"quick": (300, 9000), "standard": (3000, 90_000)}
REGRESSION_ITERATIONS = {"quick": 1000, "standard": 5000, "paper": 50_000}


class MetaLSTM(NetworkState, SideBySideAdapter):
    """LSTM meta-learner; None means what the module's docstring says.

    Parameters
    ----------
    meta_rate : float
        Adam's rate in meta-training.
    meta_batch : int, optional
        Tasks per iteration.
    n_steps : int, optional
    n_hidden : int
        Units of the first LSTM.
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="meta_lstm",
        track="fewshot",
        title="Meta-LSTM",
        summary="An LSTM, whose cell state is a learner's parameters, learns how to update them from gradients.",
        paper="Ravi & Larochelle 2017, ICLR",
        url="https://openreview.net/forum?id=rJY0-Kcll",
        year=2017,
        differs="8 units, not 20; faster start; inductive batch norm in training too; quick: 5 steps",
        family="recurrent",
        tasks=("classification", "regression"),
        batched=True,
        iterations={"quick": 300, "standard": 3000, "paper": 50000},
        published={"miniimagenet-5w1s": 0.4344, "miniimagenet-5w5s": 0.6060},
    )

    _network: MetaLearner

    def __init__(
        self,
        *,
        meta_rate: float = 3e-3,
        meta_batch: int | None = None,
        n_steps: int | None = None,
        n_hidden: int = 8,
    ) -> None:
        self.meta_rate = meta_rate
        self.meta_batch = meta_batch
        self.n_steps = n_steps
        self.n_hidden = n_hidden

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        if task.kind == "regression":
            return REGRESSION_ITERATIONS.get(preset, 0)
        if preset not in ITERATIONS:
            return super().iterations(preset, task)
        most, work = ITERATIONS[preset]
        # an image costs about as much as 5 without any, for the meta-learner's part
        n = min(most, work // (25 + task.n_way * task.k_shot))
        return max(1, n // size_factor(preset, task))

    def setup(self, task: TaskInfo, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._meta_lstm import MetaLearner, make_learner

        super().setup(task, context)
        is_image = len(task.input_shape) == 3
        gate = COLOUR_GATE if is_colour(task) else IMAGE_GATE if is_image else VECTOR_GATE
        steps = STEPS if task.k_shot >= MANY_SHOTS else ONE_SHOT_STEPS
        self._network = MetaLearner(
            make_learner(task, N_FILTERS),
            n_steps=self.n_steps or steps,
            n_hidden=self.n_hidden,
            input_gate=gate,
            forget_bias=FORGET_BIAS,
            generator=torch.Generator().manual_seed(context.derive("meta_lstm", "init")),
        ).to(context.device)

    def meta_fit(self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context) -> None:
        import torch

        from benchbench.methods.fewshot._meta_lstm import task_slices
        from benchbench.methods.fewshot._meta_training import MetaTraining
        from benchbench.methods.fewshot._supply import Supply

        task, rng = self.task, context.rng("meta_lstm", "episodes")
        is_regression = task.kind == "regression"
        n_tasks = self.meta_batch or (VECTOR_TASKS if is_regression else IMAGE_TASKS)
        n_query_per_class = task.k_shot if is_regression else max(1, TRAIN_QUERIES // task.n_way)
        if base_preset(budget.preset) == "quick" and self.n_steps is None and not is_regression:
            self._network.n_steps.fill_(STEPS)
        clip_norm = REGRESSION_CLIP_NORM if is_regression else CLIP_NORM
        supply = Supply(episodes, context.device)
        optimiser = torch.optim.Adam(self._network.parameters(), lr=self.meta_rate)
        training = MetaTraining(
            self,
            validation,
            budget=budget,
            rng=rng,
            parts=[self._network, optimiser],
            selects=self._network,
            n_reports=N_REPORTS,
        )
        for iteration in training.iterations():
            batch = supply.sample(
                rng, n_way=task.n_way, k_shot=task.k_shot, n_query_per_class=n_query_per_class, n_tasks=n_tasks
            )
            optimiser.zero_grad()
            loss = 0.0
            for part in task_slices(n_tasks, len(self._network.start), context.device):
                part_loss = self._network.loss(*(tensor[part] for tensor in batch)) / n_tasks
                part_loss.backward()
                loss += part_loss.item()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), clip_norm)
            optimiser.step()
            training.after(iteration, loss)
        training.finish()

    def slices(self, support_x: NDArray[np.float32], query_x: NDArray[np.float32]) -> Iterable[slice]:
        from benchbench.methods.fewshot._meta_lstm import task_slices

        return task_slices(len(query_x), len(self._network.start), self.context.device)

    def learn(self, x: Tensor, y: Tensor) -> Learnt:
        import torch

        with torch.no_grad():
            return self._network.learn(x, y)

    def outputs(self, learnt: Learnt, x: Tensor) -> Tensor:
        return self._network.outputs(learnt, x)
