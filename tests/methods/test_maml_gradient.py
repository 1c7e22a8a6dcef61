"""MAML's meta-gradient against a plain reference: a loop over tasks, F.conv2d and F.batch_norm, float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchbench.methods.fewshot._backbones import MLP, ConvNet
from benchbench.methods.fewshot._gradient import adapt, expand, meta_gradient

N_TASKS, N_WAY = 3, 4
RATE = 0.2


def reference_conv(params: Sequence[Tensor], x: Tensor) -> Tensor:
    h = x
    for layer in range(4):
        weight, scale, shift = params[3 * layer : 3 * layer + 3]
        kernel = weight.reshape(3, 3, h.shape[1], -1).permute(3, 2, 0, 1)
        h = F.conv2d(h, kernel, stride=2, padding=1)
        h = F.relu(F.batch_norm(h, None, None, scale, shift, training=True, eps=1e-5))
    return h.permute(0, 2, 3, 1).flatten(1) @ params[-2] + params[-1]


def reference_mlp(params: Sequence[Tensor], x: Tensor) -> Tensor:
    h = F.relu(F.linear(x, params[0].T, params[1]))
    h = F.relu(F.linear(h, params[2].T, params[3]))
    return F.linear(h, params[4].T, params[5])


def reference_gradient(
    forward: Callable[[Sequence[Tensor], Tensor], Tensor],
    params: Sequence[Tensor],
    episodes: Sequence[Tensor],
    *,
    n_steps: int,
    first_order: bool,
) -> tuple[list[Tensor], float]:
    def loss(fast: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
        out = forward(fast, x)
        return F.mse_loss(out, y) if y.is_floating_point() else F.cross_entropy(out, y)

    roots = [p.clone().requires_grad_() for p in params]
    losses = []
    for support_x, support_y, query_x, query_y in zip(*episodes, strict=True):
        fast = list(roots)
        for _ in range(n_steps):
            grads = torch.autograd.grad(loss(fast, support_x, support_y), fast, create_graph=True)
            if first_order:
                grads = tuple(g.detach() for g in grads)
            fast = [p - RATE * g for p, g in zip(fast, grads, strict=True)]
        losses.append(loss(fast, query_x, query_y))
    mean = torch.stack(losses).mean()
    return list(torch.autograd.grad(mean, roots)), mean.item()


def case(kind: str) -> tuple[Any, Callable[[Sequence[Tensor], Tensor], Tensor], list[Tensor], list[Tensor]]:
    """Network, reference, parameters away from their special starting values, episodes; all in float64."""
    g = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    if kind == "mlp":
        network: Any = MLP(2, 3, n_hidden=8)
        episodes = [normal(N_TASKS, n, f) for n, f in ((6, 2), (6, 3), (7, 2), (7, 3))]
        forward = reference_mlp
    else:
        shape = (1, 28, 28) if kind == "conv" else (3, 19, 22)
        network = ConvNet(shape, N_WAY, n_filters=5)
        labels = torch.arange(N_WAY).repeat(N_TASKS, 2)
        queries = torch.arange(N_WAY).repeat(N_TASKS, 3)
        episodes = [normal(N_TASKS, 2 * N_WAY, *shape), labels, normal(N_TASKS, 3 * N_WAY, *shape), queries]
        forward = reference_conv
    params = [p + 0.3 * normal(*p.shape) for p in network.init(g, torch.float64)]
    return network, forward, params, episodes


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("kind", ["conv", "conv_odd_size", "mlp"])
def test_meta_gradient_equals_reference(kind: str, n_steps: int, first_order: bool) -> None:
    network, forward, params, episodes = case(kind)
    mode = "first_order" if first_order else "second_order"
    found, loss = meta_gradient(network, params, episodes, rate=RATE, n_steps=n_steps, mode=mode)
    expected, expected_loss = reference_gradient(forward, params, episodes, n_steps=n_steps, first_order=first_order)
    assert loss == pytest.approx(expected_loss, rel=1e-10)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() / other.norm() < 1e-10


def test_first_and_second_order_differ() -> None:
    network, _, params, episodes = case("conv")
    first, _ = meta_gradient(network, params, episodes, rate=RATE, n_steps=1, mode="first_order")
    second, _ = meta_gradient(network, params, episodes, rate=RATE, n_steps=1, mode="second_order")
    assert (first[0] - second[0]).norm() / second[0].norm() > 0.01


def test_meta_gradient_equals_finite_differences() -> None:
    """Guards against the wrong second order that `torch.func.grad` gives through `nn.BatchNorm2d` inside `vmap`."""
    network, _, params, episodes = case("conv")
    inner = {"rate": RATE, "n_steps": 1, "mode": "second_order"}
    grads, _ = meta_gradient(network, params, episodes, **inner)
    g = torch.Generator().manual_seed(9)
    step = 1e-6
    for _ in range(4):
        direction = [torch.randn(p.shape, generator=g, dtype=p.dtype) for p in params]
        ahead, behind = (
            meta_gradient(network, [p + s * d for p, d in zip(params, direction, strict=True)], episodes, **inner)[1]
            for s in (step, -step)
        )
        slope = sum(float((a * d).sum()) for a, d in zip(grads, direction, strict=True))
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-5)


def test_chunks_do_not_change_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _, params, episodes = case("conv")
    inner = {"rate": RATE, "n_steps": 1, "mode": "second_order"}
    whole, _ = meta_gradient(network, params, episodes, **inner)
    monkeypatch.setattr("benchbench.methods.fewshot._gradient.CPU_CHUNK_VALUES", 1)
    single, _ = meta_gradient(network, params, episodes, **inner)
    for one, other in zip(single, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_detached_adaptation_takes_the_same_steps() -> None:
    network, _, params, episodes = case("conv")
    roots = [p.requires_grad_() for p in params]
    results = [
        adapt(network, expand(roots, N_TASKS), episodes[0], episodes[1], rate=RATE, n_steps=2, mode=mode)
        for mode in ("second_order", "first_order", "detached")
    ]
    assert not any(p.requires_grad for p in results[2])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one.detach(), two.detach(), rtol=1e-12, atol=1e-12)
