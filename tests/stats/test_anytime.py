"""Any-time statistics of optimisers, against cases worked out by hand."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbench.stats.anytime import Incumbents, anytime_table, band_ends, budgets, log_difference
from benchbench.stats.intervals import Estimate, estimate, share


def trial(label: str, seed: int, steps: list[tuple[float, float]], *, task: str = "t", budget: float = 4) -> Incumbents:
    return Incumbents(
        task=task,
        label=label,
        seed=seed,
        budget=budget,
        spent=tuple(s for s, _ in steps),
        seconds=tuple(s for s, _ in steps),
        losses=tuple(loss for _, loss in steps),
    )


def test_regret_rank_area_wins_and_time_by_hand() -> None:
    # best 0, random's median 10: regrets are losses / 10
    trials = [
        trial("random", 0, [(1, 20.0), (3, 10.0)]),
        trial("random", 1, [(1, 8.0)]),
        trial("better", 0, [(1, 20.0), (2, 0.5)]),
        trial("better", 1, [(1, 12.0), (4, 8.0)]),
    ]
    found = anytime_table(trials, {"t": (0.0, 10.0)}, baseline="random", target=0.1)
    assert (found.tasks, found.seeds, found.budget, found.left_out) == (("t",), (0, 1), 4, ())
    better, worse = found.rows
    assert (better.label, worse.label) == ("better", "random")
    # at the end 0.05 and 0.8 against 1.0 and 0.8
    assert better.regret.mean == pytest.approx(0.425)
    # Student's t with one degree of freedom: 12.706 * sd / sqrt(2)
    assert better.regret.ci95 == pytest.approx(12.7062 * (0.75 / math.sqrt(2)) / math.sqrt(2), rel=1e-4)
    assert worse.regret.mean == pytest.approx(0.9)
    assert (better.rank.mean, worse.rank.mean) == (1.25, 1.75)
    assert better.wins is not None
    assert better.wins.mean == 0.75
    assert worse.wins is None
    # budgets 1, 2, 3, 4, at most 1, straight in between: seed 0 (1 + .05)/2 + .05 + .05, seed 1 1 + 1 + (1 + .8)/2, over 3
    assert better.area.mean == pytest.approx(((0.525 + 0.05 + 0.05) / 3 + (1.0 + 1.0 + 0.9) / 3) / 2)
    assert better.log_regret_difference is not None
    assert better.log_regret_difference.mean == pytest.approx((math.log10(0.05) + 0.0) / 2)
    # reached by seed 0 after 2, not by seed 1, which spent 4
    assert (better.reached, better.running_time) == (0.5, 6.0)
    assert (worse.reached, worse.running_time) == (0.0, None)


def test_the_curve_ends_at_the_regret_of_its_row() -> None:
    """A regret above 1 counts as 1 in both: the table said 1.9 where its figure ended at 1."""
    trials = [
        trial("random", 0, [(1, 30.0), (4, 20.0)]),
        trial("random", 1, [(1, 18.0)]),
        trial("better", 0, [(1, 20.0), (4, 5.0)]),
        trial("better", 1, [(1, 12.0), (4, 14.0)]),
    ]
    found = {r.label: r for r in anytime_table(trials, {"t": (0.0, 10.0)}, baseline="random").rows}
    for row in found.values():
        assert row.curve[-1].regret == row.regret
        assert row.curve[-1].spent == 4
        assert all(band.regret.mean <= 1.0 for band in row.curve)
    assert found["random"].regret.mean == 1.0
    assert found["better"].regret.mean == pytest.approx((0.5 + 1.0) / 2)


def test_before_the_first_incumbent_an_optimiser_is_last_and_as_bad_as_the_worst() -> None:
    trials = [
        trial("early", 0, [(1, 10.0), (4, 1.0)]),
        trial("middle", 0, [(1, 30.0)]),
        trial("late", 0, [(3, 0.0)]),
    ]
    found = anytime_table(trials, {"t": (0.0, 10.0)}, baseline="early")
    by_label = {r.label: r for r in found.rows}
    late = by_label["late"]
    assert [b.spent for b in late.curve] == [1, 2, 3, 4]
    # 3 at first, as `middle`, drawn as 1
    assert [b.regret.mean for b in late.curve] == [1.0, 1.0, 0.0, 0.0]
    assert [b.rank.mean for b in late.curve] == [3.0, 3.0, 1.0, 1.0]
    assert [b.rank.mean for b in by_label["early"].curve] == [1.0, 1.0, 2.0, 2.0]
    assert (late.first, by_label["early"].first) == (3.0, 1.0)


def test_only_what_every_optimiser_has_is_compared_and_the_rest_is_said() -> None:
    trials = [
        *(trial("a", s, [(1, 1.0)], task=t) for t in ("t", "u") for s in (0, 1, 2)),
        *(trial("b", s, [(1, 2.0)], task="t") for s in (0, 1)),
        trial("a", 0, [(1, 1.0)], task="v"),
        trial("b", 0, [(1, 1.0)], task="v"),
    ]
    found = anytime_table(trials, {"t": (0.0, 1.0), "u": (0.0, 1.0)}, baseline="a")
    assert (found.tasks, found.seeds) == (("t",), (0, 1))
    said = "; ".join(found.left_out)
    assert "problem v: without frozen ends" in said
    assert "problem u: not every optimiser has it" in said
    assert "seeds 2" in said
    with pytest.raises(ValueError, match="no problem and seed"):
        anytime_table([*trials[:3], trial("b", 7, [(1, 1.0)])], {"t": (0.0, 1.0)}, baseline="a")


def test_log_differences_are_paired_by_seed() -> None:
    trials = [
        trial("a", 0, [(1, 1.1)]),
        trial("a", 1, [(1, 2.0), (2, 1.01)]),
        trial("b", 0, [(1, 2.0)]),
        trial("b", 1, [(1, 1.1)]),
        trial("b", 2, [(1, 9.0)]),
    ]
    found = log_difference(trials, "t", "a", "b", best=1.0)
    assert found.estimate.n == 2
    assert found.estimate.mean == pytest.approx(-1.0)
    assert found.estimate.ci95 == pytest.approx(0.0, abs=1e-9)
    assert found.is_clear
    early = log_difference(trials, "t", "a", "b", best=1.0, spent=1)
    assert early.estimate.mean == pytest.approx((-1.0 + 1.0) / 2)
    assert not early.is_clear


def test_budgets_are_whole_and_end_at_both_ends() -> None:
    assert budgets(1) == [1.0]
    assert budgets(5) == [1.0, 2.0, 3.0, 4.0, 5.0]
    found = budgets(300)
    assert (found[0], found[-1]) == (1.0, 300.0)
    assert len(found) <= 40
    assert found == sorted(set(found))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_rows_and_scale_of_losses_are_irrelevant(seed: int) -> None:
    rng = random.Random(seed)
    trials = []
    for label in ("a", "b", "c"):
        for s in range(3):
            losses = sorted((rng.choice([1.0, 2.0, 3.0, 5.0]) for _ in range(rng.randint(1, 3))), reverse=True)
            spent = sorted(rng.sample(range(1, 9), len(losses)))
            steps = [
                p for i, p in enumerate(zip(map(float, spent), losses, strict=True)) if i == 0 or losses[i - 1] > p[1]
            ]
            trials.append(trial(label, s, steps, budget=8))
    shuffled = rng.sample(trials, len(trials))
    scaled = [
        Incumbents(**{**{f: getattr(t, f) for f in t.__slots__}, "losses": tuple(3 * v + 7 for v in t.losses)})
        for t in trials
    ]
    first = anytime_table(trials, {"t": (0.0, 4.0)}, baseline="a")
    by_label = {r.label: r for r in first.rows}
    for other in (
        anytime_table(shuffled, {"t": (0.0, 4.0)}, baseline="a"),
        anytime_table(scaled, {"t": (7.0, 19.0)}, baseline="a"),
    ):
        for row in other.rows:
            assert row.regret.mean == pytest.approx(by_label[row.label].regret.mean)
            assert row.rank == by_label[row.label].rank
            assert row.area.mean == pytest.approx(by_label[row.label].area.mean)
    # every budget's ranks add up
    for i in range(len(first.rows[0].curve)):
        assert sum(r.curve[i].rank.mean for r in first.rows) == pytest.approx(6.0)


def test_thirty_wins_of_thirty_are_not_certain() -> None:
    # Wilson's interval for 30 of 30 goes down to 30 / (30 + 1.96 squared)
    found = share([1.0] * 30, 30)
    assert (found.mean, found.n) == (1.0, 30)
    assert found.ci95 == pytest.approx(1 - 30 / (30 + 1.959964**2))
    assert share([0.0] * 10, 120).ci95 == pytest.approx(3.841459 / 123.841459)
    assert share([1.0, 0.5], 4) == estimate([1.0, 0.5])


def test_a_band_is_as_wide_as_its_intervals_within_its_bounds() -> None:
    values = [Estimate(0.5, 0.2, 3), Estimate(0.1, 0.2, 3), Estimate(0.9, None, 3), Estimate(0.95, 0.1, 3)]
    ends = band_ends(values, 0.0, 1.0)
    assert ends is not None
    low, high = ends
    assert low == pytest.approx([0.3, 0.0, 0.9, 0.85])
    assert high == pytest.approx([0.7, 0.3, 0.9, 1.0])
    assert band_ends([Estimate(0.5, None, 1)], 0.0, 1.0) is None
