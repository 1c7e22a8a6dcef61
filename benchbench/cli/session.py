"""One call of `bench run`: data are prepared while trials run, and everything is recorded."""

from __future__ import annotations

import dataclasses
import shlex
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.cli.common import print_json
from benchbench.cli.tally import label_of
from benchbench.errors import BenchbenchError, InputError
from benchbench.stats.labels import plural
from benchbench.text import printable

if TYPE_CHECKING:
    from distributed import Client

    from benchbench.cli.progress import Progress
    from benchbench.cluster.driver import Driver, Running
    from benchbench.cluster.plan import PlannedTrial, Request, Schedule
    from benchbench.cluster.preparing import Preparation, PreparationFailure, Preparer
    from benchbench.records import RunRecord
    from benchbench.results.store import Store
    from benchbench.spec import TrialSpec
    from benchbench.suite_files import TaskSpec

__all__ = ["Session"]

INGEST_SECONDS = 2.0
POLL_SECONDS = 0.5


class Session:
    """One call of `bench run`.

    Parameters
    ----------
    request : Request
    store : Store
    quiet : bool
    rerun : str
        "none", "failed" or "all": recorded trials that run again.
    started : float
        When the command began, by `time.monotonic`.
    """

    def __init__(self, request: Request, store: Store, *, quiet: bool, rerun: str, started: float) -> None:
        self.request, self.store = request, store
        self.quiet, self.rerun, self.started = quiet, rerun, started
        # also the start in the record: fetching data and building environments are part of a run
        self.began = time.time()
        self.run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(self.began))}-{uuid.uuid4().hex[:6]}"
        self.failures: dict[str, PreparationFailure] = {}
        """By task: why its data are unavailable."""
        self._record: RunRecord | None = None
        self._progress: Progress | None = None
        self._failed_before: set[str] = set()

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

    def show_plan(self, format_: str, cluster: str | None = None) -> None:
        """Print the trials that would run; prepare nothing.

        Of tasks that are not prepared, trials that are recorded with any data count as recorded. A
        cluster is asked for its device, which is part of a trial.
        """
        from benchbench.cluster.backends import connect
        from benchbench.cluster.preparing import known_fingerprint

        if cluster is not None:
            with connect(cluster) as client:
                self._resolve_device(client)
        schedule = self._schedule()
        for task in self.request.tasks:
            fingerprint = known_fingerprint(task)
            if fingerprint is not None:
                self._plan(schedule, task, fingerprint)
        unprepared = [name for name in schedule.waiting if name not in self.failures]
        trials = _in_order(self.request, schedule.expected())
        n_all = len(self.request.seeds) * len(self.request.methods)
        n_known = schedule.n_known + sum(n_all - len(own) for own in schedule.waiting.values())
        if format_ == "json":
            print_json(
                [
                    t.spec.to_dict() | {"trial_id": t.trial_id, "is_prepared": t.spec.task not in unprepared}
                    for t in trials
                ]
            )
        else:
            for t in trials:
                print(f"{t.trial_id}  {t.spec.method} on {t.spec.task}, seed {t.spec.seed}, {_training(t.spec)}")
            names = printable(", ".join(unprepared))
            data = f"; data of {plural(len(unprepared), 'task')} to prepare: {names}" if unprepared else ""
            print(f"{len(trials)} trials to run, {n_known} already recorded{data}")
        self._refuse_if_nothing_is_left()

    def execute(self, cluster: str | None, workers: int | None, n_gpus: int) -> int:
        """Run the missing trials; return the exit code.

        Raises
        ------
        BenchbenchError
            If the data of no task can be prepared.
        """
        from benchbench.cluster.backends import connect, default_workers, embedded

        self._failed_before = {
            row["task"]
            for row in self.store.failed_preparations(self.request.suite.name)
            if row["suite_version"] == self.request.suite.version
        }
        ready, unprepared = self._by_state()
        try:
            with self._preparer(unprepared) as preparer:
                if cluster is not None:
                    with connect(cluster) as client:
                        self._resolve_device(client)
                        return self._drive(client, self._started(ready), preparer)
                schedule = self._started(ready)
                self._wait_for_trials(schedule, preparer)
                n_expected = len(schedule.expected())
                if not n_expected:
                    return self._nothing_to_run(schedule)
                n_workers = min(workers or default_workers(self.request.preset.threads), n_expected)
                where: AbstractContextManager[Client] = embedded(n_workers, min(n_gpus, n_expected))
                with where as client:
                    return self._drive(client, schedule, preparer)
        except KeyboardInterrupt:
            if self._record is not None:
                self._record.state = "interrupted"
            raise
        finally:
            self._end_record()

    def _by_state(self) -> tuple[dict[str, str], list[TaskSpec]]:
        """Return the fingerprints of prepared tasks, and the tasks that are to be prepared."""
        from benchbench.cluster.preparing import known_fingerprint

        ready: dict[str, str] = {}
        for task in self.request.tasks:
            fingerprint = None if task.name in self._failed_before else known_fingerprint(task)
            if fingerprint is not None:
                ready[task.name] = fingerprint
        return ready, [task for task in self.request.tasks if task.name not in ready]

    def _preparer(self, tasks: Sequence[TaskSpec]) -> Preparer:
        from benchbench.cluster.preparing import Preparer

        return Preparer(tasks)

    def _schedule(self) -> Schedule:
        from benchbench.cluster.plan import Schedule
        from benchbench.results.spellings import recorded_spellings

        name = self.request.suite.name
        if self.rerun == "all":
            return Schedule(self.request)
        done = self.store.done_keys(name, include_failed=self.rerun != "failed")
        return Schedule(self.request, done, recorded_spellings(self.store, name))

    def _started(self, ready: dict[str, str]) -> Schedule:
        """Return the schedule with what is prepared already."""
        schedule = self._schedule()
        for task in self.request.tasks:
            if task.name in ready:
                self._plan(schedule, task, ready[task.name])
        return schedule

    def _plan(self, schedule: Schedule, task: TaskSpec, fingerprint: str) -> None:
        """Plan the trials of a prepared task, unless a requested split does not exist."""
        from benchbench.cluster.plan import check_splits
        from benchbench.cluster.preparing import PreparationFailure

        fewer = schedule.waiting[task.name]
        more: list[PlannedTrial] = []
        try:
            check_splits(self.request, task)
        except InputError as error:
            # of the request, not of the data: no other run needs to know
            self._fail(
                task.name, PreparationFailure(type(error).__name__, str(error), is_input=True), is_recorded=False
            )
            schedule.drop(task.name)
        else:
            more = schedule.ready(task, fingerprint)
        if self._progress is not None:
            self._progress.expect(_by_method(more), _by_method(fewer))

    def _wait_for_trials(self, schedule: Schedule, preparer: Preparer) -> None:
        """Wait until a trial is sure to run, or none will."""
        while not schedule.expected() and preparer.n_left:
            self._take(preparer, schedule, POLL_SECONDS)

    def _take(self, preparer: Preparer, schedule: Schedule, wait_seconds: float = 0.0) -> None:
        """Act on the news of the preparation."""
        for news in preparer.poll(wait_seconds):
            name = news.task.name
            if news.failure is not None:
                self._lose(name, news.failure, schedule.drop(name), preparer.n_left)
            elif news.fingerprint:
                if name in self._failed_before:
                    self._land_preparation(name, None)
                if self._progress is not None:
                    self._progress.prepared(name, preparer.n_left)
                self._plan(schedule, news.task, news.fingerprint)
            else:
                self._tell(news, preparer.n_left)

    def _tell(self, news: Preparation, n_left: int) -> None:
        from benchbench.cli.progress import preparing

        if self._progress is not None:
            self._progress.prepare(news.task.name, n_left, news.line)
        else:
            self.say(preparing(news.task.name, news.line))

    def _lose(self, task: str, failure: PreparationFailure, trials: Sequence[PlannedTrial], n_left: int) -> None:
        """Go on without a task."""
        if task not in self.failures:
            self._fail(task, failure, is_recorded=True, n_left=n_left)
        if self._progress is not None:
            self._progress.drop(t.trial_id for t in trials)
            self._progress.expect(Counter(), _by_method(trials))

    def _fail(self, task: str, failure: PreparationFailure, *, is_recorded: bool, n_left: int = 0) -> None:
        from benchbench.cli.progress import unavailable

        self.failures[task] = failure
        if is_recorded:
            self._land_preparation(task, failure)
        if self._progress is not None:
            self._progress.prepared(task, n_left, str(failure))
        else:
            self.say(unavailable(task, str(failure)))

    def _land_preparation(self, task: str, failure: PreparationFailure | None) -> None:
        from benchbench.records import PreparationRecord

        record = self._begin_record()
        self.store.land_preparations(
            [
                PreparationRecord(
                    run_id=self.run_id,
                    suite=self.request.suite.name,
                    suite_version=self.request.suite.version,
                    preset=self.request.preset_name,
                    task=task,
                    outcome="ok" if failure is None else "failed",
                    recorded_at=time.time(),
                    error_type="" if failure is None else failure.error_type,
                    error_message="" if failure is None else failure.message,
                    host=record.host,
                )
            ]
        )

    def _nothing_to_run(self, schedule: Schedule) -> int:
        self._refuse_if_nothing_is_left()
        rest = f" but those of {plural(len(self.failures), 'task')} without data" if self.failures else ""
        self.say(f"nothing to run: all {schedule.n_known} trials{rest} are recorded in {self.store.path}")
        if self._record is not None:
            self._record.state = "finished"
        self._summarise()
        return 0

    def _refuse_if_nothing_is_left(self) -> None:
        """Raise if the data of no task could be prepared."""
        if len(self.failures) < len(self.request.tasks):
            return
        reasons = "".join(f"\n- {task}: {failure.message or failure}" for task, failure in self.failures.items())
        kind = InputError if all(f.is_input for f in self.failures.values()) else BenchbenchError
        raise kind(
            printable(
                f"the data of no task of suite {self.request.suite.name!r} could be prepared:{reasons}", keep_lines=True
            )
        )

    def _resolve_device(self, client: Client) -> None:
        from benchbench.cluster.backends import cluster_device
        from benchbench.cluster.plan import check_devices

        self.request = dataclasses.replace(self.request, device=cluster_device(client, self.request.device))
        check_devices(self.request.methods, self.request.device)

    def _drive(self, client: Client, schedule: Schedule, preparer: Preparer) -> int:
        from benchbench.cli.progress import make_progress

        expected = schedule.expected()
        request = self.request
        record = self._begin_record(len(expected))
        known = f", {schedule.n_known} already recorded" if schedule.n_known else ""
        data = f", data of {plural(preparer.n_left, 'task')} to prepare" if preparer.n_left else ""
        self.say(
            f"run {self.run_id}: suite {request.suite.name} {request.suite.version}, preset {request.preset_name}, "
            f"{request.device}, {len(expected)} trials to run{known}{data}"
        )
        progress = make_progress(len(expected), sum(client.nthreads().values()), _by_method(expected), self.quiet)
        driver = self._driver(client, schedule, preparer, progress)
        self._progress = progress
        try:
            with progress:
                n_lost = self._collect(driver, schedule, preparer, progress)
            record.state = "finished" if len(self.failures) < len(request.tasks) else "failed"
        except KeyboardInterrupt:
            record.state = "interrupted"
            driver.abort()
            raise
        finally:
            self._progress = None
            record.n_trials = progress.tally.n_trials
            self._end_record()
        self._refuse_if_nothing_is_left()
        if progress.tally.outcomes["infra"]:
            self.say(
                f"{progress.tally.outcomes['infra']} attempts were lost with their workers; run the same command again"
                " for the missing trials"
            )
        self._summarise()
        return int(n_lost > 0)

    def _driver(self, client: Client, schedule: Schedule, preparer: Preparer, progress: Progress) -> Driver:
        from benchbench.cluster.driver import Driver
        from benchbench.protocols.base import get_protocol

        def started(running: Running) -> None:
            spec = running.trial.spec
            progress.start(running.trial.trial_id, label_of(spec), spec.task, spec.budget.fit_seconds)

        def unprepared(task: str, failure: PreparationFailure, trials: list[PlannedTrial]) -> None:
            self._lose(task, failure, [*trials, *schedule.drop(task)], preparer.n_left)

        request = self.request
        return Driver(
            client,
            device=request.device,
            source_hashes={m.entry.name: m.entry.source_hash() for m in request.methods},
            track=request.suite.track,
            protocol_version=get_protocol(request.suite.track).PROTOCOL_VERSION,
            on_start=started,
            on_progress=progress.advance,
            on_unprepared=unprepared,
        )

    def _stream(self, schedule: Schedule, preparer: Preparer) -> Iterator[PlannedTrial | None]:
        """Yield trials as their data become ready, None while data are being prepared."""
        while True:
            self._take(preparer, schedule)
            trial = schedule.next()
            if trial is None and not preparer.n_left:
                return
            yield trial

    def _collect(self, driver: Driver, schedule: Schedule, preparer: Preparer, progress: Progress) -> int:
        """Record what ends; return the number of trials that were lost with their workers."""
        from benchbench.cluster.record import attempt_of

        next_ingest = time.monotonic() + INGEST_SECONDS
        n_lost = 0
        for finished in driver.run(self._stream(schedule, preparer)):
            attempts = [attempt_of(f, self.run_id) for f in finished]
            if attempts:
                self.store.land_attempts(attempts)
            for attempt, f in zip(attempts, finished, strict=True):
                progress.finish(attempt, f.is_final)
                n_lost += f.is_final and attempt.outcome == "infra"
            self._take(preparer, schedule)
            progress.tick()
            if time.monotonic() >= next_ingest:
                self.store.ingest()
                next_ingest = time.monotonic() + INGEST_SECONDS
        return n_lost

    def _summarise(self) -> None:
        """Say which tasks were left out, and why."""
        if not self.failures:
            return
        n, n_tasks = len(self.failures), len(self.request.tasks)
        self.say(f"the data of {n} of {n_tasks} tasks could not be prepared; the same command tries again:")
        for task, failure in self.failures.items():
            self.say(f"- {printable(f'{task}: {failure}')}")

    def _begin_record(self, n_trials: int = 0) -> RunRecord:
        """Record the run, once."""
        from benchbench import __version__, provenance
        from benchbench.records import RunRecord

        if self._record is not None:
            self._record.n_trials = max(n_trials, self._record.n_trials)
            return self._record
        commit, dirty = provenance.git_state()
        facts = provenance.hardware()
        self._record = RunRecord(
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
        self.store.land_run(self._record)
        return self._record

    def _end_record(self) -> None:
        """Record the end of the run, once, if it was recorded at all."""
        record = self._record
        if record is None or record.ended_at is not None:
            return
        if record.state == "running":
            record.state = "failed"
        record.ended_at = time.time()
        self.store.land_run(record)
        self.store.ingest()

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


def _by_method(trials: Sequence[PlannedTrial]) -> Counter[str]:
    return Counter(label_of(trial.spec) for trial in trials)


def _in_order(request: Request, trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    """Return trials by seed, then by task."""
    tasks = {task.name: i for i, task in enumerate(request.tasks)}
    seeds = {seed: i for i, seed in enumerate(request.seeds)}
    return sorted(trials, key=lambda t: (seeds[t.spec.seed], tasks[t.spec.task]))


def _training(spec: TrialSpec) -> str:
    """Return the training budget of a trial in words."""
    from benchbench.protocols.base import get_protocol

    budget = spec.budget
    if "iterations" not in get_protocol(spec.track).UNUSED_BUDGET:
        return f"{budget.iterations} iterations"
    return f"{budget.time_limit_seconds if budget.fit_seconds is None else budget.fit_seconds:g} s"
