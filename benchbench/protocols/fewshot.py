"""The few-shot protocol: meta-train once, then adapt and predict on fixed test episodes.

Test episode `i` of a task depends only on the task's seed and on `i`, so that every method,
whatever its own seed, gets the same episodes in the same order, and a shorter test is a prefix of a
longer one. Support and query rows are shuffled. Methods that embed each image alone embed each
distinct test image once; that time counts as prediction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from benchbench.contracts.fewshot import (
    EmbeddingAdapter,
    EpisodeBatch,
    FewShotAdapter,
    FewShotTask,
    Support,
    TaskInfo,
)
from benchbench.errors import ProtocolViolation
from benchbench.execution.adapters import make_adapter
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, checked_loader, metrics_of
from benchbench.protocols.fewshot_embeddings import EmbeddingTable
from benchbench.protocols.shared_training import train_or_share
from benchbench.registry import get_loader
from benchbench.seeding import generator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchbench.contracts.loading import TaskLoader
    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = [
    "CARDS_STATE_ITERATIONS",
    "CURVES_OF_INCUMBENTS",
    "EXTRA",
    "PACKAGES",
    "PRELOAD",
    "PROTOCOL_VERSION",
    "RECORDS_EVALUATIONS",
    "TIMED_PHASES",
    "UNUSED_BUDGET",
    "budget_iterations",
    "run",
    "stacked",
    "task_facts",
    "test_episodes",
]

PROTOCOL_VERSION = "fewshot/2"
TIMED_PHASES = ("meta_fit", "adapt", "predict")
UNUSED_BUDGET = ("fit_seconds",)
CARDS_STATE_ITERATIONS = True
CURVES_OF_INCUMBENTS = False
RECORDS_EVALUATIONS = False
EXTRA = "fewshot"
PACKAGES = ("torch",)
PRELOAD = ("numpy", "torch", "torch._dynamo")

# batched methods get test episodes in chunks of at most this many bytes of input: a GPU needs many
# at once
CHUNK_BYTES, CUDA_CHUNK_BYTES = 16 * 2**20, 128 * 2**20
ROW_SUM_TOLERANCE = 1e-3
OWN_METRICS = ("log_loss",)


def budget_iterations(cls: type[FewShotAdapter], preset: str, task: str, loader: str, options: dict[str, Any]) -> int:
    """Return the meta-training iterations of a method at a preset, for one task; needs no data."""
    return int(cls.iterations(preset, get_loader(loader).info(task, options)))


def task_facts(task: str, loader: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the task's kind and its episodes' shape; `n_query` counts over all classes."""
    info = get_loader(loader).info(task, options)
    shapes = {name: getattr(info, name) for name in ("kind", "n_way", "k_shot", "n_query")}
    return {**shapes, "input_shape": list(info.input_shape)}


