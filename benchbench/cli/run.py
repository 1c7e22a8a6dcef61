"""`bench run`: plan trials, execute them on Dask, record them and show the leaderboard."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import (
    DbOption,
    FormatOption,
    SuiteOption,
    chosen_tasks,
    db_path,
    in_words,
    names_something,
    split_list,
)
from benchbench.errors import InputError

if TYPE_CHECKING:
    from benchbench.cluster.plan import Request
    from benchbench.suite_files import SuiteSpec, TaskSpec

__all__ = ["interruptible", "run"]

RERUN = ("none", "failed", "all")

OPTION_OF = {
    "iterations": "--iterations",
    "test_units": "--test-units",
    "threads": "--threads",
    "fit_seconds": "--fit-seconds",
    "time_limit_seconds": "--time-limit",
    "memory_limit_mib": "--memory-limit",
}
"""Options that override a preset, by field of the preset."""

MOST = 2**53  # whole numbers up to here are exact as floats


def run(
    suite: SuiteOption,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Methods: NAME or NAME(param=value), comma-separated; all for every method.",
            callback=names_something,
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="Only these tasks of the suite; comma-separated.", callback=names_something),
    ] = None,
    exclude_task: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-task", metavar="<str>", help="Without these tasks; comma-separated.", callback=names_something
        ),
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            "--preset",
            metavar="<str>",
            help="Preset (budget) of the suite, for example quick, standard, paper or 1m1c.",
        ),
    ] = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option(
            "--seeds",
            "--folds",
            metavar="<str>",
            help="Seeds, or folds of tasks with splits, for example 0,1,2; default: those of the suite.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Worker processes; default: cores divided by threads per trial."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Address of a running Dask scheduler, for example tcp://host:8786.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Device: auto, cpu or cuda.")] = "auto",
    gpus: Annotated[int | None, typer.Option("--gpus", help="Number of workers with one GPU each.")] = None,
    iterations: Annotated[
        int | None, typer.Option("--iterations", min=0, help="Training iterations per trial.")
    ] = None,
    test_units: Annotated[int | None, typer.Option("--test-units", min=1, help="Test episodes per trial.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads per trial.")] = None,
    fit_seconds: Annotated[
        float | None, typer.Option("--fit-seconds", help="Training budget per trial, in seconds.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Seconds after which a trial is stopped.")
    ] = None,
    memory_limit: Annotated[
        int | None, typer.Option("--memory-limit", help="Memory at which a trial is stopped, in MiB.")
    ] = None,
    rerun: Annotated[str, typer.Option("--rerun", help="Recorded trials to run again: none, failed or all.")] = "none",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the trials that would run.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if the data of a task cannot be prepared.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Run methods on a suite and record the results.

    Recorded trials are not run again. Tasks that share meta-training are trained once. Data are
    prepared while trials run; a task whose data cannot be prepared is left out and listed.
    --iterations, --test-units, --threads, --fit-seconds, --time-limit and --memory-limit override
    the preset.
    """
    from benchbench.checkpoints import interval_seconds
    from benchbench.cli.session import Session
    from benchbench.cluster.backends import check_workers, resolve_device, too_many_threads
    from benchbench.cluster.plan import check_devices
    from benchbench.results.store import Store

    interval_seconds()  # refuse a bad interval of checkpoints before any trial meets it
    if rerun not in RERUN:
        raise InputError(f"--rerun expects {in_words(RERUN)}, got {rerun!r}")
    overrides = {
        "iterations": iterations,
        "test_units": test_units,
        "threads": threads,
        "fit_seconds": fit_seconds,
        "time_limit_seconds": time_limit,
        "memory_limit_mib": memory_limit,
    }
    check_workers(workers, cluster)
    found_device, n_gpus = resolve_device(device, gpus, cluster)
    request = _request(
        suite,
        method,
        _tasks(suite, task, exclude_task),
        _only("--preset", preset),
        _only("--seeds (or --folds)", seeds),
        found_device,
        overrides,
    )
    if found_device != "auto":  # else the cluster decides
        check_devices(request.methods, found_device)
    # the workers of a cluster have their own cores
    if cluster is None and (problem := too_many_threads(request.preset.threads)):
        sys.stderr.write(f"warning: {problem}\n")
    store = Store(db_path(db))
    if not dry_run:
        store.open_for_writing()
    session = Session(request, store, quiet=quiet, rerun=rerun, started=time.monotonic())
    with interruptible():
        try:
            if dry_run:
                session.show_plan(format_, cluster)
                return
            code = session.execute(cluster, workers, n_gpus)
        except KeyboardInterrupt:
            rest = "run the same command for the rest" + session.goes_on()
            session.say(f"interrupted; finished trials are recorded in {store.path}; {rest}")
            raise typer.Exit(130) from None
    session.show_board(format_)
    code = code or int(strict and bool(session.failures))
    if code:
        raise typer.Exit(code)


