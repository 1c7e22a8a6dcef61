"""Leaderboards by hand-computed cases and by properties."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbench.errors import InputError, UnknownNameError
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.intervals import estimate, estimate_of_summary, t_quantile
from benchbench.stats.labels import method_label
from benchbench.stats.leaderboard import make_leaderboard
from benchbench.stats.statistics import NOT_RANKED
from benchbench.stats.trials import Conditions
from benchbench.suite_files import BEST_KNOWN

CONDITIONS = Conditions(
    suite_version="1", protocol_version="p/1", preset="quick", test_units=100, threads=1, device="cpu"
)
SUITE = SuiteFacts(
    name="s",
    version="1",
    baseline="base",
    reference="ref",
    tasks=(
        TaskEnds(name="a", baseline_score=0.2, reference_score=0.7),
        TaskEnds(name="b", baseline_score=-4.0, reference_score=-2.0),
    ),
)


def cell(method: str, task: str, *scores: float | None, **more: Any) -> dict[str, Any]:
    return {"method": method, "task": task, "scores": scores, **more}


def rows(board: Any, task: str | None) -> dict[str, Any]:
    return {r.label: r for r in board.rows if r.task == task}


def test_t_quantiles_are_the_textbooks() -> None:
    assert t_quantile(1) == pytest.approx(12.7062, abs=1e-4)
    assert t_quantile(9) == pytest.approx(2.2622, abs=1e-4)
    assert t_quantile(999) == pytest.approx(1.9623, abs=1e-4)


def test_interval_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0])
    # sd = sqrt(5/3), t(3) = 3.18245
    assert (found.mean, found.n) == (2.5, 4)
    assert found.ci95 == pytest.approx(3.182446 * math.sqrt(5 / 3) / 2, rel=1e-6)
    assert estimate([0.5]).ci95 is None
    assert estimate_of_summary(0.5, 0.0, 10).ci95 == 0.0
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


def test_seeds_that_all_give_the_same_do_not_make_a_score_certain(make_board: Any) -> None:
    """Chance does not touch the method: what is sampled are the episodes, the same ones with every seed."""
    board = make_board([cell("sure", "a", 0.3, 0.3, 0.3), cell("base", "a", 0.3, 0.3, 0.4)], SUITE)
    sure, other = rows(board, "a")["sure"], rows(board, "a")["base"]
    assert sure.ci95 == pytest.approx(t_quantile(99) * 0.1 / 10)
    assert (sure.unit, sure.n, sure.n_by_unit, sure.n_seeds) == ("episode", 100, {"episode": 100}, 3)
    assert sure.notes == ["all 3 seeds give the same"]
    assert (other.unit, other.n) == ("seed", 3)
    assert other.ci95 == pytest.approx(estimate([0.3, 0.3, 0.4]).ci95)
    assert rows(board, None)["sure"].ci95 == pytest.approx(sure.ci95 / 0.5), "the whole suite's says as much"


def test_no_interval_where_all_give_the_same_and_nothing_was_sampled_within(make_board: Any) -> None:
    of_seeds = cell("sure", "a", 0.3, 0.3, deviations=(None, None), n_units=(1, 1))
    of_folds = cell("flat", "b", -3.0, -3.0, -3.0, unit="fold", deviations=(None,) * 3, n_units=(1,) * 3)
    board = make_board([of_seeds, of_folds], SUITE)
    found = rows(board, "a")["sure"], rows(board, "b")["flat"]
    assert [(r.ci95, r.unit, r.n) for r in found] == [(None, "seed", 2), (None, "fold", 3)]
    assert [r.notes for r in found] == [["all 2 seeds give the same"], ["all 3 folds give the same"]]


def test_one_seed_is_an_interval_over_episodes(make_board: Any) -> None:
    row = rows(make_board([cell("m", "a", 0.6)], SUITE), "a")["m"]
    assert (row.score, row.unit, row.n, row.rank) == (0.6, "episode", 100, 1.0)
    assert row.ci95 == pytest.approx(t_quantile(99) * 0.1 / 10)


def test_several_seeds_are_an_interval_over_seeds(make_board: Any) -> None:
    row = rows(make_board([cell("m", "a", 0.5, 0.7)], SUITE), "a")["m"]
    assert (row.score, row.unit, row.n, row.n_units) == (pytest.approx(0.6), "seed", 2, 200)
    assert row.ci95 == pytest.approx(t_quantile(1) * math.sqrt(0.02) / math.sqrt(2))


def test_a_suite_of_tasks_with_different_units_names_the_number_of_each(make_board: Any) -> None:
    cells = [cell("m", "a", 0.4, 0.5, 0.6), cell("m", "b", -3.5), cell("one", "a", 0.5), cell("one", "b", -3.0)]
    # no frozen ends: not in the suite's score, so not in its n either
    wider = replace(SUITE, tasks=(*SUITE.tasks, TaskEnds(name="c")))
    board = make_board([*cells, cell("m", "c", 0.5)], wider)
    found = rows(board, None)
    assert (found["m"].unit, found["m"].n_in_words) == ("mixed", "100 episodes, 3 seeds")
    assert (found["one"].unit, found["one"].n, found["one"].n_in_words) == ("episode", 200, "200 episodes")
    assert rows(board, "a")["m"].n_in_words == "3 seeds"
    assert found["m"].to_dict()["n_by_unit"] == {"episode": 100, "seed": 3}


def test_suite_score_is_normalised_and_its_interval_propagated(make_board: Any) -> None:
    board = make_board([cell("m", "a", 0.45), cell("m", "b", -3.5)], SUITE)
    row = rows(board, None)["m"]
    assert row.score == pytest.approx((0.5 + 0.25) / 2)
    half = t_quantile(99) * 0.01
    assert row.ci95 == pytest.approx(math.hypot(half / 0.5, half / 2.0) / 2)
    assert row.seconds == 4.0


@pytest.mark.parametrize("reference", [0.1, 0.2])
def test_a_task_whose_reference_is_not_above_the_baseline_has_no_normalised_score(
    make_board: Any, reference: float
) -> None:
    """Its unit would be negative: what does better there would lose."""
    tasks = (SUITE.tasks[0], TaskEnds(name="c", baseline_score=0.2, reference_score=reference))
    facts = SuiteFacts(name="s", version="1", baseline="base", reference="ref", tasks=tasks)
    found = rows(make_board([cell("m", "a", 0.45), cell("m", "c", 0.9)], facts), None)["m"]
    assert found.score == pytest.approx(0.5)
    assert found.n_tasks_scored == 2


def test_declined_is_never_imputed_and_is_said(make_board: Any) -> None:
    cells = [
        cell("m", "a", 0.6),
        cell("m", "b", n_declined=1, seconds=None),
        cell("o", "a", 0.5),
        cell("o", "b", -3.0),
    ]
    board = make_board(cells, SUITE)
    row = rows(board, None)["m"]
    assert (row.rank, row.mean_rank, row.n_imputed, row.n_tasks_scored) == (1.0, 1.0, 0, 1)
    assert row.notes == ["1/2 tasks, the others declined"]
    assert rows(board, "b")["m"].score is None
    assert rows(board, "b")["m"].rank is None


@pytest.mark.parametrize(("policy", "score"), [("baseline", 0.2), ("worst", 0.3), ("none", None)])
def test_failures_are_imputed_by_the_policy(make_board: Any, policy: str, score: float | None) -> None:
    cells = [cell("m", "a", n_failed=1, seconds=None), cell("o", "a", 0.3), cell("p", "a", 0.9)]
    row = rows(make_board(cells, SUITE, imputation=policy), "a")["m"]
    assert row.score == score
    assert row.n_failed == 1
    assert row.imputed_share == (0.0 if policy == "none" else 1.0)
    assert row.ci95 is None


def test_a_failed_seed_weighs_on_the_mean(make_board: Any) -> None:
    row = rows(make_board([cell("m", "a", 0.8, n_failed=1)], SUITE), "a")["m"]
    assert row.score == pytest.approx((0.8 + 0.2) / 2)
    assert (row.imputed_share, row.ci95) == (0.5, None)
    assert (row.unit, row.n, row.n_by_unit, row.n_seeds) == ("seed", 2, {"seed": 2}, 2)


UNFROZEN = SuiteFacts(name="s", version="1", baseline="base", reference="ref", tasks=(TaskEnds(name="a"),))


@pytest.mark.parametrize(
    ("others", "score", "note"),
    [
        ([("base", 0.4), ("o", 0.3)], 0.4, "no frozen baseline score: the mean of base is imputed for failures on a"),
        ([("p", 0.5), ("o", 0.3)], 0.3, "no baseline score: the lowest mean is imputed for failures on a"),
    ],
)
def test_what_stands_for_a_failure_where_no_baseline_is_frozen(
    make_board: Any, others: list[tuple[str, float]], score: float, note: str
) -> None:
    cells = [cell("m", "a", n_failed=1), *(cell(name, "a", value) for name, value in others)]
    board = make_board(cells, UNFROZEN)
    assert rows(board, "a")["m"].score == score
    made_up = "not ranked, since every trial failed: m"
    assert board.notes == [note, made_up]
    assert make_board(cells[1:], UNFROZEN).notes == []
    assert rows(board, None)["m"].score is None


def test_what_stands_for_a_failure_does_not_depend_on_what_is_shown(make_board: Any) -> None:
    cells = [cell("m", "a", n_failed=1), cell("o", "a", 0.3), cell("p", "a", 0.9)]
    shown = make_board(cells, SUITE, imputation="worst", methods=["m", "p"])
    assert rows(shown, "a")["m"].score == 0.3
    assert set(rows(shown, "a")) == {"m", "p"}


def test_a_scored_task_is_not_always_an_ok_one(make_board: Any) -> None:
    board = make_board([cell("m", "a", n_failed=1), cell("m", "b", -3.0)], SUITE)
    row = rows(board, None)["m"]
    assert (row.n_tasks, row.n_tasks_scored, row.n_tasks_ok) == (2, 2, 1)
    assert "50% imputed" in row.notes


def test_labels_are_what_bench_run_understands() -> None:
    from benchbench.registry import parse_method

    text = method_label("maml", '{"first_order":true,"inner_lr":0.4,"name":"it\'s"}')
    assert text == """maml(first_order=True, inner_lr=0.4, name="it's")"""
    assert parse_method(text) == ("maml", {"first_order": True, "inner_lr": 0.4, "name": "it's"})
    assert method_label("maml", "{}") == method_label("maml", "") == "maml"


def test_unknown_policy(make_board: Any) -> None:
    with pytest.raises(InputError, match="expected baseline, worst, none"):
        make_board([cell("m", "a", 0.5)], SUITE, imputation="mean")


def other_conditions(**changes: Any) -> Conditions:
    return Conditions(**{**{n: getattr(CONDITIONS, n) for n in CONDITIONS.__dataclass_fields__}, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"preset": "paper"},
        {"device": "cuda"},
        {"threads": 2},
        {"test_units": 7},
        {"suite_version": "0"},
        {"protocol_version": "p/0"},
    ],
)
def test_incomparable_results_are_left_out_and_said(make_board: Any, changes: dict[str, Any]) -> None:
    cells = [cell("m", "a", 0.5, newest=5.0), cell("m", "a", 0.99, conditions=other_conditions(**changes), newest=1.0)]
    board = make_board(cells, SUITE)
    assert rows(board, "a")["m"].score == 0.5
    assert len(board.left_out) == 1
    assert "1 trial" in board.left_out[0]


def test_groups_can_be_chosen(make_board: Any) -> None:
    cells = [cell("m", "a", 0.5, newest=5.0), cell("m", "a", 0.9, conditions=other_conditions(preset="paper"))]
    assert rows(make_board(cells, SUITE, preset="paper"), "a")["m"].score == 0.9
    nothing = make_board(cells, SUITE, preset="nothing")
    assert (nothing.rows, nothing.n_left_out) == ([], 2)
    assert len(nothing.left_out) == 2
    assert "--preset paper --device cpu --threads 1" in nothing.left_out[0]


def test_other_data_are_left_out_and_said(make_board: Any) -> None:
    cells = [cell("m", "a", 0.5, newest=5.0), cell("o", "a", 0.9, fingerprint="older data", newest=1.0)]
    board = make_board(cells, SUITE)
    assert list(rows(board, "a")) == ["m"]
    assert "other data" in board.left_out[0]


def test_what_is_imputed_comes_of_the_data_that_are_shown(make_board: Any) -> None:
    """Others have newer data of the task; who is shown was measured on the older, and failed there."""
    old = {"fingerprint": "older data", "newest": 1.0}
    cells = [cell("m", "a", 0.6, n_failed=1, **old), cell("q", "a", 0.3, **old), cell("r", "a", 0.1, newest=5.0)]
    found = make_board(cells, SUITE, imputation="worst", methods=["m"])
    assert (found.fingerprints, found.fills["a"]) == ({"a": "older data"}, 0.3)
    assert make_board(cells, SUITE, imputation="worst").left_out == [
        "2 trials of m on a: other data (older da)",
        "1 trial of q on a: other data (older da)",
    ]


def test_mixed_hardware_and_versions_are_marked(make_board: Any) -> None:
    cells = [cell("m", "a", 0.5, hardware=("one", "two")), cell("o", "a", 0.5, n_environments=2)]
    notes = " ".join(make_board(cells, SUITE).notes)
    assert "one; two" in notes
    assert "package versions changed between trials of: o" in notes


@settings(deadline=None)
@given(st.permutations([("m", "a", 0.5), ("m", "b", -3.0), ("o", "a", 0.5), ("o", "b", -2.0), ("p", "a", 0.1)]))
def test_order_of_cells_does_not_matter(make_board: Any, order: list[tuple[str, str, float]]) -> None:
    def plain(cells: list[tuple[str, str, float]]) -> list[Any]:
        return [r.to_dict() for r in make_board([cell(*c) for c in cells], SUITE).rows]

    assert plain(order) == plain(sorted(order))


def test_of_tasks_with_splits_the_unit_is_the_fold(make_board: Any) -> None:
    folds = {"unit": "fold", "metric": "auc", "deviations": (None, None), "n_units": (1, 1)}
    found = make_board([cell("x", "a", 0.5, 0.7, **folds), cell("y", "a", 0.5, n_failed=1, **folds)], SUITE)
    x, y = rows(found, "a")["x"], rows(found, "a")["y"]
    assert (x.unit, x.n, x.score) == ("fold", 2, pytest.approx(0.6))
    assert x.ci95 == pytest.approx(12.7062 * 0.1, abs=1e-4)
    assert y.unit == "fold" and y.ci95 is None
    assert y.notes == ["1 of 2 folds failed and are imputed"]
    one = make_board([cell("x", "a", 0.5, **folds | {"deviations": (None,), "n_units": (1,)})], SUITE)
    assert (rows(one, "a")["x"].unit, rows(one, "a")["x"].n, rows(one, "a")["x"].notes) == ("fold", 1, [])


def test_a_named_method_stands_for_failures_on_every_task_that_it_has(make_board: Any) -> None:
    cells = [
        cell("m", "a", n_failed=2),
        cell("m", "b", -3.0, n_failed=1),
        cell("p", "a", 0.4, 0.6),
        cell("q", "b", -2.5),
    ]
    board = make_board(cells, SUITE, imputation="baseline=p")
    assert board.fills == {"a": 0.5, "b": -3.0}
    found = rows(board, "a")["m"]
    assert (found.score, found.n_imputed, found.imputed_share) == (0.5, 2, 1.0)
    # p has no score on b, and it is said what stands there instead
    assert rows(board, "b")["m"].score == pytest.approx(-3.0)
    assert "no score of p: the lowest mean is imputed for failures on b" in board.notes


def test_of_a_named_method_with_several_parameters_one_must_be_meant(make_board: Any) -> None:
    cells = [cell("m", "a", n_failed=1), cell("p", "a", 0.4, params='{"x": 1}'), cell("p", "a", 0.6, params='{"x": 2}')]
    with pytest.raises(InputError, match="more than once"):
        make_board(cells, SUITE, imputation="baseline=p")
    assert make_board(cells, SUITE, imputation="baseline=p(x=2)").fills["a"] == 0.6
    with_default = [*cells, cell("p", "a", 0.5)]
    assert make_board(with_default, SUITE, imputation="baseline=p").fills["a"] == 0.5
    for name in ("baseline=", "baseline=other"):
        with pytest.raises(InputError):
            make_board(cells, SUITE, imputation=name)


def test_drop_task_leaves_no_trace_of_a_task_in_the_whole_suite(make_board: Any) -> None:
    cells = [cell("m", "a", 0.3, n_failed=1), cell("m", "b", -3.0), cell("p", "a", 0.4), cell("p", "b", -3.5)]
    board = make_board(cells, SUITE, imputation="drop-task")
    alone = make_board([c for c in cells if c["task"] == "b"], SUITE, tasks=["b"])
    assert board.dropped_tasks == ("a",)
    assert rows(board, None) == rows(alone, None)
    # the task's own rows stay, with nothing made up
    assert (rows(board, "a")["m"].score, rows(board, "a")["m"].n_imputed) == (0.3, 0)
    # a method that is not shown drops nothing
    assert make_board(cells, SUITE, imputation="drop-task", methods=["p"]).dropped_tasks == ()


def test_what_is_left_out_is_counted_in_trials(make_board: Any) -> None:
    other = Conditions(
        suite_version="1", protocol_version="p/1", preset="long", test_units=100, threads=1, device="cpu"
    )
    cells = [
        cell("m", "a", 0.3, newest=2.0),
        cell("m", "a", 0.3, 0.4, conditions=other, n_failed=1),
        cell("p", "a", 0.4, fingerprint="older data", newest=1.0),
        cell("m", "gone", 0.1),
    ]
    board = make_board(cells, SUITE)
    assert board.n_left_out == 3 + 1 + 1
    assert len(board.left_out) == 3


def test_a_filter_of_cells_restricts_what_is_shown_and_not_what_stands_for_failures(make_board: Any) -> None:
    cells = [cell("m", "a", n_failed=1), cell("p", "a", 0.4), cell("q", "a", 0.3)]
    board = make_board(cells, SUITE, imputation="worst", keep=lambda c: c.method != "q")
    assert set(rows(board, "a")) == {"m", "p"}
    assert rows(board, "a")["m"].score == 0.3


def test_conditions_in_words() -> None:
    assert CONDITIONS.in_words() == "protocol p/1, preset quick, 100 test units, 1 thread, cpu"
    assert other_conditions(test_units=1, threads=2).in_words().endswith("1 test unit, 2 threads, cpu")
    published = other_conditions(
        protocol_version="published: A", preset="published", test_units=0, threads=0, device="unknown"
    )
    assert published.in_words() == "protocol published: A, preset published"


def test_the_rank_of_a_row_is_the_statistics_own(make_board: Any) -> None:
    """One road: the default leaderboard shows the value, interval and rank of the mean rank, and the same notes."""
    rng = np.random.default_rng(0)
    cells = [cell(m, t, float(rng.random()), float(rng.random())) for m in "xyz" for t in "ab"]
    cells += [cell("late", "a", 0.4), cell("lost", "a", n_failed=2), cell("lost", "b", n_failed=2)]
    board = make_board(cells, SUITE)
    values = {v.method: v for v in board.values("rank")}
    assert {r.label: (r.rank, r.mean_rank, r.mean_rank_low, r.mean_rank_high) for r in board.overall} == {
        m: (v.rank, v.value, v.low, v.high) for m, v in values.items()
    }
    assert all(r.mean_rank_low is not None for r in board.overall if r.method in "xyz")
    lost = board.row_of("lost")
    assert lost is not None
    assert (lost.rank, lost.mean_rank, lost.imputed_share) == (None, None, 1.0)
    assert NOT_RANKED in lost.notes
    assert board.methods[-1] == "lost"
    assert "not ranked, since every trial failed: lost" in board.notes
    # as if it were not there
    without = make_board(cells[:-2], SUITE)
    assert {r.label: (r.rank, r.mean_rank) for r in without.overall} == {
        r.label: (r.rank, r.mean_rank) for r in board.overall if r is not lost
    }


def test_a_restricted_leaderboard_imputes_what_the_whole_does(make_board: Any) -> None:
    cells = [
        *(cell(m, t, s, newest=5.0) for m, s in (("p", 0.4), ("q", 0.3), ("base", 0.35)) for t in "ab"),
        cell("m", "a", 0.6, n_failed=1, newest=5.0),
        cell("m", "b", n_failed=2, newest=5.0),
        cell("m", "a", 0.9, conditions=other_conditions(preset="long"), newest=9.0),
    ]
    for policy in ("worst", "baseline", "baseline=q"):
        facts = replace(SUITE, tasks=(TaskEnds(name="a"), TaskEnds(name="b")))
        whole = make_board(cells, facts, imputation=policy, preset="quick")
        assert whole.conditions == CONDITIONS
        for restricted in (
            make_board(cells, facts, imputation=policy, preset="quick", keep=lambda c: c.method in ("m", "p")),
            make_board(cells, facts, imputation=policy, conditions=CONDITIONS, methods=["m", "p"]),
        ):
            assert restricted.conditions == CONDITIONS
            assert restricted.imputed.table.methods == ("m", "p")
            assert restricted.fills == whole.fills
            for task in "ab":
                mine, theirs = restricted.row_of("m", task), whole.row_of("m", task)
                assert mine is not None and theirs is not None
                assert (mine.score, mine.n_imputed, mine.notes) == (theirs.score, theirs.n_imputed, theirs.notes)
    # asked for by name, whatever is newer
    assert rows(make_board(cells, SUITE), "a")["m"].score == 0.9


def test_conditions_are_those_of_the_suites_version_then_the_newest(make_board: Any) -> None:
    older = other_conditions(suite_version="0")
    cells = [cell("m", "a", 0.5, newest=1.0), cell("m", "a", 0.9, conditions=older, newest=9.0)]
    assert make_board(cells, SUITE).conditions == CONDITIONS
    only_old = make_board(cells[1:], SUITE)
    assert only_old.conditions == older
    assert "these are results of suite version 0; the suite file has version 1" in only_old.notes
    assert make_board(cells[:1], SUITE).notes == []


def test_a_preset_is_found_with_the_threads_behind_it(make_board: Any) -> None:
    """`bench run --preset quick --threads 2` names it "quick,threads=2"; the plain name comes first where both are."""
    two = other_conditions(preset="quick,threads=2", threads=2)
    cells = [cell("m", "a", 0.5, newest=1.0), cell("m", "a", 0.9, conditions=two, newest=9.0)]
    assert make_board(cells, SUITE, preset="quick").conditions == CONDITIONS
    assert make_board(cells, SUITE, preset="quick", threads=2).conditions == two
    assert make_board(cells, SUITE).conditions == two
    plain = other_conditions(threads=2)
    of_both = [*cells, cell("m", "a", 0.7, conditions=plain, newest=2.0)]
    assert make_board(of_both, SUITE, preset="quick", threads=2).conditions == plain
    gpu = other_conditions(device="cuda")
    of_both = [cell("m", "a", 0.5, newest=9.0), cell("m", "a", 0.9, conditions=gpu, newest=1.0)]
    assert make_board(of_both, SUITE, device="cuda").conditions == gpu
    # what is not shown is listed with the options that show it
    assert make_board(of_both, SUITE).left_out == [f"1 trial of suite version 1, {gpu.in_words()}: --device cuda"]


def test_what_an_older_source_left_is_counted(make_trials: Any) -> None:
    found = make_trials([cell("m", "a", 0.5)])
    board = make_leaderboard(replace(found, superseded=(("m", 2), ("o", 1))), SUITE)
    assert board.left_out == [
        "2 trials of m from an older source of the adapter",
        "1 trial of o from an older source of the adapter",
    ]
    assert board.n_left_out == 3


def test_an_empty_leaderboard(make_board: Any, make_trials: Any) -> None:
    assert make_trials([]).cells == ()
    board = make_board([], SUITE)
    assert (board.rows, board.conditions, board.tasks, board.methods) == ([], None, [], [])
    with pytest.raises(InputError, match="no task of suite s is left to compare methods on"):
        board.values("rank")
    cells = [cell("m", "a", n_failed=1), cell("m", "b", n_failed=1)]
    with pytest.raises(InputError, match="choose another --impute"):
        make_board(cells, SUITE, imputation="drop-task").values("rank")


def test_values_of_single_tasks(make_board: Any) -> None:
    board = make_board([cell("x", "a", 0.5), cell("y", "a", 0.6), cell("x", "b", -1.0), cell("y", "b", -2.0)], SUITE)
    found = board.task_values("rank")
    assert {t: [(v.method, v.value, v.low) for v in own] for t, own in found.items()} == {
        "a": [("y", 1.0, None), ("x", 2.0, None)],
        "b": [("x", 1.0, None), ("y", 2.0, None)],
    }
    assert list(board.task_values("rank", ["b"])) == ["b"]
    norm = {v.method: v.value for v in board.task_values("norm")["b"]}
    assert norm == pytest.approx({"x": 1.5, "y": 1.0})
    assert {r.label: r.rank for r in board.rows_of("a")} == {"y": 1.0, "x": 2.0}


def test_what_a_suite_freezes() -> None:
    suite = replace(
        SUITE, tasks=(*SUITE.tasks, TaskEnds(name="c", baseline_score=0.1), TaskEnds(name="d", reference_score=0.3))
    )
    assert suite.ends() == {"a": (0.2, 0.7), "b": (-4.0, -2.0)}
    assert suite.baselines() == {"a": 0.2, "b": -4.0, "c": 0.1}
    metrics = {"a": "accuracy", "b": "neg_mse", "c": "neg_loss"}
    assert suite.perfect_scores(metrics) == {"a": 1.0, "b": 0.0}
    best = replace(suite, reference=BEST_KNOWN)
    assert best.perfect_scores(metrics) == {"a": 0.7, "b": -2.0, "d": 0.3}


def test_shared_training_and_sums_over_tasks(make_board: Any) -> None:
    more = {"n_shared": 1, "shared_seconds": 3.0, "iterations": 10}
    board = make_board(
        [cell("m", "a", 0.5, 0.6, seconds=[4.0, 8.0], **more), cell("m", "b", -3.0, seconds=2.0, n_lost=1, **more)],
        SUITE,
    )
    own, whole = board.row_of("m", "a"), board.row_of("m")
    assert own is not None and whole is not None
    assert (own.seconds, own.shared_seconds, own.n_shared, own.iterations) == (6.0, 3.0, 1, 10)
    assert (whole.seconds, whole.shared_seconds, whole.n_shared, whole.iterations) == (8.0, 6.0, 2, 20)
    assert (whole.n_ok, whole.n_lost, whole.n_seeds, whole.n_units) == (3, 1, 3, 300)
    assert (whole.preset, whole.device, whole.threads, whole.metric) == ("quick", "cpu", 1, "normalised score")


def test_rows_of_a_task_stand_by_rank_and_those_without_one_last(make_board: Any) -> None:
    cells = [
        cell("a", "a", 0.3),
        cell("b", "a", n_declined=1),
        cell("c", "a", 0.5),
        cell("d", "a", 0.1 + 0.2),
        cell("e", "a", 0.9),
    ]
    found = make_board(cells, SUITE).rows_of("a")
    # 0.1 + 0.2 differs from 0.3 in the last digit alone
    assert [(r.label, r.rank) for r in found] == [("e", 1.0), ("c", 2.0), ("a", 3.5), ("d", 3.5), ("b", None)]


def test_a_few_methods_at_a_time_give_the_same(make_board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    cells = [cell(m, t, *rng.random(3).tolist(), n_failed=int(rng.integers(2))) for m in "vwxyz" for t in "ab"]
    whole = make_board(cells, SUITE)
    for at_once in (1, 13):
        monkeypatch.setattr("benchbench.stats.cell_numbers._CELLS_AT_ONCE", at_once)
        assert make_board(cells, SUITE).rows == whole.rows


def test_a_method_is_transductive_if_any_of_its_tasks_is(make_board: Any) -> None:
    board = make_board([cell("m", "a", 0.5, transductive=True), cell("m", "b", -3.0), cell("n", "a", 0.4)], SUITE)
    assert {r.label: (r.transductive, r.notes) for r in board.overall} == {
        "m": (True, []),
        # neither declined nor failed: never run
        "n": (False, ["1/2 tasks"]),
    }


def test_who_declined_everything_did_not_fail(make_board: Any) -> None:
    cells = [cell("m", "a", 0.5), cell("none", "a", n_declined=2), cell("lost", "a", n_failed=1)]
    assert "not ranked, since every trial failed: lost" in make_board(cells, SUITE).notes
    dropped = make_board([*cells, *(cell(m, "b", -3.0) for m in ("m", "none"))], SUITE, imputation="drop-task")
    assert dropped.dropped_tasks == ("a",)
    assert dropped.notes == [
        "drop-task: a is not part of the whole suite's numbers, since trials of these failed there: lost"
    ]


def test_the_baseline_with_default_parameters_comes_first(make_board: Any) -> None:
    cells = [cell("m", "a", n_failed=1), cell("base", "a", 0.4), cell("base", "a", 0.1, params='{"x":1}')]
    assert make_board(cells, UNFROZEN).fills["a"] == 0.4
    assert make_board([cells[0], cells[2]], UNFROZEN).fills["a"] == 0.1


def test_a_method_without_a_score_stands_for_nothing(make_board: Any) -> None:
    cells = [cell("m", "a", n_failed=1), cell("p", "a", 0.4)]
    with pytest.raises(UnknownNameError, match="method to impute with: 'm'"):
        make_board(cells, SUITE, imputation="baseline=m")
