"""Reptile: the inner steps against torch's Adam and by hand, and the outer step against a loop over tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchbench.contracts.context import Budget
from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot._backbones import MLP
from benchbench.methods.fewshot._gradient import expand
from benchbench.methods.fewshot._reptile import EPSILON, Adam, _in_one_order, inner_adam
from benchbench.methods.fewshot._supply import shuffled
from benchbench.methods.fewshot.reptile import Reptile
from benchbench.methods.fewshot.reptile_inductive import InductiveReptile


class _OneWeight:
    """y = w x: a network whose gradients can be taken by hand."""

    def forward(self, params: Any, x: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        return x * params[0].unsqueeze(1), []


def test_two_inner_steps_by_hand() -> None:
    w = torch.tensor([[1.0]], dtype=torch.float64)
    x, y = torch.full((1, 1, 1), 2.0, dtype=torch.float64), torch.full((1, 1, 1), 1.0, dtype=torch.float64)
    phi, losses, _ = inner_adam(_OneWeight(), [w], [(x, y), (x, y)], 0.1, Adam([torch.zeros_like(w[0])]))
    # loss (2w - 1)^2, gradient 4 (2w - 1): 4 at w = 1; the first step's second moment is 16 after correction
    first = 1 - 0.1 * 4 / (4 + EPSILON)
    gradient = 4 * (2 * first - 1)
    moment = (0.999 * 0.001 * 16 + 0.001 * gradient**2) / (1 - 0.999**2)
    assert phi[0].item() == pytest.approx(first - 0.1 * gradient / (moment**0.5 + EPSILON), rel=1e-12)
    assert losses.item() == pytest.approx((2 * first - 1) ** 2, rel=1e-12)


def fresh(params: list[torch.Tensor]) -> Adam:
    return Adam([torch.zeros_like(p) for p in params])


def test_moments_go_on_from_task_to_task() -> None:
    """As in the paper's code: the parameters go back to where they were, the optimiser does not."""
    g = torch.Generator().manual_seed(1)
    network = MLP(2, 3)
    params = network.init(g, torch.float64)
    x, y = torch.randn(7, 1, 6, 2, generator=g), torch.randn(7, 1, 6, 3, generator=g)
    batches = list(zip(x.double(), y.double(), strict=True))
    adam = fresh(params)
    alone = [p.clone().requires_grad_() for p in params]
    optimiser = torch.optim.Adam(alone, lr=0.01, betas=(0.0, 0.999), eps=EPSILON)
    for task in (batches[:4], batches[4:]):
        found, _, squares = inner_adam(network, expand(params, 1), task, 0.01, adam)
        adam.go_on([after[0] - before for after, before in zip(squares, adam.squares, strict=True)], len(task))
        with torch.no_grad():
            for p, start in zip(alone, params, strict=True):
                p.copy_(start)
        for one_x, one_y in task:
            optimiser.zero_grad()
            h = F.relu(one_x[0] @ alone[0] + alone[1])
            F.mse_loss(F.relu(h @ alone[2] + alone[3]) @ alone[4] + alone[5], one_y[0]).backward()
            optimiser.step()
        for one, other in zip(alone, found, strict=True):
            torch.testing.assert_close(one.detach(), other[0], rtol=1e-9, atol=1e-12)


def test_inner_steps_are_adam_without_momentum_on_each_task_alone() -> None:
    g = torch.Generator().manual_seed(0)
    network = MLP(2, 3)
    params = network.init(g, torch.float64)
    batches = [
        (
            torch.randn(4, 6, 2, generator=g, dtype=torch.float64),
            torch.randn(4, 6, 3, generator=g, dtype=torch.float64),
        )
        for _ in range(5)
    ]
    found, _, _ = inner_adam(network, expand(params, 4), batches, 0.01, fresh(params))
    for task in range(4):
        alone = [p.clone().requires_grad_() for p in params]
        optimiser = torch.optim.Adam(alone, lr=0.01, betas=(0.0, 0.999), eps=EPSILON)
        for x, y in batches:
            optimiser.zero_grad()
            h = F.relu(x[task] @ alone[0] + alone[1])
            F.mse_loss(F.relu(h @ alone[2] + alone[3]) @ alone[4] + alone[5], y[task]).backward()
            optimiser.step()
        for one, other in zip(alone, found, strict=True):
            torch.testing.assert_close(one.detach(), other[task], rtol=1e-9, atol=1e-12)


