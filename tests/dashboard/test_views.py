"""What pages show, without a browser and without Streamlit."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchbench.cards import MethodCard
from benchbench.dashboard import data, queries
from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable, interval_bar, link, render, strip
from benchbench.dashboard.queries import Provenance
from benchbench.dashboard.theme import log_axis, marks
from benchbench.dashboard.views import about, common, compare, curves, methods, runs, tasks, tradeoff
from benchbench.dashboard.views import board as boards
from benchbench.errors import InputError
from benchbench.reports.comparison import load_comparison
from benchbench.reports.costs import cost_records
from benchbench.reports.text import as_csv
from benchbench.results.load_curves import seed_curves
from benchbench.results.reader import QUIET_SECONDS, state_text
from benchbench.results.store import Store
from benchbench.stats.anytime import AnytimeTable, Incumbents
from benchbench.stats.curves import curve_panels
from benchbench.stats.frontier import cost_panels
from benchbench.stats.labels import plural
from benchbench.stats.leaderboard import make_leaderboard
from benchbench.stats.statistics import STATISTICS

ALL = data.Filters()


def view_of(board: data.BoardData, statistic: str = "rank", filters: data.Filters = ALL) -> boards.View:
    return boards.make_view(board, statistic, filters, data.cards())


def test_views_know_nothing_of_streamlit() -> None:
    names = "about, board, common, compare, curves, methods, runs, tasks, tradeoff"
    code = f"import sys; from benchbench.dashboard.views import {names}; print('streamlit' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_mean_ranks_are_those_of_the_board(board: data.BoardData) -> None:
    found = {s.method: s.value for s in view_of(board).values}
    expected = {r.label: r.mean_rank for r in board.board.rows if r.task is None}
    assert found == pytest.approx(expected)
    assert found["maml"] == 1.0


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_has_a_label_a_meaning_and_a_table(board: data.BoardData, statistic: str) -> None:
    view = view_of(board, statistic)
    table = boards.leaderboard_table(view, {})
    assert [row[1].text for row in table.rows] == [s.method for s in view.values]
    assert {row[1].text for row in table.rows} == {"maml", "protonet", "pixel_nn", "home_made"}
    assert STATISTICS[statistic].help in table.columns[2].help
    assert table.columns[2].title == STATISTICS[statistic].heading
    assert "NaN" not in render(table)


def test_filters_change_who_is_ranked_and_against_whom(board: data.BoardData) -> None:
    def shown(**chosen: Any) -> dict[str, float | None]:
        return {s.method: s.value for s in view_of(board, "rank", data.Filters(**chosen)).values}

    assert set(shown(kind="inductive")) == {"protonet", "pixel_nn", "home_made"}
    assert shown(kind="inductive")["protonet"] == 1.0
    assert set(shown(kind="transductive")) == {"maml"}
    assert set(shown(hardware="other, 8 cores")) == {"home_made"}
    assert set(shown(tags=("metric",))) == {"protonet"}
    assert set(shown(methods=("maml", "pixel_nn"))) == {"maml", "pixel_nn"}
    assert view_of(board, "rank", data.Filters(tasks=("a",))).board.imputed.table.tasks == ("a",)
    assert shown(tags=("no such",)) == {}


def test_failures_are_imputed_by_the_boards_policy_and_shown(trio: Store) -> None:
    suite = data.load_suite(trio, "trio")

    def share(policy: str) -> float:
        board = data.load_board(trio, suite, data.Choice(imputation=policy))
        return next(s.imputed_share for s in view_of(board).values if s.method == "home_made")

    assert share("baseline") == pytest.approx(1 / 3)
    assert share("none") == 0.0
    dropped = data.load_board(trio, suite, data.Choice(imputation="drop-task"))
    view = view_of(dropped)
    assert view.board.imputed.dropped_tasks == ("b",)
    assert all(s.n_tasks <= 2 for s in view.values)
    # whoever failed there is not shown: then nothing is dropped
    kept = view_of(dropped, "rank", data.Filters(methods=("maml", "pixel_nn")))
    assert kept.board.imputed.dropped_tasks == ()


def test_the_download_says_under_what_conditions(board: data.BoardData) -> None:
    records = boards.board_records(view_of(board, "elo"))
    first = records[0]
    assert first["statistic"] == "elo"
    assert (first["suite"], first["preset"], first["imputation"]) == ("trio", "quick", "baseline")
    assert {r["method"]: r["n_failed"] for r in records}["home_made"] == 3
    assert {r["method"]: r["n_declined"] for r in records}["protonet"] == 3
    back = list(csv.DictReader(io.StringIO(as_csv(records))))
    assert [float(r["value"]) for r in back] == pytest.approx([r["value"] for r in records])
    assert json.loads(common.json_of(records))[0]["method"] == first["method"]
    # as of `bench leaderboard`: parameters are an object, in CSV its text
    assert json.loads(common.json_of(records))[0]["params"] == {}
    assert back[0]["params"] == "{}"


@pytest.mark.parametrize(
    ("source", "current", "is_current_suite", "word"),
    [
        (Provenance(n_trials=2, n_clean=2, sources=("s",), hardware=()), "s", True, ""),
        (Provenance(n_trials=2, n_clean=1, sources=("s",), hardware=()), "s", True, "uncommitted"),
        (Provenance(n_trials=2, n_clean=2, sources=("old",), hardware=()), "s", True, "changed"),
        (Provenance(n_trials=2, n_clean=2, sources=("s",), hardware=()), None, True, "not installed"),
        (Provenance(n_trials=2, n_clean=2, sources=("s",), hardware=()), "s", False, "newer version"),
        (None, "s", True, "no counted trial"),
    ],
)
def test_verified_means_where_numbers_come_from(
    source: Provenance | None, current: str | None, is_current_suite: bool, word: str
) -> None:
    is_ok, why = boards.verified(source, current, is_current_suite)
    assert is_ok == (word == "")
    assert word in why


def test_the_badge_stands_only_where_it_is_earned(board: data.BoardData) -> None:
    hashes = {"maml": "source-1", "protonet": "another", "home_made": "source-1"}
    html = {row[1].text: row[1].html for row in boards.leaderboard_table(view_of(board), hashes).rows}
    assert "verified" in html["maml"]
    assert "verified" not in html["protonet"]
    # ran uncommitted code
    assert "verified" not in html["home_made"]


def test_task_tables_and_heat_maps(board: data.BoardData) -> None:
    table = boards.task_table(board.board, "c")
    text = render(table)
    assert "declined" in text
    view = view_of(board)
    assert list(boards.win_heatmap(view).data[0].x) == [s.method for s in view.values]
    ranks = boards.task_heatmap(view).data[0]
    assert list(ranks.x) == ["a", "b", "c"]
    assert math.isnan(ranks.z[[s.method for s in view.values].index("protonet")][2])


def test_comparison_of_two_methods(board: data.BoardData, trio: Store) -> None:
    found = load_comparison(trio, "trio", board.board, "maml", "pixel_nn", 0.01)
    table = compare.pair_table(found)
    assert {r["Better"] for r in table.records()} == {"maml"}
    shown = {r["Task"]: r["Difference"] for r in table.records()}
    for pair in found.tasks:
        assert pair.difference is not None and pair.ci95 is not None
        assert shown[pair.task] == f"{pair.difference:.4f} ± {pair.ci95:.4f}"
    assert len(compare.difference_figure(found).data) == 2
    drawn = compare.probability_figure(found)
    assert sum(bar.x[0] for bar in drawn.data) == pytest.approx(100)


def test_a_comparison_says_what_is_imputed_and_what_is_left_out(board: data.BoardData, trio: Store) -> None:
    found = load_comparison(trio, "trio", board.board, "home_made", "protonet", 0.0)
    shown = {r["Task"]: r for r in compare.pair_table(found).records()}
    # of seeds of which some are made up there is no interval
    assert shown["b"]["Difference"].endswith("(3 of 3 pairs imputed)")
    assert shown["b"]["Better"] == "—"
    assert " ± " in shown["a"]["Difference"]
    assert (shown["c"]["Difference"], shown["c"]["Better"], shown["c"]["Notes"]) == ("—", "—", "no score of protonet")
    assert "c of home_made" in found.sentence()


def test_nobody_is_better_within_the_rope_nor_within_the_interval(board: data.BoardData, trio: Store) -> None:
    """The column named whoever had the higher mean."""
    wide = load_comparison(trio, "trio", board.board, "maml", "protonet", 0.9)
    assert {r["Better"] for r in compare.pair_table(wide).records()} == {"—"}
    (a, *_) = (p for p in load_comparison(trio, "trio", board.board, "maml", "protonet", 0.0).tasks)
    assert a.difference is not None and a.ci95 is not None and a.difference > a.ci95
    hollow = compare.difference_figure(wide).data[0].marker.symbol
    assert set(hollow) == {f"{marks(['maml', 'protonet'])['maml'].symbol}-open"}


def test_difficulty_of_a_task(board: data.BoardData) -> None:
    found = tasks.difficulty(board, "b")
    assert found.n_methods == 3
    assert found.failed == pytest.approx(0.25)
    assert found.best is not None
    assert found.median is not None
    assert found.best > found.median
    assert found.agreement == pytest.approx(1.0)
    assert found.above_baseline == 1.0
    assert tasks.difficulty_rows(found)[0][0] == "Best score"
    assert ("Option way", "5") in [(r[0].text, r[1].text) for r in tasks.facts_table(board, "a").rows]
    assert tasks.score_figure(board, "b").layout.xaxis.title.text.startswith("accuracy")


def test_curves_of_training(board: data.BoardData, trio: Store) -> None:
    group = board.board.conditions
    assert group is not None
    panels = curve_panels(board.board, seed_curves(trio, "trio", group))
    assert curves.has_curves(panels)
    figure = curves.curve_figure(panels[0], board.table.methods, log_x=True, everybody=board.table.methods)
    assert figure.layout.xaxis.type == "log"
    names = {t.name for t in figure.data}
    assert {"maml", "pixel_nn (no training)"} <= names or "maml" in names
    records = curves.curve_records(panels)
    assert len(records) == 3 * 4
    assert records[0]["metric"] == "val_accuracy"


@pytest.mark.parametrize("log_y", [False, True])
def test_bands_stay_where_regret_and_rank_can_be(unbounded: AnytimeTable, log_y: bool) -> None:
    """Guards against bands above the worst rank, below the best, and beyond regrets of 0 and 1."""
    for what, least, most in (("regret", 0.0, 1.0), ("rank", 1.0, 2.0)):
        figure = curves.anytime_figure(unbounded, what, log_x=True, log_y=log_y, everybody=["a", "b"])
        bands = [t.y for t in figure.data if t.fill == "toself"]
        assert len(bands) == 2
        assert min(map(min, bands)) >= least
        assert max(map(max, bands)) <= most
        assert min(map(min, bands)) > 0 or not log_y


def test_any_time_curves_need_something_in_common(board: data.BoardData) -> None:
    trials = [
        Incumbents(task=t, label=m, seed=s, budget=10, spent=(1.0, 5.0), seconds=(1.0, 2.0), losses=(0.4, 0.1 * k))
        for t in "abc"
        for k, m in enumerate(("maml", "protonet"), 1)
        for s in range(3)
    ]
    # minus the frozen ends of the suite are no sensible losses, but they order
    found = curves.anytime(board, trials, ["maml", "protonet"])
    assert [r.label for r in found.rows] == ["maml", "protonet"]
    for what in ("regret", "rank"):
        assert curves.anytime_figure(found, what, log_x=True, log_y=False, everybody=["maml", "protonet"]).data
    assert len(curves.anytime_rows(found).rows) == 2
    assert {r["method"] for r in curves.anytime_records(found)} == {"maml", "protonet"}
    with pytest.raises(InputError, match="nothing to compare"):
        curves.anytime(board, trials, ["nobody"])


def test_trade_off(board: data.BoardData) -> None:
    panels = cost_panels(board.board)
    panel = panels[0]
    figure = tradeoff.cost_figure(panel, board.table.methods, log_x=True, mixes_hardware=True)
    assert "MIXED HARDWARE" in figure.layout.xaxis.title.text
    table = tradeoff.cost_table(panel, board.table.methods)
    by_name = {r["Method"]: r["Front"] for r in table.records()}
    assert by_name["protonet"] == "lacks tasks"
    assert "on the front" in by_name.values()
    assert len(cost_records([panel])) == 4


def test_runs_say_when_nothing_was_heard(trio: Store) -> None:
    (run,) = trio.runs()
    heard = run["last_sign"]
    assert state_text(run, heard + 5) == "running"
    assert "left" in runs.progress_text(run, heard + 5)
    assert "nothing heard for" in state_text(run, heard + 2 * QUIET_SECONDS)
    assert "left" not in runs.progress_text(run, heard + 2 * QUIET_SECONDS)
    table = runs.runs_table([run], heard)
    assert table.records()[0]["Attempts"] == "36/40"
    assert "3 failed" in table.records()[0]["Outcomes"]
    assert "a processor" in render(runs.run_facts(run))
    # 36 of 40 trials in 90 s: what preparing took before them is not spent again
    begun = {"started_at": run["first_trial"] - 1000.0, "last_sign": run["first_trial"] + 90.0}
    assert "about 10 s left" in runs.progress_text(run | begun, run["first_trial"] + 90.0)


def test_one_attempt(trio: Store) -> None:
    rows = queries.attempt_list(trio, run_id="run", outcomes=["failed"])
    assert len(rows) == 3
    text = render(runs.attempts_table(rows, "run"))
    assert "no &lt;b&gt;good&lt;/b&gt;" in text
    remarked = queries.attempt_list(trio, outcomes=["ok"])[0] | {"remarks": ["AUC is <0.02>", "used 2 cores"]}
    (cells,) = runs.attempts_table([remarked], "run").rows
    assert cells[4].text.endswith(" *")
    assert cells[-1].text == "AUC is <0.02>"
    found = trio.attempt(queries.attempt_list(trio, outcomes=["ok"])[0]["attempt_id"])
    assert "env" not in render(runs.attempt_facts(found))
    assert ("torch", "2.13.0") in [(r[0].text, r[1].text) for r in runs.versions_table(found).rows]
    assert runs.unit_figure(found) is not None
    phases = runs.phase_figure(found)
    assert phases is not None
    assert list(phases.data[0].y) == ["meta_fit", "predict"]


def test_a_method(trio: Store) -> None:
    results = queries.method_results(trio, "home_made")
    assert {r["task"]: (r["n_ok"], r["n_failed"]) for r in results} == {"a": (3, 0), "b": (0, 3), "c": (3, 0)}
    assert "0/3" in render(methods.results_table(results))
    failures = queries.method_failures(trio, "home_made")
    assert len(failures) == 3
    assert failures[0]["traceback"].endswith("ValueError")
    assert "no <b>good</b>" in methods.failure_title(failures[0])
    history = queries.method_history(trio, "home_made")
    table = methods.history_table(history)
    assert table.records()[0]["Attempts"] == "9"
    assert "uncommitted" in table.records()[0]["Commit"]
    assert methods.history_figure(history, "trio") is None


def test_a_history_of_two_states_is_drawn(land: Any) -> None:
    store = land(
        {"seed": 0}, {"seed": 1}, {"seed": 0, "adapter_source_hash": "source-2", "score": 0.9, "trial_id": "t"}
    )
    history = queries.method_history(store, "maml")
    figure = methods.history_figure(history, "trio")
    assert figure is not None
    assert list(figure.data[0].x) == ["source-1", "source-2"]
    assert list(figure.data[0].y) == pytest.approx([0.5, 0.9])
    # what counts is the newest source alone
    assert [r["n_ok"] for r in queries.method_results(store, "maml")] == [1]


def test_cards_and_parameters() -> None:
    from benchbench.registry import get_method

    card = get_method("protonet").card
    text = render(methods.card_table(card))
    assert "metric" in text
    table = methods.parameters_table(get_method("protonet").cls)
    assert table is not None
    assert "learning_rate" in render(table)

    class Plain:
        card: MethodCard

    assert methods.parameters_table(Plain) is None


def test_text_from_outside_is_escaped() -> None:
    evil = '<script>alert(1)</script>"&'
    table = HtmlTable(
        caption=evil,
        columns=[HtmlColumn(evil, help=evil)],
        rows=[[link(evil, "method", method=evil)], [HtmlCell(evil)]],
    )
    html = render(table)
    assert "<script>" not in html
    assert "%3Cscript%3E" in html
    assert "<script>" not in interval_bar(1.0, 0.0, 2.0, (0.0, 2.0), evil)
    assert "<script>" not in strip([1.0, None], [evil, evil], evil)


def test_bars_stay_within_their_box() -> None:
    assert interval_bar(None, None, None, (0.0, 1.0), "x") == ""
    html = interval_bar(5.0, -5.0, 9.0, (0.0, 1.0), "x")
    assert "left:0.0%" in html
    assert "left:100.0%" in html
    # nothing to spread over
    assert "left:0.0%" in interval_bar(1.0, None, None, (1.0, 1.0), "x")


def test_marks_do_not_depend_on_who_else_is_drawn_in_what_order() -> None:
    assert marks(["b", "a"]) == marks(["a", "b", "a"])
    many = marks([f"m{i:02d}" for i in range(48)])
    assert len({(m.colour, m.symbol, m.dash) for m in many.values()}) == 48


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0.001, "< 0.01 s"),
        (0.424, "0.42 s"),
        (9.96, "10.0 s"),
        (59.7, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (200_000, "2 days 7 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert common.duration(seconds) == text


def test_numbers() -> None:
    assert common.number(-0.0001, 3) == "0.000"
    assert common.number(-1.5, 2) == "-1.50"
    assert common.number(None) == common.number(math.inf) == "—"
    assert common.percent(0.123, 1) == "12.3 %"
    assert plural(1, "task") == "1 task"
    assert plural(1200, "task") == "1,200 tasks"
    assert json.loads(common.json_of({"a": math.nan, "b": [math.inf, 1.0]})) == {"a": None, "b": [None, 1.0]}
    assert as_csv([]) == ""


def test_the_document_on_statistics_comes_with_the_package() -> None:
    head, sections = about.sections(about.statistics_text())
    assert len(sections) > 3
    assert not head.startswith("#")
    assert "](" not in "".join(body for _, body in sections).replace("](http", "")


def test_ticks_of_logarithmic_axes_are_written_out() -> None:
    assert log_axis(1, 50)["ticktext"] == ["1", "2", "5", "10", "20", "50", "100", "200", "500"]
    assert log_axis(0.0, 1e3)["ticktext"][-1] == "1000"
    assert log_axis(0.003, 900, " s")["ticktext"] == ["0.001 s", "0.01 s", "0.1 s", "1 s", "10 s", "100 s", "1000 s"]


def test_what_published_results_do_not_say_is_not_shown_as_nothing(tmp_path: Any) -> None:
    """They were shown as results of less than 0.01 s, in 0 MiB, with 0 threads."""
    from benchbench.results.importers.storing import import_published, read_published

    path = tmp_path / "table.csv"
    path.write_text(
        "task,method,score\n" + "".join(f"{t},{m},{v}\n" for t in ("x", "y") for m, v in (("one", 0.9), ("two", 0.5)))
    )
    store = Store(tmp_path / "published.duckdb")
    import_published(
        store, read_published(path, "long", "elsewhere", track="fewshot", metric="accuracy"), "A. Author, 2020"
    )
    suite = data.load_suite(store, "elsewhere")
    board = data.load_board(store, suite, data.Choice())
    table = boards.leaderboard_table(view_of(board), {})
    place = next(i for i, c in enumerate(table.columns) if c.title == "Time")
    assert [row[place].text for row in table.rows] == ["—", "—"]
    line = common.conditions_line(board.board, suite.spec)
    assert "A. Author, 2020" in line
    assert "0 thread" not in line
    assert "0 test" not in line
    (row, _) = methods.results_table(queries.method_results(store, "one")).rows
    assert [row[-2].text, row[-1].text] == ["—", "—"]
    assert "thread" not in row[3].text
    attempt, *_ = queries.attempt_list(store, outcomes=["ok"])
    (cells, _) = runs.attempts_table([attempt, attempt], "run").rows
    assert [c.text for c in cells[6:9]] == ["—", "—", "—"]
    facts = {name.text: value.text for name, value in runs.attempt_facts(store.attempt(attempt["attempt_id"])).rows}
    assert [facts[n] for n in ("Timed", "Wall clock", "Processor time", "Memory")] == ["—"] * 4
    assert "thread" not in facts["Machine"]


def test_a_part_of_a_leaderboard_is_ranked_like_a_leaderboard_of_that_part(board: data.BoardData) -> None:
    """The part is cut out of the table; the command line makes the same of the counted trials."""
    for labels, wanted in ((["home_made", "maml"], ["a", "b"]), (["protonet", "pixel_nn"], ["a", "b", "c"])):
        part = board.part(labels, wanted)
        whole = make_leaderboard(board.suite.trials, board.board.suite, methods=labels, tasks=wanted)
        assert [r.to_dict() for r in part.rows] == [r.to_dict() for r in whole.rows]
        assert part.fills == whole.fills
        assert board.part(labels, wanted) is part
    for label in ("maml", "protonet", "pixel_nn", "home_made"):
        board.part([label])
    assert len(board.parts) == data.MOST_PARTS
    assert board.part(board.methods) is board.board


def test_a_regret_curve_ends_at_the_value_of_the_table(unbounded: AnytimeTable) -> None:
    """The curve was cut at 1, the table below it was not."""
    shown = {r["Method"]: r["Regret"] for r in curves.anytime_rows(unbounded).records()}
    figure = curves.anytime_figure(unbounded, "regret", log_x=False, log_y=False, everybody=["a", "b"])
    ends = {line.name: line.y[-1] for line in figure.data if line.name}
    assert set(ends) == set(shown) == {"a", "b"}
    for method, text in shown.items():
        assert text.split(" ± ")[0] == common.number(ends[method], 3)


def test_imputed_ranks_are_marked(board: data.BoardData) -> None:
    view = view_of(board)
    figure = boards.task_heatmap(view).data[0]
    row = list(figure.y).index("home_made")
    assert [text.endswith(" i") for text in figure.text[row]] == [False, True, False]
    html = next(r[6].html for r in boards.leaderboard_table(view, {}).rows if r[1].text == "home_made")
    assert "b: rank 4, imputed" in html
    assert html.count("imputed") == 1


def test_what_failed_everywhere_is_not_ranked(land: Any) -> None:
    """A method without any result could tie for the first rank by what stands for its failures."""
    store = land(
        *({"method": "pixel_nn", "task": t, "score": 0.1} for t in "abc"),
        *({"method": "broken", "task": t, "outcome": "failed"} for t in "abc"),
    )
    board = data.load_board(store, data.load_suite(store, "trio"), data.Choice())
    view = view_of(board)
    shown = {r["Method"]: r for r in boards.leaderboard_table(view, {}).records()}
    assert (shown["broken"]["#"], shown["broken"]["Mean rank"], shown["broken"]["Imputed"]) == ("—", "—", "all")
    assert shown["pixel_nn"]["#"] == "1"
    assert view.verdict is not None
    assert view.verdict.leaders == ("pixel_nn",)


def test_of_lost_trials_alone_there_is_a_page(land: Any) -> None:
    store = land({"outcome": "infra"})
    board = data.load_board(store, data.load_suite(store, "trio"), data.Choice())
    (row,) = boards.task_table(board.board, "a").records()
    assert (row["Method"], row["Score"]) == ("maml", "—")
    assert view_of(board).values[0].value is None


def test_pages_write_what_they_did_not_make_through_one_module() -> None:
    """Streamlit reads titles, captions and notices as Markdown: `say` escapes, constants need it not."""
    import ast

    import benchbench.dashboard

    marked = {
        "title",
        "header",
        "subheader",
        "caption",
        "info",
        "warning",
        "error",
        "success",
        "markdown",
        "write",
        "toast",
    }
    (folder,) = benchbench.dashboard.__path__
    found = []
    for file in sorted(Path(folder).rglob("*.py")):
        # the about page shows a document of ours, and `say` is what escapes
        if file.name in ("say.py", "about.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            calls = isinstance(node.func.value, ast.Name) and node.func.value.id == "st" and node.func.attr in marked
            if calls and not (len(node.args) == 1 and isinstance(node.args[0], ast.Constant)):
                found.append(f"{file.name}:{node.lineno} st.{node.func.attr}")
    assert found == []
