"""Runs: what is running, what was run, and everything about one attempt."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from benchbench.dashboard import queries, say, shell, state
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
            st.progress(share, text=say.escaped(f"{run['suite']}, {run['run_id']}: {view.progress_text(run, now)}"))
    if not rows:
        st.info("No runs are recorded: these results were imported without them.")
        return
    shell.show(view.runs_table(rows, now))
    if len(rows) == MOST_RUNS:
        say.caption("The newest {n}; `bench history --limit N` lists more.", n=MOST_RUNS)
    shell.downloads(PAGE, rows, "runs")


def _run(source: shell.Source, run: dict[str, Any] | None, wanted: str) -> None:
    st.html('<p class="bb-text"><a href="./runs" target="_self">← all runs</a></p>')
    say.title("Run {run}", run=wanted)
    now = time.time()
    if run is None:
        st.info("There is no record of this run; its attempts, if any, are listed below.")
    else:
        say.caption("{state}; {progress}", state=state_text(run, now), progress=view.progress_text(run, now))
        if is_quiet(run, now):
            say.warning(
                "Nothing was heard of this run for long. If it was killed, the trials that had finished are not lost: the same "
                "command runs the rest."
            )
        share = min(run["n_attempts"] / run["n_trials"], 1.0) if run["n_trials"] else 1.0
        st.progress(share, text=say.escaped(view.progress_text(run, now)))
    outcomes = state.several(
        PAGE, "outcome", "Outcomes", list(OUTCOME_WORDS), labels=OUTCOME_WORDS, placeholder="all outcomes"
    )
    rows = queries.attempt_list(source.store, run_id=wanted, outcomes=outcomes or None, limit=MOST_ATTEMPTS)
    if rows:
        shell.show(view.attempts_table(rows, wanted))
        if len(rows) == MOST_ATTEMPTS:
            say.caption("The newest {n} attempts.", n=MOST_ATTEMPTS)
        shell.downloads(PAGE, rows, f"run-{wanted}")
    else:
        say.info("{text}", text="No attempt with these outcomes." if outcomes else "No attempt yet.")
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
        say.info("{error}", error=error)
        return
    say.title("Attempt {attempt}", attempt=found["attempt_id"][:10])
    say.caption(
        "{method} on {task}, seed {seed}: {outcome}",
        method=found["method"],
        task=found["task"],
        seed=found["seed"],
        outcome=OUTCOME_WORDS[found["outcome"]],
    )
    for remark in found["remarks"]:
        say.warning("Remark: {remark}", remark=remark)
    for title, text in (("Traceback", found["traceback"]), ("Output", found["log_tail"])):
        if text.strip():
            say.subheader("{title}", title=title)
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
            say.subheader("Scores of {units}", units=plural(len(found["unit_scores"]), found["unit"]))
            shell.figure(units, "Histogram of the scores by unit", "units")
        if found["environment"]:
            shell.show(view.versions_table(found))
    shell.downloads(PAGE, [found], f"attempt-{found['attempt_id'][:10]}")
