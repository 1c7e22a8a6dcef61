"""Few-shot methods against loops as papers' code has them, side by side in one process. Run by `make bench`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchbench.contracts.fewshot import FewShotTask
from benchbench.execution.harness import TrialHarness
from benchbench.protocols import fewshot as protocol
from benchbench.protocols.base import PhaseClock
from benchbench.registry import create_method, get_loader
from benchbench.seeding import generator

N_EPISODES = 1000
ROUNDS = 3

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def task() -> FewShotTask:
    """Return Omniglot by Vinyals' split, 5 ways, 1 shot, 5 queries a class; where it is absent, the same on glyphs."""
    chosen = os.environ.get("BENCHBENCH_DATA")
    is_here = bool(chosen) and (Path(str(chosen)) / "omniglot").is_dir()
    name, options = ("omniglot", {"split": "vinyals"}) if is_here else ("glyphs", {"query": 5})
    options = {**options, "way": 5, "shot": 1}
    get_loader(name).prepare(options, lambda line: None)
    return get_loader(name).load(name, options)


@pytest.fixture(params=[1, 2], ids=["one_thread", "two_threads"])
def threads(request: Any) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_a_thousand_test_episodes_of_protonet(task: FewShotTask, threads: int, in_turns: Callable[..., float]) -> None:
    """Drawing episodes, predicting and scoring, with equal weights: at least 1.5 times faster than one by one."""
    adapter = create_method("protonet", {})
    adapter.setup(
        task.info,
        TrialHarness(seed=0, device="cpu", threads=threads, scratch=Path(), deadline=time.monotonic() + 1e6).context,
    )
    network = plain_conv4()
    with torch.no_grad():
        for theirs, value in zip(network.state_dict().values(), adapter.state().values(), strict=True):
            theirs.copy_(torch.as_tensor(value))
    accuracies: dict[str, float] = {}

    def plain() -> None:
        accuracies["plain"] = plain_protonet(network, task)

    def ours() -> None:
        predict = protocol.Predict(adapter, task.info, PhaseClock())
        scores: list[float] = []
        for batch in protocol.test_episodes(task, N_EPISODES):
            scores += protocol.score_batch(predict(batch), batch.query_y, task.info)[0]
        accuracies["ours"] = float(np.mean(scores))

    # no warm-up: a median of three has none in it
    ratio = in_turns(plain, ours, rounds=ROUNDS, warms_up=False)
    assert accuracies["ours"] == pytest.approx(accuracies["plain"], abs=0.005)
    assert ratio >= 1.5


def plain_conv4() -> nn.Sequential:
    """Return Conv4-64 as papers' code has it: float32, contiguous, convolution, batch norm, ReLU, pooling."""
    blocks: list[nn.Module] = []
    for n_in in (1, 64, 64, 64):
        blocks += [nn.Conv2d(n_in, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten()).eval()


def plain_protonet(network: nn.Sequential, task: FewShotTask) -> float:
    """Return the accuracy over test episodes, one after the other, as in Snell's code: one forward pass an episode."""
    info, accuracies = task.info, []
    for index in range(N_EPISODES):
        rng = generator(task.seed, "test", index)
        one = task.test.sample(rng, n_way=info.n_way, k_shot=info.k_shot, n_query_per_class=info.n_query // info.n_way)
        support_x, query_x, query_y = (torch.from_numpy(a[0]) for a in (one.support_x, one.query_x, one.query_y))
        with torch.no_grad():
            z = network(torch.cat([support_x, query_x]))
            centres = z[: len(support_x)].view(info.n_way, info.k_shot, -1).mean(1)
            distance = ((z[len(support_x) :, None] - centres[None]) ** 2).sum(-1)
            accuracies.append((distance.argmin(1) == query_y).float().mean().item())
    return float(np.mean(accuracies))
