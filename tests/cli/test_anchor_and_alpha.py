"""`--anchor` of Elo ratings, `--alpha` of tests, and Friedman's statistics in full."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from benchbench.cli.main import app
from benchbench.errors import BenchbenchError, InputError, UnknownNameError

Bench = Callable[..., str]
Land = Callable[..., Path]

TASKS = [f"t{i}" for i in range(8)]
SCORES = {
    "pixel_nn": [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.9],
    "maml": [0.5, 0.6, 0.7, 0.5, 0.2, 0.7, 0.8, 0.6],
    "protonet": [0.6, 0.7, 0.7, 0.4, 0.7, 0.8, 0.85, 0.5],
    "reptile": [0.4, 0.3, 0.35, 0.3, 0.4, 0.3, 0.7, 0.4],
}
TUNED = "maml(inner_lr=0.5)"


@pytest.fixture
def suite(suite_file: Path) -> Path:
    head = suite_file.read_text().partition("[[tasks]]")[0]
    suite_file.write_text(head + "".join(f'[[tasks]]\nname = "{t}"\nloader = "glyphs"\n' for t in TASKS))
    return suite_file


@pytest.fixture
def db(land: Land) -> Path:
    rows: list[dict[str, Any]] = [
        {"method": m, "task": t, "score": s, "scores": [s] * 4}
        for m, own in SCORES.items()
        for t, s in zip(TASKS, own, strict=True)
    ]
    tuned = [
        {"method": "maml", "params": {"inner_lr": 0.5}, "task": t, "score": s - 0.01, "scores": [s - 0.01] * 4}
        for t, s in zip(TASKS, SCORES["maml"], strict=True)
    ]
    return land(*rows, *tuned)


def ratings(bench: Bench, suite: Path, db: Path, *options: str) -> dict[str, dict[str, Any]]:
    text = bench("leaderboard", "--suite", suite, "--db", db, "--stat", "elo", "--format", "json", *options)
    return {r["label"]: r for r in json.loads(text)}


def test_an_anchor_shifts_all_ratings(bench: Bench, suite: Path, db: Path) -> None:
    plain = ratings(bench, suite, db)
    assert np.mean([r["value"] for r in plain.values()]) == pytest.approx(1000.0)
    assert plain["maml"]["anchor"] is None
    for text, label, rating in (
        ("pixel_nn", "pixel_nn", 1000.0),
        ("pixel_nn=1200.5", "pixel_nn", 1200.5),
        ("maml=-50", "maml", -50.0),
        (TUNED, TUNED, 1000.0),
        (f"{TUNED} = 900", TUNED, 900.0),
    ):
        found = ratings(bench, suite, db, "--anchor", text)
        shift = rating - plain[label]["value"]
        assert {m: r["value"] for m, r in found.items()} == pytest.approx(
            {m: r["value"] + shift for m, r in plain.items()}
        )
        # the anchor is fixed in each resample too
        assert (found[label]["low"], found[label]["high"]) == pytest.approx((rating, rating))
        assert found["reptile"]["low"] < found["reptile"]["value"] < found["reptile"]["high"]
        assert (found["reptile"]["anchor"], found["reptile"]["anchor_rating"]) == (label, rating)
        assert [r["rank"] for r in found.values()] == [r["rank"] for r in plain.values()]


def test_forms_of_the_leaderboard_and_the_plot_say_the_anchor(
    bench: Bench, suite: Path, db: Path, tmp_path: Path
) -> None:
    said = f"anchored: {TUNED} is 900; intervals are of the difference to it"
    options = ("--suite", suite, "--db", db, "--anchor", f"{TUNED}=900")
    for by in ((), ("--by", "track"), ("--by", "dataset")):
        assert said in bench("leaderboard", *options, "--stat", "elo", *by), by
    drawn = json.loads(bench("plot", "elo", *options, "--format", "json", "-o", tmp_path / "elo.svg"))
    assert f"{said[:1].upper()}{said[1:]}." in drawn["caption"]
    assert (drawn["anchor"], drawn["anchor_rating"]) == (TUNED, 900.0)
    assert next(v["value"] for v in drawn["values"] if v["method"] == TUNED) == pytest.approx(900.0)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (("--stat", "elo", "--anchor", "protonte"), UnknownNameError, "protonet"),
        (("--stat", "elo", "--anchor", "protonte=1000"), UnknownNameError, "protonet"),
        (("--stat", "elo", "--anchor", "protonet=inf"), InputError, "finite number"),
        (("--stat", "elo", "--anchor", "protonet=high"), InputError, "finite number"),
        (("--stat", "elo", "--anchor", "=1000"), InputError, "METHOD=RATING"),
        (("--stat", "rank", "--anchor", "protonet"), InputError, "--stat elo"),
        *((("--alpha", text), InputError, "between 0 and 1") for text in ("0", "1", "-0.1", "nan", "inf", "5")),
    ],
)
def test_wrong_anchors_and_levels_are_refused(
    suite: Path, db: Path, options: tuple[str, ...], error: type[BenchbenchError], said: str
) -> None:
    result = CliRunner().invoke(app, ["leaderboard", "--suite", str(suite), "--db", str(db), *options])
    assert isinstance(result.exception, error), result.output
    assert said in str(result.exception)
    assert error.exit_code == 2


def test_the_level_decides_who_is_distinguishable(bench: Bench, suite: Path, db: Path) -> None:
    def lead(*options: str) -> set[str]:
        return {m for m, r in ratings(bench, suite, db, *options).items() if r["in_lead"]}

    assert lead("--alpha", "0.9") < lead("--alpha", "0.05") <= lead("--alpha", "0.001")
    assert "Level of the tests: 0.001." in bench("leaderboard", "--suite", suite, "--db", db, "--alpha", "0.001")
    p = stats.wilcoxon(np.subtract(SCORES["protonet"], SCORES["reptile"])).pvalue
    for alpha in (p * 0.9, p * 1.1):
        text = bench("versus", "protonet", "reptile", "--suite", suite, "--db", db, "--alpha", str(alpha))
        assert f"{'below' if p < alpha else 'not below'} {alpha:g};" in " ".join(text.split())


def test_a_critical_difference_diagram_has_friedman_in_full(bench: Bench, suite: Path, db: Path) -> None:
    options = ("--suite", suite, "--db", db, "--method", "pixel_nn,maml,protonet,reptile", "--filter", "track=fewshot")
    found = json.loads(bench("plot", "cd", *options, "--alpha", "0.1", "--format", "json"))
    methods = list(found["mean_ranks"])
    corrected, plain = found["friedman"]
    scores = np.array([SCORES.get(m, np.array(SCORES["maml"]) - 0.01) for m in methods])
    k, n = scores.shape
    expected = stats.friedmanchisquare(*scores)
    assert (corrected["chi2"], corrected["p"]) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)
    # Demsar 2006, section 3.2.2
    ranks = stats.rankdata(-scores, axis=0).mean(axis=1)
    chi2 = 12 * n / (k * (k + 1)) * ((ranks**2).sum() - k * (k + 1) ** 2 / 4)
    f = (n - 1) * chi2 / (n * (k - 1) - chi2)
    assert (plain["chi2"], plain["iman_davenport"]) == pytest.approx((chi2, f), rel=1e-12)
    assert plain["p"] == pytest.approx(stats.chi2.sf(chi2, k - 1), rel=1e-9)
    assert plain["iman_davenport_p"] == pytest.approx(stats.f.sf(f, k - 1, (k - 1) * (n - 1)), rel=1e-9)
    assert plain["degrees"] == [k - 1, (k - 1) * (n - 1)]
    assert corrected["chi2"] > plain["chi2"]
    assert found["alpha"] == 0.1
    assert found["cd"] == pytest.approx(
        stats.studentized_range.ppf(0.9, k, np.inf) / 2**0.5 * (k * (k + 1) / (6 * n)) ** 0.5
    )
    said = f"chi² = {expected.statistic:.2f}, df {k - 1}, p "
    assert any(said in line and f"chi² = {chi2:.2f}" in line and f"F = {f:.2f}" in line for line in found["caption"])
    assert said in " ".join(bench("leaderboard", *options).split())


def test_a_perfect_order_is_plain_json(bench: Bench, suite: Path, land: Land) -> None:
    rows = [
        {"method": m, "task": t, "score": s, "scores": [s] * 4}
        for m, s in (("maml", 0.9), ("protonet", 0.5), ("reptile", 0.1))
        for t in TASKS
    ]
    found = json.loads(bench("plot", "cd", "--suite", suite, "--db", land(*rows), "--format", "json"))
    assert [one["iman_davenport"] for one in found["friedman"]] == [None, None]
    assert any("F = inf" in line for line in found["caption"])
