"""MANN: an LSTM writes support examples to an external memory and reads similar ones.

Santoro, Bartunov, Botvinick, Wierstra & Lillicrap 2016, "Meta-learning with memory-augmented neural
networks". A controller of 200 units and a memory of 128 slots of 40 numbers. 4 heads read by
content and write either where they last read or to the least used slots, which are emptied first.
The support set is a sequence in random order, and predictions depend on it. Each query is answered
from the memory after that sequence, and writes nothing (inductive). `memory=False` leaves only the
LSTM.

The paper's episodes are streams of 50 images of 5 classes. Its figures are the accuracy at a
class's second instance (82.8 %) and at its fifth (94.9 %), that is after 1 and 4 labelled ones.
They are compared with 5-way 1-shot and 5-shot here, as in the literature.

What differs:

- Images are embedded by Conv4, where the paper feeds 20x20 pixels; convolutions are in bfloat16
  where the CPU has them (`precision`).
- A label comes with its image, since the support set is given as pairs. `late_labels=True` brings
  it one step later, as in the paper.
- Each head has a least used slot of its own, where the paper gives all heads the same ones.
- Reading has a learnt strength. Biases start such that each slot holds one example and is read
  sharply (`_mann`).
- Adam at 1e-3; the best state on validation episodes is kept.
- Training episodes have at most 5 ways, under labels drawn from all of the task's, and the loss is
  over these alone.

Measurements behind these choices are in docs/tuning/recurrent-methods.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._episodic import EpisodeShape, EpisodicAdapter

if TYPE_CHECKING:
    from benchbench.methods.fewshot._embedding import EpisodicNetwork

__all__ = ["MANN"]

# images embedded in training at the quick and standard presets
IMAGES = {"quick": 32_000, "standard": 400_000}
N_SLOTS = 128
# more ways learn less within the same images (docs/tuning/recurrent-methods.md)
MAX_TRAIN_WAYS = 5


class MANN(EpisodicAdapter):
    """Memory-augmented network.

    `precision` None means bfloat16 where the CPU has it, float32 elsewhere.

    Parameters
    ----------
    learning_rate : float
    meta_batch : int
        Tasks per iteration, each with one query per class; half as many where episodes have fewer
        ways than the task.
    memory : bool
        Whether there is a memory besides the LSTM's state.
    late_labels : bool
        Whether a label comes one step after its image.
    precision : str, optional
    """

    card: ClassVar[MethodCard] = MethodCard(
        name="mann",
        track="fewshot",
        title="Memory-augmented network",
        summary="An LSTM writes labelled support images to a memory of slots, and reads those that are like the query.",
        paper="Santoro, Bartunov, Botvinick, Wierstra & Lillicrap 2016, ICML",
        url="https://arxiv.org/abs/1605.06065",
        year=2016,
        differs="Conv4 embedding, not pixels; labels not a step late; read strength; biased start; above 5 ways trained on 5",
        family="recurrent",
        tasks=("classification",),
        batched=True,
        ordered=True,
        iterations={"quick": 200, "standard": 2500, "paper": 100000},
        published={"omniglot-maml-5w1s": 0.828, "omniglot-maml-5w5s": 0.949},
    )
    shuffles = True
    clip_norm = 10.0

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        meta_batch: int = 16,
        memory: bool = True,
        late_labels: bool = False,
        precision: str | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.meta_batch = meta_batch
        self.memory = memory
        self.late_labels = late_labels
        self.precision = precision

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        if preset not in IMAGES:
            return super().iterations(preset, task)
        few = min(task.n_way, MAX_TRAIN_WAYS)
        n_tasks = 16 if few == task.n_way else 8
        return max(1, IMAGES[preset] // (n_tasks * few * (task.k_shot + 1)))

    def supports(self, task: TaskInfo) -> str | None:
        if task.kind != "classification":
            return "MANN reads labels as classes here: it has no regression form"
        return super().supports(task)

    def build(self, task: TaskInfo) -> EpisodicNetwork:
        from benchbench.methods.fewshot._embedding import choose_precision
        from benchbench.methods.fewshot._mann import Mann

        channels, height, width = task.input_shape
        return Mann(
            channels,
            64 * (height // 16) * (width // 16),
            n_way=task.n_way,
            n_slots=N_SLOTS if self.memory else 0,
            late_labels=self.late_labels,
            precision=self.precision or choose_precision(self.context.device),
        )

    def episode_shape(self, task: TaskInfo) -> EpisodeShape:
        few = min(task.n_way, MAX_TRAIN_WAYS)
        n_tasks = self.meta_batch if few == task.n_way else max(1, self.meta_batch // 2)
        return EpisodeShape(n_way=few, k_shot=task.k_shot, n_query_per_class=1, n_tasks=n_tasks)
