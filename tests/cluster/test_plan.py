"""Which methods a run takes."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from benchbench.cluster.plan import DoneKey, PlannedTrial, Request, Schedule, Spellings, all_trials, choose_methods
from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import get_loader, methods
from benchbench.suite_files import find_suite


def _names(texts: list[str]) -> list[str]:
    return [request.entry.name for request in choose_methods(find_suite("fewshot"), texts)]


def test_a_suite_may_say_what_runs_by_default() -> None:
    assert _names([]) == list(find_suite("fewshot").methods)


def test_all_is_every_method_of_the_track_and_variants_may_be_added() -> None:
    everything = {name for name, entry in methods().items() if entry.card.track == "fewshot"}
    found = _names(["all", "protonet", "maml(averages=True)"])
    assert set(found) == everything
    assert len(found) == len(everything) + 1
    assert choose_methods(find_suite("fewshot"), ["all", "maml(averages=True)"])[-1].params == {"averages": True}


def test_a_method_that_is_not_there_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="protonet"):
        _names(["protonett"])


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["pixel_nn", "protonet", "pixel_nn"], "pixel_nn"),
        (["maml(averages=True)", "maml(averages=True)"], "maml(averages=True)"),
        (["all", "maml(averages=True)", "maml(averages=True)"], "maml(averages=True)"),
    ],
)
def test_a_method_that_is_named_twice_is_refused(texts: list[str], named: str) -> None:
    """Each of its trials was run twice."""
    with pytest.raises(InputError, match=rf"^method {re.escape(repr(named))} is named more than once$"):
        _names(texts)
    assert _names(["maml", "maml(averages=True)"]) == ["maml", "maml"]


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        ("linear_model", "linear_model(penalty=1)", "linear_model"),
        ("linear_model", "linear_model(max_iterations=500, penalty=1.0)", "linear_model"),
        ("linear_model()", "linear_model(max_iterations=500)", "linear_model"),
        ("linear_model(penalty=2)", "linear_model( penalty = 2.0 )", "linear_model(penalty=2.0)"),
        (
            "linear_model(penalty=2, max_iterations=9)",
            "linear_model(max_iterations=9, penalty=2e0)",
            "linear_model(max_iterations=9, penalty=2.0)",
        ),
    ],
)
def test_all_spellings_of_a_method_are_one(first: str, second: str, label: str) -> None:
    """Each trained and stood on boards by itself: clones shift ranks, Elo and Nemenyi's k."""
    suite = find_suite("tabular")
    one, other = (choose_methods(suite, [text])[0] for text in (first, second))
    assert one == other
    assert one.label == label
    with pytest.raises(
        InputError, match=rf"{re.escape(repr(second))} is named more than once \(it is {re.escape(label)}\)$"
    ):
        choose_methods(suite, [first, second])
    together = choose_methods(suite, ["all", first, "constant_predictor"])
    assert [m.label for m in together].count(label) == 1


def test_what_is_done_under_another_spelling_is_done() -> None:
    suite = find_suite("tabular")
    name, preset = suite.preset("quick")
    (method,) = choose_methods(suite, ["linear_model"])
    request = Request(
        suite=suite,
        preset_name=name,
        preset=preset,
        tasks=suite.tasks[:1],
        methods=(method,),
        seeds=(0, 1),
        device="cpu",
    )
    get_loader(request.tasks[0].loader).prepare(request.tasks[0].options, lambda line: None)
    trials = list(all_trials(request))
    old = {"max_iterations": 500}
    recorded = dataclasses.replace(trials[0].spec, params=old).trial_id
    assert recorded != trials[0].trial_id
    done = {(recorded, *trials[0].done_key[1:])}
    spellings = {("linear_model", "{}"): [{"penalty": 1}, old]}
    assert planned(request, done) == trials
    assert planned(request, done, spellings=spellings) == trials[1:]
    assert planned(request, done, spellings={("extra_trees", "{}"): [old]}) == trials
    # of another source it is not
    assert planned(request, {(recorded, "other", *trials[0].done_key[2:])}, spellings=spellings) == trials


