"""The few-shot contract: episodes in, class probabilities (or values) out.

Shape glossary, used by everything that touches episodes::

    n_tasks     episodes in a batch
    n_way       classes of an episode; 1 for regression
    k_shot      labelled examples per class (support)
    n_query     examples to predict, over all classes: n_way * n_query_per_class
    n_support   n_way * k_shot
    *input      shape of one example: (channels, height, width) in [0, 1], or (n_features,)
    n_outputs   targets of a regression task
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.cards import MethodCard
from benchbench.contracts.context import Budget, Context

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "EmbeddingAdapter",
    "EpisodeBatch",
    "EpisodeSource",
    "FewShotAdapter",
    "FewShotTask",
    "Predictor",
    "Support",
    "TaskInfo",
]


@dataclass(frozen=True, slots=True)
class Support:
    """The labelled examples of one episode.

    Parameters
    ----------
    x : (n_support, *input) float32
    y : (n_support,) int64 in [0, n_way), or (n_support, n_outputs) float32 for regression
        In no particular order.
    n_way : int
    """

    x: NDArray[np.float32]
    y: NDArray[Any]
    n_way: int


@dataclass(frozen=True, slots=True)
class EpisodeBatch:
    """Several episodes of one shape, labels included, for meta-training.

    Parameters
    ----------
    support_x : (n_tasks, n_support, *input) float32
    support_y : (n_tasks, n_support) int64, or (n_tasks, n_support, n_outputs) float32
    query_x : (n_tasks, n_query, *input) float32
    query_y : (n_tasks, n_query) int64, or (n_tasks, n_query, n_outputs) float32
    support_id, query_id : (n_tasks, n_support) and (n_tasks, n_query) int64, optional
        Which example of the split a row is: equal ids, equal examples. With them the protocol
        embeds an image of many test episodes only once. Adapters never see the ids of test
        episodes.

    Notes
    -----
    Sampled rows are ordered by class: the first `k_shot` support rows are class 0, and so on, as
    are queries. The protocol shuffles both before it tests an adapter, so `adapt` and `predict`
    must use the labels.
    """

    support_x: NDArray[np.float32]
    support_y: NDArray[Any]
    query_x: NDArray[np.float32]
    query_y: NDArray[Any]
    support_id: NDArray[np.int64] | None = None
    query_id: NDArray[np.int64] | None = None

    @property
    def n_tasks(self) -> int:
        """Episodes in the batch."""
        return int(self.support_x.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """The description of a task, known before any data.

    Parameters
    ----------
    name : str
    kind : str
        "classification" or "regression".
    n_way, k_shot, n_query : int
        Shape of the test episodes; `n_query` counts over all classes.
    input_shape : tuple of int
    n_outputs : int
        Targets of a regression task, 0 for classification.
    """

    name: str
    kind: str
    n_way: int
    k_shot: int
    n_query: int
    input_shape: tuple[int, ...]
    n_outputs: int = 0


class EpisodeSource(ABC):
    """A source of episodes from one split.

    It has no random state of its own: the caller passes a generator.
    """

    kind: str
    """"classification" or "regression"."""
    input_shape: tuple[int, ...]
    n_classes: int
    """Classes to draw from; 0 for regression."""

    @abstractmethod
    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query_per_class: int, n_tasks: int = 1
    ) -> EpisodeBatch:
        """Draw `n_tasks` episodes.

        Parameters
        ----------
        rng : numpy Generator
            Equal states give equal episodes.
        n_way, k_shot : int
        n_query_per_class : int
            For regression there is one "class".
        n_tasks : int

        Raises
        ------
        ValueError
            If there are fewer than `n_way` classes, or a class has fewer than `k_shot +
            n_query_per_class` examples.
        """

    @property
    def n_labels(self) -> int:
        """Number of labels of `sample_images`; 0 if there are no classes."""
        return 0

    def sample_images(self, rng: np.random.Generator, n_images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw labelled examples of all classes, for methods that pre-train a classifier.

        Parameters
        ----------
        rng : numpy Generator
        n_images : int

        Returns
        -------
        (n_images, *input) float32, (n_images,) int64 in [0, n_labels)

        Raises
        ------
        NotImplementedError
            If there are no classes (regression).
        """
        raise NotImplementedError(f"{type(self).__name__} has no classes to draw labelled examples from")


@dataclass(frozen=True, slots=True, kw_only=True)
class FewShotTask:
    """One loaded task: its description and its three sources of episodes.

    Parameters
    ----------
    info : TaskInfo
    train, validation, test : EpisodeSource
        With disjoint classes (for regression only the random streams differ).
    metric : str
        "accuracy" or "neg_mse"; higher is better.
    seed : int
        Fixes the test episodes, so that every method gets the same ones.
    """

    info: TaskInfo
    train: EpisodeSource
    validation: EpisodeSource
    test: EpisodeSource
    metric: str
    seed: int


