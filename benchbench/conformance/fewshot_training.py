"""Probes of training, shared training and embeddings of few-shot adapters."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from benchbench import artefacts
from benchbench.conformance.base import CheckFailed, NotApplicable
from benchbench.conformance.fewshot_subject import TOLERANCE, Subject, difference
from benchbench.contracts.fewshot import EmbeddingAdapter, FewShotTask
from benchbench.errors import ProtocolViolation
from benchbench.protocols.fewshot_embeddings import EmbeddingTable
from benchbench.registry import create_method, get_loader

__all__ = ["PROBES"]

# a few of bfloat16's rounding steps (1/256) may add up; batch statistics would differ far more
EMBEDDING_TOLERANCE = 0.05

# how other tasks differ from the probe's, most first; the adapter's key says which of them share
# training
OTHERS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "classification": (
        {"way": 3, "shot": 2, "query": 4},
        {"shot": 2},
        {"way": 3},
        {"query": 8},
    ),
    "regression": ({"shot": 5, "query": 20}, {"query": 20}),
}


def check_global_random_state_does_not_matter(subject: Subject) -> None:
    """Neither training nor prediction uses the global random state of Python, numpy or torch."""
    if not subject.adapter.card.deterministic:
        raise NotApplicable("declared not deterministic")
    batch = subject.episodes(3)
    _seed_globally(1)
    first = subject.predict_all(batch)
    # forked children inherit numpy's state, so two processes with one seed would agree anyway
    _seed_globally(2)
    second = Subject.trained(subject.spec, subject.task, subject.harness)
    _seed_globally(3)
    if (worst := difference(first, second.predict_all(batch))) > TOLERANCE:
        raise CheckFailed(
            f"predictions change by up to {worst:.3g} with the global random state: take generators from the context"
        )


def _seed_globally(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


def check_shared_training_is_sound(subject: Subject) -> None:
    """A state loaded for another task with the same training key predicts as if trained for it."""
    key = create_method(subject.spec.method, subject.spec.params).training_key(subject.task.info)
    if key is None:
        raise NotApplicable("its training is not shared")
    try:
        state = artefacts.unpack(artefacts.pack(subject.adapter.state()))
    except ProtocolViolation as error:
        raise CheckFailed(str(error)) from error
    # at the least a new instance for the same task
    other = next((task for task in _other_tasks(subject) if _training_key(subject, task) == key), subject.task)
    taken = Subject.new(subject.spec, other, subject.harness)
    taken.adapter.load_state(state)
    learnt = Subject.trained(subject.spec, other, subject.harness)
    batch = learnt.episodes(3)
    if (worst := difference(learnt.predict_all(batch), taken.predict_all(batch))) > TOLERANCE:
        info = other.info
        raise CheckFailed(
            f"with the state learnt for another task of training key {dict(key)}, predictions for {info.n_way} ways,"
            f" {info.k_shot} shots and {info.n_query} queries differ by up to {worst:.3g} from those after training for it"
        )


class _Interrupted(Exception):
    """Simulates the end of the process."""


def check_training_continues_to_the_same_end(subject: Subject) -> None:
    """Training resumed from a checkpoint learns and reports the same as without interruption."""
    if not subject.adapter.card.deterministic:
        raise NotApplicable("declared not deterministic")
    kept: list[bytes] = []

    def keep(make: Callable[[], bytes]) -> None:
        kept.append(make())
        if len(kept) == 2:
            raise _Interrupted

    harness = subject.harness
    with harness.recorded() as begun, harness.checkpoints(keep), suppress(_Interrupted):
        Subject.trained(subject.spec, subject.task, harness)
    if not kept:
        raise NotApplicable("it offers no checkpoints")
    # the state of torch's generators in another process is unknown
    _seed_globally(4)
    with harness.recorded() as ended, harness.checkpoints(earlier=kept[-1]):
        continued = Subject.trained(subject.spec, subject.task, harness)
    with harness.recorded() as whole:
        at_once = Subject.trained(subject.spec, subject.task, harness)
    batch = subject.episodes(3)
    if (worst := difference(at_once.predict_all(batch), continued.predict_all(batch))) > TOLERANCE:
        raise CheckFailed(
            f"predictions after resumed training differ by up to {worst:.3g} from those after uninterrupted training"
        )
    if not _same_state(at_once, continued):
        raise CheckFailed("the state after resumed training is not bit-identical to that after uninterrupted training")
    curves = [
        [(step, metric, repr(value)) for step, _, metric, value in points] for points in ([*begun, *ended], whole)
    ]
    if curves[0] != curves[1]:
        raise CheckFailed(f"resumed training reported {curves[0]}, uninterrupted training {curves[1]}")


def _same_state(one: Subject, other: Subject) -> bool:
    """Return whether two trained adapters have the same state; True if training is not shared."""
    import numpy as np

    if one.adapter.training_key(one.task.info) is None:
        return True
    states = one.adapter.state(), other.adapter.state()
    return states[0].keys() == states[1].keys() and all(
        np.array_equal(value, states[1][name], equal_nan=value.dtype.kind in "fc") for name, value in states[0].items()
    )


def _training_key(subject: Subject, task: FewShotTask) -> Mapping[str, Any] | None:
    adapter = create_method(subject.spec.method, subject.spec.params)
    return adapter.training_key(task.info) if adapter.supports(task.info) is None else None


def _other_tasks(subject: Subject) -> Iterator[FewShotTask]:
    loader = get_loader(subject.spec.loader)
    for change in OTHERS[subject.task.info.kind]:
        yield loader.load(subject.spec.task, {**subject.spec.options, **change})


def check_images_are_embedded_alone(subject: Subject) -> None:
    """The embedding of an image depends neither on other images of the batch nor on its index."""
    import numpy as np

    adapter = _embedding_adapter(subject)
    images = subject.episodes(2).query_x
    images = images.reshape(-1, *images.shape[2:])
    together = np.asarray(adapter.embed(images))
    order = np.random.default_rng(3).permutation(len(images))
    parts = np.split(order, [1, len(order) // 3])
    apart = np.concatenate([np.asarray(adapter.embed(images[part])) for part in parts])
    worst = float(np.abs(apart - together[order]).max() / max(1e-6, float(np.abs(together).max())))
    if worst > EMBEDDING_TOLERANCE:
        raise CheckFailed(f"embeddings change by up to {worst:.3g} of the largest with the other images of the batch")


def check_embedding_once_changes_nothing(subject: Subject) -> None:
    """Predictions from images embedded once equal those from whole episodes."""
    adapter, batch = _embedding_adapter(subject), subject.episodes(4)
    if batch.support_id is None or batch.query_id is None:
        raise NotApplicable("the episodes of this task carry no ids")
    once = EmbeddingTable(adapter).predict(batch)
    for name, found in (
        ("predict_episodes", subject.predict_episodes(batch.support_x, batch.support_y, batch.query_x)),
        ("adapt and predict", subject.predict_all(batch)),
    ):
        if (worst := difference(found, once)) > TOLERANCE:
            raise CheckFailed(f"embed and classify give predictions that differ from {name} by up to {worst:.3g}")


def _embedding_adapter(subject: Subject) -> EmbeddingAdapter:
    if not isinstance(subject.adapter, EmbeddingAdapter):
        raise NotApplicable("not an EmbeddingAdapter")
    return subject.adapter


PROBES: tuple[Callable[[Subject], None], ...] = (
    check_global_random_state_does_not_matter,
    check_shared_training_is_sound,
    check_training_continues_to_the_same_end,
    check_images_are_embedded_alone,
    check_embedding_once_changes_nothing,
)
