"""What holds for every few-shot adapter."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.context import Context
from benchbench.contracts.fewshot import EpisodeSource, Support, TaskInfo
from benchbench.execution.harness import TrialHarness
from benchbench.registry import create_method, get_method, methods

# every method of the track that runs in this environment: what holds for all is not to be forgotten for the next one
BUILT_IN = tuple(
    sorted(
        name
        for name, entry in methods().items()
        if entry.card.track == "fewshot"
        and entry.module.startswith("benchbench.methods.")
        and not entry.card.requirements
    )
)
LEARNING = tuple(name for name in BUILT_IN if get_method(name).card.iterations["paper"] > 0)
# rounding of float32 sums in another order, through a few layers
TOLERANCE = 2e-4
# smaller than by default, where a method has such a parameter
SMALLER: dict[str, Any] = {"meta_batch": 4, "train_way": 8, "precision": "float32"}
PARAMS: dict[str, dict[str, Any]] = {
    name: {key: value for key, value in SMALLER.items() if key in inspect.signature(get_method(name).cls).parameters}
    for name in BUILT_IN
}
# over its 12 steps on these 16x16 images rounding now and then grows to 0.01 of a probability when the support is reordered
PARAMS["meta_lstm"]["n_steps"] = 3
# the same over 50 steps of Adam: on an AMD EPYC up to 0.002 between episodes in batches and one by one
PARAMS["reptile"]["test_steps"] = PARAMS["reptile_inductive"]["test_steps"] = 5


@pytest.fixture(autouse=True)
def _few_validation_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbench.methods.fewshot._reporting.VALIDATION_QUERIES", 50)


def fitted(
    name: str, task: TaskInfo, source: EpisodeSource, context: Context, fit: Callable[..., None], iterations: int = 3
) -> Any:
    adapter = create_method(name, PARAMS.get(name, {}))
    assert adapter.supports(task) is None
    adapter.setup(task, context)
    fit(adapter, source, iterations)
    return adapter


def episodes(source: EpisodeSource, task: TaskInfo, n_tasks: int = 4) -> tuple[Any, Any, Any]:
    """Support and queries with their rows shuffled, as the protocol does."""
    rng = np.random.default_rng(5)
    batch = source.sample(rng, n_way=task.n_way, k_shot=task.k_shot, n_query_per_class=3, n_tasks=n_tasks)
    s, q = rng.permutation(batch.support_x.shape[1]), rng.permutation(batch.query_x.shape[1])
    return batch.support_x[:, s], batch.support_y[:, s], batch.query_x[:, q]


def state(adapter: Any) -> list[np.ndarray]:
    """Copies of every tensor the adapter holds."""
    found: list[np.ndarray] = []
    for value in vars(adapter).values():
        if isinstance(value, torch.nn.Module):
            found += [t.detach().numpy().copy() for t in value.state_dict().values()]
        elif isinstance(value, list):
            found += [t.detach().numpy().copy() for t in value if isinstance(t, torch.Tensor)]
    return found


@pytest.mark.parametrize("name", BUILT_IN)
def test_constructor_only_stores(name: str) -> None:
    adapter = create_method(name, PARAMS.get(name, {}))
    for key, value in PARAMS.get(name, {}).items():
        assert getattr(adapter, key) == value
    assert not [key for key in vars(adapter) if key.startswith("_")]


@pytest.mark.parametrize("name", BUILT_IN)
def test_batched_equals_one_by_one(
    name: str, blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    adapter = fitted(name, blob_task, blobs, make_context(), fit)
    support_x, support_y, query_x = episodes(blobs, blob_task)
    together = adapter.predict_episodes(support_x, support_y, query_x)
    apart = [
        adapter.adapt(Support(x, y, blob_task.n_way)).predict(q)
        for x, y, q in zip(support_x, support_y, query_x, strict=True)
    ]
    assert together.shape == (4, 15, 5)
    np.testing.assert_allclose(together.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(together, np.stack(apart), atol=TOLERANCE)


@pytest.mark.parametrize("name", BUILT_IN)
def test_chunked_equals_whole(
    name: str,
    blobs: Any,
    blob_task: TaskInfo,
    make_context: Any,
    fit: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = fitted(name, blob_task, blobs, make_context(), fit)
    support_x, support_y, query_x = episodes(blobs, blob_task)
    whole = adapter.predict_episodes(support_x, support_y, query_x)
    monkeypatch.setattr("benchbench.methods.fewshot._gradient.CPU_CHUNK_VALUES", 1)
    monkeypatch.setattr("benchbench.methods.fewshot._episodic.CHUNK_IMAGES", 7)
    np.testing.assert_allclose(adapter.predict_episodes(support_x, support_y, query_x), whole, atol=TOLERANCE)


@pytest.mark.parametrize("name", BUILT_IN)
def test_same_seed_same_everything(
    name: str, blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    first, second = (fitted(name, blob_task, blobs, make_context(3), fit) for _ in range(2))
    for one, other in zip(state(first), state(second), strict=True):
        np.testing.assert_array_equal(one, other)
    data = episodes(blobs, blob_task)
    np.testing.assert_array_equal(first.predict_episodes(*data), second.predict_episodes(*data))


@pytest.mark.parametrize("name", ["from_scratch", *LEARNING])
def test_another_seed_other_parameters(
    name: str, blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    first, second = (fitted(name, blob_task, blobs, make_context(seed), fit) for seed in (3, 4))
    assert any((one != other).any() for one, other in zip(state(first), state(second), strict=True))


@pytest.mark.parametrize("name", BUILT_IN)
def test_episodes_leave_the_adapter_unchanged(
    name: str, blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    adapter = fitted(name, blob_task, blobs, make_context(), fit)
    support_x, support_y, query_x = episodes(blobs, blob_task)
    before, keys = copy.deepcopy(state(adapter)), set(vars(adapter))
    first = adapter.adapt(Support(support_x[0], support_y[0], 5)).predict(query_x[0])
    adapter.adapt(Support(support_x[1], support_y[1], 5)).predict(query_x[1])
    adapter.predict_episodes(support_x, support_y, query_x)
    assert set(vars(adapter)) == keys
    for one, other in zip(before, state(adapter), strict=True):
        np.testing.assert_array_equal(one, other)
    again = adapter.adapt(Support(support_x[0], support_y[0], 5)).predict(query_x[0])
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_query_depends_on_others_only_if_declared(
    name: str, blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    adapter = fitted(name, blob_task, blobs, make_context(), fit)
    support_x, support_y, query_x = episodes(blobs, blob_task)
    predictor = adapter.adapt(Support(support_x[0], support_y[0], 5))
    alone, among = predictor.predict(query_x[0, :4])[0], predictor.predict(query_x[0])[0]
    assert np.allclose(alone, among, atol=TOLERANCE) is not adapter.card.transductive


@pytest.mark.parametrize("name", BUILT_IN)
def test_order_does_not_matter(
    name: str, blobs: Any, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    adapter = fitted(name, blob_task, blobs, make_context(), fit)
    if adapter.card.ordered:
        pytest.skip("reads the support as a sequence, as its card says")
    support_x, support_y, query_x = episodes(blobs, blob_task)
    s, q = np.random.default_rng(1).permutation(10), np.random.default_rng(2).permutation(15)
    plain = adapter.predict_episodes(support_x, support_y, query_x)
    shuffled = adapter.predict_episodes(support_x[:, s], support_y[:, s], query_x[:, q])
    # Adam divides small gradients by their own size, so training from scratch enlarges rounding
    atol = 2e-3 if name == "from_scratch" else TOLERANCE
    np.testing.assert_allclose(shuffled, plain[:, q], atol=atol)


class Interrupted(Exception):
    pass


def interrupted_at(n: int) -> tuple[list[bytes], Callable[[Callable[[], bytes]], None]]:
    """Return the checkpoints that will have been kept, and what keeps them and interrupts training at the n-th."""
    kept: list[bytes] = []

    def keep(make: Callable[[], bytes]) -> None:
        kept.append(make())
        if len(kept) == n:
            raise Interrupted

    return kept, keep


@pytest.mark.parametrize("name", LEARNING)
def test_training_that_goes_on_from_a_checkpoint_is_the_same_to_the_bit(
    name: str,
    blobs: Any,
    blob_task: TaskInfo,
    make_harness: Callable[..., TrialHarness],
    fit: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "test_steps" in inspect.signature(get_method(name).cls).parameters:
        # of validation, which is most of the time
        monkeypatch.setitem(PARAMS, name, PARAMS[name] | {"test_steps": 2})
    kept, keep = interrupted_at(2)
    whole = fitted(name, blob_task, blobs, make_harness().context, fit)
    harness = make_harness()
    with pytest.raises(Interrupted), harness.checkpoints(keep):
        fitted(name, blob_task, blobs, harness.context, fit)
    with harness.checkpoints(earlier=kept[-1]), harness.recorded() as points:
        continued = fitted(name, blob_task, blobs, harness.context, fit)
    assert {step for step, *_ in points} == {3}
    expected, found = whole.state(), continued.state()
    assert expected.keys() == found.keys()
    for part, values in expected.items():
        np.testing.assert_array_equal(found[part], values, err_msg=part)


def test_names_that_labels_are_given_in_training_go_on_too(
    make_blobs: Any, make_harness: Callable[..., TrialHarness], fit: Any
) -> None:
    """Beyond five ways MANN draws them from torch's generator."""
    task = TaskInfo(name="ten", kind="classification", n_way=10, k_shot=1, n_query=10, input_shape=(1, 16, 16))
    blobs = make_blobs(n_classes=20)
    kept, keep = interrupted_at(2)
    harness = make_harness()
    whole = fitted("mann", task, blobs, harness.context, fit, iterations=4)
    with pytest.raises(Interrupted), harness.checkpoints(keep):
        fitted("mann", task, blobs, harness.context, fit, iterations=4)
    with harness.checkpoints(earlier=kept[-1]):
        continued = fitted("mann", task, blobs, harness.context, fit, iterations=4)
    for part, values in whole.state().items():
        np.testing.assert_array_equal(continued.state()[part], values, err_msg=part)


