"""Runs: what is running, what was run, and everything about one attempt."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from benchbench.dashboard import queries, shell, state
from benchbench.dashboard.views import runs as view
from benchbench.dashboard.views.common import OUTCOME_WORDS
from benchbench.errors import InputError
from benchbench.results.reader import is_quiet, state_text
from benchbench.stats.labels import plural

PAGE = "runs"
MOST_RUNS, MOST_ATTEMPTS = 200, 500


def page() -> None:
    """Show runs, or one of them, or one attempt."""
    source = shell.open_source()
    rows = source.store.runs(MOST_RUNS)
    attempt = state.text_of("attempt")
    if attempt:
        _attempt(source, attempt)
        return
    wanted = state.text_of("run")
    if wanted:
        _run(source, next((r for r in rows if r["run_id"] == wanted), None), wanted)
        return
    st.title("Runs")
    now = time.time()
    for run in rows:
        if run["state"] == "running" and not is_quiet(run, now):
            share = min(run["n_attempts"] / run["n_trials"], 1.0) if run["n_trials"] else 0.0
            st.progress(share, text=shell.escaped(f"{run['suite']}, {run['run_id']}: {view.progress_text(run, now)}"))
    if not rows:
        st.info("No runs are recorded: these results were imported without them.")
        return
    shell.show(view.runs_table(rows, now))
    if len(rows) == MOST_RUNS:
        st.caption(f"The newest {MOST_RUNS}; `bench history --limit N` lists more.")
    shell.downloads(PAGE, rows, "runs")


def _run(source: shell.Source, run: dict[str, Any] | None, wanted: str) -> None:
    st.html('<p class="bb-text"><a href="./runs" target="_self">← all runs</a></p>')
    st.title(f"Run {wanted}")
    now = time.time()
    if run is None:
        st.info("There is no record of this run; its attempts, if any, are listed below.")
    else:
        st.caption(f"{state_text(run, now)}; {view.progress_text(run, now)}")
        if is_quiet(run, now):
            st.warning(
                "Nothing was heard of this run for long. If it was killed, the trials that had finished are not lost: the same "
                "command runs the rest.",
                icon=":material/info:",
            )
        share = min(run["n_attempts"] / run["n_trials"], 1.0) if run["n_trials"] else 1.0
        st.progress(share, text=view.progress_text(run, now))
    outcomes = state.several(
        PAGE, "outcome", "Outcomes", list(OUTCOME_WORDS), labels=OUTCOME_WORDS, placeholder="all outcomes"
    )
    rows = queries.attempt_list(source.store, run_id=wanted, outcomes=outcomes or None, limit=MOST_ATTEMPTS)
    if rows:
        shell.show(view.attempts_table(rows, wanted))
        if len(rows) == MOST_ATTEMPTS:
            st.caption(f"The newest {MOST_ATTEMPTS} attempts.")
        shell.downloads(PAGE, rows, f"run-{wanted}")
    else:
        st.info("No attempt yet." if not outcomes else "No attempt with these outcomes.")
    if run is not None:
        shell.show(view.run_facts(run))


def _attempt(source: shell.Source, prefix: str) -> None:
    run = state.text_of("run")
    back = f"./runs?run={run}" if run.replace("-", "").isalnum() else "./runs"
    st.html(f'<p class="bb-text"><a href="{back}" target="_self">← the run</a></p>')
    try:
        found = source.store.attempt(prefix)
    except InputError as error:
        st.title("Attempt")
        st.info(shell.escaped(str(error)))
        return
    st.title(f"Attempt {found['attempt_id'][:10]}")
    st.caption(
        shell.escaped(f"{found['method']} on {found['task']}, seed {found['seed']}: {OUTCOME_WORDS[found['outcome']]}")
    )
    for title, text in (("Traceback", found["traceback"]), ("Output", found["log_tail"])):
        if text.strip():
            st.subheader(title)
            st.code(text.rstrip(), language="python" if title == "Traceback" else None, wrap_lines=True)
    left, right = st.columns(2)
    with left:
        shell.show(view.attempt_facts(found))
    with right:
        phases = view.phase_figure(found)
        if phases is not None:
            st.subheader("Seconds by phase")
            shell.figure(phases, "Seconds of each phase of the attempt", "phases")
        units = view.unit_figure(found)
        if units is not None:
            st.subheader(f"Scores of {plural(len(found['unit_scores']), found['unit'])}")
            shell.figure(units, "Histogram of the scores by unit", "units")
        if found["environment"]:
            shell.show(view.versions_table(found))
    shell.downloads(PAGE, [found], f"attempt-{found['attempt_id'][:10]}")
