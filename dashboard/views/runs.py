"""Runs: what is running, what was run, and everything about one attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchbench.dashboard.markup import HtmlCell, HtmlColumn, HtmlTable, badge, link
from benchbench.dashboard.theme import ACCENT, styled
from benchbench.dashboard.views.common import (
    OUTCOME_MARKS,
    OUTCOME_WORDS,
    ago,
    clock,
    duration,
    mebibytes,
    number,
    ran_on,
    taken,
)
from benchbench.results.reader import is_quiet, state_text
from benchbench.stats.labels import method_label, plural

__all__ = [
    "attempt_facts",
    "attempts_table",
    "phase_figure",
    "progress_text",
    "run_facts",
    "runs_table",
    "unit_figure",
    "versions_table",
]


def progress_text(run: Mapping[str, Any], now: float) -> str:
    """Return how far a run is, and when it may end if it goes on as it did."""
    done, n = run["n_attempts"], run["n_trials"]
    text = f"{done:,} of {plural(n, 'trial')}"
    # what comes before the first trial is done once
    took = run["last_sign"] - (run["first_trial"] or run["started_at"])
    if run["state"] == "running" and 0 < done < n and took > 0 and not is_quiet(run, now):
        text += f", about {duration(took / done * (n - done))} left"
    return text


def _outcomes(counts: Mapping[str, int]) -> str:
    order = [o for o in OUTCOME_WORDS if counts.get(o)]
    return ", ".join(f"{counts[o]:,} {OUTCOME_WORDS[o]}" for o in order) or "nothing yet"


def runs_table(rows: Sequence[Mapping[str, Any]], now: float) -> HtmlTable:
    """Return the runs, newest first."""
    table = HtmlTable(
        caption="Runs, the newest first",
        columns=[
            HtmlColumn("Run"),
            HtmlColumn("Suite"),
            HtmlColumn("State"),
            HtmlColumn("Attempts", is_number=True),
            HtmlColumn("Outcomes", is_wide=True),
            HtmlColumn("Started"),
            HtmlColumn("Took", is_number=True, is_wide=True),
            HtmlColumn("Machine", is_wide=True),
        ],
    )
    for r in rows:
        state = state_text(r, now)
        kind = {"finished": "good", "failed": "bad", "interrupted": "bad"}.get(r["state"], "")
        end = r["ended_at"] if r["ended_at"] is not None else r["last_sign"]
        imported = badge(f"{r['kind']} results") if r.get("kind", "measured") != "measured" else ""
        table.rows.append(
            [
                link(r["run_id"], "runs", run=r["run_id"]),
                link(r["suite"], "", suite=r["suite"]),
                HtmlCell(state, badge(state, kind) + imported),
                HtmlCell(f"{r['n_attempts']:,}/{r['n_trials']:,}"),
                HtmlCell(_outcomes(r["outcomes"])),
                HtmlCell(
                    ago(r["started_at"], now),
                    f'<span title="{clock(r["started_at"])}">{ago(r["started_at"], now)}</span>',
                ),
                HtmlCell(duration(end - r["started_at"])),
                HtmlCell(str(r["host"])),
            ]
        )
    return table


def run_facts(run: Mapping[str, Any]) -> HtmlTable:
    """Return what is recorded of a run: command, machine, code."""
    machine = run["hardware"]
    gpus = ", ".join(machine.get("gpus") or []) or "none"
    commit = run["git_commit"]
    code = f"benchbench {run['benchbench_version']}"
    if commit:
        code += f", commit {commit[:12]}" + (" with uncommitted changes" if run["git_dirty"] else "")
    rows = [
        ("Command", run["command"]),
        ("Preset", run["preset"]),
        ("Started", clock(run["started_at"])),
        ("Ended", clock(run["ended_at"])),
        ("Processor", f"{machine.get('cpu', 'unknown')}, {plural(int(machine.get('cores') or 0), 'core')}"),
        ("Memory", f"{machine['memory_mib'] / 1024:,.1f} GiB" if machine.get("memory_mib") else "unknown"),
        ("GPUs", gpus),
        ("Machine", run["host"]),
        ("Code", code),
    ]
    return HtmlTable(
        caption=f"Run {run['run_id']}",
        columns=[HtmlColumn("Property"), HtmlColumn("Value")],
        rows=[[HtmlCell(name), HtmlCell(str(value) or "—")] for name, value in rows],
    )


def attempts_table(rows: Sequence[Mapping[str, Any]], run_id: str) -> HtmlTable:
    """Return attempts, newest first."""
    table = HtmlTable(
        caption="Attempts, the newest first",
        columns=[
            HtmlColumn("Attempt"),
            HtmlColumn("Method"),
            HtmlColumn("Task"),
            HtmlColumn("Seed", is_number=True, is_wide=True),
            HtmlColumn("Outcome"),
            HtmlColumn("Score", is_number=True),
            HtmlColumn("Timed", is_number=True, is_wide=True, help="Timed seconds"),
            HtmlColumn("Wall", is_number=True, is_wide=True, help="Wall-clock seconds, loading and imports included"),
            HtmlColumn("Memory", is_number=True, is_wide=True, help="Peak of the process tree"),
            HtmlColumn("Error or remark", is_wide=True),
        ],
    )
    for r in rows:
        lines = f"{r['error_type']}: {r['error_message']}".removeprefix(": ").strip().splitlines() or r["remarks"]
        outcome = r["outcome"]
        text = f"{OUTCOME_MARKS.get(outcome, '')} {OUTCOME_WORDS.get(outcome, outcome)}{' *' if r['remarks'] else ''}"
        kind = "good" if outcome == "ok" else "" if outcome == "declined" else "bad"
        error = lines[0] if lines else ""
        table.rows.append(
            [
                link(r["attempt_id"][:10], "runs", run=run_id, attempt=r["attempt_id"]),
                link(method_label(r["method"], r["params"]), "method", method=r["method"]),
                HtmlCell(r["task"]),
                HtmlCell(str(r["seed"])),
                HtmlCell(text, badge(text, kind)),
                HtmlCell(number(r["score"], 4)),
                HtmlCell(taken(r["seconds"])),
                HtmlCell(taken(r["wall_seconds"])),
                HtmlCell(mebibytes(r["peak_memory_mib"])),
                HtmlCell(error if len(error) <= 120 else f"{error[:117]}…"),
            ]
        )
    return table


def attempt_facts(attempt: Mapping[str, Any]) -> HtmlTable:
    """Return what is recorded of one attempt."""
    code = attempt["git_commit"][:12] + (" with uncommitted changes" if attempt["git_dirty"] else "")
    rows = [
        ("Method", f"{attempt['method']} {attempt['params'] or ''}".strip()),
        ("Task", f"{attempt['task']} of {attempt['suite']} {attempt['suite_version']}"),
        ("Data", attempt["task_fingerprint"]),
        ("Seed", f"{attempt['seed']}, try {attempt['try_number']}"),
        ("Outcome", OUTCOME_WORDS.get(attempt["outcome"], attempt["outcome"])),
        (
            "Score",
            f"{number(attempt['score'], 4)} {attempt['metric']} over {plural(attempt['n_units'], attempt['unit'] or 'unit')}",
        ),
        ("Timed", taken(attempt["seconds"])),
        ("Wall clock", taken(attempt["wall_seconds"])),
        ("Processor time", taken(attempt["cpu_seconds"])),
        ("Memory", f"{mebibytes(attempt['peak_memory_mib'])}{' at most' if attempt['peak_memory_mib'] else ''}"),
        ("Budget", ", ".join(f"{k} {v}" for k, v in attempt["budget"].items())),
        ("Started", clock(attempt["started_at"])),
        (
            "Machine",
            f"{attempt['host']}: {', '.join([attempt['hardware_class'], *ran_on(attempt['device'], attempt['threads'])])}",
        ),
        ("Protocol", attempt["protocol_version"]),
        ("Adapter's source", attempt["adapter_source_hash"]),
        ("Code", f"benchbench {attempt['benchbench_version']}, commit {code}" if attempt["git_commit"] else "unknown"),
    ]
    rows += [(f"Metric {name}", f"{value:.6g}") for name, value in attempt["metrics"].items()]
    return HtmlTable(
        caption=f"Attempt {attempt['attempt_id']}",
        columns=[HtmlColumn("Property"), HtmlColumn("Value")],
        rows=[[HtmlCell(name), HtmlCell(str(value) or "—")] for name, value in rows],
    )


def versions_table(attempt: Mapping[str, Any]) -> HtmlTable:
    """Return the versions of the packages that the attempt imported."""
    return HtmlTable(
        caption="Versions of imported packages",
        columns=[HtmlColumn("Package"), HtmlColumn("Version")],
        rows=[[HtmlCell(name), HtmlCell(str(version))] for name, version in sorted(attempt["environment"].items())],
    )


def unit_figure(attempt: Mapping[str, Any]) -> Any | None:
    """Draw how the scores of an attempt's units are spread; None with fewer than three."""
    import plotly.graph_objects as go

    scores = attempt["unit_scores"]
    if len(scores) < 3:
        return None
    figure = go.Figure(
        go.Histogram(x=scores, nbinsx=30, marker={"color": ACCENT}, hovertemplate="%{x}: %{y}<extra></extra>")
    )
    return styled(
        figure, height=260, x=f"{attempt['metric']} of one {attempt['unit']}", y=f"{attempt['unit']}s", legend=False
    )


def phase_figure(attempt: Mapping[str, Any]) -> Any | None:
    """Draw the seconds of each phase; None if none was recorded."""
    import plotly.graph_objects as go

    phases = {k: v for k, v in attempt["phases"].items() if v is not None}
    if not phases:
        return None
    names = list(phases)
    figure = go.Figure(
        go.Bar(
            x=[phases[n] for n in names],
            y=names,
            orientation="h",
            marker={"color": ACCENT},
            text=[duration(phases[n]) for n in names],
            textposition="auto",
            hovertemplate="%{y}: %{x:.3g} s<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed")
    return styled(figure, height=110 + 30 * len(names), x="seconds", legend=False)
