"""Tables in the shape of published boards: every number equals one computed from the definitions.

The other side knows decimals and fractions only, so binary rounding can make no difference there.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchbench.cli.anytime import make_anytime
from benchbench.results.importers.storing import import_published, read_published
from benchbench.results.importers.suites import find_any_suite
from benchbench.results.load import counted_trials, suite_facts
from benchbench.results.store import Store
from benchbench.stats.leaderboard import Leaderboard, make_leaderboard
from benchbench.stats.significance import compare_scores, friedman, nemenyi_cd

Rows = list[dict[str, Any]]


def stored(rows: Rows, format_: str, folder: Path, **options: Any) -> Store:
    """Write a published table, and import it into a database."""
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    store = Store(folder / "b.duckdb")
    import_published(store, read_published(path, format_, "s", **options), "elsewhere")
    return store


def board_of(store: Store, imputation: str) -> Leaderboard:
    facts = suite_facts(find_any_suite("s", store))
    return make_leaderboard(counted_trials(store, "s"), facts, imputation=imputation, n_bootstrap=0)


def values(board: Leaderboard, statistic: str) -> dict[str, float]:
    return {v.method: v.value for v in board.values(statistic, n_bootstrap=0) if v.value is not None}


def assert_equal(found: dict[str, float], expected: pd.Series[Any]) -> None:
    assert found == pytest.approx({str(k): float(v) for k, v in expected.items()}, abs=1e-9)


def means(rows: Rows, fill: Callable[[pd.DataFrame], pd.Series[Any]]) -> pd.DataFrame:
    """Return the exact mean over folds, tasks x methods, failures filled."""
    table = pd.DataFrame(rows)
    table["exact"] = [None if s == "" else Fraction(s) for s in table["score"]]
    table["exact"] = fill(table)
    groups = table.groupby(["task", "method"])["exact"]
    exact = groups.agg(lambda own: None if own.isna().any() else sum(own, Fraction(0)) / len(own))
    return exact.unstack("method")


def places(exact: pd.DataFrame) -> pd.DataFrame:
    """Return the ranks on each task, ties sharing their mean."""
    order = exact.apply(lambda row: row.map({v: i for i, v in enumerate(sorted(set(row)))}), axis=1)
    return order.astype(int).rank(axis=1, ascending=False)


def tabarena_like() -> Rows:
    """Make 51 tasks x 84 methods x 3 to 30 folds: three decimals, clones, a few failures."""
    rng = np.random.default_rng(51)
    rows: Rows = []
    skill = rng.normal(0, 20, 84).round()
    for t in range(51):
        n_folds, is_loss = (30 if t == 50 else 9 if t % 25 == 0 else 3), t % 3 == 0
        scores = rng.integers(600, 900) + skill[:, None] + rng.normal(0, 15, (84, n_folds)).round()
        # clones whose folds come in another order
        scores[5], scores[7] = scores[4, ::-1], np.roll(scores[6], 1)
        is_failed = rng.random(scores.shape) < 0.004
        is_failed[:8] = False
        for m, f in np.ndindex(*scores.shape):
            size = float(1000 - scores[m, f] if is_loss else scores[m, f])
            text = f"{-size / 1000 if is_loss else min(size, 999.0) / 1000:.3f}"
            rows.append(
                {
                    "method": f"m{m:02}",
                    "task": f"t{t:02}",
                    "fold": f,
                    "score": "" if is_failed[m, f] else text,
                    "metric": "neg_log_loss" if is_loss else "auc",
                    "status": "failed" if is_failed[m, f] else "ok",
                }
            )
    return rows


def by_mean_of_baseline(table: pd.DataFrame) -> pd.Series[Any]:
    baseline = table[table.method == "m00"].groupby("task")["exact"].agg(lambda own: sum(own, Fraction(0)) / len(own))
    return table["exact"].where(table["exact"].notna(), table["task"].map(baseline))


def test_a_table_in_the_shape_of_tabarena(tmp_path: Path) -> None:
    rows = tabarena_like()
    board = board_of(stored(rows, "long", tmp_path, track="automl"), "baseline=m00")
    exact = means(rows, by_mean_of_baseline)
    ranks = places(exact)
    assert (ranks.nunique(axis=1) < 84).all()
    assert exact.shape == (51, 84)
    assert_equal(values(board, "rank"), ranks.mean())
    assert_equal(values(board, "winrate"), (84 - ranks.mean()) / 83)
    perfect = pd.Series({t: 0 if int(t[1:]) % 3 == 0 else 1 for t in exact.index})
    errors = exact.rsub(perfect, axis=0).astype(float)
    assert_equal(values(board, "improvability"), (1 - errors.rdiv(errors.min(axis=1), axis=0)).mean())
    scores = exact.astype(float)
    middle, best = scores.median(axis=1), scores.max(axis=1)
    assert_equal(values(board, "norm"), scores.sub(middle, axis=0).div(best - middle, axis=0).clip(lower=0).mean())
    assert_equal(values(board, "mrr"), (1 / ranks).mean())

    table = board.imputed.table
    found, expected = friedman(table.task_means()), stats.friedmanchisquare(*ranks[list(table.methods)].T.to_numpy())
    assert found.chi2 == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.mean_ranks == pytest.approx(ranks[list(table.methods)].mean().tolist(), abs=1e-9)
    q = stats.studentized_range.ppf(0.95, 84, np.inf)
    assert nemenyi_cd(84, 51) == pytest.approx(q * np.sqrt(84 * 85 / (12 * 51)), abs=1e-6)
    own = dict(zip(table.methods, table.task_means(), strict=True))
    for a, b in (("m04", "m05"), ("m04", "m06"), ("m10", "m11"), ("m00", "m40")):
        differences = (exact[a] - exact[b])[list(table.tasks)]
        sizes = {v: i for i, v in enumerate(sorted({Fraction(0), *map(abs, differences)}))}
        whole = [sizes[abs(d)] * (1 if d > 0 else -1) for d in differences]
        p = stats.wilcoxon(whole).pvalue if any(whole) else 1.0
        assert compare_scores(own[a], own[b]).p == pytest.approx(p, abs=1e-9)


def amlb_like() -> Rows:
    """Make 9 frameworks x 20 tasks x 10 folds, some folds without a result, and one whole task."""
    rng = np.random.default_rng(9)
    names = ["constantpredictor", "tunedrandomforest", *(f"f{i}" for i in range(7))]
    rows: Rows = []
    for t in range(20):
        for m, name in enumerate(names):
            for fold in range(10):
                score = 500 if m == 0 else 700 + 5 * t + int(rng.integers(0, 12)) + (m if m > 1 else 0)
                is_lost = (m > 1 and rng.random() < 0.05) or (name == "f6" and t == 3)
                rows.append(
                    {
                        "framework": name,
                        "task": f"t{t:02}",
                        "fold": fold,
                        "result": "" if is_lost else f"{score / 1000:.3f}",
                        "metric": "auc",
                        "info": "TimeoutError: over budget" if is_lost else "",
                    }
                )
    return rows


def by_fold_of_baseline(table: pd.DataFrame) -> pd.Series[Any]:
    baseline = table[table.method == "constantpredictor"].set_index(["task", "fold"])["exact"]
    filling = [baseline[key] for key in zip(table.task, table.fold, strict=True)]
    has_any = table.groupby(["task", "method"])["exact"].transform("count") > 0
    return table["exact"].where(table["exact"].notna() | ~has_any, filling)


def test_a_table_in_the_shape_of_amlb(tmp_path: Path) -> None:
    rows = amlb_like()
    board = board_of(stored(rows, "amlb", tmp_path), "amlb=constantpredictor")
    renamed = [{"method": r["framework"], "task": r["task"], "fold": r["fold"], "score": r["result"]} for r in rows]
    exact = means(renamed, by_fold_of_baseline)
    assert exact.isna().sum().sum() == 1
    above = {
        (a, b): float(
            ((exact[a] > exact[b]) * 1.0 + (exact[a] == exact[b]) * 0.5)[exact[[a, b]].notna().all(axis=1)].mean()
        )
        for a in exact.columns
        for b in exact.columns
        if a != b
    }
    ranks = pd.Series({b: 1 + sum(above[a, b] for a in exact.columns if a != b) for b in exact.columns})
    assert_equal(values(board, "rank"), ranks)
    assert_equal(values(board, "winrate"), (9 - ranks) / 8)
    table = pd.DataFrame(renamed)
    table["exact"] = [None if s == "" else Fraction(s) for s in table["score"]]
    table["exact"] = by_fold_of_baseline(table).map(lambda v: np.nan if v is None else float(v))
    wide = table.pivot_table(index=["task", "fold"], columns="method", values="exact")
    zero, one = wide["constantpredictor"], wide["tunedrandomforest"]
    expected = wide.sub(zero, axis=0).div(one - zero, axis=0).groupby("task").mean().mean()
    assert_equal(values(replace(board, scale=("constantpredictor", "tunedrandomforest")), "norm"), expected)


def hpob_like() -> Rows:
    """Make 3 spaces x 2 data sets x 3 seeds x 4 optimisers; two write errors as 1 - accuracy."""
    rng = np.random.default_rng(3)
    rows: Rows = []
    for problem in range(6):
        for seed in range(3):
            for m in range(4):
                # hundredths; most trials reach the optimum, one stays behind and gives the scale
                most = 60 if (m, seed) == (3, 0) else (70, 71)[problem % 2]
                accuracy = np.maximum.accumulate(np.minimum(rng.integers(60, 80, 30), most))
                for step, own in enumerate(accuracy.tolist(), start=1):
                    loss = 1 - own / 100 if m % 2 else (100 - own) / 100
                    task = f"{4796 + problem // 2}-{problem}"
                    rows.append({"method": f"o{m}", "task": task, "seed": seed, "step": step, "loss": loss})
    return rows


def mean_ranks(losses: pd.Series[Any]) -> pd.DataFrame:
    """Return the mean rank of each optimiser (column) at each step."""
    ranks = losses.groupby(level=["task", "seed", "step"]).rank()
    return ranks.groupby(level=["step", "method"]).mean().unstack("method")


def test_rank_curves_in_the_shape_of_hpob(tmp_path: Path) -> None:
    rows = hpob_like()
    store = stored(rows, "long", tmp_path, track="hpo", metric="error")
    found = make_anytime(find_any_suite("s", store), store, board_of(store, "none"))
    losses = pd.DataFrame(rows).set_index(["method", "task", "seed", "step"])["loss"]
    whole = (losses * 100).round().astype(int)
    expected = mean_ranks(whole)
    # the noise of 1 - 0.7 would move the curves
    assert (mean_ranks(losses) - expected).abs().to_numpy().max() > 0.5
    last = whole.xs(30, level="step")
    best, worst = whole.groupby("task").min(), last.groupby("task").max()
    regrets = ((whole - best) / (worst - best)).clip(0, 1)
    regret = regrets.groupby(level=["step", "method"]).mean().unstack("method")
    assert found.budget == 30
    for row in found.rows:
        assert len(row.curve) > 15
        for band in row.curve:
            assert band.rank.mean == pytest.approx(expected.loc[int(band.spent), row.label], abs=1e-9)
            assert band.regret.mean == pytest.approx(regret.loc[int(band.spent), row.label], abs=1e-9)
