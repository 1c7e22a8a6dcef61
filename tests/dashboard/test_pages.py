"""The pages, run by Streamlit without a browser: each on results, on none, and on a link that a reader was sent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from benchbench.results.store import Store

PAGES = ("leaderboard", "compare", "method", "task", "curves", "tradeoff", "runs", "about")


def run_page(name: str) -> None:
    """Run one page; AppTest takes this function's source, so it stands alone."""
    import importlib

    from benchbench.dashboard import state

    state.begin_run()
    importlib.import_module(f"benchbench.dashboard.pages.{name}").page()


def open_page(name: str, **query: str | list[str]) -> AppTest:
    app = AppTest.from_function(run_page, args=(name,), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def text_of(app: AppTest) -> str:
    """Return everything that the page wrote, tables included."""
    parts = [getattr(e, "value", "") or getattr(getattr(e, "proto", None), "body", "") for e in app.main]
    return "\n".join(str(p) for p in parts)


@pytest.fixture(autouse=True)
def _own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what Streamlit replaces to run a page: processes that later tests start would run the page's script first."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def shown(trio: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("BENCHBENCH_DB", str(trio.path))
    return trio


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens(shown: Store, name: str) -> None:
    app = open_page(name)
    assert not app.exception
    assert app.title[0].value


@pytest.mark.parametrize("view", ["leaderboard", "ranks", "wins", "tasks"])
def test_every_view_of_the_board_opens(shown: Store, view: str) -> None:
    assert not open_page("leaderboard", view=view, suite="trio").exception


@pytest.mark.parametrize("stat", ["rank", "elo", "winrate", "norm", "improvability", "mrr"])
def test_every_statistic_opens(shown: Store, stat: str) -> None:
    app = open_page("leaderboard", stat=stat)
    assert not app.exception
    assert "home_made" in text_of(app)


def test_a_choice_made_before_the_browser_heard_of_the_last_one_takes_nothing_back(shown: Store) -> None:
    """The browser sends the address with each choice; what it sends is old until it has heard of the rerun before.

    The board was then of all methods, under an address that named one.
    """

    def choose(*methods: str, heard: bool) -> None:
        if not heard:
            app.query_params.clear()
        next(m for m in app.multiselect if m.label == "Methods").set_value(list(methods))
        app.run()
        assert not app.exception

    app = open_page("leaderboard", suite="trio")
    choose("maml", heard=True)
    choose("maml", "protonet", heard=False)
    assert app.query_params["method"] == ["maml", "protonet"]
    assert "home_made" not in text_of(app)
    # another widget takes back nothing either
    app.query_params.clear()
    app.segmented_control[0].set_value("winrate").run()
    assert app.query_params["method"] == ["maml", "protonet"]
    assert app.query_params["stat"] in ("winrate", ["winrate"])
    choose(heard=False)
    assert "home_made" in text_of(app)
    assert "method" not in app.query_params


def test_a_link_restores_what_its_sender_saw(shown: Store) -> None:
    app = open_page("leaderboard", stat="winrate", impute="worst", kind="inductive", suite="trio")
    assert app.session_state["leaderboard:stat"] == "winrate"
    assert app.session_state["leaderboard:impute"] == "worst"
    text = text_of(app)
    assert "Win rate" in text
    assert "maml" not in text.split("<tbody>")[1].split("</tbody>")[0]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("suite", "Suite"),
        ("stat", "Statistic"),
        ("preset", "Preset (budget)"),
        ("device", "Device"),
        ("threads", "Threads per trial"),
        ("impute", "Imputation of failures"),
        ("view", "View"),
        ("tag", "Tags of methods"),
        ("method", "Methods"),
    ],
)
def test_a_link_to_what_does_not_exist_says_so_and_shows_nothing_else(shown: Store, name: str, label: str) -> None:
    app = open_page("leaderboard", **{name: "![x](n)"})
    assert not app.exception
    (said,) = (w.value for w in app.warning)
    assert said.startswith(f"This link asks for what does not exist here: {label} "), said
    assert "!\\[x\\](n)" in said
    assert "<table" not in "".join(h.proto.body for h in app.get("html"))
    assert app.query_params[name] == "![x](n)", "the address stays as it was sent"


def test_after_a_wrong_link_the_reader_chooses(shown: Store) -> None:
    app = open_page("leaderboard", suite="none")
    assert app.selectbox(key="leaderboard:suite").value is None
    app.selectbox(key="leaderboard:suite").select("trio").run()
    assert not app.exception
    assert not any(w.value.startswith("This link") for w in app.warning)
    assert app.query_params["suite"] == "trio"
    assert "<table" in "".join(h.proto.body for h in app.get("html"))


