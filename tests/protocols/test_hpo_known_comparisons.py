"""Comparisons whose outcome is known, over 30 paired seeds: the difference in log regret, with an interval that excludes 0."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchbench.contracts.hpo import HPOBudget
from benchbench.execution.harness import TrialHarness
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.hpo import optimise
from benchbench.registry import create_method, get_loader
from benchbench.stats.anytime import Incumbents, log_difference
from benchbench.suite_files import find_suite

N_SEEDS = 30
BASELINE = "random_search"


def spend(suite: str, task: str, method: str, seed: int, evaluations: float, scratch: Path) -> Incumbents:
    """Let a method spend a budget on a task of a suite, without the harness around it."""
    spec = find_suite(suite).task(task)
    problem = get_loader(spec.loader).load(task, spec.options)
    harness = TrialHarness(seed=seed, device="cpu", threads=1, scratch=scratch, deadline=time.monotonic() + 600)
    budget = HPOBudget(evaluations=evaluations, workers=problem.workers)
    adapter = create_method(method, {})
    adapter.setup(problem.info, budget=budget, context=harness.context)
    steps = optimise(adapter, problem, budget, harness, PhaseClock()).steps
    return Incumbents(
        task=task,
        label=method,
        seed=seed,
        budget=evaluations,
        spent=tuple(s.spent for s in steps),
        seconds=tuple(s.seconds for s in steps),
        losses=tuple(s.true_loss for s in steps),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "task", "method", "evaluations"),
    [
        ("hpo-synthetic", "branin", "gp", 50),
        ("hpo-synthetic", "branin", "tpe", 50),
        ("hpo-synthetic", "hartmann6", "gp", 50),
        ("hpo-synthetic", "hartmann6", "tpe", 50),
        ("hpo-synthetic", "rosenbrock-4", "cma_es", 300),
        ("hpo-synthetic", "rosenbrock-10", "cma_es", 300),
        # weighted by fidelity: equal cost
        ("hpo", "mlp-digits", "hyperband", 20),
        ("hpo", "mlp-digits", "hyperband", 50),
        ("hpo", "mlp-digits", "asha", 20),
        ("hpo", "mlp-digits", "asha", 50),
    ],
)
def test_the_better_optimiser_is_better(suite: str, task: str, method: str, evaluations: int, tmp_path: Path) -> None:
    best = -(find_suite(suite).task(task).reference_score or 0.0)
    trials = [
        spend(suite, task, name, seed, evaluations, tmp_path) for name in (method, BASELINE) for seed in range(N_SEEDS)
    ]
    found = log_difference(trials, task, method, BASELINE, best).estimate
    assert found.ci95 is not None
    print(f"\n{task}, {method} at {evaluations}: {found.mean:.2f} +- {found.ci95:.2f}")
    assert found.n == N_SEEDS
    assert found.mean + found.ci95 < 0
