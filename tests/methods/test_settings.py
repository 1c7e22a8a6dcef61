"""What methods take from their papers by default: on drawings those of Omniglot, on photographs those of miniImageNet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot import _gradient
from benchbench.methods.fewshot._backbones import ConvNet, make_network
from benchbench.methods.fewshot._episodic import EpisodeShape
from benchbench.methods.fewshot._learned_init import LearnedInitialisation
from benchbench.methods.fewshot.anil import ANIL
from benchbench.methods.fewshot.fomaml import FirstOrderMAML
from benchbench.methods.fewshot.maml import MAML
from benchbench.methods.fewshot.maml_inductive import InductiveMAML
from benchbench.methods.fewshot.matching import MatchingNet
from benchbench.methods.fewshot.meta_lstm import MetaLSTM
from benchbench.methods.fewshot.meta_sgd import MetaSGD
from benchbench.methods.fewshot.proto_maml import ProtoMAML
from benchbench.methods.fewshot.protonet import ProtoNet
from benchbench.methods.fewshot.relation import RelationNet
from benchbench.methods.fewshot.reptile import Reptile


def task(way: int, shot: int, colour: bool) -> TaskInfo:
    shape = (3, 84, 84) if colour else (1, 28, 28)
    return TaskInfo(
        name="t", kind="classification", n_way=way, k_shot=shot, n_query=15 * way if colour else way, input_shape=shape
    )


def steps(method: Any, preset: str, info: TaskInfo) -> list[float]:
    """Return rate and number of inner steps, in meta-training and at test."""
    found = method.settings_at(preset, info)
    return [found[key] for key in ("train_rate", "train_steps", "inner_rate", "test_steps")]


@pytest.mark.parametrize(
    ("method", "way", "shot", "colour", "expected"),
    [
        (ProtoNet, 5, 1, False, (60, 1, 5)),
        (ProtoNet, 20, 5, False, (60, 5, 5)),
        (ProtoNet, 5, 1, True, (30, 1, 15)),
        (ProtoNet, 5, 5, True, (20, 5, 15)),
        (MatchingNet, 5, 1, False, (60, 1, 5)),
        (MatchingNet, 5, 5, True, (5, 5, 15)),
        (RelationNet, 5, 1, True, (5, 1, 15)),
        (RelationNet, 5, 5, True, (5, 5, 10)),
    ],
)
def test_training_episodes(method: Any, way: int, shot: int, colour: bool, expected: tuple[int, int, int]) -> None:
    n_way, k_shot, n_query = expected
    found = method().episode_shape(task(way, shot, colour))
    assert found == EpisodeShape(n_way=n_way, k_shot=k_shot, n_query_per_class=n_query)


def test_networks_of_photographs_pool() -> None:
    """Those of miniImageNet have 32 filters and 5x5 positions at the end, those of drawings 64 and 2x2, by strides."""
    photographs, drawings = make_network(task(5, 1, True)), make_network(task(5, 1, False))
    assert isinstance(photographs, ConvNet) and isinstance(drawings, ConvNet)
    assert (photographs.pools, photographs.n_filters, photographs.n_features) == (True, 32, 800)
    assert (drawings.pools, drawings.n_filters, drawings.n_features) == (False, 64, 256)


def test_quick_reptile_keeps_the_papers_rate_on_photographs() -> None:
    """From three times that rate, which serves drawings, it learns nothing there."""
    found = {colour: Reptile.settings_at("quick", task(5, 5, colour)) for colour in (False, True)}
    assert [found[colour]["inner_rate"] for colour in (False, True)] == [3e-3, 1e-3]
    assert [found[colour]["meta_batch"] for colour in (False, True)] == [2, 2]
    assert Reptile.settings_at("standard", task(5, 5, False))["inner_rate"] == 1e-3


@pytest.mark.parametrize(
    ("method", "rate", "n_steps"),
    [(MAML, 0.4, 1), (InductiveMAML, 0.4, 1), (ANIL, 0.4, 1), (FirstOrderMAML, 0.2, 2)],
)
def test_quick_training_takes_few_long_steps_and_the_test_more_short_ones(
    method: Any, rate: float, n_steps: int
) -> None:
    """On drawings, with few and many ways; elsewhere the paper's."""
    few, many, standard, photographs = (
        steps(method, preset, t)
        for preset, t in [
            ("quick", task(5, 1, False)),
            ("quick", task(20, 1, False)),
            ("standard", task(20, 1, False)),
            ("quick", task(20, 1, True)),
        ]
    )
    assert few == many == [rate, n_steps, 0.1, 5]
    assert standard == [0.1, 5, 0.1, 5]
    # 0.01 of a loss that is summed over five classes
    assert photographs == [0.05, 5, 0.05, 10]


