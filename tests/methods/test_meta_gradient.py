"""MAML's meta-gradient, vectorised over tasks, against plain autograd over one task at a time, and finite differences.

Guards against a fast path that is silently wrong: second-order `torch.func.grad` inside `vmap` through `nn.BatchNorm2d`, for
one, is off by 2e-3 in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchbench.contracts.fewshot import TaskInfo
from benchbench.methods.fewshot import _convolution, _gradient, _normalisation
from benchbench.methods.fewshot._backbones import MLP, ConvNet, Network
from benchbench.methods.fewshot._gradient import adapt, expand, meta_gradient, task_losses
from benchbench.methods.fewshot.maml import MAML
from benchbench.methods.fewshot.reptile import Reptile

N_TASKS, N_WAY, N_SHOT, N_QUERY = 3, 4, 2, 3
RATE = 0.1
MODES = ["second_order", "first_order"]


def _convolutional(
    shape: tuple[int, int, int], n_filters: int = 8, **options: bool
) -> tuple[Network, list[Tensor], list[Tensor]]:
    """Return a network, parameters that are all away from their special initial values, and episodes."""
    g = torch.Generator().manual_seed(0)
    network = ConvNet(shape, N_WAY, n_filters=n_filters, **options)
    params = [p + 0.1 * torch.randn(p.shape, generator=g, dtype=p.dtype) for p in network.init(g, torch.float64)]
    x = [torch.rand(N_TASKS, N_WAY * n, *shape, generator=g, dtype=torch.float64) for n in (N_SHOT, N_QUERY)]
    y = [torch.arange(N_WAY).repeat_interleave(n).repeat(N_TASKS, 1) for n in (N_SHOT, N_QUERY)]
    return network, params, [x[0], y[0], x[1], y[1]]


def _perceptron() -> tuple[Network, list[Tensor], list[Tensor]]:
    g = torch.Generator().manual_seed(1)
    network = MLP(2, 3)
    params = [p + 0.1 * torch.randn(p.shape, generator=g, dtype=p.dtype) for p in network.init(g, torch.float64)]
    sizes = [(10, 2), (10, 3), (7, 2), (7, 3)]
    return network, params, [torch.randn(N_TASKS, *s, generator=g, dtype=torch.float64) for s in sizes]


SETTINGS: dict[str, Any] = {
    "omniglot": lambda: _convolutional((1, 28, 28), 16),
    "averaged": lambda: _convolutional((1, 28, 28), averages=True),
    "colour": lambda: _convolutional((3, 21, 34)),
    # halves to 10x17, 5x8, 2x4 and 1x2
    "pooled": lambda: _convolutional((3, 21, 34), pools=True),
    "perceptron": _perceptron,
}


def _one_forward(params: Sequence[Tensor], x: Tensor) -> Tensor:
    """Forward one task through torch's own layers."""
    if x.dim() == 2:
        for layer in range(0, len(params), 2):
            x = F.linear(F.relu(x) if layer else x, params[layer].T, params[layer + 1])
        return x
    pools = _pools(params, x)
    for layer in range(4):
        weight, scale, shift = params[3 * layer : 3 * layer + 3]
        x = F.relu(F.batch_norm(_one_convolution(x, weight, pools), None, None, scale, shift, training=True))
        x = F.max_pool2d(x, 2) if pools else x
    averages = params[-2].shape[0] == x.shape[1]
    return F.linear(x.mean((2, 3)) if averages else x.permute(0, 2, 3, 1).flatten(1), params[-2].T, params[-1])