def _tasks(suite_name: str, chosen: list[str] | None, excluded: list[str] | None) -> tuple[TaskSpec, ...]:
    """Return the chosen tasks of a suite without the excluded ones.

    Raises
    ------
    UnknownNameError, InputError
        If there is no such task, one is named twice, or none is left.
    """
    from benchbench.suite_files import find_suite

    suite = find_suite(suite_name)
    tasks = chosen_tasks(suite, chosen)
    if not excluded:
        return tuple(tasks)
    names = {task.name for task in chosen_tasks(suite, excluded)}
    left = tuple(task for task in tasks if task.name not in names)
    if not left:
        raise InputError("--exclude-task excludes every task of the run; leave at least one")
    return left


def _request(
    suite_name: str,
    method: list[str] | None,
    tasks: tuple[TaskSpec, ...],
    preset_name: str | None,
    seeds: str | None,
    device: str,
    overrides: dict[str, Any],
) -> Request:
    from benchbench.cluster.plan import Request, choose_methods
    from benchbench.protocols.base import check_installed
    from benchbench.registry import get_loader, get_method
    from benchbench.suite_files import BEST_KNOWN, find_suite

    suite = find_suite(suite_name)
    check_installed(suite.track)
    if preset_name == "":
        raise InputError(f"--preset expects a preset of suite {suite.name!r} ({', '.join(suite.presets)}), got ''")
    name, preset = suite.preset(preset_name)
    chosen = {key: value for key, value in overrides.items() if value is not None}
    for key, value in chosen.items():
        _check_override(suite, key, value)
        # an overridden budget is another budget: its results have a leaderboard of their own
        if getattr(preset, key) != value:
            name += f",{key}={value:g}"
    preset = dataclasses.replace(preset, **chosen)
    problem = preset.problem()
    if problem:
        raise InputError(f"{problem} (--fit-seconds, --time-limit)")
    for one in tasks:
        get_loader(one.loader).check(one.options)
    for role in (suite.scores.baseline, suite.scores.reference):
        if role != BEST_KNOWN:
            get_method(role)
    return Request(
        suite=suite,
        preset_name=name,
        preset=preset,
        tasks=tasks,
        methods=choose_methods(suite, split_list(method)),
        seeds=suite.seeds if seeds is None else _seeds(seeds),
        device=device,
    )


def _check_override(suite: SuiteSpec, key: str, value: float) -> None:
    """Raise `InputError` if a value is no budget, or the suite's track does not use the option."""
    from benchbench.protocols.base import get_protocol

    option = OPTION_OF[key]
    unused = get_protocol(suite.track).UNUSED_BUDGET
    if key in unused:
        used = [o for k, o in OPTION_OF.items() if k not in unused]
        raise InputError(
            f"{option} has no effect on suite {suite.name!r}: trials of track {suite.track!r} use only {', '.join(used)}"
        )
    least = 0 if key == "iterations" else 1 if isinstance(value, int) else None
    if not (-MOST < value < MOST and (value > 0 if least is None else value >= least)):
        kind = "finite number above 0" if least is None else f"whole number from {least} to 2**53 - 1"
        raise InputError(f"{option} must be a {kind}, got {value}")


def _only(option: str, values: list[str] | None) -> str | None:
    """Return the value of an option that may be given once."""
    different = list(dict.fromkeys(values or ()))
    if len(different) > 1:
        raise InputError(f"{option} is given with different values: {' and '.join(different)}; give one")
    return different[0] if different else None


def _seeds(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--seeds expects whole numbers, for example 0,1,2; got {text!r}") from None
    if len(set(found)) != len(found) or min(found) < 0 or max(found) >= 2**31:
        raise InputError(f"--seeds expects distinct numbers from 0 to 2**31 - 1, got {text!r}")
    return found


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: record finished trials, stop running ones."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
