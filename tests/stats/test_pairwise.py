"""Two methods compared, and who cannot be told from the first: by hand, against scipy, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchbench.errors import InputError
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.leaderboard import Leaderboard
from benchbench.stats.pairwise import MOST_TESTED, MethodComparison, compare_methods, default_rope, verdict_on
from benchbench.stats.significance import bayesian_signed_rank
from benchbench.stats.statistics import STATISTICS

Scores = Mapping[str, list[list[float | None]]]


def facts(n_tasks: int, ends: Mapping[str, tuple[float, float]] | None = None) -> SuiteFacts:
    known = ends or {}
    tasks = tuple(
        TaskEnds(
            name=f"t{i}",
            baseline_score=known.get(f"t{i}", (None, None))[0],
            reference_score=known.get(f"t{i}", (None, None))[1],
        )
        for i in range(n_tasks)
    )
    return SuiteFacts(name="s", version="1", baseline="none", reference="none", tasks=tasks)


@pytest.fixture(scope="session")
def board_of(make_board: Any) -> Any:
    """Make the leaderboard of scores: of each method a list per task of scores by seed; None failed, NaN was not run."""

    def make(
        scores: Scores,
        *,
        ends: Mapping[str, tuple[float, float]] | None = None,
        metrics: Mapping[str, str] | None = None,
        unit: str = "episode",
        **options: Any,
    ) -> Leaderboard:
        cells = []
        for method, tasks in scores.items():
            for i, own in enumerate(tasks):
                kept = [(seed, s) for seed, s in enumerate(own) if s is None or s == s]
                if kept:
                    cells.append(
                        {
                            "method": method,
                            "task": f"t{i}",
                            "scores": [s for _, s in kept],
                            "seeds": [seed for seed, _ in kept],
                            "metric": (metrics or {}).get(f"t{i}", "accuracy"),
                            "unit": unit,
                        }
                    )
        n_tasks = max(len(tasks) for tasks in scores.values())
        return make_board(cells, facts(n_tasks, ends), **{"imputation": "none", **options})

    return make


NAN = float("nan")
TRIO_ENDS = {f"t{i}": ends for i, ends in enumerate([(0.2, 0.7), (0.3, 0.9), (0.1, 0.6)])}
TWO_WINNERS: Scores = {"maml": [[0.9, 0.1, 0.1]] * 3, "protonet": [[0.8]] * 3}


# --------------------------------------------------------------------------------------------------------------------
# two methods


def test_two_views_of_unpaired_seeds_name_one_winner(board_of: Any) -> None:
    """Over all seeds protonet has the higher mean, on the seed that both have maml is ahead: they were two winners once."""
    board = board_of(TWO_WINNERS, ends=TRIO_ENDS)
    found = compare_methods(board, "maml", "protonet")
    assert [(p.a, p.b, p.n, p.unit) for p in found.tasks] == [(0.9, 0.8, 1, "seed")] * 3
    assert [p.scaled for p in found.tasks] == pytest.approx([0.1 / 0.5, 0.1 / 0.6, 0.1 / 0.5])
    assert [p.note for p in found.tasks] == ["left out: seeds 1, 2 of maml"] * 3
    assert found.left_out == ("seeds 1, 2 of maml on t0, t1, t2",)
    assert found.overall is not None and found.bayes is not None
    assert (found.overall.wins, found.overall.losses) == (3, 0)
    assert found.bayes == bayesian_signed_rank([0.1 / 0.5, 0.1 / 0.6, 0.1 / 0.5], rope=0.01)
    assert found.better == "maml"
    assert found.sentence() == (
        f"Decided: maml is better (P = {found.bayes.p_right:.3f}). maml scores higher on 3 of 3 tasks, lower on 0,"
        " equal on 0. With only 3 tasks, interval and posterior are unreliable. Left out, because only one method"
        " has them: seeds 1, 2 of maml on t0, t1, t2."
    )
    # and from the other side, the same
    turned = compare_methods(board, "protonet", "maml")
    assert turned.better == "maml"
    assert turned.overall is not None
    assert turned.overall.mean_difference == pytest.approx(-found.overall.mean_difference)
    # the leaderboard averages over whatever seeds there are, and says what that hides
    assert [(r.label, r.rank) for r in board.overall] == [("protonet", 1.0), ("maml", 2.0)]
    verdict = verdict_on(board, "rank")
    assert verdict.leaders == ("protonet",)
    assert verdict.alike == ("maml",)
    assert verdict.sentence == (
        "protonet leads by mean rank (1.00); not distinguishable from it: maml (p = 0.25) (Wilcoxon signed-rank test"
        " over 3 tasks, Holm-corrected). With only 3 tasks this test cannot give p < 0.05, whatever the scores. The"
        " methods have different seeds: on those that both have, maml scores higher than protonet on 3 of 3 tasks."
    )


def test_a_seed_of_one_method_alone_moves_neither_mean(board_of: Any) -> None:
    found = compare_methods(board_of({"a": [[0.5, 0.9], [0.4, 0.4]], "b": [[0.3, NAN], [0.5, 0.5]]}), "a", "b")
    assert (found.tasks[0].a, found.tasks[0].b, found.tasks[0].n) == (0.5, 0.3, 1)
    assert (found.tasks[0].difference, found.tasks[1].difference) == pytest.approx((0.2, -0.1))
    assert found.overall is not None
    assert found.overall.mean_difference == pytest.approx((0.2 - 0.1) / 2)
    assert (found.overall.wins, found.overall.losses, found.scale) == (1, 1, "accuracy")
    assert (found.n_pairs, found.left_out) == (3, ("seed 1 of a on t0",))


def test_a_seed_of_one_method_alone_moves_no_rank(board_of: Any) -> None:
    """Ranks are of means over the common seeds, of all methods."""
    scores: Scores = {"a": [[0.5, 0.9], [0.5]], "b": [[0.6, NAN], [0.4]], "c": [[0.55, 0.0], [0.1]]}
    found = compare_methods(board_of(scores, metrics={"t1": "auc"}), "a", "b")
    # on t0: b, c, a; on t1: a, b, c
    assert (found.scale, [p.scaled for p in found.tasks]) == ("rank", [-2.0, 1.0])


def test_of_one_seed_the_units_are_paired(board_of: Any) -> None:
    units = ({("t0", 0): [0.4, 0.6, 0.5]}, {("t0", 0): [0.2, 0.3, 0.4]})
    board = board_of({"a": [[0.5]], "b": [[0.3]]})
    (pair,) = compare_methods(board, "a", "b", units=units, unit_names={"t0": "episode"}).tasks
    differences = np.array([0.2, 0.3, 0.1])
    assert (pair.n, pair.unit) == (3, "episode")
    assert pair.ci95 == pytest.approx(stats.t.ppf(0.975, 2) * differences.std(ddof=1) / np.sqrt(3))
    # other numbers of units cannot be paired
    other = compare_methods(board, "a", "b", units=(units[0], {("t0", 0): [0.2]}))
    assert (other.tasks[0].n, other.tasks[0].ci95, other.tasks[0].unit) == (1, None, "seed")
    # several seeds are paired as they are
    several = compare_methods(board_of({"a": [[0.5, 0.6]], "b": [[0.3, 0.3]]}), "a", "b", units=units)
    assert (several.tasks[0].n, several.tasks[0].unit) == (2, "seed")
    folds = compare_methods(board_of({"a": [[0.5, 0.6]], "b": [[0.3, 0.3]]}, unit="fold"), "a", "b")
    assert folds.tasks[0].unit == "fold"


def test_the_scale_is_what_all_common_tasks_have(board_of: Any) -> None:
    scores: Scores = {"a": [[0.6], [2.0], [NAN]], "b": [[0.5], [1.0], [5.0]], "c": [[0.7], [3.0], [1.0]]}
    metrics = {"t0": "accuracy", "t1": "neg_mse", "t2": "auc"}
    # the third is not common: it may lack ends
    ends = {"t0": (0.5, 0.7), "t1": (0.0, 4.0)}
    found = compare_methods(board_of(scores, metrics=metrics, ends=ends), "a", "b")
    assert (found.scale, found.rope) == ("normalised score", 0.01)
    assert [p.scaled for p in found.tasks] == [pytest.approx(0.5), pytest.approx(0.25), None]
    assert (found.tasks[2].note, found.left_out) == ("no score of a", ("t2 of b",))
    by_rank = compare_methods(board_of(scores, metrics=metrics, ends={"t0": (0.5, 0.7)}), "a", "b")
    # among three methods: second against third, twice
    assert (by_rank.scale, by_rank.rope, [p.scaled for p in by_rank.tasks]) == ("rank", 0.5, [1.0, 1.0, None])
    for metric, rope in {"neg_mse": 0.0, "accuracy": 0.01, "auc": 0.01}.items():
        board = board_of(scores, metrics=dict.fromkeys(metrics, metric))
        alike = compare_methods(board, "a", "b")
        assert (alike.scale, alike.rope, default_rope(board, "a", "b")) == (metric, rope, rope)


@pytest.mark.parametrize(
    ("own", "rope", "better"),
    [
        ([0.70, 0.71, 0.72], 0.01, "a"),
        ([0.50, 0.51, 0.52], 0.01, "b"),
        # within the region of equivalence, however sure
        ([0.605, 0.615, 0.625], 0.01, ""),
        ([0.605, 0.615, 0.625], 0.001, "a"),
        ([0.595, 0.605, 0.615], 0.01, ""),
        # beyond it, with an interval over 0
        ([0.60, 0.61, 0.90], 0.01, ""),
        ([0.60, 0.61, 0.30], 0.01, ""),
        # just as far as the interval
        ([0.60, 0.61, 0.62], 0.0, ""),
    ],
)
def test_a_task_has_a_better_method_only_beyond_interval_and_rope(
    board_of: Any, own: list[float], rope: float, better: str
) -> None:
    board = board_of({"a": [own], "b": [[0.60, 0.611, 0.619]]})
    (pair,) = compare_methods(board, "a", "b", rope=rope).tasks
    differences = np.array(own) - [0.60, 0.611, 0.619]
    assert pair.difference == pytest.approx(differences.mean())
    assert pair.ci95 == pytest.approx(stats.t.ppf(0.975, 2) * differences.std(ddof=1) / np.sqrt(3))
    assert pair.better == better


def test_a_single_task_is_decided_by_its_seeds(board_of: Any) -> None:
    sure = compare_methods(board_of({"a": [[0.7, 0.71, 0.72]], "b": [[0.6, 0.611, 0.619]]}), "a", "b")
    assert (sure.bayes, sure.separation, sure.better) == (None, None, "a")
    assert sure.sentence().startswith("On the one common task a scores higher, beyond its 95 % interval.")
    open_ = compare_methods(board_of({"a": [[0.7, 0.71, 0.3]], "b": [[0.6, 0.611, 0.619]]}), "a", "b")
    assert open_.better == ""
    assert open_.sentence().startswith("Not decided: on the one common task neither method is better")


def test_equivalence_is_decided_too(board_of: Any) -> None:
    rng = np.random.default_rng(0)
    own = rng.random(12)
    scores: Scores = {"a": [[float(s)] for s in own], "b": [[float(s + 1e-4)] for s in own]}
    found = compare_methods(board_of(scores), "a", "b")
    assert found.better == "equivalent"
    assert found.sentence() == (
        "Decided: the two are practically equivalent (P > 0.999). a scores higher on 0 of 12 tasks, lower on 12, equal on 0."
    )
    shifts = (0.1, 0.12, 0.08, 0.05, -0.03, -0.09, 0.02)
    likely = compare_methods(board_of({"a": [[0.5 + d] for d in shifts], "b": [[0.5]] * 7}), "a", "b")
    assert likely.bayes is not None
    assert 0.5 < likely.bayes.p_right < 0.95
    assert likely.better == ""
    assert likely.sentence().startswith(f"Not decided: most probably a is better (P = {likely.bayes.p_right:.3f}).")
    undecided = compare_methods(board_of({"a": [[0.5], [0.6]], "b": [[0.6], [0.5]]}), "a", "b")
    assert undecided.better == ""
    assert undecided.sentence().startswith("Not decided: most probably ")


def test_imputed_pairs_have_no_interval_and_alone_decide_nothing(board_of: Any) -> None:
    scores: Scores = {"a": [[0.9, None], [0.8, 0.7]], "b": [[0.5, 0.6], [0.4, 0.3]]}
    found = compare_methods(board_of(scores, imputation="worst"), "a", "b")
    assert [(p.n, p.n_imputed, p.ci95 is None, p.better) for p in found.tasks] == [(2, 1, True, ""), (2, 0, False, "a")]
    assert found.tasks[0].note == "1 of 2 pairs imputed"
    assert (found.n_pairs, found.n_imputed) == (4, 1)
    assert "1 of 4 pairs are imputed and treated as measured." in found.sentence()
    # what was recorded by unit is not what was compared
    units = ({("t0", 0): [0.4, 0.6]}, {("t0", 0): [0.2, 0.3]})
    one = compare_methods(board_of({"a": [[None]], "b": [[0.6]]}, imputation="worst"), "a", "b", units=units)
    assert (one.tasks[0].n, one.tasks[0].unit, one.tasks[0].ci95) == (1, "seed", None)
    everything = compare_methods(
        board_of({"a": [[None], [None]], "b": [[0.5], [0.6]], "c": [[0.1], [0.1]]}, imputation="worst"), "a", "b"
    )
    assert (everything.overall, everything.bayes, everything.better) == (None, None, "")
    assert everything.sentence() == "Nothing is compared: all pairs are imputed."


def test_nothing_in_common(board_of: Any) -> None:
    scores: Scores = {"a": [[0.5, NAN], [NAN], [0.5]], "b": [[NAN, 0.5], [0.5], [NAN]]}
    found = compare_methods(board_of(scores), "a", "b")
    assert [p.note for p in found.tasks] == ["no common seed", "no score of a", "no score of b"]
    assert found.left_out == ("t2 of a", "t1 of b")
    assert (found.overall, found.better, found.n_pairs) == (None, "", 0)
    assert found.sentence() == "Nothing is compared: the two methods have no task with a common seed."
    assert found.to_dict()["verdict"] == found.sentence()


def test_wrong_input(board_of: Any) -> None:
    board = board_of({"a": [[0.6]], "b": [[0.5]]})
    with pytest.raises(InputError, match="different"):
        compare_methods(board, "a", "a")
    with pytest.raises(InputError, match="--rope"):
        compare_methods(board, "a", "b", rope=-1.0)
    assert isinstance(compare_methods(board, "a", "b", rope=0.0), MethodComparison)


# --------------------------------------------------------------------------------------------------------------------
# who leads


def of_differences(n_tasks: int, **shifts: float) -> Scores:
    """Return scores of methods that differ from a first by so much, a little more on each next task."""
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.6, size=n_tasks)
    return {m: [[float(base[t] - d * (1 + t / 50))] for t in range(n_tasks)] for m, d in shifts.items()}


def holm_by_hand(p: Mapping[str, float]) -> dict[str, float]:
    order, found, highest = sorted(p, key=lambda m: p[m]), {}, 0.0
    for step, m in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - step) * p[m]))
        found[m] = highest
    return found


@pytest.mark.parametrize("statistic", ["rank", "winrate", "improvability", "elo", "mrr", "norm"])
def test_a_leader_whom_the_test_tells_from_all_others(board_of: Any, statistic: str) -> None:
    board = board_of(of_differences(12, a=0.0, b=0.1, c=0.2))
    found = verdict_on(board, statistic)
    assert (found.leaders, found.alike, found.group) == (("a",), (), {"a"})
    assert found.p == {"b": pytest.approx(2 * 2**-11), "c": pytest.approx(2 * 2**-11)}
    kind = STATISTICS[statistic]
    value = kind.text(board.values(statistic)[0].value)
    assert found.sentence == (
        f"a leads by {kind.title} ({value}); every other method is distinguishable from it (Wilcoxon signed-rank test"
        " over 12 tasks, Holm-corrected: largest p = 0.0010)."
    )
    # turned round, the last of three leads
    turned = verdict_on(board_of(of_differences(12, a=0.2, b=0.1, c=0.0)), statistic)
    assert turned.leaders == ("c",)


def test_p_values_are_scipys_corrected_by_holms_procedure(board_of: Any) -> None:
    rng = np.random.default_rng(3)
    table = {m: rng.normal(shift, 0.1, size=15) for m, shift in zip("abcd", (0.7, 0.6, 0.55, 0.3), strict=True)}
    table["b"][4:6] = NAN
    scores: Scores = {m: [[float(s)] for s in own] for m, own in table.items()}
    found = verdict_on(board_of(scores), "rank")
    assert found.leaders == ("a",)
    raw = {m: stats.wilcoxon((d := table["a"] - table[m])[~np.isnan(d)]).pvalue for m in "bcd"}
    expected = holm_by_hand(raw)
    assert found.p == {m: pytest.approx(p) for m, p in expected.items()}
    assert found.alike == tuple(m for m in found.p if expected[m] >= 0.05)
    assert 0 < len(found.alike) < 3, "some are told apart and some are not"
    assert set(found.alike) < found.group
    assert "cannot give" not in found.sentence


def test_normalised_differences_are_what_is_tested(board_of: Any) -> None:
    """A task whose scale is long must not outweigh the others: on scores b would win its one task by far."""
    ends = {f"t{i}": (0.0, 1000.0 if i == 0 else 1.0) for i in range(9)}
    own = [[500.0], *([0.5 + i / 100] for i in range(8))]
    other = [[501.0], *([0.3 + i / 90] for i in range(8))]
    found = verdict_on(board_of({"a": own, "b": other}, ends=ends), "norm")
    d = [(x[0] - y[0]) / (1000.0 if i == 0 else 1.0) for i, (x, y) in enumerate(zip(own, other, strict=True))]
    assert found.p == {"b": pytest.approx(stats.wilcoxon(d).pvalue)}
    assert found.alike == ()


def test_several_leaders_and_nobody_else(board_of: Any) -> None:
    tied = verdict_on(board_of({"a": [[0.5], [0.6]], "b": [[0.5], [0.6]], "c": [[0.1], [0.1]]}), "rank")
    assert tied.leaders == ("a", "b")
    assert tied.sentence.startswith("a and b lead by mean rank (1.50); not distinguishable from it: c (p = 0.50)")
    alone = verdict_on(board_of({"a": [[0.5], [0.6]]}), "rank")
    assert (alone.leaders, alone.alike, alone.p) == (("a",), (), {})
    assert alone.sentence == "a leads by mean rank (1.00); no other method is ranked."
    everybody = verdict_on(board_of({"a": [[0.5]], "b": [[0.5]]}), "rank")
    assert everybody.sentence == "a and b lead by mean rank (1.50); no other method is ranked."
    nobody = verdict_on(board_of({"a": [[None]], "b": [[None]]}), "rank")
    assert (nobody.leaders, nobody.sentence) == ((), "No method has a value.")


def test_five_tasks_cannot_tell_anybody_apart_and_six_can(board_of: Any) -> None:
    five = verdict_on(board_of(of_differences(5, a=0.0, b=0.3)), "rank")
    assert (five.alike, five.p["b"]) == (("b",), pytest.approx(2 / 32))
    assert five.sentence.endswith(" With only 5 tasks this test cannot give p < 0.05, whatever the scores.")
    six = verdict_on(board_of(of_differences(6, a=0.0, b=0.3)), "rank")
    assert (six.alike, six.p["b"]) == ((), pytest.approx(2 / 64))
    assert "cannot give" not in six.sentence


def test_one_common_task_tests_nothing(board_of: Any) -> None:
    scores: Scores = {"a": [[0.9], [0.8], [0.7]], "b": [[0.5], [NAN], [NAN]]}
    found = verdict_on(board_of(scores), "rank")
    assert (found.leaders, found.p, found.alike) == (("a",), {"b": None}, ("b",))


def test_many_that_are_alike_are_counted(board_of: Any) -> None:
    found = verdict_on(board_of(of_differences(5, a=0.0, b=0.1, c=0.2, d=0.3, e=0.4)), "rank")
    assert found.sentence.startswith(
        "a leads by mean rank (1.00); none of the other 4 methods is distinguishable from it (Wilcoxon signed-rank test"
        " over 5 tasks, Holm-corrected: smallest p = 0.25)."
    )
    wide = of_differences(8, **{f"m{i:02d}": i / 100 for i in range(MOST_TESTED + 3)})
    far = verdict_on(board_of(wide), "rank")
    assert len(far.p) == MOST_TESTED
    assert f"the other {MOST_TESTED} methods of the first {MOST_TESTED} behind it" in far.sentence


def test_on_one_task_the_paired_t_test_over_seeds_decides(board_of: Any) -> None:
    own, other, third = [0.70, 0.71, 0.73, 0.69], [0.60, 0.62, 0.61, 0.60], [0.72, 0.65, 0.74, 0.60]
    found = verdict_on(board_of({"a": [own], "b": [other], "c": [third]}), "rank")
    raw = {m: stats.ttest_rel(own, s).pvalue for m, s in {"b": other, "c": third}.items()}
    assert found.p == {m: pytest.approx(p) for m, p in holm_by_hand(raw).items()}
    assert found.alike == ("c",)
    assert found.sentence == (
        f"a leads by mean rank (1.00); not distinguishable from it: c (p = {found.p['c']:.2f}) (paired t-test over"
        " common seeds, Holm-corrected)."
    )
    # of one common seed the units are tested (100 of each, with a deviation of 0.1), and what is imputed is not tested
    one = verdict_on(board_of({"a": [[0.62, 0.7]], "b": [[0.6, NAN]]}), "rank")
    by_scipy = stats.ttest_ind_from_stats(0.62, 0.1, 100, 0.6, 0.1, 100, equal_var=False).pvalue
    assert (one.p, one.alike) == ({"b": pytest.approx(by_scipy)}, ("b",))
    assert "Welch's test over the units of one seed" in one.sentence
    assert verdict_on(board_of({"a": [[0.7, 0.7]], "b": [[0.1, NAN]]}), "rank").alike == ()
    failed = verdict_on(board_of({"a": [[0.7, 0.7, 0.7]], "b": [[0.1, 0.2, None]]}, imputation="worst"), "rank")
    assert failed.p == {"b": None}
    folds = verdict_on(board_of({"a": [[0.7, 0.71]], "b": [[0.6, 0.6]]}, unit="fold"), "rank")
    assert "over common folds" in folds.sentence


def test_a_leader_behind_on_the_common_seeds_is_not_called_better(board_of: Any) -> None:
    """By all seeds b leads, and yet the test tells a from it: as the better one. Then nobody is set in bold."""
    scores: Scores = {"a": [[0.9 + t / 100, 0.1] for t in range(8)], "b": [[0.8 + t / 200] for t in range(8)]}
    found = verdict_on(board_of(scores), "rank")
    assert (found.leaders, found.alike) == (("b",), ())
    assert found.p == {"a": pytest.approx(2 / 256)}
    assert found.ahead == ("a",)
    assert "on those that both have, a scores higher than b on 8 of 8 tasks" in found.sentence
    # the mean rank may disagree with the test without any seed missing: many narrow wins, few wide losses
    narrow = [[0.5 + 0.001 * (t + 1) * (1 if t < 16 else -10)] for t in range(31)]
    same: Scores = {"a": narrow, "b": [[0.5]] * 31}
    turned = verdict_on(board_of(same), "rank")
    assert (turned.leaders, turned.ahead, turned.alike) == (("a",), ("b",), ())
    assert turned.sentence.endswith(" Compared pair by pair, b scores higher than a.")
    assert verdict_on(board_of(of_differences(12, a=0.0, b=0.1)), "rank").ahead == ()


def test_who_is_shown_is_who_is_judged(board_of: Any) -> None:
    board = board_of(of_differences(8, a=0.0, b=0.1, c=0.2))
    shown = [v for v in board.values("rank") if v.method != "a"]
    found = verdict_on(board, "rank", shown)
    assert (found.leaders, set(found.p)) == (("b",), {"c"})
    assert verdict_on(board, "rank").to_dict()["p"].keys() == {"b", "c"}


def test_b_against_a_is_the_mirror_image_of_a_against_b(board_of: Any) -> None:
    scores: Scores = {"a": [[0.5 + d] for d in (0.1, 0.12, 0.08, 0.05, -0.03, -0.09, 0.02)], "b": [[0.5]] * 7}
    board = board_of(scores)
    one, other = compare_methods(board, "a", "b"), compare_methods(board, "b", "a")
    assert one.bayes is not None
    assert other.bayes is not None
    assert one.bayes.p_right > one.bayes.p_left
    assert (one.bayes.p_left, one.bayes.p_rope, one.bayes.p_right) == (
        other.bayes.p_right,
        other.bayes.p_rope,
        other.bayes.p_left,
    )


def test_of_many_that_are_alike_six_are_named(board_of: Any) -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.01, (9, 12))
    scores = {f"m{i}": [[float(s)] for s in row] for i, row in enumerate(noise)}
    board = board_of({**scores, "worst": [[0.1 + 0.001 * t] for t in range(12)]})
    found = verdict_on(board, "rank")
    assert found.ahead == ()
    assert "worst" not in found.alike
    n_alike = len(found.alike)
    assert n_alike > 6
    assert all(f"{m} (p " in found.sentence for m in found.alike[:6])
    assert f"{found.alike[6]} (p " not in found.sentence
    assert f" and {n_alike - 6} more " in found.sentence


def test_two_units_of_one_seed_are_paired(board_of: Any) -> None:
    board = board_of({"a": [[0.5]], "b": [[0.4]]})
    units = ({("t0", 0): [0.4, 0.6]}, {("t0", 0): [0.2, 0.5]})
    (pair,) = compare_methods(board, "a", "b", units=units, unit_names={"t0": "episode"}).tasks
    low, high = stats.ttest_rel([0.4, 0.6], [0.2, 0.5]).confidence_interval(0.95)
    assert (pair.n, pair.unit) == (2, "episode")
    assert pair.ci95 == pytest.approx((high - low) / 2)
