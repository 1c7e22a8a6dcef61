"""Meta-training against plain loops as papers' code and learn2learn have them, in turns in one process. Run by `make bench`.

Ratios only: absolute times say more of the machine than of the code. On one thread, on two, and on a GPU where there is one:
there both go as trials do, with deterministic algorithms and no TF32, and the bounds of the CPU do not hold.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbench.execution.child import set_device
from benchbench.methods.fewshot._backbones import ConvNet
from benchbench.methods.fewshot._embedding import Prototypes, choose_precision
from benchbench.methods.fewshot._gradient import meta_gradient
from benchbench.methods.fewshot._memory import keep_memory

pytestmark = pytest.mark.timeout(1200)
ROUNDS = 7
DRAWINGS, PHOTOGRAPHS = (1, 28, 28), (3, 84, 84)


class Cell(NamedTuple):
    """A meta-iteration of MAML."""

    n_way: int
    k_shot: int
    n_query: int
    """A class."""
    n_tasks: int
    n_steps: int
    at_least: float
    """So many times faster, on a CPU."""
    shape: tuple[int, int, int] = DRAWINGS
    n_filters: int = 64
    pools: bool = False
    rate: float = 0.4


CELLS = {
    "paper_5w1s": Cell(5, 1, 1, 32, 1, 1.5),
    "five_steps": Cell(5, 1, 1, 32, 5, 1.5),
    "paper_20w1s": Cell(20, 1, 1, 16, 5, 1.0),
    "paper_5w5s": Cell(5, 5, 5, 32, 1, 1.0),
    "many_queries": Cell(5, 1, 15, 4, 1, 1.0),
    "pooled": Cell(5, 1, 15, 4, 1, 1.0, pools=True),
    "photographs": Cell(5, 1, 15, 4, 5, 1.0, shape=PHOTOGRAPHS, n_filters=32, pools=True, rate=0.01),
}
PLACES = [
    pytest.param(("cpu", 1), id="one_thread"),
    pytest.param(("cpu", 2), id="two_threads"),
    pytest.param(
        ("cuda", 1),
        id="gpu",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")],
    ),
]


@pytest.fixture(params=PLACES)
def device(request: Any) -> Iterator[str]:
    name, threads = request.param
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    keep_memory()  # as in a trial; it serves the plain loops, too
    set_device(name)
    yield name
    torch.set_num_threads(before)


class PlainMAML:
    """One task after the other through torch's own layers, as learn2learn does: clone, adapt, accumulate the gradient."""

    def __init__(self, network: ConvNet, device: str, *, n_steps: int, rate: float) -> None:
        self.n_steps, self.rate, self.pools = n_steps, rate, network.pools
        g = torch.Generator().manual_seed(0)
        self.params: list[Tensor] = []
        n = network.n_filters
        for n_in in (network.input_shape[0], n, n, n):
            weight = torch.randn(n, n_in, 3, 3, generator=g) * (2 / (9 * n_in)) ** 0.5
            self.params += [weight, torch.zeros(n), torch.ones(n), torch.zeros(n)]
        n_way = network.n_outputs
        self.params += [torch.randn(n_way, network.n_features, generator=g) * 0.05, torch.zeros(n_way)]
        self.params = [p.to(device).requires_grad_() for p in self.params]

    def forward(self, params: list[Tensor], x: Tensor) -> Tensor:
        for layer in range(4):
            weight, bias, scale, shift = params[4 * layer : 4 * layer + 4]
            x = F.conv2d(x, weight, bias, stride=1 if self.pools else 2, padding=1)
            x = F.relu(F.batch_norm(x, None, None, scale, shift, training=True))
            x = F.max_pool2d(x, 2) if self.pools else x
        return F.linear(x.flatten(1), params[-2], params[-1])

    def iteration(self, episodes: tuple[Tensor, ...]) -> list[Tensor]:
        for p in self.params:
            p.grad = None
        n_tasks = len(episodes[0])
        for support_x, support_y, query_x, query_y in zip(*episodes, strict=True):
            fast = [p.clone() for p in self.params]
            for _ in range(self.n_steps):
                loss = F.cross_entropy(self.forward(fast, support_x), support_y)
                grads = torch.autograd.grad(loss, fast, create_graph=True)
                fast = [p - self.rate * g for p, g in zip(fast, grads, strict=True)]
            (F.cross_entropy(self.forward(fast, query_x), query_y) / n_tasks).backward()
        return [p.grad for p in self.params if p.grad is not None]


def maml_episodes(cell: Cell, device: str) -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(1)
    found: list[Tensor] = []
    for n in (cell.k_shot, cell.n_query):
        found.append(torch.rand(cell.n_tasks, cell.n_way * n, *cell.shape, generator=g))
        found.append(torch.arange(cell.n_way).repeat_interleave(n).repeat(cell.n_tasks, 1))
    return tuple(part.to(device) for part in found)


