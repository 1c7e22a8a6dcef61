"""Parts of comparable results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchbench.stats.comparability import choose
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.trials import UnpreparedTask

SUITE = SuiteFacts(
    name="s", version="1", baseline="base", reference="ref", tasks=tuple(TaskEnds(name=n) for n in ("b", "a", "c"))
)


def cell(method: str, task: str, *scores: float | None, **more: Any) -> dict[str, Any]:
    return {"method": method, "task": task, "scores": scores, **more}


def test_a_part_has_the_tables_order_and_its_own_data_and_hardware(make_trials: Any) -> None:
    cells = [
        cell("n", "a", 0.5, hardware=("two", "")),
        cell("m", "b", 0.4, hardware=("one",)),
        cell("m", "a", 0.3, hardware=("two",)),
        cell("k", "c", 0.9, hardware=("three",)),
    ]
    everything = choose(make_trials(cells), SUITE)
    assert everything.hardware == ("one", "three", "two")
    part = everything.select(["n", "m", "unknown"], ["a", "c"])
    assert (part.table.methods, part.table.tasks) == (("m", "n"), ("a",))
    assert part.table.scores[:, 0, 0].tolist() == [0.3, 0.5]
    assert set(part.cells) == {("m", "a"), ("n", "a")}
    assert (part.tasks, part.fingerprints, part.hardware) == (("a", "c"), {"a": "data of a"}, ("two",))
    # what is imputed stays that of all
    assert part.everyone is everything.everyone
    assert part.everyones_cells is everything.everyones_cells
    part = everything.select(["m"], ["a", "b"])
    assert (part.table.tasks, part.hardware) == (("b", "a"), ("one", "two")), "in the suite's order"


def test_all_that_is_left_out_is_counted_whether_or_not_anything_is_shown(make_trials: Any) -> None:
    trials = replace(
        make_trials([cell("m", "a", 0.5, 0.6, n_failed=1), cell("n", "b", 0.4)]), superseded=(("m", 5), ("o", 1))
    )
    nothing = choose(trials, SUITE, preset="standard")
    assert (nothing.conditions, nothing.n_left_out) == (None, 4 + 6)
    shown = choose(trials, SUITE)
    assert shown.n_left_out == 6
    older = ("5 trials of m from an older source of the adapter", "1 trial of o from an older source of the adapter")
    assert shown.left_out == older
    assert nothing.left_out[-2:] == older


def test_tasks_without_data_are_left_out_by_name_under_their_suite_version(make_trials: Any) -> None:
    def unprepared(task: str, version: str, reason: str) -> UnpreparedTask:
        return UnpreparedTask(task=task, suite_version=version, run_id="run-7", reason=reason)

    found = (
        unprepared("b", "1", "InputError: sparse\nin two lines\x1b[31m"),
        unprepared("c", "1", "DataMissingError: " + "x" * 500),
        unprepared("a", "0", "of a former version of the suite"),
    )
    trials = replace(make_trials([cell("m", "a", 0.5)]), unprepared=found)
    for board in (choose(trials, SUITE), choose(trials, SUITE, preset="standard")):
        assert board.unprepared == ("b", "c")
        assert board.left_out[-2] == (
            "task b: its data could not be prepared in run run-7: InputError: sparse in two lines\\x1b[31m"
        )
        assert board.left_out[-1].endswith("xxx...")
        assert len(board.left_out[-1]) < 400
    assert (choose(trials, SUITE).n_left_out, choose(trials, SUITE, tasks=["a", "b"]).unprepared) == (0, ("b",))
    assert choose(trials, replace(SUITE, version="0"), preset="standard").unprepared == ("a",)
