"""`bench anytime` and `bench plot anytime` on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchbench.errors import InputError, UnknownNameError
from benchbench.records import CurvePoint

if TYPE_CHECKING:
    from benchbench.stats.anytime import AnytimeTable

Bench = Callable[..., str]
Land = Callable[..., Path]

SUITE = """
name = "pair"
version = "1"
track = "hpo"
title = "A pair of problems"
[scores]
baseline = "random_search"
reference = "best known"
measured = "by hand"
[presets.quick]
test_units = 4
iterations = 10
[[tasks]]
name = "one"
loader = "synthetic"
baseline_score = -10.0
reference_score = 0.0
[[tasks]]
name = "two"
loader = "synthetic"
baseline_score = 1.0
reference_score = 3.0
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "pair.toml"
    path.write_text(SUITE)
    return path


def trial(method: str, task: str, seed: int, losses: dict[int, float], **more: Any) -> dict[str, Any]:
    """Describe a trial whose incumbents were found after so many evaluations."""
    points = []
    for spent, loss in losses.items():
        points += [
            CurvePoint(spent, 2.0 * spent, "incumbent_loss", loss),
            CurvePoint(spent, 2.0 * spent, "spent_evaluations", float(spent)),
        ]
    values = {
        "track": "hpo",
        "task": task,
        "method": method,
        "seed": seed,
        "metric": "neg_loss",
        "unit": "seed",
        "scores": [-min(losses.values())],
        "iterations": 10,
        "curve": points,
    }
    return values | more


def fill(land: Land) -> Path:
    return land(
        *(trial("random_search", "one", s, {1: 20.0, 5: 10.0 + s}) for s in (0, 1)),
        *(trial("random_search", "two", s, {1: 0.0, 5: -1.0}) for s in (0, 1)),
        *(trial("tpe", "one", s, {1: 20.0, 3: 1.0}) for s in (0, 1)),
        *(trial("tpe", "two", s, {2: -2.0, 10: -3.0}) for s in (0, 1)),
        trial("tpe", "one", 1, {1: 0.0}, adapter_source_hash="older", started_at=1.0),
        trial("tpe", "one", 7, {1: 5.0}),
    )


def test_regret_and_wins_of_both_problems(bench: Bench, suite: Path, land: Land) -> None:
    found = json.loads(bench("anytime", "--suite", suite, "--db", fill(land), "--format", "json"))
    assert (found["baseline"], found["tasks"], found["seeds"], found["budget"]) == (
        "random_search",
        ["one", "two"],
        [0, 1],
        10,
    )
    tpe, random = found["rows"]
    assert (tpe["label"], random["label"]) == ("tpe", "random_search")
    # one: 1/10; two: at the optimum
    assert tpe["regret"]["mean"] == pytest.approx(0.05)
    # one: 10/10 and 11/10, which counts as 1 as in the curve; two: from -3 to -1 the loss -1 is all of it
    assert random["regret"]["mean"] == 1.0
    assert random["regret"] == random["curve"][-1]["regret"]
    assert tpe["wins"]["mean"] == 1.0
    assert (tpe["reached"], random["reached"]) == (1.0, 0.0)
    # three evaluations on one, ten on two
    assert tpe["running_time"] == pytest.approx(6.5)
    assert tpe["first"] == 2.0
    assert any("seeds 7" in line for line in found["left_out"])


def test_the_table_says_what_its_numbers_are(
    bench: Bench, suite: Path, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = bench("anytime", "--suite", suite, "--db", fill(land), "--target", "0.2")
    assert "at 10 evaluations" in text
    assert "over 2 paired seeds" in text
    assert "regret 0.2" in text
    assert "by hand" in text
    rows = [line.split() for line in text.splitlines() if "tpe" in line]
    # both seeds agree on rank and regret, which is no certainty; wins have Wilson's interval
    assert rows[0][:6] == ["1", "tpe", "1.00", "-", "0.050", "-"]
    assert "all 2 seeds give the same value; the interval is unknown, not 0" in text
    assert bench("anytime", "--suite", suite, "--db", fill(land), "--format", "md").count("|") > 30


def test_one_problem_alone(bench: Bench, suite: Path, land: Land) -> None:
    found = json.loads(bench("anytime", "--suite", suite, "--db", fill(land), "--task", "one", "--format", "json"))
    assert found["tasks"] == ["one"]
    assert found["rows"][0]["regret"]["mean"] == pytest.approx(0.1)


def test_what_cannot_be_compared_is_said(bench: Bench, suite: Path, land: Land, tmp_path: Path) -> None:
    bench("anytime", "--suite", "fewshot", "--db", tmp_path / "none.duckdb", raises=InputError)
    bench("anytime", "--suite", suite, "--db", tmp_path / "none.duckdb", raises=InputError)
    db = fill(land)
    bench("anytime", "--suite", suite, "--db", db, "--method", "tqe", raises=UnknownNameError)
    suite.write_text("\n".join(line for line in SUITE.splitlines() if "_score" not in line))
    bench("anytime", "--suite", suite, "--db", db, raises=InputError)


def test_the_figure_holds_the_same_numbers(bench: Bench, suite: Path, land: Land, tmp_path: Path) -> None:
    db = fill(land)
    out = tmp_path / "anytime.svg"
    assert "2 optimisers" in bench("plot", "anytime", "--suite", suite, "--db", db, "-o", out)
    first = out.read_bytes()
    assert b"<svg" in first
    bench("plot", "anytime", "--suite", suite, "--db", db, "-o", out)
    assert out.read_bytes() == first
    drawn = json.loads(bench("plot", "anytime", "--suite", suite, "--db", db, "--format", "json"))
    table = json.loads(bench("anytime", "--suite", suite, "--db", db, "--format", "json"))
    assert drawn["rows"] == table["rows"]
    caption = " ".join(drawn["caption"])
    assert "2 problems" in caption
    assert "Suite pair 1, protocol 3" in caption


def test_bands_stay_where_regret_and_rank_can_be(unbounded: AnytimeTable) -> None:
    """Guards against bands above the worst rank and above the regret that all above it count as."""
    from benchbench.plots import anytime_figure

    figure = anytime_figure(unbounded, title="t", caption=["c"])
    for ax, least, most in zip(figure.axes[:2], (1e-4, 1.0), (1.0, 2.0), strict=True):
        drawn = [y for band in ax.collections for path in band.get_paths() for _, y in path.vertices]
        assert drawn
        assert min(drawn) >= least
        assert max(drawn) <= most
