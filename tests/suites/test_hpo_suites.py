"""The suites of tuning problems that come with the package: their tables, their anchors, and what they say is related."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from benchbench.contracts.hpo import HPOBudget
from benchbench.execution.harness import TrialHarness
from benchbench.protocols.base import PhaseClock
from benchbench.protocols.hpo import optimise
from benchbench.registry import create_method, get_loader, get_method
from benchbench.suite_files import SuiteSpec, TaskSpec, find_suite, list_suites
from benchbench.suites.evaluation_tables import find_table, list_tables, read_facts, read_table

HPO = [name for name in sorted(list_suites()) if find_suite(name).track == "hpo"]
TABULATED = find_suite("hpo")
MAX_BYTES = 200_000


@pytest.fixture(params=HPO)
def suite(request: pytest.FixtureRequest) -> SuiteSpec:
    return find_suite(request.param)


@pytest.fixture(params=TABULATED.tasks, ids=lambda task: task.name)
def task(request: pytest.FixtureRequest) -> TaskSpec:
    return request.param


def test_they_are_there() -> None:
    assert set(HPO) == {"hpo", "hpo-live", "hpo-openml", "hpo-synthetic"}
    assert len(TABULATED.tasks) >= 12
    assert len(TABULATED.methods) >= 12


def test_loaders_accept_the_options_and_methods_exist(suite: SuiteSpec) -> None:
    for one in suite.tasks:
        get_loader(one.loader).check(one.options)
    for name in suite.methods:
        assert get_method(name).card.track == "hpo"


def test_live_and_tabulated_problems_say_what_their_splits_are(suite: SuiteSpec) -> None:
    assert suite.generated_splits == (suite.name != "hpo-synthetic")


def test_a_table_is_of_the_live_problem_of_its_name(task: TaskSpec) -> None:
    path = find_table(task.options["table"])
    facts = read_facts(path)
    live = find_suite("hpo-live").task(task.name)
    assert (facts.problem, dict(facts.options)) == (live.name, dict(live.options))
    info = get_loader("live").info(live.name, live.options)
    assert facts.data_set == info.data_set
    assert len(facts.meta_features) == 13
    # fit for a repository
    assert path.stat().st_size < MAX_BYTES


def test_every_table_of_the_package_is_used() -> None:
    used = {name for one in TABULATED.tasks for name in (one.options["table"], *one.options["related"])}
    packaged = {name for name, path in list_tables().items() if path.parent.name == "tables"}
    assert packaged == used


def test_related_tables_are_all_others_of_the_family(task: TaskSpec) -> None:
    def family(name: str) -> str:
        return str(read_facts(find_table(name)).options["family"])

    others = {name for name in list_tables() if family(name) == family(task.name)}
    assert set(task.options["related"]) == others - {task.name}


def test_the_best_known_is_the_best_of_the_table(task: TaskSpec) -> None:
    table = read_table(find_table(task.options["table"]))
    assert task.reference_score == -np.nanmin(table.losses[:, -1])
    assert task.baseline_score is not None
    assert task.baseline_score < task.reference_score


@pytest.mark.slow
def test_the_median_of_random_search_is_the_one_frozen(task: TaskSpec, tmp_path: Path) -> None:
    """Over 100 of the 1,000 seeds it was measured with: the frozen one lies within what 100 tell of a median."""
    problem = get_loader(task.loader).load(task.name, task.options)
    budget = HPOBudget(evaluations=100)
    ends = []
    for seed in range(100):
        harness = TrialHarness(seed=seed, device="cpu", threads=1, scratch=tmp_path, deadline=time.monotonic() + 60)
        adapter = create_method("random_search", {})
        adapter.setup(problem.info, budget=budget, context=harness.context)
        ends.append(-optimise(adapter, problem, budget, harness, PhaseClock()).steps[-1].loss)
    # the order statistics that hold the median with a probability of over 99.9 %
    low, high = np.sort(ends)[[33, 66]]
    assert task.baseline_score is not None
    # frozen to six digits
    slack = 1e-5 * abs(task.baseline_score)
    assert low - slack <= task.baseline_score <= high + slack