def test_the_curve_of_continued_training_averages_the_losses_before_the_interruption_too(
    blobs: Any, blob_task: TaskInfo, make_harness: Callable[..., TrialHarness], fit: Any
) -> None:
    """Ten iterations are reported in pairs; the interruption falls between the two of a pair."""
    kept, keep = interrupted_at(3)
    harness = make_harness()
    with harness.recorded() as whole:
        fitted("relation", blob_task, blobs, harness.context, fit, iterations=10)
    with harness.recorded() as continued:
        with pytest.raises(Interrupted), harness.checkpoints(keep):
            fitted("relation", blob_task, blobs, harness.context, fit, iterations=10)
        with harness.checkpoints(earlier=kept[-1]):
            fitted("relation", blob_task, blobs, harness.context, fit, iterations=10)

    def without_seconds(points: list[Any]) -> list[Any]:
        return [(step, metric, value) for step, _, metric, value in points]

    assert whole
    assert without_seconds(continued) == without_seconds(whole)


@pytest.mark.parametrize("name", BUILT_IN)
def test_iterations_for_every_preset(name: str, blob_task: TaskInfo) -> None:
    cls = get_method(name).cls
    quick, standard, paper = (cls.iterations(preset, blob_task) for preset in ("quick", "standard", "paper"))
    assert 0 <= quick <= standard <= paper


