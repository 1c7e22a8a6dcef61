"""`bench run`: plan, execute on Dask, record, show the board."""

from __future__ import annotations

import dataclasses
import shlex
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli.common import (
    DbOption,
    FormatOption,
    SuiteOption,
    check_format,
    chosen_tasks,
    db_path,
    names_something,
    print_json,
    split_list,
)
from benchbench.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

    from benchbench.cluster.plan import PlannedTrial, Request
    from benchbench.results.store import Store
    from benchbench.spec import TrialSpec
    from benchbench.suite_files import SuiteSpec

__all__ = ["Session", "interruptible", "run"]

RERUN = ("none", "failed", "all")

OPTION_OF = {
    "iterations": "--iterations",
    "test_units": "--test-units",
    "threads": "--threads",
    "fit_seconds": "--fit-seconds",
    "time_limit_seconds": "--time-limit",
    "memory_limit_mib": "--memory-limit",
}
"""The options that override a preset, by the preset's field."""

MOST = 2**53  # whole numbers are exact as floats up to here


def run(
    suite: SuiteOption,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Methods: name or name(param=value), commas allowed; all for every one.",
            callback=names_something,
        ),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Only these tasks of the suite.", callback=names_something)
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            "--preset",
            "--profile",
            metavar="<str>",
            help="quick, standard, paper, 1m1c ... as the suite defines them.",
        ),
    ] = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option(
            "--seeds",
            "--folds",
            metavar="<str>",
            help="Seeds (of tasks with splits: folds), like 0,1,2; default: the suite's.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Worker processes; default: cores / threads.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Scheduler started apart, like tcp://host:8786.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    gpus: Annotated[int | None, typer.Option("--gpus", help="Workers with one GPU each.")] = None,
    iterations: Annotated[int | None, typer.Option("--iterations", min=0, help="Override training iterations.")] = None,
    test_units: Annotated[int | None, typer.Option("--test-units", min=1, help="Override test episodes.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Override CPU threads a trial.")] = None,
    fit_seconds: Annotated[
        float | None, typer.Option("--fit-seconds", help="Override the training budget, seconds a trial.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option("--time-limit", help="Override the guard, seconds a trial.")
    ] = None,
    memory_limit: Annotated[int | None, typer.Option("--memory-limit", help="Override the guard, MiB a trial.")] = None,
    rerun: Annotated[
        str, typer.Option("--rerun", help="none, failed or all: what to run again though recorded.")
    ] = "none",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Run methods over a suite; what is already recorded is not run again."""
    from benchbench.checkpoints import interval_seconds
    from benchbench.cluster.backends import check_workers, resolve_device, too_many_threads
    from benchbench.cluster.plan import check_devices
    from benchbench.results.store import Store

    check_format(format_)
    interval_seconds()  # of checkpoints, so that a bad one is not met by every trial
    if rerun not in RERUN:
        raise InputError(f"unknown --rerun {rerun!r}; expected {', '.join(RERUN)}")
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
        task,
        _only("--preset (or --profile)", preset),
        _only("--seeds (or --folds)", seeds),
        found_device,
        overrides,
    )
    if found_device != "auto":  # else the cluster says it
        check_devices(request.methods, found_device)
    # workers of a cluster have cores of their own
    if cluster is None and (problem := too_many_threads(request.preset.threads)):
        sys.stderr.write(f"warning: {problem}\n")
    store = Store(db_path(db))
    if not dry_run:
        store.open_for_writing()
    session = Session(request, store, quiet=quiet, rerun=rerun, started=time.monotonic())
    with interruptible():
        try:
            session.prepare()
            if dry_run:
                session.show_plan(format_, cluster)
                return
            code = session.execute(cluster, workers, n_gpus)
        except KeyboardInterrupt:
            rest = "the same command runs the rest" + session.goes_on()
            session.say(f"interrupted; what has ended is recorded in {store.path}; {rest}")
            raise typer.Exit(130) from None
    session.show_board(format_)
    if code:
        raise typer.Exit(code)


def _request(
    suite_name: str,
    method: list[str] | None,
    task: list[str] | None,
    preset_name: str | None,
    seeds: str | None,
    device: str,
    overrides: dict[str, Any],
) -> Request:
    from benchbench.cluster.plan import Request, choose_methods
    from benchbench.registry import get_loader, get_method
    from benchbench.suite_files import BEST_KNOWN, find_suite

    suite = find_suite(suite_name)
    if preset_name == "":
        raise InputError(f"--preset names no preset, got ''; those of suite {suite.name!r}: {', '.join(suite.presets)}")
    name, preset = suite.preset(preset_name)
    chosen = {key: value for key, value in overrides.items() if value is not None}
    for key, value in chosen.items():
        _check_override(suite, key, value)
        # an overridden budget is another budget: its results stand on a board of their own
        if getattr(preset, key) != value:
            name += f",{key}={value:g}"
    preset = dataclasses.replace(preset, **chosen)
    problem = preset.problem()
    if problem:
        raise InputError(f"{problem} (--fit-seconds, --time-limit)")
    tasks = tuple(chosen_tasks(suite, task))
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
    """Raise `InputError` if the option's value is no budget, or trials of the suite's track have no use for it."""
    from benchbench.protocols.base import get_protocol

    option = OPTION_OF[key]
    unused = get_protocol(suite.track).UNUSED_BUDGET
    if key in unused:
        used = [o for k, o in OPTION_OF.items() if k not in unused]
        raise InputError(
            f"{option} changes nothing of suite {suite.name!r}: trials of track {suite.track!r} know only {', '.join(used)}"
        )
    least = 0 if key == "iterations" else 1 if isinstance(value, int) else None
    if not (-MOST < value < MOST and (value > 0 if least is None else value >= least)):
        kind = "finite number above 0" if least is None else f"whole number from {least} to 2**53 - 1"
        raise InputError(f"{option} must be a {kind}, got {value}")


def _training(spec: TrialSpec) -> str:
    """Say what a trial may spend on training."""
    from benchbench.protocols.base import get_protocol

    budget = spec.budget
    if "iterations" not in get_protocol(spec.track).UNUSED_BUDGET:
        return f"{budget.iterations} iterations"
    return f"{budget.time_limit_seconds if budget.fit_seconds is None else budget.fit_seconds:g} s"


def _only(option: str, values: list[str] | None) -> str | None:
    """Return the value of an option that may be given once, under either of its names."""
    different = list(dict.fromkeys(values or ()))
    if len(different) > 1:
        raise InputError(f"{option} is given with different values: {' and '.join(different)}; give one")
    return different[0] if different else None


def _seeds(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--seeds expects whole numbers like 0,1,2, got {text!r}") from None
    if len(set(found)) != len(found) or min(found) < 0 or max(found) >= 2**31:
        raise InputError(f"--seeds expects different numbers from 0 to 2**31 - 1, got {text!r}")
    return found


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: record what has ended, end what runs."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Session:
    """One call of `bench run`."""

    def __init__(self, request: Request, store: Store, *, quiet: bool, rerun: str, started: float) -> None:
        self.request, self.store = request, store
        self.quiet, self.rerun, self.started = quiet, rerun, started
        # what is recorded agrees with the id: data, environments and workers are part of a run
        self.began = time.time()
        self.run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(self.began))}-{uuid.uuid4().hex[:6]}"
        self.n_known = 0

    def say(self, text: str) -> None:
        """Tell the user something, on standard error, unless asked to be quiet."""
        if not self.quiet:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def goes_on(self) -> str:
        """Say that trainings go on where they are, if any left a checkpoint on this machine."""
        from benchbench.artefacts import has_unfinished

        began = time.time() - (time.monotonic() - self.started)
        names = {m.entry.name for m in self.request.methods}
        return ", and goes on with trainings from their last checkpoints" if has_unfinished(names, began) else ""

    def prepare(self) -> None:
        """Make the data ready; says what it does where that takes time."""
        from benchbench.registry import get_loader

        for task in self.request.tasks:
            get_loader(task.loader).prepare(task.options, self.say)

    def trials(self) -> list[PlannedTrial]:
        """Return what has to be run, leaving out what is recorded."""
        from benchbench.cluster.plan import all_trials, plan

        if self.rerun == "all":
            return list(all_trials(self.request))
        done = self.store.done_keys(self.request.suite.name, include_failed=self.rerun != "failed")
        left_out: list[PlannedTrial] = []
        found = list(plan(self.request, done, left_out.append))
        self.n_known = len(left_out)
        return found

    def _resolve_device(self, client: Client) -> None:
        from benchbench.cluster.backends import cluster_device
        from benchbench.cluster.plan import check_devices

        self.request = dataclasses.replace(self.request, device=cluster_device(client, self.request.device))
        check_devices(self.request.methods, self.request.device)

    def show_plan(self, format_: str, cluster: str | None = None) -> None:
        """Print what would be run; a cluster is asked what it runs on, since that is part of what is recorded."""
        from benchbench.cluster.backends import connect

        if cluster is not None:
            with connect(cluster) as client:
                self._resolve_device(client)
        trials = self.trials()
        if format_ == "json":
            print_json([t.spec.to_dict() | {"trial_id": t.trial_id} for t in trials])
            return
        for t in trials:
            print(f"{t.trial_id}  {t.spec.method} on {t.spec.task}, seed {t.spec.seed}, {_training(t.spec)}")
        print(f"{len(trials)} trials to run, {self.n_known} recorded already")

    def execute(self, cluster: str | None, workers: int | None, n_gpus: int) -> int:
        """Run what is missing; return the exit code."""
        from benchbench.cluster.backends import connect, default_workers, embedded

        trials: list[PlannedTrial] | None = None
        if cluster is None:
            trials = self.trials()
            if not trials:
                self.say(f"nothing to run: all {self.n_known} trials are recorded in {self.store.path}")
                return 0
            n_workers = min(workers or default_workers(self.request.preset.threads), len(trials))
            where: AbstractContextManager[Client] = embedded(n_workers, min(n_gpus, len(trials)))
        else:
            where = connect(cluster)
        with where as client:
            if cluster is not None:
                self._resolve_device(client)
            return self._drive(client, self.trials() if trials is None else trials)

    def _drive(self, client: Client, trials: list[PlannedTrial]) -> int:
        from benchbench.cli.progress import make_progress
        from benchbench.cluster.driver import Driver, Running
        from benchbench.protocols.base import get_protocol
        from benchbench.registry import get_loader

        request = self.request
        record = self._run_record(len(trials))
        known = f", {self.n_known} recorded already" if self.n_known else ""
        self.say(
            f"run {self.run_id}: suite {request.suite.name} {request.suite.version}, preset {request.preset_name}, "
            f"{request.device}, {len(trials)} trials to run{known}"
        )
        progress = make_progress(
            len(trials), sum(client.nthreads().values()), Counter(t.spec.method for t in trials), self.quiet
        )

        def started(running: Running) -> None:
            spec = running.trial.spec
            progress.start(running.trial.trial_id, spec.method, spec.task, spec.budget.fit_seconds)

        driver = Driver(
            client,
            device=request.device,
            source_hashes={m.entry.name: m.entry.source_hash() for m in request.methods},
            track=request.suite.track,
            protocol_version=get_protocol(request.suite.track).PROTOCOL_VERSION,
            prepare=[(t.loader, dict(t.options), get_loader(t.loader).fingerprint(t.options)) for t in request.tasks],
            on_start=started,
            on_progress=progress.advance,
        )
        with progress:
            try:
                record.state = "failed"
                self._collect(driver, trials, progress)
                record.state = "finished"
            except KeyboardInterrupt:
                record.state = "interrupted"
                driver.abort()
                raise
            finally:
                record.ended_at = time.time()
                self.store.land_run(record)
                self.store.ingest()
        lost = progress.tally.outcomes["infra"]
        if lost:
            self.say(
                f"{lost} tries were lost with their workers; run the same command again for those that are missing"
            )
        return 1 if progress.tally.n_done and progress.tally.outcomes["infra"] and self._is_incomplete() else 0

    def _is_incomplete(self) -> bool:
        return bool(self.trials()) if self.rerun == "none" else False

    def _collect(self, driver: Any, trials: list[PlannedTrial], progress: Any) -> None:
        from benchbench.cluster.record import attempt_of

        next_ingest = time.monotonic() + 2.0
        for finished in driver.run(trials):
            attempts = [attempt_of(f, self.run_id) for f in finished]
            if attempts:
                self.store.land_attempts(attempts)
            for attempt, f in zip(attempts, finished, strict=True):
                progress.finish(attempt, f.is_final)
            progress.tick()
            if time.monotonic() >= next_ingest:
                self.store.ingest()
                next_ingest = time.monotonic() + 2.0

    def _run_record(self, n_trials: int) -> Any:
        from benchbench import __version__, provenance
        from benchbench.records import RunRecord

        commit, dirty = provenance.git_state()
        facts = provenance.hardware()
        record = RunRecord(
            run_id=self.run_id,
            suite=self.request.suite.name,
            preset=self.request.preset_name,
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            started_at=self.began,
            n_trials=n_trials,
            user=provenance.user_name(),
            host=facts["host"],
            hardware=facts,
            git_commit=commit,
            git_dirty=dirty,
            benchbench_version=__version__,
        )
        self.store.land_run(record)
        return record

    def show_board(self, format_: str) -> None:
        """Print the leaderboard of what this run was about."""
        from benchbench.cli.leaderboard import show_leaderboard

        show_leaderboard(
            self.request.suite,
            self.store,
            preset=self.request.preset_name,
            device=self.request.device,
            format_=format_,
        )
        self.say(f"took {time.monotonic() - self.started:.1f} s; results are in {self.store.path}")
