"""`bench data`: fetch, list and verify the data of suites."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import FormatOption, TasksOption, chosen_tasks, print_json, print_table
from benchbench.cli.run import interruptible
from benchbench.errors import BenchbenchError, DataMissingError, InputError
from benchbench.extras import remedy
from benchbench.stats.labels import whole_duration

if TYPE_CHECKING:
    from benchbench.suite_files import SuiteSpec, TaskSpec

__all__ = ["data_fetch", "data_list", "data_verify"]

SuitesOption = Annotated[
    str | None, typer.Option("--suite", help="Suite name, or path to a suite's .toml file; default: all suites.")
]
FetchedSuiteOption = Annotated[str, typer.Option("--suite", help="Suite name, or path to a suite's .toml file.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


@dataclass(slots=True)
class Fetching:
    """The tasks handled so far, and their outcomes."""

    missing: set[str]
    n_tasks: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[BenchbenchError] = field(default_factory=list)

    def seconds_left(self) -> float | None:
        """Estimate from tasks that had to be fetched; None until one of them is done."""
        done = {row["task"] for row in self.rows}
        took = [row["seconds"] for row in self.rows if row["task"] in self.missing]
        return sum(took) / len(took) * len(self.missing - done) if took else None

    def line(self) -> str:
        """Describe the last task and the progress."""
        row, left = self.rows[-1], self.seconds_left()
        more = f", about {whole_duration(left)} left" if left else ""
        return (
            f"[{len(self.rows)}/{self.n_tasks}] {row['task']}: {row['state']} ({whole_duration(row['seconds'])}){more}"
        )


def data_fetch(
    suite: FetchedSuiteOption, task: TasksOption = None, quiet: QuietOption = False, format_: FormatOption = "table"
) -> None:
    """Download and prepare the data of a suite.

    Includes the original files, so that nothing is downloaded later. Continues after a failure and
    reports all failures at the end: exit code 2 if data are unavailable, 1 if anything else failed.
    """
    (spec, tasks), *_ = _chosen(suite, task)
    fetching = Fetching({t.name for t in tasks if _state(t)[0] != "ready"}, len(tasks))
    with interruptible():
        try:
            for one in tasks:
                _fetch(one, fetching, quiet)
        except KeyboardInterrupt:
            _say(
                f"interrupted; {len(fetching.rows)} of {len(tasks)} tasks are done; run the same command to continue",
                quiet=False,
            )
            raise typer.Exit(130) from None
    if format_ == "json":
        print_json(fetching.rows)
    else:
        n_bad = len(fetching.failures)
        sys.stdout.write(f"{spec.name}: {len(tasks) - n_bad} of {len(tasks)} tasks are ready\n")
    if fetching.failures:
        for row in fetching.rows:
            if row["problem"]:
                sys.stderr.write(f"failed: {row['task']}: {row['problem']}\n")
        raise typer.Exit(2 if all(isinstance(error, InputError) for error in fetching.failures) else 1)


def data_list(suite: SuitesOption = None, task: TasksOption = None, format_: FormatOption = "table") -> None:
    """List tasks with the state, size and source of their data."""
    rows = [_row(spec, one) for spec, tasks in _chosen(suite, task) for one in tasks]
    if format_ == "json":
        print_json(rows)
        return
    headers = ["suite", "task", "loader", "state", "MiB", "source"]
    cells = [
        [r["suite"], r["task"], r["loader"], r["state"], f"{r['bytes'] / 2**20:.1f}" if r["bytes"] else "", r["source"]]
        for r in rows
    ]
    print_table(headers, cells, right=(4,))
    n_ready = sum(row["state"] == "ready" for row in rows)
    # several tasks may share a folder
    sizes = {folder["folder"]: folder["bytes"] for row in rows for folder in row["folders"]}
    sys.stdout.write(f"{n_ready} of {len(rows)} tasks are ready, {sum(sizes.values()) / 2**20:.1f} MiB in all\n")
    for row in rows:
        if row["state"] in ("damaged", "unusable"):
            sys.stdout.write(f"{row['state']}: {row['task']}: {row['problem']}\n")
        for warning in row["warnings"]:
            sys.stdout.write(f"warning: {row['task']}: {warning}\n")


def data_verify(suite: SuitesOption = None, task: TasksOption = None, format_: FormatOption = "table") -> None:
    """Verify the stored data of tasks by their hashes.

    Includes downloaded originals. Exit code 1 if anything is damaged or missing.
    """
    from benchbench.suites._prepared import problem_of

    users: dict[Path, list[tuple[str, str]]] = {}
    rows: list[dict[str, Any]] = []
    repairs: dict[tuple[str, str], None] = {}
    for spec, tasks in _chosen(suite, task):
        for one in tasks:
            state, problem = _state(one)
            if state == "unusable":
                rows.append({"folder": "", "state": state, "problem": problem, "tasks": [one.name]})
                continue
            for folder in _folders(one):
                users.setdefault(folder, []).append((suite or spec.name, one.name))
    for folder, names in users.items():
        problem = problem_of(folder)
        state = "missing" if not folder.exists() else "damaged" if problem else "ok"
        rows.append({"folder": str(folder), "state": state, "problem": problem, "tasks": sorted({n for _, n in names})})
        if problem:
            # one of the tasks that share the folder is enough
            repairs[names[0]] = None
    bad = [row for row in rows if row["problem"]]
    if format_ == "json":
        print_json(rows)
    else:
        if bad:
            print_table(["state", "tasks", "problem"], [[r["state"], ", ".join(r["tasks"]), r["problem"]] for r in bad])
        counts = {state: sum(row["state"] == state for row in rows) for state in ("ok", "damaged", "missing")}
        sys.stdout.write(", ".join(f"{n} folders {state}" for state, n in counts.items()) + "\n")
    if repairs:
        sys.stderr.write("fetch them again with:\n")
        for name in dict.fromkeys(suite_name for suite_name, _ in repairs):
            tasks_of = [task_name for suite_name, task_name in repairs if suite_name == name]
            sys.stderr.write(f"  bench data fetch --suite {name} --task {','.join(tasks_of)}\n")
    if bad:
        raise typer.Exit(1)


def _chosen(suite: str | None, task: list[str] | None) -> list[tuple[SuiteSpec, list[TaskSpec]]]:
    """Return the chosen suites, each with its chosen tasks."""
    from benchbench.suite_files import find_suite, list_suites

    if task and suite is None:
        raise InputError("--task requires --suite: task names are unique only within a suite")
    found = []
    for name in list(list_suites()) if suite is None else [suite]:
        spec = find_suite(name)
        found.append((spec, chosen_tasks(spec, task)))
    return found


def _fetch(task: TaskSpec, fetching: Fetching, quiet: bool) -> None:
    from benchbench.registry import get_loader

    started, problem = time.monotonic(), ""
    try:
        loader = get_loader(task.loader)
        loader.check(task.options)
        loader.mirror(task.options, lambda line: _say(f"  {line}", quiet))
    except BenchbenchError as error:
        problem = str(error)
        fetching.failures.append(error)
    seconds = time.monotonic() - started
    state = "failed" if problem else "ready"
    fetching.rows.append({"task": task.name, "state": state, "seconds": round(seconds, 3), "problem": problem})
    _say(fetching.line(), quiet)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _state(task: TaskSpec) -> tuple[str, str]:
    """Return "ready", "missing", "damaged" or "unusable", and the reason."""
    from benchbench.registry import get_loader

    try:
        loader = get_loader(task.loader)
        loader.check(task.options)
        loader.fingerprint(task.options)
    except DataMissingError as error:
        return ("damaged" if any(folder.exists() for folder in _folders(task)[:1]) else "missing"), str(error)
    except BenchbenchError as error:
        return "unusable", str(error)
    except ModuleNotFoundError as error:
        if told := remedy(error):
            return "unusable", f"{error}; {told}"
        raise
    return "ready", ""


def _folders(task: TaskSpec) -> list[Path]:
    from benchbench.registry import get_loader

    return list(get_loader(task.loader).folders(task.options))


def _row(spec: SuiteSpec, task: TaskSpec) -> dict[str, Any]:
    from benchbench.registry import get_loader

    state, problem = _state(task)
    folders = [] if state == "unusable" else [_contents(folder) for folder in _folders(task)]
    return {
        "suite": spec.name,
        "task": task.name,
        "loader": task.loader,
        "state": state,
        "problem": problem,
        "warnings": list(get_loader(task.loader).warnings(task.options)) if state == "ready" else [],
        "bytes": sum(folder["bytes"] for folder in folders),
        "source": next((folder["source"] for folder in folders if folder["source"]), ""),
        "folders": folders,
    }


def _contents(folder: Path) -> dict[str, Any]:
    from benchbench.suites._prepared import read_folder

    try:
        prepared = read_folder(folder)
    except DataMissingError:
        return {"folder": str(folder), "bytes": 0, "source": ""}
    return {"folder": str(folder), "bytes": prepared.n_bytes, "source": str(prepared.notes.get("source", ""))}