@pytest.mark.parametrize(
    ("method", "trained", "papers"),
    [
        (MAML, [0.4, 1], [0.4, 3]),
        (InductiveMAML, [0.4, 1], [0.4, 3]),
        (ANIL, [0.4, 1], [0.4, 3]),
        (FirstOrderMAML, [0.1, 3], [0.1, 3]),
        (ProtoMAML, [0.01, 1], [0.01, 3]),
    ],
)
def test_standard_training_is_the_papers_and_the_test_takes_more_short_steps(
    method: Any, trained: list[float], papers: list[float]
) -> None:
    """Up to 10 ways, on drawings; Proto-MAML keeps the steps of its own at test."""
    short = papers if method is ProtoMAML else [0.1, 5]
    assert steps(method, "standard", task(5, 1, False)) == trained + short
    assert steps(method, "paper", task(5, 1, False)) == trained + papers
    rate = 0.01 if method is ProtoMAML else 0.05
    assert steps(method, "standard,threads=1", task(5, 1, True)) == [rate, 5, rate, 10]


@pytest.mark.parametrize(("preset", "n_steps", "rate"), [("quick", 5, 0.1), ("standard", 5, 0.1), ("paper", 3, 0.4)])
def test_steps_at_test_go_with_what_was_learnt(
    preset: str, n_steps: int, rate: float, make_blobs: Any, blob_task: TaskInfo, make_context: Any
) -> None:
    """An adapter that loads it knows nothing of the preset; what its constructor was given comes first."""
    adapter, loaded, given = MAML(meta_batch=2), MAML(), MAML(test_steps=7, inner_rate=0.2)
    for each in (adapter, loaded, given):
        each.setup(blob_task, make_context())
    source = make_blobs()
    adapter.meta_fit(source, validation=source, budget=Budget(preset=preset, iterations=1), context=adapter.context)
    for each in (loaded, given):
        each.load_state(adapter.state())
    assert [loaded.value(name) for name in MAML.at_test] == [n_steps, rate]
    assert [given.value(name) for name in MAML.at_test] == [7, 0.2]
    batch = source.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query_per_class=3)
    found, again = (
        each.predict_episodes(batch.support_x, batch.support_y, batch.query_x) for each in (adapter, loaded)
    )
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize(
    ("given", "rates"),
    [
        ({}, (0.4, 0.1)),
        ({"train_rate": 0.3}, (0.3, 0.1)),
        ({"inner_rate": 0.2}, (0.2, 0.2)),
        ({"inner_rate": 0.2, "train_rate": 0.3}, (0.3, 0.2)),
    ],
)
def test_a_given_inner_rate_holds_for_training_as_well(
    given: dict[str, float],
    rates: tuple[float, float],
    make_blobs: Any,
    make_context: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: dict[str, float] = {}

    def spied(name: str) -> None:
        inner = getattr(_gradient, name)

        def spy(*args: Any, **more: Any) -> Any:
            used[name] = more["rate"]
            return inner(*args, **more)

        monkeypatch.setattr(_gradient, name, spy)

    spied("meta_gradient")
    spied("adapt")
    info = task(20, 1, False)
    adapter = MAML(**given)
    adapter.setup(info, make_context())
    source = make_blobs(n_classes=20, input_shape=info.input_shape)
    adapter.meta_fit(source, validation=source, budget=Budget(preset="quick", iterations=1), context=adapter.context)
    batch = source.sample(np.random.default_rng(0), n_way=20, k_shot=1, n_query_per_class=1)
    adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    assert (used["meta_gradient"], used["adapt"]) == rates


@pytest.mark.parametrize(("preset", "n_parts"), [("quick", 5), ("standard", 5), ("paper", 1)])
def test_short_of_its_budget_meta_sgd_takes_its_step_at_test_in_parts(
    preset: str, n_parts: int, make_blobs: Any, blob_task: TaskInfo, make_context: Any
) -> None:
    """Also where what was learnt is loaded, which knows nothing of the preset."""
    adapter, loaded, whole = MetaSGD(meta_batch=2), MetaSGD(), MetaSGD(test_steps=n_parts)
    for each in (adapter, loaded, whole):
        each.setup(blob_task, make_context())
    source = make_blobs()
    adapter.meta_fit(source, validation=source, budget=Budget(preset=preset, iterations=1), context=adapter.context)
    state = adapter.state()
    loaded.load_state(state)
    # as many steps of a part of the rates
    whole.load_state({**state, "parts": np.array(1)})
    whole._rates = [rate / n_parts for rate in whole._rates]
    batch = source.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query_per_class=3)
    found, *others = (
        each.predict_episodes(batch.support_x, batch.support_y, batch.query_x) for each in (adapter, loaded, whole)
    )
    for other in others:
        np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize(("colour", "gate"), [(False, 0.3), (True, 0.05)])