def _pools(params: Sequence[Tensor], x: Tensor) -> bool:
    """Tell from the head whether its network pools: it then sees fewer positions than strides leave, but not their mean."""
    n_positions = len(params[-2]) // len(params[-3])
    return n_positions not in {1, math.prod(-(-side // 16) for side in x.shape[2:])}


def _one_convolution(x: Tensor, weight: Tensor, pools: bool) -> Tensor:
    kernel = weight.view(3, 3, x.shape[1], -1).permute(3, 2, 0, 1)
    return F.conv2d(x, kernel, stride=1 if pools else 2, padding=1)


def _one_loss(params: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
    out = _one_forward(params, x)
    return F.mse_loss(out, y) if y.is_floating_point() else F.cross_entropy(out, y)


def _reference(
    params: list[Tensor], episodes: list[Tensor], n_steps: int, *, create_graph: bool
) -> tuple[list[Tensor], float]:
    """Loop over tasks, one gradient step after the other."""
    total, loss = [torch.zeros_like(p) for p in params], 0.0
    for support_x, support_y, query_x, query_y in zip(*episodes, strict=True):
        roots = [p.clone().requires_grad_() for p in params]
        fast = roots
        for _ in range(n_steps):
            grads = torch.autograd.grad(_one_loss(fast, support_x, support_y), fast, create_graph=create_graph)
            fast = [p - RATE * g for p, g in zip(fast, grads, strict=True)]
        task_loss = _one_loss(fast, query_x, query_y) / N_TASKS
        for t, g in zip(total, torch.autograd.grad(task_loss, roots), strict=True):
            t += g
        loss += task_loss.item()
    return total, loss


def _one_features(params: Sequence[Tensor], x: Tensor) -> Tensor:
    """What the head sees: the network with the identity for a head."""
    n = params[-2].shape[0]
    return _one_forward([*params[:-2], torch.eye(n, dtype=x.dtype), torch.zeros(n, dtype=x.dtype)], x)


def _with_moments_of(params: Sequence[Tensor], support: Tensor, query: Tensor) -> Tensor:
    """Forward queries one by one, normalised by the moments of the support set, through torch's own layers."""
    if support.dim() == 2:
        return _one_forward(params, query)
    pools = _pools(params, support)
    for layer in range(4):
        weight, scale, shift = params[3 * layer : 3 * layer + 3]
        s, q = (_one_convolution(x, weight, pools) for x in (support, query))
        deviation, mean = torch.std_mean(s, (0, 2, 3), correction=0, keepdim=True)
        root = torch.sqrt(deviation**2 + 1e-5)
        support, query = (F.relu((z - mean) / root * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)) for z in (s, q))
        support, query = (F.max_pool2d(z, 2) if pools else z for z in (support, query))
    return F.linear(query.permute(0, 2, 3, 1).flatten(1), params[-2].T, params[-1])


def _variant_reference(
    variant: str, params: list[Tensor], rates: list[Tensor], episodes: list[Tensor], n_steps: int
) -> list[Tensor]:
    """The meta-gradient of a variant of MAML by a loop over tasks and steps, with autograd through everything."""
    learnt = [p.clone().requires_grad_() for p in [*params, *rates]]
    roots, alphas = learnt[: len(params)], learnt[len(params) :]
    loss = torch.zeros((), dtype=params[0].dtype)
    for support_x, support_y, query_x, query_y in zip(*episodes, strict=True):
        fast = list(roots)
        if variant == "prototype_head":
            n = _one_features([*fast, params[0].new_zeros(N_FEATURES, 1), params[0].new_zeros(1)], support_x)
            means = torch.stack([n[support_y == c].mean(0) for c in range(N_WAY)])
            fast += [2 * means.T / N_FEATURES**0.5, -(means**2).sum(1) / N_FEATURES**0.5]
        for _ in range(n_steps):
            # an inner step differentiates by each parameter alone, also by a head that was made from the body
            leaves = [p.view_as(p) for p in fast]
            moving = leaves[-2:] if variant == "head_only" else leaves
            grads = torch.autograd.grad(_one_loss(leaves, support_x, support_y), moving, create_graph=True)
            size = alphas if variant == "rates" else [RATE] * len(moving)
            moved = [p - r * g for p, r, g in zip(moving, size, grads, strict=True)]
            fast = [*fast[: len(fast) - len(moved)], *moved]
        out = _with_moments_of(fast, support_x, query_x) if variant == "is_inductive" else _one_forward(fast, query_x)
        loss = (
            loss
            + (F.mse_loss(out, query_y) if query_y.is_floating_point() else F.cross_entropy(out, query_y)) / N_TASKS
        )
    return list(torch.autograd.grad(loss, learnt))


N_FEATURES = 16 * 4


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("variant", ["plain", "head_only", "prototype_head"])
def test_meta_training_takes_the_steps_of_the_test(variant: str, n_steps: int) -> None:
    network, params, (support_x, support_y, _, _) = SETTINGS["omniglot"]()
    inner: dict[str, Any] = {"n_steps": n_steps, "rate": RATE} | ({} if variant == "plain" else {variant: True})
    if variant == "prototype_head":
        params = params[:-2]
    stacked = expand([p.clone().requires_grad_() for p in params], len(support_x))
    found = {
        mode: adapt(network, stacked, support_x, support_y, mode=mode, **inner)
        for mode in ("second_order", "first_order", "detached")
    }
    for mode in ("second_order", "first_order"):
        for a, b in zip(found[mode], found["detached"], strict=True):
            torch.testing.assert_close(a.detach(), b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("variant", ["head_only", "prototype_head", "rates", "is_inductive"])
@pytest.mark.parametrize("setting", ["omniglot", "perceptron"])
def test_variants_equal_plain_autograd(setting: str, variant: str, n_steps: int) -> None:
    """ANIL, Proto-MAML, Meta-SGD and MAML without transduction, in float64, task by task."""
    network, params, episodes = SETTINGS[setting]()
    if variant == "prototype_head" and setting == "perceptron":
        pytest.skip("prototypes are of classes")
    inner: dict[str, Any] = {"n_steps": n_steps, "mode": "second_order", "rate": RATE}
    rates: list[Tensor] = []
    if variant == "rates":
        g = torch.Generator().manual_seed(3)
        rates = [torch.rand(p.shape, generator=g, dtype=p.dtype) * 0.2 for p in params]
    elif variant == "prototype_head":
        params = params[:-2]
        inner[variant] = True
    else:
        inner[variant] = True
    found, _ = meta_gradient(network, params, episodes, rates=rates or None, **inner)
    expected = _variant_reference(variant, params, rates, episodes, n_steps)
    assert len(found) == len(params) + len(rates)
    assert max(_relative(found, expected)) < 1e-10


def _relative(found: Sequence[Tensor], expected: Sequence[Tensor]) -> list[float]:
    return [float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("setting", list(SETTINGS))
def test_equals_plain_autograd(setting: str, n_steps: int, mode: str) -> None:
    network, params, episodes = SETTINGS[setting]()
    found, loss = meta_gradient(network, params, episodes, rate=RATE, n_steps=n_steps, mode=mode)
    expected, reference_loss = _reference(params, episodes, n_steps, create_graph=mode == "second_order")
    assert loss == pytest.approx(reference_loss, rel=1e-12)
    assert max(_relative(found, expected)) < 1e-10


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_tasks_may_be_split_into_chunks(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, params, episodes = SETTINGS[setting]()
    inner: dict[str, Any] = {"rate": RATE, "n_steps": 2, "mode": "second_order"}
    whole, loss = meta_gradient(network, params, episodes, **inner)
    monkeypatch.setattr(_gradient, "CPU_CHUNK_VALUES", 2 * episodes[0][0].numel())
    assert len(list(_gradient.chunks(episodes[0].shape, "cpu"))) == 2
    parts, parts_loss = meta_gradient(network, params, episodes, **inner)
    assert parts_loss == pytest.approx(loss, rel=1e-12)
    assert max(_relative(parts, whole)) < 1e-10


@pytest.mark.parametrize("is_inductive", [False, True])
@pytest.mark.parametrize("direct_rows", [1, 10**9], ids=["library", "patches"])
@pytest.mark.parametrize("setting", ["omniglot", "colour", "pooled"])
def test_either_convolution_equals_plain_autograd(
    setting: str, direct_rows: int, is_inductive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever convolution the shapes choose, in blocks and pieces smaller than a task and queries in slices."""
    network, params, episodes = SETTINGS[setting]()
    monkeypatch.setattr(_convolution, "DIRECT_ROWS", direct_rows)
    monkeypatch.setattr(_convolution, "BLOCK_VALUES", 1)
    monkeypatch.setattr(_normalisation, "PIECE_VALUES", 1000)
    monkeypatch.setattr(_gradient, "CPU_CHUNK_VALUES", 2 * episodes[0][0].numel())
    assert len(list(_gradient.chunks(episodes[2][:2].shape, "cpu"))) == 2
    inner: dict[str, Any] = {"rate": RATE, "n_steps": 2, "mode": "second_order", "is_inductive": is_inductive}
    found, _ = meta_gradient(network, params, episodes, **inner)
    expected = _variant_reference("is_inductive" if is_inductive else "", params, [], episodes, 2)
    assert max(_relative(found, expected)) < 1e-10


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_first_and_second_order_differ(setting: str) -> None:
    network, params, episodes = SETTINGS[setting]()
    first, second = (
        meta_gradient(network, params, episodes, rate=RATE, n_steps=1, mode=mode)[0] for mode in reversed(MODES)
    )
    assert max(_relative(first, second)) > 1e-3


@pytest.mark.parametrize("setting", list(SETTINGS))
def test_equals_finite_differences(setting: str) -> None:
    network, params, episodes = SETTINGS[setting]()
    inner: dict[str, Any] = {"rate": RATE, "n_steps": 2, "mode": "second_order"}
    found, _ = meta_gradient(network, params, episodes, **inner)
    g = torch.Generator().manual_seed(7)
    for _ in range(3):
        # random directions, bent towards the gradient so that the derivative is not lost in rounding
        direction = [d + torch.randn(d.shape, generator=g, dtype=d.dtype) * d.std() for d in found]
        norm = float(torch.sqrt(sum(((d**2).sum() for d in direction), torch.zeros((), dtype=torch.float64))))
        direction = [d / norm for d in direction]
        step = 1e-6
        ahead, behind = (
            meta_gradient(network, [p + s * d for p, d in zip(params, direction, strict=True)], episodes, **inner)[1]
            for s in (step, -step)
        )
        slope = sum(float((f * d).sum()) for f, d in zip(found, direction, strict=True))
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("setting", ["omniglot", "perceptron"])
def test_tasks_do_not_meet(setting: str) -> None:
    network, params, (support_x, support_y, query_x, _) = SETTINGS[setting]()
    inner: dict[str, Any] = {"rate": RATE, "n_steps": 3, "mode": "detached"}
    together = adapt(network, expand(params, N_TASKS), support_x, support_y, **inner)
    outputs, _ = network.forward(together, query_x)
    for t in range(N_TASKS):
        alone = adapt(network, expand(params, 1), support_x[t : t + 1], support_y[t : t + 1], **inner)
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[t], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(_one_forward([p[0] for p in alone], query_x[t]), outputs[t], rtol=1e-9, atol=1e-11)


def test_given_moments_normalise() -> None:
    network, params, (x, _, other, _) = SETTINGS["omniglot"]()
    stacked = expand(params, N_TASKS)
    outputs, moments = network.forward(stacked, x)
    torch.testing.assert_close(network.forward(stacked, x, moments)[0], outputs, rtol=1e-10, atol=1e-12)
    # by the moments of x each example stands alone; by its own it does not
    alone, _ = network.forward(stacked, other[:, :1], moments)
    torch.testing.assert_close(alone, network.forward(stacked, other, moments)[0][:, :1], rtol=1e-10, atol=1e-12)
    assert not torch.allclose(alone, network.forward(stacked, other)[0][:, :1], rtol=1e-3)


def test_losses_are_means_over_a_task() -> None:
    logits, labels = torch.randn(2, 5, 3), torch.randint(0, 3, (2, 5))
    expected = torch.stack([F.cross_entropy(o, y) for o, y in zip(logits, labels, strict=True)])
    torch.testing.assert_close(task_losses(logits, labels), expected)
    values, targets = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    torch.testing.assert_close(
        task_losses(values, targets), torch.stack([F.mse_loss(v, t) for v, t in zip(values, targets, strict=True)])
    )


def test_a_gpu_takes_many_episodes_side_by_side(make_context: Any) -> None:
    """Also at test, where the episodes come from the host."""
    task = TaskInfo(name="t", kind="classification", n_way=5, k_shot=1, n_query=25, input_shape=(1, 28, 28))
    support, queries = np.zeros((100, 5, 1, 28, 28), np.float32), np.zeros((100, 25, 1, 28, 28), np.float32)
    for adapter in (MAML(), Reptile()):
        adapter.setup(task, make_context())
        on_cpu = len(list(adapter.slices(support, queries)))
        adapter.context = make_context(device="cuda")
        assert len(list(adapter.slices(support, queries))) == 1 < on_cpu