def run(spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
    """Execute one few-shot trial in this process.

    Raises
    ------
    Declined
        If the method declines the task.
    ClusterError
        If the data here differ from the planned ones.
    ProtocolViolation
        If predictions have the wrong shape or are not probabilities.
    """
    with clock.phase("load"):
        loader = checked_loader(spec, fingerprint)
    with clock.phase("import"):
        adapter: FewShotAdapter = make_adapter(spec, harness)
        reason = adapter.supports(loader.info(spec.task, spec.options))
    if reason is not None:
        raise Declined(reason)
    with clock.phase("load"):
        task = loader.load(spec.task, spec.options)
    try:
        with clock.phase("import"):
            adapter.setup(task.info, harness.context)
        adapter, metrics = _meta_train(spec, loader, adapter, task, harness, clock)
        metrics |= metrics_of(adapter, OWN_METRICS)
        return score_episodes(spec, task, adapter, metrics, clock, harness)
    finally:
        with clock.phase("close"):
            adapter.close()


def _meta_train(
    spec: TrialSpec,
    loader: TaskLoader,
    adapter: FewShotAdapter,
    task: FewShotTask,
    harness: TrialHarness,
    clock: PhaseClock,
) -> tuple[FewShotAdapter, dict[str, float]]:
    """Return a trained adapter and metrics; the training may be that of another task."""

    def train(trainee: FewShotAdapter) -> None:
        trainee.meta_fit(task.train, validation=task.validation, budget=spec.budget, context=harness.context)

    def renew() -> FewShotAdapter:
        made: FewShotAdapter = make_adapter(spec, harness)
        made.setup(task.info, harness.context)
        return made

    own, data = adapter.training_key(task.info), loader.training_fingerprint(spec.options)
    key = None
    if own is not None and data is not None:
        key = {
            "training_key": dict(own),
            "training_data": data,
            "kind": task.info.kind,
            "input_shape": list(task.info.input_shape),
            "n_outputs": task.info.n_outputs,
        }
    return train_or_share(spec, adapter, harness, clock, key=key, train=train, renew=renew)


def score_episodes(
    spec: TrialSpec,
    task: FewShotTask,
    adapter: FewShotAdapter,
    metrics: dict[str, float],
    clock: PhaseClock,
    harness: TrialHarness,
) -> ProtocolResult:
    """Score a trained adapter on the task's test episodes; `metrics` are added to the result."""
    scores: list[float] = []
    losses: list[float] = []
    predict = Predict(adapter, task.info, clock)
    chunk_bytes = CUDA_CHUNK_BYTES if spec.device == "cuda" else CHUNK_BYTES
    for batch in test_episodes(task, spec.budget.test_units, chunk_bytes):
        harness.progress(len(scores), spec.budget.test_units, "testing")
        predictions = predict(batch)
        with clock.phase("score"):
            batch_scores, batch_losses = score_batch(predictions, batch.query_y, task.info)
            scores.extend(batch_scores)
            losses.extend(batch_losses)
    if losses:
        metrics["log_loss"] = sum(losses) / len(losses)
    return ProtocolResult(metric=task.metric, unit="episode", unit_scores=scores, metrics=metrics)


def test_episodes(task: FewShotTask, n_episodes: int, chunk_bytes: int | None = None) -> Iterator[EpisodeBatch]:
    """Yield the first `n_episodes` test episodes in chunks of at most `CHUNK_BYTES` by default."""
    import numpy as np

    info = task.info
    n_query_per_class = info.n_query // info.n_way
    size = 4 * int(np.prod(info.input_shape)) * (info.n_way * info.k_shot + info.n_query)
    chunk = max(1, min(n_episodes, (chunk_bytes or CHUNK_BYTES) // size))
    for first in range(0, n_episodes, chunk):
        episodes = []
        for index in range(first, min(first + chunk, n_episodes)):
            rng = generator(task.seed, "test", index)
            one = task.test.sample(rng, n_way=info.n_way, k_shot=info.k_shot, n_query_per_class=n_query_per_class)
            episodes.append(_shuffled(one, rng))
        yield stacked(episodes)


def _shuffled(one: EpisodeBatch, rng: np.random.Generator) -> EpisodeBatch:
    """Shuffle the support and the query rows of a batch of one episode, with their ids."""
    s, q = rng.permutation(one.support_x.shape[1]), rng.permutation(one.query_x.shape[1])
    return EpisodeBatch(
        one.support_x[:, s],
        one.support_y[:, s],
        one.query_x[:, q],
        one.query_y[:, q],
        None if one.support_id is None else one.support_id[:, s],
        None if one.query_id is None else one.query_id[:, q],
    )


def stacked(episodes: list[EpisodeBatch]) -> EpisodeBatch:
    """Return all episodes in one batch; with ids only if every episode has them."""
    import numpy as np

    parts: list[list[Any]] = [[getattr(one, f.name) for one in episodes] for f in fields(EpisodeBatch)]
    joined: list[Any] = [None if any(x is None for x in part) else np.concatenate(part) for part in parts]
    return EpisodeBatch(*joined)


class Predict:
    """Predicts batches of episodes in the fastest way that the adapter offers.

    Use one instance for a whole test.

    Parameters
    ----------
    adapter : FewShotAdapter
        Meta-trained.
    info : TaskInfo
    clock : PhaseClock
        Receives the phases "adapt" and "predict".
    """

    def __init__(self, adapter: FewShotAdapter, info: TaskInfo, clock: PhaseClock) -> None:
        self.adapter, self.info, self.clock = adapter, info, clock
        self._table = EmbeddingTable(adapter) if isinstance(adapter, EmbeddingAdapter) else None

    def __call__(self, batch: EpisodeBatch) -> NDArray[np.floating[Any]]:
        """Return checked predictions (n_tasks, n_query, n_way or n_outputs).

        The adapter receives neither query labels nor ids.
        """
        import numpy as np

        found: Any
        if self._table is not None and batch.support_id is not None and batch.query_id is not None:
            with self.clock.phase("predict"):
                found = self._table.predict(batch)
        elif self.adapter.card.batched:
            with self.clock.phase("predict"):
                found = self.adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        else:
            return np.stack([self._one(batch, i) for i in range(batch.n_tasks)])
        return check_predictions(found, batch.query_x.shape[:2], self.info)

    def _one(self, batch: EpisodeBatch, i: int) -> NDArray[np.floating[Any]]:
        with self.clock.phase("adapt"):
            predictor = self.adapter.adapt(Support(batch.support_x[i], batch.support_y[i], self.info.n_way))
        with self.clock.phase("predict"):
            found = predictor.predict(batch.query_x[i])
        return check_predictions(found, batch.query_x[i].shape[:1], self.info)


def check_predictions(found: Any, lead: tuple[int, ...], info: TaskInfo) -> NDArray[np.floating[Any]]:
    """Return `found` as an array if it obeys the contract.

    Parameters
    ----------
    found : array-like
        What the method returned.
    lead : tuple of int
        (n_query,) or (n_tasks, n_query).
    info : TaskInfo

    Raises
    ------
    ProtocolViolation
        If shape or type is wrong, values are NaN or infinite, or rows are not probabilities.
    """
    import numpy as np

    try:
        array = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProtocolViolation(f"predictions are not numbers but {type(found).__name__}: {error}") from error
    expected = (*lead, info.n_way if info.kind == "classification" else info.n_outputs)
    if array.shape != expected:
        raise ProtocolViolation(f"predictions have shape {array.shape}, expected {expected}")
    if not np.isfinite(array).all():
        raise ProtocolViolation(f"{int((~np.isfinite(array)).sum())} of {array.size} predictions are NaN or infinite")
    if info.kind == "classification":
        if array.min() < -ROW_SUM_TOLERANCE or array.max() > 1 + ROW_SUM_TOLERANCE:
            raise ProtocolViolation(f"probabilities lie in [{array.min():.4g}, {array.max():.4g}], expected [0, 1]")
        worst = float(np.abs(array.sum(axis=-1) - 1).max())
        if worst > ROW_SUM_TOLERANCE:
            raise ProtocolViolation(f"rows of probabilities must sum to 1; one is off by {worst:.4g}")
    return array


def score_batch(
    predictions: NDArray[np.floating[Any]], query_y: NDArray[Any], info: TaskInfo
) -> tuple[list[float], list[float]]:
    """Return one score per episode, and for classification one log loss per episode.

    The score is the accuracy, or minus the mean squared error.

    A true class that ties for the highest probability with `t - 1` others counts 1/t, so that
    constant predictions score exactly chance.
    """
    import numpy as np

    if info.kind == "regression":
        return [float(v) for v in -((predictions - query_y) ** 2).mean(axis=(1, 2))], []
    truth = np.take_along_axis(predictions, query_y[..., None], axis=-1)
    is_top = predictions == predictions.max(axis=-1, keepdims=True)
    hits = np.where(truth[..., 0] == predictions.max(axis=-1), 1.0 / is_top.sum(axis=-1), 0.0)
    losses = -np.log(np.clip(truth[..., 0], 1e-12, 1.0)).mean(axis=1)
    return [float(v) for v in hits.mean(axis=1)], [float(v) for v in losses]
