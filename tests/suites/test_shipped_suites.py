from __future__ import annotations

import pytest

from benchbench.registry import get_loader, get_method
from benchbench.suite_files import SuiteSpec, find_suite, list_suites

FEWSHOT = [name for name in sorted(list_suites()) if find_suite(name).track == "fewshot"]


@pytest.fixture(params=FEWSHOT)
def suite(request: pytest.FixtureRequest) -> SuiteSpec:
    return find_suite(request.param)


def test_the_few_shot_suites_are_there() -> None:
    assert {"cifar-fs", "crossdomain", "fewshot", "miniimagenet", "omniglot", "smoke"} <= set(FEWSHOT)


def test_crossdomain_freezes_the_baselines_of_the_test_domains() -> None:
    # the same test episodes, and pixel_nn learns nothing from training
    own = {t.name: t.baseline_score for name in ("fewshot", "omniglot") for t in find_suite(name).tasks}
    tasks = find_suite("crossdomain").tasks
    assert len(tasks) == 6
    for task in tasks:
        train, _, test, shape = task.name.split("-")
        assert (task.options["train"], task.options["test"]) == (train, test)
        assert task.baseline_score == own[f"{'omniglot-vinyals' if test == 'omniglot' else test}-{shape}"]


def test_loaders_accept_the_options(suite: SuiteSpec) -> None:
    for task in suite.tasks:
        loader = get_loader(task.loader)
        loader.check(task.options)
        info = loader.info(task.name, task.options)
        assert info.name == task.name
        assert info.n_query % info.n_way == 0


def test_names_of_tasks_say_way_and_shot(suite: SuiteSpec) -> None:
    for task in suite.tasks:
        info = get_loader(task.loader).info(task.name, task.options)
        way = f"{info.n_way}w" if info.kind == "classification" else ""
        assert task.name.endswith(f"-{way}{info.k_shot}s")


def test_presets(suite: SuiteSpec) -> None:
    assert suite.default_preset == "quick"
    assert suite.preset("quick")[1].threads == 1
    if suite.name == "smoke":
        assert list(suite.presets) == ["quick"]
        assert suite.presets["quick"].iterations == 3
        assert suite.presets["quick"].test_units == 20
    else:
        assert list(suite.presets) == ["quick", "standard", "paper"]
        # papers on these two test on 600 episodes
        full = 600 if suite.name in ("miniimagenet", "cifar-fs") else 1000
        assert {name: (p.threads, p.test_units) for name, p in suite.presets.items()} == {
            "quick": (1, 200 if suite.name == "fewshot" else 300),
            "standard": (2, full),
            "paper": (2, full),
        }


@pytest.mark.parametrize("name", ["fewshot", "omniglot"])
def test_orderings_are_of_methods_and_tasks_that_fit(name: str) -> None:
    """The core does not check the names of methods; a wrong one would be missing for ever."""
    suite = find_suite(name)
    assert len(suite.orderings) >= 4
    for ordering in suite.orderings:
        assert ordering.why
        for task in ordering.tasks or [t.name for t in suite.tasks]:
            spec = suite.task(task)
            info = get_loader(spec.loader).info(task, spec.options)
            for method in (*ordering.above, *ordering.below):
                card = get_method(method).card
                assert (card.track, info.kind in card.tasks) == (suite.track, True), (method, task)


def test_generated_splits_are_declared() -> None:
    names = ("fewshot", "smoke", "omniglot", "crossdomain", "miniimagenet", "cifar-fs")
    assert {n for n in names if find_suite(n).generated_splits} == {"fewshot", "smoke", "crossdomain"}


def test_omniglot_has_both_splits_with_the_papers_queries() -> None:
    tasks = {task.name: task.options for task in find_suite("omniglot").tasks}
    assert len(tasks) == 8
    for name, options in tasks.items():
        _, split, shape = name.split("-")
        assert options["split"] == split
        assert shape == f"{options['way']}w{options['shot']}s"
        assert options["query"] == (5 if split == "vinyals" else options["shot"])
