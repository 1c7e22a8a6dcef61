"""One database, one answer: command line, dashboard and site show the same numbers and the same verdicts."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchbench.dashboard import data
from benchbench.dashboard.markup import render
from benchbench.dashboard.views import board as boards
from benchbench.dashboard.views import compare, tradeoff
from benchbench.dashboard.views.common import json_of
from benchbench.reports.comparison import load_comparison
from benchbench.reports.costs import cost_records
from benchbench.results.store import Store
from benchbench.stats.frontier import cost_panels
from benchbench.stats.statistics import STATISTICS

Bench = Callable[..., str]
Land = Callable[..., Path]

HEAD = """
name = "pair"
version = "1"
track = "fewshot"
title = "Three tasks"
[scores]
baseline = "pixel_nn"
reference = "maml"
[presets.quick]
test_units = 4
"""
TASKS = ("a", "b", "c")
NUMBERS = itertools.count()


def suite_text(with_ends: Sequence[str] = TASKS) -> str:
    ends = "baseline_score = 0.2\nreference_score = 0.7\n"
    return HEAD + "".join(
        f'[[tasks]]\nname = "{t}"\nloader = "glyphs"\n{ends if t in with_ends else ""}' for t in TASKS
    )


@pytest.fixture
def trio(suite_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of three tasks with frozen ends."""
    suite_file.write_text(suite_text())
    monkeypatch.setenv("BENCHBENCH_SUITES", str(suite_file))
    return suite_file