def test_an_iteration_moves_towards_the_mean_of_the_tasks(blobs: Any, make_context: Any) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=3, k_shot=1, n_query=9, input_shape=(1, 16, 16))
    adapter = Reptile(meta_step=0.25, meta_batch=2, inner_batch=3, train_steps=2, train_shots=4)
    context = make_context()
    adapter.setup(task, context)
    before = [p.clone() for p in adapter._params]
    budget = Budget(preset="tests", iterations=1)
    adapter.meta_fit(blobs, validation=blobs, budget=budget, context=context)
    rng = context.rng("reptile", "episodes")
    batch = blobs.sample(rng, n_way=3, k_shot=3, n_query_per_class=1, n_tasks=2)
    x = torch.cat([torch.as_tensor(batch.support_x), torch.as_tensor(batch.query_x)], 1)
    y = torch.cat([torch.as_tensor(batch.support_y), torch.as_tensor(batch.query_y)], 1)
    x, y = shuffled(rng, x, y)
    ends = []
    for t in range(2):
        steps = [(x[t : t + 1, i : i + 3], y[t : t + 1, i : i + 3]) for i in (0, 3)]
        ends.append(inner_adam(adapter._network, expand(before, 1), steps, 1e-3, fresh(before))[0])
    for old, new, *phi in zip(before, adapter._params, *ends, strict=True):
        torch.testing.assert_close(new, old + 0.25 * ((phi[0][0] + phi[1][0]) / 2 - old), rtol=1e-4, atol=1e-6)


def test_meta_training_hands_its_moments_on(blobs: Any, make_context: Any) -> None:
    """From iteration to iteration, to the test, and to who takes the state over; by hand, an iteration after the other."""
    task = TaskInfo(name="t", kind="classification", n_way=3, k_shot=1, n_query=9, input_shape=(1, 16, 16))
    adapter = Reptile(meta_batch=2, inner_batch=3, train_steps=2, train_shots=4, test_steps=3)
    context = make_context()
    adapter.setup(task, context)
    params, adam = [p.clone() for p in adapter._params], fresh(adapter._params)
    adapter.meta_fit(blobs, validation=blobs, budget=Budget(preset="tests", iterations=2), context=context)
    rng = context.rng("reptile", "episodes")
    for epsilon in (1.0, 0.5):
        batch = blobs.sample(rng, n_way=3, k_shot=3, n_query_per_class=1, n_tasks=2)
        x = torch.cat([torch.as_tensor(batch.support_x), torch.as_tensor(batch.query_x)], 1)
        y = torch.cat([torch.as_tensor(batch.support_y), torch.as_tensor(batch.query_y)], 1)
        x, y = shuffled(rng, x, y)
        steps = [(x[:, i : i + 3], y[:, i : i + 3]) for i in (0, 3)]
        phi, _, squares = inner_adam(adapter._network, expand(params, 2), steps, 1e-3, adam)
        params = [old + epsilon * (new.mean(0) - old) for old, new in zip(params, phi, strict=True)]
        adam.go_on([(new - old).sum(0) for new, old in zip(squares, adam.squares, strict=True)], 4)
    assert adapter._adam.steps == 8
    for found, expected in zip(adapter._adam.squares, adam.squares, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-9)
    for found, expected in zip(adapter._params, params, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    test = blobs.sample(np.random.default_rng(1), n_way=3, k_shot=1, n_query_per_class=3)
    x, y = _in_one_order(torch.as_tensor(test.support_x), torch.as_tensor(test.support_y))
    fast, _, _ = inner_adam(adapter._network, expand(adapter._params, 1), [(x, y)] * 3, 1e-3, adapter._adam)
    by_hand = adapter._network.forward(fast, torch.as_tensor(test.query_x))[0].softmax(-1).detach()
    other = Reptile(meta_batch=2, inner_batch=3, train_steps=2, train_shots=4, test_steps=3)
    other.setup(task, context)
    other.load_state(adapter.state())
    for one in (adapter, other):
        found = one.predict_episodes(test.support_x, test.support_y, test.query_x)
        np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_without_transduction_the_support_set_alone_normalises(blobs: Any, make_context: Any) -> None:
    task = TaskInfo(name="t", kind="classification", n_way=3, k_shot=2, n_query=9, input_shape=(1, 16, 16))
    adapter = InductiveReptile()
    adapter.setup(task, make_context())
    batch = blobs.sample(np.random.default_rng(0), n_way=3, k_shot=2, n_query_per_class=3)
    support, labels = _in_one_order(torch.as_tensor(batch.support_x), torch.as_tensor(batch.support_y))
    batches = [(support, labels)] * 50
    fast, _, _ = inner_adam(adapter._network, expand(adapter._params, 1), batches, 1e-3, fresh(adapter._params))
    moments = adapter._network.forward(fast, support)[1]
    expected = adapter._network.forward(fast, torch.as_tensor(batch.query_x), moments)[0].softmax(-1)
    found = adapter.predict_episodes(batch.support_x, batch.support_y, batch.query_x)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=2e-4)
