"""Two methods on a grid, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchbench.errors import InputError
from benchbench.stats.imputation import Imputed, impute
from benchbench.stats.pairwise import HeadToHead, head_to_head
from benchbench.stats.table import ScoreTable, TrialState

NAN = float("nan")


def grid(*scores: list[list[float]]) -> Imputed:
    values = np.array(scores, dtype=np.float64)
    states = np.where(np.isnan(values), TrialState.ABSENT, TrialState.OK).astype(np.int8)
    tasks = tuple(f"t{i}" for i in range(values.shape[1]))
    made = ScoreTable(tuple("abc"[: len(values)]), tasks, tuple(range(values.shape[2])), values, states)
    return impute(made, "none")


def compare(imputed: Imputed, **more: object) -> HeadToHead:
    options: dict[str, object] = {
        "metrics": dict.fromkeys(imputed.grid.tasks, "accuracy"),
        "trial_unit": {},
        "ends": {},
        "units": ({}, {}),
        "unit_names": {},
    }
    return head_to_head(imputed, "a", "b", **{**options, **more})  # type: ignore[arg-type]


def test_a_seed_of_one_method_alone_moves_neither_mean() -> None:
    found = compare(grid([[0.5, 0.9], [0.4, 0.4]], [[0.3, NAN], [0.5, 0.5]]))
    assert (found.tasks[0].a, found.tasks[0].b, found.tasks[0].n) == (0.5, 0.3, 1)
    assert found.overall is not None
    assert found.overall.mean_difference == pytest.approx((0.2 - 0.1) / 2)
    assert (found.overall.wins, found.overall.losses, found.scale) == (1, 1, "accuracy")


def test_of_one_seed_the_units_are_paired() -> None:
    units = ({("t0", 0): [0.4, 0.6, 0.5]}, {("t0", 0): [0.2, 0.3, 0.4]})
    found = compare(grid([[0.5]], [[0.3]]), units=units, unit_names={"t0": "episode"})
    (pair,) = found.tasks
    differences = np.array([0.2, 0.3, 0.1])
    assert (pair.n, pair.unit) == (3, "episode")
    # t(2) = 4.302653
    assert pair.ci95 == pytest.approx(4.302653 * differences.std(ddof=1) / np.sqrt(3), rel=1e-6)
    # other numbers of units cannot be paired
    other = compare(grid([[0.5]], [[0.3]]), units=(units[0], {("t0", 0): [0.2]}))
    assert (other.tasks[0].n, other.tasks[0].ci95) == (1, None)


def test_the_scale_is_what_all_common_tasks_have() -> None:
    table = grid([[0.6], [2.0], [NAN]], [[0.5], [1.0], [5.0]], [[0.7], [3.0], [1.0]])
    metrics = {"t0": "accuracy", "t1": "neg_mse", "t2": "auc"}
    # the third is not common: it may lack ends
    ends = {"t0": (0.5, 0.7), "t1": (0.0, 4.0)}
    found = compare(table, metrics=metrics, ends=ends)
    assert (found.scale, found.rope) == ("normalised score", 0.01)
    assert [p.scaled for p in found.tasks] == [pytest.approx(0.5), pytest.approx(0.25), None]
    by_rank = compare(table, metrics=metrics, ends={"t0": (0.5, 0.7)})
    # among three methods: second against third, twice
    assert (by_rank.scale, by_rank.rope, [p.scaled for p in by_rank.tasks]) == ("rank", 0.5, [1.0, 1.0, None])
    alike = compare(table, metrics=dict.fromkeys(metrics, "neg_mse"))
    assert (alike.scale, alike.rope) == ("neg_mse", 0.0)


def test_wrong_input() -> None:
    table = grid([[0.6]], [[0.5]])
    with pytest.raises(InputError, match="different"):
        head_to_head(table, "a", "a", metrics={}, trial_unit={}, ends={}, units=({}, {}), unit_names={})
    with pytest.raises(InputError, match="--rope"):
        compare(table, rope=-1.0)