class Tables(HTMLParser):
    """Collects the tables of a page: rows of (text, unrounded value) by the title of the column, and the marked text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[dict[str, tuple[str, str]]]] = []
        self._titles: list[str] = []
        self._row: list[tuple[str, str]] = []
        self._text: list[str] | None = None
        self._value, self._is_head = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "thead":
            self._is_head = True
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th"):
            self._text, self._value = [], dict(attrs).get("data-value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "thead":
            self._is_head = False
        elif tag in ("td", "th") and self._text is not None:
            self._row.append(("".join(self._text).strip(), self._value))
            self._text = None
        elif tag == "tr" and self._is_head:
            self._titles = [text for text, _ in self._row]
        elif tag == "tr":
            self.tables[-1].append(dict(zip(self._titles, self._row, strict=True)))

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)


def tables_of(page: str, section: str) -> list[list[dict[str, tuple[str, str]]]]:
    """Return the tables of one section of a page."""
    (found,) = re.findall(rf'<section id="{section}">(.*?)</section>', page, flags=re.S)
    return Tables(found).tables


def board_of(db: Path, imputation: str = "baseline") -> tuple[Store, data.BoardData]:
    store = data.open_store(db)
    return store, data.load_board(store, data.load_suite(store, "pair"), data.Choice(imputation=imputation))


def unmarked(name: str) -> str:
    return name.removesuffix(" (t)")


# --------------------------------------------------------------------------------------------------------------------
# two winners


TWO_WINNERS = [
    *({"task": t, "seed": s, "scores": [v, v]} for t in TASKS for s, v in enumerate((0.9, 0.1, 0.1))),
    *({"method": "protonet", "task": t, "scores": [0.8, 0.8]} for t in TASKS),
]


def test_of_two_methods_with_different_seeds_one_is_better_everywhere(
    bench: Bench, trio: Path, land: Land, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line paired common seeds and named maml; the page compared means over all seeds and named protonet."""
    db = land(*TWO_WINNERS)

    def asked(a: str, b: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(bench("versus", a, b, "--suite", "pair", "--db", db, "--format", "json"))
        return found

    told = asked("protonet", "maml")
    assert told["better"] == asked("maml", "protonet")["better"] == "maml"
    assert told["bayes"]["p_left"] == asked("maml", "protonet")["bayes"]["p_right"] > 0.95
    assert told["verdict"].startswith("Decided: maml is better (P = 0.99")
    assert "Left out, because only one method has them: seeds 1, 2 of maml on a, b, c." in told["verdict"]
    assert told["verdict"] in " ".join(bench("versus", "protonet", "maml", "--suite", "pair", "--db", db).split())
    bench("publish", tmp_path / "site", "--suite", "pair", "--db", db)
    (published,) = json.loads((tmp_path / "site/data/pair-comparisons.json").read_text())
    assert published == told
    page = unescape((tmp_path / "site/suites/pair.html").read_text())
    assert f"Against maml: {told['verdict']}" in page
    (row,) = next(t for t in Tables(page).tables if t and "against" in t[0])
    assert row["decided"][0] == "maml is better"
    assert float(row["mean difference"][1]) == told["overall"]["mean_difference"]
    app = page_of(monkeypatch, db, "compare", a="protonet", b="maml")
    assert any(plain(m.value) == told["verdict"] for m in app.markdown)
    # the leaderboard ranks by means over all seeds, and says so
    board = bench("leaderboard", "--suite", "pair", "--db", db, "--format", "md")
    assert "maml scores higher than protonet on 3 of 3 tasks" in board


def run_page(name: str) -> None:
    """Run one page; AppTest takes this function's source, so it stands alone."""
    import importlib

    from benchbench.dashboard import state

    state.begin_run()
    importlib.import_module(f"benchbench.dashboard.pages.{name}").page()


def page_of(monkeypatch: pytest.MonkeyPatch, db: Path, name: str, **query: str) -> Any:
    from streamlit.testing.v1 import AppTest

    monkeypatch.setenv("BENCHBENCH_DB", str(db))
    # Streamlit replaces it, and processes that later tests start would run the page's script first
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    app = AppTest.from_function(run_page, args=(name,), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def plain(markdown: str) -> str:
    """Return Markdown as a reader sees it."""
    return re.sub(r"\\(.)", r"\1", markdown).removeprefix("**").removesuffix("**")


# --------------------------------------------------------------------------------------------------------------------
# verdicts

MIXED = [
    *(
        {"method": m, "task": t, "seed": s, "scores": [mean + 0.01 * s + 0.02 * i] * 2, "transductive": m == "maml"}
        for m, mean in (("maml", 0.7), ("protonet", 0.69), ("pixel_nn", 0.3))
        for i, t in enumerate(TASKS)
        for s in range(3)
    ),
    *({"method": "broken", "task": t, "outcome": "failed"} for t in TASKS),
]


@pytest.mark.parametrize("stat", STATISTICS)
def test_the_verdict_is_the_same_sentence_everywhere(
    bench: Bench, trio: Path, land: Land, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stat: str
) -> None:
    db = land(*MIXED)
    options = ("--suite", "pair", "--db", db, "--stat", stat, "--by", "suite")
    _, board = board_of(db)
    view = boards.make_view(board, stat, data.Filters(), {})
    assert view.verdict is not None
    sentence = view.verdict.sentence
    # by tie-aware ranks the two are tied
    assert sentence.startswith(("maml leads by ", "maml and protonet lead by "))
    assert "not distinguishable from it: p" in sentence
    assert sentence in unescape(bench("leaderboard", *options, "--format", "html"))
    assert sentence in " ".join(bench("leaderboard", *options).split())
    app = page_of(monkeypatch, db, "leaderboard", stat=stat)
    assert any(plain(m.value) == sentence for m in app.markdown)
    in_group = {r["label"] for r in json.loads(bench("leaderboard", *options, "--format", "json")) if r["in_lead"]}
    assert in_group == set(view.verdict.group) >= {"maml", "protonet"}
    html = {row[1].text: row[1].html for row in boards.leaderboard_table(view, {}).rows}
    assert {label for label, cell in html.items() if "≈ first" in cell} == in_group
    assert "not ranked" in html["broken"]
    if stat in ("rank", "elo"):
        bench("publish", tmp_path / "site", "--suite", "pair", "--db", db)
        page = unescape((tmp_path / "site/suites/pair.html").read_text())
        (section,) = re.findall(rf'<section id="by-{stat}">.*?</section>', page, flags=re.S)
        assert f'<p class="verdict">{sentence}</p>' in section
        (table,) = tables_of(page, f"by-{stat}")
        assert {unmarked(r["method"][0]) for r in table if r["≈1"][0]} == in_group
        assert next(r for r in table if r["method"][0] == "broken")["notes"][0] == "not ranked: every trial failed"
        caution = "With only 3 tasks, bootstrap intervals are unreliable; non-overlap is not evidence of a difference."
        assert caution in section
        assert any(caution in c.value for c in app.caption)
        (row,) = Tables((tmp_path / "site/index.html").read_text()).tables[0]
        assert (row["leads by mean rank"][0], row["distinguishable"][0]) == ("maml", "no: ≈ 2 others")
        if stat == "rank":
            assert page.index(f'<p class="verdict">{sentence}</p>') < page.index("Whole suite")


# --------------------------------------------------------------------------------------------------------------------
# all numbers


@st.composite
def databases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return attempts of up to four methods on three tasks, and which tasks have frozen ends."""
    methods = draw(
        st.lists(
            st.sampled_from(
                [("maml", {}), ("maml", {"n_way": 5}), ("protonet", {}), ("pixel_nn", {}), ("home made", {})]
            ),
            min_size=1,
            max_size=4,
            unique_by=str,
        )
    )
    n_seeds = draw(st.integers(1, 3))
    outcome = st.sampled_from(["ok"] * 6 + ["failed", "timeout", "declined", "infra", ""])
    score = st.one_of(st.sampled_from([0.2, 0.5, 0.7]), st.floats(-2.0, 2.0, allow_nan=False))
    rows = []
    for (method, params), task, seed in itertools.product(methods, TASKS, range(n_seeds)):
        became = draw(outcome)
        if not became:
            continue
        row = {"method": method, "params": params, "task": task, "seed": seed, "outcome": became}
        row |= {"transductive": method == "maml", "seconds": draw(st.floats(0.01, 100.0))}
        if became == "ok":
            mean, spread = draw(score), draw(st.sampled_from([0.0, 0.1]))
            row["scores"] = [mean - spread, mean, mean + spread]
        rows.append(row)
    return rows, tuple(draw(st.sets(st.sampled_from(TASKS))))


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(found=databases(), imputation=st.sampled_from(["baseline", "worst", "none", "drop-task"]))
def test_every_number_of_a_random_database_is_the_same_everywhere(
    bench: Bench,
    trio: Path,
    land: Land,
    tmp_path: Path,
    found: tuple[list[dict[str, Any]], tuple[str, ...]],
    imputation: str,
) -> None:
    rows, with_ends = found
    trio.write_text(suite_text(with_ends))
    db = land(*rows, name=f"random-{next(NUMBERS)}")
    options = ("--suite", "pair", "--db", db, "--impute", imputation)
    told = json.loads(bench("leaderboard", *options, "--format", "json")) if rows else []
    if not told:
        return
    shutil.rmtree(tmp_path / "site", ignore_errors=True)
    bench("publish", tmp_path / "site", *options)
    site = tmp_path / "site"
    assert json.loads((site / "data/pair.json").read_text()) == told
    page = (site / "suites/pair.html").read_text()
    store, board = board_of(db, imputation)
    overall = {r["label"]: r for r in told if r["task"] is None}
    assert bool(overall) == bool(board.board.imputed.table.tasks)
    if not overall:
        return
    for stat, kind in STATISTICS.items():
        records = json.loads(bench("leaderboard", *options, "--stat", stat, "--by", "suite", "--format", "json"))
        view = boards.make_view(board, stat, data.Filters(), {})
        assert json.loads(json_of(boards.board_records(view))) == records
        if stat == "rank":
            # the default leaderboard and the table by the statistic are one
            for r in records:
                one = overall[r["label"]]
                assert [r[k] for k in ("value", "low", "high", "rank")] == [
                    one[k] for k in ("mean_rank", "mean_rank_low", "mean_rank_high", "rank")
                ]
        if all(r["value"] is None for r in records):
            assert not (site / f"data/pair-{stat}.json").exists()
            continue
        assert json.loads((site / f"data/pair-{stat}.json").read_text()) == records
        of_page = {row[1].text: row for row in boards.leaderboard_table(view, {}).rows}
        (table,) = tables_of(page, f"by-{stat}")
        of_site = {unmarked(row["method"][0]): row for row in table}
        assert list(of_page) == list(of_site) == [r["label"] for r in records]
        for r in records:
            check_shown(of_page[r["label"]][2].text, r["value"], 1 if kind.is_share else kind.digits, kind.is_share)
            text, value = of_site[r["label"]][kind.title]
            check_shown(text, r["value"], kind.digits)
            assert value == ("" if r["value"] is None else repr(r["value"]))
            assert of_page[r["label"]][0].text == ("—" if r["rank"] is None else f"{r['rank']:g}")
    check_tasks(board, told)
    check_costs(bench, options, site, board)
    check_comparisons(bench, options, site, store, board)


def check_shown(text: str, value: float | None, digits: int, is_share: bool = False) -> None:
    if value is None:
        assert text in ("", "—")
        return
    shown = float(text.replace(",", "").removesuffix(" %"))
    assert math.isclose(shown, 100 * value if is_share else value, abs_tol=0.5001 * 10.0**-digits)


def check_tasks(board: data.BoardData, told: list[dict[str, Any]]) -> None:
    """The tables task by task."""
    for task in board.board.tasks:
        own = [r for r in told if r["task"] == task]
        table = boards.task_table(board.board, task)
        assert [row["Method"] for row in table.records()] == [r["label"] for r in own]
        for row, r in zip(table.records(), own, strict=True):
            check_shown(row["Score"], r["score"], 4)
            check_shown(row["± 95 %"], r["ci95"], 4)
            assert (row["Imputed"] == "0%") == (r["n_imputed"] == 0)
            # every number has an interval, an imputed share or one unit alone behind it
            assert r["score"] is None or r["ci95"] is not None or r["n_imputed"] or r["n"] < 2 or r["notes"]
        assert "NaN" not in render(table)


def check_costs(bench: Bench, options: tuple[Any, ...], site: Path, board: data.BoardData) -> None:
    panels = cost_panels(board.board)
    if not panels:
        bench("plot", "pareto", *options, "--format", "json", raises=Exception)
        return
    drawn = json.loads(bench("plot", "pareto", *options, "--format", "json"))["panels"]
    published = json.loads((site / "data/pair-costs.json").read_text())
    assert json.loads(json_of(cost_records(panels))) == published
    plotted = {(panel["name"], p["label"]): p for panel in drawn for p in panel["points"]}
    assert {(r["panel"], r["label"]): [r[k] for k in ("score", "ci95", "seconds")] for r in published} == {
        key: [p[k] for k in ("score", "ci95", "seconds")] for key, p in plotted.items()
    }
    for panel in panels:
        shown = {r["Method"]: r for r in tradeoff.cost_table(panel, board.methods).records()}
        for p in panel.points:
            assert (shown[p.label]["Front"] == "on the front") == plotted[panel.name, p.label]["is_on_front"]
            assert (shown[p.label]["Imputed"] == "0%") == (not p.is_imputed)
            assert not (p.n_failed_tasks and p.is_on_front)
        named = " ".join(panel.left_out)
        for label in board.methods:
            has_score = any(r.label == label and r.score is not None for r in board.board.rows if r.task in panel.tasks)
            assert label in shown or not has_score or label in named


def check_comparisons(bench: Bench, options: tuple[Any, ...], site: Path, store: Store, board: data.BoardData) -> None:
    path = site / "data/pair-comparisons.json"
    ranked = [r.label for r in board.board.overall if r.rank is not None]
    assert path.exists() == (len(ranked) > 1)
    if not path.exists():
        return
    published = json.loads(path.read_text())
    assert [r["b"] for r in published] == ranked[1:11]
    for one in published:
        told = json.loads(bench("versus", one["a"], one["b"], *options, "--format", "json"))
        assert told == one
        found = load_comparison(store, "pair", board.board, one["a"], one["b"])
        assert found.sentence() == one["verdict"]
        rows = {r["Task"]: r for r in compare.pair_table(found).records()}
        for pair in one["tasks"]:
            row = rows[pair["task"]]
            assert row["Better"] == (pair["better"] or "—")
            check_shown(row["Difference"].split(" ")[0], pair["difference"], 4)
            if pair["better"]:
                assert " ± " in row["Difference"]
