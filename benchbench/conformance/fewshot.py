"""Probes for few-shot adapters: each runs in a child process on a small task.

The adapter is trained for a few iterations first.

This module is also the runner that the child executes instead of the protocol; the trial's task
names the probe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchbench.conformance import fewshot_training
from benchbench.conformance.base import CheckFailed, NotApplicable
from benchbench.conformance.fewshot_subject import TOLERANCE, Subject, difference
from benchbench.protocols import fewshot as protocol
from benchbench.protocols.base import Declined, PhaseClock, ProtocolResult, metrics_of
from benchbench.registry import create_method, get_loader

if TYPE_CHECKING:
    from benchbench.execution.harness import TrialHarness
    from benchbench.spec import TrialSpec

__all__ = ["PROBES", "PROTOCOL_VERSION", "TASKS", "TIMED_PHASES", "run"]

PROTOCOL_VERSION = protocol.PROTOCOL_VERSION
TIMED_PHASES: tuple[str, ...] = ()

# kind of task -> (loader, options): small enough for a check that takes seconds
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "classification": ("glyphs", {"way": 5, "shot": 1, "query": 5}),
    "regression": ("sinusoid", {"shot": 10, "query": 10}),
}
SCRAMBLED_EPISODES = 100
# sums are rounded differently at another index of a batch; fifty steps of Adam amplify it to 0.005
PLACE_TOLERANCE = 0.05


def run(spec: TrialSpec, fingerprint: str, harness: TrialHarness, clock: PhaseClock) -> ProtocolResult:
    """Train the adapter for a few iterations and run the probe that the trial's task names."""
    loader = get_loader(spec.loader)
    task = loader.load(spec.task, spec.options)
    reason = create_method(spec.method, spec.params).supports(task.info)
    if reason is not None:
        raise Declined(reason)
    PROBES[spec.task](Subject.trained(spec, task, harness))
    return ProtocolResult(metric="passed", unit="check", unit_scores=[1.0])


def check_predictions_keep_the_contract(subject: Subject) -> None:
    """Predictions have the right shape, are finite, and are probabilities where they should be."""
    batch = subject.episodes(4)
    for i in range(4):
        subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i])


def check_query_order_does_not_matter(subject: Subject) -> None:
    """Permuting the queries only permutes the predictions."""
    import numpy as np

    batch = subject.episodes(3)
    rng = np.random.default_rng(0)
    for i in range(3):
        order = rng.permutation(batch.query_x.shape[1])
        plain = subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i])
        permuted = subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i][order])
        if (worst := difference(plain[order], permuted)) > TOLERANCE:
            raise CheckFailed(f"predictions change by up to {worst:.3g} when the queries are permuted")


def check_support_order_does_not_matter(subject: Subject) -> None:
    """Permuting the support set with its labels changes no prediction."""
    import numpy as np

    if subject.adapter.card.ordered:
        raise NotApplicable("declared ordered: it reads the support as a sequence")
    batch = subject.episodes(3)
    rng = np.random.default_rng(1)
    for i in range(3):
        order = rng.permutation(batch.support_x.shape[1])
        plain = subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i])
        permuted = subject.predict(batch.support_x[i][order], batch.support_y[i][order], batch.query_x[i])
        if (worst := difference(plain, permuted)) > TOLERANCE:
            raise CheckFailed(f"predictions change by up to {worst:.3g} when the support set is permuted")


def check_queries_are_predicted_alone_unless_transductive(subject: Subject) -> None:
    """An inductive method's prediction for a query does not depend on other queries."""
    if subject.adapter.card.transductive:
        raise NotApplicable("declared transductive")
    batch = subject.episodes(3)
    for i in range(3):
        n = batch.query_x.shape[1] // 2
        whole = subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i])
        part = subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i][:n])
        if (worst := difference(whole[:n], part)) > TOLERANCE:
            raise CheckFailed(
                f"predictions change by up to {worst:.3g} with the other queries: declare transductive=True on the card"
            )


