"""The few-shot contract: episodes in, class probabilities (or values) out.

Shape glossary, used by everything that touches episodes::

    n_tasks     episodes in a batch
    n_way       classes of an episode; 1 for regression
    k_shot      labelled examples a class (support)
    n_query     examples to predict, over all classes: n_way * n_query_per_class
    n_support   n_way * k_shot
    *input      shape of one example: (channels, height, width) for images in [0, 1], (n_features,) for regression
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
    """Several episodes of one shape, labels included: what an adapter is meta-trained on.

    Parameters
    ----------
    support_x : (n_tasks, n_support, *input) float32
    support_y : (n_tasks, n_support) int64, or (n_tasks, n_support, n_outputs) float32
    query_x : (n_tasks, n_query, *input) float32
    query_y : (n_tasks, n_query) int64, or (n_tasks, n_query, n_outputs) float32
    support_id, query_id : (n_tasks, n_support) and (n_tasks, n_query) int64, optional
        Which example of the split a row is: equal ids, equal examples. They let the protocol embed
        an image once that stands in many test episodes; adapters never see those of test episodes.

    Notes
    -----
    As sampled, classes come in order: the first `k_shot` support rows are class 0, and so on; the
    same for queries. The protocol shuffles both before it tests an adapter, so `adapt` and
    `predict` must go by the labels.
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
    """What an adapter may know of a task before it sees data.

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
    """A supply of episodes from one split. It holds no random state: the caller brings the generator."""

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
            Same state, same episodes.
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
        """Labels that `sample_images` gives; 0 if there are no classes."""
        return 0

    def sample_images(self, rng: np.random.Generator, n_images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw single labelled examples of all classes, for methods that pre-train a classifier.

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
        raise NotImplementedError(f"{type(self).__name__} has no classes to draw labelled examples of")


@dataclass(frozen=True, slots=True, kw_only=True)
class FewShotTask:
    """One loaded task: its description and the three supplies of episodes.

    Parameters
    ----------
    info : TaskInfo
    train, validation, test : EpisodeSource
        Disjoint in classes (for regression: in nothing but the random stream).
    metric : str
        "accuracy" or "neg_mse"; higher is better.
    seed : int
        Fixes the test episodes, so that every method meets the same ones.
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
    """A few-shot method: meta-trained once a task, then adapted to each test episode apart.

    The constructor takes JSON-able keyword arguments and only stores them under their own names.
    The harness calls `supports`, `setup`, `meta_fit`, then `adapt` and `predict` (or
    `predict_episodes`) for every test episode. Nothing learnt in one test episode may reach
    another. Query labels of test episodes are never handed over.
    """

    card: ClassVar[MethodCard]
    task: TaskInfo
    context: Context

    @classmethod
    def iterations(cls, preset: str, task: TaskInfo) -> int:
        """Return the meta-training iterations of `preset` (its plain name) for such a task; by default what the card says."""
        return cls.card.iterations.get(preset, 0)

    def training_key(self, task: TaskInfo) -> Mapping[str, Any] | None:
        """Return all that meta-training takes from the task besides its training and validation data, or None.

        Where it is not None, `meta_fit` must do the same for every task with the same key, and
        `state` and `load_state` must carry over all that it learnt: the harness then trains once
        for all tasks of a suite that share key and training data, and hands the state on. ``{}``
        says that training depends on the data alone; ``{"shot": task.k_shot}`` that it also depends
        on the shots. Called before `setup`; needs no heavy imports.
        """
        return None

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what `meta_fit` learnt, as plain arrays by name; only called if `training_key` is not None."""
        raise NotImplementedError(f"{type(self).__name__} has a training_key but no state")

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what another instance's `state` returned, in place of `meta_fit`; called after `setup`."""
        raise NotImplementedError(f"{type(self).__name__} has a training_key but no load_state")

    def supports(self, task: TaskInfo) -> str | None:
        """Return the reason to decline the task, or None. Must not need heavy imports."""
        if task.kind not in self.card.tasks:
            return f"{self.card.title} has no {task.kind} form"
        return None

    def setup(self, task: TaskInfo, context: Context) -> None:
        """Receive the task's description and the context; untimed, so import and build what is needed here."""
        self.task, self.context = task, context

    # not abstract: methods without meta-training leave it as it is
    def meta_fit(  # noqa: B027
        self, episodes: EpisodeSource, *, validation: EpisodeSource, budget: Budget, context: Context
    ) -> None:
        """Learn from the training classes, for exactly `budget.iterations` iterations."""

    @abstractmethod
    def adapt(self, support: Support) -> Predictor:
        """Adapt to one episode; must leave `self` as it was."""

    def predict_episodes(
        self, support_x: NDArray[np.float32], support_y: NDArray[Any], query_x: NDArray[np.float32]
    ) -> NDArray[np.floating[Any]]:
        """Adapt to and predict many episodes at once; only called if the card says `batched`.

        Parameters
        ----------
        support_x : (n_tasks, n_support, *input) float32
        support_y : (n_tasks, n_support) int64, or (n_tasks, n_support, n_outputs) float32
        query_x : (n_tasks, n_query, *input) float32

        Returns
        -------
        (n_tasks, n_query, n_way) probabilities, or (n_tasks, n_query, n_outputs) values: those that
        `adapt` and `predict` would give, up to rounding.
        """
        raise NotImplementedError(f"{type(self).__name__} declares batched=True but has no predict_episodes")

    def metrics(self) -> dict[str, float]:
        """Return figures of its own, to be recorded beside the scores."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Let go of what `setup` started; called whatever happened."""


class EmbeddingAdapter(FewShotAdapter):
    """A method that sees an image only through an embedding of that image alone.

    It is inductive and batched by nature. Since an image's embedding does not depend on its
    episode, the protocol embeds every test image once, however many episodes it stands in.
    """

    @abstractmethod
    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed images, each by itself.

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