class Predictor(ABC):
    """A learner adapted to one episode."""

    @abstractmethod
    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Predict the queries of the episode.

        Parameters
        ----------
        query_x : (n_query, *input) float32

        Returns
        -------
        (n_query, n_way) probabilities, each row summing to 1; for regression (n_query, n_outputs)
        values.
        """


class FewShotAdapter(ABC):
    """A few-shot method: meta-trained once per task, then adapted to each test episode separately.

    The constructor takes JSON-able keyword arguments and only stores them under their own names.
    The harness calls `supports`, `setup`, `meta_fit`, then `adapt` and `predict` (or
    `predict_episodes`) for every test episode. Nothing learnt in one test episode may reach
    another. The harness never passes query labels of test episodes.
    """

    card: ClassVar[MethodCard]
    task: TaskInfo
    context: Context

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        """Return the meta-training iterations of `preset` (a plain name) for a task; by default the
        card's.
        """
        return cls.card.iterations.get(preset, 0)

    def training_key(self, task: TaskInfo) -> Mapping[str, Any] | None:
        """Return what meta-training uses of the task besides training and validation data, or None.

        If it is not None, `meta_fit` must do the same for every task with the same key, and `state`
        and `load_state` must transfer all that it learnt: the harness then trains once for all
        tasks of a suite with equal key and training data. ``{}`` says that training depends on the
        data alone, ``{"shot": task.k_shot}`` that it also depends on the shots. Called before
        `setup`; must not need heavy imports.
        """
        return None

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what `meta_fit` learnt as plain arrays by name; needs a `training_key`."""
        raise NotImplementedError(f"{type(self).__name__} has a training_key but no state")

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Load what another instance's `state` returned; called after `setup` instead of
        `meta_fit`.
        """
        raise NotImplementedError(f"{type(self).__name__} has a training_key but no load_state")

    def supports(self, task: TaskInfo) -> str | None:
        """Return the reason to decline the task, or None. Must not need heavy imports."""
        if task.kind not in self.card.tasks:
            return f"{self.card.title} has no {task.kind} form"
        return None

    def setup(self, task: TaskInfo, context: Context) -> None:
        """Receive the task and the context; untimed, so import and build models here."""
        self.task, self.context = task, context

    # not abstract: methods without meta-training do not override it
    def meta_fit(  # noqa: B027
        self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context
    ) -> None:
        """Learn from the training classes, for exactly `budget.iterations` iterations."""

    @abstractmethod
    def adapt(self, support: Support) -> Predictor:
        """Adapt to one episode; must not change `self`."""

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        """Adapt to many episodes and predict them at once; called only if the card says `batched`.

        Parameters
        ----------
        support_x : (n_tasks, n_support, *input) float32
        support_y : (n_tasks, n_support) int64, or (n_tasks, n_support, n_outputs) float32
        query_x : (n_tasks, n_query, *input) float32

        Returns
        -------
        (n_tasks, n_query, n_way) probabilities, or (n_tasks, n_query, n_outputs) values, equal to
        those of `adapt` and `predict` up to rounding.
        """
        raise NotImplementedError(f"{type(self).__name__} declares batched=True but has no predict_episodes")

    def metrics(self) -> dict[str, float]:
        """Return further figures to record beside the scores."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Release what `setup` started; always called, also after errors."""


class EmbeddingAdapter(FewShotAdapter):
    """A method that sees an image only through an embedding of that image alone.

    It is always inductive and batched. Since an image's embedding does not depend on its episode,
    the protocol embeds every test image once, however many episodes it occurs in.
    """

    @abstractmethod
    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed images, each independently of the others.

        Parameters
        ----------
        x : (n, *input) float32

        Returns
        -------
        (n, *features) float32
        """

    @abstractmethod
    def classify(
        self, support_z: NDArray[np.float32], support_y: NDArray[Any], query_z: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        """Predict the queries of many episodes from embeddings.

        Parameters
        ----------
        support_z : (n_tasks, n_support, *features) float32
        support_y : (n_tasks, n_support) int64
        query_z : (n_tasks, n_query, *features) float32

        Returns
        -------
        (n_tasks, n_query, n_way) probabilities
        """

    def adapt(self, support: Support) -> Predictor:
        """See the base class."""
        return _EmbeddedSupport(self, self.embed(support.x)[None], support.y[None])

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        """See the base class."""
        return self.classify(self._embed_rows(support_x), support_y, self._embed_rows(query_x))

    def _embed_rows(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed (n_tasks, n, *input)."""
        found = self.embed(x.reshape(-1, *x.shape[2:]))
        return found.reshape(*x.shape[:2], *found.shape[1:])


@dataclass(frozen=True, slots=True)
class _EmbeddedSupport(Predictor):
    method: EmbeddingAdapter
    support_z: NDArray[np.float32]
    support_y: NDArray[Any]

    def predict(self, query_x: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        found: NDArray[np.floating[Any]] = self.method.classify(
            self.support_z, self.support_y, self.method.embed(query_x)[None]
        )[0]
        return found