@pytest.mark.parametrize("override", [{"time_limit_seconds": 900.0}, {"threads": 2}, {"test_units": 50}])
def test_a_preset_with_another_limit_still_trains_as_long(override: dict[str, Any]) -> None:
    """It once trained for no iteration at all: methods know presets by their plain names."""
    suite = find_suite("fewshot")
    name, preset = suite.preset("quick")
    ((key, value),) = override.items()
    tasks = (suite.task("glyphs-20w1s"), suite.task("sinusoid-10s"))
    requests = [
        Request(
            suite=suite,
            preset_name=n,
            preset=p,
            tasks=tasks,
            methods=choose_methods(suite, ["maml"]),
            seeds=(0,),
            device="cpu",
        )
        for n, p in ((name, preset), (f"{name},{key}={value:g}", dataclasses.replace(preset, **override)))
    ]
    for task in tasks:
        get_loader(task.loader).prepare(task.options, lambda line: None)
    plain, overridden = [[t.spec.budget.iterations for t in all_trials(r)] for r in requests]
    assert overridden == plain
    assert all(plain)


def _request(n_seeds: int = 2, **changes: Any) -> Request:
    suite = find_suite("fewshot")
    name, preset = suite.preset("quick")
    values: dict[str, Any] = {
        "suite": suite,
        "preset_name": name,
        "preset": preset,
        "tasks": tuple(suite.tasks[:3]),
        "methods": choose_methods(suite, ["pixel_nn", "noop"]),
        "seeds": tuple(range(n_seeds)),
        "device": "cpu",
    }
    return Request(**{**values, **changes})


def planned(request: Request, done: set[DoneKey], spellings: Spellings | None = None) -> list[PlannedTrial]:
    """Return the trials that run if all data are prepared."""
    schedule = Schedule(request, done, spellings)
    for task in request.tasks:
        schedule.ready(task, get_loader(task.loader).fingerprint(task.options))
    return list(iter(schedule.next, None))


def _taken(schedule: Schedule, n: int | None = None) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    while (n is None or len(found) < n) and (trial := schedule.next()) is not None:
        found.append((trial.spec.seed, trial.spec.task, trial.spec.method))
    return found


def test_trials_of_ready_tasks_come_in_the_order_of_all_trials() -> None:
    request = _request()
    fingerprints = {task.name: f"data of {task.name}" for task in request.tasks}
    planned = list(all_trials(request, fingerprints))
    schedule = Schedule(request)
    assert schedule.next() is None
    assert len(schedule.expected()) == len(planned) == 12
    for task in request.tasks[::-1]:
        assert len(schedule.ready(task, fingerprints[task.name])) == 4
    found = [trial for _ in planned if (trial := schedule.next())]
    assert found == planned
    assert schedule.next() is None


def test_a_task_that_becomes_ready_goes_before_the_second_seeds_of_others() -> None:
    request = _request()
    a, b, c = request.tasks
    schedule = Schedule(request)
    schedule.ready(b, "1")
    assert _taken(schedule, 3) == [(0, b.name, "pixel_nn"), (0, b.name, "noop"), (1, b.name, "pixel_nn")]
    schedule.ready(c, "1")
    assert _taken(schedule, 1) == [(0, c.name, "pixel_nn")]
    schedule.ready(a, "1")
    assert _taken(schedule, 4) == [
        (0, a.name, "pixel_nn"),
        (0, a.name, "noop"),
        (0, c.name, "noop"),
        (1, a.name, "pixel_nn"),
    ]
    assert [t.spec.task for t in schedule.drop(c.name)] == [c.name] * 2
    assert _taken(schedule) == [(1, a.name, "noop"), (1, b.name, "noop")]


def test_what_is_done_with_the_same_data_does_not_run_and_with_other_data_does() -> None:
    request = _request()
    a, b, c = request.tasks
    done = {t.done_key for t in all_trials(request, dict.fromkeys((a.name, b.name, c.name), "1")) if t.spec.seed == 0}
    schedule = Schedule(request, done)
    # the second seeds will run whatever the data are
    assert {t.spec.seed for t in schedule.expected()} == {1}
    assert {t.spec.seed for t in schedule.ready(a, "1")} == {1}
    assert {t.spec.seed for t in schedule.ready(b, "2")} == {0, 1}
    assert schedule.n_known == 2
    assert [t.spec.task for t in schedule.drop(c.name)] == [c.name] * 2
    assert len(schedule.expected()) == 2 + 4