@pytest.mark.parametrize("name", LEARNING)
def test_curves_are_reported(
    name: str, blobs: Any, blob_task: TaskInfo, make_harness: Any, fit: Callable[..., None]
) -> None:
    harness = make_harness()
    with harness.recorded() as reported:
        fitted(name, blob_task, blobs, harness.context, fit, iterations=25)
    points = [(step, metric) for step, _, metric, _ in reported]
    steps = [step for step, metric in points if metric == "val_accuracy"]
    assert steps == sorted(set(steps)) and steps[-1] == 25 and 5 <= len(steps) <= 20
    assert [step for step, metric in points if metric == "val_accuracy_ci95"] == steps
    assert [step for step, metric in points if metric == "train_loss"] == steps


@pytest.mark.parametrize("name", ["from_scratch", "maml", "pixel_nn"])
@pytest.mark.parametrize("shape", [(3, 21, 18), (7,)])
def test_other_shapes(
    name: str, shape: tuple[int, ...], make_blobs: Any, make_context: Any, fit: Callable[..., None]
) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=4, k_shot=1, n_query=12, input_shape=shape)
    source = make_blobs(input_shape=shape)
    adapter = fitted(name, task, source, make_context(), fit)
    assert adapter.predict_episodes(*episodes(source, task)).shape == (4, 12, 4)
