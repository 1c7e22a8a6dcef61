"""What the pages have in common.

The store, what is kept between reruns, notices, downloads, and the pages for trouble.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from benchbench.dashboard import data, markup, queries, say, state
from benchbench.dashboard.data import BoardData, Choice, Filters, SuiteData
from benchbench.dashboard.theme import letter_by_letter
from benchbench.dashboard.views import common
from benchbench.paths import default_db
from benchbench.reports.filters import card_tags
from benchbench.reports.text import as_csv
from benchbench.stats.imputation import POLICIES
from benchbench.stats.labels import plural

if TYPE_CHECKING:
    from benchbench.dashboard.queries import SuiteOverview, Trouble
    from benchbench.results.store import Store

__all__ = [
    "Source",
    "alt",
    "board_of",
    "choose_board",
    "choose_filters",
    "choose_suite",
    "downloads",
    "figure",
    "installed",
    "kind_of",
    "left_out",
    "notices",
    "open_source",
    "show",
    "show_trouble",
    "source_hashes",
    "watch",
]

REFRESH_SECONDS = 4.0
# suites and leaderboards that are kept in memory, of all readers together
KEPT = 8


@dataclass(frozen=True, slots=True)
class Source:
    """The store, and the state that everything kept of it belongs to."""

    store: Store
    state: queries.State


def open_source() -> Source:
    """Return the store that `bench dashboard` was started for."""
    store = data.open_store(os.environ.get("BENCHBENCH_DB") or default_db())
    return Source(store, queries.state_of(store))


# the leading underscore keeps Streamlit from hashing the store;
# what is kept belongs to a path and its state
@st.cache_resource(max_entries=KEPT, show_spinner="Reading results …")
def _overviews(_store: Store, state_: queries.State) -> list[SuiteOverview]:
    del state_
    return queries.suite_overviews(_store)


@st.cache_resource(max_entries=KEPT, show_spinner="Reading results …")
def _suite(_store: Store, state_: queries.State, name: str) -> SuiteData:
    del state_
    return data.load_suite(_store, name)


@st.cache_resource(max_entries=KEPT, show_spinner="Computing the leaderboard …")
def _board(_store: Store, state_: queries.State, name: str, choice: Choice) -> BoardData:
    return data.load_board(_store, _suite(_store, state_, name), choice)


@st.cache_resource(max_entries=1)
def installed() -> Mapping[str, Any]:
    """Return the cards of the methods that are installed here."""
    return data.cards()


@st.cache_resource(max_entries=1)
def source_hashes() -> Mapping[str, str]:
    """Return the source hashes of the adapters that are installed here."""
    from benchbench.registry import methods

    return {name: entry.source_hash() for name, entry in methods().items()}


def suite_of(source: Source, name: str) -> SuiteData:
    """Return the counted trials of a suite."""
    return _suite(source.store, source.state, name)


def overviews(source: Source) -> list[SuiteOverview]:
    """Return the suites of which there are attempts."""
    return _overviews(source.store, source.state)


def board_of(source: Source, name: str, choice: Choice) -> BoardData:
    """Return the leaderboard of a suite."""
    return _board(source.store, source.state, name, choice)


def choose_suite(page: str, source: Source) -> SuiteData | None:
    """Let the reader choose a track and one of its suites; None if there is no attempt yet."""
    found = overviews(source)
    if not found:
        st.info("A run has started, but no trial has finished yet. This page updates by itself.")
        return None
    tracks = sorted({o.track for o in found if o.track})
    by_name = {o.suite: o for o in found}
    kept = st.session_state.get("suite", "")
    left, right = st.columns([1, 2]) if len(tracks) > 1 else (None, st.container())
    track = ""
    if left is not None:
        with left:
            track = state.choice(page, "track", "Track", ["", *tracks], labels={"": "all tracks"})
    names = [o.suite for o in found if not track or o.track == track]
    with right:
        name = state.choice(
            page,
            "suite",
            "Suite",
            names,
            default=kept if kept in names else names[0],
            always=True,
            labels=lambda n: f"{n} · {plural(by_name[n].n_methods, 'method')}, {plural(by_name[n].n_tasks, 'task')}",
        )
    # the other pages begin with the suite that was looked at last
    st.session_state["suite"] = name
    return suite_of(source, name)


def choose_board(page: str, source: Source, suite: SuiteData, *, imputation: bool = True) -> BoardData:
    """Let the reader choose the conditions, if there are several, and how failures are imputed."""
    conditions = suite.conditions
    preset = device = ""
    threads, policy = 0, "baseline"
    presets = list(dict.fromkeys(c[0] for c in conditions))
    if len(presets) <= 1:
        state.only(page, "preset", "Preset (budget)", presets)
    n_shown = (len(presets) > 1) + imputation
    several = len({c[1:] for c in conditions}) > 1
    columns = iter(st.columns(n_shown + 2 * several) if n_shown + several else ())
    if len(presets) > 1:
        with next(columns):
            preset = state.choice(
                page, "preset", "Preset (budget)", presets, help="A leaderboard holds results of one preset"
            )
    own = [c for c in conditions if not preset or c[0] == preset]
    devices = list(dict.fromkeys(c[1] for c in own))
    if len(devices) <= 1:
        state.only(page, "device", "Device", devices)
    else:
        with next(columns):
            device = state.choice(page, "device", "Device", devices)
    counts = list(dict.fromkeys(str(c[2]) for c in own if not device or c[1] == device))
    if len(counts) <= 1:
        state.only(page, "threads", "Threads per trial", counts)
    else:
        with next(columns):
            threads = int(state.choice(page, "threads", "Threads per trial", counts))
    if imputation:
        with next(columns):
            policy = state.choice(
                page,
                "impute",
                "Imputation of failures",
                list(POLICIES),
                labels=common.IMPUTATION_LABELS,
                kind="buttons",
                help="The score of a trial that failed, crashed or hit a limit. Declined trials are never imputed.",
            )
    return board_of(source, suite.spec.name, Choice(preset=preset, device=device, threads=threads, imputation=policy))


def choose_filters(page: str, board: BoardData) -> Filters:
    """Let the reader narrow the methods and tasks."""
    known = installed()
    tags = sorted({t for m, _ in board.sources if m in known for t in card_tags(known[m])})
    machines = sorted({h for s in board.sources.values() for h in s.hardware})
    given = [n for n in ("tag", "kind", "hardware", "method", "task") if st.query_params.get(n)]
    title = f"Filters ({len(given)} set)" if given else "Filters"
    with st.expander(title, expanded=bool(given), icon=":material/filter_alt:"):
        one, two, three = st.columns(3)
        with one:
            chosen = state.several(
                page, "tag", "Tags of methods", tags, help="Family, kind of task, track or a property of the card"
            )
        with two:
            kind = state.choice(
                page,
                "kind",
                "Transductive methods",
                ["", "inductive", "transductive"],
                labels={"": "with the others", "inductive": "leave out", "transductive": "only these"},
                help="A transductive method's prediction for one query uses the episode's other queries",
            )
        with three:
            hardware = state.choice(
                page,
                "hardware",
                "Hardware",
                ["", *machines],
                labels={"": "any"},
                help="Methods whose every counted trial ran on it",
            )
        methods = state.several(page, "method", "Methods", board.methods)
        tasks = state.several(page, "task", "Tasks", board.tasks)
    return Filters(methods=methods, tasks=tasks, tags=chosen, kind=kind, hardware=hardware)


def show(table: markup.HtmlTable) -> None:
    """Put a table on the page."""
    st.html(markup.render(table))


def figure(drawn: Any, text: str, key: str) -> None:
    """Put a figure on the page; `text` says what it shows to those who cannot see it."""
    st.plotly_chart(
        letter_by_letter(drawn),
        width="stretch",
        theme="streamlit",
        key=key,
        config={"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"], "responsive": True},
        alt=text,
    )


def alt(what: str, n_methods: int) -> str:
    """Return the alternative text of a figure whose numbers stand in the table below it."""
    return f"{what}, of {plural(n_methods, 'method')}; the same numbers stand in the table on this page"


def notices(board: BoardData) -> None:
    """Say under what conditions the numbers were measured, and what limits them."""
    spec = board.suite.spec
    say.caption("{line}", line=common.conditions_line(board.board, spec))
    generated = common.generated_line(board)
    if generated:
        say.warning("{text}", text=generated)
    if not board.suite.is_known:
        say.info(
            "The suite {name} is not installed here: its title, baseline and reference are unknown.",
            name=repr(spec.name),
        )
    for note in board.board.notes:
        say.caption("Note: {note}", note=note if note.endswith(".") else f"{note}.")


def left_out(board: BoardData) -> None:
    """List what is not on the leaderboard, and why."""
    lines = board.board.left_out
    if not lines:
        return
    with st.expander(f"What was left out ({len(lines)})", icon=":material/visibility_off:"):
        for line in lines:
            say.markdown("- {line}", line=line)


def downloads(page: str, records: Sequence[Mapping[str, Any]], stem: str) -> None:
    """Offer the records as CSV and JSON."""
    rows = [dict(r) for r in records]
    with st.container(horizontal=True):
        for kind, mime, text in (
            ("CSV", "text/csv", as_csv(rows)),
            ("JSON", "application/json", common.json_of(rows)),
        ):
            st.download_button(
                f"Download {kind}",
                text,
                file_name=f"{stem}.{kind.lower()}",
                mime=mime,
                key=f"{page}:download:{kind}",
                icon=":material/download:",
                on_click="ignore",
            )


_TITLES = {
    "absent": "No results yet",
    "empty": "No results yet",
    "in use": "The results are in use by another program",
    "foreign": "This is not a results database",
    "unreadable": "The results cannot be read",
    "failed": "This page cannot be shown",
}
_ADVICE = {
    "absent": "Make some, and this page updates by itself:",
    "empty": "Make some, and this page updates by itself:",
    "in use": "Another program holds the file open; runs of `bench` hold it for milliseconds only. This page tries again by itself.",
    "foreign": "Start the dashboard with a database that `bench run` made:",
    "unreadable": "This page tries again by itself.",
    "failed": "This page tries again by itself.",
}


def show_trouble(trouble: Trouble) -> None:
    """Say why there is nothing to show, and what to do about it."""
    say.title(_TITLES[trouble.kind])
    say.markdown("{message}", message=trouble.message)
    say.markdown(_ADVICE[trouble.kind])
    if trouble.kind in ("absent", "empty"):
        st.code(
            "bench run --suite fewshot      # a few minutes\nbench sample sample.duckdb     # several suites",
            language="bash",
        )
    if trouble.kind == "foreign":
        st.code("bench dashboard --db PATH", language="bash")


@st.fragment(run_every=REFRESH_SECONDS)
def watch(seen: queries.State, trouble: str) -> None:
    """Show the page anew when something was recorded or the trouble has passed.

    This is checked every few seconds.
    """
    source = open_source()
    # a lock that is let go changes no file
    if source.state != seen or (trouble and kind_of(queries.trouble_with(source.store)) != trouble):
        state.rerun()


def kind_of(trouble: Trouble | None) -> str:
    """Return the kind of the trouble, "" for none."""
    return "" if trouble is None else trouble.kind
