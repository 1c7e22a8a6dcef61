"""`bench compare-methods`: paired, on what both have, with the doubt that remains."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel, wilcoxon

from benchbench.errors import InputError, UnknownNameError

Bench = Callable[..., str]
Land = Callable[..., Path]


def compare(bench: Bench, suite: Path, db: Path, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        bench("compare-methods", *names, "--suite", suite, "--db", db, "--format", "json")
    )
    return found


def test_one_seed_is_paired_over_its_units(bench: Bench, suite_file: Path, land: Land) -> None:
    a, b = [0.4, 0.5, 0.6, 0.9], [0.3, 0.5, 0.4, 0.7]
    found = compare(bench, suite_file, land({"scores": a}, {"method": "protonet", "scores": b}), "maml", "protonet")
    (pair,) = found["tasks"]
    test = ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    assert pair["difference"] == pytest.approx(0.125)
    assert pair["ci95"] == pytest.approx((interval.high - interval.low) / 2)
    assert (pair["n"], pair["unit"], pair["task"], pair["metric"]) == (4, "episode", "letters", "accuracy")
    # 0.5 from baseline to reference
    assert (found["scale"], pair["scaled"]) == ("normalised score", pytest.approx(0.25))
    assert (found["preset"], found["protocol_version"], found["imputation"]) == ("quick", "3", "baseline")
    assert (found["generated_splits"], found["n_left_out"]) == (True, 0)


def test_several_seeds_are_paired_over_those_that_both_have(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        *({"scores": [s, s], "seed": i} for i, s in enumerate([0.5, 0.6, 0.9])),
        *({"method": "protonet", "scores": [s, s], "seed": i} for i, s in enumerate([0.4, 0.3])),
    )
    (pair,) = compare(bench, suite_file, db, "maml", "protonet")["tasks"]
    interval = ttest_rel([0.5, 0.6], [0.4, 0.3]).confidence_interval(0.95)
    assert (pair["a"], pair["b"], pair["difference"]) == pytest.approx((0.55, 0.35, 0.2))
    assert pair["ci95"] == pytest.approx((interval.high - interval.low) / 2)
    assert (pair["n"], pair["unit"]) == (2, "seed")
    assert "1 seed of one only" in pair["note"]


@pytest.fixture
def many(suite_file: Path, land: Land) -> Path:
    """Make a suite of ten tasks in place of the two, and results of two methods on them."""
    head = suite_file.read_text().split("[[tasks]]")[0]
    tasks = "".join(
        f'[[tasks]]\nname = "t{i}"\nloader = "glyphs"\nbaseline_score = 0.0\nreference_score = {1 + i}\n'
        for i in range(10)
    )
    suite_file.write_text(head + tasks)
    rows = []
    for i in range(10):
        rows.append({"task": f"t{i}", "scores": [0.5 + 0.05 * i]})
        rows.append({"task": f"t{i}", "scores": [0.45 + 0.02 * i**1.3], "method": "protonet", "params": {"n_way": 30}})
    return land(*rows)


def test_all_tasks_together_are_what_scipy_finds(bench: Bench, suite_file: Path, many: Path) -> None:
    found = compare(bench, suite_file, many, "maml", "protonet(n_way=30)")
    differences = [(0.05 + 0.05 * i - 0.02 * i**1.3) / (1 + i) for i in range(10)]
    overall = found["overall"]
    assert overall["mean_difference"] == pytest.approx(sum(differences) / 10)
    assert overall["p"] == pytest.approx(wilcoxon(differences).pvalue)
    assert overall["wins"] + overall["ties"] + overall["losses"] == 10
    assert overall["wins"] == sum(d > 0 for d in differences)
    probabilities = found["bayes"]
    assert sum(probabilities.values()) == pytest.approx(1.0)
    assert probabilities["p_right"] > 0.5
    # the other way round everything changes its sign, and nothing else
    turned = compare(bench, suite_file, many, "protonet(n_way=30)", "maml")
    assert turned["overall"]["mean_difference"] == pytest.approx(-overall["mean_difference"])
    assert turned["overall"]["p"] == pytest.approx(overall["p"])
    assert turned["overall"]["effect_size"] == pytest.approx(-overall["effect_size"])


def test_within_a_wide_region_of_equivalence_nothing_differs(bench: Bench, suite_file: Path, many: Path) -> None:
    text = bench(
        *("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", many, "--format", "json"),
        *("--rope", "5"),
    )
    found = json.loads(text)
    assert (found["rope"], found["bayes"]["p_rope"]) == (5.0, 1.0)


def test_the_text_says_what_the_figures_are(bench: Bench, suite_file: Path, many: Path) -> None:
    text = bench("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", many)
    for said in (
        "A = maml, B = protonet(n_way=30); above 0: A is better",
        "protocol 3, preset quick",
        "splits generated here",
        "normalised score",
        "Wilcoxon's signed-rank test",
        "rank-biserial",
        "region of practical equivalence ±0.01",
        "to show a difference as large as this one",
        "imputation: baseline",
    ):
        assert said in text, said


def test_without_frozen_ends_and_with_several_metrics_ranks_are_compared(
    bench: Bench, suite_file: Path, land: Land
) -> None:
    text = suite_file.read_text()
    suite_file.write_text("\n".join(line for line in text.splitlines() if "_score =" not in line))
    rows = [{"scores": [0.9]}, {"method": "mann", "scores": [0.5]}, {"method": "protonet", "scores": [0.3]}]
    rows += [{**r, "task": "waves", "metric": "neg_mse"} for r in rows]
    found = compare(bench, suite_file, land(*rows), "maml", "protonet")
    assert (found["scale"], found["rope"], found["overall"]["mean_difference"]) == ("rank", 0.5, 2.0)


def test_failures_are_imputed_and_said_and_refusals_are_not(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        {"outcome": "timeout"},
        {"task": "waves", "scores": [-3.0]},
        {"method": "protonet", "scores": [0.6, 0.6]},
        {"method": "protonet", "task": "waves", "outcome": "declined"},
    )
    letters, waves = compare(bench, suite_file, db, "maml", "protonet")["tasks"]
    assert (letters["a"], letters["ci95"], letters["note"]) == (0.2, None, "1 of 1 pairs imputed")
    assert (waves["difference"], waves["note"]) == (None, "no score of protonet")


def test_where_all_pairs_are_imputed_nothing_is_won(bench: Bench, suite_file: Path, land: Land) -> None:
    """Guards against a crashed method that "wins" by the score that stands for its failure."""
    db = land({"outcome": "error"}, {"method": "protonet", "scores": [0.1, 0.1]})
    found = compare(bench, suite_file, db, "maml", "protonet")
    assert (found["overall"], found["bayes"], found["separation"]) == (None, None, None)
    assert (found["n_pairs"], found["n_imputed"]) == (1, 1)
    text = bench("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", db)
    assert "all pairs are imputed: nothing is compared" in text
    assert "A wins" not in text
    assert "P(" not in text


def test_where_some_pairs_are_imputed_the_verdict_says_so(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land(
        {"outcome": "error"},
        {"task": "waves", "scores": [-3.0, -3.0]},
        {"method": "protonet", "scores": [0.1, 0.1]},
        {"method": "protonet", "task": "waves", "scores": [-3.5, -3.5]},
    )
    text = bench("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", db)
    assert "A wins 2, ties 0, loses 0" in text
    assert "warning: 1 of 2 pairs are imputed" in text


def test_one_task_gives_no_posterior_and_few_a_caution(bench: Bench, suite_file: Path, land: Land) -> None:
    """Guards against a probability of 0.84 from a single pair."""
    db = land({"scores": [0.6, 0.5]}, {"method": "protonet", "scores": [0.7, 0.8]}, name="one")
    found = compare(bench, suite_file, db, "maml", "protonet")
    assert found["overall"]["losses"] == 1
    assert (found["bayes"], found["separation"]) == (None, None)
    text = bench("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", db)
    assert "P(" not in text
    assert "no posterior" in text
    rows = [{"scores": [0.6, 0.5]}, {"method": "protonet", "scores": [0.7, 0.8]}]
    rows += [{**r, "task": "waves", "metric": "neg_mse"} for r in rows]
    text = bench("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", land(*rows, name="two"))
    assert "P(B better)" in text
    assert "caution: over 2 tasks" in text


def test_methods_that_share_no_task(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({}, {"method": "protonet", "task": "waves", "scores": [-3.0]})
    found = compare(bench, suite_file, db, "maml", "protonet")
    assert (found["overall"], found["bayes"]) == (None, None)
    assert "nothing to compare" in bench("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", db)


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        (("mamel", "protonet"), UnknownNameError, "did you mean 'maml'"),
        (("maml", "maml"), InputError, "two different methods"),
        (("mann", "maml"), InputError, "several parameters"),
        (("protonet(n_way=31)", "maml"), UnknownNameError, "n_way=30"),
    ],
)
def test_wrong_names(
    bench: Bench, suite_file: Path, land: Land, names: tuple[str, str], error: type[BaseException], says: str
) -> None:
    db = land(
        {},
        {"method": "protonet", "params": {"n_way": 30}},
        {"method": "mann", "params": {"a": 1}},
        {"method": "mann", "params": {"a": 2}},
    )
    from typer.testing import CliRunner

    from benchbench.cli.main import app

    result = CliRunner().invoke(app, ["compare-methods", *names, "--suite", str(suite_file), "--db", str(db)])
    assert isinstance(result.exception, error)
    assert says in str(result.exception)


def test_a_method_of_another_preset_is_named_with_it(bench: Bench, suite_file: Path, land: Land) -> None:
    from typer.testing import CliRunner

    from benchbench.cli.main import app

    db = land({"preset": "long"}, {"method": "protonet", "preset": "long"}, {"method": "mann"})
    command = ["compare-methods", "maml", "protonet", "--suite", str(suite_file), "--db", str(db)]
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, InputError)
    assert "maml has results on other boards: --preset long;" in str(error)
    assert "protonet has results on other boards: --preset long" in str(error)
    bench(*command, "--preset", "long")


def test_parameters_may_be_spelt_otherwise(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({}, {"method": "protonet", "params": {"distance": "cosine", "n_way": 30}})
    found = compare(bench, suite_file, db, "maml", "protonet(n_way=30,distance='cosine')")
    assert found["b"] == "protonet(distance='cosine', n_way=30)"


def test_a_negative_region_is_refused(bench: Bench, suite_file: Path, land: Land) -> None:
    db = land({}, {"method": "protonet"})
    bench("compare-methods", "maml", "protonet", "--suite", suite_file, "--db", db, "--rope", "-1", raises=InputError)
