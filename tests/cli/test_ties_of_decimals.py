"""Decimals in a published table give the verdicts of the same numbers without binary rounding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

Bench = Callable[..., str]

FIRST = [64, 53, 93, 56, 67, 61, 81, 81, 80, 90]
SECOND = [61, 51, 91, 58, 69, 59, 79, 80, 78, 91]


def versus(bench: Bench, folder: Path, name: str, first: list[Any], second: list[Any]) -> dict[str, Any]:
    """Import a long table of two methods, and return their comparison at a ROPE of 0.01."""
    table, db = folder / f"{name}.csv", folder / "b.duckdb"
    rows = [f"{m},t{i},{s}" for m, scores in (("a", first), ("b", second)) for i, s in enumerate(scores)]
    table.write_text("\n".join(["method,task,score", *rows]) + "\n")
    published = ("--suite", name, "--source", "elsewhere", "--track", "automl", "--metric", "accuracy")
    bench("results", "import", table, "--from", "long", *published, "--db", db)
    options = ("--suite", name, "--rope", "0.01", "--db", db, "--format", "json")
    found: dict[str, Any] = json.loads(bench("versus", "a", "b", *options))
    return found


def test_a_test_of_decimals_is_that_of_whole_numbers(bench: Bench, tmp_path: Path) -> None:
    whole = versus(bench, tmp_path, "int", FIRST, SECOND)["overall"]
    decimals = versus(bench, tmp_path, "dec", [v / 100 for v in FIRST], [v / 100 for v in SECOND])["overall"]
    differences = [a - b for a, b in zip(FIRST, SECOND, strict=True)]
    ranks = stats.rankdata([abs(d) for d in differences])
    signed = sum(r if d > 0 else -r for r, d in zip(ranks, differences, strict=True))
    for found in (whole, decimals):
        assert found["p"] == pytest.approx(stats.wilcoxon(differences).pvalue, abs=1e-9)
        assert found["effect_size"] == pytest.approx(signed / sum(ranks), abs=1e-9)
        assert (found["wins"], found["ties"], found["losses"]) == (7, 0, 3)


def test_both_ends_of_a_scale_get_the_same_verdict(bench: Bench, tmp_path: Path) -> None:
    high = versus(bench, tmp_path, "high", [0.81] * 10, [0.80] * 10)
    low = versus(bench, tmp_path, "low", [0.29] * 10, [0.28] * 10)
    assert high["bayes"] == low["bayes"] == {"p_left": 0.0, "p_rope": 1.0, "p_right": 0.0}
    assert high["better"] == low["better"] == "equivalent"
    assert high["verdict"] == low["verdict"]