def test_what_a_link_asks_for_besides_what_exists_is_said(shown: Store) -> None:
    app = open_page("leaderboard", tag=["x", "gradient"])
    assert app.warning[0].value == "This link asks for what does not exist here: Tags of methods 'x'."
    assert app.session_state["leaderboard:tag"] == ["gradient"]
    assert "<table" in "".join(h.proto.body for h in app.get("html"))


@pytest.mark.parametrize("rope", ["wide", "nan", "-1", "1e9"])
def test_a_number_that_a_link_cannot_mean_is_said(shown: Store, rope: str) -> None:
    app = open_page("compare", rope=rope)
    assert "It can be a number from 0 to 10" in app.warning[0].value


def test_a_choice_stands_in_the_address(shown: Store) -> None:
    app = open_page("leaderboard")
    assert "stat" not in app.query_params
    app.selectbox(key="leaderboard:kind").select("inductive").run()
    assert app.query_params["kind"] == "inductive"
    app.selectbox(key="leaderboard:kind").select("").run()
    assert "kind" not in app.query_params


def test_an_address_that_changed_wins(shown: Store) -> None:
    app = open_page("leaderboard", kind="inductive")
    # the reader went back in the browser's history
    app.query_params["kind"] = "transductive"
    app.run()
    assert app.session_state["leaderboard:kind"] == "transductive"


def test_a_filter_that_nobody_passes_says_so(shown: Store) -> None:
    app = open_page("leaderboard", tag="metric", kind="transductive")
    assert any("No method passes" in i.value for i in app.info)


def test_one_method_cannot_be_compared_with_itself(shown: Store) -> None:
    app = open_page("compare", a="maml", b="maml")
    assert any("two different methods" in i.value for i in app.info)


def test_runs_attempts_and_tracebacks(shown: Store) -> None:
    from benchbench.dashboard import queries

    assert "bench run --suite trio" in text_of(open_page("runs", run="run"))
    failed = queries.attempt_list(shown, outcomes=["failed"])[0]["attempt_id"]
    app = open_page("runs", run="run", attempt=failed)
    assert "ValueError" in app.code[0].value
    app = open_page("runs", attempt="zzzz")
    assert not app.exception
    assert any("no attempt has an id" in i.value.replace("\\", "") for i in app.info)
    assert not open_page("runs", run="no such run").exception


def test_a_method_without_results_and_one_that_is_not_installed(shown: Store) -> None:
    assert any("No results yet" in i.value for i in open_page("method", method="reptile").info)
    app = open_page("method", method="home_made")
    assert any("not installed here" in i.value for i in app.info)
    assert any("ValueError" in c.value for c in app.code)


def run_app() -> None:
    from benchbench.dashboard.app import main

    main()


@pytest.mark.parametrize(
    ("make", "words"),
    [("absent", "No results yet"), ("empty", "No results yet"), ("foreign", "not a results database")],
)
def test_a_helpful_page_in_place_of_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: str, words: str
) -> None:
    path = tmp_path / "results.duckdb"
    if make == "empty":
        Store(path).open_for_writing()
    elif make == "foreign":
        path.write_text("hello")
    monkeypatch.setenv("BENCHBENCH_DB", str(path))
    app = AppTest.from_function(run_app, default_timeout=60).run()
    assert not app.exception
    assert words in app.title[0].value
    assert "bench" in app.code[0].value


def test_the_app_begins_with_the_leaderboard(shown: Store) -> None:
    app = AppTest.from_function(run_app, default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "Leaderboard"


def test_a_run_that_has_begun_but_ended_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbench.records import RunRecord

    store = Store(tmp_path / "results.duckdb")
    store.open_for_writing()
    store.land_run(
        RunRecord(run_id="run", suite="trio", preset="quick", command="bench run", started_at=1e9, n_trials=5)
    )
    monkeypatch.setenv("BENCHBENCH_DB", str(store.path))
    for name in PAGES:
        app = open_page(name)
        assert not app.exception, name
    assert any("A run has started" in i.value for i in open_page("leaderboard").info)
    # what is left of a run that was killed, long after
    monkeypatch.setattr("benchbench.results.reader.QUIET_SECONDS", -1.0)
    assert any("Nothing was heard" in w.value for w in open_page("runs", run="run").warning)


def test_a_damaged_landing_file_is_left_out(shown: Store) -> None:
    (shown.landing / "01763718000123456789-4f2a91c07d3e.attempts.v1.parquet").write_bytes(b"half of a fi")
    (shown.landing / ".01763718000123456789-4f2a91c07d3e.attempts.v1.parquet.part").write_bytes(b"")
    app = open_page("leaderboard")
    assert not app.exception
    assert "maml" in text_of(app)


def test_pages_are_thin(shown: Store) -> None:
    """What a page shows is decided in views, which are tested without it."""
    import benchbench.dashboard.pages as pages

    for path in Path(pages.__file__).parent.glob("*.py"):
        text = path.read_text()
        assert "SELECT " not in text
        assert "numpy" not in text
        assert len(text.splitlines()) < 150, path.name