def test_the_meta_lstm_starts_with_smaller_steps_on_photographs(colour: bool, gate: float, make_context: Any) -> None:
    adapter = MetaLSTM()
    adapter.setup(task(5, 1, colour), make_context())
    assert torch.sigmoid(adapter._network.gate_bias)[1].item() == pytest.approx(gate)


def test_standard_iterations_count_the_tasks_of_a_meta_batch() -> None:
    """The paper has 32 tasks up to 10 ways and 16 beyond; at the quick preset there are always 2."""
    found = {
        (preset, way, shot): MAML.iterations(preset, task(way, shot, False))
        for preset in ("quick", "standard")
        for way, shot in [(5, 1), (5, 5), (20, 1), (20, 5)]
    }
    assert [found["standard", *cell] for cell in [(5, 1), (5, 5), (20, 1), (20, 5)]] == [3000, 800, 400, 80]
    assert [found["quick", *cell] for cell in [(5, 1), (5, 5), (20, 1), (20, 5)]] == [1200, 800, 1000, 200]


@pytest.mark.parametrize(
    ("method", "quick", "standard"),
    [
        # with ANIL's steps for the head alone, and without second derivatives, an iteration takes less than MAML's
        (ANIL, [1800, 1200, 1500, 300], [4500, 1200, 600, 120]),
        (FirstOrderMAML, [1600, 1066, 1333, 266], [3000, 800, 1333, 266]),
        (MetaSGD, [1200, 800, 1000, 200], [3000, 800, 2000, 400]),
    ],
)
def test_as_many_iterations_as_take_as_long(method: Any, quick: list[int], standard: list[int]) -> None:
    cells = [(5, 1), (5, 5), (20, 1), (20, 5)]
    assert [method.iterations("quick", task(*cell, False)) for cell in cells] == quick
    assert [method.iterations("standard", task(*cell, False)) for cell in cells] == standard


@pytest.mark.parametrize("method", [MAML, FirstOrderMAML, MetaSGD, Reptile, MetaLSTM])
def test_large_photographs_have_fewer_quick_iterations(method: Any) -> None:
    large, small = task(5, 1, True), replace(task(5, 1, True), input_shape=(3, 32, 32))
    quick, standard, paper = (
        [method.iterations(preset, t) for t in (large, small)] for preset in ("quick", "standard", "paper")
    )
    assert quick[0] == pytest.approx(quick[1] / 3, abs=1)
    assert standard[0] == standard[1] > 3 * quick[1] and paper[0] == paper[1] > standard[0]


@pytest.mark.parametrize(
    ("method", "way", "shot", "colour", "expected"),
    [
        (LearnedInitialisation, 5, 1, False, {"meta_batch": 32, "inner_rate": 0.4, "train_steps": 1, "test_steps": 3}),
        (LearnedInitialisation, 5, 5, True, {"meta_batch": 2, "inner_rate": 0.05, "train_steps": 5, "test_steps": 10}),
        (FirstOrderMAML, 5, 1, False, {"inner_rate": 0.1, "train_steps": 3, "train_queries": 1}),
        (FirstOrderMAML, 5, 1, True, {"inner_rate": 0.05, "train_steps": 5, "train_queries": 15}),
        (ANIL, 5, 1, True, {"meta_batch": 4, "inner_rate": 0.05, "train_steps": 5, "test_steps": 10}),
        (MetaSGD, 20, 1, False, {"inner_rate": 0.4, "train_steps": 1, "test_steps": 1}),
        (MetaSGD, 5, 1, True, {"inner_rate": 0.05, "train_steps": 1, "test_steps": 1, "train_queries": 15}),
        (ProtoMAML, 5, 1, False, {"inner_rate": 0.01, "train_steps": 1}),
        (ProtoMAML, 5, 1, True, {"inner_rate": 0.01, "train_steps": 5}),
        (Reptile, 5, 1, False, {"inner_batch": 10, "train_steps": 5, "train_shots": 10, "test_steps": 50}),
        (Reptile, 5, 5, False, {"test_steps": 15}),
        (Reptile, 20, 5, False, {"inner_batch": 20, "train_steps": 10, "inner_rate": 5e-4, "test_steps": 10}),
        (Reptile, 5, 1, True, {"inner_batch": 10, "train_steps": 8, "train_shots": 15, "test_steps": 50}),
    ],
)
def test_gradient_steps(method: Any, way: int, shot: int, colour: bool, expected: dict[str, Any]) -> None:
    found = method.settings(task(way, shot, colour))
    assert {name: found[name] for name in expected} == expected
