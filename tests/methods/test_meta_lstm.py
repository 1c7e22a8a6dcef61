"""Meta-LSTM: its cells by hand, its parts against plain torch in float64, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import EpisodeSource, TaskInfo
from benchbench.methods.fewshot._backbones import ConvNet
from benchbench.methods.fewshot._meta_lstm import MetaLearner, lstm_step, preprocess, state_update
from benchbench.methods.fewshot.meta_lstm import MetaLSTM
from benchbench.suites._pools import SinePool


def test_preprocessing_by_hand() -> None:
    """Andrychowicz 2016, appendix A, with p = 10."""
    found = preprocess(torch.tensor([math.exp(-5), -math.exp(3), math.exp(-11), -math.exp(-12), 0.0]))
    expected = torch.tensor([[-0.5, 0.3, -1.0, -1.0, -1.0], [1.0, -1.0, math.exp(-1), -math.exp(-2), 0.0]])
    torch.testing.assert_close(found, expected)


def test_state_update_by_hand() -> None:
    """One parameter of 2, gradient 3; gates depend on the hidden unit, on the parameter and on their own last value."""
    weight = torch.tensor([[0.5, 0.25, 1.0], [-1.0, 0.5, 2.0]], dtype=torch.float64)
    bias = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    h, theta = torch.tensor([[0.4]], dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    last, grad = torch.tensor([[0.9], [0.1]], dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64)
    forget = 1 / (1 + math.exp(-(0.5 * 0.4 + 0.25 * 2 + 1.0 * 0.9 + 1)))
    take = 1 / (1 + math.exp(-(-1.0 * 0.4 + 0.5 * 2 + 2.0 * 0.1 - 2)))
    found, gates = state_update(weight, bias, h, theta, last, grad)
    assert gates.flatten().tolist() == pytest.approx([forget, take], rel=1e-12)
    assert found.item() == pytest.approx(forget * 2 - take * 3, rel=1e-12)


def test_first_lstm_is_an_ordinary_one() -> None:
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(4, 3, dtype=torch.float64)
    # torch has the order input, forget, cell, output
    rows = torch.cat([torch.arange(6), torch.arange(9, 12), torch.arange(6, 9)])
    weight = torch.cat([cell.weight_ih, cell.weight_hh], 1)[rows]
    bias = (cell.bias_ih + cell.bias_hh)[rows, None]
    x, h, c = (torch.randn(n, 7, dtype=torch.float64) for n in (4, 3, 3))
    expected = cell(x.T, (h.T, c.T))
    for found, wanted in zip(lstm_step(weight, bias, x, h, c), expected, strict=True):
        torch.testing.assert_close(found, wanted.T)


def _meta_learner(n_steps: int = 3) -> MetaLearner:
    generator = torch.Generator().manual_seed(0)
    network = ConvNet((1, 8, 8), 3, n_filters=4, n_layers=2)
    made = MetaLearner(network, n_steps=n_steps, n_hidden=5, input_gate=0.1, forget_bias=4.0, generator=generator)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3, generator=generator)
    return made.double()


def _plain_learner(theta: torch.Tensor, x: torch.Tensor, moments_of: torch.Tensor) -> torch.Tensor:
    """Outputs of one learner for `x` by torch's own layers, normalised by the moments of other images."""
    sizes = [(9, 4), (4,), (4,), (36, 4), (4,), (4,), (16, 3), (3,)]
    parts = [p.reshape(s) for p, s in zip(theta.split([math.prod(s) for s in sizes]), sizes, strict=True)]
    both = torch.cat([moments_of, x])
    n = len(moments_of)
    for layer, n_in in enumerate((1, 4)):
        kernel = parts[3 * layer].reshape(3, 3, n_in, 4).permute(3, 2, 0, 1)
        z = F.conv2d(both, kernel, stride=2, padding=1)
        mean, var = z[:n].mean((0, 2, 3)), z[:n].var((0, 2, 3), unbiased=False)
        z = (z - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        both = F.relu(z * parts[3 * layer + 1][:, None, None] + parts[3 * layer + 2][:, None, None])
    return both.permute(0, 2, 3, 1).flatten(1)[n:] @ parts[6] + parts[7]


def test_learning_and_its_gradient_equal_a_plain_loop() -> None:
    """Coordinate by coordinate with `LSTMCell`, task by task, in float64."""
    learner = _meta_learner()
    rng = torch.Generator().manual_seed(1)
    support_x = torch.rand(2, 6, 1, 8, 8, generator=rng, dtype=torch.float64)
    query_x = torch.rand(2, 4, 1, 8, 8, generator=rng, dtype=torch.float64)
    support_y, query_y = torch.tensor([[0, 1, 2, 0, 1, 2]] * 2), torch.tensor([[2, 1, 0, 1], [0, 0, 1, 2]])
    loss = learner.loss(support_x, support_y, query_x, query_y)
    found = torch.autograd.grad(loss, list(learner.parameters()))

    total = torch.zeros((), dtype=torch.float64)
    for t in range(2):
        theta = learner.start
        h = c = torch.zeros(len(theta), 5, dtype=torch.float64)
        gates = torch.sigmoid(learner.gate_bias).T.expand(len(theta), 2)
        for _ in range(3):
            leaf = theta.detach().requires_grad_()
            inner = F.cross_entropy(_plain_learner(leaf, support_x[t], support_x[t]), support_y[t])
            (grad,) = torch.autograd.grad(inner, leaf)
            seen = torch.cat([preprocess(grad).T, preprocess(inner.detach()).expand(len(theta), 2)], 1)
            z = torch.cat([seen, h], 1) @ learner.lstm_weight.T + learner.lstm_bias.T
            i, f, o, g = z.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            known = torch.cat([h, theta[:, None]], 1) @ learner.gate_weight[:, :-1].T + learner.gate_bias.T
            gates = torch.sigmoid(known + gates * learner.gate_weight[:, -1])
            theta = gates[:, 0] * theta - gates[:, 1] * grad
        total = total + F.cross_entropy(_plain_learner(theta, query_x[t], support_x[t]), query_y[t])
    torch.testing.assert_close(loss, total, rtol=1e-9, atol=1e-11)
    for one, other in zip(found, torch.autograd.grad(total, list(learner.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    ("k_shot", "preset", "params", "expected"),
    [(1, "paper", {}, 12), (5, "paper", {}, 5), (1, "quick", {}, 5), (1, "quick", {"n_steps": 2}, 2)],
)
def test_steps_are_the_papers_but_for_the_quick_preset(
    k_shot: int, preset: str, params: dict[str, Any], expected: int, blobs: EpisodeSource, make_context: Any
) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=5, k_shot=k_shot, n_query=5, input_shape=(1, 16, 16))
    adapter = MetaLSTM(n_hidden=2, **params)
    adapter.setup(task, make_context())
    adapter.meta_fit(blobs, validation=blobs, budget=Budget(preset=preset, iterations=1), context=adapter.context)
    assert int(adapter._network.n_steps) == expected
    again = MetaLSTM(n_hidden=2, **params)
    again.setup(task, make_context(1))
    again.load_state(adapter.state())
    assert int(again._network.n_steps) == expected


def test_learns_to_train_on_images(
    blobs: EpisodeSource, blob_task: TaskInfo, make_context: Any, fit: Callable[..., None]
) -> None:
    def accuracy(iterations: int) -> float:
        adapter = MetaLSTM(n_steps=3, n_hidden=4)
        adapter.setup(blob_task, make_context())
        fit(adapter, blobs, iterations)
        batch = blobs.sample(np.random.default_rng(0), n_way=5, k_shot=2, n_query_per_class=5, n_tasks=20)
        found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        return float((found.argmax(-1) == batch.query_y).mean())

    assert accuracy(40) > accuracy(0) + 0.1


def test_learns_to_fit_waves(wave_task: TaskInfo, make_context: Any, fit: Callable[..., None]) -> None:
    def error(iterations: int) -> float:
        adapter = MetaLSTM()
        adapter.setup(wave_task, make_context())
        fit(adapter, SinePool(), iterations)
        batch = SinePool().sample(np.random.default_rng(0), n_way=1, k_shot=10, n_query_per_class=20, n_tasks=50)
        found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
        return float(np.mean((found - batch.query_y) ** 2))

    assert error(60) < 0.9 * error(0)
