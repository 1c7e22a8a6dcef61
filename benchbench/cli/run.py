"""`bench run`: plan trials, execute them on Dask, record them and show the leaderboard."""

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
    chosen_tasks,
    db_path,
    in_words,
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
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    db: DbOption = None,
    format_: FormatOption = "table",
) -> None:
    """Run methods on a suite and record the results.

    Recorded trials are not run again. Tasks that share meta-training are trained once.
    --iterations, --test-units, --threads, --fit-seconds, --time-limit and --memory-limit override
    the preset.
    """
    from benchbench.checkpoints import interval_seconds
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
        task,
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
            session.prepare()
            if dry_run:
                session.show_plan(format_, cluster)
                return
            code = session.execute(cluster, workers, n_gpus)
        except KeyboardInterrupt:
            rest = "run the same command for the rest" + session.goes_on()
            session.say(f"interrupted; finished trials are recorded in {store.path}; {rest}")
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


def _training(spec: TrialSpec) -> str:
    """Return the training budget of a trial in words."""
    from benchbench.protocols.base import get_protocol

    budget = spec.budget
    if "iterations" not in get_protocol(spec.track).UNUSED_BUDGET:
        return f"{budget.iterations} iterations"
    return f"{budget.time_limit_seconds if budget.fit_seconds is None else budget.fit_seconds:g} s"


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


class Session:
    """One call of `bench run`."""

    def __init__(self, request: Request, store: Store, *, quiet: bool, rerun: str, started: float) -> None:
        self.request, self.store = request, store
        self.quiet, self.rerun, self.started = quiet, rerun, started
        # also the start in the record: fetching data and building environments are part of a run
        self.began = time.time()
        self.run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(self.began))}-{uuid.uuid4().hex[:6]}"
        self.n_known = 0

    def say(self, text: str) -> None:
        """Write a message to standard error, unless the session is quiet."""
        if not self.quiet:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def goes_on(self) -> str:
        """Say that training resumes, if a trial left a checkpoint on this machine."""
        from benchbench.artefacts import has_unfinished

        began = time.time() - (time.monotonic() - self.started)
        names = {m.entry.name for m in self.request.methods}
        return "; training resumes from the last checkpoints" if has_unfinished(names, began) else ""

    def prepare(self) -> None:
        """Prepare the data; reports steps that take long."""
        from benchbench.registry import get_loader

        for task in self.request.tasks:
            get_loader(task.loader).prepare(task.options, self.say)

    def trials(self) -> list[PlannedTrial]:
        """Return the trials to run, without recorded ones."""
        from benchbench.cluster.plan import all_trials, plan
        from benchbench.results.spellings import recorded_spellings

        if self.rerun == "all":
            return list(all_trials(self.request))
        done = self.store.done_keys(self.request.suite.name, include_failed=self.rerun != "failed")
        left_out: list[PlannedTrial] = []
        spellings = recorded_spellings(self.store, self.request.suite.name)
        found = list(plan(self.request, done, left_out.append, spellings))
        self.n_known = len(left_out)
        return found

    def _resolve_device(self, client: Client) -> None:
        from benchbench.cluster.backends import cluster_device
        from benchbench.cluster.plan import check_devices

        self.request = dataclasses.replace(self.request, device=cluster_device(client, self.request.device))
        check_devices(self.request.methods, self.request.device)

    def show_plan(self, format_: str, cluster: str | None = None) -> None:
        """Print the trials that would run.

        A cluster is asked for its device, which is part of a trial.
        """
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
        print(f"{len(trials)} trials to run, {self.n_known} already recorded")

    def execute(self, cluster: str | None, workers: int | None, n_gpus: int) -> int:
        """Run the missing trials; return the exit code."""
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
        known = f", {self.n_known} already recorded" if self.n_known else ""
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
            self.say(f"{lost} attempts were lost with their workers; run the same command again for the missing trials")
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
        """Print the leaderboard of this run's suite, preset and device."""
        from benchbench.cli.leaderboard import show_leaderboard

        show_leaderboard(
            self.request.suite,
            self.store,
            preset=self.request.preset_name,
            device=self.request.device,
            format_=format_,
        )
        self.say(f"took {time.monotonic() - self.started:.1f} s; results are in {self.store.path}")