def check_no_state_between_episodes(subject: Subject) -> None:
    """Adapting to other episodes in between changes no prediction, single or batched."""
    batch = subject.episodes(4)
    first = subject.predict(batch.support_x[0], batch.support_y[0], batch.query_x[0])
    for i in range(1, 4):
        subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i])
    again = subject.predict(batch.support_x[0], batch.support_y[0], batch.query_x[0])
    if (worst := difference(first, again)) > TOLERANCE:
        raise CheckFailed(
            f"the same episode is predicted differently later, by up to {worst:.3g}: adapt must not change the adapter"
        )
    if not subject.adapter.card.batched:
        return
    together = subject.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    order = [3, 2, 1, 0]
    backwards = subject.predict_episodes(batch.support_x[order], batch.support_y[order], batch.query_x[order])
    again = subject.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    if (worst := difference(together, again)) > TOLERANCE:
        raise CheckFailed(
            f"the same episodes are predicted differently later, by up to {worst:.3g}:"
            " predict_episodes must not change the adapter"
        )
    if (worst := difference(together[order], backwards)) > PLACE_TOLERANCE:
        raise CheckFailed(
            f"the same episodes in another order are predicted differently by up to {worst:.3g}:"
            " predict_episodes must treat each episode separately"
        )


def check_input_is_left_alone(subject: Subject) -> None:
    """Neither support nor query arrays are written to."""
    batch = subject.episodes(1)
    before = [a.copy() for a in (batch.support_x, batch.support_y, batch.query_x)]
    subject.predict(batch.support_x[0], batch.support_y[0], batch.query_x[0])
    for name, old, new in zip(
        ("support_x", "support_y", "query_x"), before, (batch.support_x, batch.support_y, batch.query_x), strict=True
    ):
        if not (old == new).all():
            raise CheckFailed(f"{name} was changed in place")


def check_batched_equals_one_by_one(subject: Subject) -> None:
    """`predict_episodes` returns what `adapt` and `predict` return."""
    if not subject.adapter.card.batched:
        raise NotApplicable("not declared batched")
    batch = subject.episodes(4)
    together = subject.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    for i in range(4):
        alone = subject.predict(batch.support_x[i], batch.support_y[i], batch.query_x[i])
        if (worst := difference(together[i], alone)) > TOLERANCE:
            raise CheckFailed(f"batched predictions differ from single ones by up to {worst:.3g}")


def check_metrics_are_numbers(subject: Subject) -> None:
    """`metrics` returns numbers by name, after training and prediction."""
    batch = subject.episodes(1)
    subject.predict(batch.support_x[0], batch.support_y[0], batch.query_x[0])
    metrics_of(subject.adapter, protocol.OWN_METRICS)


def check_scrambled_labels_fall_to_chance(subject: Subject) -> None:
    """With scrambled support labels accuracy is at chance: no query labels leak."""
    import numpy as np

    if subject.task.info.kind != "classification":
        raise NotApplicable("classification only")
    batch = subject.episodes(SCRAMBLED_EPISODES)
    rng = np.random.default_rng(2)
    scores: list[float] = []
    for i in range(SCRAMBLED_EPISODES):
        # each row gets the label of another; with one shot this permutes the classes at random, and
        # one in `n_way` keeps its label
        labels = rng.permutation(batch.support_y[i])
        predictions = subject.predict(batch.support_x[i], labels, batch.query_x[i])
        scores += protocol.score_batch(predictions[None], batch.query_y[i][None], subject.task.info)[0]
    mean, chance = float(np.mean(scores)), 1 / subject.task.info.n_way
    error = float(np.std(scores, ddof=1)) / len(scores) ** 0.5
    # five standard errors: one false alarm in millions of checks
    if abs(mean - chance) > 5 * max(error, 1e-3):
        raise CheckFailed(
            f"accuracy with scrambled labels is {mean:.3f}, chance is {chance:.3f} (standard error {error:.3f})"
        )


PROBES: dict[str, Callable[[Subject], None]] = {
    probe.__name__: probe
    for probe in (
        check_predictions_keep_the_contract,
        check_query_order_does_not_matter,
        check_support_order_does_not_matter,
        check_queries_are_predicted_alone_unless_transductive,
        check_no_state_between_episodes,
        check_input_is_left_alone,
        check_batched_equals_one_by_one,
        check_metrics_are_numbers,
        check_scrambled_labels_fall_to_chance,
        *fewshot_training.PROBES,
    )
}