def in_our_layout(params: list[Tensor], network: ConvNet) -> list[Tensor]:
    """The plain network's parameters in the order and layout of `ConvNet`, without the biases that batch norm cancels."""
    found: list[Tensor] = []
    for layer in range(4):
        weight, _, scale, shift = params[4 * layer : 4 * layer + 4]
        found += [weight.permute(2, 3, 1, 0).flatten(0, 2), scale, shift]
    side = math.isqrt(network.n_features // network.n_filters)
    head = params[-2].view(-1, network.n_filters, side, side).permute(0, 2, 3, 1).flatten(1).T
    return [p.detach().clone().contiguous() for p in (*found, head, params[-1])]


@pytest.mark.parametrize("name", CELLS)
def test_maml_iteration(
    benchmark: Any, name: str, device: str, in_turns: Callable[..., float], seconds_of: Callable[..., float]
) -> None:
    """A meta-iteration, gradient only, with equal weights and episodes: the same gradient, faster, never slower."""
    cell = CELLS[name]
    network = ConvNet(cell.shape, cell.n_way, n_filters=cell.n_filters, pools=cell.pools)
    plain = PlainMAML(network, device, n_steps=cell.n_steps, rate=cell.rate)
    params, episodes = in_our_layout(plain.params, network), maml_episodes(cell, device)
    inner: dict[str, Any] = {"rate": cell.rate, "n_steps": cell.n_steps, "mode": "second_order"}
    found, _ = meta_gradient(network, params, episodes, **inner)
    expected = in_our_layout(plain.iteration(episodes), network)
    if cell.n_steps == 1 or cell.rate < 0.1:  # through five steps of 0.4 rounding grows without bound
        assert F.cosine_similarity(flat(found), flat(expected), dim=0) > 0.999
    floor = arithmetic_floor(network, cell, device, seconds_of)
    ratio = in_turns(
        lambda: plain.iteration(episodes), lambda: meta_gradient(network, params, episodes, **inner), rounds=ROUNDS
    )
    share = floor / benchmark.extra_info["ours"]
    benchmark.extra_info.update(floor=floor, share=share)
    print(f"arithmetic floor {floor:.4f} s, reached {100 * share:.0f} % of it")
    assert ratio >= (cell.at_least if device == "cpu" else 1)


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def arithmetic_floor(network: ConvNet, cell: Cell, device: str, seconds_of: Callable[..., float]) -> float:
    """Seconds that the matrix products alone would take at the speed of a large product on the same threads, or GPU.

    A support image costs a product forward, two backward, and four more when the backward pass is differentiated, less those
    that lead to the first layer's input; a query image costs three.
    """
    side, n_in, layers = network.input_shape[1], network.input_shape[0], []
    for _ in range(network.n_layers):
        places = side if network.pools else -(-side // 2)
        layers.append(2 * places * places * 9 * n_in * network.n_filters)
        side, n_in = side // 2 if network.pools else places, network.n_filters
    one, first = sum(layers), layers[0]
    support, query = 7 * one - 2 * first, 3 * one - first
    total = cell.n_tasks * cell.n_way * (cell.k_shot * cell.n_steps * support + cell.n_query * query)
    n = 1536 if device == "cpu" else 8192
    a = torch.rand(n, n, device=device)
    seconds = statistics.median(seconds_of(lambda: a @ a) for _ in range(5))
    return total / (2 * n**3 / seconds)


def test_protonet_episode(device: str, in_turns: Callable[..., float]) -> None:
    """A training episode of 60 ways, 1 + 5 images, Adam's step included: at least twice as fast as plain float32 on a CPU."""
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.random((60 * 6, 1, 28, 28), dtype=np.float32), device=device)
    support_y = torch.arange(60, device=device)
    query_y = support_y.repeat_interleave(5)
    torch.manual_seed(0)
    blocks: list[nn.Module] = []
    for n_in in (1, 64, 64, 64):
        blocks += [nn.Conv2d(n_in, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
    plain = nn.Sequential(*blocks, nn.Flatten()).to(device)
    ours = Prototypes(1, precision=choose_precision(device)).to(device)
    with torch.no_grad():
        for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
            mine.copy_(theirs)

    def plain_logits() -> Tensor:
        z = plain(x)
        return -((z[60:, None] - z[None, :60]) ** 2).sum(-1)

    def our_logits() -> Tensor:
        z = ours.embed(x)[None]
        return ours.logits(z[:, :60], support_y[None], z[:, 60:], 60)[0]

    def trainer(network: nn.Module, logits: Callable[[], Tensor]) -> Callable[[], None]:
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)

        def step() -> None:
            optimiser.zero_grad()
            F.cross_entropy(logits(), query_y).backward()
            optimiser.step()

        return step

    same = (plain_logits().argmax(1) == our_logits().argmax(1)).float().mean()
    assert same > 0.9, "bfloat16 may swap near ties of an untrained network, no more"
    ratio = in_turns(trainer(plain, plain_logits), trainer(ours, our_logits), rounds=ROUNDS)
    assert ratio >= (2 if device == "cpu" else 1)
