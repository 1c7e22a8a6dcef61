"""How fast tabulated evaluations are, harness included. Figures are printed and compared; none fails on an absolute time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

from benchbench.contracts.hpo import HPOBudget, ProblemInfo
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.hpo import optimise
from benchbench.registry import create_method
from benchbench.suites.evaluation_tables import Table
from benchbench.suites.tabulated import TabulatedProblem

N_CONFIGS = 512
EVALUATIONS = 2000


def table() -> TabulatedProblem:
    """Make a table like those of the suites: 8 parameters, 512 configurations, 4 fidelities."""
    space = ConfigurationSpace(
        space=[
            *(Float(f"f{i}", (1e-5, 1e1), log=True) for i in range(4)),
            *(Integer(f"i{i}", (1, 200), log=True) for i in range(2)),
            *(Categorical(f"k{i}", ["a", "b", "c"]) for i in range(2)),
        ]
    )
    space.seed(0)
    fidelities = (1 / 27, 1 / 9, 1 / 3, 1.0)
    vectors = np.array([c.get_array() for c in space.sample_configuration(N_CONFIGS)])
    rng = np.random.default_rng(0)
    shape = (N_CONFIGS, len(fidelities))
    made = Table(vectors=vectors, losses=rng.random(shape), test_losses=rng.random(shape), seconds=rng.random(shape))
    return TabulatedProblem(ProblemInfo(name="t", space=space, fidelities=fidelities, fidelity_name="epochs"), made)


@pytest.mark.benchmark(group="tabulated evaluations")
@pytest.mark.parametrize("method", ["random_search", "regularised_evolution", "hyperband"])
def test_evaluations_of_a_table(method: str, benchmark: Any, make_harness: Any, tmp_path: Path) -> None:
    problem, budget = table(), HPOBudget(evaluations=EVALUATIONS)
    harness = make_harness()

    def spend() -> int:
        adapter = create_method(method, {})
        adapter.setup(problem.info, budget=budget, context=harness.context)
        return optimise(adapter, problem, budget, harness, PhaseClock()).n_evaluations

    n = benchmark.pedantic(spend, rounds=3, warmup_rounds=1)
    assert n >= EVALUATIONS
    seconds = benchmark.stats.stats.median if benchmark.stats else float("nan")
    print(f"\n{method}: {n / seconds:,.0f} evaluations a second")
